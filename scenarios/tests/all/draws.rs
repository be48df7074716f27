//! The randomness of a link is the same on every machine.

use std::time::Duration;

use squall_scenarios::{
    fault::Delay,
    link::draws::{Draws, Sampler, log2, times_power_of_2},
};

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
