//! HTTP as both paths use it: serving a connection, bodies that can be counted and replayed, pooled connections, upgrades.

pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod headers;
pub(crate) mod serve;
pub(crate) mod sniff;

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1 (and 1.0).
    H1,
    /// HTTP/2.
    H2,
}
