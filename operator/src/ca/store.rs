//! The authority's Secret: read, created exactly once, and watched. The one thing that must never happen is a second
//! authority made silently, because every proxy would distrust every other; so whatever is unclear is refused, reported
//! and tried again until a person has put it right.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference, Secret};
use kube::api::ObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tulle_core::sidecar::{TRUST_BUNDLE_CONFIG_MAP, TRUST_BUNDLE_KEY};
use tulle_crds::labels::{MANAGED_BY, MANAGED_BY_LABEL};
use tulle_runtime::admin::Check;

use super::Authority;
use crate::apply::{self, Writer};
use crate::config::CA_SECRET;
use crate::metrics::{CertificateKind, Metrics};

/// Pause between two attempts to obtain the authority: a person is repairing it, or the API server is away.
const RETRY: Duration = Duration::from_secs(5);

/// Obtains the authority, then guards it.
pub struct Store {
    /// For reading, and for the one creation.
    pub client: Client,
    /// For events.
    pub writer: Writer,
    /// The system namespace.
    pub namespace: String,
    /// Life of a new root.
    pub ttl: Duration,
    /// Where the authority goes; the issuer, its certificate and the trust bundle follow it.
    pub authority: watch::Sender<Option<Arc<Authority>>>,
    /// Met once an authority is in memory.
    pub check: Check,
    /// Expiry and intactness.
    pub metrics: Arc<Metrics>,
}

/// What the Secret and the published trust bundle together mean.
#[derive(Debug)]
enum Judgement {
    /// Sign with it.
    Use(Box<Authority>),
    /// Neither exists: this is a new mesh.
    Create,
    /// Unclear; the sentence says what to do.
    Refuse(String),
}

impl Store {
    /// Obtains the authority and watches its Secret until `stop`.
    ///
    /// # Errors
    /// None; what is wrong is reported and tried again.
    pub async fn keep(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Some(authority) = stop.run_until_cancelled(self.obtain()).await else { return Ok(()) };
        let authority = Arc::new(authority);
        tracing::info!(fingerprint = authority.fingerprint(), "certificate authority loaded");
        self.metrics.certificate_expires_at(CertificateKind::Root, authority.not_after());
        self.metrics.ca_secret_intact(true);
        self.check.met();
        self.authority.send_replace(Some(Arc::clone(&authority)));
        stop.run_until_cancelled(self.guard(&authority)).await;
        Ok(())
    }

    async fn obtain(&self) -> Authority {
        let mut reported = String::new();
        loop {
            let why = match self.attempt().await {
                Ok(Judgement::Use(authority)) => return *authority,
                Ok(Judgement::Refuse(why)) => why,
                Ok(Judgement::Create) => continue, // another replica was first: read what it made
                Err(error) => format!("{error:#}"),
            };
            if why != reported {
                tracing::error!(secret = CA_SECRET, reason = why, "no certificate authority");
                self.check.unmet(why.clone());
                self.writer.event(&self.secret_reference(), true, "CaNotReady", "Load", &why).await;
                reported = why;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn attempt(&self) -> anyhow::Result<Judgement> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let bundles: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        // The bundle first: it is written after the Secret, so a bundle read before a missing Secret means a lost one.
        let bundle = apply::in_time(bundles.get_opt(TRUST_BUNDLE_CONFIG_MAP)).await?;
        let secret = apply::in_time(secrets.get_opt(CA_SECRET)).await?;
        let judgement = judge(secret.as_ref(), bundle.as_ref(), SystemTime::now());
        if !matches!(judgement, Judgement::Create) {
            return Ok(judgement);
        }
        let authority = Authority::create("Tulle root CA", self.ttl, SystemTime::now())?;
        let secret = tls_secret(CA_SECRET, authority.certificate_pem(), authority.key_pem());
        match apply::create_once(&secrets, &secret).await? {
            Some(_) => {
                tracing::info!(fingerprint = authority.fingerprint(), "certificate authority created");
                Ok(Judgement::Use(Box::new(authority)))
            }
            None => Ok(Judgement::Create),
        }
    }

    /// Reports when the Secret no longer holds what is signed with. Signing goes on with what is in memory: proxies
    /// trust it, and stopping would turn a lost Secret into an outage.
    async fn guard(&self, authority: &Authority) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut events = watcher::watch_object(api, CA_SECRET).default_backoff().boxed();
        let mut reported = String::new();
        while let Some(event) = events.next().await {
            let secret = match event {
                Ok(secret) => secret,
                Err(error) => {
                    self.metrics.watch_broke("ca-secret");
                    tracing::warn!(%error, secret = CA_SECRET, "watch broke, starting again");
                    continue;
                }
            };
            let problem = damage(secret.as_ref(), authority, SystemTime::now()).unwrap_or_default();
            self.metrics.ca_secret_intact(problem.is_empty());
            if problem != reported {
                let (warning, reason) =
                    (!problem.is_empty(), if problem.is_empty() { "CaRestored" } else { "CaDamaged" });
                let note = if warning { problem.as_str() } else { "the Secret holds the authority in use again" };
                if warning {
                    tracing::error!(secret = CA_SECRET, reason = note, "certificate authority damaged");
                } else {
                    tracing::info!(secret = CA_SECRET, "certificate authority restored");
                }
                self.writer.event(&self.secret_reference(), warning, reason, "Guard", note).await;
                reported = problem;
            }
        }
    }

    fn secret_reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Secret".into()),
            name: Some(CA_SECRET.into()),
            namespace: Some(self.namespace.clone()),
            ..ObjectReference::default()
        }
    }
}

/// A `kubernetes.io/tls` Secret of the operator.
#[must_use]
pub fn tls_secret(name: &str, certificate_pem: &str, key_pem: &str) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())].into()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(
            [("tls.crt", certificate_pem), ("tls.key", key_pem)]
                .map(|(key, pem)| (key.to_owned(), ByteString(pem.as_bytes().to_vec())))
                .into(),
        ),
        ..Secret::default()
    }
}

/// The pair in a `kubernetes.io/tls` Secret as an authority.
///
/// # Errors
/// A sentence: what is missing or wrong.
pub fn authority_of(secret: &Secret, now: SystemTime) -> Result<Authority, String> {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| format!("{key} is missing"))?;
        std::str::from_utf8(&bytes.0).map_err(|_| format!("{key} is not text"))
    };
    Authority::parse(text("tls.crt")?, text("tls.key")?, now).map_err(|error| error.to_string())
}

fn judge(secret: Option<&Secret>, bundle: Option<&ConfigMap>, now: SystemTime) -> Judgement {
    let bundle_pem = bundle.and_then(|bundle| bundle.data.as_ref()?.get(TRUST_BUNDLE_KEY)).map_or("", String::as_str);
    let Some(secret) = secret else {
        if bundle.is_none() {
            return Judgement::Create;
        }
        return Judgement::Refuse(format!(
            "Secret {CA_SECRET} is missing while proxies trust its root (ConfigMap {TRUST_BUNDLE_CONFIG_MAP}); restore the Secret \
             from a backup, or delete that ConfigMap to start with a new root, after which every meshed pod must be restarted"
        ));
    };
    let authority = match authority_of(secret, now) {
        Ok(authority) => authority,
        Err(error) => return Judgement::Refuse(format!("Secret {CA_SECRET}: {error}; restore it from a backup")),
    };
    if bundle_pem.contains("-----BEGIN CERTIFICATE-----") && !authority.is_in(bundle_pem) {
        return Judgement::Refuse(format!(
            "Secret {CA_SECRET} holds root {} which proxies do not trust (ConfigMap {TRUST_BUNDLE_CONFIG_MAP}); restore the Secret \
             from a backup, or delete that ConfigMap to accept this root, after which every meshed pod must be restarted",
            authority.fingerprint()
        ));
    }
    Judgement::Use(Box::new(authority))
}

/// What is wrong with the Secret of an authority in use.
fn damage(secret: Option<&Secret>, authority: &Authority, now: SystemTime) -> Option<String> {
    let remedy = "signing goes on with the authority in memory; restore the Secret before the operator restarts";
    let what = match secret.map(|secret| authority_of(secret, now)) {
        None => "is missing".to_owned(),
        Some(Err(error)) => format!("is damaged: {error}"),
        Some(Ok(found)) if found.fingerprint() != authority.fingerprint() => {
            format!("holds another root {}", found.fingerprint())
        }
        Some(Ok(_)) => return None,
    };
    Some(format!("Secret {CA_SECRET} {what}; {remedy} (root in use: {})", authority.fingerprint()))
}

#[cfg(test)]
mod tests;
