//! The faults of a network, in the words of a person. Plain data: a plan made from a seed uses the same.

use std::{fmt, time::Duration};

use squall_codec::packet::PacketKind;

use crate::{liar::Direction, stage::End, words};

/// A fault on the link of one actor, or on every link.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Whose link; `None` is every actor's, also of those who connect later.
    pub actor: Option<String>,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// Each segment takes between `min` and `max`; order is kept.
    Latency {
        /// At least.
        min: Duration,
        /// At most.
        max: Duration,
        /// One way, or both.
        direction: Option<Direction>,
    },
    /// A segment is lost with this probability (0 to 1) and sent again after the retransmission time-out (200 ms,
    /// doubled each time); what follows waits behind it.
    Drop {
        /// 0 to 1.
        probability: f64,
        /// One way, or both.
        direction: Option<Direction>,
    },
    /// Bytes are delivered in segments of this size, each on its own.
    Split {
        /// In bytes, at least 1.
        bytes: usize,
    },
    /// Nothing passes; what was sent waits. `Heal` delivers it, or ends in a reset.
    Partition {
        /// One way, or both.
        direction: Option<Direction>,
    },
    /// Ends a partition, hold, stall or half-open link.
    Heal {
        /// What waited is lost and both ends see RST: the outage was longer than TCP's patience.
        reset: bool,
    },
    /// As a partition, and meant to be short: everything arrives at `Heal`.
    Hold,
    /// RST at both ends, now.
    Reset,
    /// FIN towards the server without DISCONNECT, now.
    Close,
    /// The actor is gone without a sign: nothing passes either way and nobody is told.
    HalfOpen,
    /// The actor stops reading: the server's bytes pile up behind a full window.
    StallReading,
    /// The link ends at a moment of the protocol.
    Cut {
        /// Which frame.
        on: Trigger,
        /// How much of it still passes.
        pass: Pass,
        /// What both ends see.
        how: CutEnd,
    },
}

/// A moment of the protocol: the `nth` frame of a kind that enters the link, counted from when the fault was put in
/// place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Of this kind.
    pub packet: PacketKind,
    /// Going this way.
    pub direction: Direction,
    /// From 1.
    pub nth: u32,
}

/// How much of the frame that triggered a cut still passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nothing: cut before delivery.
    Before,
    /// The first bytes.
    Bytes(usize),
    /// All of it: cut after delivery.
    After,
}

/// What the ends of a cut link see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutEnd {
    /// FIN or RST at both.
    End(End),
    /// Nothing, for ever.
    HalfOpen,
}

impl fmt::Display for Fault {
    /// "alice: cut before PUBREC 1 to the client (FIN)".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.actor.as_deref().unwrap_or("all"), self.kind)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self {
            FaultKind::Latency { min, max, direction } => {
                write!(f, "latency {}", words::duration(*min))?;
                if max > min {
                    write!(f, " to {}", words::duration(*max))?;
                }
                direction
            }
            FaultKind::Drop { probability, direction } => {
                write!(f, "drop {}%", probability * 100.0)?;
                direction
            }
            FaultKind::Partition { direction } => {
                f.write_str("partition")?;
                direction
            }
            FaultKind::Split { bytes } => return write!(f, "split into segments of {}", words::bytes(*bytes)),
            FaultKind::Heal { reset: false } => return f.write_str("heal"),
            FaultKind::Heal { reset: true } => return f.write_str("heal with RST"),
            FaultKind::Hold => return f.write_str("hold"),
            FaultKind::Reset => return f.write_str("RST at both ends"),
            FaultKind::Close => return f.write_str("FIN to the server without DISCONNECT"),
            FaultKind::HalfOpen => return f.write_str("half-open"),
            FaultKind::StallReading => return f.write_str("stall reading"),
            FaultKind::Cut { on, pass, how } => return write!(f, "cut {pass} {on} ({how})"),
        };
        match direction {
            Some(direction) => write!(f, " {direction}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Trigger {
    /// "PUBREC 1 to the client".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.packet, self.nth, self.direction)
    }
}

impl fmt::Display for Pass {
    /// Stands before the frame: "before", "after", "after 3 bytes of".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pass::Before => f.write_str("before"),
            Pass::Bytes(count) => write!(f, "after {} of", words::bytes(*count)),
            Pass::After => f.write_str("after"),
        }
    }
}

impl fmt::Display for CutEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CutEnd::End(end) => end.name(),
            CutEnd::HalfOpen => "half-open",
        })
    }
}
