//! The engine against a reference: random VirtualServices of one host, read by rules written down here a second time and as plainly as
//! can be, must choose what the engine chooses.
//!
//! 10⁵ pairs of a table and a request in each run; more by command:
//!
//! ```sh
//! TULLE_ROUTE_PAIRS=10000000 cargo test --release -p tulle-core route::reference
//! ```

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use proptest::collection::{btree_map, vec};
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::delegate::{Delegate, compose};
use super::{
    Action, Caller, Filters, FullRegex, HeaderMatch, Match, Rank, RequestView, Rule, SourceMatch, StringMatch, merge,
};

/// Pairs of a run where nobody asks for more.
const PAIRS: u32 = 100_000;
/// Requests each table is asked with.
const REQUESTS: u32 = 50;

/// A way to compare, with the comparison itself.
#[derive(Clone, Debug)]
enum Way {
    Exact(&'static str),
    Prefix(&'static str),
    /// A pattern and what it means.
    Regex(&'static str, Means),
}

/// What a pattern says, without one.
type Means = fn(&str) -> bool;

/// A condition as an author would say it.
#[derive(Clone, Debug)]
struct Condition {
    uri: Option<(Way, bool)>,
    method: Option<Way>,
    scheme: Option<Way>,
    authority: Option<Way>,
    /// `None`: it is there.
    headers: BTreeMap<&'static str, Option<Way>>,
    without: BTreeMap<&'static str, Option<Way>>,
    query: BTreeMap<&'static str, Option<Way>>,
    port: Option<u16>,
    namespace: Option<&'static str>,
    labels: BTreeMap<&'static str, &'static str>,
}

/// An object: when and under which name it was made, and its rules.
#[derive(Clone, Debug)]
struct Author {
    created: i64,
    namespace: &'static str,
    name: &'static str,
    rules: Vec<Vec<Condition>>,
    /// Its last rule stands for these of another object.
    delegate: Vec<Vec<Condition>>,
}

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    authority: Option<&'static str>,
    scheme: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    port: u16,
    namespace: &'static str,
    labels: BTreeMap<&'static str, &'static str>,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        self.method
    }
    fn path(&self) -> &str {
        self.path
    }
    fn query(&self) -> Option<&str> {
        self.query
    }
    fn authority(&self) -> Option<&str> {
        self.authority
    }
    fn scheme(&self) -> &str {
        self.scheme
    }
    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_bytes())
    }
}

/// The reference: of all rules that fit, the one before which none stands.
fn reference(authors: &[Author], request: &Request) -> Option<String> {
    let mut chosen: Option<(&Author, usize)> = None;
    for author in authors {
        for (index, conditions) in author.rules.iter().enumerate() {
            let mut fits = conditions.is_empty();
            for condition in conditions {
                fits = fits || holds(condition, request);
            }
            let delegates = index + 1 == author.rules.len() && !author.delegate.is_empty();
            if fits && delegates {
                fits =
                    author.delegate.iter().any(|inner| inner.is_empty() || inner.iter().any(|one| holds(one, request)));
            }
            if fits && chosen.is_none_or(|(other, at)| stands_before(author, index, other, at)) {
                chosen = Some((author, index));
            }
        }
    }
    let (author, index) = chosen?;
    if index + 1 < author.rules.len() || author.delegate.is_empty() {
        return Some(name_of(author, index));
    }
    let mut inner = author.delegate.iter().map(|inner| inner.is_empty() || inner.iter().any(|one| holds(one, request)));
    Some(format!("delegate[{}]", inner.position(|fits| fits).expect("it was chosen for one")))
}

fn stands_before(author: &Author, index: usize, other: &Author, at: usize) -> bool {
    if author.created != other.created {
        return author.created < other.created;
    }
    if author.namespace != other.namespace {
        return author.namespace < other.namespace;
    }
    if author.name != other.name {
        return author.name < other.name;
    }
    index < at
}

fn holds(condition: &Condition, request: &Request) -> bool {
    if let Some((way, ignore_case)) = &condition.uri {
        let lower = |text: &str| if *ignore_case { text.to_lowercase() } else { text.to_owned() };
        let fits = match way {
            Way::Exact(text) => lower(text) == lower(request.path),
            Way::Prefix(text) => lower(request.path).starts_with(&lower(text)),
            Way::Regex(_, means) => means(request.path),
        };
        if !fits {
            return false;
        }
    }
    if condition.method.as_ref().is_some_and(|way| !fits(way, request.method))
        || condition.scheme.as_ref().is_some_and(|way| !fits(way, request.scheme))
        || condition.port.is_some_and(|port| port != request.port)
        || condition.namespace.is_some_and(|namespace| namespace != request.namespace)
    {
        return false;
    }
    if let Some(way) = &condition.authority {
        match request.authority {
            Some(authority) if fits(way, authority) => {}
            _ => return false,
        }
    }
    for (key, value) in &condition.labels {
        if request.labels.get(key) != Some(value) {
            return false;
        }
    }
    let header = |name: &str| request.headers.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value).collect();
    for (name, wanted) in &condition.headers {
        if !some_value(wanted.as_ref(), header(name)) {
            return false;
        }
    }
    for (name, unwanted) in &condition.without {
        if some_value(unwanted.as_ref(), header(name)) {
            return false;
        }
    }
    for (name, wanted) in &condition.query {
        let mut values = Vec::new();
        for piece in request.query.unwrap_or("").split('&') {
            if piece == *name {
                values.push("");
            } else if let Some(value) = piece.strip_prefix(&format!("{name}=")) {
                values.push(value);
            }
        }
        if !some_value(wanted.as_ref(), values) {
            return false;
        }
    }
    true
}

fn some_value(wanted: Option<&Way>, values: Vec<&'static str>) -> bool {
    match wanted {
        None => !values.is_empty(),
        Some(way) => values.into_iter().any(|value| fits(way, value)),
    }
}

fn fits(way: &Way, text: &str) -> bool {
    match way {
        Way::Exact(exact) => text == *exact,
        Way::Prefix(prefix) => text.len() >= prefix.len() && &text[..prefix.len()] == *prefix,
        Way::Regex(_, means) => means(text),
    }
}

fn name_of(author: &Author, index: usize) -> String {
    format!("{}/{}[{index}]", author.namespace, author.name)
}

/// What the engine is given.
fn engine(authors: &[Author]) -> super::RouteTable<()> {
    merge(authors.iter().map(|author| {
        let rank = Rank { created: author.created, namespace: author.namespace.into(), name: author.name.into() };
        let rule = |name: String, conditions: &Vec<Condition>, action| Rule {
            name: name.into(),
            matches: conditions.iter().map(read).collect(),
            within: Vec::new(),
            action,
            filters: Filters::default(),
        };
        let own = Delegate { namespace: author.namespace.into(), name: author.name.into() };
        let other = Delegate { namespace: author.namespace.into(), name: "delegate".into() };
        let inner = author.delegate.iter().enumerate();
        let inner: Vec<_> =
            inner.map(|(index, conditions)| rule(format!("delegate[{index}]"), conditions, Action::to(()))).collect();
        let action = |index| match index + 1 == author.rules.len() && !inner.is_empty() {
            true => Action::Delegate(other.clone()),
            false => Action::to(()),
        };
        let rules = author.rules.iter().enumerate();
        let rules: Vec<_> =
            rules.map(|(index, conditions)| rule(name_of(author, index), conditions, action(index))).collect();
        (rank, compose(own, &rules, |_, _| Ok(&inner)).rules.into_owned())
    }))
}

fn read(condition: &Condition) -> Match {
    let named = |names: &BTreeMap<&'static str, Option<Way>>| -> Vec<(Arc<str>, HeaderMatch)> {
        let wanted =
            |way: &Option<Way>| way.as_ref().map_or(HeaderMatch::Present, |way| HeaderMatch::Value(way.read()));
        names.iter().map(|(name, way)| (Arc::from(*name), wanted(way))).collect()
    };
    let labels: BTreeMap<String, String> = owned(&condition.labels);
    let source = SourceMatch { namespace: condition.namespace.map(Into::into), labels };
    Match {
        uri: condition.uri.as_ref().map(|(way, _)| way.read()),
        ignore_uri_case: condition.uri.as_ref().is_some_and(|(_, ignore)| *ignore),
        method: condition.method.as_ref().map(Way::read),
        scheme: condition.scheme.as_ref().map(Way::read),
        authority: condition.authority.as_ref().map(Way::read),
        headers: named(&condition.headers),
        without_headers: named(&condition.without),
        query: named(&condition.query),
        port: condition.port,
        source: (source != SourceMatch::default()).then(|| Arc::new(source)),
    }
}

impl Way {
    fn read(&self) -> StringMatch {
        /// Compiling is a hundred times as dear as everything else here.
        static COMPILED: LazyLock<HashMap<&str, FullRegex>> = LazyLock::new(|| {
            REGEXES.iter().map(|(pattern, _)| (*pattern, FullRegex::new(pattern).expect("a pattern"))).collect()
        });
        match self {
            Way::Exact(text) => StringMatch::Exact((*text).into()),
            Way::Prefix(text) => StringMatch::Prefix((*text).into()),
            Way::Regex(pattern, _) => StringMatch::Regex(COMPILED[pattern].clone()),
        }
    }
}

fn owned(labels: &BTreeMap<&'static str, &'static str>) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

// Few words, so that most conditions fit some requests.
const PATHS: &[&str] = &["/", "/a", "/A", "/ab", "/a/b", "/b", "/a/B"];
const METHODS: &[&str] = &["GET", "POST", "G"];
const SCHEMES: &[&str] = &["http", "https"];
const HOSTS: &[&str] = &["web", "web:80", "api", ""];
const NAMES: &[&str] = &["x", "y"];
const VALUES: &[&str] = &["", "1", "12", "2", "a=b"];
const QUERIES: &[&str] = &["", "x", "x=", "x=1", "y=2&x=12", "x=2&x=1", "x=a=b", "xx=1", "&x&y=1"];
const NAMESPACES: &[&str] = &["bank", "shop"];
const OBJECTS: &[&str] = &["api", "web", "zoo"];
const PORTS: &[u16] = &[80, 81];
const REGEXES: &[(&str, Means)] = &[
    ("/a.*", |text| text.starts_with("/a") && !text.contains('\n')),
    ("/(a|b)", |text| text == "/a" || text == "/b"),
    ("1|2", |text| text == "1" || text == "2"),
    (".*", |text| !text.contains('\n')),
    ("[^/]+", |text| !text.is_empty() && !text.contains('/')),
    ("", str::is_empty),
];

fn way(words: &'static [&'static str]) -> impl Strategy<Value = Way> {
    prop_oneof![
        4 => select(words).prop_map(Way::Exact),
        4 => select(words).prop_map(Way::Prefix),
        1 => select(REGEXES).prop_map(|(pattern, means)| Way::Regex(pattern, means)),
    ]
}

fn labels() -> impl Strategy<Value = BTreeMap<&'static str, &'static str>> {
    btree_map(select(NAMES), select(&VALUES[1..4]), 0..3)
}

fn condition() -> impl Strategy<Value = Condition> {
    let named = || btree_map(select(NAMES), of(way(VALUES)), 0..3);
    let few = |chance| weighted(chance, named()).prop_map(Option::unwrap_or_default);
    let source = (weighted(0.2, select(NAMESPACES)), weighted(0.2, labels()).prop_map(Option::unwrap_or_default));
    let line = (
        weighted(0.6, (way(PATHS), any::<bool>())),
        weighted(0.2, way(METHODS)),
        weighted(0.1, way(SCHEMES)),
        weighted(0.1, way(HOSTS)),
    );
    (line, few(0.3), few(0.2), few(0.3), weighted(0.2, select(PORTS)), source).prop_map(
        |((uri, method, scheme, authority), headers, without, query, port, (namespace, labels))| Condition {
            uri,
            method,
            scheme,
            authority,
            headers,
            without,
            query,
            port,
            namespace,
            labels,
        },
    )
}

/// No two of one name, as in a cluster.
fn authors() -> impl Strategy<Value = Vec<Author>> {
    let rules = |most| vec(vec(condition(), 0..4), 0..most);
    let author = (0i64..3, select(NAMESPACES), select(OBJECTS), rules(5), rules(3));
    vec(author, 0..4).prop_map(|authors| {
        let mut names = Vec::new();
        let mut all = Vec::new();
        for (created, namespace, name, rules, delegate) in authors {
            if !names.contains(&(namespace, name)) {
                names.push((namespace, name));
                all.push(Author { created, namespace, name, rules, delegate });
            }
        }
        all
    })
}

fn request() -> impl Strategy<Value = Request> {
    let line = (select(METHODS), select(PATHS), of(select(QUERIES)), of(select(HOSTS)), select(SCHEMES));
    let headers = vec((select(NAMES), select(VALUES)), 0..4);
    (line, headers, select(PORTS), select(NAMESPACES), labels()).prop_map(
        |((method, path, query, authority, scheme), headers, port, namespace, labels)| Request {
            method,
            path,
            query,
            authority,
            scheme,
            headers,
            port,
            namespace,
            labels,
        },
    )
}

#[test]
fn the_engine_chooses_what_the_reference_chooses() {
    let asked = std::env::var("TULLE_ROUTE_PAIRS").ok().map(|pairs| pairs.parse().expect("a number of pairs"));
    let cases = asked.unwrap_or(PAIRS).div_ceil(REQUESTS);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let pairs = (authors(), vec(request(), REQUESTS as usize));
    // How many requests found a rule: a test in which hardly any does, or all do, compares nothing.
    let found = Cell::new(0u32);
    let outcome = TestRunner::new(config).run(&pairs, |(authors, requests)| {
        let table = engine(&authors);
        for request in &requests {
            let labels = owned(&request.labels);
            let namespace = request.namespace.into();
            let caller = Caller { namespace: &namespace, labels: &labels, port: request.port };
            let seen = table.seen_by(&caller);
            let got = seen.select(request).map(|rule| rule.name.to_string());
            prop_assert_eq!(&got, &reference(&authors, request), "{:?}", request);
            found.set(found.get() + u32::from(got.is_some()));
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let (all, found) = (cases * REQUESTS, found.get());
    assert!(found > all / 5 && found < all / 5 * 4, "{found} of {all} requests found a rule");
}
