//! Mesh TLS: one shared context that always holds a complete, ready-made pair of rustls configurations, or none.
//!
//! Rules: TLS 1.3 only (RFC 8446); X25519MLKEM768 first; both sides show a certificate that chains to the trust bundle and carries
//! exactly one SPIFFE id of our trust domain (SPIFFE X509-SVID §2, §5); no tickets, no resumption, no early data, because a resumed
//! session skips the verifier and could outlive a certificate or a root. ALPN names what runs inside, so the inbound side never guesses.
//!
//! Who may answer for a destination, and who may call, is decided by the data path from [`peer_identity`].

mod bundle;
mod client;
mod hello;
mod identity;
mod server;
mod stream;
#[cfg(any(test, feature = "lab"))]
#[expect(clippy::unwrap_used, reason = "certificates of tests are right or the test is over")]
pub(crate) mod testing;
mod verify;

pub(crate) use bundle::Bundle;
pub(crate) use client::issuer_client;
pub(crate) use hello::{Hello, MAX_HELLO_BYTES, mesh_hello, server_name};
pub(crate) use identity::{IdentityError, LeafFacts, WorkloadIdentity};
pub(crate) use stream::{TlsStream, accept, connect};
pub(crate) use verify::peer_identity;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite, ClientConfig, NamedGroup, ServerConfig};
use tulle_core::identity::TrustDomain;

use crate::config::KeyExchange;

/// What runs inside a mesh TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MeshProtocol {
    /// HTTP/1.1.
    H1,
    /// Many connections of HTTP/1.1: see [`mux`](crate::mux).
    H1Shared,
    /// HTTP/2.
    H2,
    /// Opaque bytes.
    Tcp,
}

impl MeshProtocol {
    /// All, in the order a server prefers them.
    pub(crate) const ALL: [MeshProtocol; 4] =
        [MeshProtocol::H2, MeshProtocol::H1Shared, MeshProtocol::H1, MeshProtocol::Tcp];

    /// The ALPN protocol id (RFC 7301); the prefix is ours, so no application's own TLS can be taken for mesh TLS.
    pub(crate) const fn alpn(self) -> &'static [u8] {
        match self {
            MeshProtocol::H1 => b"tulle/h1",
            MeshProtocol::H1Shared => b"tulle/h1-shared",
            MeshProtocol::H2 => b"tulle/h2",
            MeshProtocol::Tcp => b"tulle/tcp",
        }
    }

    /// The protocol an ALPN id names, if it is one of ours.
    pub(crate) fn from_alpn(id: &[u8]) -> Option<MeshProtocol> {
        MeshProtocol::ALL.into_iter().find(|protocol| protocol.alpn() == id)
    }
}

/// The current TLS configurations of this proxy. Written by the control thread, read by every data thread without a lock.
#[derive(Debug)]
pub(crate) struct TlsContext {
    trust_domain: TrustDomain,
    /// What the configurations are made of; locked only while the control thread replaces a part.
    material: Mutex<Material>,
    current: ArcSwapOption<Current>,
}

#[derive(Debug, Default)]
struct Material {
    identity: Option<Arc<WorkloadIdentity>>,
    bundle: Option<Arc<Bundle>>,
    generation: u64,
}

/// One consistent world: certificate, bundle and the configurations made of both.
#[derive(Debug)]
struct Current {
    /// By [`MeshProtocol`].
    clients: [Arc<ClientConfig>; 4],
    server: Arc<ServerConfig>,
    facts: Arc<TlsFacts>,
}

/// What is known of the certificate and bundle in use, for metrics, readiness and the administration port.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct TlsFacts {
    /// Facts of our own leaf.
    pub(crate) leaf: LeafFacts,
    /// SHA-256 of the bundle's certificates, hexadecimal; equal for equal sets.
    pub(crate) bundle_hash: String,
    /// Number of roots trusted.
    pub(crate) roots: usize,
    /// Counts replacements of either part, from 1.
    pub(crate) generation: u64,
}

impl TlsContext {
    /// An empty context: no connection can be made or accepted before [`set_identity`](Self::set_identity) and
    /// [`set_bundle`](Self::set_bundle) were both called.
    pub(crate) fn new(trust_domain: TrustDomain) -> Arc<TlsContext> {
        Arc::new(TlsContext { trust_domain, material: Mutex::default(), current: ArcSwapOption::empty() })
    }

    /// Replaces our certificate and key. New handshakes use them at once; open connections are untouched.
    ///
    /// # Errors
    /// When rustls refuses the configuration; the previous one stays in use.
    pub(crate) fn set_identity(&self, identity: Arc<WorkloadIdentity>) -> Result<(), rustls::Error> {
        self.replace(|material| material.identity = Some(identity))
    }

    /// Replaces the trusted roots. New handshakes use them at once.
    ///
    /// # Errors
    /// When rustls refuses the configuration; the previous one stays in use.
    pub(crate) fn set_bundle(&self, bundle: Arc<Bundle>) -> Result<(), rustls::Error> {
        self.replace(|material| material.bundle = Some(bundle))
    }

    /// Client configuration for this protocol; `None` before the first certificate.
    pub(crate) fn client(&self, protocol: MeshProtocol) -> Option<Arc<ClientConfig>> {
        self.current.load().as_ref().map(|current| Arc::clone(&current.clients[protocol as usize]))
    }

    /// Server configuration; `None` before the first certificate.
    pub(crate) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.current.load().as_ref().map(|current| Arc::clone(&current.server))
    }

    /// Facts of what is in use; `None` before the first certificate.
    pub(crate) fn facts(&self) -> Option<Arc<TlsFacts>> {
        self.current.load().as_ref().map(|current| Arc::clone(&current.facts))
    }

    fn replace(&self, change: impl FnOnce(&mut Material)) -> Result<(), rustls::Error> {
        // A poisoned lock holds whole values: every change below is one assignment.
        let mut material = self.material.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut material);
        let (Some(identity), Some(bundle)) = (&material.identity, &material.bundle) else { return Ok(()) };
        let generation = material.generation + 1;
        let facts = TlsFacts {
            leaf: identity.facts().clone(),
            bundle_hash: bundle.hash().to_owned(),
            roots: bundle.len(),
            generation,
        };
        let client = |protocol| client::mesh_client(&self.trust_domain, identity, bundle, protocol).map(Arc::new);
        let current = Current {
            clients: [
                client(MeshProtocol::H1)?,
                client(MeshProtocol::H1Shared)?,
                client(MeshProtocol::H2)?,
                client(MeshProtocol::Tcp)?,
            ],
            server: Arc::new(server::mesh_server(&self.trust_domain, identity, bundle)?),
            facts: Arc::new(facts),
        };
        material.generation = generation;
        self.current.store(Some(Arc::new(current)));
        Ok(())
    }
}

/// The one cryptography of the proxy: aws-lc. Its first cipher is AES-128-GCM, as in BoringSSL: 128 bits are enough for every leaf and
/// key exchange in use here, and two rounds in seven are saved against AES-256.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| {
        install_provider(KeyExchange::Hybrid);
        CryptoProvider::get_default().cloned().expect("installed above or by another thread")
    })
}

/// Decides on the cryptography of this process, once: what was installed first stays.
pub(crate) fn install_provider(key_exchange: KeyExchange) {
    let _ = provider_for(key_exchange).install_default();
}

fn provider_for(key_exchange: KeyExchange) -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    if key_exchange == KeyExchange::X25519 {
        provider.kx_groups.retain(|group| group.name() != NamedGroup::X25519MLKEM768);
    }
    provider
}

#[cfg(test)]
mod tests;
