use std::time::Duration;

use super::super::filter::Off;
use super::*;
use crate::route::StringMatch;

fn object(name: &str) -> Delegate {
    Delegate { namespace: "shop".into(), name: name.into() }
}

fn under(prefix: &str) -> Match {
    Match { uri: Some(StringMatch::Prefix(prefix.into())), ..Match::default() }
}

fn rule(name: &str, prefixes: &[&str], action: Action<u32>) -> Rule<u32> {
    let matches = prefixes.iter().map(|prefix| under(prefix)).collect();
    Rule { name: name.into(), matches, within: Vec::new(), action, filters: Filters::default() }
}

/// Objects by name, each with its rules.
type Objects = Vec<(&'static str, Vec<Rule<u32>>)>;

fn composed(objects: &Objects) -> Composed<'_, u32> {
    let (first, rules) = &objects[0];
    compose(object(first), rules, |_, to| {
        let found = objects.iter().find(|(name, _)| *name == &*to.name);
        found.map(|(_, rules)| rules.as_slice()).ok_or_else(|| Broken::Missing(to.clone()))
    })
}

fn to(name: &str) -> Action<u32> {
    Action::Delegate(object(name))
}

#[test]
fn rules_of_a_delegate_stand_in_the_place_of_the_rule() {
    let objects = vec![
        ("web", vec![rule("a", &["/a"], to("team")), rule("z", &[], Action::to(9))]),
        ("team", vec![rule("b", &["/a/b", "/c"], to("inner")), rule("c", &[], Action::to(2))]),
        ("inner", vec![rule("i", &["/a/b/i"], Action::to(1))]),
    ];
    let composed = composed(&objects);
    let shown: Vec<_> =
        composed.rules.iter().map(|rule| (&*rule.name, rule.matches.len(), rule.within.len())).collect();
    assert_eq!(shown, [("i", 1, 2), ("c", 0, 1), ("z", 0, 0)]);
    assert_eq!(composed.rules[0].within, [vec![under("/a")], vec![under("/a/b"), under("/c")]]);
    assert_eq!(composed.rules.iter().map(Rule::takes_all).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(composed.met, [object("inner"), object("team")].into());
    assert_eq!(composed.broken, []);
}

#[test]
fn what_cannot_be_followed_stays_and_is_named() {
    let chain = |names: &[&'static str]| -> Objects {
        let next = names.iter().skip(1).map(|next| to(next)).chain([Action::to(1)]);
        names.iter().zip(next).map(|(name, action)| (*name, vec![rule(name, &[], action)])).collect()
    };
    let mut circle = chain(&["web", "a", "b"]);
    circle[2].1[0].action = to("a");
    let rows: Vec<(&str, Objects, Option<&str>)> = vec![
        ("three in a row", chain(&["web", "a", "b", "c"]), None),
        (
            "four in a row",
            chain(&["web", "a", "b", "c", "d"]),
            Some("more than 3 delegations in a row: shop/web -> shop/a -> shop/b -> shop/c -> shop/d"),
        ),
        ("a circle", circle, Some("delegation in a circle: shop/web -> shop/a -> shop/b -> shop/a")),
        (
            "itself",
            vec![("web", vec![rule("web", &[], to("web"))])],
            Some("delegation in a circle: shop/web -> shop/web"),
        ),
        (
            "nobody",
            vec![("web", vec![rule("web", &[], to("gone"))])],
            Some("VirtualService shop/gone does not exist, or cannot be read"),
        ),
    ];
    for (what, objects, broken) in rows {
        let composed = composed(&objects);
        assert_eq!(composed.broken.first().map(|(_, why)| why.to_string()).as_deref(), broken, "{what}");
        assert_eq!(composed.rules[0].delegate().is_some(), broken.is_some(), "{what}");
        assert_eq!(composed.rules.len(), 1, "{what}");
    }
}

#[test]
fn a_delegation_into_nothing_has_no_route() {
    let objects = vec![("web", vec![rule("web", &[], to("empty"))]), ("empty", vec![])];
    let composed = composed(&objects);
    assert_eq!(composed.rules.iter().map(|rule| rule.delegate().is_some()).collect::<Vec<_>>(), [true]);
}

#[test]
fn delegation_comes_to_a_bounded_number_of_rules() {
    let many = |action: fn(&str) -> Action<u32>, next| (0..64).map(|_| rule("r", &[], action(next))).collect();
    let objects =
        vec![("web", many(to, "a")), ("a", many(to, "b")), ("b", many(to, "c")), ("c", many(|_| Action::to(1), ""))];
    let composed = composed(&objects);
    assert!(composed.rules.len() <= RULES_MAX, "{}", composed.rules.len());
    assert!(composed.broken.iter().any(|(_, why)| *why == Broken::TooMany));
}

#[test]
fn filters_of_the_delegate_win_each_as_a_whole() {
    let filters = |seconds: Option<u64>, authority: Option<&str>, off| Filters::<()> {
        timeout: seconds.map(Duration::from_secs),
        edits: super::super::filter::Edits {
            authority: authority.map(|text| text.parse().unwrap()),
            ..Default::default()
        },
        off: Off { timeout: off, retry: false },
        ..Filters::default()
    };
    let outer = filters(Some(9), Some("outer"), false);
    let rows = [
        ("nothing said", filters(None, None, false), filters(Some(9), Some("outer"), false)),
        ("its own", filters(Some(1), Some("own"), false), filters(Some(1), Some("own"), false)),
        ("switched off", filters(None, None, true), filters(None, Some("outer"), true)),
    ];
    for (what, own, want) in rows {
        assert_eq!(own.or(&outer), want, "{what}");
    }
}
