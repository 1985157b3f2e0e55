//! Which HTTP a connection speaks, and how that is found out.

pub(crate) mod sniff;

/// Interim responses to one request that are passed on (RFC 9110 §15.2): one for each percent. Each costs a write, and its server nothing.
pub(crate) const INTERIM_MAX: u16 = 128;

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// HTTP/1.1 (and 1.0).
    H1,
    /// HTTP/2.
    H2,
}

impl Version {
    /// As the protocol names itself.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::H1 => "HTTP/1.1",
            Self::H2 => "HTTP/2",
        }
    }
}
