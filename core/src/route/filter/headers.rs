//! Changes of a message's header lines: which go, and which come at the end.
//!
//! Whatever was written is brought into one form, so that edits of several levels cost a message no more than those of one.

use http::{HeaderName, HeaderValue};

/// Lines to drop, then lines to append. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    dropped: Vec<HeaderName>,
    appended: Vec<(HeaderName, HeaderValue)>,
}

impl HeaderEdits {
    /// Removes every line of this name.
    pub fn remove(&mut self, name: HeaderName) {
        self.appended.retain(|(appended, _)| *appended != name);
        if !self.dropped.contains(&name) {
            self.dropped.push(name);
        }
    }

    /// Puts one line in the place of every line of this name.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(name.clone());
        self.add(name, value);
    }

    /// Adds a line to those of this name (RFC 9110 §5.3: the same as a comma).
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.appended.push((name, value));
    }

    /// These edits, and `next` of what they leave.
    #[must_use]
    pub fn then(mut self, next: &HeaderEdits) -> HeaderEdits {
        next.dropped.iter().for_each(|name| self.remove(name.clone()));
        self.appended.extend_from_slice(&next.appended);
        self
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.appended.is_empty()
    }

    /// Whether a line of this name, in any case, goes.
    pub fn drops(&self, name: &str) -> bool {
        self.dropped.iter().any(|dropped| name.eq_ignore_ascii_case(dropped.as_str()))
    }

    /// Names whose lines go.
    pub fn dropped(&self) -> &[HeaderName] {
        &self.dropped
    }

    /// Lines that come.
    pub fn appended(&self) -> &[(HeaderName, HeaderValue)] {
        &self.appended
    }
}

/// Why a rule may not touch a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untouchable {
    /// It decides where the message ends and when it is sent (RFC 9112 §6, RFC 9110 §10.1.1).
    #[error("decides how the message is framed and sent")]
    Framing,
    /// The next hop never sees it (RFC 9110 §7.6.1).
    #[error("belongs to one hop and never reaches the next")]
    HopByHop,
    /// Peers believe what it says.
    #[error("is the mesh's own")]
    Mesh,
}

/// Whether a rule may set, add and remove a header.
///
/// # Errors
/// It may not, for this reason.
pub fn editable(name: &HeaderName) -> Result<(), Untouchable> {
    match name.as_str() {
        "content-length" | "transfer-encoding" | "trailer" | "expect" => Err(Untouchable::Framing),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "upgrade" | "http2-settings" => {
            Err(Untouchable::HopByHop)
        }
        name if name.starts_with("tulle-") => Err(Untouchable::Mesh),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
