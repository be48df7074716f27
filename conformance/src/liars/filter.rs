//! A liar as a closure over the frames that pass: it sees each frame decoded, and passes, drops, replaces or adds.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_codec::{packet::Packet, reason::Side, version::Version};
use squall_scenarios::liar::{Direction, Liar, Lie};

/// One frame on its way, in the hands of a liar.
pub(crate) struct Passing<'a> {
    /// Since the stage began.
    pub(crate) now: Duration,
    /// On which connection.
    pub(crate) connection: u64,
    /// Which way.
    pub(crate) direction: Direction,
    /// What the CONNECT of this connection said; 3.1.1 until then.
    pub(crate) version: Version,
    /// As it is on the wire.
    pub(crate) raw: Bytes,
    /// Decoded, where it is a packet at all.
    pub(crate) packet: Option<Packet>,
    /// Every open connection with its version.
    pub(crate) connections: &'a BTreeMap<u64, Version>,
    deaf: &'a mut BTreeSet<u64>,
    later: &'a mut Vec<(Duration, Lie)>,
    out: &'a mut Vec<Lie>,
}

impl Passing<'_> {
    /// The packet, if it goes from the server to a client.
    #[expect(clippy::wrong_self_convention, reason = "it says where the packet comes from")]
    pub(crate) fn from_server(&self) -> Option<&Packet> {
        self.packet.as_ref().filter(|_| self.direction == Direction::ToClient)
    }

    /// The packet, if it goes from a client to the server.
    #[expect(clippy::wrong_self_convention, reason = "it says where the packet comes from")]
    pub(crate) fn from_client(&self) -> Option<&Packet> {
        self.packet.as_ref().filter(|_| self.direction == Direction::ToServer)
    }

    /// Lets the frame pass as it is. A frame that is neither passed nor replaced is swallowed.
    pub(crate) fn pass(&mut self) {
        self.out.push(Lie::Frame(self.connection, self.direction, self.raw.clone()));
    }

    /// Puts a packet in the place of the frame, or after what was pushed before.
    pub(crate) fn put(&mut self, packet: &Packet) {
        self.put_to(self.connection, self.direction, packet);
    }

    /// Answers the sender of the frame in the name of the other side.
    pub(crate) fn answer(&mut self, packet: &Packet) {
        self.put_to(self.connection, self.direction.other(), packet);
    }

    /// Sends a packet on any connection.
    pub(crate) fn put_to(&mut self, connection: u64, direction: Direction, packet: &Packet) {
        let version = self.connections.get(&connection).copied().unwrap_or(self.version);
        self.put_bytes(connection, direction, encoded(packet, version));
    }

    /// Sends bytes on any connection.
    pub(crate) fn put_bytes(&mut self, connection: u64, direction: Direction, bytes: Bytes) {
        self.out.push(Lie::Frame(connection, direction, bytes));
    }

    /// Lets the frame pass at a later time of the stage.
    pub(crate) fn pass_at(&mut self, at: Duration) {
        self.later.push((at, Lie::Frame(self.connection, self.direction, self.raw.clone())));
    }

    /// Answers the sender of the frame at a later time of the stage.
    pub(crate) fn answer_at(&mut self, at: Duration, packet: &Packet) {
        let bytes = encoded(packet, self.version);
        self.later.push((at, Lie::Frame(self.connection, self.direction.other(), bytes)));
    }

    /// Sends bytes to the receiver of the frame at a later time of the stage.
    pub(crate) fn put_bytes_at(&mut self, at: Duration, bytes: Bytes) {
        self.later.push((at, Lie::Frame(self.connection, self.direction, bytes)));
    }

    /// Ends the connection at both sides.
    pub(crate) fn close(&mut self) {
        self.out.push(Lie::Close(self.connection));
    }

    /// Ends another connection at both sides.
    pub(crate) fn close_other(&mut self, connection: u64) {
        self.out.push(Lie::Close(connection));
    }

    /// Ends the connection at a later time of the stage.
    pub(crate) fn close_at(&mut self, at: Duration) {
        self.later.push((at, Lie::Close(self.connection)));
    }

    /// From now on the client does not learn that the server ended this connection.
    pub(crate) fn hide_end(&mut self) {
        self.deaf.insert(self.connection);
    }
}

fn encoded(packet: &Packet, version: Version) -> Bytes {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("a liar writes packets that its version has");
    out.freeze()
}

struct Filter<F> {
    rewrite: F,
    versions: BTreeMap<u64, Version>,
    deaf: BTreeSet<u64>,
    /// Something whole came from these clients.
    heard: BTreeSet<u64>,
    later: Vec<(Duration, Lie)>,
    hides: HiddenEnds,
}

/// Of which connections a client does not learn that the server ended them, beside those of `Passing::hide_end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HiddenEnds {
    None,
    /// Of those on which no whole packet came.
    OfTheSilent,
    All,
}

/// A liar from a closure that sees every frame.
pub(crate) fn liar(rewrite: impl FnMut(&mut Passing<'_>) + 'static) -> Box<dyn Liar> {
    hides_ends(rewrite, HiddenEnds::None)
}

/// As `liar`, and no client ever learns that the server ended a connection.
pub(crate) fn deaf_liar(rewrite: impl FnMut(&mut Passing<'_>) + 'static) -> Box<dyn Liar> {
    hides_ends(rewrite, HiddenEnds::All)
}

/// As `liar`, and clients do not learn of these ends.
pub(crate) fn hides_ends(rewrite: impl FnMut(&mut Passing<'_>) + 'static, hides: HiddenEnds) -> Box<dyn Liar> {
    let (versions, deaf, heard) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    Box::new(Filter { rewrite, versions, deaf, heard, later: Vec::new(), hides })
}

impl<F: FnMut(&mut Passing<'_>)> Liar for Filter<F> {
    fn frame(&mut self, now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let sender = match direction {
            Direction::ToServer => Side::Client,
            Direction::ToClient => Side::Server,
        };
        if direction == Direction::ToServer {
            self.heard.insert(connection);
        }
        let known = self.versions.get(&connection).copied();
        let packet = Packet::decode(known.unwrap_or(Version::V3_1_1), sender, raw.clone()).ok();
        if let (None, Some(Packet::Connect(connect))) = (known, &packet) {
            self.versions.insert(connection, connect.version());
        }
        let version = self.versions.get(&connection).copied().unwrap_or(Version::V3_1_1);
        (self.rewrite)(&mut Passing {
            now,
            connection,
            direction,
            version,
            raw,
            packet,
            connections: &self.versions,
            deaf: &mut self.deaf,
            later: &mut self.later,
            out,
        });
    }

    fn ended(&mut self, _now: Duration, connection: u64, direction: Direction, _out: &mut Vec<Lie>) -> bool {
        if direction == Direction::ToServer {
            self.versions.remove(&connection);
            return true;
        }
        let hidden = match self.hides {
            HiddenEnds::None => false,
            HiddenEnds::OfTheSilent => !self.heard.contains(&connection),
            HiddenEnds::All => true,
        };
        !hidden && !self.deaf.contains(&connection)
    }

    fn deadline(&self) -> Option<Duration> {
        self.later.iter().map(|(at, _)| *at).min()
    }

    fn tick(&mut self, now: Duration, out: &mut Vec<Lie>) {
        let (due, later): (Vec<_>, Vec<_>) = self.later.drain(..).partition(|(at, _)| *at <= now);
        self.later = later;
        out.extend(due.into_iter().map(|(_, lie)| lie));
    }
}
