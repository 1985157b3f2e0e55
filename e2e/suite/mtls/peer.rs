//! A peer of our own making that speaks to a proxy as another proxy would, with whatever certificate it is given.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use tulle_e2e::http::{self, Connect};
use tulle_e2e::inside::Inside;

use super::identities::Identity;

/// ALPN of HTTP/1.1 between proxies.
const MESH_HTTP1: &[u8] = b"tulle/h1";
const TIMEOUT: Duration = Duration::from_secs(10);

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The application's status.
    Answered(u16),
    /// The handshake or the connection was ended; why, in the peer's words.
    Refused(String),
}

/// What a server showed.
#[derive(Debug)]
pub(crate) struct Presented {
    /// The leaf, DER.
    pub(crate) certificate: Vec<u8>,
    /// Its public key, DER.
    pub(crate) public_key: Vec<u8>,
}

/// Calls `GET /` with this identity.
pub(crate) fn call(network: &Inside, address: SocketAddr, identity: Option<Identity>) -> Result<Outcome> {
    let mut stream = connect(network, address, identity, Arc::default())?;
    // TLS 1.3: the server judges our certificate after our side of the handshake is done, so the refusal comes with the answer.
    let exchanged = stream
        .write_all(b"GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n")
        .and_then(|()| stream.flush())
        .map_err(anyhow::Error::from)
        .and_then(|()| http::read(&mut stream));
    Ok(match exchanged {
        Ok(answer) => Outcome::Answered(answer.status),
        Err(error) => Outcome::Refused(format!("{error:#}")),
    })
}

/// Looks at the certificate of a server, without one of our own.
pub(crate) fn presented_certificate(network: &Inside, address: SocketAddr) -> Result<Presented> {
    let seen: Seen = Arc::default();
    let mut stream = connect(network, address, None, Arc::clone(&seen))?;
    // The server ends the handshake for want of our certificate; it has shown its own by then.
    let _ = stream.read(&mut [0; 1]);
    let certificate =
        seen.lock().unwrap_or_else(PoisonError::into_inner).take().context("the server showed no certificate")?;
    let (_, parsed) =
        x509_parser::parse_x509_certificate(&certificate).context("the server's certificate does not parse")?;
    let public_key = parsed.public_key().raw.to_vec();
    Ok(Presented { certificate: certificate.to_vec(), public_key })
}

fn connect(
    network: &Inside,
    address: SocketAddr,
    identity: Option<Identity>,
    seen: Seen,
) -> Result<StreamOwned<ClientConnection, std::net::TcpStream>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Onlooker { provider, seen }));
    let mut config = match identity {
        Some(identity) => config.with_client_auth_cert(identity.chain, identity.key)?,
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![MESH_HTTP1.to_vec()];
    let connection = ClientConnection::new(Arc::new(config), ServerName::IpAddress(address.ip().into()))?;
    let socket = network.connect(address)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    Ok(StreamOwned::new(connection, socket))
}

type Seen = Arc<Mutex<Option<CertificateDer<'static>>>>;

/// Believes every server, and remembers what it showed: here the servers are not on trial.
#[derive(Debug)]
struct Onlooker {
    provider: Arc<CryptoProvider>,
    seen: Seen,
}

impl ServerCertVerifier for Onlooker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 was not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
