//! What a server has to do, as a witness at its edge knows it: who has which session with which subscriptions, what is owed to
//! whom, which answers are due, when a will, a session, a message or a silent client comes to its end.
//!
//! Where the standard leaves a choice, each choice is right. Where a crash leaves open what the server still knows, both are.

mod acknowledging;
mod admission;
mod answers;
mod bounds;
mod connection;
mod delivery;
mod expiry;
mod keeping;
mod message;
mod offers;
mod outage;
mod refusals;
mod retained;
mod routing;
mod session;
mod shares;
mod strangers;
mod subscribing;
mod unexplained;
mod violations;
mod will;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_broker::core::limits::QueuePolicy;
use squall_codec::{
    packet::{Packet, PacketKind, Publish},
    wire::{PacketId, Text},
};
use squall_scenarios::{
    liar::Direction,
    outage::{DiskState, Stop},
    transcript::EntryId,
};
use xxhash_rust::xxh3::Xxh3Default;

use self::{
    connection::Line,
    keeping::Failing,
    message::{ByKey, Keys, Message},
    retained::Kept,
    session::Session,
    shares::Shares,
    will::LooseWill,
};
use crate::{
    edge::{Edge, Witness},
    invariants::{About, Breach, Invariant},
};

pub(crate) use self::message::words_of;
pub use self::offers::Offers;

/// What is known of the server, and how exact the clock is.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What the server has kept survives a crash and a power failure.
    pub is_durable: bool,
    /// How late a timer may be.
    pub slack: Duration,
    /// How long a commit of the store takes.
    pub sync: Duration,
    /// Messages above QoS 0 that may wait for one client.
    pub queued_messages: usize,
    /// What happens to those beyond.
    pub queue_policy: QueuePolicy,
    /// Connections that it has at a time; one more is closed at once.
    pub connections: usize,
    /// Sessions that it has, connected or not.
    pub sessions: usize,
    /// Subscriptions of one session.
    pub subscriptions_per_session: usize,
    /// From the opening of a connection to CONNECT.
    pub connect_timeout: Duration,
    /// Bytes of memory on their way to one client, beyond which QoS 0 is dropped.
    pub unflushed_soft: usize,
    /// The longest Session Expiry Interval in seconds.
    pub maximum_session_expiry: u32,
    /// What it has, and what it has not.
    pub offers: Offers,
    /// Retained messages that it takes; beyond them it need not keep one.
    pub retained_messages: usize,
    /// It is set up so that it takes what clients ask for, of what it has, as long as its store works.
    pub takes_all: bool,
}

/// Stands at the edge, and says what is wrong.
#[derive(Debug)]
pub struct Model {
    terms: Terms,
    now: Duration,
    /// Where the next breach stands in the transcript.
    position: usize,
    lines: Vec<Line>,
    sessions: Vec<Session>,
    ids: BTreeMap<Text, usize>,
    messages: Vec<Message>,
    /// The last message with each key.
    last_of: ByKey<u64, usize>,
    /// Keys of messages that came more than once: nobody can tell which is which.
    repeated: Keys,
    /// Keys of wills.
    will_keys: Keys,
    retained: BTreeMap<String, Vec<Kept>>,
    shares: Shares,
    loose_wills: Vec<LooseWill>,
    /// What the PUBLISH that is looked at was owed as.
    taken: Option<session::Owed>,
    /// How often each client was handed each message, by QoS.
    handed: ByKey<(usize, u64), [u32; 3]>,
    /// How often each client's application has refused each message.
    refused: ByKey<(usize, u64), u32>,
    /// Clients on whose connections something was written of which their cores know nothing.
    slipped: BTreeSet<usize>,
    is_down: bool,
    failing: Option<Failing>,
    /// The next moment at which something has to have happened.
    alarm: Option<Duration>,
    breaches: Vec<Breach>,
    digest: Digest,
    tally: Tally,
}

/// What was seen, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Packets that the server got.
    pub received: u64,
    /// Packets that it sent.
    pub sent: u64,
    /// PUBLISH packets that it accepted, by QoS.
    pub accepted: [u64; 3],
    /// PUBLISH packets that it sent.
    pub delivered: u64,
    /// How often each of [`Situation::ALL`] came.
    pub situations: [u32; Situation::ALL.len()],
}

macro_rules! situations {
    ($($(#[$about:meta])* $situation:ident = $words:literal,)*) => {
        /// Something that a storm should come to, now and then.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Situation { $($(#[$about])* $situation,)* }

        impl Situation {
            /// All of them.
            pub const ALL: [Situation; [$($words),*].len()] = [$(Situation::$situation),*];

            /// In words.
            pub const fn name(self) -> &'static str {
                match self { $(Situation::$situation => $words,)* }
            }
        }
    };
}

situations! {
    /// [MQTT-3.1.4-3]
    TakeOver = "a session is taken over",
    /// A QoS 2 exchange is open then.
    TakeOverInFlight = "a session is taken over while messages are in flight",
    /// [MQTT-3.1.2-8]
    WillSent = "a will is published",
    /// [MQTT-3.1.3-9]
    WillCancelled = "a will that waits is cancelled by the client's return",
    /// [MQTT-3.14.4-3]
    WillDiscarded = "a will is discarded by DISCONNECT",
    /// [MQTT-4.4.0-1]
    Repeated = "a PUBLISH is sent again on another connection",
    /// Section 4.3.3
    ReleasedAgain = "a PUBREL is sent again on another connection",
    /// [MQTT-4.3.3-10]
    DuplicateReceived = "a QoS 2 message is repeated by a client and not published again",
    /// Section 3.1.2.11.2
    SessionResumed = "a session is resumed",
    /// Section 3.1.2.11.2
    SessionExpired = "a client comes back after its session has expired",
    /// [MQTT-3.3.4-9]
    WindowFull = "Receive Maximum is reached",
    /// [MQTT-3.3.2-5]
    MessageExpired = "a message expires before it is sent",
    /// [MQTT-3.3.1-6]
    RetainedCleared = "a retained message is taken away",
    /// [MQTT-3.3.1-9]
    RetainedSent = "a retained message is sent for a subscription",
    /// Section 4.8.2
    Shared = "a message goes to one member of a share",
    /// [MQTT-3.1.2-22]
    KeepAlive = "a silent client is disconnected",
    /// Section 3.3.2.3.4
    AliasUsed = "the server uses a Topic Alias instead of a topic",
    /// [MQTT-4.13.1-1]
    RuleBroken = "a client sends what is no packet, or none of its own",
    /// [MQTT-3.3.4-7]
    TooManyOpen = "a client has more messages open than the server's Receive Maximum",
    /// Section 3.2.2.3
    NotOnOffer = "a client asks for what the server does not have",
    /// [MQTT-3.2.2-12] [MQTT-3.2.2-13]
    WillRefused = "a client is refused for its will",
    /// [MQTT-3.1.0-1]
    NoClient = "the first packet on a connection lets nobody in",
    /// Section 3.1.4
    NeverConnected = "a connection on which no CONNECT comes is closed",
    /// Section 3.9.3
    NoRoom = "a subscription finds no room in its session",
    /// Section 3.2.2.2
    NoRoomForSession = "a client finds no room for its session",
    /// Section 4.13.2
    NoRoomForConnection = "a connection finds no room",
    /// The server goes down.
    DownInFlight = "the server goes down while messages are in flight",
}

/// Of everything that passes the edge: time, connection, direction, frame. Hashed by the piece: there is little in each of them.
#[derive(Default)]
struct Digest {
    hash: Xxh3Default,
    /// Not hashed yet.
    waiting: Vec<u8>,
}

impl Digest {
    const PIECE_BYTES: usize = 4 * 1024;

    fn hash_piece(&mut self) {
        if self.waiting.len() >= Digest::PIECE_BYTES {
            self.hash.update(&self.waiting);
            self.waiting.clear();
        }
    }

    fn value(&self) -> u64 {
        let mut hash = self.hash.clone();
        hash.update(&self.waiting);
        hash.digest()
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.value())
    }
}

impl Model {
    /// A server that has just been started, and has nothing.
    pub fn new(terms: Terms) -> Self {
        Model {
            terms,
            now: Duration::ZERO,
            position: 0,
            lines: Vec::new(),
            sessions: Vec::new(),
            ids: BTreeMap::new(),
            messages: Vec::with_capacity(256),
            last_of: ByKey::default(),
            repeated: Keys::default(),
            will_keys: Keys::default(),
            retained: BTreeMap::new(),
            shares: Shares::default(),
            loose_wills: Vec::new(),
            taken: None,
            handed: ByKey::default(),
            refused: ByKey::default(),
            slipped: BTreeSet::new(),
            is_down: false,
            failing: None,
            alarm: None,
            breaches: Vec::new(),
            digest: Digest::default(),
            tally: Tally::default(),
        }
    }

    /// Breaches from now on stand at this line of the transcript.
    pub fn stands_at(&mut self, position: usize) {
        self.position = position;
    }

    /// What was seen so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// xxh3-64 of everything that has passed.
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// What is wrong so far, in the order in which it showed.
    pub fn breaches(&self) -> &[Breach] {
        &self.breaches
    }

    /// All has come to rest: what is owed must have arrived.
    pub fn rest(&mut self, now: Duration) -> Vec<Breach> {
        self.advance(now);
        self.outstanding();
        std::mem::take(&mut self.breaches)
    }

    fn add_message(&mut self, message: Message) -> usize {
        let index = self.messages.len();
        self.last_of.insert(message.key, index);
        if message.is_will {
            self.will_keys.insert(message.key);
        }
        self.messages.push(message);
        index
    }

    fn came(&mut self, situation: Situation) {
        self.tally.situations[situation as usize] += 1;
    }

    fn breach(&mut self, invariant: Invariant, detail: String) {
        self.breach_about(invariant, detail, None);
    }

    /// The message, by its place, is told with it where nothing that happens then shows it.
    fn breach_about(&mut self, invariant: Invariant, detail: String, message: Option<usize>) {
        // A server that has gone wrong once goes wrong at each step: the first ones tell.
        const MOST: usize = 100;
        if self.breaches.len() < MOST {
            self.breaches.push(Breach {
                invariant,
                at: self.now,
                entry: EntryId(self.position),
                version: None,
                detail,
                about: message.map(|message| Box::new(About::Message(self.messages[message].publish.clone()))),
            });
        }
    }

    /// What a connection's client waits for in vain is told with it.
    fn breach_waiting(
        &mut self,
        invariant: Invariant,
        detail: String,
        at: usize,
        answer: Option<(PacketKind, Option<PacketId>)>,
    ) {
        let told = self.breaches.len();
        self.breach(invariant, detail);
        if let Some(breach) = self.breaches.get_mut(told) {
            breach.about = Some(Box::new(About::Waiting { actor: self.lines[at].client, answer }));
        }
    }

    /// The connection is told with it, from what its client has sent last before `since`.
    fn breach_on(&mut self, invariant: Invariant, detail: String, at: usize, since: Duration) {
        let told = self.breaches.len();
        self.breach(invariant, detail);
        let actor = self.lines[at].client;
        let number = self.lines[..=at].iter().filter(|line| line.client == actor).count();
        if let Some(breach) = self.breaches.get_mut(told) {
            breach.about = Some(Box::new(About::Connection { actor, number, since }));
        }
    }

    /// Time passes: what was due before `now` has happened.
    fn advance(&mut self, now: Duration) {
        while let Some(alarm) = self.alarm.filter(|alarm| *alarm <= now) {
            self.now = self.now.max(alarm);
            self.alarm = None;
            self.wills_due();
            self.keep_alives_due();
            self.violations_due();
            self.connects_due();
            let next = self.next_will().into_iter().chain(self.next_keep_alive());
            let next = next.chain(self.next_violation()).chain(self.next_connect()).min();
            // What is due now and still there waits for its slack.
            self.alarm = next.filter(|next| *next > alarm);
        }
        self.now = now;
    }

    fn wake_at(&mut self, at: Duration) {
        self.alarm = Some(self.alarm.map_or(at, |alarm| alarm.min(at)));
    }

    fn note(&mut self, connection: usize, mark: u8, frame: impl FnOnce(&mut Vec<u8>)) {
        let micros = self.now.as_secs() * 1_000_000 + u64::from(self.now.subsec_micros());
        let mut head = [0; 17];
        head[..8].copy_from_slice(&micros.to_le_bytes());
        head[8..16].copy_from_slice(&(connection as u64).to_le_bytes());
        head[16] = mark;
        self.digest.waiting.extend_from_slice(&head);
        frame(&mut self.digest.waiting);
        self.digest.hash_piece();
    }
}

/// What of a packet goes into the digest: all that its meaning depends on.
fn digest_packet(digest: &mut Vec<u8>, packet: &Packet) {
    digest.push(packet.kind().number());
    match packet {
        Packet::Publish(publish) => {
            let id = publish.packet_id.map_or(0, squall_codec::wire::PacketId::value).to_le_bytes();
            digest.extend_from_slice(&[
                u8::from(publish.dup),
                publish.qos.bits(),
                u8::from(publish.retain),
                id[0],
                id[1],
            ]);
            digest.extend_from_slice(publish.topic_bytes());
            digest.extend_from_slice(publish.payload());
        }
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            let id = ack.packet_id.value().to_le_bytes();
            digest.extend_from_slice(&[id[0], id[1], ack.reason.value()]);
        }
        Packet::Connack(connack) => {
            digest.extend_from_slice(&[u8::from(connack.session_present), connack.reason.value()]);
        }
        Packet::Disconnect(disconnect) => digest.push(disconnect.reason.value()),
        Packet::Suback(suback) => digest.extend(suback.reasons.iter().map(|reason| reason.value())),
        _ => {}
    }
}

impl Witness for Model {
    fn passes(&mut self, now: Duration, connection: usize, what: Edge<'_>) {
        self.advance(now);
        let before = self.breaches.len();
        let passing = match what {
            Edge::ToServer(packet) => Some((Direction::ToServer, packet)),
            Edge::ToClient(packet) => Some((Direction::ToClient, packet)),
            _ => None,
        };
        match what {
            Edge::Opened(client) => {
                self.note(connection, 0, |_| {});
                self.opened(connection, client);
            }
            Edge::ToServer(packet) => {
                self.note(connection, 1, |digest| digest_packet(digest, packet));
                self.tally.received += 1;
                self.server_gets(connection, packet);
            }
            Edge::Malformed { version, error } => {
                self.note(connection, 8, |_| {});
                self.malformed(connection, version, error);
            }
            Edge::ToClient(packet) => {
                self.note(connection, 2, |digest| digest_packet(digest, packet));
                self.tally.sent += 1;
                self.server_sends(connection, packet);
            }
            Edge::EndedByClient => {
                self.note(connection, 3, |_| {});
                self.ended(connection, false);
            }
            Edge::EndedByServer => {
                self.note(connection, 4, |_| {});
                self.ended(connection, true);
            }
        }
        if let (Some((direction, packet)), Some(new @ [_, ..])) = (passing, self.breaches.get_mut(before..)) {
            let actor = self.lines[connection].client;
            let about = About::Passing { actor, direction, packet: packet.clone() };
            new.iter_mut().for_each(|breach| breach.about = Some(Box::new(about.clone())));
        }
    }

    fn stops(&mut self, now: Duration, how: Stop) {
        self.advance(now);
        self.note(0, 5, |_| {});
        self.goes_down(how);
    }

    fn starts(&mut self, now: Duration) {
        self.advance(now);
        self.note(0, 6, |_| {});
        self.comes_back();
    }

    fn disk(&mut self, now: Duration, state: DiskState) {
        self.advance(now);
        self.note(0, 7, |digest| digest.push(u8::from(state == DiskState::Well)));
        self.disk_is(state);
    }

    fn handed(&mut self, now: Duration, client: usize, message: &Publish) {
        self.advance(now);
        let key = message::key_of(message);
        self.handed.entry((client, key)).or_default()[usize::from(message.qos.bits())] += 1;
        self.check_handed(client, message, key);
    }

    fn refused(&mut self, _now: Duration, client: usize, message: &Publish) {
        *self.refused.entry((client, message::key_of(message))).or_default() += 1;
    }

    fn slips(&mut self, client: usize) {
        self.slipped.insert(client);
    }
}
