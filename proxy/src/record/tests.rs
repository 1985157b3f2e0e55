use std::time::Instant;

use super::*;
use crate::metrics::cells::Outcome;

fn begun(cells: &Arc<HttpCells>, grpc: bool) -> Record {
    let mut record = Record::new(Arrival::now(Version::H2, grpc), None);
    record.enter(cells);
    assert_eq!(cells.active.get(), 1);
    record
}

/// Outcomes and aborts.
type Counted = [Vec<(u16, Option<Reason>)>; 2];

fn counted(cells: &HttpCells) -> Counted {
    let of = |outcome: Outcome| (outcome.status, outcome.reason);
    let outcomes = cells.outcomes().map(|(outcome, count)| (of(outcome), count));
    let aborts = cells.aborts().map(|(outcome, count)| (of(outcome), count));
    let once = |(outcome, count)| {
        assert_eq!(count, 1);
        outcome
    };
    [outcomes.map(once).collect(), aborts.map(once).collect()]
}

fn grpc(cells: &HttpCells) -> Vec<usize> {
    let Some(rare) = cells.rare() else { return Vec::new() };
    (0..rare.grpc.len()).filter(|status| rare.grpc[*status].get() > 0).collect()
}

#[test]
fn each_request_is_counted_once_however_it_ends() {
    type End = fn(Record, &Failure);
    let ends: [(End, Counted, usize); 5] = [
        (|record, _| drop(record), [vec![(0, Some(Reason::CallerGone))], vec![]], 1),
        (
            |record, failure| record.refused(failure, FailureId(1), (504, 4)),
            [vec![(504, Some(Reason::Timeout))], vec![]],
            4,
        ),
        (
            |mut record, _| {
                record.answered(200, Instant::now());
                record.grpc_ended(0);
                record.ended();
            },
            [vec![(200, None)], vec![]],
            0,
        ),
        (
            |mut record, _| {
                record.answered(200, Instant::now());
                record.broke_off(Reason::UpstreamReset, None);
            },
            [vec![(200, None)], vec![(0, Some(Reason::UpstreamReset))]],
            14,
        ),
        (
            |mut record, _| record.answered(200, Instant::now()),
            [vec![(200, None)], vec![(0, Some(Reason::CallerGone))]],
            1,
        ),
    ];
    let failure = Failure::new(Reason::Timeout, "");
    for (end, expected, status) in ends {
        for is_grpc in [false, true] {
            let cells = Arc::default();
            end(begun(&cells, is_grpc), &failure);
            assert_eq!(counted(&cells), expected);
            assert_eq!(grpc(&cells), if is_grpc { vec![status] } else { vec![] });
            assert_eq!(cells.active.get(), 0);
        }
    }
}

#[test]
fn a_request_that_finds_another_way_is_active_there_alone() {
    let (first, second) = (Arc::default(), Arc::default());
    let mut record = begun(&first, false);
    record.enter(&second);
    record.enter(&second);
    assert_eq!((first.active.get(), second.active.get()), (0, 1));
    record.answered(200, Instant::now());
    record.flowed(3, 10);
    record.flowed(3, 25);
    assert_eq!((second.request_bytes.get(), second.response_bytes.get()), (3, 25));
    drop(record);
    assert_eq!(second.active.get(), 0);
}

#[test]
fn a_record_is_small() {
    // Each request under way has one, and of streams there are many.
    assert!(size_of::<Record>() <= 72, "{}", size_of::<Record>());
}
