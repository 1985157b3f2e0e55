use super::*;

#[test]
fn a_latency_falls_into_the_bucket_whose_bound_holds_it() {
    let cells = HttpCells::default();
    for (milliseconds, status) in [(0, 200), (1, 200), (2, 404), (61_000, 200)] {
        cells.answered(status, Duration::from_millis(milliseconds));
    }
    let buckets: Vec<u64> = cells.buckets().collect();
    assert_eq!(buckets[0], 1, "0 s ≤ 0.0005");
    assert_eq!(buckets[1], 1, "a bound is inclusive, as `le` says");
    assert_eq!(buckets[2], 1);
    assert_eq!(buckets[BUCKETS.len()], 1, "beyond every bound");
    assert_eq!(cells.by_code().collect::<Vec<_>>(), [(200, 3), (404, 1)]);
    assert!((cells.latency_seconds() - 61.003).abs() < 1e-6);
}

#[test]
fn rare_codes_beyond_the_table_are_counted_by_class() {
    let cells = HttpCells::default();
    for status in 400..420 {
        cells.answered(status, Duration::ZERO);
    }
    let total: u64 = cells.by_code().map(|(_, count)| count).sum();
    assert_eq!(total, 20, "nothing is lost");
    assert!(cells.by_code().any(|(code, count)| code == 400 && count == 5));
}
