use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::*;

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
        shard.http(labels(Side::Client)).answered(200, Duration::from_millis(3));
        shard.tcp(labels(Side::Server)).opened.add(2);
        let policy = Arc::from("shop/deny");
        shard.refused(RefusalLabels { side: Side::Server, reason: "denied", code: "TUL4001", policy });
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(DataPath { shards }));
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    let common = r#"src_namespace="shop",src_workload="web",dst_namespace="shop",dst_service="checkout",route="shop/web/canary",backend="checkout-v2",mtls="true""#;
    for expected in [
        format!("tulle_http_client_requests_total{{{common},http_response_status_code=\"200\"}} 2"),
        format!("tulle_http_client_request_duration_seconds_bucket{{le=\"0.0025\",{common}}} 0"),
        format!("tulle_http_client_request_duration_seconds_count{{{common}}} 2"),
        format!("tulle_tcp_connections_total{{{common},side=\"server\"}} 4"),
        r#"tulle_refusals_total{side="server",reason="denied",code="TUL4001",policy="shop/deny"} 2"#.to_owned(),
    ] {
        assert!(text.contains(&expected), "{expected}\nis not in\n{text}");
    }
}
