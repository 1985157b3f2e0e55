//! Conditions on a connection.

use std::sync::Arc;

use ipnet::IpNet;

use super::{Hello, Opening};
use crate::name::is_subdomain;
use crate::route::SourceMatch;

/// A condition; every part given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ByteMatch {
    /// Names, any of which the ClientHello asks for. Empty: whatever it is.
    pub sni_hosts: Vec<SniHost>,
    /// Networks, any of which holds the dialled address. Empty: whichever it is.
    pub destination_subnets: Vec<IpNet>,
    /// The dialled port; see [`ByteTable::seen_by`](super::ByteTable::seen_by).
    pub port: Option<u16>,
    /// The workload that calls; as well.
    pub source: Option<Arc<SourceMatch>>,
}

impl ByteMatch {
    pub(super) fn fits(&self, opening: &Opening<'_>) -> bool {
        let dialled = opening.dialled.to_canonical();
        self.port.is_none()
            && self.source.is_none()
            && (self.sni_hosts.is_empty() || self.sni_hosts.iter().any(|host| host.fits(opening.hello)))
            && (self.destination_subnets.is_empty()
                || self.destination_subnets.iter().any(|net| net.contains(&dialled)))
    }

    /// Whether it holds for every connection that its list is asked for.
    pub(super) fn is_open(&self) -> bool {
        let any_name = self.sni_hosts.is_empty() || self.sni_hosts.contains(&SniHost::Any);
        any_name && self.destination_subnets.is_empty() && self.port.is_none() && self.source.is_none()
    }
}

/// Which servers a ClientHello asks for. Names are compared without regard to case (RFC 6066 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SniHost {
    /// Any, and also none: `*`.
    Any,
    /// This one.
    Exact(Arc<str>),
    /// Those that end with this, which begins with a dot: `*.example.com`. As many labels as there are may stand before it.
    Below(Arc<str>),
}

impl SniHost {
    /// Reads a name as users write it: a DNS name, `*.` and a DNS name, or `*`.
    ///
    /// # Errors
    /// No ClientHello can ask for it.
    pub fn new(written: &str) -> Result<SniHost, SniHostError> {
        if written == "*" {
            return Ok(SniHost::Any);
        }
        let name = written.to_ascii_lowercase();
        let (below, domain) = match name.strip_prefix("*.") {
            Some(domain) => (true, domain),
            None => (false, name.as_str()),
        };
        let wrong = |error: fn(String) -> SniHostError| Err(error(written.to_owned()));
        match domain {
            domain if domain.parse::<std::net::IpAddr>().is_ok() => wrong(SniHostError::Address),
            domain if domain.ends_with('.') => wrong(SniHostError::Dot),
            domain if domain.contains('*') => wrong(SniHostError::Wildcard),
            domain if !is_subdomain(domain) => wrong(SniHostError::NotDns),
            domain if below => Ok(SniHost::Below(format!(".{domain}").into())),
            domain => Ok(SniHost::Exact(domain.into())),
        }
    }

    fn fits(&self, hello: Hello<'_>) -> bool {
        match (self, hello) {
            (_, Hello::Absent) => false,
            (SniHost::Any, _) => true,
            (_, Hello::Unnamed) => false,
            (SniHost::Exact(exact), Hello::For(name)) => name.eq_ignore_ascii_case(exact),
            (SniHost::Below(end), Hello::For(name)) => {
                let at = name.len().checked_sub(end.len()).filter(|at| *at > 0);
                at.is_some_and(|at| name.as_bytes()[at..].eq_ignore_ascii_case(end.as_bytes()))
            }
        }
    }
}

/// Why no ClientHello can ask for a name (RFC 6066 §3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum SniHostError {
    #[error("{0:?} never fits: a ClientHello names no addresses")]
    Address(String),
    #[error("{0:?} never fits: a ClientHello names servers without the trailing dot")]
    Dot(String),
    #[error("{0:?} has a wildcard that is not its first label")]
    Wildcard(String),
    #[error("{0:?} never fits: it is not a DNS name of letters, digits and '-' in labels of 1 to 63")]
    NotDns(String),
}
