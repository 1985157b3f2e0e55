use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, IsCa, KeyPair};

use super::{Authority, BadAuthority};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn authority() -> Authority {
    Authority::create("tulle root", YEAR, SystemTime::now()).expect("an authority")
}

#[test]
fn what_was_created_can_be_read_back() {
    let created = authority();
    let read = Authority::parse(created.certificate_pem(), created.key_pem(), SystemTime::now()).expect("reads");
    assert_eq!(read.fingerprint(), created.fingerprint());
    assert!(read.is_in(created.certificate_pem()));
}

#[test]
fn a_bundle_may_hold_several_roots_or_garbage() {
    let (ours, other) = (authority(), authority());
    assert!(ours.is_in(&format!("{}{}", other.certificate_pem(), ours.certificate_pem())));
    assert!(!ours.is_in(other.certificate_pem()));
    assert!(!ours.is_in("garbage"));
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", authority());
    assert!(shown.starts_with("Authority { fingerprint:") && !shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn garbage_is_named() {
    let (ours, other) = (authority(), authority());
    let now = SystemTime::now();
    let parse = |certificate: &str, key: &str, now| Authority::parse(certificate, key, now).expect_err("refused");
    assert!(matches!(parse("", "", now), BadAuthority::Certificate(_)));
    assert!(matches!(parse(ours.certificate_pem(), other.key_pem(), now), BadAuthority::Key));
    assert!(matches!(parse(ours.certificate_pem(), "garbage", now), BadAuthority::Key));
    assert!(matches!(parse(ours.certificate_pem(), ours.key_pem(), now + 2 * YEAR), BadAuthority::Expired));

    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    let leaf = params.self_signed(&key).expect("a certificate");
    assert!(matches!(parse(&leaf.pem(), &key.serialize_pem(), now), BadAuthority::NotCa));
}
