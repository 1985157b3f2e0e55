use super::*;

#[test]
fn the_caller_learns_reason_code_and_id_and_nothing_else() {
    let failure = Failure::new(Reason::Denied, "policy shop/secret-policy rule 0").with_code(Code::DeniedByPolicy);
    let Answer { status, headers, .. } = answer(&failure, FailureId(0x7f3c_9a1e), false);
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(headers[TULLE_ERROR], "denied; code=TUL4001; id=000000007f3c9a1e");
    assert!(!format!("{headers:?}").contains("secret-policy"));
    assert!(!headers.contains_key(UNPROCESSED), "a denial is an answer, not an invitation to try elsewhere");
}

#[test]
fn grpc_callers_get_a_grpc_status() {
    let Answer { status, headers, .. } = answer(&Failure::new(Reason::Denied, ""), FailureId(1), true);
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["grpc-status"], "7", "PERMISSION_DENIED");
}
