//! The webhook's serving certificate and the `caBundle` of its two configurations.
//!
//! It has an authority of its own. Only the API server trusts it, so it can be replaced at any moment; the mesh's root
//! can be replaced only after every proxy knows the next one. And a certificate that opens admission can then never be
//! taken for a workload's, nor the other way round.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{FutureExt, StreamExt};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::apply::{Writer, in_time};
use crate::ca::Authority;
use crate::ca::store::{authority_of, tls_secret};
use crate::config::{WEBHOOK, WEBHOOK_CA_SECRET, WEBHOOK_TLS_SECRET};
use crate::metrics::{CertificateKind, Metrics};

pub mod certificate;

/// Pause after a failure.
pub(super) const RETRY: Duration = Duration::from_secs(2);
/// Life of the authority.
const CA_TTL: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Longest time without a look: clocks jump.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

/// Keeps certificate and configurations until it is dropped.
pub struct Keeper {
    /// The only writer.
    pub writer: Writer,
    /// Names of the Service.
    pub names: certificate::Names,
    /// Expiry.
    pub metrics: Arc<Metrics>,
}

impl Keeper {
    /// Runs for ever: brings everything in order, then waits for a change of it or for half of the certificate's life.
    pub async fn keep(&self) {
        let mut changes = self.changes();
        loop {
            let pause = match self.bring_in_order().await {
                Ok(renew_in) => renew_in.min(LOOK_AGAIN),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "webhook certificate not in order, trying again");
                    RETRY
                }
            };
            tokio::select! {
                _ = changes.next() => while changes.next().now_or_never().is_some() {}, // one look covers them all
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn bring_in_order(&self) -> anyhow::Result<Duration> {
        let now = SystemTime::now();
        let authority = self.authority(now).await.context(WEBHOOK_CA_SECRET)?;
        self.metrics.certificate_expires_at(CertificateKind::WebhookCa, authority.not_after());
        // The configurations first: where the authority is new, the API server knows it before the webhook shows it.
        let client = self.writer.client();
        self.patch_mutating(&Api::all(client.clone()), &authority).await.context("MutatingWebhookConfiguration")?;
        self.patch_validating(&Api::all(client.clone()), &authority).await.context("ValidatingWebhookConfiguration")?;
        let until = self.certificate(&authority, now).await.context(WEBHOOK_TLS_SECRET)?;
        self.metrics.certificate_expires_at(CertificateKind::Webhook, until.not_after);
        Ok(until.renew_at.duration_since(SystemTime::now()).unwrap_or(RETRY))
    }

    async fn authority(&self, now: SystemTime) -> anyhow::Result<Authority> {
        let api = self.secrets();
        if let Some(secret) = in_time(api.get_opt(WEBHOOK_CA_SECRET)).await? {
            match authority_of(&secret, now + certificate::TTL) {
                Ok(authority) => return Ok(authority),
                Err(error) => {
                    tracing::warn!(secret = WEBHOOK_CA_SECRET, error, "webhook authority unusable, making a new one")
                }
            }
        }
        let authority = Authority::create("Tulle webhook CA", CA_TTL, now)?;
        let secret = tls_secret(WEBHOOK_CA_SECRET, authority.certificate_pem(), authority.key_pem());
        self.writer.apply(&api, WEBHOOK_CA_SECRET, &secret).await?;
        tracing::info!(fingerprint = authority.fingerprint(), "webhook authority created");
        Ok(authority)
    }

    async fn certificate(&self, authority: &Authority, now: SystemTime) -> anyhow::Result<certificate::Validity> {
        let api = self.secrets();
        let found = in_time(api.get_opt(WEBHOOK_TLS_SECRET)).await?;
        if let Some(validity) =
            found.as_ref().and_then(|secret| certificate::usable(secret, authority, &self.names, now))
        {
            return Ok(validity);
        }
        let (secret, validity) = certificate::make(authority, &self.names, now)?;
        self.writer.apply(&api, WEBHOOK_TLS_SECRET, &secret).await?;
        let not_after = validity.not_after.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        tracing::info!(not_after, "webhook certificate issued");
        Ok(validity)
    }

    async fn patch_mutating(
        &self,
        api: &Api<MutatingWebhookConfiguration>,
        authority: &Authority,
    ) -> anyhow::Result<()> {
        let Some(found) = in_time(api.get_opt(WEBHOOK)).await? else { return Ok(()) };
        let entries = found.webhooks.iter().flatten().map(|webhook| (webhook.name.as_str(), &webhook.client_config));
        self.patch(api, entries.collect(), authority).await
    }

    async fn patch_validating(
        &self,
        api: &Api<ValidatingWebhookConfiguration>,
        authority: &Authority,
    ) -> anyhow::Result<()> {
        let Some(found) = in_time(api.get_opt(WEBHOOK)).await? else { return Ok(()) };
        let entries = found.webhooks.iter().flatten().map(|webhook| (webhook.name.as_str(), &webhook.client_config));
        self.patch(api, entries.collect(), authority).await
    }

    /// Sets `caBundle`, and nothing else, of the entries that call our Service.
    async fn patch<K>(
        &self,
        api: &Api<K>,
        entries: Vec<(&str, &WebhookClientConfig)>,
        authority: &Authority,
    ) -> anyhow::Result<()>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        let wanted = ByteString(authority.certificate_pem().as_bytes().to_vec());
        let ours = entries.into_iter().filter(|(_, config)| self.names.is_called_by(config));
        let ours: Vec<_> = ours.collect();
        if ours.iter().all(|(_, config)| config.ca_bundle.as_ref() == Some(&wanted)) {
            return Ok(());
        }
        let webhooks: Vec<_> =
            ours.iter().map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": wanted}})).collect();
        let part = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": {"name": WEBHOOK},
            "webhooks": webhooks,
        });
        self.writer.apply_part(api, WEBHOOK, &part).await?;
        tracing::info!(kind = %K::kind(&()), fingerprint = authority.fingerprint(), "caBundle written");
        Ok(())
    }

    /// A signal for each change of what is kept.
    fn changes(&self) -> SelectAll<BoxStream<'static, ()>> {
        let client = self.writer.client().clone();
        futures_util::stream::select_all([
            signal(self.secrets(), WEBHOOK_CA_SECRET),
            signal(self.secrets(), WEBHOOK_TLS_SECRET),
            signal::<MutatingWebhookConfiguration>(Api::all(client.clone()), WEBHOOK),
            signal::<ValidatingWebhookConfiguration>(Api::all(client), WEBHOOK),
        ])
    }

    fn secrets(&self) -> Api<Secret> {
        let client: Client = self.writer.client().clone();
        Api::namespaced(client, &self.names.namespace)
    }
}

fn signal<K>(api: Api<K>, name: &'static str) -> BoxStream<'static, ()>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = watcher::watch_object(api, name).default_backoff();
    let signal = move |event: watcher::Result<Option<K>>| {
        if let Err(error) = event {
            tracing::warn!(name, %error, "watch broke, starting again");
        }
    };
    events.map(signal).boxed()
}
