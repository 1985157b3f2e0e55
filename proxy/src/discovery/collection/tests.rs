use super::*;

fn meta(uid: &str, version: u64) -> Meta {
    Meta { name: "web".into(), uid: uid.into(), version, generation: 0 }
}

fn good(value: u32) -> Result<u32, Refused<u32>> {
    Ok(value)
}

fn bad(stand_in: Option<u32>) -> Result<u32, Refused<u32>> {
    Err(Refused { sentence: "spec.weight: is wrong".into(), stand_in, rest: None })
}

fn partly(rest: u32) -> Result<u32, Refused<u32>> {
    Err(Refused { sentence: "spec.http[1].timeout: is wrong".into(), stand_in: None, rest: Some(rest) })
}

/// What is in force after a series of versions of one object.
#[test]
fn the_last_good_version_stays_in_force() {
    type Step = (&'static str, u64, Result<u32, Refused<u32>>);
    let rows: [(&str, Vec<Step>, Option<u32>); 11] = [
        ("good", vec![("a", 1, good(1))], Some(1)),
        ("newer", vec![("a", 1, good(1)), ("a", 2, good(2))], Some(2)),
        ("older is late", vec![("a", 2, good(2)), ("a", 1, good(1))], Some(2)),
        ("bad keeps good", vec![("a", 1, good(1)), ("a", 2, bad(None))], Some(1)),
        ("bad keeps good, not the stand-in", vec![("a", 1, good(1)), ("a", 2, bad(Some(9)))], Some(1)),
        ("bad from the start", vec![("a", 1, bad(None))], None),
        ("bad from the start, with a stand-in", vec![("a", 1, bad(Some(8))), ("a", 2, bad(Some(9)))], Some(9)),
        ("mended", vec![("a", 1, bad(Some(9))), ("a", 2, good(2))], Some(2)),
        ("in part", vec![("a", 1, good(1)), ("a", 2, partly(2))], Some(2)),
        ("bad keeps what was good in part", vec![("a", 1, partly(1)), ("a", 2, bad(None))], Some(1)),
        ("another object of that name inherits nothing", vec![("a", 5, good(1)), ("b", 6, bad(None))], None),
    ];
    for (name, steps, want) in rows {
        let mut collection = Collection::default();
        for (uid, version, parsed) in &steps {
            collection.apply(meta(uid, *version), |_: &Meta, _: Option<&u32>| parsed.clone());
        }
        assert_eq!(collection.get("web").map(|value| **value), want, "{name}");
        let mut relisted = Collection::default();
        for (uid, version, parsed) in &steps {
            relisted.replace(Selection::All, [(meta(uid, *version), |_: &Meta, _: Option<&u32>| parsed.clone())]);
        }
        assert_eq!(relisted.get("web").map(|value| **value), want, "{name}, by lists");
    }
}

#[test]
fn a_version_is_read_with_the_last_good_one_of_the_same_object_at_hand() {
    let mut collection = Collection::default();
    let mut last = |uid, version, parsed: Result<u32, Refused<u32>>| {
        let mut known = None;
        collection.apply(meta(uid, version), |_, last| {
            known = last.copied();
            parsed
        });
        known
    };
    assert_eq!(last("a", 1, good(1)), None);
    assert_eq!(last("a", 2, bad(None)), Some(1));
    assert_eq!(last("a", 3, partly(3)), Some(1));
    assert_eq!(last("a", 4, partly(4)), Some(3));
    assert_eq!(last("b", 5, good(5)), None, "another object of that name");
}

#[test]
fn what_is_not_listed_is_gone() {
    let mut collection = Collection::default();
    collection.apply(meta("a", 1), |_, _| good(1));
    collection.replace(Selection::All, std::iter::empty::<(Meta, fn(&Meta, Option<&u32>) -> _)>());
    assert_eq!(collection.get("web"), None);
}

#[test]
fn a_late_deletion_of_an_earlier_object_changes_nothing() {
    let mut collection = Collection::default();
    collection.apply(meta("b", 5), |_, _| good(1));
    assert!(!collection.delete(&meta("a", 4)));
    assert!(collection.get("web").is_some());
    assert!(collection.delete(&meta("b", 6)));
    assert!(collection.get("web").is_none());
}

#[test]
fn only_news_is_told() {
    let mut collection = Collection::default();
    assert!(collection.apply(meta("a", 1), |_, _| bad(None)).is_some());
    let revision = collection.revision();
    assert!(collection.apply(meta("a", 1), |_, _| bad(None)).is_none(), "the same version again");
    assert!(
        collection.replace(Selection::All, [(meta("a", 1), |_: &Meta, _: Option<&u32>| bad(None))]).is_empty(),
        "listed again"
    );
    assert_eq!(collection.revision(), revision);
    assert!(collection.apply(meta("a", 2), |_, _| bad(None)).is_some());
}
