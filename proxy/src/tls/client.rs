//! Client side configurations: towards peers of the mesh, and towards the issuer.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::{ClientConfig, Error};
use tulle_core::identity::{SpiffeId, TrustDomain};

use super::verify::{Accept, ServerVerifier};
use super::{Bundle, MeshProtocol, WorkloadIdentity, provider};

/// For connections to peers: we show our certificate and accept any identity of the trust domain.
pub(super) fn mesh_client(
    trust_domain: &TrustDomain,
    identity: &WorkloadIdentity,
    bundle: &Bundle,
    protocol: MeshProtocol,
) -> Result<ClientConfig, Error> {
    let verifier = ServerVerifier::new(Arc::clone(bundle.roots()), Accept::Domain(trust_domain.clone()), provider());
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // rustls' word for any verifier of one's own; ours is `verify.rs`
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(identity.resolver());
    Ok(harden(config, vec![protocol.alpn().to_vec()]))
}

/// For the request of a certificate: we have none yet, and accept the issuer's identity alone.
///
/// # Errors
/// When rustls refuses the configuration, which no input can cause.
pub(crate) fn issuer_client(issuer: &SpiffeId, bundle: &Bundle) -> Result<ClientConfig, Error> {
    let verifier = ServerVerifier::new(Arc::clone(bundle.roots()), Accept::Only(issuer.clone()), provider());
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous() // as above
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(harden(config, vec![b"http/1.1".to_vec()]))
}

fn harden(mut config: ClientConfig, alpn: Vec<Vec<u8>>) -> ClientConfig {
    config.alpn_protocols = alpn;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false; // the identity is the name; SNI would tell an onlooker the destination
    config
}
