//! Envoy as Istio's sidecar has it: fault, cors and router filters, identity passed on, statistics on, access log off, keep-alive pools
//! without limits, one worker. Mesh TLS verifies the other side's SPIFFE id.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::peers::{Leg, Peer, Protocol, Side, Wiring};

const TYPES: &str = "type.googleapis.com/envoy.extensions";
/// No pool may run full: Istio's defaults are as high.
const UNLIMITED: u32 = 100_000;

/// Writes the configuration and says how to start it.
pub(super) fn command(peer: &Peer<'_>, wiring: &Wiring, side: Side) -> Result<Command> {
    let file = peer.folder.join(format!("{}.envoy.json", side.name()));
    let text =
        serde_json::to_string_pretty(&bootstrap(peer, wiring, side)).context("a configuration that is no JSON")?;
    std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    let mut envoy = Command::new(peer.tools.envoy()?);
    envoy.arg("-c").arg(file).args(["--concurrency", &peer.workers.to_string()]);
    envoy.args(["--disable-hot-restart", "--log-level", "warning"]);
    Ok(envoy)
}

fn bootstrap(peer: &Peer<'_>, wiring: &Wiring, side: Side) -> Value {
    let legs: Vec<&Leg> = wiring.legs(side).collect();
    let listeners: Vec<Value> = legs.iter().map(|leg| listener(peer, wiring, side, leg)).collect();
    let clusters: Vec<Value> = legs.iter().map(|leg| cluster(peer, wiring, side, leg)).collect();
    json!({
        "admin": {"address": address(([127, 0, 0, 1], 15000).into())},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    })
}

fn address(socket: std::net::SocketAddr) -> Value {
    json!({"socket_address": {"address": socket.ip().to_string(), "port_value": socket.port()}})
}

fn listener(peer: &Peer<'_>, wiring: &Wiring, side: Side, leg: &Leg) -> Value {
    let filter = if wiring.protocol == Protocol::Bytes {
        json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": format!("{TYPES}.filters.network.tcp_proxy.v3.TcpProxy"), "stat_prefix": leg.name, "cluster": leg.name,
        }})
    } else {
        json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": connection_manager(side, leg)})
    };
    let mut chain = json!({"filters": [filter]});
    if side == Side::Inbound {
        chain["transport_socket"] = tls(
            "DownstreamTlsContext",
            json!({
                "require_client_certificate": true,
                "disable_stateless_session_resumption": true,
                "disable_stateful_session_resumption": true,
                "common_tls_context": common_tls(peer, wiring, side, leg),
            }),
        );
    }
    json!({
        "name": leg.name, "address": address(leg.listen), "tcp_backlog_size": 4096, "filter_chains": [chain],
    })
}

fn connection_manager(side: Side, leg: &Leg) -> Value {
    let filter = |name: &str, kind: &str| {
        json!({"name": format!("envoy.filters.http.{name}"),
               "typed_config": {"@type": format!("{TYPES}.filters.http.{name}.v3.{kind}")}})
    };
    let mut manager = json!({
        "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": leg.name,
        "codec_type": "AUTO",
        "normalize_path": true,
        "stream_idle_timeout": "0s",
        "http_filters": [filter("fault", "HTTPFault"), filter("cors", "Cors"), filter("router", "Router")],
        "route_config": {"virtual_hosts": [{
            "name": leg.name, "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": leg.name, "timeout": "0s"}}],
        }]},
    });
    if side == Side::Inbound {
        manager["forward_client_cert_details"] = json!("APPEND_FORWARD");
        manager["set_current_client_cert_details"] = json!({"subject": true, "dns": true, "uri": true});
    }
    manager
}

fn cluster(peer: &Peer<'_>, wiring: &Wiring, side: Side, leg: &Leg) -> Value {
    let mut cluster = json!({
        "name": leg.name,
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": leg.name, "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": address(leg.connect)}},
        ]}]},
        "circuit_breakers": {"thresholds": [
            {"max_connections": UNLIMITED, "max_pending_requests": UNLIMITED, "max_requests": UNLIMITED},
        ]},
    });
    if wiring.protocol != Protocol::Bytes {
        let version = if leg.http2 { "http2_protocol_options" } else { "http_protocol_options" };
        let mut options = json!({
            "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
            "explicit_http_config": {version: {}},
        });
        if leg.fresh && side == Side::Outbound {
            options["common_http_protocol_options"] = json!({"max_requests_per_connection": 1});
        }
        cluster["typed_extension_protocol_options"] =
            json!({format!("{}.upstreams.http.v3.HttpProtocolOptions", "envoy.extensions"): options});
    }
    if side == Side::Outbound {
        let context = json!({
            "sni": peer.server_name, "max_session_keys": 0,
            "common_tls_context": common_tls(peer, wiring, side, leg),
        });
        cluster["transport_socket"] = tls("UpstreamTlsContext", context);
    }
    cluster
}

fn tls(kind: &str, mut context: Value) -> Value {
    context["@type"] = json!(format!("{TYPES}.transport_sockets.tls.v3.{kind}"));
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

fn common_tls(peer: &Peer<'_>, wiring: &Wiring, side: Side, leg: &Leg) -> Value {
    let (own, other) = (side.certificate(), side.other().certificate());
    let file = |name: String| json!({"filename": peer.authority.path(&name)});
    let mut common = json!({
        "tls_params": {
            "tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3", "ecdh_curves": ["X25519"],
        },
        "tls_certificates": [{
            "certificate_chain": file(format!("{own}.crt")), "private_key": file(format!("{own}.key")),
        }],
        "validation_context": {
            "trusted_ca": file("ca.crt".to_owned()),
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": super::peers::spiffe_id(other)}}],
        },
    });
    if wiring.protocol != Protocol::Bytes {
        let protocols: &[&str] = match side {
            Side::Inbound => &["h2", "http/1.1"],
            Side::Outbound if leg.http2 => &["h2"],
            Side::Outbound => &["http/1.1"],
        };
        common["alpn_protocols"] = json!(protocols);
    }
    common
}
