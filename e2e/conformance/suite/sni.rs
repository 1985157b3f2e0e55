//! The application's own TLS passes the mesh unopened, and the rules of a VirtualService say by the name it asks for who receives it: curl,
//! which trusts the certificate of the expected server alone, and servers of OpenSSL, on a port declared to be TLS and on one where that is
//! found out.
//!
//! Fails when: the schema refuses what is right of `tls` and `tcp` or takes what is wrong, a rule is followed in another order than it was
//! written, or the mesh takes part in the application's handshake.

use std::net::IpAddr;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use tulle_conformance::metrics::Metrics;
use tulle_conformance::{Context, Plan};
use tulle_e2e::{host, own_tls};

const PORT: u16 = 8443;
const SERVERS: [&str; 2] = ["first", "second"];

pub(crate) fn run(context: &Context<'_>) -> Result<()> {
    host::ensure(host::OWN_TLS)?;
    let plan = Plan::new()
        .meshed("client")
        .meshed("first")
        .meshed("second")
        .service("declared", "first", &[(PORT, Some("tls"))])
        .service("found", "first", &[(PORT, None)])
        .service("second", "second", &[(PORT, Some("tls"))])
        .rules([own_tls::routes(PORT, "fd00:224::/32")]);
    let site = context.site(&plan)?;
    for server in SERVERS {
        let openssl = own_tls::server(&context.folder().join(server), PORT)?;
        site.pod(server)?.serve("openssl", openssl, PORT)?;
    }
    for (spec, reason) in mistakes() {
        let object = json!({
            "apiVersion": "tulle.dev/v1alpha1", "kind": "VirtualService", "metadata": {"name": "wrong"}, "spec": spec,
        });
        let Err(refused) = site.apply(&object) else { bail!("{spec} was taken") };
        ensure!(format!("{refused:#}").contains(reason), "{spec} was refused, but not because {reason:?}: {refused:#}");
    }
    let client = site.pod("client")?;
    let rows = [
        ("two.example", IpAddr::is_ipv4 as fn(&IpAddr) -> bool, "second"),
        ("a.b.two.example", IpAddr::is_ipv4, "second"),
        ("one.two.example", IpAddr::is_ipv4, "first"),
        ("three.example", IpAddr::is_ipv4, "first"),
        ("three.example", IpAddr::is_ipv6, "second"),
    ];
    for service in ["declared", "found"] {
        for (name, family, server) in rows {
            let address = site.service_in(service, PORT, family)?;
            own_tls::expect(client.room(), (name, address), context.folder(), server)?;
        }
    }
    let metrics = Metrics::of(client)?;
    for (rule, connections) in [("tls[0]", 2.0), ("tls[1]", 4.0), ("tcp[0]", 2.0), ("", 2.0)] {
        let route =
            if rule.is_empty() { String::new() } else { format!("VirtualService {}/names {rule}", site.namespace()) };
        let counted = metrics.sum("tulle_tcp_connections_total", &[("route", &route)]);
        ensure!(counted == connections, "{counted} connections are counted for {route:?} instead of {connections}");
    }
    Ok(())
}

/// What the API server refuses by the schema alone, and the sentence.
fn mistakes() -> [(Value, &'static str); 4] {
    let to = |weight: i64| json!([{"destination": {"host": "found"}, "weight": weight}, {"destination": {"host": "second"}}]);
    let tls = |name: &str| json!([{"match": [{"sniHosts": [name]}], "route": to(1)}]);
    [
        (json!({"hosts": ["found"]}), "TUL3003: lists no rule; give one in http, tls or tcp"),
        (json!({"tls": tls("a.example")}), "TUL3001: is for the hosts of its own object, and there are none"),
        (json!({"hosts": ["found"], "tcp": [{"route": to(0)}]}), "TUL3009: all weights are 0 or absent"),
        (json!({"hosts": ["found"], "tls": tls("a.*.example")}), "spec.tls[0].match[0].sniHosts[0]"),
    ]
}
