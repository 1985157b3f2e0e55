use rcgen::{CertificateParams, KeyPair, PublicKeyData};

use super::{BadRequest, public_key};

fn request(key: &KeyPair) -> String {
    CertificateParams::default().serialize_request(key).and_then(|csr| csr.pem()).expect("a request")
}

#[test]
fn key_kinds() {
    let rows: [(&rcgen::SignatureAlgorithm, bool); 5] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, true),
        (&rcgen::PKCS_ECDSA_P384_SHA384, true),
        (&rcgen::PKCS_ED25519, true),
        (&rcgen::PKCS_ECDSA_P521_SHA512, false),
        (&rcgen::PKCS_RSA_SHA256, false),
    ];
    for (algorithm, accepted) in rows {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let answer = public_key(&request(&key));
        if accepted {
            let public = answer.unwrap_or_else(|error| panic!("{algorithm:?}: {error}"));
            assert_eq!(public.subject_public_key_info(), key.subject_public_key_info(), "{algorithm:?}");
        } else {
            assert_eq!(answer.expect_err("refused"), BadRequest::Key, "{algorithm:?}");
        }
    }
}

#[test]
fn a_request_must_be_signed_by_its_key() {
    let key = KeyPair::generate().expect("a key");
    let csr = CertificateParams::default().serialize_request(&key).expect("a request");
    let mut der = csr.der().to_vec();
    // One bit of the signature's last octet; the structure stays whole.
    *der.last_mut().expect("not empty") ^= 1;
    let pem = pem("CERTIFICATE REQUEST", &der);
    assert_eq!(public_key(&pem).expect_err("refused"), BadRequest::Signature);
}

#[test]
fn what_is_no_request() {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
    let csr = CertificateParams::default().serialize_request(&key).expect("a request");
    let mut trailing = csr.der().to_vec();
    trailing.push(0);
    let rows = [
        String::new(),
        "garbage".to_owned(),
        certificate.pem(),
        key.serialize_pem(),
        pem("CERTIFICATE REQUEST", &[]),
        pem("CERTIFICATE REQUEST", &trailing),
        pem("CERTIFICATE REQUEST", &csr.der()[..40]),
    ];
    for row in rows {
        assert_eq!(public_key(&row).expect_err("refused"), BadRequest::Malformed, "{row}");
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
