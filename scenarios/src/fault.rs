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
    /// Each segment takes this long; order is kept.
    Latency {
        /// How long.
        time: Delay,
        /// One way, or both.
        direction: Option<Direction>,
    },
    /// The line takes only so much: what is written leaves byte by byte, and what follows waits for the line.
    Bandwidth {
        /// Each way; 0 is a line without a bound.
        bytes_per_second: u64,
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
    /// What is written waits for more, as senders do who want full segments (Nagle's algorithm).
    Coalesce {
        /// A segment of this size waits no longer.
        bytes: usize,
        /// Nothing waits longer. Zero is a sender who waits for nothing.
        time: Duration,
        /// One way, or both.
        direction: Option<Direction>,
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

/// How long segments take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// Anything between the two is as likely; the same twice is a fixed time.
    Between {
        /// At least.
        min: Duration,
        /// At most.
        max: Duration,
    },
    /// As networks are: most segments are quick, and few are very late (a log-normal distribution). None takes longer
    /// than `p99` times the quotient of the two.
    Spread {
        /// Half of all take at most this long.
        median: Duration,
        /// One of a hundred takes longer.
        p99: Duration,
    },
}

impl Delay {
    /// Always the same.
    pub const fn fixed(time: Duration) -> Self {
        Delay::Between { min: time, max: time }
    }

    /// Whether no segment is delayed.
    pub const fn is_nothing(self) -> bool {
        match self {
            Delay::Between { max, .. } => max.is_zero(),
            Delay::Spread { p99, .. } => p99.is_zero(),
        }
    }
}

/// A moment on one actor's links at which a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Whose link carries the frame.
    pub actor: String,
    /// Which frame.
    pub on: Trigger,
    /// How much of it passes before the fault strikes.
    pub pass: Pass,
}

/// What happens at a moment.
#[derive(Clone, Debug, PartialEq)]
pub enum Triggered {
    /// A fault of the network, on whichever link: it is in force before the next byte passes.
    Fault(Fault),
    /// The subject goes down. What has not passed by then never does.
    Outage,
    /// Whatever the one who waits for it does.
    Signal,
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

/// How much of the frame that triggered a fault still passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Nothing: before delivery.
    Before,
    /// The first bytes.
    Bytes(usize),
    /// All of it: after delivery.
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
            FaultKind::Latency { time, direction } => {
                write!(f, "latency {time}")?;
                direction
            }
            FaultKind::Bandwidth { bytes_per_second, direction } => {
                write!(f, "bandwidth {}", words::rate(*bytes_per_second))?;
                direction
            }
            FaultKind::Coalesce { bytes, time, direction } => {
                write!(f, "coalesce into {}, or for {}", words::bytes(*bytes), words::duration(*time))?;
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

impl fmt::Display for Delay {
    /// "10 ms", "5 ms to 20 ms", "20 ms, 1 of 100 above 200 ms".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Delay::Between { min, max } if min == max => f.write_str(&words::duration(*min)),
            Delay::Between { min, max } => write!(f, "{} to {}", words::duration(*min), words::duration(*max)),
            Delay::Spread { median, p99 } => {
                write!(f, "{}, 1 of 100 above {}", words::duration(*median), words::duration(*p99))
            }
        }
    }
}

impl fmt::Display for Moment {
    /// "before PUBREL 1 from alice".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Moment { actor, on: Trigger { packet, direction, nth }, pass } = self;
        let way = match direction {
            Direction::ToServer => "from",
            Direction::ToClient => "to",
        };
        write!(f, "{pass} {packet} {nth} {way} {actor}")
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
