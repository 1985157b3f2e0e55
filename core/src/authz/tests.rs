use super::*;
use crate::name::ServiceAccountRef;

fn id(text: &str) -> SpiffeId {
    format!("spiffe://cluster.local/{text}").parse().unwrap()
}

fn patterns(list: &[&str]) -> Vec<Pattern> {
    list.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn workload() -> Workload {
    Workload { namespace: "shop".into(), labels: [("app".to_string(), "web".to_string())].into() }
}

fn policy(namespace: &str, name: &str, created: i64, selector: Option<&[(&str, &str)]>) -> Policy {
    let selector = selector.map(|pairs| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
    Policy { selector, unreadable: false, ..Policy::closed(PolicyName::new(namespace, name), created, None) }
}

fn set(policies: impl IntoIterator<Item = Policy>) -> PolicySet {
    PolicySet::new(policies, &workload(), &"tulle-system".into())
}

fn authorization(name: &str, action: Action, rules: Vec<Rule>) -> Policy {
    Policy { authorization: Some(Authorization { action, rules }), ..policy("shop", name, 0, None) }
}

fn from(source: Source) -> Rule {
    Rule { from: vec![source], to: vec![] }
}

fn to(operation: Operation) -> Rule {
    Rule { from: vec![], to: vec![operation] }
}

fn call<'a>(peer: Option<&'a SpiffeId>, http: Option<(&'a str, &'a str)>) -> Call<'a> {
    Call { peer, port: 8080, http: http.map(|(method, path)| HttpCall { method, path }) }
}

/// Code, policy and rule.
type Refusal = (Code, Option<String>, Option<usize>);

/// `None` where permitted.
fn refusal(set: &PolicySet, call: &Call<'_>) -> Option<Refusal> {
    match set.authorize(call) {
        Verdict::Permit(_) => None,
        Verdict::Denied(denial) => Some((denial.code, denial.policy.map(PolicyName::to_string), denial.rule)),
    }
}

#[test]
fn deny_before_allow_and_allow_lists_close_the_rest() {
    let web = id("ns/shop/sa/web");
    let get = call(Some(&web), Some(("GET", "/")));
    let namespace = |name: &str| from(Source { namespaces: patterns(&[name]), ..Source::default() });
    let everyone = || Rule::default();
    let rows: Vec<(&str, Vec<Policy>, Option<Refusal>)> = vec![
        ("no policy allows", vec![], None),
        (
            "DENY that fits refuses",
            vec![authorization("d", Action::Deny, vec![namespace("bank"), namespace("shop")])],
            Some((Code::DeniedByPolicy, Some("shop/d".into()), Some(1))),
        ),
        ("DENY that does not fit", vec![authorization("d", Action::Deny, vec![namespace("bank")])], None),
        ("DENY without rules never fits", vec![authorization("d", Action::Deny, vec![])], None),
        (
            "DENY with an empty rule always fits",
            vec![authorization("d", Action::Deny, vec![everyone()])],
            Some((Code::DeniedByPolicy, Some("shop/d".into()), Some(0))),
        ),
        ("ALLOW that fits allows", vec![authorization("a", Action::Allow, vec![namespace("shop")])], None),
        (
            "ALLOW without rules denies all",
            vec![authorization("a", Action::Allow, vec![])],
            Some((Code::NoRuleAllows, Some("shop/a".into()), None)),
        ),
        ("ALLOW with an empty rule allows all", vec![authorization("a", Action::Allow, vec![everyone()])], None),
        (
            "ALLOW that does not fit denies",
            vec![authorization("a", Action::Allow, vec![namespace("bank")])],
            Some((Code::NoRuleAllows, Some("shop/a".into()), None)),
        ),
        (
            "any ALLOW policy is enough",
            vec![
                authorization("a", Action::Allow, vec![namespace("bank")]),
                authorization("b", Action::Allow, vec![namespace("shop")]),
            ],
            None,
        ),
        (
            "with several ALLOW policies none is to blame",
            vec![authorization("a", Action::Allow, vec![]), authorization("b", Action::Allow, vec![])],
            Some((Code::NoRuleAllows, None, None)),
        ),
        (
            "DENY beats ALLOW",
            vec![
                authorization("a", Action::Allow, vec![everyone()]),
                authorization("z", Action::Deny, vec![everyone()]),
            ],
            Some((Code::DeniedByPolicy, Some("shop/z".into()), Some(0))),
        ),
        ("AUDIT decides nothing", vec![authorization("x", Action::Audit, vec![everyone()])], None),
        ("AUDIT is no ALLOW list", vec![authorization("x", Action::Audit, vec![namespace("bank")])], None),
        (
            "an unreadable policy closes the workload",
            vec![
                authorization("a", Action::Allow, vec![everyone()]),
                Policy::closed(PolicyName::new("shop", "broken"), 0, None),
            ],
            Some((Code::PolicyUnreadable, Some("shop/broken".into()), None)),
        ),
    ];
    for (what, policies, want) in rows {
        assert_eq!(refusal(&set(policies), &get), want, "{what}");
    }
}

/// One row: a rule's conditions, a call, whether an ALLOW rule of it fits, and whether a DENY rule of it fits.
fn check(what: &str, rule: Rule, call: &Call<'_>, allow: bool, deny: bool) {
    assert_eq!(rule.fits(call, Action::Allow), allow, "ALLOW: {what}");
    assert_eq!(rule.fits(call, Action::Deny), deny, "DENY: {what}");
    assert_eq!(rule.fits(call, Action::Audit), deny, "AUDIT sees what DENY sees: {what}");
}

#[test]
fn callers() {
    let web = id("ns/shop/sa/web");
    let account = |text: &str| {
        let (namespace, name) = text.split_once('/').unwrap();
        vec![ServiceAccountRef::new(namespace, name)]
    };
    let source = |name: &str, value: &str| {
        let mut source = Source::default();
        match name {
            "principals" => source.principals = patterns(&[value]),
            "notPrincipals" => source.not_principals = patterns(&[value]),
            "namespaces" => source.namespaces = patterns(&[value]),
            "notNamespaces" => source.not_namespaces = patterns(&[value]),
            "serviceAccounts" => source.service_accounts = account(value),
            "notServiceAccounts" => source.not_service_accounts = account(value),
            other => panic!("{other}"),
        }
        from(source)
    };
    let rows = [
        ("principals", "cluster.local/ns/shop/sa/web", true),
        ("principals", "cluster.local/ns/shop/sa/we", false),
        ("principals", "cluster.local/ns/shop/*", true),
        ("principals", "*/sa/web", true),
        ("principals", "*", true),
        ("principals", "other.local/ns/shop/sa/web", false),
        ("notPrincipals", "cluster.local/ns/shop/sa/web", false),
        ("notPrincipals", "cluster.local/ns/bank/*", true),
        ("namespaces", "shop", true),
        ("namespaces", "sh*", true),
        ("namespaces", "bank", false),
        ("notNamespaces", "shop", false),
        ("notNamespaces", "bank", true),
        ("serviceAccounts", "shop/web", true),
        ("serviceAccounts", "bank/web", false),
        ("serviceAccounts", "shop/api", false),
        ("notServiceAccounts", "shop/web", false),
        ("notServiceAccounts", "shop/api", true),
    ];
    for (name, value, fits) in rows {
        check(&format!("{name} {value}"), source(name, value), &call(Some(&web), None), fits, fits);
    }
    let nobody = call(None, None);
    for name in ["principals", "namespaces"] {
        check(&format!("{name} * asks for an identity"), source(name, "*"), &nobody, false, false);
    }
    check("no identity, serviceAccounts", source("serviceAccounts", "shop/web"), &nobody, false, false);
    for (name, value) in [("notPrincipals", "x"), ("notNamespaces", "x"), ("notServiceAccounts", "x/y")] {
        check(
            &format!("no identity cannot show that it is not excluded: {name}"),
            source(name, value),
            &nobody,
            false,
            true,
        );
    }
    check("no condition on the caller", Rule::default(), &nobody, true, true);
    let both = Source { namespaces: patterns(&["shop"]), not_principals: patterns(&["*/sa/web"]), ..Source::default() };
    check("all conditions of a source must hold", from(both), &call(Some(&web), None), false, false);
    let either = Rule {
        from: vec![
            Source { namespaces: patterns(&["bank"]), ..Source::default() },
            Source { namespaces: patterns(&["shop"]), ..Source::default() },
        ],
        to: vec![],
    };
    check("any source is enough", either, &call(Some(&web), None), true, true);
}

#[test]
fn a_foreign_domain_gets_nothing_from_a_principal_of_ours() {
    let theirs: SpiffeId = "spiffe://evil.example/ns/shop/sa/web".parse().unwrap();
    let exact = Source { principals: patterns(&["cluster.local/ns/shop/sa/web"]), ..Source::default() };
    check("foreign domain", from(exact), &call(Some(&theirs), None), false, false);
}

#[test]
fn operations() {
    let operation = |change: fn(&mut Operation)| {
        let mut operation = Operation::default();
        change(&mut operation);
        to(operation)
    };
    let http = |method, path| call(None, Some((method, path)));
    check("method", operation(|o| o.methods = patterns(&["GET"])), &http("GET", "/"), true, true);
    check("method is case-sensitive", operation(|o| o.methods = patterns(&["GET"])), &http("get", "/"), false, false);
    check("not method", operation(|o| o.not_methods = patterns(&["GET"])), &http("POST", "/"), true, true);
    check("not method, excluded", operation(|o| o.not_methods = patterns(&["GET"])), &http("GET", "/"), false, false);
    check("path exact", operation(|o| o.paths = patterns(&["/admin"])), &http("GET", "/admin"), true, true);
    check(
        "path exact has no prefix",
        operation(|o| o.paths = patterns(&["/admin"])),
        &http("GET", "/admin/x"),
        false,
        false,
    );
    check("path prefix", operation(|o| o.paths = patterns(&["/admin*"])), &http("GET", "/admin/x"), true, true);
    check("path suffix", operation(|o| o.paths = patterns(&["*.js"])), &http("GET", "/a/b.js"), true, true);
    check("not path", operation(|o| o.not_paths = patterns(&["/health"])), &http("GET", "/health"), false, false);
    check("port", operation(|o| o.ports = vec![8080]), &http("GET", "/"), true, true);
    check("other port", operation(|o| o.ports = vec![80]), &http("GET", "/"), false, false);
    check("not port", operation(|o| o.not_ports = vec![8080]), &http("GET", "/"), false, false);

    let tcp = call(None, None);
    for (what, rule) in [
        ("methods", operation(|o| o.methods = patterns(&["GET"]))),
        ("paths", operation(|o| o.paths = patterns(&["/admin"]))),
        ("not methods", operation(|o| o.not_methods = patterns(&["GET"]))),
        ("not paths", operation(|o| o.not_paths = patterns(&["/admin"]))),
    ] {
        check(&format!("{what} on TCP: ALLOW never, DENY ignores the HTTP part"), rule, &tcp, false, true);
    }
    check("ports on TCP", operation(|o| o.ports = vec![8080]), &tcp, true, true);
    let port_and_path = operation(|o| {
        o.ports = vec![80];
        o.paths = patterns(&["/admin"]);
    });
    check("DENY on TCP still looks at the port", port_and_path, &tcp, false, false);
}

#[test]
fn both_readings_of_an_escape_count() {
    let paths = |list: &[&str]| to(Operation { paths: patterns(list), ..Operation::default() });
    let not_paths = |list: &[&str]| to(Operation { not_paths: patterns(list), ..Operation::default() });
    let escaped = call(None, Some(("GET", "/a%3Bb")));
    check("pattern in the decoded spelling", paths(&["/a;b"]), &escaped, false, true);
    check("pattern in the escaped spelling", paths(&["/a%3Bb"]), &escaped, false, true);
    check("pattern over both", paths(&["/a*"]), &escaped, true, true);
    check("excluded in one reading", not_paths(&["/a;b"]), &escaped, false, true);
}

#[test]
fn mtls_port_then_workload_then_namespace_then_mesh() {
    use MtlsMode::{Disable, Permissive, Strict};
    let mode = |policy: Policy, mode| Policy { mtls: Some(Mtls { mode: Some(mode), ..Mtls::default() }), ..policy };
    let app: Option<&[(&str, &str)]> = Some(&[("app", "web")]);
    let mesh = mode(policy("tulle-system", "mesh", 1, None), Strict);
    let mesh_selected = mode(policy("tulle-system", "some", 1, app), Disable);
    let namespace = mode(policy("shop", "ns", 2, None), Permissive);
    let own = mode(policy("shop", "own", 3, app), Strict);
    let younger = mode(policy("shop", "a-younger", 4, app), Disable);
    let twin = mode(policy("shop", "z-twin", 3, app), Disable);
    let port = Policy {
        mtls: Some(Mtls { mode: None, ports: [(8080, Permissive)].into() }),
        ..policy("shop", "port", 9, app)
    };
    let other = mode(policy("shop", "other", 0, Some(&[("app", "db")])), Disable);
    let foreign = mode(policy("bank", "ns", 0, None), Disable);
    let rows: Vec<(&str, Vec<&Policy>, MtlsMode)> = vec![
        ("nothing said", vec![], Permissive),
        ("mesh", vec![&mesh], Strict),
        ("selected in the mesh beats mesh", vec![&mesh, &mesh_selected], Disable),
        ("namespace beats mesh", vec![&mesh, &mesh_selected, &namespace], Permissive),
        ("workload beats namespace", vec![&mesh, &namespace, &own], Strict),
        ("the oldest wins a tie", vec![&younger, &own], Strict),
        ("then the name", vec![&twin, &own], Strict),
        ("port beats all", vec![&own, &younger, &port], Permissive),
        ("other workloads and namespaces do not count", vec![&other, &foreign], Permissive),
    ];
    for (what, policies, want) in rows {
        let set = set(policies.into_iter().cloned());
        assert_eq!(set.mtls_mode(8080, Permissive), want, "{what}");
    }
    let all = set([own, port, namespace]);
    assert_eq!(all.mtls_mode(9090, Permissive), Strict, "the port rule is for its port alone");
    assert_eq!(all.admit_plaintext(8080, Strict), Ok(()));
    let denial = all.admit_plaintext(9090, Permissive).unwrap_err();
    assert_eq!((denial.code, denial.policy.unwrap().to_string()), (Code::PlaintextRefused, "shop/own".to_string()));
    let denial = Denial { code: Code::PlaintextRefused, policy: None, rule: None };
    assert_eq!(set([]).admit_plaintext(80, Strict), Err(denial), "the default of the mesh has no name");
}

#[test]
fn audit_names_policy_and_rule() {
    let web = id("ns/shop/sa/web");
    let rules = vec![
        from(Source { namespaces: patterns(&["bank"]), ..Source::default() }),
        from(Source { namespaces: patterns(&["shop"]), ..Source::default() }),
    ];
    let set = set([authorization("x", Action::Audit, rules), authorization("d", Action::Deny, vec![Rule::default()])]);
    let call = call(Some(&web), None);
    let audited: Vec<_> = set.audited(&call).map(|(name, rule)| (name.to_string(), rule)).collect();
    assert_eq!(audited, [("shop/x".to_string(), 1)], "also where the call is refused");
}

#[test]
fn patterns_as_users_write_them() {
    for text in ["", "a*b", "*a*", "a**", "**"] {
        assert!(Pattern::parse(text).is_err(), "{text:?}");
    }
    let rows = [
        ("*", "", true),
        ("a*", "abc", true),
        ("a*", "ba", false),
        ("*a", "ba", true),
        ("*a", "ab", false),
        ("a", "a", true),
    ];
    for (pattern, text, fits) in rows {
        assert_eq!(Pattern::parse(pattern).unwrap().fits(text), fits, "{pattern} {text}");
    }
}

#[test]
fn modes_read_back() {
    for mode in [MtlsMode::Strict, MtlsMode::Permissive, MtlsMode::Disable] {
        assert_eq!(mode.as_str().parse(), Ok(mode));
    }
    assert_eq!(
        "strict".parse::<MtlsMode>().unwrap_err().to_string(),
        "\"strict\" is not STRICT, PERMISSIVE or DISABLE"
    );
}
