//! What is taken from a certificate request: its public key, and nothing else. Names, extensions, dates and even
//! requested CA bits are not read, so they cannot reach a certificate.

use rcgen::SubjectPublicKeyInfo;
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::der_parser::oid::Oid;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::AlgorithmIdentifier;

/// Why a request cannot be answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// Not PEM or not PKCS #10.
    #[error("the certificate request is not one PEM block of PKCS #10 (RFC 2986)")]
    Malformed,
    /// The sender does not hold the key, or the request was changed.
    #[error("the certificate request is not signed by its own key")]
    Signature,
    /// RSA, another curve, or anything unknown.
    #[error("the key is neither ECDSA P-256, ECDSA P-384 nor Ed25519; make one of these")]
    Key,
}

/// The public key of a PEM request whose signature proves possession of it.
///
/// RSA is refused altogether: no proxy makes one, its signatures cost the peer ten times as much, and there is then no
/// size to check.
///
/// # Errors
/// See [`BadRequest`].
pub fn public_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, BadRequest> {
    let der = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes()).map_err(|_| BadRequest::Malformed)?;
    let (rest, request) = X509CertificationRequest::from_der(&der).map_err(|_| BadRequest::Malformed)?;
    if !rest.is_empty() {
        return Err(BadRequest::Malformed);
    }
    let key = &request.certification_request_info.subject_pki;
    if !pair_is_accepted(&key.algorithm, &request.signature_algorithm) {
        return Err(BadRequest::Key);
    }
    request.verify_signature().map_err(|_| BadRequest::Signature)?;
    // From the key's own bytes, not from the signature algorithm: P-256 may sign with SHA-384.
    SubjectPublicKeyInfo::from_der(key.raw).map_err(|_| BadRequest::Key)
}

/// Key kinds every verifier of the mesh supports, each only with signatures of its own kind: a key that signs as
/// Ed25519 and calls itself P-256 proves nothing.
fn pair_is_accepted(key: &AlgorithmIdentifier<'_>, signature: &AlgorithmIdentifier<'_>) -> bool {
    let by_ecdsa = signature.algorithm == OID_SIG_ECDSA_WITH_SHA256 || signature.algorithm == OID_SIG_ECDSA_WITH_SHA384;
    if key.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve: Option<Oid<'_>> = key.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        return by_ecdsa && curve.is_some_and(|curve| curve == OID_EC_P256 || curve == OID_NIST_EC_P384);
    }
    key.algorithm == OID_SIG_ED25519 && signature.algorithm == OID_SIG_ED25519
}

#[cfg(test)]
mod tests;
