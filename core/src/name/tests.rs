use super::*;

fn read(host: &str) -> Result<String, HostError> {
    ServiceRef::from_host(host, &Namespace::from("shop"), "cluster.local").map(|service| service.to_string())
}

#[test]
fn hosts_as_users_write_them() {
    let rows = [
        ("web", "shop/web"),
        ("web.", "shop/web"),
        ("Web", "shop/web"),
        ("web.bank", "bank/web"),
        ("web.bank.svc", "bank/web"),
        ("web.bank.svc.", "bank/web"),
        ("web.bank.svc.cluster.local", "bank/web"),
        ("web.bank.svc.cluster.local.", "bank/web"),
        ("WEB.bank.SVC.Cluster.Local", "bank/web"),
        ("0-9", "shop/0-9"),
    ];
    for (host, want) in rows {
        assert_eq!(read(host).as_deref(), Ok(want), "{host}");
    }
}

#[test]
fn hosts_that_name_no_service() {
    let host = |text: &str| text.to_string();
    let rows = [
        ("", HostError::Empty),
        (".", HostError::Empty),
        ("*", HostError::Wildcard { host: host("*") }),
        ("*.shop", HostError::Wildcard { host: host("*.shop") }),
        ("web..shop", HostError::NotDns { host: host("web..shop") }),
        ("-web", HostError::NotDns { host: host("-web") }),
        ("web:80", HostError::NotDns { host: host("web:80") }),
        ("web/x", HostError::NotDns { host: host("web/x") }),
        ("wéb", HostError::NotDns { host: host("wéb") }),
        (
            "www.example.com",
            HostError::NotInCluster { host: host("www.example.com"), cluster_domain: host("cluster.local") },
        ),
        (
            "web.shop.svc.other.local",
            HostError::NotInCluster { host: host("web.shop.svc.other.local"), cluster_domain: host("cluster.local") },
        ),
        ("web.shop.pod", HostError::NotInCluster { host: host("web.shop.pod"), cluster_domain: host("cluster.local") }),
    ];
    for (text, want) in rows {
        assert_eq!(read(text), Err(want), "{text}");
    }
    let long = "a".repeat(64);
    assert_eq!(read(&long), Err(HostError::NotDns { host: long.clone() }));
}

#[test]
fn the_full_name_reads_back() {
    let service = ServiceRef::new("shop", "web");
    assert_eq!(service.host("cluster.local"), "web.shop.svc.cluster.local");
    assert_eq!(ServiceRef::from_host(&service.host("a.b"), &Namespace::from("other"), "a.b"), Ok(service));
}
