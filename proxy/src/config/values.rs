//! The forms of values in the environment. Each parser says what would be right.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::Serializer;
use tulle_core::sidecar::ProbeTable;

use super::{KeyExchange, WORKERS_MAX};
use crate::access_log::Format;
use crate::redirect::PortRange;

/// Entries of one list; a rule each in the kernel.
const LIST_MAX: usize = 256;

/// A host name or address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct HostPort {
    /// DNS name or address, without brackets.
    pub(crate) host: String,
    /// Port, not 0.
    pub(crate) port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<HostPort, String> {
        let wrong = || "must be host:port, an IPv6 address in brackets".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().map_err(|_| wrong())?.to_string(),
            None if host.is_empty() || host.contains(|c: char| c == ':' || c.is_whitespace()) => return Err(wrong()),
            None => host.to_owned(),
        };
        Ok(HostPort { host, port })
    }
}

impl Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `10.0.0.5,fd00::5`.
pub(super) fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let addresses: Vec<IpAddr> = list(text)
        .map(|item| {
            item.parse::<IpAddr>().map(|ip| ip.to_canonical()).map_err(|_| format!("{item:?} is not an IP address"))
        })
        .collect::<Result<_, _>>()?;
    if addresses.is_empty() { Err("must hold at least one IP address".to_owned()) } else { Ok(addresses) }
}

/// `22,9000-9100`.
pub(super) fn ports(text: &str) -> Result<Vec<PortRange>, String> {
    bounded(text, |item| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let range = first.trim().parse().ok().zip(last.trim().parse().ok());
        match range {
            Some((first, last)) if 0 < first && first <= last => Ok(PortRange { first, last }),
            _ => Err(format!("{item:?} is neither a port (1-65535) nor a range such as 9000-9100")),
        }
    })
}

/// `10.0.0.0/8,fd00::/8,192.0.2.7`.
pub(super) fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    bounded(text, |item| {
        let network = item.parse::<IpNet>().or_else(|_| item.parse::<IpAddr>().map(IpNet::from));
        network
            .map(|network| network.trunc())
            .map_err(|_| format!("{item:?} is not a network in CIDR form such as 10.0.0.0/8"))
    })
}

/// `1`…
pub(super) fn workers(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| (1..=WORKERS_MAX).contains(n))
        .ok_or_else(|| format!("must be a number from 1 to {WORKERS_MAX}"))
}

/// `json`, `text` or `off`.
pub(super) fn access_log(text: &str) -> Result<Option<Format>, String> {
    match text {
        "json" => Ok(Some(Format::Json)),
        "text" => Ok(Some(Format::Text)),
        "off" => Ok(None),
        _ => Err("must be json, text or off".to_owned()),
    }
}

/// `listen` (true) or `redirect`.
pub(super) fn listens(text: &str) -> Result<bool, String> {
    match text {
        "listen" => Ok(true),
        "redirect" => Ok(false),
        _ => Err("must be redirect or listen".to_owned()),
    }
}

/// `10.96.0.10:8080,[fd00::10]:8080`.
pub(super) fn sockets(text: &str) -> Result<Vec<SocketAddr>, String> {
    bounded(text, socket)
}

/// `10.1.0.5:8080=127.0.0.1:18080`.
pub(super) fn socket_pairs(text: &str) -> Result<Vec<(SocketAddr, SocketAddr)>, String> {
    bounded(text, |item| {
        let (own, application) = item.split_once('=').ok_or_else(|| {
            format!(
                "{item:?} is no pair of an address of the pod and the application's, such as 10.1.0.5:80=127.0.0.1:80"
            )
        })?;
        Ok((socket(own)?, socket(application)?))
    })
}

fn socket(item: &str) -> Result<SocketAddr, String> {
    item.trim()
        .parse()
        .ok()
        .filter(|socket: &SocketAddr| socket.port() != 0 && !socket.ip().is_unspecified())
        .ok_or_else(|| format!("{item:?} is not one address and port such as 10.1.0.5:8080"))
}

/// `hybrid` or `x25519`.
pub(super) fn key_exchange(text: &str) -> Result<KeyExchange, String> {
    match text {
        "hybrid" => Ok(KeyExchange::Hybrid),
        "x25519" => Ok(KeyExchange::X25519),
        _ => Err("must be hybrid or x25519".to_owned()),
    }
}

/// JSON of a [`ProbeTable`].
pub(super) fn probes(text: &str) -> Result<ProbeTable, String> {
    serde_json::from_str(text).map_err(|cause| format!("is not a table of probes: {cause}"))
}

fn bounded<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    if list(text).count() > LIST_MAX {
        return Err(format!("has more than {LIST_MAX} entries; join them to ranges or networks"));
    }
    list(text).map(parse).collect()
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

pub(super) fn as_text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(super) fn names_only<S: Serializer>(table: &ProbeTable, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(table.keys())
}
