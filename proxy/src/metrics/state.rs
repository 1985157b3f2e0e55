//! What the proxy tells of itself at a scrape: certificate, applied configuration, discovery, connections.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use tokio::sync::watch;

use crate::identity::IdentityState;
use crate::metrics::Side;
use crate::worker::Shared;

/// Reads the control thread's state.
pub(crate) struct State {
    pub(crate) shared: Arc<Shared>,
    pub(crate) identity: watch::Receiver<IdentityState>,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

impl Collector for State {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let info = [("version", env!("CARGO_PKG_VERSION"))];
        gauge(&mut encoder, ("tulle_proxy_build", "The proxy's release; always 1.", None), [(info, 1)])?;
        self.encode_certificate(&mut encoder)?;
        self.encode_configuration(&mut encoder)?;
        self.encode_spans(&mut encoder)?;
        let open = Side::ALL.map(|side| ([("side", side.as_str())], self.shared.drain.open_on(side) as i64));
        gauge(&mut encoder, ("tulle_open_connections", "Connections open in each direction.", None), open)?;
        let most = self.shared.config.connections_max as i64;
        let most = Side::ALL.map(|side| ([("side", side.as_str())], most));
        gauge(&mut encoder, ("tulle_limit_connections", "Most connections in each direction.", None), most)
    }
}

impl State {
    fn encode_certificate(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let expiry = match &*self.identity.borrow() {
            IdentityState::Requesting { .. } => None,
            IdentityState::Valid { not_after }
            | IdentityState::Renewing { not_after, .. }
            | IdentityState::Expired { not_after, .. } => i64::try_from(*not_after).ok(),
        };
        let family =
            ("tulle_cert_expiry_timestamp", "End of validity of the certificate in use.", Some(&Unit::Seconds));
        gauge(encoder, family, expiry.map(|expiry| ([("kind", "leaf")], expiry)))?;
        let replaced = self.shared.tls.facts().map(|facts| {
            let none: [(&str, &str); 0] = [];
            (none, i64::try_from(facts.generation).unwrap_or(i64::MAX))
        });
        gauge(encoder, ("tulle_cert_generation", "How often certificate or bundle were replaced.", None), replaced)
    }

    fn encode_spans(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(spans) = &self.shared.spans else { return Ok(()) };
        let counts = spans.counts();
        let families = [
            ("tulle_spans_exported", "Spans the collector has.", &counts.exported),
            ("tulle_spans_dropped", "Spans it does not have: too many, refused, or it was away.", &counts.dropped),
        ];
        for (name, help, count) in families {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            metric.encode_counter::<NoLabelSet, _, u64>(&count.load(Ordering::Relaxed), None)?;
        }
        Ok(())
    }

    fn encode_configuration(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let facts = self.shared.discovery.facts();
        let none: [(&str, &str); 0] = [];
        let generation = i64::try_from(facts.generation).unwrap_or(i64::MAX);
        gauge(encoder, ("tulle_config_generation", "Snapshots published so far.", None), [(none, generation)])?;
        let stale = i64::try_from(facts.stale().as_secs()).unwrap_or(i64::MAX);
        let family = ("tulle_config_stale", "How long the API server has not answered.", Some(&Unit::Seconds));
        gauge(encoder, family, [(none, stale)])?;
        let labels = |object: &crate::discovery::Applied| {
            [
                ("kind", object.scope.kind.as_str().to_owned()),
                ("namespace", object.scope.namespace.to_string()),
                ("name", object.name.to_string()),
            ]
        };
        let family = ("tulle_config_object_generation", "Generation of an object this proxy has applied.", None);
        gauge(encoder, family, facts.applied.iter().map(|object| (labels(object), object.generation)))?;
        let family = ("tulle_config_object_rejected", "1 where the newest version is refused, whole or in part.", None);
        gauge(encoder, family, facts.applied.iter().map(|object| (labels(object), i64::from(object.error.is_some()))))
    }
}

fn gauge<K, V, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    values: impl IntoIterator<Item = ([(K, V); N], i64)>,
) -> fmt::Result
where
    K: prometheus_client::encoding::EncodeLabelKey,
    V: prometheus_client::encoding::EncodeLabelValue,
{
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in values {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}
