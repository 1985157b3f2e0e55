//! Workload identity: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
//!
//! One strict parser (SPIFFE-ID standard §2): an identity has one spelling, so what is accepted prints back byte for byte, and two
//! identities are the same exactly when their bytes are. Anything looser would let two names share, or split, one permission.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::name::{Namespace, is_label, is_subdomain};

/// Longest SPIFFE id, in bytes (SPIFFE-ID §2.3).
pub const ID_BYTES_MAX: usize = 2048;
/// Longest trust domain, in bytes (SPIFFE-ID §2.1).
pub const TRUST_DOMAIN_BYTES_MAX: usize = 255;

const SCHEME: &str = "spiffe://";

/// Identity of a workload.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    /// The whole id; first, so that comparison is one comparison of bytes.
    text: Arc<str>,
    trust_domain: TrustDomain,
    namespace: Namespace,
    service_account: Arc<str>,
}

impl SpiffeId {
    /// The identity of a ServiceAccount.
    ///
    /// # Errors
    /// A name is not valid in Kubernetes, so it can name no ServiceAccount.
    pub fn new(trust_domain: &TrustDomain, namespace: &str, service_account: &str) -> Result<SpiffeId, IdentityError> {
        format!("{SCHEME}{trust_domain}/ns/{namespace}/sa/{service_account}").parse()
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id without `spiffe://`, as policies may write it.
    pub fn without_scheme(&self) -> &str {
        &self.text[SCHEME.len()..]
    }

    /// Who vouches for it.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Namespace of the workload.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// ServiceAccount of the workload.
    pub fn service_account(&self) -> &str {
        &self.service_account
    }
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<SpiffeId, IdentityError> {
        if text.len() > ID_BYTES_MAX {
            return Err(IdentityError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(IdentityError::Scheme)?;
        let (trust_domain, path) = rest.split_once('/').ok_or(IdentityError::Path)?;
        let trust_domain = trust_domain.parse()?;
        let mut segments = path.split('/');
        let mut next = || segments.next();
        let (Some("ns"), Some(namespace), Some("sa"), Some(service_account), None) =
            (next(), next(), next(), next(), next())
        else {
            return Err(IdentityError::Path);
        };
        if !is_label(namespace) {
            return Err(IdentityError::Namespace);
        }
        if !is_subdomain(service_account) {
            return Err(IdentityError::ServiceAccount);
        }
        Ok(SpiffeId {
            text: text.into(),
            trust_domain,
            namespace: namespace.into(),
            service_account: service_account.into(),
        })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Name of a trust domain: one set of roots, one issuer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<TrustDomain, IdentityError> {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > TRUST_DOMAIN_BYTES_MAX || !text.bytes().all(allowed) {
            return Err(IdentityError::TrustDomain);
        }
        Ok(TrustDomain(text.into()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a string is no identity of this mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Over the limit of the standard.
    #[error("a SPIFFE id has at most {ID_BYTES_MAX} bytes")]
    TooLong,
    /// Another scheme, or another spelling of it.
    #[error("a SPIFFE id starts with spiffe://, in lower case")]
    Scheme,
    /// A trust domain with characters outside the standard.
    #[error("a trust domain has 1 to {TRUST_DOMAIN_BYTES_MAX} lower-case letters, digits, '.', '-' and '_'")]
    TrustDomain,
    /// Another path.
    #[error("the path of an identity is exactly /ns/<namespace>/sa/<service account>")]
    Path,
    /// Not a namespace's name.
    #[error("the namespace is not a DNS label of lower-case letters, digits and '-'")]
    Namespace,
    /// Not a ServiceAccount's name.
    #[error("the service account is not a DNS name of lower-case letters, digits, '-' and '.'")]
    ServiceAccount,
}

#[cfg(test)]
mod tests;
