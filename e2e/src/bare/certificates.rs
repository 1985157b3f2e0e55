//! Throw-away authorities and P-256 leaves: for the API server, and for the proxies Tulle is compared with.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

/// Longer than any run.
const LIFETIME: Duration = Duration::days(2);
/// The clock may be set back a little while we run.
const SKEW: Duration = Duration::minutes(5);

/// Who a leaf is for.
#[derive(Debug, Default)]
pub struct Subject<'a> {
    /// Names the files: `<file>.crt`, `<file>.key`, and `<file>.pem` with both.
    pub file: &'a str,
    /// Common name; Kubernetes takes it for the user.
    pub common_name: &'a str,
    /// Organization; Kubernetes takes it for the group.
    pub group: Option<&'a str>,
    /// DNS names.
    pub dns: &'a [&'a str],
    /// Addresses.
    pub addresses: &'a [IpAddr],
    /// SPIFFE id.
    pub uri: Option<&'a str>,
}

/// An authority and the folder it writes to; its certificate is `ca.crt` there.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority with this name.
    pub fn new(folder: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let mut params = params(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        fs::write(folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
        Ok(Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// Writes certificate and key of a leaf.
    pub fn issue(&self, subject: &Subject<'_>) -> Result<()> {
        let mut params = params(subject.common_name, subject.group);
        for name in subject.dns {
            params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
        }
        params.subject_alt_names.extend(subject.addresses.iter().copied().map(SanType::IpAddress));
        if let Some(uri) = subject.uri {
            params.subject_alt_names.push(SanType::URI(uri.try_into()?));
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let (certificate, key_pem) = (params.signed_by(&key, &self.issuer)?.pem(), key.serialize_pem());
        let write = |extension: &str, text: &str| {
            let path = self.folder.join(format!("{}.{extension}", subject.file));
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("crt", &certificate)?;
        write("key", &key_pem)?;
        write("pem", &format!("{certificate}{key_pem}"))
    }

    /// Path of a file in the folder.
    pub fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }
}

/// A key pair without certificate, for ServiceAccount tokens: `<name>.key` and `<name>.pub`.
pub fn write_key_pair(folder: &Path, name: &str) -> Result<()> {
    let pair = KeyPair::generate()?;
    fs::write(folder.join(format!("{name}.key")), pair.serialize_pem())?;
    fs::write(folder.join(format!("{name}.pub")), pair.public_key_pem())?;
    Ok(())
}

fn params(common_name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - SKEW;
    params.not_after = now + LIFETIME;
    params.distinguished_name = DistinguishedName::new();
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}
