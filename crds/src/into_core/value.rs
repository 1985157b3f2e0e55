//! Values that several kinds share.

use std::time::Duration;

use tulle_core::codes::Code;
use tulle_core::path::normalize;
use tulle_core::split::Weight;

use super::SpecError;
use crate::later::Rest;

/// Largest weight: enough for shares of one in a million.
pub(super) const WEIGHT_MAX: u32 = 1_000_000;

/// Refuses what this release does not know; `null` says nothing and passes.
pub(super) fn nothing_else(rest: &Rest) -> Result<(), SpecError> {
    match rest.iter().find(|(_, value)| !value.is_null()) {
        None => Ok(()),
        Some((field, _)) => {
            Err(SpecError::new(Code::UnsupportedField, "is not supported by this release").under(field))
        }
    }
}

pub(super) fn weight(value: i64) -> Result<Weight, SpecError> {
    let reason = match value {
        ..0 => format!("{value} is below 0"),
        _ => match u32::try_from(value).ok().filter(|value| *value <= WEIGHT_MAX) {
            Some(value) => return Ok(Weight(value)),
            None => format!("{value} is above {WEIGHT_MAX}"),
        },
    };
    Err(SpecError::new(Code::WeightOutOfRange, reason))
}

pub(super) fn port(value: i64) -> Result<u16, SpecError> {
    u16::try_from(value)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| SpecError::new(Code::InvalidValue, format!("{value} is not a port")).remedy("use 1 to 65535"))
}

/// A port written as a string, in its one spelling.
pub(super) fn port_text(text: &str) -> Result<u16, SpecError> {
    text.parse()
        .ok()
        .filter(|port: &u16| *port > 0 && port.to_string() == text)
        .ok_or_else(|| SpecError::new(Code::InvalidValue, format!("{text:?} is not a port")).remedy("use 1 to 65535"))
}

/// A duration as Go and Kubernetes write it: `500ms`, `10s`, `1.5s`, `1m30s`, `2h`.
pub(super) fn duration(text: &str) -> Result<Duration, SpecError> {
    let wrong = || {
        let reason = format!("{text:?} is not a duration");
        SpecError::new(Code::InvalidValue, reason).remedy("write numbers with units, such as 500ms, 10s or 1m30s")
    };
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(number);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let nanoseconds = match unit {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3600 * 1_000_000_000,
            _ => return Err(wrong()),
        };
        total += Duration::from_nanos(scaled(number, nanoseconds).ok_or_else(wrong)?);
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// A decimal number of at most five digits and nine places, times a unit.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, places) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str, most: usize| (1..=most).contains(&text.len()).then(|| text.parse().ok()).flatten();
    let whole: u64 = digits(whole, 5)?;
    let part: u64 = digits(places, 9)?;
    let fraction = u128::from(part) * u128::from(unit) / 10u128.pow(u32::try_from(places.len()).ok()?);
    Some(whole * unit + u64::try_from(fraction).ok()?)
}

/// Refuses a literal that no path in normal form can contain: a rule with it would silently never fit.
///
/// `whole` is a path that the literal should fit: itself, or with a letter more where it is only a part.
pub(super) fn path_literal(literal: &str, whole: &str) -> Result<(), SpecError> {
    let reason = match normalize(whole) {
        Ok(normal) if normal == whole => return Ok(()),
        Ok(normal) if literal == whole => {
            format!("{literal:?} never fits: paths are compared in normal form, which is {normal:?}")
        }
        Ok(_) => format!("{literal:?} never fits: paths are compared in normal form"),
        Err(error) => format!("{literal:?} never fits: {error}"),
    };
    Err(SpecError::new(Code::InvalidPattern, reason))
}

/// Refuses what is no name of a header, or not written as headers are compared: in lower case.
pub(super) fn header_name(name: &str) -> Result<(), SpecError> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte); // RFC 9110 §5.6.2
    let (reason, remedy) = match name {
        name if name.is_empty() || !name.bytes().all(token) => ("is no header name", "correct the name"),
        name if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            ("has upper-case letters", "write it in lower case")
        }
        _ => return Ok(()),
    };
    Err(SpecError::new(Code::InvalidValue, reason).remedy(remedy))
}
