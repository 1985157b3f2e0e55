//! The families of HTTP.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::{Family, counters, extended, gauges, label_set};
use crate::metrics::cells::{BUCKETS, GRPC_STATUSES, HttpCells, Outcome, RetryCause};
use crate::metrics::{Labels, Side};

/// Sums of one HTTP label set over all threads.
#[derive(Default)]
pub(super) struct Http {
    outcomes: BTreeMap<Outcome, u64>,
    aborts: BTreeMap<Outcome, u64>,
    buckets: [u64; BUCKETS.len() + 1],
    seconds: f64,
    active: i64,
    request_bytes: u64,
    response_bytes: u64,
    pub(super) grpc: [u64; GRPC_STATUSES.len()],
    retries: [u64; RetryCause::ALL.len()],
}

impl Http {
    pub(super) fn add(&mut self, cells: &HttpCells) {
        for (outcome, count) in cells.outcomes() {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        for (outcome, count) in cells.aborts() {
            *self.aborts.entry(outcome).or_default() += count;
        }
        for (sum, count) in self.buckets.iter_mut().zip(cells.buckets()) {
            *sum += count;
        }
        self.seconds += cells.latency_seconds();
        self.active += cells.active.get();
        self.request_bytes += cells.request_bytes.get();
        self.response_bytes += cells.response_bytes.get();
        let Some(rare) = cells.rare() else { return };
        for (sum, count) in self.grpc.iter_mut().zip(&rare.grpc).chain(self.retries.iter_mut().zip(&rare.retries)) {
            *sum += count.get();
        }
    }
}

/// Writes the families of one side.
pub(super) fn encode<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    side: Side,
    series: impl Iterator<Item = (&'a Labels, &'a Http)> + Clone,
) -> fmt::Result {
    let name = |what: &str| format!("tulle_http_{}_{what}", side.as_str());
    let requests = Family { name: &name("requests"), help: "Requests by how they were answered.", unit: None };
    let by_outcome = series.clone().flat_map(|(labels, sums)| {
        sums.outcomes.iter().map(move |(outcome, count)| {
            let status = if outcome.status == 0 { String::new() } else { outcome.status.to_string() };
            (extended(labels, [("http_response_status_code", status), reason(*outcome)]), *count)
        })
    });
    counters(encoder, &requests, by_outcome)?;
    let aborted = Family { name: &name("aborted"), help: "Requests whose answer broke off.", unit: None };
    let by_reason = series.clone().flat_map(|(labels, sums)| {
        sums.aborts.iter().map(move |(outcome, count)| (extended(labels, [reason(*outcome)]), *count))
    });
    counters(encoder, &aborted, by_reason)?;
    let bytes = Family { name: &name("request_body"), help: "Request bytes passed on.", unit: Some(&Unit::Bytes) };
    counters(encoder, &bytes, series.clone().map(|(labels, sums)| (label_set(labels), sums.request_bytes)))?;
    let bytes = Family { name: &name("response_body"), help: "Answer bytes passed on.", unit: Some(&Unit::Bytes) };
    counters(encoder, &bytes, series.clone().map(|(labels, sums)| (label_set(labels), sums.response_bytes)))?;
    let retries = Family { name: &name("retries"), help: "Attempts after the first.", unit: None };
    let by_cause = series.clone().flat_map(|(labels, sums)| {
        let counted = RetryCause::ALL.iter().zip(sums.retries).filter(|(_, count)| *count > 0);
        counted.map(move |(cause, count)| (extended(labels, [("cause", cause.as_str().to_owned())]), count))
    });
    counters(encoder, &retries, by_cause)?;
    let active = Family { name: &name("active_requests"), help: "Requests in progress.", unit: None };
    gauges(encoder, &active, series.clone().map(|(labels, sums)| (label_set(labels), sums.active)))?;
    latencies(encoder, &name("request_duration"), series)
}

fn latencies<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    series: impl Iterator<Item = (&'a Labels, &'a Http)>,
) -> fmt::Result {
    let help = "Time from the request's head to the answer's head.";
    let mut metric = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for (labels, sums) in series {
        let bounds = BUCKETS.iter().copied().chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(sums.buckets).collect();
        let count = sums.buckets.iter().sum();
        metric.encode_family(&label_set(labels))?.encode_histogram::<NoLabelSet>(
            sums.seconds,
            count,
            &buckets,
            None,
        )?;
    }
    Ok(())
}

fn reason(outcome: Outcome) -> (&'static str, String) {
    ("reason", outcome.reason.map(|reason| reason.as_str().to_owned()).unwrap_or_default())
}
