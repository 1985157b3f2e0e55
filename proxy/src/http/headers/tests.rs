use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect()
}

#[test]
fn what_belongs_to_one_connection_does_not_travel() {
    let mut map = headers(&[
        ("connection", "keep-alive, x-secret, host"),
        ("x-secret", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "trailers"),
        ("host", "a"),
    ]);
    remove_hop_by_hop(&mut map);
    assert_eq!(map, headers(&[("te", "trailers"), ("host", "a")]));
}

#[test]
fn connection_cannot_strip_the_authority_or_what_the_mesh_says() {
    for name in ["host", "content-length", "authorization", "tulle-error", "tulle-unprocessed"] {
        let mut map = headers(&[("connection", name), (name, "1")]);
        remove_hop_by_hop(&mut map);
        assert!(map.contains_key(name), "{name}");
    }
}
