use super::*;

fn labels(service: usize) -> Labels {
    Labels { dst_service: format!("service-{service}").into(), mtls: true, ..overflow(Side::Client) }
}

fn refusal(policy: usize) -> RefusalLabels {
    let policy = format!("shop/policy-{policy}").into();
    RefusalLabels { side: Side::Server, reason: "denied", code: "TUL4001", policy }
}

#[test]
fn what_has_a_series_keeps_it_when_there_are_too_many() {
    let shard = Shard::default();
    let (http, tcp) = (shard.http(labels(0)), shard.tcp(labels(0)));
    shard.refused(refusal(0));
    for number in 1..=SERIES_MAX {
        shard.http(labels(number));
        shard.tcp(labels(number));
        shard.refused(refusal(number));
    }
    assert!(Arc::ptr_eq(&http, &shard.http(labels(0))) && Arc::ptr_eq(&tcp, &shard.tcp(labels(0))));
    // What came last has none, and neither has anything else from now on.
    assert!(Arc::ptr_eq(&shard.http(labels(SERIES_MAX)), &shard.http(overflow(Side::Client))));
    assert!(Arc::ptr_eq(&shard.tcp(labels(SERIES_MAX)), &shard.tcp(overflow(Side::Client))));
    shard.refused(refusal(0));
    let series = shard.lock();
    assert_eq!(
        (series.http.len(), series.tcp.len(), series.refusals.len()),
        (SERIES_MAX + 1, SERIES_MAX + 1, SERIES_MAX + 1)
    );
    let other = RefusalLabels { policy: "other".into(), ..refusal(0) };
    assert_eq!([refusal(0), other].map(|labels| series.refusals[&labels].get()), [2, 1], "none is lost");
}
