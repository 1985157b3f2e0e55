//! The trust bundle: every root a proxy accepts, in a ConfigMap that proxies watch. Only the operator decides what is in
//! it; an edit by anybody else is taken back and reported, because a foreign root in it would be a key to every workload.

use std::sync::Arc;

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, ObjectReference};
use kube::api::ObjectMeta;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use tokio::sync::watch;
use tulle_core::sidecar::{TRUST_BUNDLE_CONFIG_MAP, TRUST_BUNDLE_KEY};
use tulle_crds::labels::{MANAGED_BY, MANAGED_BY_LABEL};

use crate::apply::Writer;
use crate::ca::Authority;

/// Keeps the bundle equal to the roots in use. Ends when the authority's owner is gone; failures of the API server are
/// tried again with the watch's back-off.
pub async fn keep(writer: &Writer, namespace: &str, mut authority: watch::Receiver<Option<Arc<Authority>>>) {
    let api: Api<ConfigMap> = Api::namespaced(writer.client().clone(), namespace);
    let Ok(root) = authority.wait_for(Option::is_some).await.map(|authority| authority.clone()) else { return };
    let Some(root) = root else { return };
    let wanted = bundle(&[root.certificate_pem()]);
    let mut published = false;
    let mut events = watcher::watch_object(api.clone(), TRUST_BUNDLE_CONFIG_MAP).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let found = match event {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, config_map = TRUST_BUNDLE_CONFIG_MAP, "watch broke, starting again");
                continue;
            }
        };
        let content = found.as_ref().and_then(|found| found.data.as_ref()?.get(TRUST_BUNDLE_KEY));
        if content == Some(&wanted) {
            published = true;
            continue;
        }
        if published {
            let note =
                "the trust bundle was changed or deleted by somebody else and is restored; only the operator writes it";
            tracing::error!(config_map = TRUST_BUNDLE_CONFIG_MAP, "{note}");
            writer.event(&about(namespace), true, "TrustBundleRestored", "Guard", note).await;
        }
        publish(writer, &api, &wanted, root.fingerprint()).await;
    }
}

async fn publish(writer: &Writer, api: &Api<ConfigMap>, pem: &str, fingerprint: &str) {
    loop {
        match writer.apply(api, TRUST_BUNDLE_CONFIG_MAP, &config_map(pem)).await {
            Ok(written) => {
                tracing::info!(fingerprint, resource_version = written.resource_version(), "trust bundle published");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, config_map = TRUST_BUNDLE_CONFIG_MAP, "trust bundle not published, trying again")
            }
        }
        tokio::time::sleep(super::webhook::RETRY).await;
    }
}

/// The PEM of a bundle: one root after the other.
fn bundle(roots: &[&str]) -> String {
    roots.iter().map(|root| format!("{}\n", root.trim_end())).collect()
}

fn config_map(pem: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(TRUST_BUNDLE_CONFIG_MAP.to_owned()),
            labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some([(TRUST_BUNDLE_KEY.to_owned(), pem.to_owned())].into()),
        ..ConfigMap::default()
    }
}

fn about(namespace: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("ConfigMap".into()),
        name: Some(TRUST_BUNDLE_CONFIG_MAP.into()),
        namespace: Some(namespace.to_owned()),
        ..ObjectReference::default()
    }
}
