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
pub(super) struct Draws {
    seed: u64,
    stream: u64,
    generator: Option<Box<ChaCha8Rng>>,
}

impl Draws {
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
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

    pub(super) fn happens(&mut self, probability: f64) -> bool {
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
pub(super) enum Sampler {
    Between { min: Duration, max: Duration },
    Spread { median_us: u128, p99_log2: i64 },
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
fn log2(numerator: u128, denominator: u128) -> i64 {
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
fn times_power_of_2(value: u128, exponent: i64) -> u128 {
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
    pub(super) fn new(delay: Delay) -> Self {
        match delay {
            Delay::Between { min, max } => Sampler::Between { min, max: max.max(min) },
            Delay::Spread { median, p99 } => {
                let median_us = median.as_micros().max(1);
                Sampler::Spread { median_us, p99_log2: log2(p99.as_micros().max(median_us), median_us) }
            }
        }
    }

    pub(super) fn draw(self, draws: &mut Draws) -> Duration {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn logarithms_and_powers_of_whole_numbers_are_exact() {
        for power in 0..30 {
            assert_eq!(log2(1 << power, 1), power << 32);
            assert_eq!(times_power_of_2(3, power << 32), 3 << power);
            assert_eq!(times_power_of_2(3 << power, -(power << 32)), 3);
        }
        // The square root of two to six places.
        assert_eq!(times_power_of_2(1_000_000, 1 << 31), 1_414_213);
        assert_eq!(log2(3, 1), 6_807_362_105);
    }

    #[test]
    fn half_of_a_spread_lies_below_its_median_and_one_of_a_hundred_above_its_p99() {
        let sampler = Sampler::new(Delay::Spread { median: ms(20), p99: ms(200) });
        let mut draws = Draws::new(5, 0);
        let times: Vec<Duration> = (0..20_000).map(|_| sampler.draw(&mut draws)).collect();
        let share = |limit: Duration| times.iter().filter(|time| **time > limit).count();
        // Five standard deviations.
        assert!((9_646..=10_354).contains(&share(ms(20))), "{} above the median", share(ms(20)));
        assert!((130..=270).contains(&share(ms(200))), "{} above p99", share(ms(200)));
        assert_eq!(share(ms(2_000)), 0, "none is later than p99 times their quotient");
        assert!(times.iter().all(|time| *time >= Duration::from_micros(199)));
    }

    #[test]
    fn a_spread_draws_the_same_on_every_machine() {
        let sampler = Sampler::new(Delay::Spread { median: ms(20), p99: ms(200) });
        let mut draws = Draws::new(42, 0);
        let micros: Vec<u128> = (0..6).map(|_| sampler.draw(&mut draws).as_micros()).collect();
        // A change here changes what every seed in a report means.
        assert_eq!(micros, [3_392, 12_731, 4_598, 34_927, 11_971, 11_078]);
    }

    #[test]
    fn a_spread_without_width_is_fixed() {
        let sampler = Sampler::new(Delay::Spread { median: ms(20), p99: ms(20) });
        let mut draws = Draws::new(1, 0);
        assert!((0..100).all(|_| sampler.draw(&mut draws) == ms(20)));
    }
}
