use super::*;

fn read(host: &str) -> Result<Host, HostError> {
    Host::parse(host, &"shop".into(), "cluster.local")
}

#[test]
fn wildcards_as_users_write_them() {
    let own = || Host::Own("shop".into());
    let all = |namespace: &str| Host::Namespace(namespace.into());
    let rows = [
        ("*", own()),
        ("*.", own()),
        ("*.shop", all("shop")),
        ("*.bank", all("bank")),
        ("*.Bank.", all("bank")),
        ("*.bank.svc", all("bank")),
        ("*.bank.svc.cluster.local", all("bank")),
        ("*.BANK.svc.Cluster.Local.", all("bank")),
        ("web", Host::Service(ServiceRef::new("shop", "web"))),
        ("web.bank.svc", Host::Service(ServiceRef::new("bank", "web"))),
    ];
    for (host, want) in rows {
        assert_eq!(read(host), Ok(want), "{host}");
    }
}

#[test]
fn what_is_no_wildcard_for_a_namespace() {
    let partial = |host: &str| HostError::PartialWildcard { host: host.into() };
    let outside = |host: &str| HostError::NotInCluster { host: host.into(), cluster_domain: "cluster.local".into() };
    let not_dns = |host: &str| HostError::NotDns { host: host.into() };
    let rows = [
        ("web-*", partial("web-*")),
        ("*web.shop", partial("*web.shop")),
        ("web.*", partial("web.*")),
        ("*.*", partial("*.*")),
        ("**", partial("**")),
        ("*.a*.svc", partial("*.a*.svc")),
        ("*.example.com", outside("*.example.com")),
        ("*.svc.cluster.local", outside("*.svc.cluster.local")),
        ("*.shop.svc.other.local", outside("*.shop.svc.other.local")),
        ("*..", not_dns("*..")),
        ("*.-shop", not_dns("*.-shop")),
        ("*.shop:80", not_dns("*.shop:80")),
        ("", HostError::Empty),
    ];
    for (host, want) in rows {
        assert_eq!(read(host), Err(want), "{host}");
    }
}

#[test]
fn the_more_specific_comes_first() {
    let service = ServiceRef::new("shop", "web");
    let hosts = ["*", "*.shop", "web", "api", "*.bank"].map(|host| read(host).unwrap());
    let mut covering: Vec<_> = hosts.iter().filter(|host| host.covers(&service)).collect();
    covering.sort();
    assert_eq!(
        covering.into_iter().cloned().collect::<Vec<_>>(),
        ["web", "*.shop", "*"].map(|host| read(host).unwrap())
    );
    let foreign = ServiceRef::new("bank", "web");
    assert_eq!(hosts.iter().filter(|host| host.covers(&foreign)).count(), 1, "`*` is of its own namespace");
}
