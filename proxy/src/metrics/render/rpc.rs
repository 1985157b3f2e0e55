//! The families of gRPC, which are HTTP's with another status.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::http::Http;
use super::{Family, counters, extended};
use crate::metrics::cells::GRPC_STATUSES;
use crate::metrics::{Labels, Side};

/// Writes the families of one side.
pub(super) fn encode<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    side: Side,
    series: impl Iterator<Item = (&'a Labels, &'a Http)>,
) -> fmt::Result {
    let name = |what: &str| format!("tulle_rpc_{}_{what}", side.as_str());
    let calls = Family { name: &name("calls"), help: "gRPC calls by how they ended.", unit: None };
    let by_status = series.flat_map(|(labels, sums)| {
        let counted = GRPC_STATUSES.iter().zip(sums.grpc).filter(|(_, count)| *count > 0);
        counted
            .map(move |(status, count)| (extended(labels, [("rpc_response_status_code", (*status).to_owned())]), count))
    });
    counters(encoder, &calls, by_status)
}
