//! The issuer's own serving certificate: an SVID of the operator's identity, signed by the authority in memory, with a
//! new key each time. Proxies demand this identity, so a false issuer in the system namespace convinces nobody.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use aws_lc_rs::rand::SecureRandom;
use rcgen::KeyPair;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tulle_core::identity::SpiffeId;
use tulle_runtime::admin::Check;
use tulle_runtime::served_cert::ServedCert;

use super::sign;
use crate::ca::Authority;
use crate::metrics::{CertificateKind, Metrics};

/// Life of the serving certificate. Renewing costs a key and a signature in this process, so it can be short.
const TTL: Duration = Duration::from_secs(24 * 3600);
/// Pause after a failed renewal.
const RETRY: Duration = Duration::from_secs(5);

/// What keeps the certificate fresh.
pub struct Serving {
    /// The operator's identity.
    pub identity: SpiffeId,
    /// Signs; a change of it is followed at once.
    pub authority: watch::Receiver<Option<Arc<Authority>>>,
    /// Where the certificate goes.
    pub served: Arc<ServedCert>,
    /// Met while there is a certificate.
    pub check: Check,
    /// Expiry.
    pub metrics: Arc<Metrics>,
}

impl Serving {
    /// Renews at half life and at every change of the authority, until `stop`.
    ///
    /// # Errors
    /// None; failures are logged and tried again.
    pub async fn keep(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        self.check.unmet("waits for the certificate authority");
        loop {
            let authority = self.authority.borrow_and_update().clone();
            let pause = match authority.as_deref().map(|authority| self.renew(authority)) {
                None => TTL,
                Some(Ok(pause)) => pause,
                Some(Err(error)) => {
                    tracing::error!(error = format!("{error:#}"), "the issuer's own certificate was not renewed");
                    RETRY
                }
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                changed = self.authority.changed() => if changed.is_err() { return Ok(()) },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn renew(&self, authority: &Authority) -> anyhow::Result<Duration> {
        let now = SystemTime::now();
        let key = KeyPair::generate().context("make a key")?;
        let mut serial = sign::Serial::default();
        aws_lc_rs::rand::SystemRandom::new().fill(&mut serial).map_err(|_| anyhow::anyhow!("no randomness"))?;
        let leaf = sign::leaf(authority, &key, &self.identity, TTL, now, serial).context("sign")?;
        self.served.replace(leaf.chain_pem.as_bytes(), key.serialize_pem().as_bytes())?;
        self.metrics.certificate_expires(CertificateKind::Issuer, leaf.not_after);
        self.check.met();
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Duration::from_secs(leaf.not_after.saturating_sub(now) / 2).max(RETRY))
    }
}
