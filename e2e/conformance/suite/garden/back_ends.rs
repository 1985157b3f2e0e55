//! The back ends of the garden, and how each is started. Servers write what they see into a file; proxies pass it to a recorder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use tulle_conformance::Context;
use tulle_e2e::components::GARDEN;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackEnd {
    pub(super) name: &'static str,
    /// How it is started, for a shell: with `PORT`, `NEXT`, `SEEN`, `FOLDER` and its own file as `$FILE`.
    script: &'static str,
    /// A program or a configuration: name and text. `{PORT}`, `{SECOND}`, `{NEXT}` and `{FOLDER}` are filled in.
    file: (&'static str, &'static str),
    /// Where it speaks HTTP/1 and HTTP/2: at its first or its second port.
    pub(super) http1: Option<u16>,
    pub(super) http2: Option<u16>,
    /// Whether it passes all to a recorder.
    pub(super) proxy: bool,
    pub(super) quirks: &'static [Quirk],
}

/// Where a back end reads on purpose, or by its own fault, otherwise than it was told, and no reading of the mesh could help. None of these
/// makes a request of what is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quirk {
    /// It brings paths into a normal form, as RFC 3986 §6 lets it. Where rules look at paths, the mesh does, and refuses what has two.
    OwnPaths,
    /// It takes many slashes at the beginning of a path for one.
    OneSlash,
    /// It takes an empty query for none, or has no place for the difference.
    NoEmptyQuery,
    /// Dashes and underscores in names of fields are the same to it, because its programs get them as variables (RFC 3875 §4.1.18).
    DashedNames,
    /// It ends a body properly that was cut short: the mesh ended the connection within it, as RFC 9112 §8 asks.
    MendsBodies,
    /// It drops the bodies of GET and HEAD, which have no meaning (RFC 9110 §9.3.1), having read them.
    NoBodyOfGet,
}

const SERVER: BackEnd =
    BackEnd { name: "", script: "", file: ("", ""), http1: Some(0), http2: None, proxy: false, quirks: &[] };
const PROXY: BackEnd = BackEnd { proxy: true, ..SERVER };

/// All of them.
pub(super) const BACK_ENDS: &[BackEnd] = &[
    BackEnd { name: "Go", script: "exec garden 0.0.0.0:$PORT $SEEN", http2: Some(0), ..SERVER },
    BackEnd {
        name: "Node",
        script: "node $FILE h2 $SECOND $SEEN & exec node $FILE http1 $PORT $SEEN",
        file: ("server.mjs", include_str!("server.mjs")),
        http2: Some(1),
        ..SERVER
    },
    BackEnd {
        name: "CPython",
        script: "exec /usr/bin/python3 $FILE $PORT $SEEN",
        file: ("server.py", include_str!("server.py")),
        quirks: &[Quirk::OneSlash],
        ..SERVER
    },
    BackEnd {
        name: "gunicorn",
        script: "cd $FOLDER; exec gunicorn --bind 0.0.0.0:$PORT --threads 16 --worker-tmp-dir $FOLDER wsgi:app",
        file: ("wsgi.py", include_str!("wsgi.py")),
        quirks: &[Quirk::DashedNames],
        ..SERVER
    },
    BackEnd {
        name: "uvicorn",
        script: "cd $FOLDER; exec /usr/bin/python3 -m uvicorn --http h11 --host 0.0.0.0 --port $PORT --no-access-log asgi:app",
        file: ("asgi.py", include_str!("asgi.py")),
        quirks: &[Quirk::NoEmptyQuery],
        ..SERVER
    },
    BackEnd { name: "hyper", script: "exec $APP record --port $PORT >> $SEEN", http2: Some(0), ..SERVER },
    BackEnd {
        name: "Java",
        script: "exec java -Xmx256m $FILE $PORT $SEEN",
        file: ("Server.java", include_str!("Server.java")),
        ..SERVER
    },
    BackEnd {
        name: "nginx",
        script: "exec nginx -e stderr -c $FILE",
        file: ("nginx.conf", include_str!("nginx.conf")),
        http2: Some(1),
        ..PROXY
    },
    BackEnd {
        name: "HAProxy",
        script: "exec haproxy -db -f $FILE",
        file: ("haproxy.cfg", include_str!("haproxy.cfg")),
        http2: Some(1),
        ..PROXY
    },
    BackEnd {
        name: "Varnish",
        script: "exec varnishd -F -f $FILE -a 0.0.0.0:$PORT -n $FOLDER -s malloc,64m -j none",
        file: ("varnish.vcl", include_str!("varnish.vcl")),
        quirks: &[Quirk::MendsBodies, Quirk::NoBodyOfGet],
        ..PROXY
    },
    BackEnd {
        name: "H2O",
        script: "exec h2o -c $FILE",
        file: ("h2o.conf", include_str!("h2o.conf")),
        http2: Some(0),
        quirks: &[Quirk::OwnPaths],
        ..PROXY
    },
    BackEnd {
        name: "lighttpd",
        script: "exec lighttpd -D -f $FILE",
        file: ("lighttpd.conf", include_str!("lighttpd.conf")),
        http2: Some(0),
        quirks: &[Quirk::NoEmptyQuery],
        ..PROXY
    },
    BackEnd {
        name: "Apache",
        script: "exec apache2 -DFOREGROUND -f $FILE",
        file: ("apache.conf", include_str!("apache.conf")),
        http2: Some(0),
        quirks: &[Quirk::OneSlash],
        ..PROXY
    },
    BackEnd {
        name: "nghttpx",
        script: "exec nghttpx --conf=/dev/null --frontend=\"0.0.0.0,$PORT;no-tls\" --backend=127.0.0.1,$NEXT --no-via --workers=1",
        http2: Some(0),
        quirks: &[Quirk::OwnPaths],
        ..PROXY
    },
];

/// Ports of one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// Two, from this.
    pub(super) first: u16,
    /// Of the recorder behind it.
    pub(super) next: u16,
}

impl BackEnd {
    pub(super) fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// Its ports; `index` is its place in [`BACK_ENDS`].
    pub(super) fn ports(index: usize) -> Ports {
        let index = u16::try_from(index).expect("there are few");
        Ports { first: 8100 + 2 * index, next: 9100 + index }
    }

    /// The command that starts it, and the file that it writes into.
    pub(super) fn command(&self, context: &Context<'_>, ports: Ports) -> Result<(Command, PathBuf)> {
        let folder = context.folder().join("back-ends").join(self.name);
        fs::create_dir_all(&folder)?;
        let (name, text) = self.file;
        let values = [("PORT", ports.first), ("SECOND", ports.first + 1), ("NEXT", ports.next)]
            .map(|(name, port)| (name, port.to_string()));
        let text =
            values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
        let file = folder.join(if name.is_empty() { "none" } else { name });
        fs::write(&file, text.replace("{FOLDER}", &folder.display().to_string()))?;
        let seen = folder.join("seen");
        fs::write(&seen, "")?;
        let mut shell = Command::new("sh");
        shell.args(["-euc", self.script]);
        shell.envs(values).env("FOLDER", &folder).env("FILE", &file).env("SEEN", &seen).env("APP", context.app());
        let path = std::env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:/usr/sbin:{path}", GARDEN.ensure()?.display()));
        Ok((shell, seen))
    }
}
