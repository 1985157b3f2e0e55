//! The header lines of a head, each seen once: what frames the message, what belongs to this hop only, what travels on.

use httparse::Header;

use super::BadMessage;

/// Options of `Connection` in one head. Each nominated field is looked for among all lines, so their number is a cost; what is in use
/// has two or three.
const OPTIONS_MAX: u32 = 32;

/// What a header is to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Field {
    /// Of no concern.
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    /// Belongs to one hop (RFC 9110 §7.6.1).
    Hop,
    Upgrade,
    /// What transfer codings a hop takes: said anew.
    Te,
    Expect,
    /// Between proxies only.
    Unprocessed,
}

/// Lines of a head with what was learned of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    lines: &'a [Header<'a>],
    /// A bit for each line of another kind than [`Field::Other`], lowest first. Most lines have none, and their name is read only once.
    known: u128,
    /// How often each kind of field occurs, at most 255.
    counts: [u8; 10],
    pub(crate) close_asked: bool,
    pub(crate) keep_alive_asked: bool,
    pub(crate) upgrade_asked: bool,
    /// Whether `Connection` names fields that must not travel on.
    nominates: bool,
    /// Options of `Connection` so far.
    options: u32,
}

impl<'a> Fields<'a> {
    /// Looks at each line once.
    ///
    /// # Errors
    /// `Connection` cannot be read, or is too long to be meant.
    pub(super) fn classify(lines: &'a [Header<'a>]) -> Result<Self, BadMessage> {
        let mut fields = Self {
            lines,
            known: 0,
            counts: [0; 10],
            close_asked: false,
            keep_alive_asked: false,
            upgrade_asked: false,
            nominates: false,
            options: 0,
        };
        debug_assert!(lines.len() <= u128::BITS as usize, "a line has no bit");
        let mut bit = 1;
        for line in lines {
            let kind = kind(line.name);
            if kind != Field::Other {
                fields.known |= bit;
            }
            bit <<= 1;
            let count = &mut fields.counts[kind as usize];
            *count = count.saturating_add(1);
            if kind == Field::Connection {
                fields.read_connection(line.value)?;
            }
        }
        Ok(fields)
    }

    fn read_connection(&mut self, value: &[u8]) -> Result<(), BadMessage> {
        let value = std::str::from_utf8(value).map_err(|_| BadMessage::new("Connection is not text"))?;
        for option in value.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            self.options += 1;
            if self.options > OPTIONS_MAX {
                return Err(BadMessage::new("Connection has more than 32 options"));
            }
            match option {
                _ if option.eq_ignore_ascii_case("close") => self.close_asked = true,
                _ if option.eq_ignore_ascii_case("keep-alive") => self.keep_alive_asked = true,
                _ if option.eq_ignore_ascii_case("upgrade") => self.upgrade_asked = true,
                _ if option.eq_ignore_ascii_case("te") => {}
                _ => self.nominates = true,
            }
        }
        Ok(())
    }

    /// Every line and its kind.
    fn kinds(&self) -> impl Iterator<Item = (&'a Header<'a>, Field)> + use<'a> {
        let mut known = self.known;
        self.lines.iter().map(move |line| {
            let kind = if known & 1 == 0 { Field::Other } else { kind(line.name) };
            known >>= 1;
            (line, kind)
        })
    }

    /// How many lines are of this kind.
    pub(crate) fn count(&self, kind: Field) -> u8 {
        self.counts[kind as usize]
    }

    /// Whether a line is of this kind.
    pub(crate) fn has(&self, kind: Field) -> bool {
        self.count(kind) > 0
    }

    /// The value of the first line of this kind.
    pub(crate) fn first(&self, wanted: Field) -> Option<&'a [u8]> {
        if !self.has(wanted) {
            return None;
        }
        self.kinds().find(|(_, kind)| *kind == wanted).map(|(line, _)| line.value)
    }

    /// Every value of a header; `name` is in lower case.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.lines.iter().filter(move |line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value)
    }

    /// The one length all `Content-Length` fields agree on (RFC 9112 §6.3).
    pub(super) fn content_length(&self) -> Result<Option<u64>, BadMessage> {
        if !self.has(Field::ContentLength) {
            return Ok(None);
        }
        let mut agreed = None;
        let lines = self.kinds().filter(|(_, kind)| *kind == Field::ContentLength);
        for (line, _) in lines.take(self.count(Field::ContentLength).into()) {
            for value in line.value.split(|byte| *byte == b',') {
                let length = decimal(value.trim_ascii()).ok_or(BadMessage::new("Content-Length is not a number"))?;
                if agreed.replace(length).is_some_and(|other| other != length) {
                    return Err(BadMessage::new("Content-Length is given twice with different values"));
                }
            }
        }
        Ok(agreed)
    }

    /// Whether `Transfer-Encoding` is `chunked` and nothing else: other codings are not for a hop to pass on unread.
    pub(super) fn is_chunked(&self) -> bool {
        self.count(Field::TransferEncoding) == 1
            && self
                .first(Field::TransferEncoding)
                .is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"chunked"))
    }

    /// Whether the sender takes trailers: `trailers` among the members of `TE` (RFC 9110 §10.1.4).
    pub(crate) fn takes_trailers(&self) -> bool {
        self.has(Field::Te)
            && self
                .values("te")
                .flat_map(|value| value.split(|byte| *byte == b','))
                .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    }

    /// Whether the caller waits for 100 (Continue) before it sends the body (RFC 9110 §10.1.1).
    pub(super) fn expects_continue(&self) -> bool {
        self.has(Field::Expect) && self.values("expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"))
    }

    /// The lines that travel on, apart from framing, which the next hop gets anew.
    pub(crate) fn end_to_end(&self) -> impl Iterator<Item = (&'a Header<'a>, Field)> + '_ {
        self.kinds().filter(|(line, kind)| match kind {
            Field::Other | Field::Expect => !self.nominates || !self.is_nominated(line.name),
            Field::Host | Field::ContentLength => true,
            Field::TransferEncoding
            | Field::Connection
            | Field::Hop
            | Field::Upgrade
            | Field::Te
            | Field::Unprocessed => false,
        })
    }

    /// The lines of a trailer section that travel on. Who merges them into a head must not be led by them: what frames or routes the
    /// message, says who asks, or changes what is asked for has no place here (RFC 9110 §6.5.1).
    pub(super) fn trailers(&self) -> impl Iterator<Item = &'a Header<'a>> + '_ {
        let lines = self.end_to_end().filter(|(line, kind)| *kind == Field::Other && !is_head_only(line.name));
        lines.map(|(line, _)| line)
    }

    /// Whether `Connection` names this field. What decides authorization or what the mesh says cannot be stripped that way.
    #[cold]
    fn is_nominated(&self, name: &str) -> bool {
        if name.eq_ignore_ascii_case("authorization")
            || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("tulle-"))
        {
            return false;
        }
        self.values("connection")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Decimal digits alone: no sign, no space, no more than a `u64`.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// What a header of this name is. The length decides in nearly all cases without a comparison.
fn kind(name: &str) -> Field {
    let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
    match name.len() {
        2 if is("te") => Field::Te,
        4 if is("host") => Field::Host,
        6 if is("expect") => Field::Expect,
        7 if is("upgrade") => Field::Upgrade,
        10 if is("connection") => Field::Connection,
        10 if is("keep-alive") => Field::Hop,
        14 if is("content-length") => Field::ContentLength,
        // Of the upgrade to HTTP/2 that was given up (RFC 9113 section 3.1), and of no use without it.
        14 if is("http2-settings") => Field::Hop,
        16 if is("proxy-connection") => Field::Hop,
        17 if is("transfer-encoding") => Field::TransferEncoding,
        17 if is("tulle-unprocessed") => Field::Unprocessed,
        _ => Field::Other,
    }
}

/// Whether a field of this name, in lower case, may stand behind the body of a request (RFC 9110 §6.5.1).
pub(crate) fn is_trailer(name: &str) -> bool {
    kind(name) == Field::Other && !is_head_only(name)
}

/// Fields that mean something in a head only, apart from those [`kind`] knows (RFC 9110 §6.5.1).
fn is_head_only(name: &str) -> bool {
    const NAMES: [&str; 16] = [
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expires",
        "forwarded",
        "location",
        "max-forwards",
        "range",
        "set-cookie",
        "trailer",
        "vary",
    ];
    let starts_with = |start: &str| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    starts_with("if-")
        || starts_with("proxy-")
        || starts_with("tulle-")
        || starts_with("x-forwarded-")
        || NAMES.iter().any(|wanted| name.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests;
