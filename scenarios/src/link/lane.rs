//! One direction of a link: segments in a row, each with the time at which it comes out.

use std::{collections::VecDeque, fmt, time::Duration};

use bytes::Bytes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use squall_codec::{packet::PacketKind, version::Version};

use super::{CutPoint, Hit};
use crate::{
    fault::{CutEnd, Pass, Trigger},
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

/// A cut that waits for its moment.
#[derive(Clone, Debug)]
pub(crate) struct PendingCut {
    /// Its position on this link.
    pub(crate) fault: usize,
    /// Which frame.
    pub(crate) on: Trigger,
    /// How much of it passes.
    pub(crate) pass: Pass,
    /// What both ends see.
    pub(crate) how: CutEnd,
    /// Frames of that kind seen so far.
    pub(crate) seen: u32,
}

/// Bytes or an end under way.
#[derive(Debug)]
struct Piece {
    /// When it comes out, if nothing holds it back.
    due: Duration,
    /// An outage holds it back.
    held: bool,
    what: Arrival,
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
    pub(super) latency: Setting<(Duration, Duration)>,
    pub(super) loss: Setting<f64>,
    pub(super) split: Setting<usize>,
    pub(super) cuts: Vec<PendingCut>,
    blocks: Vec<Knob<&'static str>>,
    queue: VecDeque<Piece>,
    last_due: Duration,
    /// When what was read last had arrived.
    pub(super) arrived: Duration,
    scanner: FrameScanner,
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
            latency: Setting::new(),
            loss: Setting::new(),
            split: Setting::new(),
            cuts: Vec::new(),
            blocks: Vec::new(),
            queue: VecDeque::new(),
            last_due: Duration::ZERO,
            arrived: Duration::ZERO,
            scanner: FrameScanner::default(),
            latency_draws: Draws { seed, stream, generator: None },
            loss_draws: Draws { seed, stream: stream + 1, generator: None },
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
        self.unread = 0;
    }

    /// Follows the frames in `bytes` up to the first cut that falls into them. The cut is taken out of those pending.
    pub(super) fn find_cut(&mut self, bytes: &[u8]) -> Option<(CutPoint, PendingCut)> {
        let mut start = 0;
        while let Some(fragment) = self.scanner.next(&bytes[start..]) {
            if fragment.offset == 0 {
                let kind = PacketKind::from_number(Version::V5_0, fragment.first >> 4);
                for cut in self.cuts.iter_mut().filter(|cut| Some(cut.on.packet) == kind) {
                    cut.seen += 1;
                }
            }
            let after = fragment.offset + fragment.len;
            let falls = |cut: &PendingCut| {
                let kind = PacketKind::from_number(Version::V5_0, fragment.first >> 4);
                if Some(cut.on.packet) != kind || cut.seen != cut.on.nth.max(1) {
                    return None;
                }
                match cut.pass.limit() {
                    Some(limit) if limit <= after => Some(limit.max(fragment.offset)),
                    _ => fragment.ends.then_some(after),
                }
            };
            let first = self.cuts.iter().enumerate().filter_map(|(index, cut)| Some((falls(cut)?, index))).min();
            if let Some((in_frame, index)) = first {
                let in_bytes = start + in_frame - fragment.offset;
                let fragment_end = start + fragment.len;
                let point = CutPoint { in_bytes, in_frame, total: fragment.total, fragment_end };
                return Some((point, self.cuts.remove(index)));
            }
            start += fragment.len;
        }
        None
    }

    pub(super) fn enter(&mut self, now: Duration, mut bytes: Bytes, hits: &mut Vec<Hit>) {
        let size = bytes.len();
        let way = self.direction;
        self.tell_blocks(now, size, hits);
        let segment = match &mut self.split.current {
            Some(split) => {
                if size > split.value && !split.told {
                    split.told = true;
                    let (each, count) = (words::bytes(split.value), size.div_ceil(split.value));
                    let summary = format!("{} {way} in {count} segments of {each}", words::bytes(size));
                    hits.push(Hit { at: now, summary, fault: split.fault });
                }
                split.value
            }
            None => size,
        };
        while !bytes.is_empty() {
            let piece = bytes.split_to(segment.min(bytes.len()));
            self.push(now, Arrival::Bytes(piece), hits);
        }
    }

    /// The writer ends this direction, behind all that entered before.
    pub(super) fn enter_end(&mut self, now: Duration, how: End, hits: &mut Vec<Hit>) {
        self.tell_blocks(now, 0, hits);
        self.push(now, Arrival::End(how), hits);
        self.open = false;
    }

    /// The link itself ends this direction, behind all that entered before.
    pub(super) fn end_behind(&mut self, now: Duration, how: End) {
        if self.open {
            self.open = false;
            let due = self.last_due.max(now);
            self.queue.push_back(Piece { due, held: self.is_blocked(), what: Arrival::End(how) });
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
        self.queue.retain(|piece| piece.has_arrived(now));
        self.unread = self.queue.iter().map(Piece::size).sum();
        if !self.queue.iter().any(|piece| matches!(piece.what, Arrival::End(_))) {
            self.queue.push_back(Piece { due: now, held: false, what: Arrival::End(how) });
        }
        before - self.unread
    }

    pub(super) fn block(&mut self, now: Duration, by: Knob<&'static str>, hits: &mut Vec<Hit>) {
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
    pub(super) fn block_behind(&mut self, by: Knob<&'static str>) {
        self.blocks.push(by);
    }

    pub(super) fn unblock(&mut self, now: Duration) {
        self.blocks.clear();
        for piece in self.queue.iter_mut().filter(|piece| piece.held) {
            piece.held = false;
            piece.due = piece.due.max(now);
            self.last_due = self.last_due.max(piece.due);
        }
    }

    pub(super) fn read(&mut self, now: Duration) -> Option<Arrival> {
        if self.finished || !self.queue.front()?.has_arrived(now) {
            return None;
        }
        let piece = self.queue.pop_front()?;
        self.unread -= piece.size();
        self.arrived = piece.due;
        if matches!(piece.what, Arrival::End(_)) {
            self.finished = true;
            self.clear();
        }
        Some(piece.what)
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.queue.front().filter(|piece| !self.finished && !piece.held).map(|piece| piece.due)
    }

    fn push(&mut self, now: Duration, what: Arrival, hits: &mut Vec<Hit>) {
        let mut due = now;
        let piece = Piece { due, held: self.is_blocked(), what };
        let (segment, way) = (Segment(&piece.what), self.direction);
        if let Some(latency) = &mut self.latency.current {
            let (min, max) = latency.value;
            let delay = min + self.latency_draws.up_to(max - min);
            due += delay;
            if !delay.is_zero() && !latency.told {
                latency.told = true;
                let summary = format!("{segment} {way} takes {}", words::duration(delay));
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
                let summary = format!("{segment} {way} lost{times}, {} late", words::duration(wait));
                hits.push(Hit { at: now, summary, fault: loss.fault });
            }
        }
        // TCP keeps the order: what follows waits behind what is late.
        due = due.max(self.last_due);
        self.last_due = due;
        self.unread += piece.size();
        self.queue.push_back(Piece { due, ..piece });
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

/// One stream of randomness, made when it is first asked. Each use has its own, so that taking one fault away never
/// shifts the draws of another.
#[derive(Debug)]
struct Draws {
    seed: u64,
    stream: u64,
    generator: Option<Box<ChaCha8Rng>>,
}

impl Draws {
    fn next(&mut self) -> u64 {
        let (seed, stream) = (self.seed, self.stream);
        let generator = self.generator.get_or_insert_with(|| {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&seed.to_le_bytes());
            let mut generator = ChaCha8Rng::from_seed(key);
            generator.set_stream(stream);
            Box::new(generator)
        });
        generator.next_u64()
    }

    /// Whole microseconds from zero to `most`, both possible.
    fn up_to(&mut self, most: Duration) -> Duration {
        let steps = most.as_micros() + 1;
        Duration::from_micros(((u128::from(self.next()) * steps) >> 64) as u64)
    }

    fn happens(&mut self, probability: f64) -> bool {
        // 53 bits are what a `f64` tells apart between 0 and 1.
        let drawn = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < probability
    }
}
