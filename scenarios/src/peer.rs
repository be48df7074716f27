//! A raw peer: a connection, a decoder, a transcript. It answers nothing by itself.

use std::{fmt, ops::Deref, time::Duration};

use squall_codec::{
    packet::{Ack, Auth, Connack, Connect, Disconnect, Packet, Publish, Suback, Unsuback},
    qos::Qos,
    version::Version,
    wire::PacketId,
};

use crate::{
    stage::{End, Stage},
    transcript::EntryId,
    verdict::{Halt, Witness},
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
    ($($name:ident $text:literal;)*) => {$(
        impl Kind for $name {
            const NAME: &'static str = $text;
            fn from_packet(packet: Packet) -> Result<Self, Packet> {
                match packet { Packet::$name(content) => Ok(content), other => Err(other) }
            }
        }
    )*};
}

kinds! {
    Publish "PUBLISH";
    Suback "SUBACK";
    Unsuback "UNSUBACK";
    Disconnect "DISCONNECT";
    Auth "AUTH";
}

impl Kind for Connack {
    const NAME: &'static str = "CONNACK";
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
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").finish_non_exhaustive()
    }
}

#[expect(clippy::unused_async, unused_variables, reason = "signatures first")]
impl Peer {
    /// Opens a Network Connection and sends nothing. `inconclusive` if it cannot be had.
    pub async fn open(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
        todo!()
    }

    /// Opens, sends this CONNECT, and has a CONNACK with success; anything else is `fail` (use `.prepared()`).
    pub async fn connect(stage: &Stage, actor: &str, connect: Connect) -> Result<(Peer, Seen<Connack>), Halt> {
        todo!()
    }

    /// A connected client with a clean session, Keep Alive 0 and this test's client identifier of `actor`.
    /// `inconclusive` if that does not work.
    pub async fn connected(stage: &Stage, actor: &str) -> Result<Peer, Halt> {
        todo!()
    }

    /// The CONNECT that `connected` sends: for changing one thing of it.
    pub fn hello(stage: &Stage, actor: &str) -> Connect {
        todo!()
    }

    /// The actor's name.
    pub fn actor(&self) -> &str {
        todo!()
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
        todo!()
    }

    /// A packet identifier that this peer has not used yet.
    pub fn fresh_id(&mut self) -> PacketId {
        todo!()
    }

    /// Sends a packet.
    pub async fn send(&mut self, packet: Packet) -> Seen<()> {
        todo!()
    }

    /// Sends these bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Seen<()> {
        todo!()
    }

    /// Whatever comes next, by this time of the stage.
    pub async fn next_by(&mut self, at: Duration) -> Next {
        todo!()
    }

    /// Whatever comes next, in the stage's patience.
    pub async fn next(&mut self) -> Next {
        todo!()
    }

    /// The next packet must be of this kind: `fail` otherwise, and when nothing comes.
    pub async fn expect<K: Kind>(&mut self) -> Result<Seen<K>, Halt> {
        todo!()
    }

    /// As `expect`, by this time of the stage.
    pub async fn expect_by<K: Kind>(&mut self, at: Duration) -> Result<Seen<K>, Halt> {
        todo!()
    }

    /// A PUBLISH with this payload must come next (its topic and all else are the caller's to judge).
    pub async fn expect_message(&mut self, payload: &[u8]) -> Result<Seen<Publish>, Halt> {
        todo!()
    }

    /// The connection must end: what is said before (at most one CONNACK or DISCONNECT) is in the refusal. `fail` if it
    /// stays open for the stage's patience, or if any other packet comes.
    pub async fn expect_refusal(&mut self) -> Result<Refusal, Halt> {
        todo!()
    }

    /// A fence: PINGREQ, and all packets that come before its PINGRESP. `fail` if the connection ends or no PINGRESP
    /// comes.
    pub async fn fence(&mut self) -> Result<(Vec<Seen<Packet>>, Seen<()>), Halt> {
        todo!()
    }

    /// A fence with nothing before it: the witness is the PINGRESP.
    pub async fn quiet(&mut self) -> Result<Seen<()>, Halt> {
        todo!()
    }

    /// SUBSCRIBE to one filter, and a SUBACK that grants it: `inconclusive` if refused or not answered.
    pub async fn subscribed(&mut self, filter: &str, qos: Qos) -> Result<Seen<Suback>, Halt> {
        todo!()
    }

    /// Publishes and finishes the exchange (PUBACK; PUBREC, PUBREL, PUBCOMP; a fence for QoS 0): `inconclusive` if it
    /// does not finish.
    pub async fn published(&mut self, topic: &str, qos: Qos, payload: &[u8], retain: bool) -> Result<(), Halt> {
        todo!()
    }

    /// DISCONNECT (normal), then FIN.
    pub async fn disconnect(&mut self) {
        todo!()
    }

    /// Ends this side without DISCONNECT.
    pub async fn close(&mut self, how: End) {
        todo!()
    }
}
