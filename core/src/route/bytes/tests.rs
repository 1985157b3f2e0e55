use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::name::Namespace;
use crate::route::SourceMatch;

fn sni(hosts: &[&str]) -> ByteMatch {
    let sni_hosts = hosts.iter().map(|host| SniHost::new(host).unwrap()).collect();
    ByteMatch { sni_hosts, ..ByteMatch::default() }
}

fn subnets(nets: &[&str]) -> ByteMatch {
    ByteMatch { destination_subnets: nets.iter().map(|net| net.parse().unwrap()).collect(), ..ByteMatch::default() }
}

fn rule(name: &str, matches: Vec<ByteMatch>) -> ByteRule<u32> {
    ByteRule { name: name.into(), matches, to: Some(Split::single(0)) }
}

fn opening<'a>(dialled: &str, hello: Hello<'a>) -> Opening<'a> {
    Opening { dialled: dialled.parse().unwrap(), hello }
}

#[test]
fn names_of_servers() {
    use Hello::{Absent, For, Unnamed};
    let rows = [
        ("a.example.com", For("a.example.com"), true),
        ("A.example.com", For("a.EXAMPLE.com"), true),
        ("a.example.com", For("b.a.example.com"), false),
        ("a.example.com", For("a.example.co"), false),
        ("a.example.com", Unnamed, false),
        ("a.example.com", Absent, false),
        ("*.example.com", For("a.example.com"), true),
        ("*.example.com", For("a.b.Example.com"), true),
        ("*.example.com", For("example.com"), false),
        ("*.example.com", For(".example.com"), false),
        ("*.example.com", For("aexample.com"), false),
        ("*.example.com", Unnamed, false),
        ("*", For("a"), true),
        ("*", Unnamed, true),
        ("*", Absent, false),
    ];
    for (host, hello, fits) in rows {
        assert_eq!(sni(&[host]).fits(&opening("10.0.0.1", hello)), fits, "{host} {hello:?}");
    }
    assert!(sni(&["x", "y"]).fits(&opening("10.0.0.1", For("y"))), "any of them");
}

#[test]
fn names_that_no_client_asks_for() {
    let rows = [
        ("10.0.0.1", "names no addresses"),
        ("*.10.0.0.1", "names no addresses"),
        ("::1", "names no addresses"),
        ("a.example.", "without the trailing dot"),
        ("a.*.example", "is not its first label"),
        ("*a.example", "is not its first label"),
        ("**", "is not its first label"),
        ("*.", "is not a DNS name"),
        ("", "is not a DNS name"),
        ("a b", "is not a DNS name"),
        ("a..b", "is not a DNS name"),
        ("a.example:443", "is not a DNS name"),
    ];
    for (host, why) in rows {
        let error = SniHost::new(host).unwrap_err().to_string();
        assert!(error.contains(why), "{host:?}: {error}");
    }
}

#[test]
fn networks_of_the_dialled_address() {
    let rows = [
        ("10.96.0.0/16", "10.96.3.4", true),
        ("10.96.0.0/16", "10.97.3.4", false),
        ("10.96.3.4/16", "10.96.9.9", true),
        ("10.96.0.0/16", "::ffff:10.96.3.4", true),
        ("fd00::/8", "fd12::1", true),
        ("fd00::/8", "10.96.3.4", false),
        ("0.0.0.0/0", "fd12::1", false),
    ];
    for (net, dialled, fits) in rows {
        assert_eq!(subnets(&[net]).fits(&opening(dialled, Hello::Absent)), fits, "{net} {dialled}");
    }
    assert!(subnets(&["10.0.0.0/8", "fd00::/8"]).fits(&opening("fd12::1", Hello::Absent)), "any of them");
    let both = ByteMatch { destination_subnets: subnets(&["10.0.0.0/8"]).destination_subnets, ..sni(&["a"]) };
    assert!(both.fits(&opening("10.0.0.1", Hello::For("a"))));
    assert!(!both.fits(&opening("11.0.0.1", Hello::For("a"))) && !both.fits(&opening("10.0.0.1", Hello::For("b"))));
}

#[test]
fn rules_for_tls_come_first_and_only_for_tls() {
    let table = ByteTable {
        tls: vec![rule("tls[0]", vec![sni(&["a"])]), rule("tls[1]", vec![sni(&["*"])])],
        tcp: vec![rule("tcp[0]", vec![subnets(&["10.0.0.0/8"])]), rule("tcp[1]", vec![])],
    };
    let rows = [
        ("10.0.0.1", Hello::For("a"), "tls[0]"),
        ("10.0.0.1", Hello::For("b"), "tls[1]"),
        ("10.0.0.1", Hello::Unnamed, "tls[1]"),
        ("10.0.0.1", Hello::Absent, "tcp[0]"),
        ("11.0.0.1", Hello::Absent, "tcp[1]"),
    ];
    for (dialled, hello, name) in rows {
        let chosen = table.select(&opening(dialled, hello)).map(|rule| &*rule.name);
        assert_eq!(chosen, Some(name), "{dialled} {hello:?}");
    }
    let named = ByteTable { tls: vec![rule("tls[0]", vec![sni(&["a"])])], ..ByteTable::default() };
    assert_eq!(named.select(&opening("10.0.0.1", Hello::For("b"))), None, "the Service itself answers");
}

#[test]
fn what_was_not_settled_for_a_caller_fits_nothing() {
    let source = Some(Arc::new(SourceMatch { namespace: Some("shop".into()), ..SourceMatch::default() }));
    for condition in
        [ByteMatch { port: Some(80), ..ByteMatch::default() }, ByteMatch { source, ..ByteMatch::default() }]
    {
        assert!(!condition.fits(&opening("10.0.0.1", Hello::Absent)), "{condition:?}");
    }
}

#[test]
fn what_takes_all() {
    let rows = [
        (vec![], true),
        (vec![ByteMatch::default()], true),
        (vec![sni(&["a"]), sni(&["b", "*"])], true),
        (vec![sni(&["*.a"])], false),
        (vec![subnets(&["0.0.0.0/0"])], false),
        (vec![ByteMatch { port: Some(1), ..ByteMatch::default() }], false),
        (vec![ByteMatch { source: Some(Arc::default()), ..ByteMatch::default() }], false),
    ];
    for (matches, all) in rows {
        assert_eq!(rule("x", matches.clone()).takes_all(), all, "{matches:?}");
    }
}

/// A rule as an author would say it: of which list, and its conditions.
#[derive(Clone, Debug)]
struct Said {
    tls: bool,
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    host: &'static str,
    net: Option<&'static str>,
    port: Option<u16>,
    namespace: Option<&'static str>,
}

type Object = (i64, Vec<Said>);

/// The reference: objects by age, in each the rules as they stand; but a rule for TLS before every other.
fn reference(objects: &[Object], name: Option<&str>, (dialled, port): (&str, u16), namespace: &str) -> Option<String> {
    let mut ordered: Vec<(bool, i64, usize, usize)> = Vec::new();
    for (object, (created, rules)) in objects.iter().enumerate() {
        for (index, said) in rules.iter().enumerate() {
            ordered.push((!said.tls, *created, object, index));
        }
    }
    ordered.sort_unstable();
    let holds = |condition: &Condition, tls: bool| {
        let named = name.is_some_and(|name| match condition.host {
            "*" => true,
            "*.b" => name.ends_with(".b"),
            host => name == host,
        });
        (!tls || named)
            && condition.net.is_none_or(|net| dialled.starts_with(net.trim_end_matches("0.0.0/8")))
            && condition.port.is_none_or(|wanted| wanted == port)
            && condition.namespace.is_none_or(|wanted| wanted == namespace)
    };
    let chosen = ordered.into_iter().find(|&(_, _, object, index)| {
        let said = &objects[object].1[index];
        if said.tls {
            name.is_some() && said.conditions.iter().any(|condition| holds(condition, true))
        } else {
            said.conditions.is_empty() || said.conditions.iter().any(|condition| holds(condition, false))
        }
    });
    chosen.map(|(_, _, object, index)| format!("{object}[{index}]"))
}

fn engine(objects: &[Object]) -> ByteTable<u32> {
    let read = |condition: &Condition, tls: bool| ByteMatch {
        sni_hosts: if tls { vec![SniHost::new(condition.host).unwrap()] } else { Vec::new() },
        destination_subnets: condition.net.iter().map(|net| net.parse().unwrap()).collect(),
        port: condition.port,
        source: condition
            .namespace
            .map(|namespace| Arc::new(SourceMatch { namespace: Some(namespace.into()), labels: BTreeMap::default() })),
    };
    ByteTable::merge(objects.iter().enumerate().map(|(object, (created, rules))| {
        let of = |tls: bool| {
            let rules = rules.iter().enumerate().filter(|(_, said)| said.tls == tls);
            let read_all = |said: &Said| said.conditions.iter().map(|one| read(one, tls)).collect();
            rules.map(|(index, said)| rule(&format!("{object}[{index}]"), read_all(said))).collect()
        };
        let rank = Rank { created: *created, namespace: "shop".into(), name: object.to_string() };
        (rank, ByteTable { tls: of(true), tcp: of(false) })
    }))
}

fn objects() -> impl Strategy<Value = Vec<Object>> {
    let condition = (
        select(&["a.b", "c.b", "*.b", "*"][..]),
        of(select(&["10.0.0.0/8", "11.0.0.0/8"][..])),
        of(select(&[80_u16, 81][..])),
        of(select(&["shop", "bank"][..])),
    );
    let condition = condition.prop_map(|(host, net, port, namespace)| Condition { host, net, port, namespace });
    let said = (any::<bool>(), vec(condition.clone(), 1..3), any::<bool>()).prop_map(|(tls, conditions, all)| {
        // A rule of `tls` has conditions always.
        Said { tls, conditions: if all && !tls { Vec::new() } else { conditions } }
    });
    vec((0_i64..3, vec(said, 0..4)), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_engine_chooses_what_the_reference_does(objects in objects()) {
        let table = engine(&objects);
        for namespace in ["shop", "bank"] {
            for port in [80, 81] {
                let caller = Caller { namespace: &Namespace::from(namespace), labels: &BTreeMap::new(), port };
                let seen = table.seen_by(&caller);
                for dialled in ["10.0.0.1", "11.0.0.1"] {
                    for name in [None, Some("a.b"), Some("x.b"), Some("b")] {
                        let hello = name.map_or(Hello::Absent, Hello::For);
                        let chosen = seen.select(&opening(dialled, hello)).map(|rule| rule.name.to_string());
                        let expected = reference(&objects, name, (dialled, port), namespace);
                        prop_assert_eq!(chosen, expected, "{} {} {} {:?}", namespace, port, dialled, name);
                    }
                }
            }
        }
    }
}
