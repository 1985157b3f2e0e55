//! (pure) Whether a measured share can be the wanted one.

/// Deviations allowed, in standard deviations: a fair split fails one check in sixteen thousand.
const SIGMAS: f64 = 4.0;

/// Standard deviation of a share in a sample of this size (binomial distribution).
pub fn deviation(expected: f64, requests: u64) -> f64 {
    if requests == 0 { 1.0 } else { (expected * (1.0 - expected) / requests as f64).sqrt() }
}

/// Whether `measured` of `requests` is plausible for the wanted share `expected`, both from 0 to 1. Shares of nothing
/// and of everything have no deviation: they must be met exactly.
pub fn is_plausible(expected: f64, measured: f64, requests: u64) -> bool {
    (measured - expected).abs() <= SIGMAS * deviation(expected, requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_is_allowed_and_error_is_not() {
        assert!(is_plausible(0.1, 0.11, 10_000));
        assert!(!is_plausible(0.1, 0.12, 10_000), "6.7 standard deviations");
        assert!(is_plausible(0.1, 0.12, 100));
        assert!(is_plausible(0.0, 0.0, 10_000));
        assert!(!is_plausible(0.0, 0.0001, 10_000), "weight 0 receives nothing");
    }
}
