use super::*;
use crate::metrics::{Labels, RefusalLabels, Side, overflow};

fn labels(service: &str) -> Labels {
    Labels { dst_service: service.into(), ..overflow(Side::Client) }
}

fn refusal() -> RefusalLabels {
    RefusalLabels { side: Side::Server, reason: "denied", code: "TUL4001", policy: "shop/web".into() }
}

fn sizes(shard: &Shard) -> [usize; 3] {
    let series = shard.lock();
    [series.http.len(), series.tcp.len(), series.refusals.len()]
}

#[test]
fn what_nobody_counts_in_leaves_after_an_hour() {
    let shards = [Arc::<Shard>::default()];
    shards[0].http(labels("gone"));
    shards[0].tcp(labels("gone"));
    shards[0].refused(refusal());
    let held = shards[0].http(labels("held"));
    (1..LOOKS).for_each(|_| look(&shards));
    assert_eq!(sizes(&shards[0]), [2, 1, 1]);
    look(&shards);
    assert_eq!(sizes(&shards[0]), [1, 0, 0], "a handle keeps its series");
    assert!(Arc::ptr_eq(&held, &shards[0].http(labels("held"))));
}

#[test]
fn use_between_two_looks_is_seen() {
    let shards = [Arc::<Shard>::default()];
    shards[0].refused(refusal());
    for _ in 0..3 * LOOKS {
        look(&shards);
        // A connection that came and went, and a refusal.
        shards[0].tcp(labels("short"));
        shards[0].refused(refusal());
    }
    assert_eq!(sizes(&shards[0]), [0, 1, 1]);
    assert_eq!(shards[0].lock().refusals[&refusal()].get(), 1 + u64::from(3 * LOOKS), "no count was lost");
}

#[test]
fn a_series_in_use_in_one_thread_stays_whole() {
    let shards = [Arc::<Shard>::default(), Arc::default()];
    shards[0].refused(refusal());
    for _ in 0..2 * LOOKS {
        shards[1].refused(refusal());
        look(&shards);
    }
    let sum: u64 = shards.iter().map(|shard| shard.lock().refusals[&refusal()].get()).sum();
    assert_eq!(sum, 1 + u64::from(2 * LOOKS), "the part of the quiet thread is still there");
    (0..LOOKS).for_each(|_| look(&shards));
    assert_eq!(shards.each_ref().map(|shard| sizes(shard)), [[0; 3]; 2], "all parts leave at once");
}
