//! The scrape: adds the shards up and hands the sums to prometheus-client, which writes OpenMetrics.

mod http;
mod rpc;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use self::http::Http;
use super::cells::TcpCells;
use super::detection::Detected;
use super::{Labels, RefusalLabels, Shard, Side};
use crate::mirror::Outcome;

/// Label names and values of one series.
type LabelSet = Vec<(&'static str, String)>;

/// Collects the series of all data threads.
#[derive(Debug)]
pub(crate) struct DataPath {
    pub(crate) shards: Vec<Arc<Shard>>,
}

/// Sums of one TCP label set over all threads.
#[derive(Default)]
struct Tcp {
    opened: u64,
    open: i64,
    sent: u64,
    received: u64,
}

/// One family to write: name and help without the side, unit, and its value for each series.
struct Family<'a> {
    name: &'a str,
    help: &'a str,
    unit: Option<&'a Unit>,
}

impl Tcp {
    fn add(&mut self, cells: &TcpCells) {
        self.opened += cells.opened.get();
        self.open += cells.open.get();
        self.sent += cells.sent_bytes.get();
        self.received += cells.received_bytes.get();
    }
}

impl Collector for DataPath {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (http, tcp, refusals) = self.sums();
        for side in Side::ALL {
            let of_side = http.iter().filter(|(labels, _)| labels.side == side);
            http::encode(&mut encoder, side, of_side.clone())?;
            rpc::encode(&mut encoder, side, of_side)?;
        }
        encode_tcp(&mut encoder, &tcp)?;
        self.encode_mirrored(&mut encoder)?;
        self.encode_detections(&mut encoder)?;
        let family = Family { name: "tulle_refusals", help: "Requests and connections the mesh refused.", unit: None };
        let values = refusals.iter().map(|(labels, count)| (refusal_labels(labels), *count));
        counters(&mut encoder, &family, values)
    }
}

impl DataPath {
    fn encode_mirrored(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut sums = BTreeMap::<Labels, [u64; Outcome::ALL.len()]>::new();
        for shard in &self.shards {
            for (labels, cells) in &shard.lock().mirrored {
                let sum = sums.entry(labels.clone()).or_default();
                sum.iter_mut().zip(cells.counts()).for_each(|(sum, count)| *sum += count);
            }
        }
        let family = Family { name: "tulle_mirrored_requests", help: "Copies of requests for mirrors.", unit: None };
        let values = sums.iter().flat_map(|(labels, counts)| {
            let counted = Outcome::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
            counted.map(|(outcome, count)| (extended(labels, [("result", outcome.as_str().to_owned())]), *count))
        });
        counters(encoder, &family, values)
    }

    fn encode_detections(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Connections whose protocol had to be found out, by what it was.";
        let family = Family { name: "tulle_detected_connections", help, unit: None };
        let values = Side::ALL.into_iter().flat_map(|side| {
            Detected::ALL.into_iter().map(move |detected| {
                let sum = self.shards.iter().map(|shard| shard.detections.get(side, detected)).sum();
                let labels = [("side", side.as_str()), ("protocol", detected.as_str())];
                (labels.map(|(name, value)| (name, value.to_owned())).to_vec(), sum)
            })
        });
        counters(encoder, &family, values.filter(|(_, sum)| *sum > 0))
    }

    fn sums(&self) -> (BTreeMap<Labels, Http>, BTreeMap<Labels, Tcp>, BTreeMap<RefusalLabels, u64>) {
        let mut http = BTreeMap::<Labels, Http>::new();
        let mut tcp = BTreeMap::<Labels, Tcp>::new();
        let mut refusals = BTreeMap::<RefusalLabels, u64>::new();
        for shard in &self.shards {
            let series = shard.lock();
            for (labels, cells) in &series.http {
                http.entry(labels.clone()).or_default().add(cells);
            }
            for (labels, cells) in &series.tcp {
                tcp.entry(labels.clone()).or_default().add(cells);
            }
            for (labels, cells) in &series.refusals {
                *refusals.entry(labels.clone()).or_default() += cells.get();
            }
        }
        (http, tcp, refusals)
    }
}

fn encode_tcp(encoder: &mut DescriptorEncoder<'_>, series: &BTreeMap<Labels, Tcp>) -> fmt::Result {
    let labelled = |value: fn(&Tcp) -> u64| {
        series.iter().map(move |(labels, sums)| {
            let mut set = label_set(labels);
            set.push(("side", labels.side.as_str().to_owned()));
            (set, value(sums))
        })
    };
    let opened = Family { name: "tulle_tcp_connections", help: "Connections opened.", unit: None };
    counters(encoder, &opened, labelled(|sums| sums.opened))?;
    let sent = Family { name: "tulle_tcp_sent", help: "From caller to callee.", unit: Some(&Unit::Bytes) };
    counters(encoder, &sent, labelled(|sums| sums.sent))?;
    let received = Family { name: "tulle_tcp_received", help: "From callee to caller.", unit: Some(&Unit::Bytes) };
    counters(encoder, &received, labelled(|sums| sums.received))?;
    let open = Family { name: "tulle_tcp_open_connections", help: "Connections open now.", unit: None };
    gauges(encoder, &open, labelled(|sums| sums.open.max(0).unsigned_abs()).map(|(set, open)| (set, open as i64)))
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    family: &Family<'_>,
    values: impl Iterator<Item = (LabelSet, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(family.name, family.help, family.unit, MetricType::Counter)?;
    for (labels, value) in values {
        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    family: &Family<'_>,
    values: impl Iterator<Item = (LabelSet, i64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(family.name, family.help, family.unit, MetricType::Gauge)?;
    for (labels, value) in values {
        metric.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn extended<const N: usize>(labels: &Labels, more: [(&'static str, String); N]) -> LabelSet {
    let mut set = label_set(labels);
    set.extend(more);
    set
}

fn label_set(labels: &Labels) -> LabelSet {
    vec![
        ("src_namespace", labels.src_namespace.to_string()),
        ("src_workload", labels.src_workload.to_string()),
        ("dst_namespace", labels.dst_namespace.to_string()),
        ("dst_service", labels.dst_service.to_string()),
        ("route", labels.route.to_string()),
        ("backend", labels.backend.to_string()),
        ("mtls", labels.mtls.to_string()),
    ]
}

fn refusal_labels(labels: &RefusalLabels) -> LabelSet {
    vec![
        ("side", labels.side.as_str().to_owned()),
        ("reason", labels.reason.to_owned()),
        ("code", labels.code.to_owned()),
        ("policy", labels.policy.to_string()),
    ]
}

#[cfg(test)]
mod tests;
