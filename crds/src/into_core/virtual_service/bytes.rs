//! Rules for connections that are not HTTP.

use std::net::IpAddr;

use ipnet::IpNet;
use tulle_core::codes::Code;
use tulle_core::route::Destination;
use tulle_core::route::bytes::{ByteMatch, ByteRule, ByteTable, SniHost};
use tulle_core::split::Split;

use super::scope::Scope;
use super::{Read, condition, destination, rules};
use crate::into_core::error::{At, SpecError, each};
use crate::into_core::value::{nothing_else, port};
use crate::virtual_service as written;

/// The rules of `tls` and of `tcp`, without what is for gateways alone.
pub(super) fn table(
    spec: &written::VirtualServiceSpec,
    (source, invalid): (&str, &mut Vec<SpecError>),
    scope: &Scope<'_>,
) -> Result<ByteTable<Destination>, SpecError> {
    if spec.hosts.is_empty() {
        let lists = [("tls", spec.tls.is_empty()), ("tcp", spec.tcp.is_empty())];
        if let Some((field, _)) = lists.into_iter().find(|(_, is_empty)| !is_empty) {
            let reason = "is for the hosts of its own object, and there are none: delegation is of http alone";
            return Err(SpecError::new(Code::InvalidValue, reason).remedy("give hosts, or remove it").under(field));
        }
    }
    let tls = rules("tls", &spec.tls, (source, &mut *invalid), |route: &written::TlsRoute, name| {
        if route.matches.is_empty() {
            let missing = SpecError::new(Code::MissingField, "says of no server's name that it is meant");
            return Err(missing.remedy("give a match with sniHosts").under("match"));
        }
        let matches = each("match", &route.matches, of_tls)?;
        Ok(rule(name, matches, nothing_else(&route.rest).and_then(|()| destination::shares(&route.route, scope))))
    })?;
    let tcp = rules("tcp", &spec.tcp, (source, invalid), |route: &written::TcpRoute, name| {
        let matches = each("match", &route.matches, |written| {
            nothing_else(&written.rest)?;
            connection(&written.connection)
        })?;
        Ok(rule(name, matches, nothing_else(&route.rest).and_then(|()| destination::shares(&route.route, scope))))
    })?;
    Ok(ByteTable { tls, tcp })
}

/// A rule, from its conditions and from where it leads.
fn rule(
    name: &str,
    matches: Vec<Option<ByteMatch>>,
    to: Result<Split<Destination>, SpecError>,
) -> Read<ByteRule<Destination>> {
    let for_all = matches.is_empty();
    let matches: Vec<_> = matches.into_iter().flatten().collect();
    let (to, mistake) = match to {
        Ok(to) => (Some(to), None),
        Err(mistake) => (None, Some(mistake)),
    };
    let rule = (for_all || !matches.is_empty()).then(|| ByteRule { name: name.into(), matches, to });
    Read { rule, mistake }
}

fn of_tls(written: &written::TlsMatch) -> Result<Option<ByteMatch>, SpecError> {
    nothing_else(&written.rest)?;
    if written.sni_hosts.is_empty() {
        return Err(SpecError::new(Code::MissingField, "names no server").under("sniHosts"));
    }
    let sni_hosts = each("sniHosts", &written.sni_hosts, |host| {
        SniHost::new(host).map_err(|error| SpecError::new(Code::InvalidPattern, error.to_string()))
    })?;
    Ok(connection(&written.connection)?.map(|rest| ByteMatch { sni_hosts, ..rest }))
}

/// What is asked of a connection whatever it carries; `None`: it is for gateways alone, though read so that each mistake is told.
fn connection(written: &written::ConnectionMatch) -> Result<Option<ByteMatch>, SpecError> {
    let read = ByteMatch {
        sni_hosts: Vec::new(),
        destination_subnets: each("destinationSubnets", &written.destination_subnets, |text| subnet(text))?,
        port: written.port.map(port).transpose().at("port")?,
        source: condition::source(written.source_namespace.as_deref(), &written.source_labels)?,
    };
    Ok(condition::is_for_mesh(&written.gateways).then_some(read))
}

/// A network, or one address.
fn subnet(text: &str) -> Result<IpNet, SpecError> {
    text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
        SpecError::new(Code::InvalidValue, format!("{text:?} is neither a network nor an address"))
            .remedy("write 10.0.0.0/8, fd00::/8 or 10.0.0.1")
    })
}

#[cfg(test)]
mod tests;
