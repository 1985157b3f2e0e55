//! Whom a request names as its host: `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2), and nothing that two readers may
//! read differently.

use std::net::Ipv6Addr;

/// A host with an optional port, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The whole of it.
    pub text: &'a str,
    /// A name, an IPv4 address, or an IPv6 address in brackets; empty in the `Host` of a request whose URI has no host.
    pub host: &'a str,
    /// `None`: the default of the scheme.
    pub port: Option<u16>,
}

/// What is no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAuthority {
    /// Another character than a host may have: a space, a comma, a slash, a user's `@`, a letter outside ASCII.
    #[error("the host has a character that no host has")]
    Character,
    /// Brackets around something else than an IPv6 address.
    #[error("the host is in brackets and no IPv6 address")]
    Literal,
    /// Not a number from 0 to 65535.
    #[error("the port is not a number up to 65535")]
    Port,
}

impl<'a> Authority<'a> {
    /// Reads an authority. An empty port means none (RFC 3986 §3.2.3).
    ///
    /// # Errors
    /// It is malformed, or of a form that readers disagree about.
    pub fn parse(text: &'a [u8]) -> Result<Self, BadAuthority> {
        let text = std::str::from_utf8(text).map_err(|_| BadAuthority::Character)?;
        let end = match text.as_bytes() {
            [b'[', ..] => 1 + text.bytes().position(|byte| byte == b']').ok_or(BadAuthority::Literal)?,
            bytes => bytes.iter().position(|byte| !NAME[usize::from(*byte)]).unwrap_or(bytes.len()),
        };
        // A place between characters: what ends a host is one, and all before it is ASCII.
        let (host, rest) = text.split_at(end);
        if let Some(literal) = host.strip_prefix('[')
            && literal.strip_suffix(']').is_none_or(|address| address.parse::<Ipv6Addr>().is_err())
        {
            return Err(BadAuthority::Literal);
        }
        let port = match rest.as_bytes() {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return Err(BadAuthority::Character),
        };
        Ok(Self { text, host, port })
    }
}

/// [`is_name`] of each byte: the host of every request is looked at.
static NAME: [bool; 256] = {
    let mut name = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        name[byte] = is_name(byte as u8);
        byte += 1;
    }
    name
};

/// Characters of a name: `reg-name` of RFC 3986 without escapes, which no resolver undoes, and without the comma, by which some readers
/// join two fields to one.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
        )
}

fn port(digits: &[u8]) -> Result<u16, BadAuthority> {
    digits
        .iter()
        .try_fold(0u16, |value, digit| {
            let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
            value.checked_mul(10)?.checked_add(digit)
        })
        .ok_or(BadAuthority::Port)
}

#[cfg(test)]
mod tests;
