//! A copy of requests for a destination whose answer nobody sees.

use super::percent::Percent;
use super::redirect::split_port;

/// Where copies go, and of which share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror<D> {
    /// Who receives them.
    pub destination: D,
    /// Share of the rule's requests, each mirror drawn on its own.
    pub share: Percent,
}

impl<D> Mirror<D> {
    /// The same with another destination.
    pub(in crate::route) fn map<E>(self, to: impl FnOnce(D) -> E) -> Mirror<E> {
        Mirror { destination: to(self.destination), share: self.share }
    }
}

/// The authority of a copy: `-shadow` behind the host, so that whoever serves it can tell it apart (as in Istio).
pub fn shadow(authority: &str) -> String {
    match split_port(authority) {
        // An address in brackets can carry no suffix (RFC 3986 §3.2.2).
        (host, _) if host.ends_with(']') => authority.to_owned(),
        (host, Some(port)) => format!("{host}-shadow:{port}"),
        (host, None) => format!("{host}-shadow"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_by_its_authority() {
        let rows = [
            ("web", "web-shadow"),
            ("web.shop:8080", "web.shop-shadow:8080"),
            ("10.0.0.1:80", "10.0.0.1-shadow:80"),
            ("[::1]:80", "[::1]:80"),
        ];
        for (authority, expected) in rows {
            assert_eq!(shadow(authority), expected);
        }
    }
}
