//! The issuance endpoint, on every replica: token → pod → certificate. The contract is `tulle_core::issuance`.
//!
//! Nothing is believed but the API server's answer about the token and the public key in the request.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::rand::SecureRandom;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, header};
use axum::routing::post;
use axum::{Json, Router};
use kube::Client;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};
use tulle_core::codes::Code;
use tulle_core::identity::{SpiffeId, TrustDomain};
use tulle_core::issuance::{MAX_BODY_BYTES, PATH, Request, Response};

use crate::ca::Authority;
use crate::metrics::Metrics;
use limit::Limiter;
use refusal::Refusal;
use token::Caller;

pub mod csr;
mod limit;
mod refusal;
pub mod serving;
pub mod sign;
mod token;

/// Requests that ask the API server at once: a review takes a few milliseconds, so this is thousands a second, and all
/// the load a flood of forged tokens can put on the API server.
const CONCURRENT_MAX: usize = 32;
/// Longest wait for one of these places; beyond it the asker does better with the other replica.
const QUEUE_WAIT: Duration = Duration::from_secs(2);
/// From the head of a request to its answer, the reading of the body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// A proxy asks twice in a certificate's life, and with back-off while it is refused.
const BURST: u32 = 10;
/// One more each: enough for a life of 30 seconds.
const INTERVAL: Duration = Duration::from_secs(5);

/// What a request needs.
pub struct Issuer {
    /// Asks the API server.
    pub client: Client,
    /// Signs; empty while there is no authority.
    pub authority: watch::Receiver<Option<Arc<Authority>>>,
    /// First part of every identity.
    pub trust_domain: TrustDomain,
    /// Life of a leaf.
    pub leaf_ttl: Duration,
    /// Counts.
    pub metrics: Arc<Metrics>,
}

struct Shared {
    issuer: Issuer,
    places: Semaphore,
    /// Before the API server is asked, by SHA-256 of the token: nobody can use up the budget of a token he has not got.
    by_token: Mutex<Limiter<[u8; 32]>>,
    /// Afterwards, by pod uid: new tokens do not make a new asker.
    by_pod: Mutex<Limiter<String>>,
    random: aws_lc_rs::rand::SystemRandom,
}

/// The route to serve over TLS.
pub fn routes(issuer: Issuer) -> Router {
    let shared = Arc::new(Shared {
        issuer,
        places: Semaphore::new(CONCURRENT_MAX),
        by_token: Mutex::new(Limiter::new(BURST, INTERVAL)),
        by_pod: Mutex::new(Limiter::new(BURST, INTERVAL)),
        random: aws_lc_rs::rand::SystemRandom::new(),
    });
    Router::new()
        .route(PATH, post(certificates))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(axum::middleware::from_fn(in_time))
        .with_state(shared)
}

async fn in_time(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    use axum::response::IntoResponse;
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            Refusal::new(Code::IssuerUnavailable, format!("not answered in {REQUEST_TIMEOUT:?}; retry")).into_response()
        }
    }
}

async fn certificates(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Result<Json<Request>, JsonRejection>,
) -> Result<Json<Response>, Refusal> {
    let started = Instant::now();
    let mut caller = None;
    let result = shared.issue(&headers, body, &mut caller).await;
    shared.issuer.metrics.issuance(result.as_ref().err().map(|refusal| refusal.code), started.elapsed());
    audit(caller.as_ref(), &result);
    result.map(Json)
}

impl Shared {
    async fn issue(
        &self,
        headers: &HeaderMap,
        body: Result<Json<Request>, JsonRejection>,
        known: &mut Option<Caller>,
    ) -> Result<Response, Refusal> {
        let token = bearer(headers)?;
        let Json(request) =
            body.map_err(|error| Refusal::new(Code::CsrMalformed, format!("request body: {}", error.body_text())))?;
        let key = csr::public_key(&request.csr_pem).map_err(|error| {
            let code = if error == csr::BadRequest::Key { Code::CsrKeyUnsupported } else { Code::CsrMalformed };
            Refusal::new(code, error.to_string())
        })?;
        let authority = self.issuer.authority.borrow().clone().ok_or_else(|| {
            Refusal::new(
                Code::CaNotReady,
                "the certificate authority is not loaded; see /ready of the operator, and retry",
            )
        })?;
        limited(&self.by_token, Sha256::digest(token).into())?;
        let caller = {
            let _place = tokio::time::timeout(QUEUE_WAIT, self.places.acquire()).await.map_err(|_| too_many(1))?;
            known.insert(token::caller(&self.issuer.client, token).await?)
        };
        limited(&self.by_pod, caller.uid.clone())?;
        let identity = SpiffeId::new(&self.issuer.trust_domain, &caller.namespace, &caller.service_account)
            .map_err(|error| Refusal::new(Code::TokenRefused, format!("no identity can be built: {error}")))?;
        let mut serial = sign::Serial::default();
        let unable = |what: String| Refusal::new(Code::IssuerUnavailable, format!("not signed: {what}; retry"));
        self.random.fill(&mut serial).map_err(|_| unable("no randomness".to_owned()))?;
        sign::leaf(&authority, &key, &identity, self.issuer.leaf_ttl, SystemTime::now(), serial)
            .map_err(|error| unable(error.to_string()))
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        value.and_then(|value| value.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map(|(_, token)| token.trim()).filter(|token| !token.is_empty()).ok_or_else(|| {
        Refusal::new(
            Code::TokenMissing,
            "no bearer token; send `Authorization: Bearer <projected ServiceAccount token>`",
        )
    })
}

fn limited<K: Eq + std::hash::Hash>(limiter: &Mutex<Limiter<K>>, key: K) -> Result<(), Refusal> {
    let mut limiter = limiter.lock().unwrap_or_else(PoisonError::into_inner);
    limiter.admit(key, Instant::now()).map_err(|wait| too_many(wait.as_secs() + 1))
}

fn too_many(seconds: u64) -> Refusal {
    let message = format!("too many certificate requests; wait {seconds} s");
    Refusal { retry_after: Some(seconds), ..Refusal::new(Code::IssuanceRateLimited, message) }
}

/// One line a decision, with who and why, never with the token.
fn audit(caller: Option<&Caller>, result: &Result<Response, Refusal>) {
    let (namespace, service_account, pod) = match caller {
        Some(caller) => (caller.namespace.as_str(), caller.service_account.as_str(), caller.pod.as_str()),
        None => ("", "", ""),
    };
    match result {
        Ok(response) => {
            tracing::info!(target: "audit", namespace, service_account, pod, not_after = response.not_after, "certificate issued");
        }
        Err(refusal) => {
            let (code, reason) = (refusal.code.as_str(), refusal.message.as_str());
            tracing::warn!(target: "audit", namespace, service_account, pod, code, reason, "certificate refused");
        }
    }
}
