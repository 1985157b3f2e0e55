//! Server side configuration: the inbound side of the mesh.

use std::sync::Arc;

use rustls::server::NoServerSessionStorage;
use rustls::{Error, ServerConfig};
use tulle_core::identity::TrustDomain;

use super::verify::{Accept, ClientVerifier};
use super::{Bundle, MeshProtocol, WorkloadIdentity, provider};

/// Requires a client certificate of the trust domain.
pub(super) fn mesh_server(
    trust_domain: &TrustDomain,
    identity: &WorkloadIdentity,
    bundle: &Bundle,
) -> Result<ServerConfig, Error> {
    let verifier = ClientVerifier::new(Arc::clone(bundle.roots()), Accept::Domain(trust_domain.clone()), provider())?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(identity.resolver());
    config.alpn_protocols = MeshProtocol::ALL.map(|protocol| protocol.alpn().to_vec()).into();
    // A ticket would let a peer resume past the verifier after its certificate expired or its root was removed.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(config)
}
