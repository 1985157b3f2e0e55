//! The certificate a server shows, replaceable while it serves: a handshake takes whatever is current, open connections
//! are left alone.

use std::fmt;
use std::sync::Arc;

use anyhow::Context;
use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// A slot for one certificate chain with its key. Empty until the first [`replace`](Self::replace): handshakes fail then.
#[derive(Default)]
pub struct ServedCert(ArcSwapOption<CertifiedKey>);

impl ServedCert {
    /// An empty slot.
    #[must_use]
    pub fn empty() -> Arc<Self> {
        Arc::default()
    }

    /// Serves this chain (leaf first, PEM) and its key (PKCS #8, SEC 1 or PKCS #1 PEM) from the next handshake on. What
    /// was served before stays on error.
    ///
    /// # Errors
    /// The PEM does not parse, holds no certificate, or the key is not the leaf's. The key is never part of the message.
    pub fn replace(&self, chain_pem: &[u8], key_pem: &[u8]) -> anyhow::Result<()> {
        let chain = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| anyhow::anyhow!("certificate chain is not PEM: {error}"))?;
        anyhow::ensure!(!chain.is_empty(), "certificate chain holds no certificate");
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|_| anyhow::anyhow!("private key is not a PEM key in PKCS #8, SEC 1 or PKCS #1 form"))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider)
            .context("private key does not fit the certificate, or its kind is not supported")?;
        self.0.store(Some(Arc::new(certified)));
        Ok(())
    }

    /// Whether there is anything to serve.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.0.load().is_some()
    }
}

impl ResolvesServerCert for ServedCert {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl fmt::Debug for ServedCert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedCert").field("loaded", &self.is_loaded()).finish_non_exhaustive()
    }
}
