//! One normal form of request paths. What is judged is what is forwarded: rules see this form, and so does the application.
//!
//! RFC 3986 §6.2.2 (case, percent-encoding, dot segments), with repeated slashes merged, and with everything refused that two
//! readers are known to read differently: encoded separators, backslashes, NUL, broken escapes, dot segments with parameters.

use std::borrow::Cow;

/// Why a path has no normal form. The request is answered with 400 and not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// Neither absolute nor `*`.
    #[error("the path does not start with '/'")]
    NotAbsolute,
    /// `%` without two hexadecimal digits.
    #[error("the path has a '%' without two hexadecimal digits")]
    BadEscape,
    /// `%2f`, `%5c`: a separator for some readers.
    #[error("the path has an encoded slash or backslash")]
    EncodedSeparator,
    /// A backslash: a separator for some readers.
    #[error("the path has a backslash")]
    Backslash,
    /// `%00`, raw control characters, `#` or `?`.
    #[error("the path has a control character, '#' or '?'")]
    Forbidden,
    /// `..;x`: a dot segment for readers that strip parameters.
    #[error("the path has a dot segment with parameters")]
    DotParameters,
}

/// The normal form of a path (without query); borrowed where it is in normal form already, as nearly all are.
///
/// Normal forms are fixed points: `normalize(normalize(p)) == normalize(p)`.
///
/// # Errors
/// The path means different things to different readers.
pub fn normalize(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    if path == "*" {
        return Ok(Cow::Borrowed(path)); // OPTIONS * (RFC 9112 §3.2.4)
    }
    if !path.starts_with('/') {
        return Err(BadPath::NotAbsolute);
    }
    let resolved = resolve_dots(&unify_escapes(path)?)?;
    Ok(if resolved == path { Cow::Borrowed(path) } else { Cow::Owned(resolved) })
}

/// What the path says once every escape is undone, where that differs: a second reading that a DENY rule must also look at.
///
/// A normal form keeps escapes of reserved characters (`%3B`), which applications undo.
pub fn decoded(normal: &str) -> Option<String> {
    if !normal.contains('%') {
        return None;
    }
    let mut bytes = Vec::with_capacity(normal.len());
    let mut rest = normal.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match (first, escaped_byte(tail)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// One pass over the common case: an absolute path of plain characters without anything that needs a second look.
fn is_plain(path: &str) -> bool {
    let mut previous = 0;
    let plain = path.bytes().all(|byte| {
        let fine = is_kept(byte) && !(previous == b'/' && (byte == b'/' || byte == b'.'));
        previous = byte;
        fine
    });
    plain && path.starts_with('/')
}

/// Characters of a path that stand for themselves: `pchar` without escapes (RFC 3986 §3.3), and the slash.
fn is_kept(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
        )
}

/// RFC 3986 §2.3: these mean the same escaped or not.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Undoes escapes of unreserved characters, writes all others in upper case, and escapes what may not stand raw.
fn unify_escapes(path: &str) -> Result<String, BadPath> {
    let mut unified = String::with_capacity(path.len() + 8);
    let mut rest = path.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let byte = match first {
            b'\\' => return Err(BadPath::Backslash),
            b'#' | b'?' | 0..0x20 | 0x7f => return Err(BadPath::Forbidden),
            b'%' => {
                rest = tail.get(2..).ok_or(BadPath::BadEscape)?;
                match escaped_byte(tail).ok_or(BadPath::BadEscape)? {
                    b'/' | b'\\' => return Err(BadPath::EncodedSeparator),
                    0..0x20 | 0x7f => return Err(BadPath::Forbidden),
                    byte if is_unreserved(byte) => byte,
                    byte => {
                        push_escape(&mut unified, byte);
                        continue;
                    }
                }
            }
            byte if is_kept(byte) => byte,
            byte => {
                push_escape(&mut unified, byte);
                continue;
            }
        };
        unified.push(char::from(byte));
    }
    Ok(unified)
}

fn escaped_byte(after_percent: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let value = digit(after_percent.first()?)? * 16 + digit(after_percent.get(1)?)?;
    u8::try_from(value).ok()
}

fn push_escape(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

/// Merges slashes and resolves `.` and `..`; `..` at the root stays at the root (RFC 3986 §5.2.4).
fn resolve_dots(path: &str) -> Result<String, BadPath> {
    let mut kept: Vec<&str> = Vec::new();
    let mut directory = true; // whether the last segment ends with a slash
    for segment in path.split('/') {
        directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment if segment.starts_with(".;") || segment.starts_with("..;") => return Err(BadPath::DotParameters),
            segment => kept.push(segment),
        }
    }
    let mut resolved = String::with_capacity(path.len());
    for segment in &kept {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if directory || kept.is_empty() {
        resolved.push('/');
    }
    Ok(resolved)
}

#[cfg(test)]
mod tests;
