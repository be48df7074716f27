//! Moments of the protocol on a link: which frame, which byte of it, and what strikes then.

use std::{fmt, time::Duration};

use bytes::Bytes;
use squall_codec::{packet::PacketKind, version::Version};

use super::{Link, lane::Lane};
use crate::{
    fault::{CutEnd, FaultKind, Pass, Trigger},
    liar::Direction,
    stage::End,
    words,
};

/// What waits for its moment on a link.
#[derive(Clone, Debug)]
pub(crate) struct PendingStrike {
    /// Its position on this link.
    pub(crate) position: usize,
    /// Which frame.
    pub(crate) on: Trigger,
    /// How much of it passes.
    pub(crate) pass: Pass,
    /// What happens then.
    pub(crate) strike: Strike,
    /// Frames of that kind seen so far.
    pub(crate) seen: u32,
}

/// What happens at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strike {
    /// The link is cut.
    Cut(CutEnd),
    /// A fault of the book is put in place before the next byte passes.
    Fault,
    /// The subject goes down: nothing more passes this way.
    Outage,
    /// Somebody is told.
    Signal,
}

/// A strike of the book whose moment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fired {
    /// Its position on the link.
    pub(crate) position: usize,
    /// When.
    pub(crate) at: Duration,
    /// The way of the frame.
    pub(crate) direction: Direction,
}

/// What enters a link, in order.
#[derive(Debug)]
pub(super) enum Entering {
    /// Bytes in which no frame was looked for.
    Fresh(Bytes),
    /// Bytes of which is known that nothing strikes within.
    Scanned(Bytes),
    /// A moment has come.
    Strike(StrikePoint, PendingStrike),
    /// The writer's end.
    End(End),
}

/// Where a strike falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StrikePoint {
    /// Bytes of the frame that pass, over all writes.
    in_frame: usize,
    /// Bytes of what is being written that still pass.
    in_bytes: usize,
    /// The frame's length, if its header is known.
    total: Option<usize>,
    /// The frame's first byte.
    first: u8,
}

/// The first run of bytes of one frame into which strikes fall.
struct Struck {
    points: Vec<(StrikePoint, PendingStrike)>,
    /// Where in what is being written the next look for a frame begins.
    fragment_end: usize,
}

impl Pass {
    /// How many bytes of a frame pass; `None` is all of it.
    const fn limit(self) -> Option<usize> {
        match self {
            Pass::Before => Some(0),
            Pass::Bytes(count) => Some(count),
            Pass::After => None,
        }
    }
}

impl fmt::Display for PendingStrike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.strike {
            Strike::Cut(how) => FaultKind::Cut { on: self.on.clone(), pass: self.pass, how }.fmt(f),
            Strike::Fault | Strike::Outage | Strike::Signal => write!(f, "{} {}", self.pass, self.on),
        }
    }
}

impl Lane {
    /// Follows the frames in `bytes` up to the first into which strikes fall. They are taken out of those pending.
    fn find_strikes(&mut self, bytes: &[u8]) -> Option<Struck> {
        let mut start = 0;
        while let Some(fragment) = self.scanner.next(&bytes[start..]) {
            if self.strikes.is_empty() {
                start += fragment.len;
                continue;
            }
            let kind = PacketKind::from_number(Version::V5_0, fragment.first >> 4);
            if fragment.offset == 0 {
                for strike in self.strikes.iter_mut().filter(|strike| Some(strike.on.packet) == kind) {
                    strike.seen += 1;
                }
            }
            let after = fragment.offset + fragment.len;
            let falls = |strike: &PendingStrike| {
                if Some(strike.on.packet) != kind || strike.seen != strike.on.nth.max(1) {
                    return None;
                }
                match strike.pass.limit() {
                    Some(limit) if limit <= after => Some(limit.max(fragment.offset)),
                    _ => fragment.ends.then_some(after),
                }
            };
            let mut fallen: Vec<(usize, usize)> =
                self.strikes.iter().enumerate().filter_map(|(index, strike)| Some((falls(strike)?, index))).collect();
            fallen.sort_unstable();
            // Behind a cut there is nothing that another could strike.
            if let Some(cut) =
                fallen.iter().position(|(_, index)| matches!(self.strikes[*index].strike, Strike::Cut(_)))
            {
                fallen.truncate(cut + 1);
            }
            if !fallen.is_empty() {
                let point = |in_frame: usize| StrikePoint {
                    in_frame,
                    in_bytes: start + in_frame - fragment.offset,
                    total: fragment.total,
                    first: fragment.first,
                };
                let points = fallen.iter().map(|(in_frame, index)| (point(*in_frame), self.strikes[*index].clone()));
                let points = points.collect();
                let mut index = 0;
                self.strikes.retain(|_| {
                    index += 1;
                    !fallen.iter().any(|(_, gone)| *gone == index - 1)
                });
                return Some(Struck { points, fragment_end: start + fragment.len });
            }
            start += fragment.len;
        }
        None
    }
}

impl Link {
    /// Takes in what is at hand, until a fault of the book has to be put in place.
    pub(super) fn take_in(&mut self, now: Duration) {
        while !self.halted
            && let Some((direction, entering)) = self.entering.pop_front()
        {
            match entering {
                Entering::Fresh(bytes) => self.look_into(now, direction, bytes),
                Entering::Scanned(bytes) => self.enter(now, direction, bytes),
                Entering::Strike(point, strike) => self.strike(now, point, &strike),
                Entering::End(how) => self.end_now(now, direction, how),
            }
        }
    }

    /// The faults whose moment had come are in place: what waited behind that moment goes on.
    pub(crate) fn go_on(&mut self, now: Duration) {
        self.halted = false;
        self.take_in(now);
    }

    /// Strikes of the book whose moment has come since the last call.
    pub(crate) fn take_fired(&mut self) -> Vec<Fired> {
        std::mem::take(&mut self.fired)
    }

    /// The first byte of the packet at which this one struck, by its position on the link.
    pub(crate) fn struck_by(&self, position: usize) -> Option<u8> {
        self.struck_by.iter().find(|(struck, _)| *struck == position).map(|(_, first)| *first)
    }

    /// Waits for a moment on this link.
    pub(crate) fn await_moment(&mut self, on: Trigger, pass: Pass, strike: Strike) {
        self.adopt(PendingStrike { position: 0, on, pass, strike, seen: 0 });
    }

    /// Takes away what waits for a moment that has not come, with what it has counted.
    pub(crate) fn release_strikes(&mut self) -> Vec<PendingStrike> {
        self.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.strikes)).collect()
    }

    /// Goes on with what another link began to count for.
    pub(crate) fn adopt(&mut self, strike: PendingStrike) {
        let position = self.faults;
        self.faults += 1;
        self.lane_mut(strike.on.direction).strikes.push(PendingStrike { position, ..strike });
    }

    fn look_into(&mut self, now: Duration, direction: Direction, bytes: Bytes) {
        let lane = self.lane_mut(direction);
        if !lane.open || bytes.is_empty() {
            return;
        }
        let Some(Struck { points, fragment_end }) = lane.find_strikes(&bytes) else {
            return self.enter(now, direction, bytes);
        };
        let mut items = Vec::new();
        let mut from = 0;
        for (point, strike) in points {
            items.push(Entering::Scanned(bytes.slice(from..point.in_bytes)));
            items.push(Entering::Strike(point, strike));
            from = point.in_bytes;
        }
        // Behind a half-open cut TCP still holds the rest: it comes out if the link is healed.
        items.push(Entering::Scanned(bytes.slice(from..fragment_end)));
        items.push(Entering::Fresh(bytes.slice(fragment_end..)));
        for item in items.into_iter().rev() {
            self.entering.push_front((direction, item));
        }
    }

    fn strike(&mut self, now: Duration, point: StrikePoint, strike: &PendingStrike) {
        let direction = strike.on.direction;
        let fired = Fired { position: strike.position, at: now, direction };
        self.struck_by.push((strike.position, point.first));
        match strike.strike {
            Strike::Cut(how) => {
                self.cut(now, direction, strike.position, how);
                let passed = match point.total {
                    Some(total) => format!("{} of {}", point.in_frame, words::bytes(total)),
                    None => words::bytes(point.in_frame),
                };
                self.hit(now, strike.position, format!("{strike}, {passed} passed"));
            }
            Strike::Fault => {
                self.fired.push(fired);
                self.halted = true;
            }
            Strike::Signal => self.fired.push(fired),
            Strike::Outage => {
                // What has passed is to arrive before the server goes down.
                let has_to_arrive = strike.pass == Pass::After && direction == Direction::ToServer;
                let lane = &mut self.lanes[direction as usize];
                if !has_to_arrive || !lane.await_last(now, strike.position, &mut self.hits) {
                    self.fired.push(fired);
                }
                self.lane_mut(direction).swallows = true;
            }
        }
    }
}
