//! Our certificate through its life: requested, renewed at half of its life with a new key each time, retried for ever.
//!
//! Keys are made here, live in memory and are never written anywhere. The issuer believes the projected ServiceAccount token alone; the
//! proxy believes an issuer that chains to the trust bundle and is the operator. A control plane that is away for less than half a
//! certificate's life is not noticed. The data path reads the result from [`TlsContext`]; this module is its only writer.

mod request;
mod schedule;
mod state;

pub(crate) use request::RequestError;
pub(crate) use state::IdentityState;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tulle_core::identity::SpiffeId;

use crate::config::Issuer;
use crate::tls::{Bundle, IdentityError, LeafFacts, TlsContext, WorkloadIdentity};

/// Longest sleep in one go. Certificates follow the wall clock, timers do not (suspended machines, corrected clocks), so the clock is
/// read again at least this often.
const NAP: Duration = Duration::from_secs(30);

/// Published trust bundle, PEM; `None` before the first.
pub(crate) type BundlePem = Option<Arc<[u8]>>;

/// Why no certificate was obtained this time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    /// The key or the request could not be made.
    #[error("cannot make a key and a certificate request: {0}")]
    Key(#[from] rcgen::Error),
    /// The issuer did not give one.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What it gave is not usable.
    #[error("the issuer answered with an unusable certificate: {0}")]
    Unusable(#[from] IdentityError),
    /// It is over already.
    #[error(
        "the issuer answered with a certificate that ended {0} s ago; do the clocks of this node and of the operator's node differ?"
    )]
    AlreadyOver(u64),
    /// rustls refused the result.
    #[error("the certificate cannot be used for TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Keeps `tls` supplied until `shutdown`. Runs on the control thread.
pub(crate) async fn run(
    issuer: Issuer,
    identity: SpiffeId,
    tls: Arc<TlsContext>,
    bundle: watch::Receiver<BundlePem>,
    state: watch::Sender<IdentityState>,
    shutdown: CancellationToken,
) {
    let (roots_tx, roots) = watch::channel(None);
    let supply = Supply { issuer, identity, tls: Arc::clone(&tls), roots, state };
    let both = async { tokio::join!(follow_bundle(bundle, &tls, roots_tx), supply.run()) };
    // Dropping both is a safe stop: each change of `tls` is one swap.
    shutdown.run_until_cancelled(both).await;
}

/// Applies each published bundle; an unusable one is reported and the last good one stays.
async fn follow_bundle(
    mut published: watch::Receiver<BundlePem>,
    tls: &TlsContext,
    roots: watch::Sender<Option<Arc<Bundle>>>,
) {
    loop {
        let pem = published.borrow_and_update().clone();
        if let Some(pem) = pem {
            match Bundle::from_pem(&pem) {
                Ok(bundle) if roots.borrow().as_ref().is_some_and(|old| old.hash() == bundle.hash()) => {}
                Ok(bundle) => {
                    let bundle = Arc::new(bundle);
                    match tls.set_bundle(Arc::clone(&bundle)) {
                        Ok(()) => tracing::info!(hash = bundle.hash(), roots = bundle.len(), "trust bundle applied"),
                        Err(error) => tracing::error!(%error, "trust bundle refused; the previous one stays in use"),
                    }
                    roots.send_replace(Some(bundle));
                }
                Err(error) => tracing::error!(%error, "trust bundle refused; the previous one stays in use"),
            }
        }
        if published.changed().await.is_err() {
            return std::future::pending().await; // the publisher ended; so does the process
        }
    }
}

/// The life of the certificate.
struct Supply {
    issuer: Issuer,
    identity: SpiffeId,
    tls: Arc<TlsContext>,
    roots: watch::Receiver<Option<Arc<Bundle>>>,
    state: watch::Sender<IdentityState>,
}

impl Supply {
    async fn run(mut self) {
        let mut failures = 0;
        loop {
            let Some(roots) = self.first_roots().await else { return };
            match self.attempt(&roots).await {
                Ok(facts) => {
                    failures = 0;
                    self.state.send_replace(IdentityState::Valid { not_after: facts.not_after });
                    let renewal = schedule::renew_at(
                        seconds(facts.not_before),
                        seconds(facts.not_after),
                        now(),
                        fastrand::u64(..),
                    );
                    sleep_until(renewal).await;
                    self.state.send_modify(|state| *state = state.renewing());
                }
                Err(error) => {
                    self.failed(&error, failures);
                    self.pause(schedule::back_off(failures, fastrand::u64(..))).await;
                    failures = failures.saturating_add(1);
                }
            }
        }
    }

    /// The present roots, or the first ones that come; `None` when no bundle can come any more.
    async fn first_roots(&mut self) -> Option<Arc<Bundle>> {
        self.roots.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// One new key, one request.
    async fn attempt(&self, roots: &Bundle) -> Result<LeafFacts, AttemptError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new(); // the issuer takes the public key alone
        let csr = params.serialize_request(&key)?.pem()?;
        let response = request::certificate(&self.issuer, roots, csr).await?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let identity = WorkloadIdentity::new(response.chain_pem.as_bytes(), key, &self.identity)?;
        let facts = identity.facts().clone();
        let over = now().as_secs().checked_sub(facts.not_after);
        if let Some(ago) = over {
            return Err(AttemptError::AlreadyOver(ago));
        }
        self.tls.set_identity(Arc::new(identity))?;
        let LeafFacts { serial, not_after, key_hash, .. } = &facts;
        tracing::info!(identity = %facts.identity, serial, not_after, key_hash, "certificate installed");
        Ok(facts)
    }

    fn failed(&self, error: &AttemptError, failures: u32) {
        let why = error.to_string();
        self.state.send_modify(|state| *state = state.failed(why, now().as_secs()));
        let state = &*self.state.borrow();
        if state.is_usable() {
            tracing::warn!(%error, failures = failures + 1, "certificate not renewed; the present one stays in use, trying again");
        } else {
            tracing::error!(%error, failures = failures + 1, "no valid certificate; mesh connections are refused, trying again");
        }
    }

    /// Waits out a back-off, or less when the roots changed: that may be what was wrong.
    async fn pause(&mut self, back_off: Duration) {
        self.roots.mark_unchanged();
        tokio::select! {
            () = sleep(back_off) => {}
            _ = self.roots.changed() => {}
        }
    }
}

async fn sleep_until(moment: Duration) {
    loop {
        let left = moment.saturating_sub(now());
        if left.is_zero() {
            return;
        }
        sleep(left.min(NAP)).await;
    }
}

/// The wall clock since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds(unix: u64) -> Duration {
    Duration::from_secs(unix)
}

#[cfg(test)]
mod tests;
