//! Kubernetes resource quantities, as far as the injector needs them: to check an annotation and to compare two values.

/// A quantity in units of 10⁻⁹, the smallest step Kubernetes knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Quantity(i128);

/// Digits accepted: more are a typo, and the arithmetic below stays far from its limits.
const MAX_DIGITS: usize = 18;

impl Quantity {
    /// Parses `500m`, `0.5`, `64Mi`, `1e3` (apimachinery `resource.Quantity`); `None` for anything else and for
    /// negative amounts.
    pub(super) fn parse(text: &str) -> Option<Quantity> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || digits.len() > MAX_DIGITS || digits.contains('.') {
            return None;
        }
        let mantissa: i128 = digits.parse().ok()?;
        let nanos = mantissa.checked_mul(nanos_of(suffix)?)?;
        Some(Quantity(nanos / 10_i128.pow(u32::try_from(fraction.len()).ok()?)))
    }

    /// The amount rounded up to whole units: 1.5 CPUs are 2.
    pub(super) fn ceil(self) -> u64 {
        u64::try_from(self.0.div_euclid(1_000_000_000) + i128::from(self.0.rem_euclid(1_000_000_000) > 0))
            .unwrap_or(u64::MAX)
    }
}

/// What one unit with this suffix is, in 10⁻⁹.
fn nanos_of(suffix: &str) -> Option<i128> {
    const UNIT: i128 = 1_000_000_000;
    Some(match suffix {
        "" => UNIT,
        "n" => 1,
        "u" => 1_000,
        "m" => 1_000_000,
        "k" => UNIT * 1_000,
        "M" => UNIT * 1_000_000,
        "G" => UNIT * 1_000_000_000,
        "T" => UNIT * 1_000_000_000_000,
        "P" => UNIT * 1_000_000_000_000_000,
        "E" => UNIT * 1_000_000_000_000_000_000,
        "Ki" => UNIT << 10,
        "Mi" => UNIT << 20,
        "Gi" => UNIT << 30,
        "Ti" => UNIT << 40,
        "Pi" => UNIT << 50,
        "Ei" => UNIT << 60,
        _ => exponent(suffix)?,
    })
}

/// `e3`, `E-3`: between 10⁻⁹ and 10¹⁸.
fn exponent(suffix: &str) -> Option<i128> {
    let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let nanos = u32::try_from(power.checked_add(9)?).ok()?;
    (nanos <= 27).then(|| 10_i128.pow(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_compare_by_amount() {
        let equal = [
            ("500m", "0.5"),
            ("1Ki", "1024"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("1E", "1000P"),
            ("0", "0m"),
            ("1.", "1"),
        ];
        for (left, right) in equal {
            assert_eq!(Quantity::parse(left).expect(left), Quantity::parse(right).expect(right), "{left} = {right}");
        }
        assert!(Quantity::parse("64Mi") > Quantity::parse("64M"));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in
            ["", "m", ".", "-1", "+1", "1 Gi", "1Zi", "1e99", "1e", "1.2.3", "ten", "1234567890123456789", "1\n"]
        {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn ceil_counts_started_units() {
        for (text, expected) in [("0", 0), ("1m", 1), ("1", 1), ("1001m", 2), ("2.5", 3)] {
            assert_eq!(Quantity::parse(text).expect(text).ceil(), expected, "{text}");
        }
    }
}
