//! An application's own TLS: servers of OpenSSL, each with a certificate of its own, and a client that trusts one of these alone.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::command;
use crate::rooms::Room;
use crate::rooms::errand::Ended;

/// For a client that has to start.
const LIMIT: Duration = Duration::from_secs(30);
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

/// Routes of the Services `declared` and `found`, which stand before the server `first`: by name to it or to the Service `second`, on the
/// port of TLS; and all else that goes to a network to `second`.
pub fn routes(port: u16, network: &str) -> Value {
    let to = |service: &str| json!([{"destination": {"host": service}}]);
    json!({
        "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "names"},
        "spec": {
            "hosts": ["declared", "found"],
            "tls": [
                {"match": [{"sniHosts": ["one.two.example"]}], "route": to("declared")},
                {"match": [{"sniHosts": ["two.example", "*.two.example"], "port": port}], "route": to("second")},
            ],
            "tcp": [{"match": [{"destinationSubnets": [network]}], "route": to("second")}],
        },
    })
}

/// Asks at `address` by the name of a host (SNI), and trusts the certificate of the server alone that should answer. The folders of
/// servers are in `folders`.
///
/// # Errors
/// Another server answers, or none.
pub fn expect(client: &Room, (name, address): (&str, SocketAddr), folders: &Path, server: &str) -> Result<()> {
    let said = client.finish(curl(name, address, &folders.join(server)), LIMIT).and_then(Ended::success);
    let said = said.with_context(|| format!("{name} at {address}, which {server} should answer"))?;
    ensure!(said.trim() == server, "{name} at {address}: {server} was expected, and {said:?} answered");
    Ok(())
}

fn curl(name: &str, address: SocketAddr, folder: &Path) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--http1.0", "--cacert"])
        .arg(folder.join("certificate.pem"));
    // `--connect-to` wants an address of IPv6 in brackets, as it is written here.
    curl.args(["--connect-to", &format!("::{address}"), &format!("https://{name}:{}/who", address.port())]);
    curl
}
