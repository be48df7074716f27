//! When to try again: exponential back-off with jitter from a seed.

use std::time::Duration;

use crate::options::Reconnect;

/// The delays between connections that fail.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: Reconnect,
    failures: u32,
    /// The last delay: a connection has to last longer to start over.
    last: Duration,
    random: SplitMix64,
}

impl Backoff {
    pub(super) fn new(policy: Reconnect, seed: u64) -> Self {
        Backoff { policy, failures: 0, last: Duration::ZERO, random: SplitMix64(seed) }
    }

    /// The delay before the next try; `None` where there is none. `lasted` is how long the connection stood that has
    /// now ended, if it stood at all.
    pub(super) fn next_delay(&mut self, lasted: Option<Duration>) -> Option<Duration> {
        let Reconnect::Backoff { first, max } = self.policy else { return None };
        if lasted.is_some_and(|lasted| lasted > self.last) {
            self.failures = 0;
        }
        let doubled = 1u32.checked_shl(self.failures.min(31)).unwrap_or(u32::MAX);
        let longest = first.saturating_mul(doubled).min(max);
        self.failures = self.failures.saturating_add(1);
        // Half of the delay is sure, half is random.
        let share = self.random.next_unit();
        let delay = longest / 2 + (longest / 2).mul_f64(share);
        // Whole milliseconds: the same in every world, whatever the grain of its timers.
        self.last = Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        Some(self.last)
    }
}

/// Steele, Lea and Flood's SplitMix64: small, portable, and good enough to spread retries.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// At least 0 and below 1.
    fn next_unit(&mut self) -> f64 {
        // 53 bits are what an f64 holds exactly.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Reconnect = Reconnect::Backoff { first: Duration::from_secs(1), max: Duration::from_secs(10) };

    fn delays(seed: u64, count: usize) -> Vec<Duration> {
        let mut backoff = Backoff::new(POLICY, seed);
        (0..count).map(|_| backoff.next_delay(None).expect("this policy always tries again")).collect()
    }

    #[test]
    fn delays_double_up_to_the_longest_with_half_of_each_at_random() {
        for seed in 0..100 {
            for (delay, longest) in delays(seed, 7).into_iter().zip([1, 2, 4, 8, 10, 10, 10]) {
                let longest = Duration::from_secs(longest);
                assert!(delay >= longest / 2 && delay <= longest, "{delay:?} for {longest:?}");
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_delays_and_others_give_others() {
        assert_eq!(delays(7, 20), delays(7, 20));
        assert_ne!(delays(7, 20), delays(8, 20));
    }

    #[test]
    fn splitmix_gives_its_published_numbers() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_connection_that_lasted_starts_over_and_a_short_one_does_not() {
        let mut backoff = Backoff::new(POLICY, 1);
        for _ in 0..5 {
            backoff.next_delay(None);
        }
        assert!(backoff.next_delay(Some(Duration::from_millis(1))).expect("tries again") >= Duration::from_secs(5));
        assert!(backoff.next_delay(Some(Duration::from_secs(60))).expect("tries again") <= Duration::from_secs(1));
    }

    #[test]
    fn a_connection_that_lasted_just_as_long_as_the_delay_before_it_does_not_start_over() {
        let mut backoff = Backoff::new(POLICY, 1);
        for _ in 0..5 {
            backoff.next_delay(None);
        }
        let last = backoff.next_delay(None).expect("tries again");
        let next = backoff.next_delay(Some(last)).expect("tries again");
        assert!(next >= Duration::from_secs(5), "{next:?}");
        assert!(
            backoff.next_delay(Some(next + Duration::from_millis(1))).expect("tries again") <= Duration::from_secs(1)
        );
    }

    #[test]
    fn never_is_never() {
        assert_eq!(Backoff::new(Reconnect::Never, 1).next_delay(None), None);
    }
}
