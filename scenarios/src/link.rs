//! A link between one actor and the subject: bytes in at one end, bytes out at the other, late, cut, lost or split.
//!
//! Sans-io: the events world drives it directly, the turmoil and the live world wrap their sockets in it.
//! TCP's promises hold on it: bytes arrive in order and none in between is missing. What a person calls a lost packet is
//! a delay here, as it is for every program above TCP.

pub mod draws;
mod lane;
mod trigger;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

pub(crate) use self::trigger::{Fired, PendingStrike, Strike};
use self::{
    lane::{Coalescing, Knob, Lane},
    trigger::Entering,
};
use crate::{
    fault::{CutEnd, FaultKind},
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
    /// The actor has sent something behind the moment at which the server was to go down.
    swallowed: bool,
    /// Has been written, and waits for a fault to be put in place.
    entering: VecDeque<(Direction, Entering)>,
    halted: bool,
    fired: Vec<Fired>,
    hits: Vec<Hit>,
    /// What has struck at a packet, by its position, and the packet's first byte.
    struck_by: Vec<(usize, u8)>,
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
            swallowed: false,
            entering: VecDeque::new(),
            halted: false,
            fired: Vec::new(),
            hits: Vec::new(),
            struck_by: Vec::new(),
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
            if missed || self.swallowed {
                self.sever(now, None);
            }
        }
    }

    /// The subject's machine has lost its power since this link was opened: nothing comes from that end any more.
    pub(crate) fn is_forgotten(&self) -> bool {
        !matches!(self.server, FarEnd::There)
    }

    /// Puts a fault in place; its position, as `Hit::fault` names it, is the number of faults before it.
    ///
    /// A later latency, bandwidth, drop, split or coalescing takes the place of an earlier one in the directions that it
    /// names; every other fault stays beside those in force.
    pub fn apply(&mut self, now: Duration, fault: FaultKind) {
        self.apply_behind(now, fault, None);
    }

    /// As `apply`; what has entered in the direction `behind` still passes.
    pub(crate) fn apply_behind(&mut self, now: Duration, fault: FaultKind, behind: Option<Direction>) {
        let id = self.faults;
        self.faults += 1;
        match fault {
            FaultKind::Latency { time, direction } => {
                for lane in self.lanes_mut(direction) {
                    lane.set_latency(id, time);
                }
                self.tell_if_ended(now, id, "latency");
            }
            FaultKind::Bandwidth { bytes_per_second, direction } => {
                for lane in self.lanes_mut(direction) {
                    lane.bandwidth.set(id, bytes_per_second, bytes_per_second == 0);
                }
                self.tell_if_ended(now, id, "bound of the bandwidth");
            }
            FaultKind::Coalesce { bytes, time, direction } => {
                let rule = Coalescing { bytes: bytes.max(1), time };
                let concerned = |lane: &&mut Lane| direction.is_none_or(|direction| direction == lane.direction);
                for lane in self.lanes.iter_mut().filter(concerned) {
                    lane.set_coalescing(now, id, rule, &mut self.hits);
                }
                self.tell_if_ended(now, id, "waiting for more");
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
            FaultKind::Partition { direction } => self.block(now, id, "partition", direction, behind),
            FaultKind::Hold => self.block(now, id, "hold", None, behind),
            FaultKind::Heal { reset } => self.heal(now, id, reset),
            FaultKind::Reset => {
                if self.is_open() {
                    let lost = self.sever(now, behind);
                    self.hit(now, id, format!("RST at both ends, {} undelivered", words::bytes(lost)));
                }
            }
            FaultKind::Close => self.close(now, id, behind),
            FaultKind::HalfOpen => {
                if self.is_open() {
                    self.hit(now, id, "the client is gone without a sign".to_owned());
                    self.block_each(now, &Knob { fault: id, value: "half-open", told: true }, None, behind);
                }
            }
            FaultKind::StallReading if behind == Some(Direction::ToClient) => {
                self.block(now, id, "the client does not read", behind, behind);
            }
            FaultKind::StallReading => self.stall(now, id),
            FaultKind::Cut { on, pass, how } => {
                let cut = PendingStrike { position: id, on, pass, strike: Strike::Cut(how), seen: 0 };
                self.lane_mut(cut.on.direction).strikes.push(cut);
            }
        }
    }

    /// Bytes enter.
    pub fn write(&mut self, now: Duration, direction: Direction, bytes: Bytes) {
        if self.server != FarEnd::There {
            return self.miss(now, direction);
        }
        self.entering.push_back((direction, Entering::Fresh(bytes)));
        self.take_in(now);
    }

    /// Whether these bytes come out at the very moment in which they enter, as they are: nothing is in force in this
    /// direction, nothing under way, and nobody waits for a frame. Then they have passed; otherwise they are to be written.
    pub fn pass(&mut self, now: Duration, direction: Direction, bytes: &[u8]) -> bool {
        let is_clear = self.server == FarEnd::There && !self.halted && self.entering.is_empty();
        is_clear && !self.is_stalled(direction) && self.lane_mut(direction).pass(now, bytes)
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
        self.entering.push_back((direction, Entering::End(how)));
        self.take_in(now);
    }

    fn end_now(&mut self, now: Duration, direction: Direction, how: End) {
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
        let (arrival, awaited_by) = self.lanes[direction as usize].read(now, &mut self.hits)?;
        let fired = awaited_by.into_iter().map(|position| Fired { position, at: now, direction });
        self.fired.extend(fired);
        Some(arrival)
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

    /// Whether there is nothing that somebody has to be told of.
    pub fn is_silent(&self) -> bool {
        self.hits.is_empty() && self.fired.is_empty()
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
        if lane.swallows {
            self.swallowed |= direction == Direction::ToServer;
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
        let mut ended = false;
        for lane in &mut self.lanes {
            ended |= lane.take_ended(id);
        }
        if ended {
            self.hit(now, id, format!("no {what} any more"));
        }
    }

    fn block(
        &mut self,
        now: Duration,
        id: usize,
        name: &'static str,
        direction: Option<Direction>,
        behind: Option<Direction>,
    ) {
        self.block_each(now, &Knob { fault: id, value: name, told: false }, direction, behind);
    }

    fn block_each(
        &mut self,
        now: Duration,
        by: &Knob<&'static str>,
        direction: Option<Direction>,
        behind: Option<Direction>,
    ) {
        for lane in self.lanes.iter_mut().filter(|lane| direction.is_none_or(|direction| direction == lane.direction)) {
            if behind == Some(lane.direction) {
                lane.block_behind(now, by.clone(), &mut self.hits);
            } else {
                lane.block(now, by.clone(), &mut self.hits);
            }
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
            lane.unblock(now, &mut self.hits);
        }
    }

    /// The actor's side closes without DISCONNECT; what was under way to it is lost.
    fn close(&mut self, now: Duration, id: usize, behind: Option<Direction>) {
        if !self.is_open() {
            return;
        }
        self.hit(now, id, "FIN to the server without DISCONNECT".to_owned());
        if self.lane(Direction::ToServer).open {
            self.enter_end(now, Direction::ToServer, End::Fin);
        }
        let to_client = &mut self.lanes[Direction::ToClient as usize];
        if behind == Some(Direction::ToClient) {
            to_client.end_behind(now, End::Fin, &mut self.hits);
        } else {
            to_client.finish_now(now, End::Fin);
        }
        self.severed = true;
    }

    /// RST at both ends. What has arrived stays readable, what has not is lost, except what `keeping` let pass. Returns
    /// the number of lost bytes.
    fn sever(&mut self, now: Duration, keeping: Option<Direction>) -> usize {
        self.severed = true;
        let mut lost = 0;
        for lane in &mut self.lanes {
            if keeping == Some(lane.direction) {
                lane.end_behind(now, End::Reset, &mut self.hits);
            } else {
                lost += lane.finish_now(now, End::Reset);
            }
        }
        lost
    }

    fn cut(&mut self, now: Duration, direction: Direction, fault: usize, how: CutEnd) {
        match how {
            CutEnd::End(End::Reset) => {
                self.sever(now, Some(direction));
            }
            CutEnd::End(End::Fin) => {
                for lane in &mut self.lanes {
                    lane.end_behind(now, End::Fin, &mut self.hits);
                }
            }
            CutEnd::HalfOpen => {
                // What the trigger let pass has left already; only what comes behind it is held back.
                self.block_each(now, &Knob { fault, value: "half-open", told: true }, None, Some(direction));
            }
        }
    }

    fn is_stalled(&self, direction: Direction) -> bool {
        direction == Direction::ToClient && !self.stalls.is_empty() && !self.severed
    }
}
