//! Sockets inside a node's network: the only way from this machine to its pods, since nothing routes between the two.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cluster::Node;
use crate::http::{self, Answer, Connect, Request};

/// The network of one node.
#[derive(Debug, Clone)]
pub struct Inside {
    namespace: Arc<File>,
}

impl Inside {
    /// Opens the node's network.
    pub fn of(node: &Node) -> Result<Self> {
        let path = format!("/proc/{}/ns/net", node.init_pid()?);
        let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        Ok(Self { namespace: Arc::new(namespace) })
    }

    /// Runs `work` on a thread in the node's network. Sockets made there stay there, whoever uses them later.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let namespace = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.namespace.as_fd(), namespace)
                    .context("cannot enter the node's network")?;
                work()
            });
            thread.join().map_err(|_| anyhow!("work in the node's network panicked"))?
        })
    }

    /// One HTTP request to a pod.
    pub fn http(&self, method: &str, address: SocketAddr, path: &str) -> Result<Answer> {
        http::exchange(self, address, &Request::new(method, path))
    }
}

impl Connect for Inside {
    fn connect(&self, address: SocketAddr) -> Result<TcpStream> {
        self.run(|| http::Machine.connect(address))
    }
}
