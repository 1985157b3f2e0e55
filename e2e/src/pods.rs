//! Pods as tests see them: where they are and how they are doing.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::kubectl::Kubectl;

/// The pods behind a label selector, those on their way out excepted.
pub fn list(kubectl: &Kubectl, selector: &str) -> Result<Vec<Value>> {
    let mut answer = kubectl.get_with(&["pods", "--selector", selector])?;
    let pods = answer["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    Ok(pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect())
}

/// The one pod behind a label selector.
pub fn one(kubectl: &Kubectl, selector: &str) -> Result<Value> {
    list(kubectl, selector)?.into_iter().next().with_context(|| format!("there is no pod with {selector}"))
}

/// A pod's name.
pub fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or_default()
}

/// A pod's IP address.
pub fn ip(pod: &Value) -> Result<IpAddr> {
    let text = pod["status"]["podIP"].as_str().with_context(|| format!("pod {} has no address yet", name(pod)))?;
    text.parse().with_context(|| format!("{text:?} is no address"))
}

/// Whether all containers of the pod are ready.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// `port` of the pod with the label `app=name`.
pub fn address(kubectl: &Kubectl, name: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ip(&one(kubectl, &format!("app={name}"))?)?, port))
}

/// `port` of every running pod behind a label selector.
pub fn addresses(kubectl: &Kubectl, selector: &str, port: u16) -> Result<Vec<SocketAddr>> {
    list(kubectl, selector)?.iter().map(|pod| Ok(SocketAddr::new(ip(pod)?, port))).collect()
}
