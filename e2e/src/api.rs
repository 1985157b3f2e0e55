//! A kept connection to the API server through `kubectl proxy`: a process less for each call, and an answer whose time
//! of arrival is known to the microsecond.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::http::{self, Answer, Machine, Request};
use crate::kubectl::Kubectl;

/// A running `kubectl proxy`, ended when dropped.
pub struct Api {
    process: Child,
    address: SocketAddr,
}

impl Api {
    /// Starts the proxy on a free port of the loopback interface.
    pub fn start(kubectl: &Kubectl) -> Result<Self> {
        let mut command = kubectl.command();
        command.args(["proxy", "--port=0"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().context("cannot start kubectl proxy")?;
        let stdout = process.stdout.take().context("kubectl proxy has no standard output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        // "Starting to serve on 127.0.0.1:41234"
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let Some(port) = port else {
            let _ = process.kill();
            bail!("kubectl proxy said {line:?} instead of its port");
        };
        Ok(Self { process, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) })
    }

    /// Gets a path of the API as JSON.
    pub fn get(&self, path: &str) -> Result<Value> {
        http::exchange(&Machine, self.address, &Request::new("GET", path))?.json()
    }

    /// Any request, answered whatever the status.
    pub fn request(&self, method: &str, path: &str) -> Result<Answer> {
        http::exchange(&Machine, self.address, &Request::new(method, path))
    }

    /// Changes an object with a merge patch (RFC 7386); answers with the moment at which the API server had answered.
    pub fn patch(&self, path: &str, patch: &Value) -> Result<SystemTime> {
        let headers = [("content-type", "application/merge-patch+json")];
        let body = patch.to_string();
        let request = Request { method: "PATCH", path, headers: &headers, body: &body };
        let answer = http::exchange(&Machine, self.address, &request)?;
        let answered = SystemTime::now();
        answer.json::<Value>().map(|_| answered)
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
