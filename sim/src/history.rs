//! What happened between clients and a server, as the clients saw it: packets with their times, read from a transcript. Nothing
//! here knows a world, so that what a real server did is judged in the same way.

use std::{collections::BTreeMap, fmt, rc::Rc, time::Duration};

use bytes::Bytes;
use squall_client::options::LARGEST_FRAME;
use squall_codec::{
    packet::{Packet, Publish},
    reason::Side,
    stream::Decoder,
    topic::TopicName,
    version::Version,
    wire::Text,
};
use squall_scenarios::{
    stage::End,
    transcript::{Entry, EntryId, Transcript, What},
};

const RST: &str = End::Reset.name();

/// One actor's n-th connection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionName {
    /// Whose.
    pub actor: Rc<str>,
    /// Which, from 1.
    pub number: u32,
}

impl fmt::Display for ConnectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.actor, self.number)
    }
}

/// Something that a client did or saw.
#[derive(Clone, Debug)]
pub struct Event {
    /// Since the stage began.
    pub at: Duration,
    /// Where it stands in the transcript.
    pub entry: EntryId,
    /// On which connection.
    pub connection: ConnectionName,
    /// What.
    pub what: Happened,
}

/// What a client did or saw. A PUBLISH has its topic also where an alias stood for it.
#[derive(Clone, Debug)]
pub enum Happened {
    /// It sent a packet.
    Sent(Packet),
    /// It received one.
    Received(Packet),
    /// The connection ended.
    Ended {
        /// The server ended it.
        by_server: bool,
        /// With RST: what was under way may be lost.
        is_reset: bool,
    },
    /// A fault befell its link.
    Hindered,
}

/// The server was taken down, and came back with what it had kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away {
    /// What stands in the transcript from here on came later.
    pub entry: EntryId,
    /// Since the stage began.
    pub from: Duration,
    /// When it took connections again; `None`: it has not come back.
    pub until: Option<Duration>,
    /// Its power failed: nobody was told.
    pub is_dark: bool,
}

/// The disk under the server's store was full or broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// Since the stage began.
    pub from: Duration,
    /// When it worked again; `None`: it does not.
    pub until: Option<Duration>,
}

/// Everything that clients did and saw, in order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In the order of the transcript.
    pub events: Vec<Event>,
    /// When the server was away, in order. A transcript does not tell: this is known to whoever took it down.
    pub outages: Vec<Away>,
    /// When its disk failed, in order: that is known to whoever had it fail.
    pub short: Vec<Short>,
}

/// What one connection needs to be read.
struct Reader {
    sent: Decoder,
    aliases: [BTreeMap<u16, TopicName>; 2],
}

impl History {
    /// Reads a transcript. Bytes that are no packet are nobody's packet, and nothing is read behind them.
    pub fn of(transcript: &Transcript) -> History {
        let mut readers: BTreeMap<ConnectionName, Reader> = BTreeMap::new();
        let mut events = Vec::new();
        for (position, Entry { at, actor, connection, what }) in transcript.entries().into_iter().enumerate() {
            let name = ConnectionName { actor, number: connection };
            let mut happened = |connection: &ConnectionName, what| {
                events.push(Event { at, entry: EntryId(position), connection: connection.clone(), what });
            };
            match what {
                What::Opened => {
                    let sent = Decoder::new(Side::Client, None, LARGEST_FRAME);
                    readers.insert(name, Reader { sent, aliases: Default::default() });
                }
                What::Sent { bytes, .. } => {
                    let Some(reader) = readers.get_mut(&name) else { continue };
                    reader.sent.extend(&bytes);
                    while let Ok(Some(packet)) = reader.sent.next_packet() {
                        happened(&name, Happened::Sent(resolved(packet, &mut reader.aliases[0])));
                    }
                }
                What::Received { bytes, .. } => {
                    let Some(reader) = readers.get_mut(&name) else { continue };
                    if let Some(packet) = received(reader.sent.version(), bytes) {
                        happened(&name, Happened::Received(resolved(packet, &mut reader.aliases[1])));
                    }
                }
                What::Closed { how } => happened(&name, Happened::Ended { by_server: false, is_reset: how == RST }),
                What::Ended { how } => happened(&name, Happened::Ended { by_server: true, is_reset: how == RST }),
                What::Fault { .. } => happened(&name, Happened::Hindered),
                What::Told { .. } => {}
            }
        }
        History { events, ..History::default() }
    }
}

fn received(version: Option<Version>, frame: Bytes) -> Option<Packet> {
    Packet::decode(version.unwrap_or(Version::V5_0), Side::Server, frame).ok()
}

/// The topic that an alias stands for is put in.
pub(crate) fn resolved(packet: Packet, aliases: &mut BTreeMap<u16, TopicName>) -> Packet {
    let Packet::Publish(publish) = packet else { return packet };
    let Some(alias) = publish.topic_alias else { return Packet::Publish(publish) };
    match topic_of(&publish) {
        Some(topic) => {
            aliases.insert(alias, topic);
            Packet::Publish(publish)
        }
        None => Packet::Publish(match aliases.get(&alias) {
            Some(topic) => publish.with_topic(topic),
            None => publish,
        }),
    }
}

fn topic_of(publish: &Publish) -> Option<TopicName> {
    Text::new(publish.topic()).ok().and_then(|topic| TopicName::new(topic).ok())
}
