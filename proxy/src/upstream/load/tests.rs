use super::*;

#[test]
fn a_stall_counts_at_once_and_is_forgiven_slowly() {
    let start = Instant::now();
    let load = Load::default();
    load.observe(Duration::from_millis(1), start);
    load.observe(Duration::from_millis(500), start);
    let stalled = load.cost(start);
    assert!(stalled > 0.49, "{stalled}");
    load.observe(Duration::from_millis(1), start + Duration::from_millis(1));
    assert!(load.cost(start + Duration::from_millis(1)) > 0.49, "one good answer does not excuse a stall");
    assert!(load.cost(start + DECAY * 5) < 0.01, "time does");
}

#[test]
fn requests_in_flight_multiply_the_cost() {
    let now = Instant::now();
    let load = Load::default();
    load.observe(Duration::from_millis(10), now);
    let idle = load.cost(now);
    load.begin();
    load.begin();
    assert!((load.cost(now) / idle - 3.0).abs() < 1e-9);
    load.end();
    load.end();
    load.end();
    assert!((load.cost(now) - idle).abs() < 1e-12, "never below zero in flight");
}

#[test]
fn two_choices_differ_and_the_cheaper_wins() {
    let costs = [5.0, 1.0, 3.0];
    for draw in (0..u64::MAX).step_by(usize::MAX / 997) {
        let chosen = choose(&costs, draw, |cost| *cost).copied();
        assert_ne!(chosen, Some(5.0), "of two different ones the dearest never wins, draw {draw}");
    }
    assert_eq!(choose(&[] as &[f64], 7, |cost| *cost), None);
    assert_eq!(choose(&[9.0], 7, |cost| *cost), Some(&9.0));
}
