//! Names of Kubernetes objects as types, so that a namespace is never passed where a service is meant.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Longest label of a DNS name, in bytes (RFC 1035 §2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;
/// Longest DNS name, in bytes (RFC 1035 §2.3.4).
pub const NAME_BYTES_MAX: usize = 253;

/// Name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// A namespace by name. Names that come from the API server are valid already, so nothing is checked.
    pub fn new(name: impl Into<Arc<str>>) -> Namespace {
        Namespace(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Namespace {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Namespace {
    fn from(name: &str) -> Namespace {
        Namespace::new(name)
    }
}

impl From<String> for Namespace {
    fn from(name: String) -> Namespace {
        Namespace::new(name)
    }
}

impl AsRef<str> for Namespace {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A Service, or another object that is named like one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceRef {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Arc<str>,
}

impl ServiceRef {
    /// A reference from names that are valid already.
    pub fn new(namespace: impl Into<Namespace>, name: impl Into<Arc<str>>) -> ServiceRef {
        ServiceRef { namespace: namespace.into(), name: name.into() }
    }

    /// The full DNS name, `name.namespace.svc.<cluster domain>` (Kubernetes DNS specification §2.3.1).
    pub fn host(&self, cluster_domain: &str) -> String {
        format!("{}.{}.svc.{cluster_domain}", self.name, self.namespace)
    }

    /// Reads a host as users write it: `web`, `web.shop`, `web.shop.svc` or the full DNS name, with or without the trailing dot.
    /// A short name belongs to `default_namespace`. Upper case is folded, as in DNS (RFC 4343).
    ///
    /// # Errors
    /// The host is no DNS name, has a wildcard, or is no Service of this cluster.
    pub fn from_host(host: &str, default_namespace: &Namespace, cluster_domain: &str) -> Result<ServiceRef, HostError> {
        let lower = host.to_ascii_lowercase();
        let bare = lower.strip_suffix('.').unwrap_or(&lower);
        if bare.is_empty() {
            return Err(HostError::Empty);
        }
        if bare.contains('*') {
            return Err(HostError::Wildcard { host: host.to_string() });
        }
        let bad = bare.split('.').find(|label| !is_label(label));
        if bare.len() > NAME_BYTES_MAX || bad.is_some() {
            return Err(HostError::NotDns { host: host.to_string() });
        }
        let mut parts = bare.splitn(4, '.');
        let name = parts.next().unwrap_or_default();
        let namespace = parts.next().map_or_else(|| default_namespace.clone(), Namespace::from);
        let in_cluster = match (parts.next(), parts.next()) {
            (None, _) | (Some("svc"), None) => true,
            (Some("svc"), Some(domain)) => domain.eq_ignore_ascii_case(cluster_domain.trim_end_matches('.')),
            _ => false,
        };
        if !in_cluster {
            return Err(HostError::NotInCluster { host: host.to_string(), cluster_domain: cluster_domain.to_string() });
        }
        Ok(ServiceRef::new(namespace, name))
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Why a host names no Service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing is written.
    #[error("is empty")]
    Empty,
    /// A wildcard names no single Service.
    #[error("{host:?} has a wildcard, where one Service has to be named")]
    Wildcard {
        /// As written.
        host: String,
    },
    /// A wildcard for a part of a name.
    #[error("{host:?} has a wildcard that is not its whole first label")]
    PartialWildcard {
        /// As written.
        host: String,
    },
    /// Not a DNS name.
    #[error("{host:?} is not a DNS name of lower-case letters, digits and '-' in labels of 1 to 63")]
    NotDns {
        /// As written.
        host: String,
    },
    /// A name outside the cluster.
    #[error(
        "{host:?} is not a Service of this cluster (expected name, name.namespace or name.namespace.svc.{cluster_domain})"
    )]
    NotInCluster {
        /// As written.
        host: String,
        /// Domain of this cluster.
        cluster_domain: String,
    },
}

impl HostError {
    /// The same, about what was really written.
    pub(crate) fn about(self, written: &str) -> HostError {
        let host = written.to_string();
        match self {
            HostError::Empty => HostError::Empty,
            HostError::Wildcard { .. } => HostError::Wildcard { host },
            HostError::PartialWildcard { .. } => HostError::PartialWildcard { host },
            HostError::NotDns { .. } => HostError::NotDns { host },
            HostError::NotInCluster { cluster_domain, .. } => HostError::NotInCluster { host, cluster_domain },
        }
    }
}

/// A ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccountRef {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: Arc<str>,
}

impl ServiceAccountRef {
    /// A reference from names that are valid already.
    pub fn new(namespace: impl Into<Namespace>, name: impl Into<Arc<str>>) -> ServiceAccountRef {
        ServiceAccountRef { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ServiceAccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Whether a string is a DNS label as Kubernetes wants it (RFC 1123 §2.1, lower case).
pub fn is_label(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    bytes.len() <= LABEL_BYTES_MAX
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// Whether a string is a DNS name of such labels, as names of ServiceAccounts and pods are.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
