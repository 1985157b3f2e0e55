//! HAProxy: one thread a worker, every idle connection reused, HTTP/2 windows large enough for bulk. It verifies the server by DNS name
//! and the client by its authority.

use std::fmt::Write;
use std::process::Command;

use anyhow::{Context, Result};

use super::peers::{Leg, Peer, Protocol, Side, Wiring};

/// Bytes one HTTP/2 stream may have in flight; the default of 64 KiB makes one round trip of each 64 KiB.
const WINDOW: u32 = 1 << 20;
/// Writes the configuration and says how to start it.
pub(super) fn command(peer: &Peer<'_>, wiring: &Wiring, side: Side) -> Result<Command> {
    let file = peer.folder.join(format!("{}.haproxy.cfg", side.name()));
    std::fs::write(&file, configuration(peer, wiring, side)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let mut haproxy = Command::new("haproxy");
    haproxy.args(["-db", "-f"]).arg(file);
    Ok(haproxy)
}

fn configuration(peer: &Peer<'_>, wiring: &Wiring, side: Side) -> Result<String> {
    let mode = if wiring.protocol == Protocol::Bytes { "tcp" } else { "http" };
    let mut text = format!(
        "global\n    nbthread {}\n    maxconn {}\n    tune.h2.initial-window-size {WINDOW}\n    \
         tune.ssl.cachesize 0\n    \
         ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets\n    \
         ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256\n    \
         ssl-default-server-options ssl-min-ver TLSv1.3\n    \
         ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256\n\
         defaults\n    mode {mode}\n    maxconn {}\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n",
        peer.workers, peer.connections, peer.connections
    );
    for leg in wiring.legs(side) {
        frontend(&mut text, peer, wiring, side, leg)?;
        backend(&mut text, peer, wiring, side, leg)?;
    }
    Ok(text)
}

fn frontend(text: &mut String, peer: &Peer<'_>, wiring: &Wiring, side: Side, leg: &Leg) -> Result<()> {
    let bytes = wiring.protocol == Protocol::Bytes;
    write!(text, "frontend {}\n    bind {} backlog 4096", leg.name, leg.listen)?;
    if side == Side::Inbound {
        let (own, root) = (peer.authority.path("server.pem"), peer.authority.path("ca.crt"));
        write!(text, " ssl crt {own} ca-file {root} verify required curves X25519")?;
        if !bytes {
            write!(text, " alpn h2,http/1.1")?;
        }
    } else if leg.grpc && !bytes {
        write!(text, " proto h2")?;
    }
    if side == Side::Inbound && !bytes {
        write!(text, "\n    http-request set-header x-forwarded-client-cert %[ssl_c_s_dn]")?;
    }
    writeln!(text, "\n    default_backend {}", leg.name)?;
    Ok(())
}

fn backend(text: &mut String, peer: &Peer<'_>, wiring: &Wiring, side: Side, leg: &Leg) -> Result<()> {
    let bytes = wiring.protocol == Protocol::Bytes;
    writeln!(text, "backend {}", leg.name)?;
    if !bytes && leg.fresh {
        writeln!(text, "    http-reuse never\n    option httpclose")?;
    } else if !bytes {
        writeln!(text, "    http-reuse always")?;
    }
    write!(text, "    server other {}", leg.connect)?;
    if side == Side::Outbound {
        let (own, root, name) = (peer.authority.path("client.pem"), peer.authority.path("ca.crt"), peer.server_name);
        write!(text, " ssl crt {own} ca-file {root} verify required verifyhost {name} sni str({name}) no-ssl-reuse")?;
        if !bytes {
            write!(text, " alpn {}", if leg.http2 { "h2" } else { "http/1.1" })?;
        }
    } else if leg.http2 && !bytes {
        write!(text, " proto h2")?;
    }
    writeln!(text)?;
    Ok(())
}
