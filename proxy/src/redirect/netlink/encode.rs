//! A [`RuleSet`] as nf_tables messages (`linux/netfilter/nf_tables.h`): each condition loads a value into register 1 and compares it.

use ipnet::IpNet;
use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, ChainAttribute, ChainMessage, Cmp, DataAttribute, ExpressionAttribute, Expressions, Hook as HookAttribute,
    Immediate, InetHookNumber, ListAttribute, Meta, MetaKey, NfTablesMessage, Operator, Payload, Register,
    RuleAttribute, RuleMessage, TableAttribute, TableMessage, Verdict as NetlinkVerdict, VerdictAttribute,
};

use crate::redirect::rules::{Chain, Hook, Match, PRIORITY, PortRange, Rule, RuleSet, TABLE, Verdict};

type Expression = ListAttribute<ExpressionAttribute>;

/// `NFT_PAYLOAD_NETWORK_HEADER`.
const NETWORK_HEADER: u32 = 1;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`.
const TRANSPORT_HEADER: u32 = 2;
/// `NFTA_REDIR_REG_PROTO_MIN`, the register that holds the port.
const REDIR_PORT_REGISTER: u16 = 1;
/// `NFTNL_UDATA_RULE_COMMENT`: comments are a type-length-value of libnftnl in the rule's user data.
const COMMENT: u8 = 0;
/// `LOOPBACK_IFINDEX`: the loopback interface has index 1 in every network namespace.
const LOOPBACK_INDEX: u32 = 1;
/// `NF_ACCEPT`.
const ACCEPT: u32 = 1;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// `NFPROTO_IPV4`.
const IPV4: u8 = 2;
/// `NFPROTO_IPV6`.
const IPV6: u8 = 10;

/// One message of a batch and its name in errors.
pub(super) struct Step {
    pub(super) message: NfTablesMessage,
    pub(super) append: bool,
    pub(super) describe: String,
}

/// Everything that replaces the table, in order.
pub(super) fn batch(rules: &RuleSet) -> Vec<Step> {
    let table = || TableMessage { attributes: vec![TableAttribute::Name(TABLE.to_owned())] };
    let step = |message, describe: String| Step { message, append: false, describe };
    // Deleting an absent table is an error, creating a present one is not.
    let mut steps = vec![
        step(NfTablesMessage::NewTable(table()), format!("table inet {TABLE}")),
        step(NfTablesMessage::DeleteTable(table()), format!("removal of the old table inet {TABLE}")),
        step(NfTablesMessage::NewTable(table()), format!("table inet {TABLE}")),
    ];
    for chain in &rules.chains {
        steps.push(step(new_chain(chain), format!("chain {} (type nat hook {})", chain.name, chain.hook)));
        for rule in &chain.rules {
            let describe = format!("rule \"{rule}\" of chain {}", chain.name);
            steps.push(Step { message: new_rule(chain, rule), append: true, describe });
        }
    }
    steps
}

/// `chain: comment` of a rule that was read back.
pub(super) fn identify(rule: &RuleMessage) -> Option<String> {
    let chain =
        rule.attributes.iter().find_map(|a| if let RuleAttribute::Chain(name) = a { Some(name) } else { None })?;
    let data = rule
        .attributes
        .iter()
        .find_map(|a| if let RuleAttribute::UserData(data) = a { Some(data.as_slice()) } else { None });
    let comment = match data {
        Some([COMMENT, length, text @ ..]) => {
            let text = &text[..text.len().min(usize::from(*length))];
            String::from_utf8_lossy(text.strip_suffix(&[0]).unwrap_or(text)).into_owned()
        }
        _ => "(no comment)".to_owned(),
    };
    Some(format!("{chain}: {comment}"))
}

fn new_chain(chain: &Chain) -> NfTablesMessage {
    let hook = match chain.hook {
        Hook::Output => InetHookNumber::LocalOut,
        Hook::Prerouting => InetHookNumber::PreRouting,
    };
    NfTablesMessage::NewChain(ChainMessage {
        attributes: vec![
            ChainAttribute::Table(TABLE.to_owned()),
            ChainAttribute::Name(chain.name.to_owned()),
            ChainAttribute::Policy(ACCEPT),
            ChainAttribute::Type("nat".to_owned()),
            ChainAttribute::Hook(vec![HookAttribute::Number(hook.into()), HookAttribute::Priority(PRIORITY as _)]),
        ],
    })
}

fn new_rule(chain: &Chain, rule: &Rule) -> NfTablesMessage {
    let mut expressions: Vec<Expression> = rule.matches.iter().flat_map(condition).collect();
    expressions.extend(verdict(rule.verdict));
    let mut data = vec![COMMENT, u8::try_from(rule.comment.len() + 1).expect("comments are short constants")];
    data.extend_from_slice(rule.comment.as_bytes());
    data.push(0);
    NfTablesMessage::NewRule(RuleMessage {
        attributes: vec![
            RuleAttribute::Table(TABLE.to_owned()),
            RuleAttribute::Chain(chain.name.to_owned()),
            RuleAttribute::Expressions(expressions),
            RuleAttribute::UserData(data),
        ],
    })
}

fn condition(condition: &Match) -> Vec<Expression> {
    match condition {
        // The kernel keeps ids and interface indexes in its own byte order.
        Match::SocketUser(id) => vec![meta(MetaKey::SocketUserId), equal(&id.to_ne_bytes())],
        Match::SocketGroup(id) => vec![meta(MetaKey::SocketGroupId), equal(&id.to_ne_bytes())],
        Match::FromLoopback => vec![meta(MetaKey::Iif), equal(&LOOPBACK_INDEX.to_ne_bytes())],
        Match::ToLoopback => vec![meta(MetaKey::Oif), equal(&LOOPBACK_INDEX.to_ne_bytes())],
        Match::Destination(network) => destination(network),
        Match::Tcp => tcp(),
        Match::TcpPorts(PortRange { first, last }) => {
            let mut expressions = tcp();
            expressions.push(payload(TRANSPORT_HEADER, 2, 2));
            if first == last {
                expressions.push(equal(&first.to_be_bytes()));
            } else {
                expressions.push(compare(Operator::GreatherThanEqual, &first.to_be_bytes()));
                expressions.push(compare(Operator::LessThanEqual, &last.to_be_bytes()));
            }
            expressions
        }
    }
}

/// Offsets of the destination address: RFC 791 §3.1 and RFC 8200 §3.
fn destination(network: &IpNet) -> Vec<Expression> {
    let (family, offset, address, mask) = match network {
        IpNet::V4(network) => (IPV4, 16, network.network().octets().to_vec(), network.netmask().octets().to_vec()),
        IpNet::V6(network) => (IPV6, 24, network.network().octets().to_vec(), network.netmask().octets().to_vec()),
    };
    let mut expressions = vec![meta(MetaKey::Nfproto), equal(&[family])];
    if network.prefix_len() == 0 {
        return expressions;
    }
    let length = address.len() as u32;
    expressions.push(payload(NETWORK_HEADER, offset, length));
    if network.prefix_len() < network.max_prefix_len() {
        expressions.push(
            Expressions::Bitwise(vec![
                Bitwise::SourceRegister(Register::Reg1),
                Bitwise::DestinationRegister(Register::Reg1),
                Bitwise::Length(length),
                Bitwise::Mask(DataAttribute::Value(mask)),
                Bitwise::Xor(DataAttribute::Value(vec![0; address.len()])),
            ])
            .into(),
        );
    }
    expressions.push(equal(&address));
    expressions
}

fn verdict(verdict: Verdict) -> Vec<Expression> {
    match verdict {
        Verdict::Return => {
            let code = vec![VerdictAttribute::Code(NetlinkVerdict::Return)];
            vec![immediate(Register::Verdict, DataAttribute::Verdict(code))]
        }
        Verdict::Redirect(port) => {
            let register = DefaultNla::new(REDIR_PORT_REGISTER, u32::from(Register::Reg1).to_be_bytes().to_vec());
            let redir = Expressions::Other { expression_type: "redir".to_owned(), attributes: vec![register] };
            vec![immediate(Register::Reg1, DataAttribute::Value(port.to_be_bytes().to_vec())), redir.into()]
        }
    }
}

fn tcp() -> Vec<Expression> {
    vec![meta(MetaKey::L4Proto), equal(&[TCP])]
}

fn meta(key: MetaKey) -> Expression {
    Expressions::Meta(vec![Meta::Key(key), Meta::DestinationRegister(Register::Reg1)]).into()
}

fn payload(base: u32, offset: u32, length: u32) -> Expression {
    Expressions::Payload(vec![
        Payload::DestinationRegister(Register::Reg1),
        Payload::Base(base),
        Payload::Offset(offset),
        Payload::Len(length),
    ])
    .into()
}

fn equal(data: &[u8]) -> Expression {
    compare(Operator::Equal, data)
}

fn compare(operator: Operator, data: &[u8]) -> Expression {
    let data = DataAttribute::Value(data.to_vec());
    Expressions::Cmp(vec![Cmp::SourceRegister(Register::Reg1), Cmp::Op(operator), Cmp::Data(data)]).into()
}

fn immediate(register: Register, data: DataAttribute) -> Expression {
    Expressions::Immediate(vec![Immediate::DestinationRegister(register), Immediate::Data(data)]).into()
}
