//! nginx: one process a worker, keep-alive to both sides. It speaks HTTP/2 to another server for gRPC only. It verifies the server by
//! DNS name and the client by its authority.

use std::fmt::Write;
use std::process::Command;

use anyhow::{Context, Result};

use super::peers::{Leg, Peer, Protocol, Side, Wiring};
use crate::server::nginx_command;

/// Idle connections kept to a server, for each worker.
const KEPT: u32 = 256;

/// Those that are no connections of the application: listeners, and idle ones to the server.
const OTHER_CONNECTIONS: u32 = 500;

/// Writes the configuration and says how to start it.
pub(super) fn command(peer: &Peer<'_>, wiring: &Wiring, side: Side) -> Result<Command> {
    let name = format!("{}.nginx.conf", side.name());
    let file = peer.folder.join(&name);
    std::fs::write(&file, configuration(peer, wiring, side)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(nginx_command(peer.folder, &name))
}

fn configuration(peer: &Peer<'_>, wiring: &Wiring, side: Side) -> Result<String> {
    let bytes = wiring.protocol == Protocol::Bytes;
    let mut text = String::new();
    if bytes {
        writeln!(text, "load_module {}/ngx_stream_module.so;", peer.tools.nginx_modules()?.display())?;
    }
    writeln!(text, "worker_processes {};\npid {}.pid;\nerror_log stderr warn;", peer.workers, side.name())?;
    writeln!(text, "events {{ worker_connections {}; }}", 2 * peer.connections + OTHER_CONNECTIONS)?;
    if bytes {
        let on = if side == Side::Outbound { "    proxy_ssl on;\n" } else { "" };
        writeln!(text, "stream {{\n{on}{}", tls(peer, side, "proxy"))?;
        for leg in wiring.legs(side) {
            let ssl = if side == Side::Inbound { " ssl" } else { "" };
            writeln!(text, "    server {{ listen {}{ssl} backlog=4096; proxy_pass {}; }}", leg.listen, leg.connect)?;
        }
    } else {
        http(&mut text, peer, wiring, side)?;
    }
    writeln!(text, "}}")?;
    Ok(text)
}

fn http(text: &mut String, peer: &Peer<'_>, wiring: &Wiring, side: Side) -> Result<()> {
    writeln!(
        text,
        "http {{\n    access_log off;\n    keepalive_requests 1000000000;\n    keepalive_timeout 3600s;\n    \
         proxy_http_version 1.1;\n    proxy_set_header Connection \"\";\n    proxy_set_header Host $http_host;\n    \
         proxy_buffers 16 16k;\n    proxy_max_temp_file_size 0;\n    grpc_read_timeout 1h;\n    \
         http2_max_concurrent_streams 1024;"
    )?;
    if side == Side::Inbound {
        writeln!(text, "    proxy_set_header X-Forwarded-Client-Cert $ssl_client_s_dn;\n{}", tls(peer, side, ""))?;
    } else {
        writeln!(text, "{}{}", tls(peer, side, "proxy"), tls(peer, side, "grpc"))?;
    }
    for leg in wiring.legs(side) {
        location(text, side, leg)?;
    }
    Ok(())
}

fn location(text: &mut String, side: Side, leg: &Leg) -> Result<()> {
    let (name, listen) = (leg.name, leg.listen);
    let keep = format!("keepalive {KEPT}; keepalive_requests 1000000000; keepalive_timeout 3600s; ");
    writeln!(text, "    upstream {name} {{ server {}; {}}}", leg.connect, if leg.fresh { "" } else { &keep })?;
    let ssl = if side == Side::Inbound { " ssl" } else { "" };
    let http2 = if leg.grpc { " http2" } else { "" };
    let tls = if side == Side::Outbound { "s" } else { "" };
    let pass =
        if leg.grpc { format!("grpc_pass grpc{tls}://{name};") } else { format!("proxy_pass http{tls}://{name};") };
    let close = if leg.fresh { "proxy_set_header Connection close; proxy_set_header Host $http_host; " } else { "" };
    writeln!(text, "    server {{ listen {listen}{ssl}{http2} backlog=4096; location / {{ {close}{pass} }} }}")?;
    Ok(())
}

/// TLS settings: of a server where we are inbound, of the module `client` where we are outbound.
fn tls(peer: &Peer<'_>, side: Side, client: &str) -> String {
    let path = |file: &str| peer.authority.path(file);
    let own = side.certificate();
    let (certificate, key, root) = (path(&format!("{own}.crt")), path(&format!("{own}.key")), path("ca.crt"));
    if side == Side::Inbound {
        return format!(
            "    ssl_certificate {certificate};\n    ssl_certificate_key {key};\n    ssl_client_certificate {root};\n    \
             ssl_verify_client on;\n    ssl_protocols TLSv1.3;\n    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;\n    \
             ssl_ecdh_curve X25519;\n    ssl_session_tickets off;\n    ssl_session_cache off;\n"
        );
    }
    format!(
        "    {client}_ssl_certificate {certificate};\n    {client}_ssl_certificate_key {key};\n    \
         {client}_ssl_trusted_certificate {root};\n    {client}_ssl_verify on;\n    {client}_ssl_server_name on;\n    \
         {client}_ssl_name {};\n    {client}_ssl_protocols TLSv1.3;\n    \
         {client}_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;\n    {client}_ssl_session_reuse off;\n",
        peer.server_name
    )
}
