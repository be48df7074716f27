//! Randomness of a link: pinned, portable, in whole numbers wherever a machine could round in its own way.

use std::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::fault::Delay;

/// One stream of randomness, made when it is first asked. Each use has its own, so that taking one fault away never
/// shifts the draws of another.
#[derive(Debug)]
pub struct Draws {
    seed: u64,
    stream: u64,
    generator: Option<Box<ChaCha8Rng>>,
}

impl Draws {
    /// The stream of this number of a seed.
    pub const fn new(seed: u64, stream: u64) -> Self {
        Draws { seed, stream, generator: None }
    }

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

    /// Whether something of this probability happens this time.
    pub fn happens(&mut self, probability: f64) -> bool {
        // 53 bits are what a `f64` tells apart between 0 and 1.
        let drawn = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        drawn < probability
    }

    /// As near to a normal distribution of mean 0 and variance 1 as a network needs: the sum of twelve even draws, less
    /// their mean. In units of 2^-32.
    fn normal(&mut self) -> i64 {
        let sum: u64 = (0..6).map(|_| self.next()).map(|drawn| (drawn >> 32) + (drawn & 0xFFFF_FFFF)).sum();
        i64::try_from(sum).unwrap_or(i64::MAX) - (6 << 32)
    }
}

/// A delay as a link draws from it.
#[derive(Clone, Copy, Debug)]
pub enum Sampler {
    /// Evenly.
    Between {
        /// The least.
        min: Duration,
        /// The most.
        max: Duration,
    },
    /// As networks have it: most are near the median, few are far above it.
    Spread {
        /// In microseconds.
        median_us: u128,
        /// The logarithm of p99 in units of the median.
        p99_log2: i64,
    },
}

/// Of the sum of twelve even draws, one of a hundred lies this far above the mean, in units of 2^-32.
const Z99: i64 = 9_887_992_001;

/// 2^62 is one.
const ONE: u128 = 1 << 62;

/// 2^(1/2), 2^(1/4), 2^(1/8) … in units of 2^-62.
const ROOTS: [u128; 24] = {
    let mut roots = [0; 24];
    let mut last = 2 * ONE;
    let mut index = 0;
    while index < roots.len() {
        last = (last << 62).isqrt();
        roots[index] = last;
        index += 1;
    }
    roots
};

/// The logarithm to base 2 of a quotient of at least 1, in units of 2^-32.
pub fn log2(numerator: u128, denominator: u128) -> i64 {
    let mut rest = (numerator << 62) / denominator;
    let mut whole = 0;
    while rest >= 2 * ONE {
        rest >>= 1;
        whole += 1;
    }
    let mut log: i64 = whole;
    for _ in 0..32 {
        rest = (rest * rest) >> 62;
        log <<= 1;
        if rest >= 2 * ONE {
            rest >>= 1;
            log |= 1;
        }
    }
    log
}

/// `value` times 2 to the power of `exponent`, which is in units of 2^-32.
pub fn times_power_of_2(value: u128, exponent: i64) -> u128 {
    let (whole, fraction) = (exponent >> 32, exponent & 0xFFFF_FFFF);
    let mut factor = ONE;
    for (position, root) in ROOTS.iter().enumerate() {
        if fraction >> (31 - position) & 1 == 1 {
            factor = (factor * root) >> 62;
        }
    }
    // Twenty bits behind the point are enough for microseconds.
    let product = value * (factor >> 42);
    if whole >= 0 { (product << whole.min(40)) >> 20 } else { product >> (20 - whole.max(-100)) }
}

impl Sampler {
    /// What a fault asks for.
    pub fn new(delay: Delay) -> Self {
        match delay {
            Delay::Between { min, max } => Sampler::Between { min, max: max.max(min) },
            Delay::Spread { median, p99 } => {
                let median_us = median.as_micros().max(1);
                Sampler::Spread { median_us, p99_log2: log2(p99.as_micros().max(median_us), median_us) }
            }
        }
    }

    /// The delay of one segment.
    pub fn draw(self, draws: &mut Draws) -> Duration {
        match self {
            Sampler::Between { min, max } => min + draws.up_to(max - min),
            Sampler::Spread { median_us, p99_log2 } => {
                let z = i128::from(draws.normal().clamp(-2 * Z99, 2 * Z99));
                let exponent = i128::from(p99_log2) * z / i128::from(Z99);
                let micros = times_power_of_2(median_us, exponent as i64);
                Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
            }
        }
    }
}
