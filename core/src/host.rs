//! What a host of a VirtualService stands for: one Service, or every one of a namespace.
//!
//! A wildcard covers whole namespaces, because a namespace is what belongs to somebody. `*` is a short name as `web` is, so it is of the
//! object's own namespace, where Istio means every host there is.

use std::fmt;

use crate::name::{HostError, Namespace, ServiceRef};

/// A host. The derived order is that of precedence for one Service: the more specific comes first (Istio: VirtualService `hosts`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// One Service.
    Service(ServiceRef),
    /// Every Service of a namespace, also those that are made later: `*.shop`, `*.shop.svc`, `*.shop.svc.cluster.local`.
    Namespace(Namespace),
    /// The same of the object's own namespace: `*`. It gives way to the longer form.
    Own(Namespace),
}

impl Host {
    /// Reads a host as users write it: what [`ServiceRef::from_host`] reads, with `*` alone as the whole first label or not.
    ///
    /// # Errors
    /// The host is no DNS name, has a wildcard elsewhere, or is outside this cluster.
    pub fn parse(host: &str, own: &Namespace, cluster_domain: &str) -> Result<Host, HostError> {
        if matches!(host, "*" | "*.") {
            return Ok(Host::Own(own.clone()));
        }
        let Some(domain) = host.strip_prefix("*.") else {
            return match ServiceRef::from_host(host, own, cluster_domain) {
                Err(HostError::Wildcard { host }) => Err(HostError::PartialWildcard { host }),
                read => Ok(Host::Service(read?)),
            };
        };
        // What stands behind the wildcard is read as behind the name of a Service.
        match ServiceRef::from_host(&format!("any.{domain}"), own, cluster_domain) {
            Ok(any) => Ok(Host::Namespace(any.namespace)),
            Err(HostError::Wildcard { .. }) => Err(HostError::PartialWildcard { host: host.to_string() }),
            Err(error) => Err(error.about(host)),
        }
    }

    /// Whether it stands for a Service.
    #[must_use]
    pub fn covers(&self, service: &ServiceRef) -> bool {
        match self {
            Host::Service(one) => one == service,
            Host::Namespace(namespace) | Host::Own(namespace) => *namespace == service.namespace,
        }
    }

    /// The namespace of what it stands for.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        match self {
            Host::Service(one) => &one.namespace,
            Host::Namespace(namespace) | Host::Own(namespace) => namespace,
        }
    }

    /// The one Service, where it is one.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceRef> {
        if let Host::Service(one) = self { Some(one) } else { None }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Service(one) => one.fmt(f),
            Host::Namespace(namespace) | Host::Own(namespace) => write!(f, "{namespace}/*"),
        }
    }
}

#[cfg(test)]
mod tests;
