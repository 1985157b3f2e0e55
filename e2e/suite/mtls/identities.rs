//! Certificates, good and bad, as an attacker with the cluster's secrets could make them.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use tulle_e2e::{Cluster, mesh};

/// Secret with the mesh's authority.
const AUTHORITY: &str = "secret/tulle-ca";

/// A chain and its key.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// The mesh's authority, and one that only looks like it.
pub(crate) struct Identities {
    ours: Issuer<'static, KeyPair>,
    foreign: Issuer<'static, KeyPair>,
}

impl Identities {
    /// Reads the authority from the cluster.
    pub(crate) fn of(cluster: &Cluster) -> Result<Self> {
        let secret = cluster.kubectl().namespaced(mesh::SYSTEM_NAMESPACE).get(AUTHORITY)?;
        let pem = |key: &str| -> Result<String> {
            let text = secret["data"][key].as_str().with_context(|| format!("the Secret has no {key}"))?;
            Ok(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text)?)?)
        };
        let certificate = pem("tls.crt")?;
        let ours = Issuer::from_ca_cert_pem(&certificate, KeyPair::from_pem(&pem("tls.key")?)?)?;
        // The same subject and the same extensions, but another key.
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self { ours, foreign: Issuer::new(params, KeyPair::generate()?) })
    }

    /// Good for the mesh.
    pub(crate) fn valid(&self, id: &str) -> Result<Identity> {
        let now = OffsetDateTime::now_utc();
        issue(&self.ours, Some(id), now - Duration::minutes(5), now + Duration::hours(1))
    }

    /// Of an authority nobody trusts.
    pub(crate) fn foreign(&self, id: &str) -> Result<Identity> {
        let now = OffsetDateTime::now_utc();
        issue(&self.foreign, Some(id), now - Duration::minutes(5), now + Duration::hours(1))
    }

    /// Out of date since an hour.
    pub(crate) fn expired(&self, id: &str) -> Result<Identity> {
        let now = OffsetDateTime::now_utc();
        issue(&self.ours, Some(id), now - Duration::hours(2), now - Duration::hours(1))
    }

    /// Signed by the mesh, with a DNS name in place of an identity.
    pub(crate) fn nameless(&self) -> Result<Identity> {
        let now = OffsetDateTime::now_utc();
        issue(&self.ours, None, now - Duration::minutes(5), now + Duration::hours(1))
    }
}

fn issue(
    issuer: &Issuer<'static, KeyPair>,
    id: Option<&str>,
    from: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Identity> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    let name = match id {
        Some(id) => SanType::URI(Ia5String::try_from(id)?),
        None => SanType::DnsName(Ia5String::try_from("web.shop.svc")?),
    };
    params.subject_alt_names = vec![name];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    (params.not_before, params.not_after) = (from, until);
    let certificate = params.signed_by(&key, issuer)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(Identity { chain: vec![certificate.der().clone()], key })
}
