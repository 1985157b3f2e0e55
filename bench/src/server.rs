//! (shell) The server behind every target: nginx with a body of 1 KiB and one of 100 MB, nghttpd for HTTP/2 without TLS, and our own
//! server of streams.
//!
//! nginx answers an HTTP/2 request before it has read its body, which breaks calls that send one; so nghttpd is there.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use tulle_e2e::rooms::{Cpus, Program, Room};

/// Length of the usual body.
pub(crate) const BODY_BYTES: usize = 1024;
/// Length of a unary message, both ways.
pub(crate) const UNARY_BYTES: usize = 128;
/// Length of the body at [`BULK_PATH`].
pub(crate) const BULK_BYTES: u64 = 100_000_000;
/// Path of the long body.
pub(crate) const BULK_PATH: &str = "/bulk";
/// The program that runs now: its load generator and its streaming server are hidden commands.
pub(crate) const THIS_PROGRAM: &str = "/proc/self/exe";
/// nginx's configuration; `@LISTEN@` and `@BODY@` are filled in.
const NGINX: &str = include_str!("../configs/server.nginx.conf");

/// Where the server listens.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// nginx.
    pub(crate) http: Vec<SocketAddr>,
    /// nghttpd.
    pub(crate) grpc: SocketAddr,
    /// Our own, which streams messages.
    pub(crate) stream: SocketAddr,
}

/// Starts both programs in `room`.
pub(crate) fn start(room: &Room, folder: &Path, addresses: &Addresses, cpus: Option<&Cpus>) -> Result<Vec<Program>> {
    let files = folder.join("files");
    fs::create_dir_all(&files).with_context(|| format!("cannot make {}", files.display()))?;
    fs::File::create(files.join("bulk"))?.set_len(BULK_BYTES)?;
    fs::write(files.join("index.html"), "x".repeat(BODY_BYTES))?;
    fs::write(files.join("unary"), "x".repeat(UNARY_BYTES))?;
    fs::write(folder.join("unary"), "x".repeat(UNARY_BYTES))?;
    fs::write(folder.join("tiny"), "x".repeat(5))?;
    let listen: String = addresses.http.iter().map(|address| format!("listen {address} backlog=4096;\n")).collect();
    let text = NGINX.replace("@LISTEN@", &listen).replace("@BODY@", &"x".repeat(BODY_BYTES));
    fs::write(folder.join("server.nginx.conf"), text)?;
    let mut nghttpd = Command::new("nghttpd");
    nghttpd.args([
        "--no-tls",
        "--workers=1",
        "--trailer=grpc-status: 0",
        &format!("--address={}", addresses.grpc.ip()),
    ]);
    nghttpd.arg("--htdocs").arg(&files).arg(addresses.grpc.port().to_string());
    let nginx = nginx_command(folder, "server.nginx.conf");
    let mut stream = Command::new(THIS_PROGRAM);
    stream.args(["bench-load", "stream", &addresses.stream.to_string()]);
    Ok(vec![
        Program::start(room, folder, "nginx-server", nginx, cpus)?,
        Program::start(room, folder, "nghttpd", nghttpd, cpus)?,
        Program::start(room, folder, "streams", stream, cpus)?,
    ])
}

/// nginx in the foreground with the configuration `file` in `folder`.
pub(crate) fn nginx_command(folder: &Path, file: &str) -> Command {
    let mut nginx = Command::new("nginx");
    nginx.arg("-p").arg(folder).args(["-c", file, "-e", "stderr", "-g", "daemon off;"]);
    nginx
}
