use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tulle_core::identity::SpiffeId;
use tulle_core::issuance::Response;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use super::leaf;
use crate::ca::Authority;
use crate::issuer::csr;

const HOUR: Duration = Duration::from_secs(3600);

fn identity() -> SpiffeId {
    "spiffe://cluster.local/ns/shop/sa/web".parse().expect("an identity")
}

fn issue(csr_pem: &str, authority: &Authority, ttl: Duration, now: SystemTime) -> Response {
    let key = csr::public_key(csr_pem).expect("an acceptable request");
    leaf(authority, &key, &identity(), ttl, now, [0xff; 16]).expect("a leaf")
}

/// Requests that ask for more than an identity's key may have; each must get the same plain leaf.
fn greedy_requests() -> Vec<(String, CertificateParams)> {
    let foreign = SanType::URI("spiffe://cluster.local/ns/bank/sa/vault".try_into().expect("a name"));
    let dns = SanType::DnsName("tulle-operator.tulle-system.svc".try_into().expect("a name"));
    let ip = SanType::IpAddress([10, 0, 0, 1].into());
    let mail = SanType::Rfc822Name("root@example.com".try_into().expect("a name"));
    let mut rows: Vec<(String, CertificateParams)> = Vec::new();
    for names in
        [vec![foreign.clone()], vec![dns.clone()], vec![ip.clone()], vec![mail.clone()], vec![foreign, dns, ip, mail]]
    {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        rows.push((format!("names {:?}", params.subject_alt_names), params));
    }
    for ca in [IsCa::Ca(BasicConstraints::Unconstrained), IsCa::Ca(BasicConstraints::Constrained(3))] {
        let mut params = CertificateParams::default();
        params.is_ca = ca;
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        rows.push(("CA:TRUE".to_owned(), params));
    }
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::CodeSigning];
    rows.push(("any extended key usage".to_owned(), params));
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "system:masters");
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    rows.push(("a subject".to_owned(), params));
    let mut params = CertificateParams::default();
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0])];
    rows.push(("an unknown extension".to_owned(), params));
    rows
}

#[test]
fn nothing_but_the_key_comes_from_the_request() {
    let now = SystemTime::now();
    let authority = Authority::create("root", 24 * HOUR, now).expect("an authority");
    for (name, params) in greedy_requests() {
        let key = KeyPair::generate().expect("a key");
        let csr =
            params.serialize_request(&key).and_then(|csr| csr.pem()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let response = issue(&csr, &authority, HOUR, now);
        let der = CertificateDer::from_pem_slice(response.chain_pem.as_bytes()).expect("PEM");
        let (_, leaf) = X509Certificate::from_der(&der).expect("X.509");

        let names = leaf.subject_alternative_name().expect("one").expect("present");
        assert!(names.critical, "{name}");
        assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/web")], "{name}");
        assert!(leaf.subject().iter().next().is_none(), "{name}: {}", leaf.subject());
        assert!(!leaf.is_ca(), "{name}");
        let usage = leaf.key_usage().expect("one").expect("present").value;
        assert!(usage.digital_signature() && usage.flags.count_ones() == 1, "{name}: {usage}");
        let extended = leaf.extended_key_usage().expect("one").expect("present").value;
        assert!(extended.server_auth && extended.client_auth, "{name}");
        assert!(!extended.any && !extended.code_signing && extended.other.is_empty(), "{name}");
        assert_eq!(leaf.public_key().raw, rcgen::PublicKeyData::subject_public_key_info(&key), "{name}");
        assert_eq!(
            leaf.extensions().len(),
            6,
            "{name}: SAN, key usage, extended key usage, basic constraints, AKI, SKI"
        );
        let life = leaf.validity().time_to_expiration().expect("valid now").unsigned_abs();
        assert!(life <= HOUR, "{name}: {life:?}");
    }
}

#[test]
fn the_leaf_chains_to_the_root_and_holds_its_serial() {
    let now = SystemTime::now();
    let authority = Authority::create("root", 24 * HOUR, now).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let csr = CertificateParams::default().serialize_request(&key).and_then(|csr| csr.pem()).expect("a request");
    let response = issue(&csr, &authority, HOUR, now);
    let leaf = CertificateDer::from_pem_slice(response.chain_pem.as_bytes()).expect("PEM");
    let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).expect("PEM");
    let (_, leaf) = X509Certificate::from_der(&leaf).expect("X.509");
    let (_, root) = X509Certificate::from_der(&root).expect("X.509");
    leaf.verify_signature(Some(root.public_key())).expect("signed by the root");
    assert_eq!(leaf.raw_serial().len(), 16);
    assert_eq!(leaf.raw_serial()[0], 0x7f, "positive");
}

#[test]
fn validity_is_bounded_by_the_authority_and_starts_before_now() {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let authority = Authority::create("root", HOUR, now).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let csr = CertificateParams::default().serialize_request(&key).and_then(|csr| csr.pem()).expect("a request");
    let rows = [(HOUR / 2, 1_800_001_800), (24 * HOUR, 1_800_003_600)];
    for (ttl, not_after) in rows {
        let response = issue(&csr, &authority, ttl, now);
        assert_eq!((response.not_before, response.not_after), (1_799_999_970, not_after), "{ttl:?}");
    }
}
