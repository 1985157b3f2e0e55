//! HTTP to a port of a pod, on clusters of ours and of others.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use serde_json::Value;

use crate::api::Api;
use crate::http::Answer;
use crate::inside::Inside;
use crate::pods;

/// A port of a pod.
#[derive(Debug, Clone)]
pub struct PodPort {
    namespace: String,
    pod: String,
    address: SocketAddr,
}

impl PodPort {
    /// `port` of this pod, which has an address by now.
    pub fn of(pod: &Value, port: u16) -> Result<Self> {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        Ok(Self { namespace, pod: pods::name(pod).to_owned(), address: SocketAddr::new(pods::ip(pod)?, port) })
    }
}

/// The way there.
#[derive(Clone)]
pub enum Reach {
    /// From the node itself, in less than a millisecond: clusters of ours.
    Node(Inside),
    /// Through the API server: any cluster.
    ApiServer(Arc<Api>),
}

impl Reach {
    /// One request.
    pub fn http(&self, method: &str, port: &PodPort, path: &str) -> Result<Answer> {
        match self {
            Self::Node(inside) => inside.http(method, port.address, path),
            Self::ApiServer(api) => {
                let PodPort { namespace, pod, address } = port;
                api.request(
                    method,
                    &format!("/api/v1/namespaces/{namespace}/pods/{pod}:{}/proxy{path}", address.port()),
                )
            }
        }
    }
}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Node(_) => "through the node",
            Self::ApiServer(_) => "through the API server",
        })
    }
}
