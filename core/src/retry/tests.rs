use super::*;

#[test]
fn what_counts_as_a_failure() {
    use Outcome as O;
    let rows: &[(&str, &[O], &[O])] = &[
        (
            "5xx",
            &[O::Status(500), O::Status(503), O::ConnectFailed, O::Reset, O::Timeout],
            &[O::Status(429), O::Grpc(14)],
        ),
        ("gateway-error", &[O::Status(502), O::Status(504), O::RefusedStream], &[O::Status(500)]),
        ("reset", &[O::Reset, O::ConnectFailed, O::Timeout], &[O::Status(503)]),
        ("reset-before-request", &[O::ConnectFailed, O::RefusedStream], &[O::Reset, O::Timeout]),
        ("connect-failure", &[O::ConnectFailed], &[O::Reset, O::RefusedStream, O::Timeout]),
        ("refused-stream", &[O::RefusedStream], &[O::Reset]),
        ("retriable-4xx", &[O::Status(409)], &[O::Status(400), O::Status(404)]),
        ("unavailable, internal", &[O::Grpc(14), O::Grpc(13)], &[O::Grpc(1), O::Status(503)]),
        ("retriable-status-codes,503", &[O::Status(503)], &[O::Status(500)]),
        ("429,503", &[O::Status(429), O::Status(503)], &[O::Status(500)]),
    ];
    for (list, yes, no) in rows {
        let on = RetryOn::parse(list).unwrap();
        for outcome in *yes {
            assert!(on.covers(*outcome), "{list}: {outcome:?}");
        }
        for outcome in *no {
            assert!(!on.covers(*outcome), "{list}: {outcome:?}");
        }
    }
}

#[test]
fn unknown_words_are_named() {
    for (list, word) in
        [("", ""), ("5xx,", ""), ("5xx,often", "often"), ("200", "200"), ("0503", "0503"), ("5XX", "5XX")]
    {
        assert_eq!(RetryOn::parse(list), Err(word.to_string()), "{list:?}");
    }
}

#[test]
fn the_default_repeats_only_what_was_not_processed() {
    let on = RetryOn::default();
    assert!(on.covers(Outcome::ConnectFailed) && on.covers(Outcome::RefusedStream) && on.covers(Outcome::Grpc(14)));
    assert!(!on.covers(Outcome::Reset) && !on.covers(Outcome::Status(503)) && !on.covers(Outcome::Timeout));
    assert_eq!(RetryOn::parse("connect-failure,refused-stream,unavailable,cancelled"), Ok(on));
}

#[test]
fn attempts_after_the_first() {
    let policy = |attempts| RetryPolicy { attempts, ..RetryPolicy::default() };
    let due = |attempts, done| policy(attempts).again(done, Outcome::ConnectFailed);
    assert_eq!([due(0, 1), due(1, 1), due(1, 2), due(2, 2), due(2, 3)], [false, true, false, true, false]);
    assert!(!policy(5).again(1, Outcome::Status(200)));
}
