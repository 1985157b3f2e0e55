//! Conditions on query parameters: of a query made of names and values, a condition sees exactly these.
#![no_main]

use tulle_core::route::{Action, Filters, Match, QueryMatch, RouteTable, Rule, StringMatch};
use tulle_fuzz::Request;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // A parameter each; what separates them is in none.
    let written: Vec<&str> = text.split(['\n', '&']).collect();
    let parameters: Vec<(&str, Option<&str>)> = written
        .iter()
        .map(|line| line.split_once('=').map_or((*line, None), |(name, value)| (name, Some(value))))
        .collect();
    let query = written.join("&");
    let request = Request { query: Some(query.clone()), ..Request::default() };
    let fits = |name: &str, wanted| {
        let condition = Match { query: vec![(name.into(), wanted)], ..Match::default() };
        let (matches, filters) = (vec![condition], Filters::default());
        let rule = Rule::<()> { name: "rule".into(), matches, within: Vec::new(), action: Action::Invalid, filters };
        RouteTable { rules: vec![rule] }.select(&request).is_some()
    };
    // A pair of nothing at all is no parameter.
    let values = |name: &str| -> Vec<&str> {
        let named = parameters.iter().filter(|parameter| parameter.0 == name && **parameter != ("", None));
        named.map(|(_, value)| value.unwrap_or_default()).collect()
    };
    for (name, value) in parameters.iter().chain(&[("absent", None)]) {
        let (own, value) = (values(name), value.unwrap_or_default());
        assert_eq!(fits(name, QueryMatch::Present), !own.is_empty(), "{name} in {}", query);
        let exact = fits(name, QueryMatch::Value(StringMatch::Exact(value.into())));
        assert_eq!(exact, own.contains(&value), "{name}={value} in {}", query);
        let start: String = value.chars().take(1).collect();
        let prefix = fits(name, QueryMatch::Value(StringMatch::Prefix(start.as_str().into())));
        assert_eq!(prefix, own.iter().any(|own| own.starts_with(&start)), "{name}={start}... in {}", query);
    }
});
