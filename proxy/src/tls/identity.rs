//! Our own certificate and key, checked before anything uses them.

use std::fmt::Write as _;
use std::sync::Arc;

use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tulle_core::identity::SpiffeId;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::verify::{PeerError, peer_identity};

/// Longest chain accepted from the issuer: leaf, intermediates of an outside CA, and reserve.
const MAX_CHAIN: usize = 8;

/// A certificate chain with the private key that belongs to it.
pub(crate) struct WorkloadIdentity {
    key: Arc<SingleCertAndKey>,
    facts: LeafFacts,
}

/// What the leaf says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct LeafFacts {
    /// Our SPIFFE id.
    #[serde(serialize_with = "as_text")]
    pub(crate) identity: SpiffeId,
    /// Serial number, hexadecimal.
    pub(crate) serial: String,
    /// Start of validity, Unix seconds.
    pub(crate) not_before: u64,
    /// End of validity, Unix seconds.
    pub(crate) not_after: u64,
    /// SHA-256 of the public key, hexadecimal: differs after each renewal.
    pub(crate) key_hash: String,
}

/// Why a certificate was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// Not PEM.
    #[error("the certificate chain is not PEM: {0}")]
    NotPem(rustls_pki_types::pem::Error),
    /// Empty or too long.
    #[error("the certificate chain has {0} certificates; expected 1 to {MAX_CHAIN}")]
    ChainLength(usize),
    /// Not X.509.
    #[error("the leaf certificate cannot be read: {0}")]
    NotX509(String),
    /// No usable SPIFFE id.
    #[error("the leaf certificate carries no usable identity: {0}")]
    NoIdentity(#[from] PeerError),
    /// Somebody else's.
    #[error("the certificate names {got}, but this pod is {expected}; is the ServiceAccount token from another pod?")]
    WrongIdentity {
        /// What was expected.
        expected: Box<SpiffeId>,
        /// What the certificate says.
        got: Box<SpiffeId>,
    },
    /// The key does not belong to it.
    #[error("the certificate does not belong to the key that was requested: {0}")]
    WrongKey(rustls::Error),
}

impl WorkloadIdentity {
    /// Checks that `chain_pem` is for `expected` and belongs to `key`.
    ///
    /// Whether it chains to the trust bundle is left to peers: while a root is being replaced the bundle here may be behind.
    pub(crate) fn new(
        chain_pem: &[u8],
        key: PrivateKeyDer<'static>,
        expected: &SpiffeId,
    ) -> Result<WorkloadIdentity, IdentityError> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_pem)
            .take(MAX_CHAIN + 1)
            .collect::<Result<_, _>>()
            .map_err(IdentityError::NotPem)?;
        if chain.is_empty() || chain.len() > MAX_CHAIN {
            return Err(IdentityError::ChainLength(chain.len()));
        }
        let identity = peer_identity(&chain)?;
        if identity != *expected {
            return Err(IdentityError::WrongIdentity { expected: Box::new(expected.clone()), got: Box::new(identity) });
        }
        let facts = LeafFacts::read(&chain[0], identity)?;
        let certified = CertifiedKey::from_der(chain, key, &super::provider()).map_err(IdentityError::WrongKey)?;
        Ok(WorkloadIdentity { key: Arc::new(SingleCertAndKey::from(certified)), facts })
    }

    /// Without any check, for tests of what peers do with a wrong certificate.
    #[cfg(test)]
    pub(super) fn unchecked(chain_pem: &[u8], key: PrivateKeyDer<'static>) -> WorkloadIdentity {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem).collect::<Result<_, _>>().unwrap();
        let facts = LeafFacts::read(&chain[0], "spiffe://cluster.local/ns/test/sa/unchecked".parse().unwrap()).unwrap();
        let key = super::provider().key_provider.load_private_key(key).unwrap();
        WorkloadIdentity { key: Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))), facts }
    }

    /// Facts of the leaf.
    pub(crate) fn facts(&self) -> &LeafFacts {
        &self.facts
    }

    /// The resolver both rustls configurations share.
    pub(super) fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::clone(&self.key)
    }
}

impl std::fmt::Debug for WorkloadIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkloadIdentity").field("facts", &self.facts).finish_non_exhaustive()
    }
}

impl LeafFacts {
    fn read(leaf: &CertificateDer<'_>, identity: SpiffeId) -> Result<LeafFacts, IdentityError> {
        let (_, leaf) = X509Certificate::from_der(leaf).map_err(|cause| IdentityError::NotX509(cause.to_string()))?;
        let seconds = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
        let key = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf.public_key().raw);
        Ok(LeafFacts {
            identity,
            serial: hex(leaf.raw_serial()),
            not_before: seconds(leaf.validity().not_before),
            not_after: seconds(leaf.validity().not_after),
            key_hash: hex(key.as_ref()),
        })
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
    }
    text
}

fn as_text<S: serde::Serializer>(identity: &SpiffeId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(identity)
}
