//! Verification of peers: chain to the bundle now, usage, and exactly one SPIFFE id of our trust domain.
//!
//! webpki knows DNS and IP names only, so its checks of chain, validity and extended key usage are used as they are, and the name check is
//! replaced by the URI check of SPIFFE X509-SVID §2 and §5.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tulle_core::identity::{SpiffeId, TrustDomain};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate names no acceptable peer.
#[derive(PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerError {
    /// The peer showed none.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// Not X.509.
    #[error("the peer's certificate cannot be read: {0}")]
    Unreadable(String),
    /// SPIFFE X509-SVID §2 wants one.
    #[error("the peer's certificate has {0} URI names; a SPIFFE certificate has exactly one")]
    UriNames(usize),
    /// The URI is not a SPIFFE id of a workload.
    #[error("the peer's certificate names {uri:?}, which is no SPIFFE id of this mesh: {reason}")]
    NotSpiffe {
        /// The URI.
        uri: String,
        /// Why.
        reason: String,
    },
    /// Another mesh.
    #[error("the peer {got} belongs to another trust domain; only {expected} is trusted")]
    TrustDomain {
        /// Ours.
        expected: TrustDomain,
        /// The peer.
        got: Box<SpiffeId>,
    },
    /// One particular peer was wanted.
    #[error("the peer is {got}, expected {expected}")]
    Unexpected {
        /// Who was wanted.
        expected: Box<SpiffeId>,
        /// Who answered.
        got: Box<SpiffeId>,
    },
}

/// The sentence: rustls shows a verifier's own errors by `Debug` only, and its text is what ends up in the log.
impl std::fmt::Debug for PeerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The identity in the first certificate of a chain. Says nothing about trust: the handshake's verifier did that.
pub(crate) fn peer_identity(chain: &[CertificateDer<'_>]) -> Result<SpiffeId, PeerError> {
    let leaf = chain.first().ok_or(PeerError::NoCertificate)?;
    let unreadable = |cause: String| PeerError::Unreadable(cause);
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|cause| unreadable(cause.to_string()))?;
    let names = leaf.subject_alternative_name().map_err(|cause| unreadable(cause.to_string()))?;
    let mut uris = Vec::new();
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::Invalid(..) => return Err(unreadable("a subject alternative name is malformed".to_owned())),
            _ => {}
        }
    }
    let [uri] = uris.as_slice() else { return Err(PeerError::UriNames(uris.len())) };
    uri.parse().map_err(|reason: tulle_core::identity::IdentityError| PeerError::NotSpiffe {
        uri: (*uri).to_owned(),
        reason: reason.to_string(),
    })
}

/// Whom a verifier accepts beyond the chain.
#[derive(Clone, Debug)]
pub(super) enum Accept {
    /// Everyone of this trust domain; the data path judges further.
    Domain(TrustDomain),
    /// This peer alone.
    Only(SpiffeId),
}

impl Accept {
    fn check(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        let got = Box::new(peer_identity(std::slice::from_ref(leaf)).map_err(refuse)?);
        match self {
            Accept::Domain(expected) if got.trust_domain() != expected => {
                Err(refuse(PeerError::TrustDomain { expected: expected.clone(), got }))
            }
            Accept::Only(expected) if *got != *expected => {
                Err(refuse(PeerError::Unexpected { expected: Box::new(expected.clone()), got }))
            }
            _ => Ok(()),
        }
    }
}

fn refuse(cause: PeerError) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(cause))))
}

/// Verifies servers, on the client side.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    roots: Arc<RootCertStore>,
    accept: Accept,
    provider: Arc<CryptoProvider>,
}

impl ServerVerifier {
    pub(super) fn new(roots: Arc<RootCertStore>, accept: Accept, provider: Arc<CryptoProvider>) -> ServerVerifier {
        ServerVerifier { roots, accept, provider }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>, // an address; the identity is the name here
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        self.accept.check(leaf)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Verifies clients, on the server side: webpki's verifier for the chain, then the identity.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    accept: Accept,
}

impl ClientVerifier {
    pub(super) fn new(
        roots: Arc<RootCertStore>,
        accept: Accept,
        provider: Arc<CryptoProvider>,
    ) -> Result<ClientVerifier, Error> {
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .clear_root_hint_subjects() // clients have one certificate; hints only lengthen the handshake
            .build()
            .map_err(|cause| Error::General(cause.to_string()))?;
        Ok(ClientVerifier { chain, accept })
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(leaf, intermediates, now)?;
        self.accept.check(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

fn tls12() -> Error {
    Error::General("mesh TLS is TLS 1.3 only".to_owned())
}
