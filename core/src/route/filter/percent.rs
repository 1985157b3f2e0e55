//! A share of requests.

/// Parts of a million: as fine as peers draw it.
const WHOLE: u32 = 1_000_000;

/// A share between none and all, exact to a ten-thousandth of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// Every request.
    pub const ALL: Percent = Percent(WHOLE);

    /// One in a hundred.
    pub const ONE: Percent = Percent(WHOLE / 100);

    /// A share from its number of percent; `None` outside 0 to 100.
    pub fn new(percent: f64) -> Option<Percent> {
        (0.0..=100.0).contains(&percent).then(|| Percent((percent * f64::from(WHOLE) / 100.0).round() as u32))
    }

    /// Whether a request with this draw, uniform over all of `u64`, belongs to the share.
    pub fn covers(self, draw: u64) -> bool {
        (u128::from(draw) * u128::from(WHOLE)) >> 64 < u128::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_draws() {
        let at = |parts: u128| u64::try_from((parts << 64).div_ceil(1_000_000)).unwrap();
        let rows = [
            (0.0, 0, false),
            (100.0, u64::MAX, true),
            (50.0, at(500_000) - 1, true),
            (50.0, at(500_000), false),
            (0.0001, 0, true),
            (0.0001, at(1), false),
            (29.3, at(293_000) - 1, true), // 29.3 * 10,000 is a little below 293,000
            (29.3, at(293_000), false),
        ];
        for (percent, draw, covered) in rows {
            assert_eq!(Percent::new(percent).unwrap().covers(draw), covered, "{percent} % {draw:#x}");
        }
        assert_eq!(Percent::new(100.0), Some(Percent::ALL));
    }

    #[test]
    fn no_share_is_below_nothing_or_above_all() {
        for percent in [-0.1, 100.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Percent::new(percent), None, "{percent}");
        }
    }
}
