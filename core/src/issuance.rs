//! The wire contract between the proxy and the issuer: one HTTPS request, JSON both ways.
//!
//! `POST /v1/certificates` on [`ISSUER_PORT`](crate::sidecar::ISSUER_PORT), TLS 1.3, server identity = the operator's SPIFFE id,
//! `Authorization: Bearer <projected ServiceAccount token with audience tulle-issuer>`.

/// Path of the one endpoint.
pub const PATH: &str = "/v1/certificates";
/// Largest body either side accepts, in bytes: a P-256 request is 400 bytes, a chain of three 3 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// What a proxy asks for. Only the public key of the request is used: names, extensions and dates in it are ignored.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Request {
    /// PKCS #10 certificate request (RFC 2986), PEM.
    pub csr_pem: String,
}

/// What the issuer answers with status 200.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Response {
    /// Leaf first, then intermediates, PEM.
    pub chain_pem: String,
    /// Start of validity, Unix seconds.
    pub not_before: u64,
    /// End of validity, Unix seconds.
    pub not_after: u64,
}

/// What the issuer answers with any other status: 400 bad request, 401 token refused, 429 too many, 503 not able to sign now.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Refusal {
    /// Catalogue code, `TUL6xxx`.
    pub code: String,
    /// One sentence: what, why, what to do. Never contains the token.
    pub message: String,
}
