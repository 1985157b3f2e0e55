use std::time::Duration;

use super::{duration, leaf_ttl};

#[test]
fn durations_carry_units() {
    let rows = [("90s", Some(90)), ("1m", Some(60)), ("24h", Some(86_400)), ("30d", Some(2_592_000))];
    for (text, seconds) in rows {
        assert_eq!(duration(text).ok(), seconds.map(Duration::from_secs), "{text}");
    }
    for text in ["", "24", "h", "-1h", "0s", "1.5h", "1w", "99999999999999999999h", "18446744073709551615d", "1é"] {
        assert!(duration(text).is_err(), "{text}");
    }
}

#[test]
fn a_leaf_lives_thirty_seconds_to_thirty_days() {
    assert!(leaf_ttl("29s").is_err());
    assert!(leaf_ttl("30s").is_ok());
    assert!(leaf_ttl("30d").is_ok());
    assert!(leaf_ttl("31d").is_err());
}
