//! Where a connection can be cut, in the words of a script.

use std::fmt;

use squall_codec::packet::PacketKind;
use squall_scenarios::{fault::CutEnd, liar::Direction, stage::End};

/// A frame that one client sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whose.
    pub actor: String,
    /// Of this kind.
    pub kind: PacketKind,
    /// Going this way.
    pub direction: Direction,
    /// The how many of its kind this way, over all of the client's connections, from 1.
    pub nth: u32,
    /// In bytes.
    pub size: usize,
}

/// A place at which a connection is cut, and what both ends see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Whose connection.
    pub actor: String,
    /// At a packet of this kind.
    pub kind: PacketKind,
    /// Going this way.
    pub direction: Direction,
    /// The how many, from 1.
    pub nth: u32,
    /// Where.
    pub place: Place,
    /// What both ends see.
    pub how: CutEnd,
}

/// Where a frame is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing of it passes.
    Before,
    /// So many bytes pass: at least one, and not all.
    Within(usize),
    /// All of it passes.
    After,
}

const ENDS: [CutEnd; 3] = [CutEnd::End(End::Fin), CutEnd::End(End::Reset), CutEnd::HalfOpen];

impl Frame {
    /// Each byte and both boundaries, with each kind of end.
    pub fn cuts(&self) -> impl Iterator<Item = Cut> + '_ {
        let within = (1..self.size).map(Place::Within);
        let places = std::iter::once(Place::Before).chain(within).chain([Place::After]);
        places.flat_map(move |place| {
            ENDS.into_iter().map(move |how| Cut {
                actor: self.actor.clone(),
                kind: self.kind,
                direction: self.direction,
                nth: self.nth,
                place,
                how,
            })
        })
    }
}

impl Cut {
    /// As a step of a script.
    pub fn step(&self) -> String {
        let Cut { actor, kind, direction, nth, place, how } = self;
        let packet = kind.to_string().to_lowercase();
        let to = match direction {
            Direction::ToServer => "server",
            Direction::ToClient => "client",
        };
        let pass = match place {
            Place::Before => "before".to_owned(),
            Place::Within(bytes) => format!("{{ bytes: {bytes} }}"),
            Place::After => "after".to_owned(),
        };
        let how = match how {
            CutEnd::End(End::Fin) => "fin",
            CutEnd::End(End::Reset) => "reset",
            CutEnd::HalfOpen => "half_open",
        };
        format!(
            "world: {{ cut: {{ link: {actor}, on: {{ packet: {packet}, to: {to}, nth: {nth} }}, pass: {pass}, how: {how} }} }}"
        )
    }
}

impl fmt::Display for Cut {
    /// "alice: 3 bytes of PUBREL 1 to the server (RST)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut { actor, kind, direction, nth, place, how } = self;
        match place {
            Place::Before => write!(f, "{actor}: before {kind} {nth} {direction} ({how})"),
            Place::Within(1) => write!(f, "{actor}: 1 byte of {kind} {nth} {direction} ({how})"),
            Place::Within(bytes) => write!(f, "{actor}: {bytes} bytes of {kind} {nth} {direction} ({how})"),
            Place::After => write!(f, "{actor}: after {kind} {nth} {direction} ({how})"),
        }
    }
}
