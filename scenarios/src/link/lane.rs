//! One direction of a link: segments in a row, each with the time at which it comes out.

use std::{collections::VecDeque, fmt, time::Duration};

use bytes::{Bytes, BytesMut};

use super::{
    Hit, WINDOW_BYTES,
    draws::{Draws, Sampler},
    trigger::PendingStrike,
};
use crate::{
    fault::Delay,
    frames::FrameScanner,
    liar::Direction,
    stage::{Arrival, End},
    words,
};

/// The first wait of a sender before it sends a segment again; doubled each time.
const RETRANSMISSION_TIMEOUT: Duration = Duration::from_millis(200);

/// The longest of those waits.
const RETRANSMISSION_TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// A segment gets through after this many losses at the latest, however likely a loss is: about a quarter of an hour.
const LOSSES_MAX: u32 = 15;

/// What a slow line carries at once: the payload of a full segment on an Ethernet.
const SEGMENT_BYTES: usize = 1460;

/// A fault in force, and whether its effect has been told.
#[derive(Clone, Debug)]
pub(super) struct Knob<T> {
    pub(super) fault: usize,
    pub(super) value: T,
    pub(super) told: bool,
}

/// A fault of which only the newest holds.
#[derive(Clone, Debug)]
pub(super) struct Setting<T> {
    current: Option<Knob<T>>,
    /// The fault that ended an earlier one, until that has been told.
    ended_by: Option<usize>,
}

impl<T> Setting<T> {
    const fn new() -> Self {
        Setting { current: None, ended_by: None }
    }

    /// `nothing` says that the value is that of a network without this fault.
    pub(super) fn set(&mut self, fault: usize, value: T, nothing: bool) {
        self.ended_by = (nothing && self.current.is_some()).then_some(fault);
        self.current = (!nothing).then_some(Knob { fault, value, told: false });
    }

    pub(super) fn take_ended(&mut self, fault: usize) -> bool {
        self.ended_by.take_if(|by| *by == fault).is_some()
    }
}

/// Bytes or an end under way.
#[derive(Debug)]
struct Piece {
    /// When it comes out, if nothing holds it back.
    due: Duration,
    /// An outage holds it back.
    held: bool,
    /// It has yet to go over a slow line.
    to_line: bool,
    what: Arrival,
    /// Its bytes come out in segments of this size, at one moment.
    segment: usize,
    /// Strikes that wait for its arrival, by their position on the link.
    awaited_by: Vec<usize>,
}

/// What a sender keeps back until there is more.
#[derive(Debug)]
struct Gathering {
    bytes: BytesMut,
    writes: u32,
    since: Duration,
    until: Duration,
}

/// When a sender keeps nothing back any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coalescing {
    pub(super) bytes: usize,
    pub(super) time: Duration,
}

impl Piece {
    fn size(&self) -> usize {
        match &self.what {
            Arrival::Bytes(bytes) => bytes.len(),
            Arrival::End(_) => 0,
        }
    }

    fn has_arrived(&self, now: Duration) -> bool {
        !self.held && self.due <= now
    }
}

/// One direction.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) direction: Direction,
    /// Bytes may enter.
    pub(super) open: bool,
    /// The end has been read.
    pub(super) finished: bool,
    /// Bytes that have entered and were not read.
    pub(super) unread: usize,
    /// Bytes that enter are thrown away: the other end is about to be gone.
    pub(super) swallows: bool,
    latency: Setting<Sampler>,
    pub(super) loss: Setting<f64>,
    pub(super) split: Setting<usize>,
    /// Bytes in a second.
    pub(super) bandwidth: Setting<u64>,
    coalescing: Setting<Coalescing>,
    pub(super) strikes: Vec<PendingStrike>,
    blocks: Vec<Knob<&'static str>>,
    queue: VecDeque<Piece>,
    gathering: Option<Gathering>,
    last_due: Duration,
    /// When a slow line has carried what was handed to it.
    line_free: Duration,
    /// When what was read last had arrived.
    pub(super) arrived: Duration,
    pub(super) scanner: FrameScanner,
    latency_draws: Draws,
    loss_draws: Draws,
}

impl Lane {
    pub(super) fn new(seed: u64, direction: Direction) -> Self {
        let stream = 2 * direction as u64;
        Lane {
            direction,
            open: true,
            finished: false,
            unread: 0,
            swallows: false,
            latency: Setting::new(),
            loss: Setting::new(),
            split: Setting::new(),
            bandwidth: Setting::new(),
            coalescing: Setting::new(),
            strikes: Vec::new(),
            blocks: Vec::new(),
            queue: VecDeque::new(),
            gathering: None,
            last_due: Duration::ZERO,
            line_free: Duration::ZERO,
            arrived: Duration::ZERO,
            scanner: FrameScanner::default(),
            latency_draws: Draws::new(seed, stream),
            loss_draws: Draws::new(seed, stream + 1),
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        !self.blocks.is_empty()
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.queue.iter().filter(|piece| piece.held).map(Piece::size).sum()
    }

    /// Throws away all that is under way.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.gathering = None;
        self.unread = 0;
    }

    pub(super) fn set_latency(&mut self, fault: usize, time: Delay) {
        self.latency.set(fault, Sampler::new(time), time.is_nothing());
    }

    /// What has gathered under the earlier rule leaves now.
    pub(super) fn set_coalescing(&mut self, now: Duration, fault: usize, rule: Coalescing, hits: &mut Vec<Hit>) {
        self.send_gathered(now, hits);
        self.coalescing.set(fault, rule, rule.time.is_zero());
    }

    /// Whether this fault ended one that was in force.
    pub(super) fn take_ended(&mut self, fault: usize) -> bool {
        self.latency.take_ended(fault)
            | self.loss.take_ended(fault)
            | self.bandwidth.take_ended(fault)
            | self.coalescing.take_ended(fault)
    }

    /// Whether these bytes come out as they enter, now; the frames among them are followed.
    pub(super) fn pass(&mut self, now: Duration, bytes: &[u8]) -> bool {
        let takes = self.open && !self.finished && !self.swallows;
        let is_empty = self.queue.is_empty() && self.gathering.is_none() && self.last_due <= now;
        let is_untouched = self.strikes.is_empty()
            && self.blocks.is_empty()
            && self.latency.current.is_none()
            && self.loss.current.is_none()
            && self.split.current.is_none()
            && self.bandwidth.current.is_none()
            && self.coalescing.current.is_none();
        if !takes || !is_empty || !is_untouched || bytes.len() > WINDOW_BYTES {
            return false;
        }
        let mut start = 0;
        while let Some(fragment) = self.scanner.next(&bytes[start..]) {
            start += fragment.len;
        }
        self.last_due = now;
        self.arrived = now;
        true
    }

    pub(super) fn enter(&mut self, now: Duration, bytes: Bytes, hits: &mut Vec<Hit>) {
        self.send_due(now, hits);
        self.tell_blocks(now, bytes.len(), hits);
        self.unread += bytes.len();
        let Some(Coalescing { bytes: full, time }) = self.coalescing.current.as_ref().map(|rule| rule.value) else {
            return self.send(now, bytes, hits);
        };
        let until = now + time;
        let gathering =
            self.gathering.get_or_insert_with(|| Gathering { bytes: BytesMut::new(), writes: 0, since: now, until });
        gathering.bytes.extend_from_slice(&bytes);
        gathering.writes += 1;
        while let Some(gathering) = self.gathering.as_mut().filter(|gathering| gathering.bytes.len() >= full) {
            let (segment, writes) = (gathering.bytes.split_to(full).freeze(), gathering.writes);
            (gathering.writes, gathering.since, gathering.until) = (1, now, until);
            if gathering.bytes.is_empty() {
                self.gathering = None;
            }
            self.tell_gathered(now, segment.len(), writes, true, hits);
            self.send(now, segment, hits);
        }
    }

    /// The writer ends this direction, behind all that entered before.
    pub(super) fn enter_end(&mut self, now: Duration, how: End, hits: &mut Vec<Hit>) {
        self.tell_blocks(now, 0, hits);
        self.send_gathered(now, hits);
        self.push(now, Arrival::End(how), 0, hits);
        self.open = false;
    }

    /// The link itself ends this direction, behind all that entered before.
    pub(super) fn end_behind(&mut self, now: Duration, how: End, hits: &mut Vec<Hit>) {
        if self.open {
            self.open = false;
            self.send_gathered(now, hits);
            let due = self.last_due.max(now);
            let held = self.is_blocked();
            let what = Arrival::End(how);
            self.queue.push_back(Piece { due, held, to_line: false, what, segment: 0, awaited_by: Vec::new() });
        }
    }

    /// The strike at this position waits until the last byte that has entered arrives. `false`: it has arrived.
    pub(super) fn await_last(&mut self, now: Duration, strike: usize, hits: &mut Vec<Hit>) -> bool {
        self.send_gathered(now, hits);
        match self.queue.back_mut() {
            Some(last) => {
                last.awaited_by.push(strike);
                true
            }
            None => false,
        }
    }

    /// The link itself ends this direction at once: what has not arrived is lost. Returns how many bytes that was.
    pub(super) fn finish_now(&mut self, now: Duration, how: End) -> usize {
        self.open = false;
        self.blocks.clear();
        if self.finished {
            return 0;
        }
        let before = self.unread;
        self.gathering = None;
        self.queue.retain(|piece| piece.has_arrived(now));
        self.unread = self.queue.iter().map(Piece::size).sum();
        if !self.queue.iter().any(|piece| matches!(piece.what, Arrival::End(_))) {
            let what = Arrival::End(how);
            let piece = Piece { due: now, held: false, to_line: false, what, segment: 0, awaited_by: Vec::new() };
            self.queue.push_back(piece);
        }
        before - self.unread
    }

    pub(super) fn block(&mut self, now: Duration, by: Knob<&'static str>, hits: &mut Vec<Hit>) {
        self.send_due(now, hits);
        let was_blocked = self.is_blocked();
        self.blocks.push(by);
        if was_blocked {
            return;
        }
        for piece in self.queue.iter_mut().filter(|piece| piece.due > now) {
            piece.held = true;
        }
        if self.queue.iter().any(|piece| piece.held) {
            self.tell_blocks(now, self.held_bytes(), hits);
        }
    }

    /// Holds back what enters from now on; what is under way goes through.
    pub(super) fn block_behind(&mut self, now: Duration, by: Knob<&'static str>, hits: &mut Vec<Hit>) {
        self.send_gathered(now, hits);
        self.blocks.push(by);
    }

    pub(super) fn unblock(&mut self, now: Duration, hits: &mut Vec<Hit>) {
        self.blocks.clear();
        for index in 0..self.queue.len() {
            let piece = &mut self.queue[index];
            if !std::mem::take(&mut piece.held) {
                continue;
            }
            if std::mem::take(&mut piece.to_line) {
                let size = piece.size();
                let carried = self.carry(now, size, hits);
                self.queue[index].due = self.queue[index].due.max(carried).max(self.last_due);
            }
            let piece = &mut self.queue[index];
            piece.due = piece.due.max(now);
            self.last_due = self.last_due.max(piece.due);
        }
    }

    /// What has arrived, and the strikes that have waited for it.
    pub(super) fn read(&mut self, now: Duration, hits: &mut Vec<Hit>) -> Option<(Arrival, Vec<usize>)> {
        self.send_due(now, hits);
        let piece = self.queue.front_mut().filter(|piece| piece.has_arrived(now))?;
        if self.finished {
            return None;
        }
        self.arrived = piece.due;
        if let Arrival::Bytes(bytes) = &mut piece.what
            && bytes.len() > piece.segment
        {
            self.unread -= piece.segment;
            return Some((Arrival::Bytes(bytes.split_to(piece.segment)), Vec::new()));
        }
        let piece = self.queue.pop_front()?;
        self.unread -= piece.size();
        if matches!(piece.what, Arrival::End(_)) {
            self.finished = true;
            self.clear();
        }
        Some((piece.what, piece.awaited_by))
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        if self.finished {
            return None;
        }
        let first = self.queue.front().filter(|piece| !piece.held).map(|piece| piece.due);
        let gathering = self.gathering.as_ref().map(|gathering| gathering.until);
        [first, gathering].into_iter().flatten().min()
    }

    /// What has gathered leaves, if its time is over.
    fn send_due(&mut self, now: Duration, hits: &mut Vec<Hit>) {
        if let Some(until) = self.gathering.as_ref().map(|gathering| gathering.until).filter(|until| *until <= now) {
            self.send_gathered(until, hits);
        }
    }

    /// What has gathered leaves.
    fn send_gathered(&mut self, now: Duration, hits: &mut Vec<Hit>) {
        if let Some(Gathering { bytes, writes, since, .. }) = self.gathering.take() {
            self.tell_gathered(now, bytes.len(), writes, now > since, hits);
            self.send(now, bytes.freeze(), hits);
        }
    }

    /// Bytes leave their sender.
    fn send(&mut self, now: Duration, mut bytes: Bytes, hits: &mut Vec<Hit>) {
        let (size, way) = (bytes.len(), self.direction);
        let whole = if self.bandwidth.current.is_some() { SEGMENT_BYTES } else { size };
        let segment = match &mut self.split.current {
            Some(split) => {
                if size > split.value && !split.told {
                    split.told = true;
                    let (each, count) = (words::bytes(split.value), size.div_ceil(split.value));
                    let summary = format!("{} {way} in {count} segments of {each}", words::bytes(size));
                    hits.push(Hit { at: now, summary, fault: split.fault });
                }
                split.value.min(whole)
            }
            None => whole,
        };
        // Segments that nothing tells apart go together.
        let is_one = self.latency.current.is_none() && self.loss.current.is_none() && self.bandwidth.current.is_none();
        while !bytes.is_empty() {
            let piece = bytes.split_to(if is_one { bytes.len() } else { segment.min(bytes.len()) });
            self.push(now, Arrival::Bytes(piece), segment, hits);
        }
    }

    /// When a slow line has carried so many bytes that are handed to it now.
    fn carry(&mut self, now: Duration, size: usize, hits: &mut Vec<Hit>) -> Duration {
        let Some(rate) = &mut self.bandwidth.current else { return now };
        let micros = (size as u128 * 1_000_000).div_ceil(u128::from(rate.value));
        let carried = now.max(self.line_free) + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        self.line_free = carried;
        if size > 0 && !rate.told {
            rate.told = true;
            let (size, way, time) = (words::bytes(size), self.direction, words::duration(carried - now));
            let summary = format!("a segment of {size} {way} takes {time} at {}", words::rate(rate.value));
            hits.push(Hit { at: now, summary, fault: rate.fault });
        }
        carried
    }

    fn push(&mut self, now: Duration, what: Arrival, segment: usize, hits: &mut Vec<Hit>) {
        let held = self.is_blocked();
        let to_line = held && self.bandwidth.current.is_some();
        let mut piece = Piece { due: now, held, to_line, what, segment, awaited_by: Vec::new() };
        let mut due = if held { now } else { self.carry(now, piece.size(), hits) };
        let (told, way) = (Segment(&piece.what), self.direction);
        if let Some(latency) = &mut self.latency.current {
            let delay = latency.value.draw(&mut self.latency_draws);
            due += delay;
            if !delay.is_zero() && !latency.told {
                latency.told = true;
                let summary = format!("{told} {way} takes {}", words::duration(delay));
                hits.push(Hit { at: now, summary, fault: latency.fault });
            }
        }
        if let Some(loss) = &self.loss.current {
            let (mut losses, mut wait, mut timeout) = (0, Duration::ZERO, RETRANSMISSION_TIMEOUT);
            while losses < LOSSES_MAX && self.loss_draws.happens(loss.value) {
                losses += 1;
                wait += timeout;
                timeout = (timeout * 2).min(RETRANSMISSION_TIMEOUT_MAX);
            }
            due += wait;
            if losses > 0 {
                let times = if losses == 1 { String::new() } else { format!(" {losses} times") };
                let summary = format!("{told} {way} lost{times}, {} late", words::duration(wait));
                hits.push(Hit { at: now, summary, fault: loss.fault });
            }
        }
        // TCP keeps the order: what follows waits behind what is late.
        piece.due = due.max(self.last_due);
        self.last_due = piece.due;
        self.queue.push_back(piece);
    }

    fn tell_gathered(&mut self, now: Duration, size: usize, writes: u32, waited: bool, hits: &mut Vec<Hit>) {
        let way = self.direction;
        let Some(rule) = self.coalescing.current.as_mut().filter(|rule| !rule.told) else { return };
        let segment = words::bytes(size);
        let summary = match writes {
            // It was full as it came, or the last.
            1 if size >= rule.value.bytes || !waited => return,
            1 => format!("a segment of {segment} {way} waited for more"),
            _ => format!("{writes} writes {way} in a segment of {segment}"),
        };
        rule.told = true;
        hits.push(Hit { at: now, summary, fault: rule.fault });
    }

    fn tell_blocks(&mut self, now: Duration, size: usize, hits: &mut Vec<Hit>) {
        let way = self.direction;
        for block in self.blocks.iter_mut().filter(|block| !block.told) {
            block.told = true;
            let what = if size == 0 { "the end".to_owned() } else { words::bytes(size) };
            hits.push(Hit { at: now, summary: format!("{}: {what} {way} held back", block.value), fault: block.fault });
        }
    }
}

/// A segment in words.
struct Segment<'a>(&'a Arrival);

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Arrival::Bytes(bytes) => write!(f, "a segment of {}", words::bytes(bytes.len())),
            Arrival::End(how) => f.write_str(how.name()),
        }
    }
}
