use proptest::prelude::*;

use super::*;

/// What a message's lines become.
fn apply(edits: &HeaderEdits, lines: &[(String, String)]) -> Vec<(String, String)> {
    let kept = lines.iter().filter(|(name, _)| !edits.drops(name)).cloned();
    let text = |(name, value): &(HeaderName, HeaderValue)| (name.to_string(), value.to_str().unwrap().to_string());
    kept.chain(edits.appended().iter().map(text)).collect()
}

/// What is done, to which header, with which value.
type Step<'a> = (&'a str, &'a str, &'a str);

fn edits(steps: &[Step<'_>]) -> HeaderEdits {
    let mut edits = HeaderEdits::default();
    for (step, name, value) in steps {
        let (name, value) = (HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        match *step {
            "remove" => edits.remove(name),
            "set" => edits.set(name, value),
            _ => edits.add(name, value),
        }
    }
    edits
}

#[test]
fn each_edit() {
    let lines = [("X-A", "1"), ("b", "2"), ("x-a", "3")].map(|(name, value)| (name.into(), value.into()));
    let rows: &[(&[Step<'_>], &[&str])] = &[
        (&[], &["X-A: 1", "b: 2", "x-a: 3"]),
        (&[("remove", "x-a", "")], &["b: 2"]),
        (&[("set", "x-a", "9")], &["b: 2", "x-a: 9"]),
        (&[("set", "c", "9")], &["X-A: 1", "b: 2", "x-a: 3", "c: 9"]),
        (&[("add", "b", "9")], &["X-A: 1", "b: 2", "x-a: 3", "b: 9"]),
        (&[("set", "b", "8"), ("add", "b", "9")], &["X-A: 1", "x-a: 3", "b: 8", "b: 9"]),
        (&[("add", "b", "8"), ("set", "b", "9")], &["X-A: 1", "x-a: 3", "b: 9"]),
        (&[("set", "b", "8"), ("remove", "b", "")], &["X-A: 1", "x-a: 3"]),
    ];
    for (steps, expected) in rows {
        let after: Vec<_> =
            apply(&edits(steps), &lines).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(after, *expected, "{steps:?}");
    }
}

#[test]
fn some_headers_are_not_for_rules_to_touch() {
    let rows = [
        ("content-length", Some(Untouchable::Framing)),
        ("Transfer-Encoding", Some(Untouchable::Framing)),
        ("Connection", Some(Untouchable::HopByHop)),
        ("te", Some(Untouchable::HopByHop)),
        ("tulle-error", Some(Untouchable::Mesh)),
        ("Tulle-Anything", Some(Untouchable::Mesh)),
        ("authorization", None),
        ("set-cookie", None),
        ("grpc-status", None),
    ];
    for (name, reason) in rows {
        assert_eq!(editable(&HeaderName::try_from(name).unwrap()).err(), reason, "{name}");
    }
}

fn any_edits() -> impl Strategy<Value = HeaderEdits> {
    let step = (prop::sample::select(vec!["remove", "set", "add"]), "[a-d]", "[0-9]");
    prop::collection::vec(step, 0..6).prop_map(|steps| {
        let steps: Vec<_> = steps.iter().map(|(step, name, value)| (*step, name.as_str(), value.as_str())).collect();
        edits(&steps)
    })
}

proptest! {
    #[test]
    fn edits_of_two_levels_are_one_after_the_other(
        first in any_edits(),
        second in any_edits(),
        lines in prop::collection::vec(("[a-dA-D]", "[x-z]"), 0..8),
    ) {
        let one_by_one = apply(&second, &apply(&first, &lines));
        prop_assert_eq!(apply(&first.then(&second), &lines), one_by_one);
    }
}
