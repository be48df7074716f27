//! A link between one actor and the subject: bytes in at one end, bytes out at the other, late, cut, lost or split.
//!
//! Sans-io: the events world drives it directly, the turmoil and the live world wrap their sockets in it.
//! TCP's promises hold on it: bytes arrive in order and none in between is missing. What a person calls a lost packet is
//! a delay here, as it is for every program above TCP.

mod lane;

use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::lane::PendingCut;
use self::lane::{Knob, Lane};
use crate::{
    fault::{CutEnd, FaultKind, Pass},
    liar::Direction,
    stage::{Arrival, End},
    words,
};

/// Bytes that may be under way or unread in one direction before its writer has to wait.
pub const WINDOW_BYTES: usize = 64 * 1024;

/// A fault that took effect: "cut before PUBREC 1 to the client, 0 of 4 bytes passed".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// When.
    pub at: Duration,
    /// In words.
    pub summary: String,
    /// Position of the fault in the order in which faults were applied to this link.
    pub fault: usize,
}

/// What has become of the subject's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FarEnd {
    /// It is there.
    There,
    /// It has no power. `missed`: something was sent to it meanwhile, and will be sent again until it is answered.
    Dark { missed: bool },
    /// It is back, and knows nothing of this connection.
    Forgetful,
}

/// One connection's link.
#[derive(Debug)]
pub struct Link {
    lanes: [Lane; 2],
    /// Faults that were put in place so far.
    faults: usize,
    /// Stalls in force: the actor does not read.
    stalls: Vec<Knob<()>>,
    /// The link was torn down under the actor: it sees that even if it does not read.
    severed: bool,
    server: FarEnd,
    hits: Vec<Hit>,
}

impl Link {
    /// Without faults: what goes in comes out at once. `seed` is this link's own stream of randomness.
    pub fn new(seed: u64) -> Self {
        Link {
            lanes: [Lane::new(seed, Direction::ToServer), Lane::new(seed, Direction::ToClient)],
            faults: 0,
            stalls: Vec::new(),
            severed: false,
            server: FarEnd::There,
            hits: Vec::new(),
        }
    }

    /// The subject's machine has lost its power: what is under way to it is lost, nothing more comes from it, and the
    /// actor is not told.
    pub fn server_goes_dark(&mut self) {
        if self.server == FarEnd::There {
            let lane = self.lane_mut(Direction::ToServer);
            let missed = lane.unread > 0;
            lane.clear();
            lane.finished = true;
            self.server = FarEnd::Dark { missed };
        }
    }

    /// The subject's machine has its power again. A connection of which it knows nothing is answered with RST as soon as
    /// something comes on it.
    pub fn server_comes_back(&mut self, now: Duration) {
        if let FarEnd::Dark { missed } = self.server {
            self.server = FarEnd::Forgetful;
            if missed {
                self.sever(now, None);
            }
        }
    }

    /// Puts a fault in place; its position, as `Hit::fault` names it, is the number of faults before it.
    ///
    /// A later latency, drop or split takes the place of an earlier one in the directions that it names; every other
    /// fault stays beside those in force.
    pub fn apply(&mut self, now: Duration, fault: FaultKind) {
        let id = self.faults;
        self.faults += 1;
        match fault {
            FaultKind::Latency { min, max, direction } => {
                for lane in self.lanes_mut(direction) {
                    lane.latency.set(id, (min, max.max(min)), max.is_zero());
                }
                self.tell_if_ended(now, id, "latency");
            }
            FaultKind::Drop { probability, direction } => {
                for lane in self.lanes_mut(direction) {
                    lane.loss.set(id, probability, probability <= 0.0);
                }
                self.tell_if_ended(now, id, "loss");
            }
            FaultKind::Split { bytes } => {
                for lane in &mut self.lanes {
                    lane.split.set(id, bytes.max(1), false);
                }
            }
            FaultKind::Partition { direction } => self.block(now, id, "partition", direction),
            FaultKind::Hold => self.block(now, id, "hold", None),
            FaultKind::Heal { reset } => self.heal(now, id, reset),
            FaultKind::Reset => {
                if self.is_open() {
                    let lost = self.sever(now, None);
                    self.hit(now, id, format!("RST at both ends, {} undelivered", words::bytes(lost)));
                }
            }
            FaultKind::Close => self.close(now, id),
            FaultKind::HalfOpen => {
                if self.is_open() {
                    self.hit(now, id, "the client is gone without a sign".to_owned());
                    for lane in &mut self.lanes {
                        lane.block(now, Knob { fault: id, value: "half-open", told: true }, &mut self.hits);
                    }
                }
            }
            FaultKind::StallReading => self.stall(now, id),
            FaultKind::Cut { on, pass, how } => {
                self.lane_mut(on.direction).cuts.push(PendingCut { fault: id, on, pass, how, seen: 0 });
            }
        }
    }

    /// Bytes enter.
    pub fn write(&mut self, now: Duration, direction: Direction, bytes: Bytes) {
        if self.server != FarEnd::There {
            return self.miss(now, direction);
        }
        let lane = self.lane_mut(direction);
        if !lane.open || bytes.is_empty() {
            return;
        }
        let Some((at, cut)) = lane.find_cut(&bytes) else {
            return self.enter(now, direction, bytes);
        };
        self.enter(now, direction, bytes.slice(..at.in_bytes));
        self.cut(now, direction, &cut);
        let passed = match at.total {
            Some(total) => format!("{} of {}", at.in_frame, words::bytes(total)),
            None => words::bytes(at.in_frame),
        };
        self.hit(now, cut.fault, format!("{cut}, {passed} passed"));
        // Behind a half-open cut TCP still holds the rest: it comes out if the link is healed.
        self.enter(now, direction, bytes.slice(at.in_bytes..at.fragment_end));
        self.write(now, direction, bytes.slice(at.fragment_end..));
    }

    /// Bytes that may still enter before the window of this direction is full. A direction that has ended takes any
    /// number and swallows them.
    pub fn room(&self, direction: Direction) -> usize {
        let lane = self.lane(direction);
        if lane.open { WINDOW_BYTES.saturating_sub(lane.unread) } else { WINDOW_BYTES }
    }

    /// The writer of this direction ends it. FIN comes out behind all that entered before; RST ends the other direction
    /// at once, and takes with it what an outage holds back.
    pub fn end(&mut self, now: Duration, direction: Direction, how: End) {
        if self.server != FarEnd::There {
            if direction == Direction::ToServer && how == End::Reset {
                self.sever(now, None);
            }
            return self.miss(now, direction);
        }
        if how == End::Reset {
            self.severed |= direction == Direction::ToServer;
            self.lane_mut(direction.other()).finish_now(now, End::Reset);
            let lane = self.lane_mut(direction);
            if lane.open && lane.is_blocked() {
                lane.clear();
            }
        }
        if self.lane(direction).open {
            self.enter_end(now, direction, how);
        }
    }

    /// The reader of this direction is gone: whatever comes is thrown away from now on.
    pub fn abandon(&mut self, direction: Direction) {
        let lane = self.lane_mut(direction);
        lane.clear();
        lane.open = false;
        lane.finished = true;
    }

    /// What arrives at the end of this direction by `now`, in order. Call until `None`. After an end nothing more comes.
    pub fn read(&mut self, now: Duration, direction: Direction) -> Option<Arrival> {
        if self.is_stalled(direction) {
            return None;
        }
        self.lane_mut(direction).read(now)
    }

    /// When that arrived which `read` gave last in this direction: its reader may have come late.
    pub fn arrived(&self, direction: Direction) -> Duration {
        self.lane(direction).arrived
    }

    /// When `read` has something new, if nothing is written before.
    pub fn deadline(&self) -> Option<Duration> {
        let ways = [Direction::ToServer, Direction::ToClient];
        ways.into_iter().filter_map(|direction| self.deadline_of(direction)).min()
    }

    /// As `deadline`, for one direction.
    pub fn deadline_of(&self, direction: Direction) -> Option<Duration> {
        if self.is_stalled(direction) {
            return None;
        }
        self.lane(direction).deadline()
    }

    /// Faults that took effect since the last call.
    pub fn take_hits(&mut self) -> Vec<Hit> {
        std::mem::take(&mut self.hits)
    }

    /// Whether bytes may still enter at one end at least.
    pub fn is_open(&self) -> bool {
        self.lanes.iter().any(|lane| lane.open)
    }

    /// Whether both ends have been read: nothing can happen on this link any more.
    pub fn is_finished(&self) -> bool {
        self.lanes.iter().all(|lane| lane.finished)
    }

    /// Whether nothing passes this way at present.
    pub fn is_blocked(&self, direction: Direction) -> bool {
        self.lane(direction).is_blocked()
    }

    /// Whether the reader of this direction has been told of the end, or is gone.
    pub(crate) fn is_read_to_the_end(&self, direction: Direction) -> bool {
        self.lane(direction).finished
    }

    /// Takes away the cuts whose trigger has not been seen, with what they have counted.
    pub(crate) fn release_cuts(&mut self) -> Vec<PendingCut> {
        self.lanes.iter_mut().flat_map(|lane| std::mem::take(&mut lane.cuts)).collect()
    }

    /// Goes on with a cut that another link began to count for; returns the fault's position on this link.
    pub(crate) fn adopt_cut(&mut self, cut: PendingCut) -> usize {
        let id = self.faults;
        self.faults += 1;
        self.lane_mut(cut.on.direction).cuts.push(PendingCut { fault: id, ..cut });
        id
    }

    /// Something is sent to a machine that does not answer, or that knows nothing of this connection.
    fn miss(&mut self, now: Duration, direction: Direction) {
        match &mut self.server {
            FarEnd::Dark { missed } if direction == Direction::ToServer => *missed = true,
            FarEnd::Forgetful if direction == Direction::ToServer => {
                self.sever(now, None);
            }
            _ => {}
        }
    }

    fn lane(&self, direction: Direction) -> &Lane {
        &self.lanes[direction as usize]
    }

    fn lane_mut(&mut self, direction: Direction) -> &mut Lane {
        &mut self.lanes[direction as usize]
    }

    fn lanes_mut(&mut self, direction: Option<Direction>) -> impl Iterator<Item = &mut Lane> {
        self.lanes.iter_mut().filter(move |lane| direction.is_none_or(|direction| direction == lane.direction))
    }

    fn hit(&mut self, at: Duration, fault: usize, summary: String) {
        self.hits.push(Hit { at, summary, fault });
    }

    fn enter(&mut self, now: Duration, direction: Direction, bytes: Bytes) {
        let size = bytes.len();
        let lane = &mut self.lanes[direction as usize];
        if !lane.open || size == 0 {
            return;
        }
        lane.enter(now, bytes, &mut self.hits);
        if direction == Direction::ToClient && !self.severed {
            for stall in self.stalls.iter_mut().filter(|stall| !stall.told) {
                stall.told = true;
                let summary = format!("the client does not read: {} wait", words::bytes(size));
                self.hits.push(Hit { at: now, summary, fault: stall.fault });
            }
        }
    }

    fn enter_end(&mut self, now: Duration, direction: Direction, how: End) {
        let lane = &mut self.lanes[direction as usize];
        lane.enter_end(now, how, &mut self.hits);
    }

    /// A knob was turned back to nothing: that is an effect if there was something.
    fn tell_if_ended(&mut self, now: Duration, id: usize, what: &str) {
        let ended = self.lanes.iter_mut().any(|lane| lane.latency.take_ended(id) | lane.loss.take_ended(id));
        if ended {
            self.hit(now, id, format!("no {what} any more"));
        }
    }

    fn block(&mut self, now: Duration, id: usize, name: &'static str, direction: Option<Direction>) {
        for lane in self.lanes.iter_mut().filter(|lane| direction.is_none_or(|direction| direction == lane.direction)) {
            lane.block(now, Knob { fault: id, value: name, told: false }, &mut self.hits);
        }
    }

    fn stall(&mut self, now: Duration, id: usize) {
        let waiting = self.lane(Direction::ToClient).unread;
        let told = waiting > 0 && !self.is_stalled(Direction::ToClient);
        if told {
            self.hit(now, id, format!("the client does not read: {} wait", words::bytes(waiting)));
        }
        self.stalls.push(Knob { fault: id, value: (), told });
    }

    fn heal(&mut self, now: Duration, id: usize, reset: bool) {
        let outage = self.lanes.iter().any(Lane::is_blocked) || !self.stalls.is_empty();
        if !outage {
            return;
        }
        let waited = self.lanes.iter().map(Lane::held_bytes).sum::<usize>()
            + if self.stalls.is_empty() { 0 } else { self.lane(Direction::ToClient).unread };
        if reset {
            self.sever(now, None);
            self.hit(now, id, format!("healed too late: RST at both ends, {} lost", words::bytes(waited)));
        } else {
            self.hit(now, id, format!("healed: {} that waited go on", words::bytes(waited)));
        }
        self.stalls.clear();
        for lane in &mut self.lanes {
            lane.unblock(now);
        }
    }

    /// The actor's side closes without DISCONNECT; what was under way to it is lost.
    fn close(&mut self, now: Duration, id: usize) {
        if !self.is_open() {
            return;
        }
        self.hit(now, id, "FIN to the server without DISCONNECT".to_owned());
        if self.lane(Direction::ToServer).open {
            self.enter_end(now, Direction::ToServer, End::Fin);
        }
        self.lane_mut(Direction::ToClient).finish_now(now, End::Fin);
        self.severed = true;
    }

    /// RST at both ends. What has arrived stays readable, what has not is lost, except what `keeping` let pass. Returns
    /// the number of lost bytes.
    fn sever(&mut self, now: Duration, keeping: Option<Direction>) -> usize {
        self.severed = true;
        let mut lost = 0;
        for lane in &mut self.lanes {
            if keeping == Some(lane.direction) {
                lane.end_behind(now, End::Reset);
            } else {
                lost += lane.finish_now(now, End::Reset);
            }
        }
        lost
    }

    fn cut(&mut self, now: Duration, direction: Direction, cut: &PendingCut) {
        match cut.how {
            CutEnd::End(End::Reset) => {
                self.sever(now, Some(direction));
            }
            CutEnd::End(End::Fin) => {
                for lane in &mut self.lanes {
                    lane.end_behind(now, End::Fin);
                }
            }
            CutEnd::HalfOpen => {
                // What the trigger let pass has left already; only what comes behind it is held back.
                let half_open = Knob { fault: cut.fault, value: "half-open", told: true };
                self.lane_mut(direction).block_behind(half_open.clone());
                let other = &mut self.lanes[direction.other() as usize];
                other.block(now, half_open, &mut self.hits);
            }
        }
    }

    fn is_stalled(&self, direction: Direction) -> bool {
        direction == Direction::ToClient && !self.stalls.is_empty() && !self.severed
    }
}

impl std::fmt::Display for PendingCut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        FaultKind::Cut { on: self.on.clone(), pass: self.pass, how: self.how }.fmt(f)
    }
}

/// Where a cut falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CutPoint {
    /// Bytes of what is being written that still pass.
    in_bytes: usize,
    /// Bytes of the frame that pass, over all writes.
    in_frame: usize,
    /// The frame's length, if its header is known.
    total: Option<usize>,
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
