//! A raw peer: a connection, a decoder, a transcript. It answers nothing by itself.

mod steps;

use std::{collections::VecDeque, fmt, ops::Deref, rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Ack, Auth, Connack, Disconnect, Packet, Publish, Suback, Unsuback},
    reason::Side,
    version::Version,
    wire::PacketId,
};

use crate::{
    frames::FrameSplitter,
    stage::{Arrival, End, Stage, Wire},
    transcript::{EntryId, What},
    verdict::{Halt, Witness},
    words,
};

/// Something that was seen on the wire, with its place in the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<T> {
    value: T,
    entry: EntryId,
    at: Duration,
}

impl<T> Seen<T> {
    pub(crate) fn new(value: T, entry: EntryId, at: Duration) -> Self {
        Seen { value, entry, at }
    }

    /// When, since the stage began.
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Only the value.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Seen<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Witness for Seen<T> {
    fn entry(&self) -> EntryId {
        self.entry
    }
}

/// What came next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A packet.
    Packet(Seen<Packet>),
    /// Bytes that are no packet of this version from a server; in words.
    Malformed(Seen<String>),
    /// The connection ended.
    End(Seen<End>),
    /// Nothing, in the time that was given.
    Nothing,
}

/// How a peer was turned away: the connection ended, and what was said before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The CONNACK, DISCONNECT or other packet that came before the end.
    pub said: Option<Seen<Packet>>,
    /// The end.
    pub end: Seen<End>,
}

impl Witness for Refusal {
    fn entry(&self) -> EntryId {
        self.end.entry()
    }
}

/// A packet type that can be asked for by name.
pub trait Kind: Sized {
    /// For messages: "SUBACK".
    const NAME: &'static str;
    /// It answers something, and nothing orders it against the PUBLISHes that are on their way.
    const BESIDE_MESSAGES: bool;
    /// The packet's content, if it is of this kind.
    fn from_packet(packet: Packet) -> Result<Self, Packet>;
}

/// The kinds that share one shape.
macro_rules! ack_kinds {
    ($($name:ident $variant:ident $text:literal;)*) => {$(
        #[doc = concat!("A ", $text, ", told apart from the others of the same shape.")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(pub Ack);
        impl Deref for $name {
            type Target = Ack;
            fn deref(&self) -> &Ack { &self.0 }
        }
        impl Kind for $name {
            const NAME: &'static str = $text;
            const BESIDE_MESSAGES: bool = true;
            fn from_packet(packet: Packet) -> Result<Self, Packet> {
                match packet { Packet::$variant(ack) => Ok($name(ack)), other => Err(other) }
            }
        }
    )*};
}

ack_kinds! {
    Puback Puback "PUBACK";
    Pubrec Pubrec "PUBREC";
    Pubrel Pubrel "PUBREL";
    Pubcomp Pubcomp "PUBCOMP";
}

macro_rules! kinds {
    ($($name:ident $text:literal $beside:literal;)*) => {$(
        impl Kind for $name {
            const NAME: &'static str = $text;
            const BESIDE_MESSAGES: bool = $beside;
            fn from_packet(packet: Packet) -> Result<Self, Packet> {
                match packet { Packet::$name(content) => Ok(content), other => Err(other) }
            }
        }
    )*};
}

kinds! {
    Publish "PUBLISH" false;
    Suback "SUBACK" true;
    Unsuback "UNSUBACK" true;
    Disconnect "DISCONNECT" false;
    Auth "AUTH" false;
}

impl Kind for Connack {
    const NAME: &'static str = "CONNACK";
    const BESIDE_MESSAGES: bool = false;
    fn from_packet(packet: Packet) -> Result<Self, Packet> {
        match packet {
            Packet::Connack(content) => Ok(*content),
            other => Err(other),
        }
    }
}

/// A raw connection of one actor.
pub struct Peer {
    stage: Stage,
    actor: Rc<str>,
    connection: u32,
    wire: Box<dyn Wire>,
    splitter: FrameSplitter,
    /// Seen and recorded, and not yet asked for.
    backlog: VecDeque<Next>,
    /// How the subject's side ended.
    ended: Option<Seen<End>>,
    /// Whether this side has ended.
    closed: bool,
    connack: Option<Connack>,
    last_id: u16,
    /// It asked for topics of the server's own.
    hears_the_server: bool,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("actor", &self.actor)
            .field("connection", &self.connection)
            .field("ended", &self.ended)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Peer {
    /// Opens a Network Connection and sends nothing. `inconclusive` if it cannot be had.
    pub async fn open(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
        let patience = stage.patience();
        let wire = match stage.within(patience, stage.world().connect(actor)).await {
            Some(Ok(wire)) => wire,
            Some(Err(reason)) => return Err(Halt::inconclusive(reason)),
            None => {
                let reason = format!("no connection for {actor} within {}", words::duration(patience));
                return Err(Halt::inconclusive(reason));
            }
        };
        let actor: Rc<str> = Rc::from(actor);
        let transcript = stage.transcript();
        let connection = transcript.next_connection(&actor);
        transcript.record(stage.now(), &actor, connection, What::Opened);
        Ok(Peer {
            stage: stage.clone(),
            actor,
            connection,
            wire,
            splitter: FrameSplitter::default(),
            backlog: VecDeque::new(),
            ended: None,
            closed: false,
            connack: None,
            last_id: 0,
            hears_the_server: false,
        })
    }

    /// The actor's name.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// Which of the actor's connections this is, from 1.
    pub fn connection(&self) -> u32 {
        self.connection
    }

    /// The version that it speaks.
    pub fn version(&self) -> Version {
        self.stage.version()
    }

    /// The stage.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The CONNACK that let it in, if it has been let in.
    pub fn connack(&self) -> Option<&Connack> {
        self.connack.as_ref()
    }

    /// Whether neither side has ended the connection, as far as has been seen.
    pub fn is_open(&self) -> bool {
        self.ended.is_none() && !self.closed
    }

    /// A packet identifier that this peer has not used yet.
    pub fn fresh_id(&mut self) -> PacketId {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        PacketId::new(self.last_id).expect("it was counted from 1")
    }

    /// Sends a packet.
    ///
    /// # Panics
    /// If this version has no such packet, or it is too long for a frame: a mistake of the caller.
    #[track_caller]
    pub fn send(&mut self, packet: Packet) -> impl Future<Output = Seen<()>> {
        let mut frame = BytesMut::new();
        if let Err(error) = packet.encode(self.version(), &mut frame) {
            panic!("a peer was asked to send what cannot be sent in {}: {error}", self.version());
        }
        if let Packet::Subscribe(subscribe) = &packet {
            self.hears_the_server |= subscribe.subscriptions.iter().any(|one| one.filter.filter().starts_with('$'));
        }
        let seen = self.record(What::Sent { summary: packet.to_string(), bytes: frame.clone().freeze() });
        self.hand_over(frame.freeze(), seen)
    }

    /// Sends these bytes as they are. Each whole frame among them is one line of the record; the first is the witness.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Seen<()> {
        let mut splitter = FrameSplitter::default();
        splitter.extend(bytes);
        let mut first = None;
        while let Some(frame) = splitter.next_frame() {
            let summary = match Packet::decode(self.version(), Side::Client, frame.clone()) {
                Ok(packet) => packet.to_string(),
                Err(error) => format!("malformed on purpose: {error}"),
            };
            let seen = self.record(What::Sent { summary, bytes: frame });
            first.get_or_insert(seen);
        }
        let rest = splitter.take_rest();
        if !rest.is_empty() || first.is_none() {
            let seen = self
                .record(What::Sent { summary: format!("{}, no whole packet", words::bytes(rest.len())), bytes: rest });
            first.get_or_insert(seen);
        }
        let seen = first.expect("something was recorded");
        self.hand_over(Bytes::copy_from_slice(bytes), seen).await
    }

    async fn hand_over(&mut self, bytes: Bytes, seen: Seen<()>) -> Seen<()> {
        let (stage, patience) = (self.stage.clone(), self.stage.patience());
        let size = bytes.len();
        // A subject that reads nothing must not hang the run; what it does not take shows in what it does not answer.
        if stage.within(patience, self.wire.send(bytes)).await.is_none() {
            let what = format!("{} not taken within {}", words::bytes(size), words::duration(patience));
            self.record(What::Told { summary: what });
        }
        seen
    }

    /// Whatever comes next, by this time of the stage. Dropping the future loses nothing.
    pub async fn next_by(&mut self, at: Duration) -> Next {
        match self.backlog.pop_front() {
            Some(next) => next,
            None => self.arrive_by(at).await,
        }
    }

    /// Whatever comes next but what belongs to messages on their way to this peer: PUBLISH, and PUBREL unless it is asked
    /// for. These stay where they are: `next_by` gives them afterwards.
    pub(crate) async fn next_beside_messages_by(&mut self, at: Duration, pubrel: bool) -> Next {
        let is_message = |next: &Next| match next {
            Next::Packet(packet) => match &**packet {
                Packet::Publish(_) => true,
                Packet::Pubrel(_) => !pubrel,
                _ => false,
            },
            _ => false,
        };
        if let Some(place) = self.backlog.iter().position(|next| !is_message(next)) {
            return self.backlog.remove(place).expect("the place was found");
        }
        loop {
            match self.arrive_by(at).await {
                message if is_message(&message) => self.backlog.push_back(message),
                other => return other,
            }
        }
    }

    /// Whatever comes next, in the stage's patience.
    pub async fn next(&mut self) -> Next {
        self.next_by(self.stage.now() + self.stage.patience()).await
    }

    /// Ends this side without DISCONNECT.
    pub async fn close(&mut self, how: End) {
        self.closed = true;
        self.record(What::Closed { how: how.name() });
        let (stage, patience) = (self.stage.clone(), self.stage.patience());
        // A world that cannot end a connection in time has nobody left to tell.
        let _ = stage.within(patience, self.wire.close(how)).await;
    }

    /// What comes next from the wire, the backlog aside.
    async fn arrive_by(&mut self, at: Duration) -> Next {
        loop {
            if self.stage.transcript().overflows() {
                self.stage.world().sleep_until(at).await;
                return Next::Nothing;
            }
            if let Some(next) = self.decode_next() {
                // A subject may have messages of its own for everybody; what this test is about has its names.
                if self.is_foreign(&next) {
                    continue;
                }
                return next;
            }
            if let Some(end) = &self.ended {
                return Next::End(end.clone());
            }
            let stage = self.stage.clone();
            match stage.by(at, self.wire.receive()).await {
                None => return Next::Nothing,
                Some(Arrival::Bytes(bytes)) if self.splitter.is_lost() => {
                    let summary = format!("{} after what was no packet", words::bytes(bytes.len()));
                    self.record(What::Received { summary, bytes });
                }
                Some(Arrival::Bytes(bytes)) => {
                    self.stage.transcript().received(bytes.len());
                    self.splitter.extend(&bytes);
                }
                Some(Arrival::End(how)) => {
                    let bytes = self.splitter.take_rest();
                    if !bytes.is_empty() {
                        let summary = format!("{} of an unfinished packet", words::bytes(bytes.len()));
                        self.record(What::Received { summary, bytes });
                    }
                    let seen = self.record(What::Ended { how: how.name() });
                    self.ended = Some(Seen::new(how, seen.entry, seen.at));
                }
            }
        }
    }

    fn decode_next(&mut self) -> Option<Next> {
        let was_lost = self.splitter.is_lost();
        let Some(frame) = self.splitter.next_frame() else {
            if self.splitter.is_lost() && !was_lost {
                let bytes = self.splitter.take_rest();
                return Some(self.malformed("a Remaining Length of more than four bytes".to_owned(), bytes));
            }
            return None;
        };
        match Packet::decode(self.version(), Side::Server, frame.clone()) {
            Ok(packet) => {
                let seen = self.record(What::Received { summary: packet.to_string(), bytes: frame });
                if let Packet::Connack(connack) = &packet
                    && !connack.reason.is_failure()
                {
                    self.connack = Some((**connack).clone());
                }
                Some(Next::Packet(Seen::new(packet, seen.entry, seen.at)))
            }
            Err(error) => Some(self.malformed(error.to_string(), frame)),
        }
    }

    /// A message on a topic that is not of this test: it is in the record, and it is no answer to anything here.
    fn is_foreign(&self, next: &Next) -> bool {
        let Next::Packet(packet) = next else { return false };
        let Packet::Publish(publish) = &**packet else { return false };
        !publish.topic().is_empty() && !self.hears_the_server && !self.stage.owns(publish.topic())
    }

    fn malformed(&mut self, what: String, bytes: Bytes) -> Next {
        let seen = self.record(What::Received { summary: format!("malformed: {what}"), bytes });
        Next::Malformed(Seen::new(what, seen.entry, seen.at))
    }

    fn record(&self, what: What) -> Seen<()> {
        let at = match what {
            // A script that looks late must not make the subject seem late.
            What::Received { .. } | What::Ended { .. } => self.wire.arrived(),
            _ => None,
        };
        let at = at.unwrap_or_else(|| self.stage.now());
        Seen::new((), self.stage.transcript().record(at, &self.actor, self.connection, what), at)
    }
}

impl fmt::Display for Next {
    /// Finishes "but …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Next::Packet(packet) => write!(f, "{} came", **packet),
            Next::Malformed(what) => write!(f, "bytes that are no packet came: {}", **what),
            Next::End(end) => write!(f, "the connection ended with {}", end.name()),
            Next::Nothing => f.write_str("nothing came"),
        }
    }
}

impl Next {
    /// Where it stands in the record; `None` for nothing.
    pub fn entry(&self) -> Option<EntryId> {
        match self {
            Next::Packet(packet) => Some(packet.entry()),
            Next::Malformed(what) => Some(what.entry()),
            Next::End(end) => Some(end.entry()),
            Next::Nothing => None,
        }
    }
}
