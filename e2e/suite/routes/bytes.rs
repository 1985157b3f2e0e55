//! The application's own TLS is routed by the name it asks for, and other connections by where they were to go, in both families.
//!
//! Fails when: the API server refuses such rules, one is ignored or taken out of order, or the mesh takes part in the application's
//! handshake: its client trusts the certificate of the expected server alone.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tulle_e2e::app::App;
use tulle_e2e::{host, own_tls};

use crate::beside::Beside;
use crate::context::{Context, ensure};

const TLS: u16 = 8443;
const BANNER: u16 = 9001;
/// Services, the servers behind them, and what the port of TLS is called: on the second, the protocol is found out.
const SERVICES: [(&str, &str, &str); 3] =
    [("declared", "first", "tls"), ("found", "first", "any"), ("second", "second", "tls")];

pub(crate) fn run(context: &Context) -> Result<()> {
    host::ensure(host::OWN_TLS)?;
    SERVICES.iter().try_for_each(|(name, server, port)| context.apply(&service(name, server, port)))?;
    context.apply(&own_tls::routes(TLS, &context.cluster().addresses().services6()))?;
    let server = |name| (name, App::server(name).service_account(name));
    context.deploy(&[server("first"), server("second"), ("client", App::idle("client"))])?;
    let beside = Beside::new(context)?;
    let mut programs = Vec::new();
    for server in ["first", "second"] {
        let openssl = own_tls::server(&beside.folder().join(server), TLS)?;
        programs.push(beside.serve(&beside.pod(context, server)?, &format!("{server}-openssl"), openssl, TLS)?);
    }
    let client = beside.pod(context, "client")?;
    let rows = [
        ("two.example", IpAddr::is_ipv4 as fn(&IpAddr) -> bool, "second"),
        ("a.b.two.example", IpAddr::is_ipv4, "second"),
        ("one.two.example", IpAddr::is_ipv4, "first"),
        // The rule for all of IPv6 comes after those for names.
        ("one.two.example", IpAddr::is_ipv6, "first"),
        ("three.example", IpAddr::is_ipv4, "first"),
        ("three.example", IpAddr::is_ipv6, "second"),
    ];
    for service in ["declared", "found"] {
        for (name, family, server) in rows {
            let address = SocketAddr::new(address(context, service, family)?, TLS);
            own_tls::expect(&client, (name, address), beside.folder(), server)?;
        }
    }
    for (family, server) in [(IpAddr::is_ipv4 as fn(&IpAddr) -> bool, "first"), (IpAddr::is_ipv6, "second")] {
        let address = SocketAddr::new(address(context, "found", family)?, BANNER);
        context.first_byte_ms("client", &address.to_string(), &["--expect", &format!("220 {server} ")])?;
    }
    for (rule, connections) in [("tls[0]", 4.0), ("tls[1]", 4.0), ("tcp[0]", 3.0)] {
        let route = format!("route=\"VirtualService {}/names {rule}\"", context.namespace());
        let counted = context.metric("client", "tulle_tcp_connections_total", &[&route])?;
        ensure(counted == connections, || {
            format!("{counted} connections are counted for {rule} instead of {connections}")
        })?;
    }
    Ok(())
}

fn service(name: &str, server: &str, port: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {
            "selector": {"app": server}, "ipFamilyPolicy": "RequireDualStack",
            "ports": [{"name": port, "port": TLS}, {"name": "banner", "port": BANNER}],
        },
    })
}

/// A cluster IP of a Service.
fn address(context: &Context, service: &str, family: fn(&IpAddr) -> bool) -> Result<IpAddr> {
    let found = context.kubectl().get(&format!("service/{service}"))?;
    let addresses = found["spec"]["clusterIPs"].as_array().into_iter().flatten();
    let mut addresses = addresses.filter_map(|address| address.as_str()?.parse().ok());
    addresses.find(family).with_context(|| format!("{service} has no address of this family"))
}
