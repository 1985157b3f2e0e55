//! Conditions on a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use tulle_core::codes::Code;
use tulle_core::name::is_label;
use tulle_core::route::{FullRegex, HeaderMatch, Match, SourceMatch, StringMatch};

use super::MESH;

use crate::into_core::error::{At, SpecError};
use crate::into_core::value::{header_name, nothing_else, path_literal, port};
use crate::virtual_service as written;

/// One condition.
pub(super) fn condition(written: &written::HttpMatch) -> Result<Match, SpecError> {
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
        source: source(written.source_namespace.as_deref(), &written.source_labels)?,
    })
}

/// Whether a condition for these gateways is for sidecars.
pub(super) fn is_for_mesh(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|gateway| gateway == MESH)
}

/// The workload that calls.
pub(super) fn source(
    namespace: Option<&str>,
    labels: &BTreeMap<String, String>,
) -> Result<Option<Arc<SourceMatch>>, SpecError> {
    if let Some(name) = namespace.filter(|name| !is_label(name)) {
        let reason = format!("{name:?} never fits: it is no name of a namespace");
        return Err(SpecError::new(Code::InvalidPattern, reason).under("sourceNamespace"));
    }
    if let Some((key, value)) = labels.iter().find(|(_, value)| !value.is_empty() && !is_label_value(value)) {
        let reason = format!("{value:?} never fits: no label has such a value");
        return Err(SpecError::new(Code::InvalidPattern, reason).under(format_args!("sourceLabels[{key}]")));
    }
    let source = SourceMatch { namespace: namespace.map(Into::into), labels: labels.clone() };
    Ok((source != SourceMatch::default()).then(|| Arc::new(source)))
}

/// A value of a label that is not empty (Kubernetes, `IsValidLabelValue`).
pub(super) fn is_label_value(value: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    value.len() <= 63
        && ends(value.bytes().next())
        && ends(value.bytes().last())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
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
    written.map(comparison).transpose().at(field)
}

/// A string that must be compared, and not merely be there.
pub(super) fn comparison(written: &written::StringMatch) -> Result<StringMatch, SpecError> {
    string(written)?.ok_or_else(no_comparison)
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
        if let "uri" | "scheme" | "method" | "authority" = name.as_str() {
            return Err(SpecError::new(Code::InvalidValue, "is a part of the request and no header")
                .remedy("use the field of that name")
                .under(format_args!("{field}[{name}]")));
        }
        header_name(name).at(format_args!("{field}[{name}]"))?;
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
