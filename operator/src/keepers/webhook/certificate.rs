//! (pure) The webhook's serving certificate: for which names, for how long, and whether the one at hand still does.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::admissionregistration::v1::WebhookClientConfig;
use k8s_openapi::api::core::v1::Secret;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::ca::store::tls_secret;
use crate::ca::{Authority, CLOCK_SKEW};
use crate::config::{WEBHOOK, WEBHOOK_TLS_SECRET};

/// Life of the certificate; renewed at half of it. The kubelet shows a changed Secret within two minutes, so weeks are
/// left for the webhook to pick it up.
pub const TTL: Duration = Duration::from_secs(90 * 24 * 3600);

/// Where the webhook is called.
#[derive(Clone, Debug)]
pub struct Names {
    /// Namespace of its Service.
    pub namespace: String,
    /// DNS domain of the cluster.
    pub cluster_domain: String,
}

/// How long a certificate does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When to make the next one.
    pub renew_at: SystemTime,
    /// When it ends.
    pub not_after: SystemTime,
}

impl Names {
    /// Whether a webhook configuration calls our Service.
    #[must_use]
    pub fn is_called_by(&self, config: &WebhookClientConfig) -> bool {
        config.service.as_ref().is_some_and(|service| service.name == WEBHOOK && service.namespace == self.namespace)
    }

    /// DNS names of the Service; the API server uses `name.namespace.svc`.
    fn dns(&self) -> Vec<String> {
        let service = format!("{WEBHOOK}.{}", self.namespace);
        vec![format!("{service}.svc"), service.clone(), format!("{service}.svc.{}", self.cluster_domain)]
    }
}

/// A new key and its certificate, as the Secret to write.
///
/// # Errors
/// The cryptographic library failed, or a name cannot stand in a certificate.
pub fn make(authority: &Authority, names: &Names, now: SystemTime) -> Result<(Secret, Validity), rcgen::Error> {
    let key = KeyPair::generate()?;
    let (not_before, not_after) = (now - CLOCK_SKEW, (now + TTL).min(authority.not_after()));
    let mut params = CertificateParams::new(names.dns())?;
    params.not_before = OffsetDateTime::from(not_before);
    params.not_after = OffsetDateTime::from(not_after);
    params.distinguished_name = DistinguishedName::new();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, authority.issuer())?;
    let secret = tls_secret(WEBHOOK_TLS_SECRET, &certificate.pem(), &key.serialize_pem());
    Ok((secret, Validity { renew_at: half(not_before, not_after), not_after }))
}

/// The validity of the certificate in the Secret, or `None` where a new one is due: it is past half of its life, of
/// another authority, for other names, or its key does not fit.
#[must_use]
pub fn usable(secret: &Secret, authority: &Authority, names: &Names, now: SystemTime) -> Option<Validity> {
    let data = secret.data.as_ref()?;
    let der = CertificateDer::from_pem_slice(&data.get("tls.crt")?.0).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let key = KeyPair::from_pem(std::str::from_utf8(&data.get("tls.key")?.0).ok()?).ok()?;
    let root = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).ok()?;
    let (_, root) = X509Certificate::from_der(&root).ok()?;
    certificate.verify_signature(Some(root.public_key())).ok()?;
    let names_in_it = &certificate.subject_alternative_name().ok()??.value.general_names;
    let named = names.dns().iter().all(|name| names_in_it.contains(&GeneralName::DNSName(name)));
    let not_before = SystemTime::from(certificate.validity().not_before.to_datetime());
    let not_after = SystemTime::from(certificate.validity().not_after.to_datetime());
    let renew_at = half(not_before, not_after);
    let fits = key.subject_public_key_info() == certificate.public_key().raw;
    (named && fits && now < renew_at).then_some(Validity { renew_at, not_after })
}

fn half(from: SystemTime, to: SystemTime) -> SystemTime {
    from + to.duration_since(from).unwrap_or_default() / 2
}

#[cfg(test)]
mod tests;
