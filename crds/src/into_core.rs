//! From what users write to what the mesh means: the one parser, used by admission, by the operator's status and by every proxy.
//!
//! A TrafficSplit or MeshPolicy is read whole or not at all: its mistake is named, and a proxy keeps its last good version. Of a
//! VirtualService each rule is read for itself, as long as it can be told which requests are meant: one with a mistake keeps its place
//! ([`Action::Invalid`](tulle_core::route::Action::Invalid)), so that its requests go to no other rule. Admission takes neither.

mod error;
mod mesh_policy;
mod traffic_split;
mod value;
mod virtual_service;

pub use error::SpecError;
pub use mesh_policy::parse_mesh_policy;
pub use traffic_split::{TrafficSplit, parse_traffic_split};
pub use virtual_service::{VirtualService, parse_virtual_service};

use kube::ResourceExt;
use tulle_core::codes::Code;
use tulle_core::host::Host;
use tulle_core::name::{HostError, Namespace, ServiceRef};
use tulle_core::route::Rank;

/// What the meaning of a spec depends on beside the object itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ctx {
    /// DNS domain of the cluster, e.g. `cluster.local`.
    pub cluster_domain: String,
}

impl Ctx {
    /// A context.
    pub fn new(cluster_domain: impl Into<String>) -> Ctx {
        Ctx { cluster_domain: cluster_domain.into() }
    }

    /// The Service a host names; a short name is of the object's own namespace.
    fn service(&self, host: &str, namespace: &Namespace) -> Result<ServiceRef, SpecError> {
        ServiceRef::from_host(host, namespace, &self.cluster_domain)
            .map_err(|error| SpecError::new(Code::InvalidHost, error.to_string()))
    }

    /// What a host stands for, wildcards included.
    fn host(&self, host: &str, namespace: &Namespace) -> Result<Host, SpecError> {
        Host::parse(host, namespace, &self.cluster_domain).map_err(|error| {
            let partial = matches!(error, HostError::PartialWildcard { .. });
            let error = SpecError::new(Code::InvalidHost, error.to_string());
            if partial { error.remedy("name each Service, or all of a namespace by * or *.namespace") } else { error }
        })
    }

    /// The Service a host names, which must be of the object's own namespace: reaching into another one needs that namespace's
    /// grant, which this release has no form for.
    fn own_service(&self, host: &str, namespace: &Namespace) -> Result<ServiceRef, SpecError> {
        let service = self.service(host, namespace)?;
        if service.namespace == *namespace {
            return Ok(service);
        }
        let reason = format!("{service} is in another namespace than this object ({namespace})");
        Err(SpecError::new(Code::ReferenceNotPermitted, reason))
    }
}

fn namespace_of(object: &impl ResourceExt) -> Namespace {
    object.namespace().unwrap_or_default().into()
}

/// Creation in Unix seconds; an object that is still being created is the youngest.
fn created(object: &impl ResourceExt) -> i64 {
    object.creation_timestamp().map_or(i64::MAX, |time| time.0.as_second())
}

fn rank_of(object: &impl ResourceExt) -> Rank {
    Rank { created: created(object), namespace: namespace_of(object), name: object.name_any() }
}

#[cfg(test)]
mod tests;
