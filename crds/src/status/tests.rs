use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn good() -> Vec<Finding> {
    vec![
        Finding::is_true(ConditionType::Programmed, Reason::Programmed, "published"),
        Finding::is_true(ConditionType::Accepted, Reason::Accepted, "understood"),
        Finding::is_true(ConditionType::ResolvedRefs, Reason::ResolvedRefs, "all found"),
    ]
}

#[test]
fn ready_closes_the_list_and_sums_it_up() {
    let written = conditions(&[], &good(), 3, at(100));
    let types: Vec<_> = written.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect();
    assert_eq!(
        types,
        [
            ("Accepted", "True", "Accepted"),
            ("ResolvedRefs", "True", "ResolvedRefs"),
            ("Programmed", "True", "Programmed"),
            ("Ready", "True", "Ready"),
        ]
    );
    assert!(written.iter().all(|c| c.observed_generation == Some(3)));
}

#[test]
fn ready_repeats_the_first_cause_and_false_beats_unknown() {
    let findings = [
        Finding::is_unknown(ConditionType::Accepted, Reason::OperatorBehind, "reading"),
        Finding::is_false(ConditionType::ResolvedRefs, Reason::ServiceNotFound, "TUL3005: spec.service: no Service"),
        Finding::is_true(ConditionType::Programmed, Reason::Programmed, "published"),
    ];
    let written = conditions(&[], &findings, 1, at(1));
    let ready = written.last().unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "ServiceNotFound"));
    assert_eq!(ready.message, "TUL3005: spec.service: no Service");

    let written = conditions(&[], &findings[..1], 1, at(1));
    assert_eq!(written.last().unwrap().status, "Unknown");
}

#[test]
fn transition_time_moves_only_with_the_status() {
    let first = conditions(&[], &good(), 1, at(100));
    assert_eq!(conditions(&first, &good(), 1, at(200)), first, "nothing changed, so nothing is written");

    let mut changed = good();
    changed[2] = Finding::is_false(ConditionType::ResolvedRefs, Reason::ServiceNotFound, "gone");
    let second = conditions(&first, &changed, 2, at(300));
    let times: Vec<_> = second.iter().map(|c| c.last_transition_time.0.as_second()).collect();
    assert_eq!(times, [100, 300, 100, 300], "Accepted, ResolvedRefs, Programmed, Ready");
    assert!(second.iter().all(|c| c.observed_generation == Some(2)));
}

#[test]
fn long_messages_are_cut_between_characters() {
    let finding = Finding::is_false(ConditionType::Accepted, Reason::InvalidField, "ä".repeat(400));
    assert_eq!(finding.message.chars().count(), MESSAGE_CHARS_MAX);
}
