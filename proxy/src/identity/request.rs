//! One request to the issuer: `POST` over TLS 1.3 to an operator that the trust bundle and its SPIFFE id prove ([`tulle_core::issuance`]).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tulle_core::issuance::{self, MAX_BODY_BYTES, Refusal, Response};

use crate::config::Issuer;
use crate::sentence;
use crate::tls::{Bundle, issuer_client};

/// For one whole attempt. The issuer asks the API server about the token, which takes milliseconds.
const LIMIT: Duration = Duration::from_secs(10);

/// Why the issuer gave no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// No token.
    #[error("cannot read the identity token {path}: {source}; is the projected volume mounted?")]
    Token {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Not a header value.
    #[error("the identity token {0} is not one line of text")]
    TokenForm(String),
    /// No connection.
    #[error("cannot reach the issuer {issuer}: {source}; are the operator's pods ready?")]
    Unreachable {
        /// Its address.
        issuer: String,
        /// Why.
        source: io::Error,
    },
    /// Somebody else, or a root that is not trusted.
    #[error("the issuer {issuer} is not trusted: {source}")]
    Untrusted {
        /// Its address.
        issuer: String,
        /// Why.
        source: io::Error,
    },
    /// Too slow.
    #[error("the issuer {0} did not answer within {LIMIT:?}")]
    Slow(String),
    /// It said no.
    #[error("certificate request refused by the issuer: {code}: {message}")]
    Refused {
        /// Catalogue code.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// An answer that is none.
    #[error("the issuer {issuer} answered with status {status} and {problem}; is it of another release?")]
    Unexpected {
        /// Its address.
        issuer: String,
        /// HTTP status.
        status: u16,
        /// What is wrong.
        problem: String,
    },
    /// The exchange broke.
    #[error("the exchange with the issuer {issuer} broke: {problem}")]
    Broken {
        /// Its address.
        issuer: String,
        /// How.
        problem: String,
    },
}

/// Shows our token and this certificate request to the issuer.
pub(super) async fn certificate(issuer: &Issuer, roots: &Bundle, csr_pem: String) -> Result<Response, RequestError> {
    let token = token(issuer)?;
    let exchange = async {
        let stream = connect(issuer, roots).await?;
        let request = request(issuer, token, csr_pem);
        exchange(issuer, stream, request).await
    };
    timeout(LIMIT, exchange).await.map_err(|_| RequestError::Slow(issuer.address.to_string()))?
}

/// Read anew each time: the kubelet replaces it. A file of a kilobyte in memory, so reading blocks no one.
fn token(issuer: &Issuer) -> Result<HeaderValue, RequestError> {
    let path = issuer.token_file.display().to_string();
    let token = match std::fs::read_to_string(&issuer.token_file) {
        Ok(token) => token,
        Err(source) => return Err(RequestError::Token { path, source }),
    };
    let mut value =
        HeaderValue::try_from(format!("Bearer {}", token.trim())).map_err(|_| RequestError::TokenForm(path))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn connect(issuer: &Issuer, roots: &Bundle) -> Result<TlsStream<TcpStream>, RequestError> {
    let name = || issuer.address.to_string();
    let unreachable = |source| RequestError::Unreachable { issuer: name(), source };
    let untrusted = |source| RequestError::Untrusted { issuer: name(), source };
    let config = issuer_client(&issuer.identity, roots).map_err(|cause| untrusted(io::Error::other(cause)))?;
    let address = (issuer.address.host.as_str(), issuer.address.port);
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    let peer = stream.peer_addr().map_err(unreachable)?.ip();
    // The name is the issuer's SPIFFE id, which the verifier checks; an address as server name sends no SNI.
    TlsConnector::from(Arc::new(config)).connect(ServerName::IpAddress(peer.into()), stream).await.map_err(untrusted)
}

fn request(issuer: &Issuer, token: HeaderValue, csr_pem: String) -> Request<Full<Bytes>> {
    let body = serde_json::to_vec(&issuance::Request { csr_pem }).expect("a string becomes JSON");
    Request::post(issuance::PATH)
        .header(HOST, issuer.address.to_string())
        .header(AUTHORIZATION, token)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body.into()))
        .expect("constants, and an address that is a valid header")
}

async fn exchange(
    issuer: &Issuer,
    stream: TlsStream<TcpStream>,
    request: Request<Full<Bytes>>,
) -> Result<Response, RequestError> {
    let broken = |problem: String| RequestError::Broken { issuer: issuer.address.to_string(), problem };
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|cause| broken(cause.to_string()))?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|cause| broken(cause.to_string()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BODY_BYTES);
        let body = body.collect().await.map_err(|cause| broken(cause.to_string()))?.to_bytes();
        read(issuer, status, &body)
    };
    // One exchange a connection: dropping it after the answer closes it.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        result = &mut answer => result,
        ended = connection => {
            ended.map_err(|cause| broken(cause.to_string()))?;
            answer.await
        }
    }
}

fn read(issuer: &Issuer, status: StatusCode, body: &[u8]) -> Result<Response, RequestError> {
    let unexpected = |cause: serde_json::Error| RequestError::Unexpected {
        issuer: issuer.address.to_string(),
        status: status.as_u16(),
        problem: format!("an unreadable body ({cause})"),
    };
    if status == StatusCode::OK {
        return serde_json::from_slice(body).map_err(unexpected);
    }
    let Refusal { code, message } = serde_json::from_slice(body).map_err(unexpected)?;
    Err(RequestError::Refused { code: sentence::of_stranger(&code), message: sentence::of_stranger(&message) })
}
