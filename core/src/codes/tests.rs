use super::*;

#[test]
fn numbers_rise_so_none_is_used_twice() {
    for pair in Code::ALL.windows(2) {
        assert!(pair[0].number() < pair[1].number(), "{} before {}", pair[0], pair[1]);
    }
}

#[test]
fn every_code_reads_as_a_sentence() {
    for code in Code::ALL {
        assert_eq!(code.as_str(), format!("TUL{:04}", code.number()));
        assert!((1..=7).contains(&(code.number() / 1000)), "{code}");
        for text in [code.title(), code.remedy()] {
            assert!(!text.is_empty() && !text.ends_with('.') && text.trim() == text, "{code}: {text:?}");
        }
    }
}

#[test]
fn reasons_answer_with_an_error_of_their_own() {
    let mut words: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), Reason::ALL.len());
    for (number, reason) in Reason::ALL.iter().enumerate() {
        assert_eq!(*reason as usize, number);
        assert!((400..600).contains(&reason.status()), "{reason:?}");
        assert!((1..=16).contains(&reason.grpc_status()), "{reason:?}");
        assert!(matches!(reason.code().number() / 1000, 2 | 4), "{reason:?}");
    }
    assert_eq!(
        (Reason::Denied.status(), Reason::Denied.grpc_status(), Reason::Denied.code()),
        (403, 7, Code::DeniedByPolicy)
    );
}
