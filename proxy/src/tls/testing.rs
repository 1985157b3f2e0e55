//! Certificates for tests: a CA of its own and leaves that are right, or wrong in one named way.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SanType,
};
use rustls_pki_types::PrivateKeyDer;
use time::{Duration, OffsetDateTime};

use super::{Bundle, TlsContext, WorkloadIdentity};

/// The trust domain of tests.
pub(crate) const TRUST_DOMAIN: &str = "cluster.local";

/// A certificate authority.
pub(crate) struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What to put into a leaf.
#[derive(Clone)]
pub(crate) struct Leaf {
    /// URI names.
    pub(crate) uris: Vec<String>,
    /// DNS names.
    pub(crate) dns: Vec<String>,
    /// Start of validity relative to now.
    pub(crate) starts_in: Duration,
    /// End of validity relative to now.
    pub(crate) ends_in: Duration,
    /// Extended key usages.
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
}

impl Leaf {
    /// As the issuer makes them: one URI, both usages, valid now.
    pub(crate) fn of(uri: &str) -> Leaf {
        Leaf {
            uris: vec![uri.to_owned()],
            dns: Vec::new(),
            starts_in: -Duration::minutes(1),
            ends_in: Duration::hours(1),
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        }
    }
}

impl TestCa {
    pub(crate) fn new(name: &str) -> TestCa {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        TestCa { issuer: Issuer::new(params, key), pem }
    }

    /// The root certificate.
    #[cfg(test)]
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    pub(crate) fn bundle(&self) -> Arc<Bundle> {
        Arc::new(Bundle::from_pem(self.pem.as_bytes()).unwrap())
    }

    /// Signs a leaf for this public key; PEM.
    pub(crate) fn sign(&self, leaf: &Leaf, key: &impl PublicKeyData) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new(); // makes the SAN critical, as the issuer does
        params.is_ca = IsCa::ExplicitNoCa;
        let uris = leaf.uris.iter().map(|uri| SanType::URI(uri.as_str().try_into().unwrap()));
        let dns = leaf.dns.iter().map(|name| SanType::DnsName(name.as_str().try_into().unwrap()));
        params.subject_alt_names = uris.chain(dns).collect();
        params.not_before = OffsetDateTime::now_utc() + leaf.starts_in;
        params.not_after = OffsetDateTime::now_utc() + leaf.ends_in;
        params.extended_key_usages = leaf.usages.clone();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer).unwrap().pem()
    }

    /// A checked identity.
    pub(crate) fn identity(&self, id: &str) -> Arc<WorkloadIdentity> {
        let key = KeyPair::generate().unwrap();
        let chain = self.sign(&Leaf::of(id), &key);
        Arc::new(WorkloadIdentity::new(chain.as_bytes(), private(&key), &id.parse().unwrap()).unwrap())
    }

    /// An identity whose certificate may be anything.
    #[cfg(test)]
    pub(crate) fn unchecked(&self, leaf: &Leaf) -> Arc<WorkloadIdentity> {
        let key = KeyPair::generate().unwrap();
        let chain = self.sign(leaf, &key);
        Arc::new(WorkloadIdentity::unchecked(chain.as_bytes(), private(&key)))
    }

    /// A context ready to connect and accept as `id`, trusting this CA.
    pub(crate) fn context(&self, id: &str) -> Arc<TlsContext> {
        context(self.identity(id), self.bundle())
    }
}

/// A context of these parts.
pub(crate) fn context(identity: Arc<WorkloadIdentity>, bundle: Arc<Bundle>) -> Arc<TlsContext> {
    let context = TlsContext::new(TRUST_DOMAIN.parse().unwrap());
    context.set_identity(identity).unwrap();
    context.set_bundle(bundle).unwrap();
    context
}

/// The private key in the form rustls takes.
pub(crate) fn private(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(key.serialize_der().into())
}
