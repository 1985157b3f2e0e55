use std::time::{Duration, Instant};

use super::Limiter;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_burst_then_one_each_interval() {
    let start = Instant::now();
    let mut limiter = Limiter::new(3, 10 * SECOND);
    for _ in 0..3 {
        assert_eq!(limiter.admit("a", start), Ok(()));
    }
    assert_eq!(limiter.admit("a", start), Err(10 * SECOND));
    assert_eq!(limiter.admit("b", start), Ok(()), "another asker is not held");
    assert_eq!(limiter.admit("a", start + 9 * SECOND), Err(SECOND));
    assert_eq!(limiter.admit("a", start + 10 * SECOND), Ok(()));
    assert_eq!(limiter.admit("a", start + 10 * SECOND), Err(10 * SECOND));
    for _ in 0..3 {
        assert_eq!(limiter.admit("a", start + 1000 * SECOND), Ok(()), "the whole burst is back");
    }
}

#[test]
fn memory_is_bounded_and_the_idle_go_first() {
    let start = Instant::now();
    let mut limiter = Limiter::new(1, SECOND);
    limiter.capacity = 2;
    assert_eq!(limiter.admit(1, start), Ok(()));
    assert_eq!(limiter.admit(2, start), Ok(()));
    assert_eq!(limiter.admit(3, start), Ok(()), "not remembered, and not refused");
    assert_eq!(limiter.free_at.len(), 2);
    assert_eq!(limiter.admit(1, start), Err(SECOND), "the remembered stay held");
    assert_eq!(limiter.admit(3, start + SECOND), Ok(()));
    assert_eq!(limiter.free_at.len(), 1, "1 and 2 were idle");
}
