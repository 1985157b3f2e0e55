use std::time::Duration;

use tokio::time::Instant;

use super::{Queue, RETRY_FIRST, RETRY_MAX, STATUS_REST};
use crate::world::{Key, Ref};

fn pod(name: &str) -> Key {
    Key::Pod(Ref { namespace: "shop".into(), name: name.into() })
}

#[test]
fn urgent_first_and_each_once() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.add(pod("b"), now);
    queue.add(pod("a"), now + Duration::from_secs(1));
    queue.add(Key::Bindings, now);
    queue.add(pod("a"), now + Duration::from_secs(2));
    let taken: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
    assert_eq!(taken, [(Key::Bindings, now), (pod("a"), now + Duration::from_secs(1)), (pod("b"), now)]);
}

#[test]
fn a_key_in_work_waits_for_its_end() {
    let now = Instant::now();
    let mut queue = Queue::default();
    queue.begin(pod("a"));
    queue.add(pod("a"), now);
    assert_eq!(queue.take(), None);
    queue.end(pod("a"), true, now);
    assert_eq!(queue.take(), Some((pod("a"), now)));
}

#[test]
fn failures_come_back_later_and_later() {
    let now = Instant::now();
    let mut queue = Queue::default();
    for pause in [RETRY_FIRST, RETRY_FIRST * 2, RETRY_FIRST * 4] {
        queue.begin(pod("a"));
        queue.end(pod("a"), false, now);
        assert_eq!(queue.next_due(), Some(now + pause));
        queue.wake(now + pause - Duration::from_millis(1));
        assert_eq!(queue.take(), None);
        queue.wake(now + pause);
        assert!(queue.take().is_some());
    }
    for _ in 0..40 {
        queue.end(pod("a"), false, now);
        assert!(queue.next_due() <= Some(now + RETRY_MAX));
        queue.wake(now + RETRY_MAX);
        queue.take();
    }
    queue.end(pod("a"), true, now);
    queue.end(pod("a"), false, now);
    assert_eq!(queue.next_due(), Some(now + RETRY_FIRST), "a success forgets the failures");
}

#[test]
fn a_status_rests_after_each_write() {
    let now = Instant::now();
    let status = Key::TrafficSplit(Ref { namespace: "shop".into(), name: "canary".into() });
    let mut queue = Queue::default();
    queue.begin(status.clone());
    queue.end(status.clone(), true, now);
    queue.add(status.clone(), now);
    assert_eq!(queue.take(), None);
    queue.wake(now + STATUS_REST);
    assert_eq!(queue.take(), Some((status, now)));
    assert_eq!((queue.take(), queue.next_due()), (None, None));
}
