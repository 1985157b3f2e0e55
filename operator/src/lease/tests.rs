use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use super::{DURATION, Fence, RENEW_DEADLINE, wanted};

fn lease(holder: Option<&str>) -> Lease {
    let mut lease = Lease::default();
    lease.metadata.resource_version = Some("7".into());
    let spec = lease.spec.get_or_insert_default();
    spec.holder_identity = holder.map(str::to_owned);
    spec.lease_transitions = Some(3);
    lease
}

#[test]
fn who_may_hold_the_lease() {
    let now = Timestamp::UNIX_EPOCH;
    let fresh = Duration::ZERO;
    // current lease, unchanged for, transitions afterwards (None: may not)
    let rows = [
        (None, fresh, Some(0)),
        (Some(lease(None)), fresh, Some(4)),
        (Some(lease(Some(""))), fresh, Some(4)),
        (Some(lease(Some("me"))), fresh, Some(3)),
        (Some(lease(Some("other"))), fresh, None),
        (Some(lease(Some("other"))), DURATION - Duration::from_millis(1), None),
        (Some(lease(Some("other"))), DURATION, Some(4)),
    ];
    for (current, unchanged_for, transitions) in rows {
        let wanted = wanted(current.as_ref(), "lease", "me", unchanged_for, now);
        let spec = wanted.as_ref().and_then(|lease| lease.spec.as_ref());
        assert_eq!(spec.and_then(|spec| spec.lease_transitions), transitions, "{current:?} {unchanged_for:?}");
        if let (Some(wanted), Some(current)) = (&wanted, &current) {
            assert_eq!(wanted.metadata.resource_version, current.metadata.resource_version, "replaces what was read");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_fence_closes_by_itself() {
    let fence = Fence::closed();
    assert!(!fence.holds());
    fence.hold_until(Instant::now() + RENEW_DEADLINE);
    assert!(fence.holds());
    tokio::time::advance(RENEW_DEADLINE - Duration::from_millis(1)).await;
    assert!(fence.holds());
    tokio::time::advance(Duration::from_millis(2)).await;
    assert!(!fence.holds(), "before a candidate may take over");
    assert!(Fence::open().holds());
}
