//! Request targets: what a path, a URI, an authority and an asterisk stand for (RFC 9112 §3.2).

use tulle_core::authority::Authority;

use crate::h1::BadMessage;

/// A request target in its parts (RFC 9112 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Of the absolute form and of CONNECT: it replaces `Host`.
    pub(crate) authority: Option<&'a str>,
    /// Empty for CONNECT, which has none.
    pub(crate) path: &'a str,
    /// Without `?`.
    pub(crate) query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Takes the target of a request with this method apart. A fragment, which has no place in it, is dropped.
    ///
    /// # Errors
    /// Not the form that the method asks for.
    pub(crate) fn parse(method: &str, target: &'a str) -> Result<Self, BadMessage> {
        if method == "CONNECT" {
            return Self::parse_authority(target);
        }
        let target = split(target, b'#').map_or(target, |(target, _)| target);
        if target == "*" {
            // RFC 9112 section 3.2.4
            return match method {
                "OPTIONS" => Ok(Self { authority: None, path: "*", query: None }),
                _ => Err(BadMessage::new("the request target is * and the method is not OPTIONS")),
            };
        }
        let (authority, rest) = if target.starts_with('/') { (None, target) } else { split_absolute(target)? };
        let (path, query) = match split(rest, b'?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = match path {
            "" if method == "OPTIONS" && query.is_none() => "*",
            "" => "/",
            path => path,
        };
        Ok(Self { authority, path, query })
    }

    /// The authority form, of CONNECT only: it has a port and no path (RFC 9112 §3.2.3).
    fn parse_authority(target: &'a str) -> Result<Self, BadMessage> {
        match Authority::parse(target.as_bytes()) {
            Ok(Authority { host, port: Some(1..), .. }) if !host.is_empty() => {
                Ok(Self { authority: Some(target), path: "", query: None })
            }
            _ => Err(BadMessage::new("the target of CONNECT is not a host and a port")),
        }
    }
}

/// Like `split_once`, without what searching for any character costs in a text of a dozen bytes.
fn split(text: &str, at: u8) -> Option<(&str, &str)> {
    let index = text.bytes().position(|byte| byte == at)?;
    Some((&text[..index], &text[index + 1..]))
}

/// The authority of an absolute form, and what follows it.
fn split_absolute(target: &str) -> Result<(Option<&str>, &str), BadMessage> {
    let rest = strip_scheme(target).ok_or(BadMessage::new("the request target is neither a path nor a URI"))?;
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    match Authority::parse(authority.as_bytes()) {
        Ok(Authority { host, .. }) if !host.is_empty() => Ok((Some(authority), rest)),
        _ => Err(BadMessage::new("the authority of the request target is empty, malformed or names a user")),
    }
}

fn strip_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}
