use super::*;

#[test]
fn a_latency_falls_into_the_bucket_whose_bound_holds_it() {
    let cells = HttpCells::default();
    for (milliseconds, status) in [(0, 200), (1, 200), (2, 404), (61_000, 200)] {
        cells.answered(status, None, Duration::from_millis(milliseconds));
    }
    let buckets: Vec<u64> = cells.buckets().collect();
    assert_eq!(buckets[0], 1, "0 s ≤ 0.0005");
    assert_eq!(buckets[1], 1, "a bound is inclusive, as `le` says");
    assert_eq!(buckets[2], 1);
    assert_eq!(buckets[BUCKETS.len()], 1, "beyond every bound");
    let outcomes: Vec<_> = cells.outcomes().map(|(outcome, count)| (outcome.status, count)).collect();
    assert_eq!(outcomes, [(200, 3), (404, 1)]);
    assert!((cells.latency_seconds() - 61.003).abs() < 1e-6);
}

#[test]
fn rare_codes_beyond_the_table_are_counted_by_class() {
    let cells = HttpCells::default();
    for status in 400..420 {
        cells.answered(status, None, Duration::ZERO);
    }
    let total: u64 = cells.outcomes().map(|(_, count)| count).sum();
    assert_eq!(total, 20, "nothing is lost");
    assert!(cells.outcomes().any(|(outcome, count)| outcome.status == 400 && count == 5));
}

#[test]
fn an_outcome_keeps_status_and_reason() {
    let cells = HttpCells::default();
    cells.answered(504, Some(Reason::Timeout), Duration::ZERO);
    cells.answered(504, None, Duration::ZERO);
    cells.unanswered(Reason::CallerGone);
    let expected = [(504, Some(Reason::Timeout)), (504, None), (0, Some(Reason::CallerGone))];
    let outcomes: Vec<_> = cells.outcomes().map(|(outcome, count)| (outcome.status, outcome.reason, count)).collect();
    assert_eq!(outcomes, expected.map(|(status, reason)| (status, reason, 1)));
    let latencies: u64 = cells.buckets().sum();
    assert_eq!(latencies, 2, "without an answer there is no latency");
    for reason in Reason::ALL.iter().copied() {
        let outcome = Outcome { status: 599, reason: Some(reason) };
        assert_eq!(Outcome::from_code(outcome.code()), outcome);
    }
}

#[test]
fn a_grpc_status_nobody_knows_has_a_place() {
    let cells = HttpCells::default();
    assert!(cells.rare().is_none(), "what is not gRPC has no room for it");
    for status in [0, 16, 17, 4_000_000_000] {
        cells.grpc_ended(status);
    }
    let counted: Vec<u64> = cells.rare().unwrap().grpc.iter().map(Count::get).collect();
    assert_eq!((counted[0], counted[16], counted[17]), (1, 1, 2));
}
