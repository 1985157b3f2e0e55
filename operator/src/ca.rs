//! The certificate authority of the mesh as a value: a root, its key, and what can be asked of it. No I/O; how it gets
//! into and out of its Secret is [`store`].

use std::fmt;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

pub mod store;

/// Tolerated difference between our clock and a verifier's.
pub const CLOCK_SKEW: Duration = Duration::from_secs(30);

/// A root certificate with its key.
///
/// Name constraints are absent on purpose: webpki refuses every chain with URI name constraints (RUSTSEC-2026-0098).
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    key_pem: String,
    not_after: SystemTime,
    fingerprint: String,
}

/// Why a Secret's content is no authority. Says nothing of the key but that it does not fit.
#[derive(Debug, thiserror::Error)]
pub enum BadAuthority {
    /// Not PEM, or not X.509.
    #[error("tls.crt is not a PEM certificate: {0}")]
    Certificate(String),
    /// The certificate may not sign others.
    #[error("tls.crt is not a CA certificate: basicConstraints CA:TRUE and key usage keyCertSign are needed")]
    NotCa,
    /// Name constraints would make every verifier refuse.
    #[error("tls.crt carries name constraints, which proxies cannot verify for URI names; use a CA without them")]
    NameConstraints,
    /// The validity has ended.
    #[error("tls.crt has expired")]
    Expired,
    /// The key does not parse or belongs to another certificate.
    #[error("tls.key does not parse or is not the key of tls.crt")]
    Key,
}

impl Authority {
    /// Makes a new ECDSA P-256 root that lives `ttl` from `now`.
    ///
    /// # Errors
    /// The cryptographic library failed, which means it has no randomness.
    pub fn create(common_name: &str, ttl: Duration, now: SystemTime) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.not_before = OffsetDateTime::from(now - CLOCK_SKEW);
        params.not_after = OffsetDateTime::from(now + ttl);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            not_after: now + ttl,
            fingerprint: fingerprint(certificate.der()),
            issuer: Issuer::new(params, key),
        })
    }

    /// Reads what [`create`](Self::create) or a person put into a Secret.
    ///
    /// # Errors
    /// See [`BadAuthority`].
    pub fn parse(certificate_pem: &str, key_pem: &str, now: SystemTime) -> Result<Self, BadAuthority> {
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|error| BadAuthority::Certificate(error.to_string()))?;
        let (_, certificate) =
            X509Certificate::from_der(&der).map_err(|error| BadAuthority::Certificate(error.to_string()))?;
        check(&certificate, now)?;
        let key = KeyPair::from_pem(key_pem).map_err(|_| BadAuthority::Key)?;
        if key.subject_public_key_info() != certificate.public_key().raw {
            return Err(BadAuthority::Key);
        }
        Ok(Self {
            certificate_pem: certificate_pem.to_owned(),
            key_pem: key_pem.to_owned(),
            not_after: certificate.validity().not_after.to_datetime().into(),
            fingerprint: fingerprint(&der),
            issuer: Issuer::from_ca_cert_der(&der, key)
                .map_err(|error| BadAuthority::Certificate(error.to_string()))?,
        })
    }

    /// What signs.
    #[must_use]
    pub fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// The root, PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The key, PEM; goes into the Secret and nowhere else.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// End of the root's validity.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// SHA-256 of the certificate, hexadecimal: how logs and messages name a root.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Whether this root is one of the PEM certificates of a trust bundle.
    #[must_use]
    pub fn is_in(&self, bundle_pem: &str) -> bool {
        CertificateDer::pem_slice_iter(bundle_pem.as_bytes())
            .any(|certificate| certificate.is_ok_and(|der| fingerprint(&der) == self.fingerprint))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

fn check(certificate: &X509Certificate<'_>, now: SystemTime) -> Result<(), BadAuthority> {
    let may_sign = certificate.key_usage().ok().flatten().is_none_or(|usage| usage.value.key_cert_sign());
    if !certificate.is_ca() || !may_sign {
        return Err(BadAuthority::NotCa);
    }
    if !matches!(certificate.name_constraints(), Ok(None)) {
        return Err(BadAuthority::NameConstraints);
    }
    if SystemTime::from(certificate.validity().not_after.to_datetime()) <= now {
        return Err(BadAuthority::Expired);
    }
    Ok(())
}

fn fingerprint(der: &CertificateDer<'_>) -> String {
    Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
