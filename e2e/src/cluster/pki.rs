//! The certificates of a cluster: one authority, one client certificate per user, all good for a month.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use time::{Duration, OffsetDateTime};

use super::Addresses;

/// Longer than any test, short enough that a forgotten key is soon worth nothing.
const LIFETIME: Duration = Duration::days(30);
/// Clocks do not go backwards by more than this while a cluster boots.
const SKEW: Duration = Duration::minutes(5);

/// The folder that holds the keys, and their names in it.
#[derive(Debug, Clone)]
pub(super) struct Pki {
    folder: PathBuf,
}

/// Who a certificate is for.
struct Subject {
    file: String,
    common_name: String,
    /// Kubernetes reads groups from the organization.
    group: Option<&'static str>,
    dns: Vec<String>,
    addresses: Vec<IpAddr>,
}

impl Pki {
    pub(super) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn certificate(&self, name: &str) -> String {
        self.path(&format!("{name}.crt"))
    }

    pub(super) fn key(&self, name: &str) -> String {
        self.path(&format!("{name}.key"))
    }

    pub(super) fn authority(&self) -> String {
        self.certificate("ca")
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    /// Makes everything: the authority, the key of ServiceAccount tokens, and a certificate for each subject.
    pub(super) fn create(&self, addresses: Addresses, nodes: u8) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let issuer = self.create_authority()?;
        let tokens = KeyPair::generate()?;
        write_secret(&self.folder.join("sa.key"), &tokens.serialize_pem())?;
        fs::write(self.folder.join("sa.pub"), tokens.public_key_pem())?;
        for subject in subjects(addresses, nodes) {
            self.issue(&issuer, &subject)
                .with_context(|| format!("cannot issue a certificate for {}", subject.common_name))?;
        }
        Ok(())
    }

    fn create_authority(&self) -> Result<Issuer<'static, KeyPair>> {
        let mut params = params("tulle-e2e", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        fs::write(self.folder.join("ca.crt"), params.self_signed(&key)?.pem())?;
        write_secret(&self.folder.join("ca.key"), &key.serialize_pem())?;
        Ok(Issuer::new(params, key))
    }

    fn issue(&self, issuer: &Issuer<'static, KeyPair>, subject: &Subject) -> Result<()> {
        let mut params = params(&subject.common_name, subject.group);
        for name in &subject.dns {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.subject_alt_names.extend(subject.addresses.iter().copied().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, issuer)?;
        fs::write(self.certificate(&subject.file), certificate.pem())?;
        write_secret(Path::new(&self.key(&subject.file)), &key.serialize_pem())
    }
}

fn params(common_name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    let now = OffsetDateTime::now_utc();
    params.not_before = now - SKEW;
    params.not_after = now + LIFETIME;
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Everyone who speaks TLS in a cluster: kubernetes.io/docs/setup/best-practices/certificates.
fn subjects(addresses: Addresses, nodes: u8) -> Vec<Subject> {
    let client = |file: &str, common_name: &str, group| Subject {
        file: file.to_owned(),
        common_name: common_name.to_owned(),
        group,
        dns: Vec::new(),
        addresses: Vec::new(),
    };
    let mut all = vec![
        client("admin", "admin", Some("system:masters")),
        client("kube-controller-manager", "system:kube-controller-manager", None),
        client("kube-scheduler", "system:kube-scheduler", None),
        client("kube-proxy", "system:kube-proxy", None),
        client("apiserver-kubelet", "apiserver-kubelet", Some("system:masters")),
    ];
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
    ];
    all.push(Subject {
        dns: names.map(str::to_owned).to_vec(),
        addresses: vec![[127, 0, 0, 1].into(), addresses.node(1).into(), addresses.api_service().into()],
        ..client("kube-apiserver", "kube-apiserver", None)
    });
    for number in 1..=nodes {
        let node = super::node::name(number);
        all.push(Subject {
            dns: vec![node.clone()],
            addresses: vec![addresses.node(number).into()],
            ..client(&format!("kubelet-{node}"), &format!("system:node:{node}"), Some("system:nodes"))
        });
    }
    all
}

pub(super) fn write_secret(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_is_named_as_the_node_authorizer_expects() {
        let subjects = subjects(Addresses::new(0), 2);
        let node = subjects.iter().find(|subject| subject.file == "kubelet-n2").expect("second node");
        assert_eq!((node.common_name.as_str(), node.group), ("system:node:n2", Some("system:nodes")));
        assert_eq!(node.addresses, [IpAddr::from([198, 18, 0, 3])]);
    }

    #[test]
    fn the_api_server_is_valid_for_its_service() {
        let subjects = subjects(Addresses::new(1), 1);
        let server = subjects.iter().find(|subject| subject.file == "kube-apiserver").expect("API server");
        assert!(server.addresses.contains(&[198, 19, 16, 1].into()));
        assert!(server.dns.iter().any(|name| name == "kubernetes.default.svc"));
    }
}
