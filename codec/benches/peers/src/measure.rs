//! Rounds in which every codec has its turn, so that what disturbs the machine disturbs all alike; the median of them.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    allocations,
    codec::{Codec, OUR_VIEWS, OURS},
    rows::Row,
};

/// What one codec did on one row.
#[derive(Serialize)]
pub struct Figure {
    pub codec: &'static str,
    /// Nanoseconds for each packet: the median of all rounds.
    pub ns: f64,
    pub least_ns: f64,
    /// What ours takes of this, in the same round: the median of all rounds. A machine may change its pace between them.
    pub ours_ratio: f64,
    /// The same of our views.
    pub views_ratio: f64,
    pub megabytes_per_second: f64,
    pub allocations: f64,
    /// Why there is no figure.
    pub refused: Option<String>,
    /// The bytes written are not those that were read.
    pub other_bytes: bool,
}

/// What is done with a row.
#[derive(Clone, Copy)]
pub enum Task {
    /// From one buffer in which all bytes are.
    Decode,
    /// Bytes come in pieces of so many; what a codec does with a piece is on the clock.
    Pieces(usize),
    /// Into one buffer that was used before.
    Encode,
}

impl Task {
    fn prepare(self, codec: &mut dyn Codec, row: &Row) {
        match self {
            Task::Decode => {
                codec.begin();
                codec.feed(&row.stream);
            }
            Task::Pieces(_) => codec.begin(),
            Task::Encode => codec.prepare(),
        }
    }

    fn work(self, codec: &mut dyn Codec, row: &Row) -> Result<usize, String> {
        match self {
            Task::Decode => codec.drain(),
            Task::Pieces(size) => row.stream.chunks(size).try_fold(0, |count, piece| {
                codec.feed(piece);
                Ok(count + codec.drain()?)
            }),
            Task::Encode => codec.encode().map(|()| row.packets),
        }
    }

    /// Whether the codec can do this at all.
    fn try_out(self, codec: &mut dyn Codec, row: &Row) -> Result<(), String> {
        if let Task::Encode = self {
            codec.keep(&row.stream)?;
        }
        self.prepare(codec, row);
        match self.work(codec, row)? {
            count if count == row.packets => Ok(()),
            count => Err(format!("{count} packets instead of {}", row.packets)),
        }
    }
}

/// Measures one row for all codecs of its version.
pub fn measure(codecs: &mut [Box<dyn Codec>], row: &Row, task: Task, rounds: usize) -> Vec<Figure> {
    let mut turns = Vec::new();
    for codec in codecs.iter_mut().filter(|codec| codec.version() == row.version) {
        let tried = task.try_out(codec.as_mut(), row);
        let other_bytes = matches!((task, &tried), (Task::Encode, Ok(()))) && codec.written() != row.stream;
        let mut allocated = 0;
        if tried.is_ok() {
            task.prepare(codec.as_mut(), row);
            allocated = allocations::count(|| drop(task.work(codec.as_mut(), row)));
        }
        turns.push((codec, tried.err(), other_bytes, allocated, Vec::with_capacity(rounds)));
    }
    for _ in 0..rounds {
        for (codec, refused, .., samples) in &mut turns {
            if refused.is_none() {
                task.prepare(codec.as_mut(), row);
                let started = Instant::now();
                let _ = std::hint::black_box(task.work(codec.as_mut(), row));
                samples.push(started.elapsed());
            }
        }
    }
    let of = |name| {
        let found = turns.iter().find(|turn| turn.0.name() == name);
        found.map_or_else(Vec::new, |(.., samples)| samples.clone())
    };
    let (ours, views) = (of(OURS), of(OUR_VIEWS));
    turns
        .into_iter()
        .map(|(codec, refused, other_bytes, allocated, mut samples)| {
            let (ours_ratio, views_ratio) = (ratio(&ours, &samples), ratio(&views, &samples));
            samples.sort();
            let per_packet =
                |taken: Option<&Duration>| taken.map_or(f64::NAN, |taken| taken.as_nanos() as f64 / row.packets as f64);
            let ns = per_packet(samples.get(samples.len() / 2));
            Figure {
                codec: codec.name(),
                ns,
                least_ns: per_packet(samples.first()),
                ours_ratio,
                views_ratio,
                megabytes_per_second: row.stream.len() as f64 / row.packets as f64 / ns * 1000.0,
                allocations: allocated as f64 / row.packets as f64,
                refused,
                other_bytes,
            }
        })
        .collect()
}

/// The median of the ratios, round by round.
fn ratio(of: &[Duration], to: &[Duration]) -> f64 {
    let mut ratios: Vec<_> = of.iter().zip(to).map(|(of, to)| of.as_secs_f64() / to.as_secs_f64()).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
}
