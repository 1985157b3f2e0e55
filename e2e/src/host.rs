//! System packages the cluster and the builds stand on: installed when we may, named in one sentence when we may not.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::progress::Step;

/// A Debian package, known to be there when `proof` is: a program on the path, or a file when it starts with `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    name: &'static str,
    proof: &'static str,
}

const fn package(name: &'static str, proof: &'static str) -> Package {
    Package { name, proof }
}

/// Needed to run a cluster; kube-proxy calls `nft`, and the rest makes and enters namespaces.
pub const CLUSTER: &[Package] = &[
    package("nftables", "nft"),
    package("conntrack", "conntrack"),
    package("iproute2", "ip"),
    package("util-linux", "nsenter"),
    package("mount", "mount"),
    package("tcpdump", "tcpdump"),
];

/// Needed to compile the components (runc links libseccomp).
pub const COMPONENT_BUILD: &[Package] = &[
    package("gcc", "gcc"),
    package("libc6-dev", "/usr/include/stdlib.h"),
    package("libseccomp-dev", "/usr/include/seccomp.h"),
    package("pkg-config", "pkg-config"),
];

/// Needed to compile static binaries.
pub const IMAGE_BUILD: &[Package] = &[package("gcc", "gcc"), package("musl-tools", "musl-gcc")];

/// Needed to compile the engine of the fuzz targets.
pub const FUZZING: &[Package] = &[package("g++", "g++")];

/// Needed to count instructions.
pub const COUNTING: &[Package] = &[package("valgrind", "valgrind")];

/// Needed to run sidecars in network namespaces without a cluster.
pub const ROOMS: &[Package] = &[
    package("iproute2", "ip"),
    package("util-linux", "nsenter"),
    package("mount", "mount"),
    package("tcpdump", "tcpdump"),
];

/// Clients and servers that the conformance tests put before and behind sidecars.
pub const STOCK: &[Package] = &[
    package("nghttp2-client", "h2load"),
    package("nghttp2-server", "nghttpd"),
    package("curl", "curl"),
    package("nodejs", "node"),
    package("openjdk-17-jdk-headless", "javac"),
    package("python3", "/usr/bin/python3"),
    package("python3-httpx", "/usr/lib/python3/dist-packages/httpx/__init__.py"),
    package("python3-websockets", "/usr/lib/python3/dist-packages/websockets/__init__.py"),
    package("python3-h2", "/usr/lib/python3/dist-packages/h2/__init__.py"),
];

/// Servers and clients of other protocols than HTTP. Of MariaDB the programs alone: the whole would start a service.
pub const UNDECLARED: &[Package] = &[
    package("mariadb-server-core", "mariadbd"),
    package("mariadb-client-core", "mariadb"),
    package("python3-aiosmtpd", "/usr/lib/python3/dist-packages/aiosmtpd/__init__.py"),
    package("openssh-server", "sshd"),
    package("openssh-client", "ssh"),
    package("python3-pyftpdlib", "/usr/lib/python3/dist-packages/pyftpdlib/__init__.py"),
    package("curl", "curl"),
    package("redis-server", "redis-server"),
    package("redis-tools", "redis-cli"),
    package("postgresql-15", "/usr/lib/postgresql/15/bin/postgres"),
    package("postgresql-client", "psql"),
    package("mosquitto", "mosquitto"),
    package("mosquitto-clients", "mosquitto_pub"),
    package("slapd", "slapd"),
    package("ldap-utils", "ldapmodify"),
];

/// Servers of HTTP that read what the mesh passes on. Of Apache the program alone: the whole would start a service.
pub const GARDEN: &[Package] = &[
    package("nodejs", "node"),
    package("openjdk-17-jdk-headless", "javac"),
    package("python3", "/usr/bin/python3"),
    package("gunicorn", "gunicorn"),
    package("python3-uvicorn", "/usr/lib/python3/dist-packages/uvicorn/__init__.py"),
    package("python3-h11", "/usr/lib/python3/dist-packages/h11/__init__.py"),
    package("nginx-light", "nginx"),
    package("haproxy", "haproxy"),
    package("varnish", "varnishd"),
    package("gcc", "gcc"),
    package("h2o", "h2o"),
    package("lighttpd", "lighttpd"),
    package("apache2-bin", "apache2"),
    package("nghttp2-proxy", "nghttpx"),
];

/// Needed where an application has TLS of its own: servers of it, and a client.
pub const OWN_TLS: &[Package] = &[package("openssl", "openssl"), package("curl", "curl")];

/// Needed to compare the mesh with others: load generators, servers, and two of those others.
pub const BENCHMARK: &[Package] = &[
    package("iproute2", "ip"),
    package("util-linux", "nsenter"),
    package("mount", "mount"),
    package("tcpdump", "tcpdump"),
    package("openssl", "openssl"),
    package("curl", "curl"),
    package("wrk", "wrk"),
    package("nghttp2-client", "h2load"),
    package("nghttp2-server", "nghttpd"),
    package("nginx-light", "nginx"),
    package("libnginx-mod-stream", "/usr/lib/nginx/modules/ngx_stream_module.so"),
    package("haproxy", "haproxy"),
];

/// Installs what is missing of `packages` with apt-get when run as root, and otherwise says what to install.
pub fn ensure(packages: &[Package]) -> Result<()> {
    let missing: Vec<&str> =
        packages.iter().filter(|package| !is_installed(package)).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !rustix::process::geteuid().is_root() || find_program("apt-get").is_none() {
        bail!("these Debian packages (or their likes) are missing, install them first: {names}");
    }
    let step = Step::start(format!("installing {names}"), None);
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "--yes", "--no-install-recommends"]).args(&missing);
    if command::run(&mut apt).is_err() {
        // The package lists of a fresh image are empty or old: fetch them once, then ask again.
        command::run(Command::new("apt-get").arg("update"))?;
        command::run(&mut apt)
            .with_context(|| format!("cannot install {names}; install them by hand and run this again"))?;
    }
    step.done();
    Ok(())
}

/// Fails unless this process is root: namespaces, mounts and cgroups need it.
pub fn require_root(what: &str) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!("{what} needs root, because it makes network namespaces, mounts and cgroups: run it with sudo")
}

fn is_installed(package: &Package) -> bool {
    if package.proof.starts_with('/') {
        Path::new(package.proof).exists()
    } else {
        find_program(package.proof).is_some()
    }
}

fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH")?;
    // Network tools live in sbin, which is not on every person's path.
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}
