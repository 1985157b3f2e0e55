//! The ledger must neither lose an id nor overlook a second one.

use super::*;

fn ranges(numbers: &[u64]) -> String {
    let mut set = Ranges::default();
    for &number in numbers {
        set.insert(number);
    }
    serde_json::to_string(&set).expect("ranges are plain JSON")
}

#[test]
fn ranges_grow_meet_and_stay_apart() {
    let table: &[(&[u64], &str)] = &[
        (&[], "[]"),
        (&[5], "[[5,5]]"),
        (&[0, 1, 2], "[[0,2]]"),
        (&[2, 1, 0], "[[0,2]]"),
        (&[0, 2, 1], "[[0,2]]"),
        (&[0, 2, 4], "[[0,0],[2,2],[4,4]]"),
        (&[u64::MAX, u64::MAX - 1], "[[18446744073709551614,18446744073709551615]]"),
        (&[1, 1, 1], "[[1,1]]"),
    ];
    for (numbers, expected) in table {
        assert_eq!(ranges(numbers), *expected, "{numbers:?}");
    }
}

#[test]
fn an_id_is_a_run_and_a_number() {
    assert_eq!(parse("a-b-17"), Some(("a-b", 17)));
    for odd in ["", "17", "-17", "run-", "run-x", "run--"] {
        assert_eq!(parse(odd), None, "{odd:?}");
    }
}

#[test]
fn a_doubled_id_is_counted_and_named() {
    let mut ledger = Ledger::default();
    for id in [Some("r-0"), Some("r-1"), Some("r-1"), Some("curl"), None] {
        ledger.record(id);
    }
    let json = serde_json::to_value(&ledger).expect("plain JSON");
    assert_eq!(json["requests"], 5);
    assert_eq!(json["anonymous"], 2);
    assert_eq!(json["runs"]["r"]["ranges"].to_string(), "[[0,1]]");
    assert_eq!(json["runs"]["r"]["doubled"], 1);
    assert_eq!(json["runs"]["r"]["duplicates"].to_string(), "[1]");
}
