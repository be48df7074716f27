//! What a story does to the broker itself: takes it down, lets it come back, fills its disk. Plain data, as the faults of
//! the network are.

use std::{fmt, time::Duration};

use crate::words;

/// The broker goes down and is started again, with what its store has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// How it goes.
    pub how: Stop,
    /// How long it is away.
    pub down: Duration,
}

/// How a broker goes down, the mildest way first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// It is asked to, as by SIGTERM: it tells its clients, closes its store and ends.
    Restart,
    /// Its process is killed. The system closes its connections, and what the process wrote to a file stays written.
    Crash,
    /// The machine goes dark. Nobody is told, and what was not synced to the disk is lost or torn.
    PowerLoss,
}

/// What the broker's disk does from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskState {
    /// It works.
    Well,
    /// Nothing can be written: there is no room.
    Full,
    /// Nothing can be written: it is broken.
    Broken,
}

/// The clock on the wall of the broker's machine is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockJump {
    /// It shows a later time.
    Ahead(Duration),
    /// It shows an earlier time.
    Back(Duration),
}

impl fmt::Display for ClockJump {
    /// "the broker's clock jumps 1 s ahead".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (by, way) = match self {
            ClockJump::Ahead(by) => (by, "ahead"),
            ClockJump::Back(by) => (by, "back"),
        };
        write!(f, "the broker's clock jumps {} {way}", words::duration(*by))
    }
}

impl fmt::Display for Outage {
    /// "the broker is killed, and away for 2 s".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.how {
            Stop::Restart => "the broker restarts",
            Stop::Crash => "the broker is killed",
            Stop::PowerLoss => "the broker's power fails",
        })?;
        if !self.down.is_zero() {
            write!(f, ", and it is away for {}", words::duration(self.down))?;
        }
        Ok(())
    }
}

impl fmt::Display for DiskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DiskState::Well => "the disk works again",
            DiskState::Full => "the disk is full",
            DiskState::Broken => "the disk is broken",
        })
    }
}
