use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use tulle_core::codes::Reason;

use super::*;
use crate::metrics::cells::RetryCause;

fn labels(side: Side) -> Labels {
    let name = |text: &str| Arc::<str>::from(text);
    Labels {
        side,
        src_namespace: name("shop"),
        src_workload: name("web"),
        dst_namespace: name("shop"),
        dst_service: name("checkout"),
        route: name("shop/web/canary"),
        backend: name("checkout-v2"),
        mtls: true,
    }
}

#[test]
fn threads_are_added_up_and_written_as_open_metrics() {
    let shards: Vec<Arc<Shard>> = (0..2).map(|_| Arc::new(Shard::default())).collect();
    for shard in &shards {
        let http = shard.http(labels(Side::Client));
        http.answered(200, None, Duration::from_millis(3));
        http.answered(504, Some(Reason::Timeout), Duration::from_millis(3));
        http.unanswered(Reason::CallerGone);
        http.aborted(Reason::UpstreamReset);
        http.grpc_ended(14);
        http.retried(RetryCause::Unprocessed);
        shard.tcp(labels(Side::Server)).opened.add(2);
        shard.detections.count(Side::Server, Detected::ServerFirst);
        let policy = Arc::from("shop/deny");
        shard.refused(RefusalLabels { side: Side::Server, reason: "denied", code: "TUL4001", policy });
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(DataPath { shards }));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let common = r#"src_namespace="shop",src_workload="web",dst_namespace="shop",dst_service="checkout",route="shop/web/canary",backend="checkout-v2",mtls="true""#;
    for expected in [
        format!("tulle_http_client_requests_total{{{common},http_response_status_code=\"200\",reason=\"\"}} 2"),
        format!("tulle_http_client_requests_total{{{common},http_response_status_code=\"504\",reason=\"timeout\"}} 2"),
        format!("tulle_http_client_requests_total{{{common},http_response_status_code=\"\",reason=\"caller-gone\"}} 2"),
        format!("tulle_http_client_aborted_total{{{common},reason=\"upstream-reset\"}} 2"),
        format!("tulle_http_client_retries_total{{{common},cause=\"unprocessed\"}} 2"),
        format!("tulle_rpc_client_calls_total{{{common},rpc_response_status_code=\"UNAVAILABLE\"}} 2"),
        format!("tulle_http_client_request_duration_seconds_bucket{{le=\"0.0025\",{common}}} 0"),
        format!("tulle_http_client_request_duration_seconds_count{{{common}}} 4"),
        format!("tulle_tcp_connections_total{{{common},side=\"server\"}} 4"),
        r#"tulle_detected_connections_total{side="server",protocol="server-first"} 2"#.to_owned(),
        r#"tulle_refusals_total{side="server",reason="denied",code="TUL4001",policy="shop/deny"} 2"#.to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected}\nis not in\n{text}");
    }
}
