use std::collections::BTreeMap;

use super::*;

const PROBES: &str = r#"{"web/livenessProbe":{"httpGet":{"port":80,"path":"/","headers":[["Authorization","hunter2"]]},"timeoutSeconds":1}}"#;

fn usual() -> BTreeMap<&'static str, &'static str> {
    [
        (env::POD_NAME, "web-7d4b9-x2x4z"),
        (env::POD_NAMESPACE, "shop"),
        (env::POD_IPS, "10.1.2.3,fd00::3"),
        (env::SERVICE_ACCOUNT, "web"),
        (env::SYSTEM_NAMESPACE, "tulle-system"),
        (env::TRUST_DOMAIN, "cluster.local"),
        (env::ISSUER, "tulle-operator.tulle-system.svc:15012"),
        (env::DEFAULT_MTLS, "PERMISSIVE"),
        ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
        ("KUBERNETES_SERVICE_PORT", "443"),
    ]
    .into()
}

fn read(variables: &BTreeMap<&'static str, &'static str>) -> Result<Config, ConfigError> {
    Config::read(&Variables(&|name| variables.get(name).map(|value| (*value).to_owned())))
}

#[test]
fn what_the_webhook_always_sets_is_enough() {
    let config = read(&usual()).unwrap();
    assert_eq!(config.identity.to_string(), "spiffe://cluster.local/ns/shop/sa/web");
    assert_eq!(config.issuer.identity.to_string(), "spiffe://cluster.local/ns/tulle-system/sa/tulle-operator");
    assert_eq!(config.issuer.address, HostPort { host: "tulle-operator.tulle-system.svc".into(), port: 15012 });
    assert_eq!(config.pod.primary_ip().to_string(), "10.1.2.3");
    assert_eq!(config.pod.workload_name(), "web-7d4b9-x2x4z");
    assert_eq!((config.workers, config.log.as_str(), config.access_log), (1, "info", None));
    assert_eq!(config.default_mtls, MtlsMode::Permissive);
    assert_eq!(config.api.url.to_string(), "https://10.96.0.1:443/");
    assert_eq!(config.skip, Skip::default());
    assert!(config.tracing.is_none());
    assert!(config.probes.is_empty() && config.cluster_networks.is_empty());
}

#[test]
fn every_option_is_read() {
    let mut variables = usual();
    variables.extend([
        (env::WORKLOAD, "deployment/web"),
        (env::WORKERS, "4"),
        (env::LOG, "debug"),
        (env::ACCESS_LOG, "json"),
        (env::CONNECTIONS_MAX, "500"),
        (env::TRACING_ENDPOINT, "http://collector.observability:4318"),
        (env::TRACING_SAMPLING, "25"),
        (env::SKIP_OUTBOUND_PORTS, "22, 9000-9100,"),
        (env::SKIP_INBOUND_PORTS, "2222"),
        (env::SKIP_OUTBOUND_NETWORKS, "10.9.8.7/16,fd00:9::/64,192.0.2.7"),
        (env::CLUSTER_NETWORKS, "10.0.0.0/8"),
        (env::PROBES, PROBES),
        ("KUBERNETES_SERVICE_HOST", "fd00::1"),
        (env::DEFAULT_MTLS, "STRICT"),
    ]);
    let config = read(&variables).unwrap();
    let tracing = config.tracing.as_ref().unwrap();
    assert_eq!(tracing.endpoint.to_string(), "http://collector.observability:4318/v1/traces");
    assert_eq!(Some(tracing.sampling), Percent::new(25.0));
    assert_eq!(config.pod.workload_name(), "deployment/web");
    assert_eq!((config.workers, config.log.as_str(), config.access_log), (4, "debug", Some(Format::Json)));
    assert_eq!(config.skip.outbound_ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["22", "9000-9100"]);
    assert_eq!(config.skip.inbound_ports.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2222"]);
    assert_eq!(
        config.skip.outbound_networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.9.0.0/16", "fd00:9::/64", "192.0.2.7/32"]
    );
    assert_eq!(config.api.url.to_string(), "https://[fd00::1]:443/");
    assert_eq!((config.probes.len(), config.connections_max), (1, 500));

    let shown = serde_json::to_string(&config).unwrap();
    assert!(shown.contains("web/livenessProbe") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn listening_instead_of_a_redirect_names_every_address() {
    let mut variables = usual();
    assert_eq!(read(&variables).unwrap().capture, Capture::Redirect);
    variables.extend([
        (env::CAPTURE, "listen"),
        (env::LISTEN_OUTBOUND, "10.96.0.10:8080, [fd00::10]:81"),
        (env::LISTEN_INBOUND, "10.1.2.3:8080=127.0.0.1:18080"),
        (env::KEY_EXCHANGE, "x25519"),
    ]);
    let config = read(&variables).unwrap();
    let socket = |text: &str| text.parse::<SocketAddr>().unwrap();
    let (own, application) = (socket("10.1.2.3:8080"), socket("127.0.0.1:18080"));
    let outbound = vec![socket("10.96.0.10:8080"), socket("[fd00::10]:81")];
    assert_eq!(config.capture, Capture::Listen { outbound, inbound: vec![(own, application)] });
    assert_eq!(config.capture.application(own), application);
    assert_eq!(config.capture.application(socket("10.1.2.3:81")), socket("10.1.2.3:81"));
    assert_eq!(Capture::Redirect.application(own), own);
    assert_eq!(config.key_exchange, KeyExchange::X25519);
}

#[test]
fn mistakes_name_the_variable_the_value_and_the_form() {
    let table = [
        (env::POD_NAME, "", "TULLE_POD_NAME is not set"),
        (env::POD_IPS, ",", "at least one IP address"),
        (env::POD_IPS, "10.1.2", "\"10.1.2\" is not an IP address"),
        (env::POD_NAMESPACE, "Shop", "namespace is not a DNS label"),
        (env::SERVICE_ACCOUNT, "web/..", "TULLE_POD_NAMESPACE"),
        (env::TRUST_DOMAIN, "Cluster.Local", "trust domain has"),
        (env::ISSUER, "operator", "host:port"),
        (env::ISSUER, "operator:0", "host:port"),
        (env::ISSUER, ":15012", "host:port"),
        (env::ISSUER, "fd00::1:15012", "brackets"),
        (env::DEFAULT_MTLS, "strict", "TULLE_DEFAULT_MTLS=\"strict\""),
        (env::WORKERS, "0", "from 1 to 64"),
        (env::WORKERS, "two", "from 1 to 64"),
        (env::ACCESS_LOG, "yes", "json, text or off"),
        (env::CONNECTIONS_MAX, "0", "from 1 to 1000000"),
        (env::SKIP_OUTBOUND_PORTS, "22,0", "\"0\" is neither a port"),
        (env::SKIP_OUTBOUND_PORTS, "9100-9000", "neither a port"),
        (env::SKIP_INBOUND_PORTS, "70000", "neither a port"),
        (env::SKIP_OUTBOUND_NETWORKS, "10.0.0.0/33", "CIDR form"),
        (env::CLUSTER_NETWORKS, "pods", "CIDR form"),
        (env::CAPTURE, "none", "redirect or listen"),
        (env::KEY_EXCHANGE, "kyber", "hybrid or x25519"),
        (env::PROBES, "{\"a\":1}", "not a table of probes"),
        ("KUBERNETES_SERVICE_HOST", "", "the kubelet sets it"),
        ("KUBERNETES_SERVICE_PORT", "https", "KUBERNETES_SERVICE_PORT=\"https\""),
    ];
    for (variable, value, word) in table {
        let mut variables = usual();
        variables.insert(variable, value);
        let error = read(&variables).expect_err(variable).to_string();
        assert!(error.contains(word), "{variable}={value:?}: {error}");
    }
    let many = (1..=300).map(|port| port.to_string()).collect::<Vec<_>>().join(",");
    assert!(values::ports(&many).unwrap_err().contains("more than 256"));
}

#[test]
fn addresses_of_hosts_print_as_they_parse() {
    for text in ["operator:15012", "10.0.0.1:80", "[fd00::1]:15012"] {
        assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
    }
}
