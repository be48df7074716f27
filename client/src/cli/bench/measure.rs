//! What is counted while a load runs, and the stamp that each payload carries.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hdrhistogram::Histogram;

/// Bytes of the stamp.
pub(super) const STAMP: usize = 16;

/// Counters that all clients share. Each is read only to be shown.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) connected: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) acknowledged: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) reconnects: AtomicU64,
    pub(super) stop: AtomicBool,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// What one subscriber saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// In microseconds.
    pub(super) latency: Histogram<u64>,
    /// Messages that came, each counted once.
    pub(super) messages: u64,
    /// Messages that came before.
    pub(super) duplicates: u64,
    /// Messages that came after one that was published later by the same publisher.
    pub(super) disordered: u64,
    /// Messages with a payload of somebody else's.
    pub(super) foreign: u64,
    /// The next number of each publisher.
    next: Vec<u64>,
    /// Numbers of each publisher that were passed over.
    missing: Vec<Vec<u64>>,
}

/// Numbers that were passed over and may still come, of each publisher: more are taken for lost.
const MISSING: usize = 10_000;

pub(super) fn histogram() -> Histogram<u64> {
    // Up to an hour, with three digits.
    Histogram::new_with_bounds(1, 3_600_000_000, 3).expect("the bounds are in order")
}

impl Seen {
    pub(super) fn new(publishers: usize) -> Self {
        Seen {
            latency: histogram(),
            messages: 0,
            duplicates: 0,
            disordered: 0,
            foreign: 0,
            next: vec![0; publishers],
            missing: vec![Vec::new(); publishers],
        }
    }

    /// A message came, at this many microseconds since the start.
    pub(super) fn message(&mut self, payload: &[u8], now: u64) {
        let Some(Stamp { publisher, number, sent }) = Stamp::read(payload) else { return self.foreign += 1 };
        let Some(next) = self.next.get_mut(publisher as usize) else { return self.foreign += 1 };
        let missing = &mut self.missing[publisher as usize];
        if number >= *next {
            let room = MISSING.saturating_sub(missing.len()) as u64;
            missing.extend((*next..number).take(usize::try_from(room).unwrap_or(MISSING)));
            *next = number + 1;
        } else if let Some(position) = missing.iter().position(|known| *known == number) {
            missing.swap_remove(position);
            self.disordered += 1;
        } else {
            self.duplicates += 1;
            return;
        }
        self.messages += 1;
        self.latency.saturating_record(now.saturating_sub(sent).max(1));
    }

    /// Takes another's.
    pub(super) fn add(&mut self, other: &Seen) {
        self.latency.add(&other.latency).expect("all have the same bounds");
        self.messages += other.messages;
        self.duplicates += other.duplicates;
        self.disordered += other.disordered;
        self.foreign += other.foreign;
    }
}

/// The beginning of each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) publisher: u32,
    /// From 0, without gaps; below 2^40.
    pub(super) number: u64,
    /// Microseconds since the start; below 2^56.
    pub(super) sent: u64,
}

impl Stamp {
    /// Three bytes of the publisher, five of the number, one mark, seven of the time.
    pub(super) fn write(self, payload: &mut [u8]) {
        payload[..3].copy_from_slice(&self.publisher.to_be_bytes()[1..]);
        payload[3..8].copy_from_slice(&self.number.to_be_bytes()[3..]);
        payload[8] = MARK;
        payload[9..STAMP].copy_from_slice(&self.sent.to_be_bytes()[1..]);
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let stamp: &[u8; STAMP] = payload.get(..STAMP)?.try_into().ok()?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let publisher = u32::try_from(number(&stamp[..3])).ok()?;
        (stamp[8] == MARK).then(|| Stamp { publisher, number: number(&stamp[3..8]), sent: number(&stamp[9..]) })
    }
}

const MARK: u8 = 0xB5;

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(publisher: u32, number: u64, sent: u64) -> [u8; 20] {
        let mut payload = [0; 20];
        Stamp { publisher, number, sent }.write(&mut payload);
        payload
    }

    #[test]
    fn a_stamp_comes_back_as_it_was() {
        let stamp = Stamp { publisher: 0x01_02_03, number: 0x04_05_06_07_08, sent: 0x09_0A_0B_0C_0D_0E_0F };
        let mut bytes = [0; STAMP];
        stamp.write(&mut bytes);
        assert_eq!(Stamp::read(&bytes), Some(stamp));
        assert_eq!(Stamp::read(b"somebody else's text"), None);
        assert_eq!(Stamp::read(b"short"), None);
    }

    #[test]
    fn loss_duplicates_and_disorder_are_told_apart() {
        let mut seen = Seen::new(2);
        for number in [0, 1, 1, 4, 3, 3] {
            seen.message(&payload(0, number, 10), 110);
        }
        seen.message(&payload(1, 0, 10), 60);
        seen.message(&payload(2, 0, 10), 60);
        seen.message(b"?", 60);
        assert_eq!((seen.messages, seen.duplicates, seen.disordered, seen.foreign), (5, 2, 1, 2));
        assert_eq!((seen.latency.min(), seen.latency.max()), (50, 100));
    }
}
