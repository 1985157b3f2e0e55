//! The trust bundle: the roots every peer certificate must chain to. Several at once while a root is being replaced.

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tulle_core::sidecar::TRUST_BUNDLE_CONFIG_MAP;

/// Most roots accepted; a rotation needs two, a merger of organisations a handful.
const MAX_ROOTS: usize = 32;

/// Parsed roots.
#[derive(Debug)]
pub(crate) struct Bundle {
    roots: Arc<RootCertStore>,
    hash: String,
}

/// Why a bundle was not taken; the previous one stays in use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    /// Nothing in it.
    #[error(
        "the trust bundle holds no certificate; restore the ConfigMap {TRUST_BUNDLE_CONFIG_MAP} in the system namespace"
    )]
    Empty,
    /// More than accepted.
    #[error("the trust bundle holds more than {MAX_ROOTS} certificates; remove retired roots")]
    TooMany,
    /// Not PEM.
    #[error("the trust bundle is not PEM: {0}")]
    NotPem(rustls_pki_types::pem::Error),
    /// A certificate that cannot be a root.
    #[error("certificate {index} of the trust bundle cannot be a root: {source}")]
    BadRoot {
        /// Position, from 1.
        index: usize,
        /// Why.
        source: rustls::Error,
    },
}

impl Bundle {
    /// Reads PEM certificates. All must be readable: a bundle that is trusted in part would fail in part.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Bundle, BundleError> {
        let mut certificates = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificates.push(certificate.map_err(BundleError::NotPem)?);
            if certificates.len() > MAX_ROOTS {
                return Err(BundleError::TooMany);
            }
        }
        if certificates.is_empty() {
            return Err(BundleError::Empty);
        }
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            roots.add(certificate.clone()).map_err(|source| BundleError::BadRoot { index: index + 1, source })?;
        }
        Ok(Bundle { roots: Arc::new(roots), hash: hash(certificates) })
    }

    /// The roots, for verifiers.
    pub(super) fn roots(&self) -> &Arc<RootCertStore> {
        &self.roots
    }

    /// SHA-256 over the sorted certificates, hexadecimal: the same set has the same hash whatever its order or line breaks.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    /// Number of roots.
    pub(crate) fn len(&self) -> usize {
        self.roots.len()
    }
}

fn hash(mut certificates: Vec<CertificateDer<'static>>) -> String {
    certificates.sort_by(|a, b| a.as_ref().cmp(b.as_ref()));
    certificates.dedup();
    let mut context = digest::Context::new(&digest::SHA256);
    for certificate in &certificates {
        context.update(certificate);
    }
    super::identity::hex(context.finish().as_ref())
}
