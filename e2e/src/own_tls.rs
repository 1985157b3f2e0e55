//! An application's own TLS: servers of OpenSSL, each with a certificate of its own, and a client that trusts one of these alone.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// Names every server's certificate is for.
const NAMES: &str = "subjectAltName=DNS:two.example,DNS:*.two.example,DNS:*.b.two.example,DNS:three.example";

/// A server at `port` that gives its name, which is the folder's; its certificate is left in the folder.
///
/// # Errors
/// The folder or the certificate cannot be made.
pub fn server(folder: &Path, port: u16) -> Result<Command> {
    fs::create_dir_all(folder)?;
    let name = folder.file_name().context("the folder has the server's name")?;
    fs::write(folder.join("who"), name.as_encoded_bytes())?;
    let mut certificate = Command::new("openssl");
    certificate.current_dir(folder).args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]);
    certificate.args(["-pkeyopt", "ec_paramgen_curve:P-256", "-keyout", "key.pem", "-out", "certificate.pem"]);
    certificate.args(["-subj", "/CN=server", "-addext", NAMES]);
    command::run(&mut certificate)?;
    let mut openssl = Command::new("openssl");
    openssl.current_dir(folder).args(["s_server", "-quiet", "-WWW", "-accept", &port.to_string()]);
    openssl.args(["-cert", "certificate.pem", "-key", "key.pem"]);
    Ok(openssl)
}

/// Asks the server at `address` for its name, by the name of a host (SNI), and trusts the certificate in `folder` alone.
pub fn client(name: &str, address: SocketAddr, folder: &Path) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--http1.0", "--cacert"])
        .arg(folder.join("certificate.pem"));
    // `--connect-to` wants an address of IPv6 in brackets, as it is written here.
    curl.args(["--connect-to", &format!("::{address}"), &format!("https://{name}:{}/who", address.port())]);
    curl
}
