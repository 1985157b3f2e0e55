//! Sends a [`RuleSet`] to the kernel over netlink (nf_tables) and reads it back.
//!
//! One batch is one transaction: the table is created if absent, deleted and created anew, so a restarted init container replaces its own
//! rules and no packet ever sees half of them (kernel: `net/netfilter/nfnetlink.c`, `nfnetlink_rcv_batch`).

mod encode;

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_netfilter::nftables::{NfTablesMessage, RuleAttribute, RuleMessage};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use super::rules::{RuleSet, TABLE};

/// `NFNL_SUBSYS_NFTABLES`, the subsystem a batch addresses.
const SUBSYSTEM: u16 = 10;
/// The kernel answers synchronously; a second is three orders above what it takes.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// One datagram of answers; the kernel fills at most 32 KiB a datagram when it dumps.
const ANSWER_BYTES: usize = 64 * 1024;

/// Why the redirect could not be installed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RedirectError {
    /// The namespace is the node's.
    #[error(
        "TUL1001: the pod shares the node's network (hostNetwork: true); its redirect would capture the whole node. \
         Remove hostNetwork, or opt the pod out with the label tulle.dev/inject=disabled"
    )]
    HostNetwork,
    /// `CAP_NET_ADMIN` is missing.
    #[error(
        "TUL1001: the redirect container needs NET_ADMIN: the kernel refused {step}. \
         Allow the capability NET_ADMIN for it (Pod Security below \"restricted\", no runtime policy that drops it)"
    )]
    NotPermitted {
        /// What was attempted.
        step: String,
    },
    /// A part of nf_tables is missing.
    #[error(
        "TUL1001: the node's kernel has no {feature} (at {step}: {source}); \
         load the module or use a kernel of 5.2 or newer with it"
    )]
    Unsupported {
        /// Module or feature.
        feature: &'static str,
        /// What was attempted.
        step: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Any other refusal.
    #[error("TUL1001: the kernel refused {step}: {source}")]
    Refused {
        /// What was attempted.
        step: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// No answer, or one that cannot be read.
    #[error("TUL1001: no usable answer from the kernel's nf_tables while {doing}: {source}")]
    NoAnswer {
        /// What was attempted.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The rules were accepted but are not there.
    #[error(
        "TUL1001: the kernel took the redirect rules, but table inet {TABLE} now holds {found:?} where {expected:?} belongs; \
         does another program edit nftables in this pod?"
    )]
    NotThere {
        /// `chain: comment` of each rule, in order.
        expected: Vec<String>,
        /// The same as read back.
        found: Vec<String>,
    },
}

/// Replaces the table by `rules`, atomically.
pub(crate) fn replace(rules: &RuleSet) -> Result<(), RedirectError> {
    let socket = connect()?;
    let steps = encode::batch(rules);
    let mut bytes = Vec::new();
    append(&mut bytes, control(ControlMessage::BatchBegin), 0, 0);
    for (index, step) in steps.iter().enumerate() {
        let flags = NLM_F_CREATE | NLM_F_ACK | if step.append { NLM_F_APPEND } else { 0 };
        append(&mut bytes, inet(step.message.clone()), flags, index as u32 + 1);
    }
    append(&mut bytes, control(ControlMessage::BatchEnd), 0, steps.len() as u32 + 1);
    socket.send(&bytes, 0).map_err(|source| refusal("the batch".to_owned(), source))?;

    let mut acknowledged = 0;
    while acknowledged < steps.len() {
        for answer in receive(&socket, "installing the redirect")? {
            let NetlinkPayload::Error(report) = answer.payload else { continue };
            let Some(code) = report.code else {
                acknowledged += 1;
                continue;
            };
            let number = answer.header.sequence_number as usize;
            let step =
                number.checked_sub(1).and_then(|index| steps.get(index)).map_or("the batch", |step| &step.describe);
            return Err(refusal(step.to_owned(), io::Error::from_raw_os_error(-code.get())));
        }
    }
    Ok(())
}

/// Reads the rules of the table back and compares chain and comment of each, in order.
pub(crate) fn verify(rules: &RuleSet) -> Result<(), RedirectError> {
    let socket = connect()?;
    let request = RuleMessage { attributes: vec![RuleAttribute::Table(TABLE.to_owned())] };
    let mut bytes = Vec::new();
    append(&mut bytes, inet(NfTablesMessage::GetRule(request)), NLM_F_DUMP, 1);
    socket.send(&bytes, 0).map_err(|source| refusal("reading the rules".to_owned(), source))?;

    let mut found = Vec::new();
    'dump: loop {
        for answer in receive(&socket, "reading the redirect back")? {
            match answer.payload {
                NetlinkPayload::Done(_) => break 'dump,
                NetlinkPayload::Error(report) if report.code.is_some() => {
                    let source = report.to_io();
                    return Err(refusal("reading the rules".to_owned(), source));
                }
                NetlinkPayload::InnerMessage(NetfilterMessage {
                    inner: NetfilterMessageInner::NfTables(NfTablesMessage::NewRule(rule)),
                    ..
                }) => found.extend(encode::identify(&rule)),
                _ => {}
            }
        }
    }
    let expected: Vec<String> = rules
        .chains
        .iter()
        .flat_map(|chain| chain.rules.iter().map(|rule| format!("{}: {}", chain.name, rule.comment)))
        .collect();
    if found == expected { Ok(()) } else { Err(RedirectError::NotThere { expected, found }) }
}

fn connect() -> Result<Socket, RedirectError> {
    let refused = |source| refusal("a netfilter netlink socket".to_owned(), source);
    let mut socket = Socket::new(NETLINK_NETFILTER).map_err(refused)?;
    socket.bind_auto().map_err(refused)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(refused)?;
    set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_LIMIT)).map_err(|errno| refused(errno.into()))?;
    Ok(socket)
}

fn receive(socket: &Socket, doing: &'static str) -> Result<Vec<NetlinkMessage<NetfilterMessage>>, RedirectError> {
    let mut buffer = Vec::with_capacity(ANSWER_BYTES);
    socket.recv(&mut buffer, 0).map_err(|source| RedirectError::NoAnswer { doing, source })?;
    let mut answers = Vec::new();
    let mut rest = buffer.as_slice();
    while !rest.is_empty() {
        let answer = NetlinkMessage::<NetfilterMessage>::deserialize(rest)
            .map_err(|cause| RedirectError::NoAnswer { doing, source: io::Error::other(cause.to_string()) })?;
        // Messages are padded to four bytes (`NLMSG_ALIGN`).
        let length = (answer.header.length as usize).next_multiple_of(4).min(rest.len());
        rest = &rest[length..];
        answers.push(answer);
    }
    Ok(answers)
}

fn refusal(step: String, source: io::Error) -> RedirectError {
    match Errno::from_io_error(&source) {
        Some(Errno::PERM | Errno::ACCESS) => RedirectError::NotPermitted { step },
        Some(Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT) => {
            RedirectError::Unsupported { feature: "netfilter netlink (nfnetlink)", step, source }
        }
        Some(Errno::OPNOTSUPP) => RedirectError::Unsupported { feature: "nf_tables", step, source },
        // The kernel names a missing chain type or expression by ENOENT after it failed to load the module.
        Some(Errno::NOENT) => RedirectError::Unsupported {
            feature: "nf_tables NAT (nft_chain_nat, nft_redir, inet family)",
            step,
            source,
        },
        _ => RedirectError::Refused { step, source },
    }
}

fn inet(message: NfTablesMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0), message)
}

fn control(message: ControlMessage) -> NetfilterMessage {
    NetfilterMessage::new(NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, SUBSYSTEM), message)
}

fn append(bytes: &mut Vec<u8>, message: NetfilterMessage, flags: u16, sequence: u32) {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | flags;
    message.header.sequence_number = sequence;
    message.finalize();
    let start = bytes.len();
    bytes.resize(start + message.buffer_len().next_multiple_of(4), 0);
    message.serialize(&mut bytes[start..]);
}
