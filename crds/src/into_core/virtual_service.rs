//! VirtualService.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt;
use tulle_core::codes::Code;
use tulle_core::name::{Namespace, ServiceRef};
use tulle_core::retry::{ATTEMPTS_MAX, RetryOn, RetryPolicy};
use tulle_core::route::{Destination, FullRegex, HeaderMatch, Match, Rank, Rule, StringMatch};
use tulle_core::split::{Split, Weight};

use super::error::{At, SpecError, each};
use super::value::{duration, nothing_else, path_literal, port, weight};
use super::{Ctx, namespace_of, rank_of};
use crate::virtual_service as written;

/// A VirtualService in the terms of the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualService {
    /// Precedence among VirtualServices of one host.
    pub rank: Rank,
    /// The services its rules apply to.
    pub hosts: Vec<ServiceRef>,
    /// Its rules in order.
    pub rules: Vec<Rule<Destination>>,
}

/// Reads a VirtualService.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_virtual_service(object: &crate::VirtualService, ctx: &Ctx) -> Result<VirtualService, SpecError> {
    let namespace = namespace_of(object);
    let spec = &object.spec;
    let read = || {
        nothing_else(&spec.rest)?;
        let hosts = hosts(spec, ctx, &namespace)?;
        if spec.http.is_empty() {
            return Err(SpecError::new(Code::MissingField, "lists no rule").under("http"));
        }
        let source = format!("VirtualService {namespace}/{}", object.name_any());
        let rules = spec
            .http
            .iter()
            .enumerate()
            .map(|(index, route)| {
                rule(route, &format!("{source} http[{index}]"), ctx, &namespace).at(format_args!("http[{index}]"))
            })
            .collect::<Result<_, _>>()?;
        Ok(VirtualService { rank: rank_of(object), hosts, rules })
    };
    read().at("spec")
}

fn hosts(spec: &written::VirtualServiceSpec, ctx: &Ctx, namespace: &Namespace) -> Result<Vec<ServiceRef>, SpecError> {
    if spec.hosts.is_empty() {
        return Err(SpecError::new(Code::MissingField, "lists no host").under("hosts"));
    }
    let hosts = each("hosts", &spec.hosts, |host| ctx.own_service(host, namespace))?;
    let mut seen = BTreeSet::new();
    match hosts.iter().position(|host| !seen.insert(host)) {
        None => Ok(hosts),
        Some(index) => {
            let reason = format!("{} is listed twice", hosts[index]);
            Err(SpecError::new(Code::DuplicateEntry, reason).under(format_args!("hosts[{index}]")))
        }
    }
}

fn rule(
    route: &written::HttpRoute,
    name: &str,
    ctx: &Ctx,
    namespace: &Namespace,
) -> Result<Rule<Destination>, SpecError> {
    nothing_else(&route.rest)?;
    let timeout = route.timeout.as_deref().map(duration).transpose().at("timeout")?;
    Ok(Rule {
        name: name.into(),
        matches: each("match", &route.matches, condition)?,
        action: destinations(&route.route, ctx, namespace)?,
        timeout: timeout.filter(|timeout| !timeout.is_zero()),
        retry: route.retries.as_ref().map(retry).transpose().at("retries")?.filter(|retry| retry.attempts > 0),
    })
}

fn destinations(
    list: &[written::RouteDestination],
    ctx: &Ctx,
    namespace: &Namespace,
) -> Result<Split<Destination>, SpecError> {
    let alone = list.len() == 1;
    let entries = each("route", list, |entry| {
        nothing_else(&entry.rest)?;
        let weight = entry.weight.map(weight).transpose().at("weight")?;
        let destination = destination(&entry.destination, ctx, namespace).at("destination")?;
        // As in Istio: alone, a destination receives everything; among others, no weight is weight 0.
        Ok((destination, if alone { Weight(1) } else { weight.unwrap_or_default() }))
    })?;
    if entries.is_empty() {
        return Err(SpecError::new(Code::MissingField, "lists no destination").under("route"));
    }
    Split::new(entries)
        .ok_or_else(|| SpecError::new(Code::NothingToChoose, "all weights are 0 or absent").under("route"))
}

fn destination(written: &written::Destination, ctx: &Ctx, namespace: &Namespace) -> Result<Destination, SpecError> {
    nothing_else(&written.rest)?;
    let service = ctx.own_service(&written.host, namespace).at("host")?;
    let port = written.port.as_ref().map(|selector| port(selector.number).at("port.number")).transpose()?;
    Ok(Destination { service, port })
}

fn retry(written: &written::Retries) -> Result<RetryPolicy, SpecError> {
    nothing_else(&written.rest)?;
    let attempts =
        u32::try_from(written.attempts).ok().filter(|attempts| *attempts <= ATTEMPTS_MAX).ok_or_else(|| {
            let reason = format!("{} is not between 0 and {ATTEMPTS_MAX}", written.attempts);
            SpecError::new(Code::InvalidValue, reason).under("attempts")
        })?;
    let per_try_timeout = written.per_try_timeout.as_deref().map(duration).transpose().at("perTryTimeout")?;
    let on = match written.retry_on.as_deref() {
        None => RetryOn::default(),
        Some(list) => RetryOn::parse(list).map_err(|word| {
            SpecError::new(Code::InvalidValue, format!("{word:?} is no retry condition")).under("retryOn")
        })?,
    };
    Ok(RetryPolicy { attempts, per_try_timeout: per_try_timeout.filter(|limit| !limit.is_zero()), on })
}

fn condition(written: &written::HttpMatch) -> Result<Match, SpecError> {
    nothing_else(&written.rest)?;
    Ok(Match {
        uri: written.uri.as_ref().map(uri).transpose().at("uri")?,
        ignore_uri_case: written.ignore_uri_case,
        method: whole(written.method.as_ref(), "method")?,
        scheme: whole(written.scheme.as_ref(), "scheme")?,
        authority: whole(written.authority.as_ref(), "authority")?,
        headers: headers(&written.headers, "headers")?,
        without_headers: headers(&written.without_headers, "withoutHeaders")?,
        query: named(&written.query_params, "queryParams")?,
        port: written.port.map(port).transpose().at("port")?,
    })
}

fn uri(written: &written::StringMatch) -> Result<StringMatch, SpecError> {
    let read = string(written)?.ok_or_else(no_comparison)?;
    match &read {
        StringMatch::Exact(exact) => path_literal(exact, exact).at("exact")?,
        // A prefix may end inside a segment; with one more letter it is a whole path.
        StringMatch::Prefix(prefix) => path_literal(prefix, &format!("{prefix}x")).at("prefix")?,
        StringMatch::Regex(_) => {}
    }
    Ok(read)
}

fn whole(written: Option<&written::StringMatch>, field: &str) -> Result<Option<StringMatch>, SpecError> {
    written.map(|written| string(written)?.ok_or_else(no_comparison)).transpose().at(field)
}

fn no_comparison() -> SpecError {
    SpecError::new(Code::MissingField, "has none of exact, prefix and regex").remedy("give exactly one")
}

/// `None`: nothing is asked but presence.
fn string(written: &written::StringMatch) -> Result<Option<StringMatch>, SpecError> {
    nothing_else(&written.rest)?;
    match (&written.exact, &written.prefix, &written.regex) {
        (None, None, None) => Ok(None),
        (Some(exact), None, None) => Ok(Some(StringMatch::Exact(exact.as_str().into()))),
        (None, Some(prefix), None) => Ok(Some(StringMatch::Prefix(prefix.as_str().into()))),
        (None, None, Some(regex)) => FullRegex::new(regex)
            .map(|regex| Some(StringMatch::Regex(regex)))
            .map_err(|error| SpecError::new(Code::InvalidPattern, error.to_string()).under("regex")),
        _ => Err(SpecError::new(Code::InvalidValue, "has more than one of exact, prefix and regex")
            .remedy("give exactly one")),
    }
}

type Named = Vec<(Arc<str>, HeaderMatch)>;

fn headers(written: &BTreeMap<String, written::StringMatch>, field: &str) -> Result<Named, SpecError> {
    for name in written.keys() {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte); // RFC 9110 §5.6.2
        let (reason, remedy) = match name.as_str() {
            "uri" | "scheme" | "method" | "authority" => {
                ("is a part of the request and no header", "use the field of that name")
            }
            name if name.is_empty() || !name.bytes().all(token) => ("is no header name", "correct the name"),
            name if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                ("has upper-case letters", "write it in lower case")
            }
            _ => continue,
        };
        return Err(SpecError::new(Code::InvalidValue, reason).remedy(remedy).under(format_args!("{field}[{name}]")));
    }
    named(written, field)
}

fn named(written: &BTreeMap<String, written::StringMatch>, field: &str) -> Result<Named, SpecError> {
    written
        .iter()
        .map(|(name, wanted)| {
            let wanted = string(wanted).at(format_args!("{field}[{name}]"))?;
            Ok((name.as_str().into(), wanted.map_or(HeaderMatch::Present, HeaderMatch::Value)))
        })
        .collect()
}
