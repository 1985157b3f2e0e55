//! MeshPolicy.

use std::collections::BTreeMap;

use kube::ResourceExt;
use tulle_core::authz::{Action, Authorization, Mtls, MtlsMode, Operation, Pattern, Policy, PolicyName, Rule, Source};
use tulle_core::codes::Code;
use tulle_core::identity::SpiffeId;
use tulle_core::name::{Namespace, ServiceAccountRef, is_label, is_subdomain};

use super::error::{At, SpecError, each};
use super::value::{nothing_else, path_literal, port_text};
use super::{Ctx, created, namespace_of};
use crate::mesh_policy as written;

/// Reads a MeshPolicy. A caller that has no earlier good version of an unreadable policy puts [`Policy::closed`] in its place:
/// leaving it out could open what its author closed.
///
/// # Errors
/// The first mistake, with its place.
pub fn parse_mesh_policy(object: &crate::MeshPolicy, _ctx: &Ctx) -> Result<Policy, SpecError> {
    let namespace = namespace_of(object);
    let spec = &object.spec;
    let read = || {
        nothing_else(&spec.rest)?;
        let selector = spec.selector.as_ref().map(selector).transpose().at("selector")?;
        let mtls = spec.mtls.as_ref().map(|mtls| self::mtls(mtls, selector.is_some())).transpose().at("mtls")?;
        let authorization = spec.authorization.as_ref().map(|section| authorization(section, &namespace)).transpose();
        Ok(Policy {
            name: PolicyName::new(namespace.clone(), object.name_any()),
            created: created(object),
            selector,
            mtls,
            authorization: authorization.at("authorization")?,
            unreadable: false,
        })
    };
    read().at("spec")
}

fn selector(written: &written::Selector) -> Result<BTreeMap<String, String>, SpecError> {
    nothing_else(&written.rest)?;
    Ok(written.match_labels.clone())
}

fn mtls(written: &written::Mtls, selects: bool) -> Result<Mtls, SpecError> {
    nothing_else(&written.rest)?;
    let mode = |word: &str| {
        word.parse::<MtlsMode>().map_err(|error| SpecError::new(Code::InvalidValue, error.to_string()).under("mode"))
    };
    if !written.port_level_mtls.is_empty() && !selects {
        let reason = "needs a selector, since ports belong to workloads";
        return Err(SpecError::new(Code::MissingField, reason).remedy("add spec.selector").under("portLevelMtls"));
    }
    let ports = written
        .port_level_mtls
        .iter()
        .map(|(port, section)| {
            let read = || Ok((port_text(port)?, mode(&section.mode)?));
            read().at(format_args!("portLevelMtls[{port}]"))
        })
        .collect::<Result<_, _>>()?;
    Ok(Mtls { mode: written.mode.as_deref().map(mode).transpose()?, ports })
}

fn authorization(written: &written::Authorization, namespace: &Namespace) -> Result<Authorization, SpecError> {
    nothing_else(&written.rest)?;
    let action = match written.action.as_str() {
        "ALLOW" => Action::Allow,
        "DENY" => Action::Deny,
        "AUDIT" => Action::Audit,
        other => {
            let reason = format!("{other:?} is not ALLOW, DENY or AUDIT");
            return Err(SpecError::new(Code::InvalidValue, reason).under("action"));
        }
    };
    Ok(Authorization { action, rules: each("rules", &written.rules, |rule| self::rule(rule, namespace))? })
}

fn rule(written: &written::AuthorizationRule, namespace: &Namespace) -> Result<Rule, SpecError> {
    nothing_else(&written.rest)?;
    let from = written.from.as_deref().map(|from| {
        not_empty("from", from)?;
        each("from", from, |from| {
            nothing_else(&from.rest)?;
            source(&from.source, namespace).at("source")
        })
    });
    let to = written.to.as_deref().map(|to| {
        not_empty("to", to)?;
        each("to", to, |to| {
            nothing_else(&to.rest)?;
            operation(&to.operation).at("operation")
        })
    });
    Ok(Rule { from: from.transpose()?.unwrap_or_default(), to: to.transpose()?.unwrap_or_default() })
}

/// An empty list reads like "nobody" and would mean "everybody".
fn not_empty<T>(field: &str, list: &[T]) -> Result<(), SpecError> {
    if !list.is_empty() {
        return Ok(());
    }
    Err(SpecError::new(Code::MissingField, "is an empty list")
        .remedy("add an entry, or leave the field out to fit everything")
        .under(field))
}

fn source(written: &written::Source, namespace: &Namespace) -> Result<Source, SpecError> {
    nothing_else(&written.rest)?;
    let account = |text: &String| service_account(text, namespace);
    let source = Source {
        principals: each("principals", &written.principals, principal)?,
        not_principals: each("notPrincipals", &written.not_principals, principal)?,
        namespaces: each("namespaces", &written.namespaces, namespace_pattern)?,
        not_namespaces: each("notNamespaces", &written.not_namespaces, namespace_pattern)?,
        service_accounts: each("serviceAccounts", &written.service_accounts, account)?,
        not_service_accounts: each("notServiceAccounts", &written.not_service_accounts, account)?,
    };
    if source == Source::default() { Err(says_nothing()) } else { Ok(source) }
}

fn operation(written: &written::Operation) -> Result<Operation, SpecError> {
    nothing_else(&written.rest)?;
    let port = |text: &String| port_text(text);
    let operation = Operation {
        methods: each("methods", &written.methods, pattern)?,
        not_methods: each("notMethods", &written.not_methods, pattern)?,
        paths: each("paths", &written.paths, path)?,
        not_paths: each("notPaths", &written.not_paths, path)?,
        ports: each("ports", &written.ports, port)?,
        not_ports: each("notPorts", &written.not_ports, port)?,
    };
    if operation == Operation::default() { Err(says_nothing()) } else { Ok(operation) }
}

fn says_nothing() -> SpecError {
    SpecError::new(Code::MissingField, "has no condition").remedy("add one, or leave from or to out to fit everything")
}

fn pattern(text: &String) -> Result<Pattern, SpecError> {
    let remedy = "write an exact value, abc*, *abc or *";
    Pattern::parse(text)
        .map_err(|reason| SpecError::new(Code::InvalidPattern, format!("{text:?} {reason}")).remedy(remedy))
}

fn principal(text: &String) -> Result<Pattern, SpecError> {
    let bare = text.strip_prefix("spiffe://").unwrap_or(text).to_string();
    let pattern = pattern(&bare)?;
    if let Pattern::Exact(exact) = &pattern {
        format!("spiffe://{exact}").parse::<SpiffeId>().map_err(|error| {
            let reason = format!("{text:?} never fits: {error}");
            SpecError::new(Code::InvalidPattern, reason)
                .remedy("write <trust domain>/ns/<namespace>/sa/<service account>")
        })?;
    }
    Ok(pattern)
}

fn namespace_pattern(text: &String) -> Result<Pattern, SpecError> {
    let pattern = pattern(text)?;
    match &pattern {
        Pattern::Exact(exact) if !is_label(exact) => {
            Err(SpecError::new(Code::InvalidPattern, format!("{text:?} never fits: it is no name of a namespace")))
        }
        _ => Ok(pattern),
    }
}

fn path(text: &String) -> Result<Pattern, SpecError> {
    let pattern = pattern(text)?;
    match &pattern {
        Pattern::Any => {}
        Pattern::Exact(exact) => path_literal(exact, exact)?,
        Pattern::Prefix(prefix) => path_literal(prefix, &format!("{prefix}x"))?,
        Pattern::Suffix(suffix) => path_literal(suffix, &format!("/x{suffix}"))?,
    }
    Ok(pattern)
}

fn service_account(text: &str, namespace: &Namespace) -> Result<ServiceAccountRef, SpecError> {
    let (namespace, name) = text.split_once('/').unwrap_or((namespace, text));
    if is_label(namespace) && is_subdomain(name) {
        return Ok(ServiceAccountRef::new(namespace, name));
    }
    let reason = format!("{text:?} is no service account");
    Err(SpecError::new(Code::InvalidValue, reason).remedy("write namespace/name, or name for this namespace"))
}
