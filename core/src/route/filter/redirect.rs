//! An answer that sends the caller elsewhere (RFC 9110 §15.4).

use std::fmt::Write;
use std::sync::Arc;

use super::rewrite::{BadRewrite, Matched};
use crate::route::RequestView;

/// Where the caller is sent. What is not given stays as the caller asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Status of the answer: 301, 302, 303, 307 or 308.
    pub status: u16,
    /// Scheme, in lower case.
    pub scheme: Option<Arc<str>>,
    /// Host, with a port or without.
    pub authority: Option<Arc<str>>,
    /// Port.
    pub port: RedirectPort,
    /// Path.
    pub path: RedirectPath,
}

/// Which port the new address names. One that is its scheme's own is never written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RedirectPort {
    /// That of the authority, unless it was the own port of a scheme that changes.
    #[default]
    OfAuthority,
    /// This one.
    Number(u16),
    /// The scheme's own.
    OfScheme,
    /// The one that was dialled.
    Dialled,
}

/// Which path the new address names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RedirectPath {
    /// The same.
    #[default]
    Same,
    /// This one instead; with a query of its own, or else with that of the request.
    Whole(Arc<str>),
    /// This in the place of what the rule matched.
    Prefix(Arc<str>),
}

impl Redirect {
    /// The value of `Location`. Without any authority it is relative.
    ///
    /// # Errors
    /// The new path has no normal form.
    pub fn location(
        &self,
        request: &impl RequestView,
        dialled_port: u16,
        matched: Matched,
    ) -> Result<String, BadRewrite> {
        let mut location = self.origin(request, dialled_port);
        match &self.path {
            RedirectPath::Same => location.push_str(request.path()),
            RedirectPath::Whole(path) => location.push_str(path),
            RedirectPath::Prefix(prefix) => location.push_str(&matched.replace(request.path(), prefix)?),
        }
        let own_query = matches!(&self.path, RedirectPath::Whole(path) if path.contains('?'));
        if let Some(query) = request.query().filter(|_| !own_query) {
            location.push('?');
            location.push_str(query);
        }
        Ok(location)
    }

    /// `scheme://host:port`, or nothing where no host is known.
    fn origin(&self, request: &impl RequestView, dialled_port: u16) -> String {
        let scheme = self.scheme.as_deref().unwrap_or(request.scheme());
        let Some(authority) = self.authority.as_deref().or(request.authority()) else { return String::new() };
        let (host, written) = split_port(authority);
        let port = match self.port {
            RedirectPort::Number(port) => Some(port),
            RedirectPort::Dialled => Some(dialled_port),
            RedirectPort::OfScheme => None,
            // `http://web:80` redirected to https means 443, unless the rule wrote that port.
            RedirectPort::OfAuthority if self.authority.is_none() && scheme != request.scheme() => {
                written.filter(|port| Some(*port) != own_port(request.scheme()))
            }
            RedirectPort::OfAuthority => written,
        };
        let mut origin = format!("{scheme}://{host}");
        if let Some(port) = port.filter(|port| Some(*port) != own_port(scheme)) {
            // A string takes whatever is written into it.
            let _ = write!(origin, ":{port}");
        }
        origin
    }
}

/// The port a scheme stands for (RFC 9110 §4.2).
fn own_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// An authority's host and port. The colons of an IPv6 address stand in brackets (RFC 3986 §3.2.2).
pub(super) fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) if port.is_empty() => (host, None),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests;
