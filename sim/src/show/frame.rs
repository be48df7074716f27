//! What a line of a trace says about messages: which it carries, under which identifier, and who asks for what.

use std::collections::BTreeMap;

use squall_codec::{
    packet::{Packet, PacketKind},
    reason::Side,
    topic::TopicFilter,
    version::Version,
};
use squall_scenarios::dissect::{self, Field, Value};

use crate::trace::model::{Happening, Line};

/// Whether words about messages name this one, as the model does: with the beginning of its payload.
pub(super) fn is_named(topic: &str, payload: &str, detail: &str) -> bool {
    let shown: String = payload.chars().take(20).collect();
    let more = if payload.chars().count() > 20 { "…" } else { "" };
    let name = format!("\"{shown}{more}\" on {topic}");
    detail.match_indices(&name).any(|(at, _)| !detail[at + name.len()..].starts_with(['/', '…']))
}

/// Topic and payload.
pub(super) type Message = (String, String);

/// What the packets before have said.
#[derive(Default)]
pub(super) struct Known {
    /// The topics of Topic Aliases: by node, connection and way.
    aliases: BTreeMap<(String, u32, bool), BTreeMap<u32, String>>,
    /// Of each identifier the turn, and the message that it stands for.
    turns: BTreeMap<(String, bool, u32), (u32, Option<Message>)>,
}

/// An exchange of packet identifiers: whose, and which way the PUBLISH goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Exchange {
    pub(super) node: String,
    pub(super) to_broker: bool,
    packet_id: u32,
    /// An identifier stands for one message after the other.
    pub(super) turn: u32,
}

impl Exchange {
    /// Whether both have one identifier.
    pub(super) fn is(&self, other: &Exchange) -> bool {
        (&self.node, self.to_broker, self.packet_id) == (&other.node, other.to_broker, other.packet_id)
    }
}

/// What a frame says about messages.
#[derive(Default)]
pub(super) struct Told {
    pub(super) message: Option<Message>,
    pub(super) exchange: Option<Exchange>,
    /// What it asks for.
    pub(super) filters: Vec<TopicFilter>,
}

impl Told {
    pub(super) fn has_message(&self) -> bool {
        self.message.is_some() || self.exchange.is_some()
    }
}

/// A line that is a packet.
pub(super) struct Frame<'a> {
    line: &'a Line,
    version: Version,
    kind: PacketKind,
    fields: Vec<Field>,
}

impl<'a> Frame<'a> {
    pub(super) fn of(line: &'a Line, version: Version) -> Option<Self> {
        let kind = dissect::kind(&line.bytes).filter(|_| line.is_frame())?;
        Some(Frame { line, version, kind, fields: dissect::fields(&line.bytes, version) })
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.value)
    }

    fn number(&self, name: &str) -> Option<u32> {
        match self.value(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// The one that a client comes with, or is given.
    pub(super) fn client_identifier(&self) -> Option<String> {
        let field = match self.kind {
            PacketKind::Connect => "Client Identifier",
            PacketKind::Connack => "Assigned Client Identifier",
            _ => return None,
        };
        self.value(field).map(ToString::to_string).filter(|name| !name.is_empty())
    }

    pub(super) fn told(self, known: &mut Known) -> Option<Told> {
        let line = self.line;
        let sent = line.what == Happening::Sent;
        let to_broker = match self.kind {
            PacketKind::Publish | PacketKind::Pubrel => sent,
            PacketKind::Puback | PacketKind::Pubrec | PacketKind::Pubcomp => !sent,
            PacketKind::Connect => false,
            PacketKind::Subscribe if sent => {
                let Ok(Packet::Subscribe(asked)) = Packet::decode(self.version, Side::Client, line.bytes.clone())
                else {
                    return None;
                };
                let filters = asked.subscriptions.into_iter().map(|one| one.filter).collect();
                return Some(Told { filters, ..Told::default() });
            }
            _ => return None,
        };
        let (topic, payload) = match self.kind {
            PacketKind::Connect => ("Will Topic", "Will Payload"),
            _ => ("Topic Name", "Payload"),
        };
        let mut topic = self.value(topic).map(ToString::to_string);
        if let (Some(topic), Some(alias)) = (&mut topic, self.number("Topic Alias")) {
            let aliases = known.aliases.entry((line.node.clone(), line.connection, sent)).or_default();
            match topic.is_empty() {
                true => topic.clone_from(aliases.get(&alias).unwrap_or(&String::new())),
                false => drop(aliases.insert(alias, topic.clone())),
            }
        }
        // What is taken away has no words of its own.
        let payload = self.value(payload).map(ToString::to_string).unwrap_or_default();
        let message = topic.map(|topic| (topic, payload));
        if self.kind == PacketKind::Connect && message.is_none() {
            return None;
        }
        let packet_id = self.number("Packet Identifier");
        let exchange = packet_id.map(|packet_id| {
            let (turn, stands_for) = known.turns.entry((line.node.clone(), to_broker, packet_id)).or_default();
            if self.kind == PacketKind::Publish && *stands_for != message {
                (*turn, *stands_for) = (*turn + 1, message.clone());
            }
            Exchange { node: line.node.clone(), to_broker, packet_id, turn: *turn }
        });
        Some(Told { message, exchange, filters: Vec::new() })
    }
}
