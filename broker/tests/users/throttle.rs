//! Wrong log-ins wait, longer and longer, within bounds; others do not.

use std::{net::IpAddr, time::Duration};

use squall_broker::users::throttle::{Throttle, ThrottleLimits};

use crate::support::text;

const LIMITS: ThrottleLimits = ThrottleLimits {
    first_delay: Duration::from_millis(250),
    longest_delay: Duration::from_secs(4),
    forgets_one_in: Duration::from_secs(30),
    remembered: 100,
};

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().expect("an address"))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(delays: &[Duration]) -> Vec<u128> {
    delays.iter().map(Duration::as_millis).collect()
}

#[test]
fn each_wrong_log_in_of_an_address_or_of_a_user_waits_longer_up_to_the_bound() {
    let growing = [250, 500, 1000, 2000, 4000, 4000];
    let mut throttle = Throttle::new(LIMITS);
    let names: Vec<_> = (0..6).map(|number| text(&format!("user{number}"))).collect();
    let delays: Vec<_> =
        names.iter().map(|name| throttle.failed(seconds(0), address("10.0.0.1"), Some(name))).collect();
    assert_eq!(millis(&delays), growing);
    let mut throttle = Throttle::new(LIMITS);
    let alice = text("alice");
    let delays: Vec<_> =
        (1..7).map(|last| throttle.failed(seconds(0), address(&format!("10.0.0.{last}")), Some(&alice))).collect();
    assert_eq!(millis(&delays), growing);
    // For others it is the first time.
    assert_eq!(throttle.failed(seconds(0), address("10.0.0.9"), Some(&text("bob"))).as_millis(), 250);
}

#[test]
fn the_longer_of_both_delays_counts() {
    let mut throttle = Throttle::new(LIMITS);
    for _ in 0..3 {
        throttle.failed(seconds(0), address("10.0.0.1"), None);
    }
    throttle.failed(seconds(0), address("10.0.0.2"), Some(&text("alice")));
    assert_eq!(throttle.failed(seconds(0), address("10.0.0.1"), Some(&text("alice"))).as_millis(), 2000);
    assert_eq!(throttle.failed(seconds(0), None, None), Duration::ZERO);
}

#[test]
fn time_forgets_one_after_the_other() {
    let mut throttle = Throttle::new(LIMITS);
    let from = address("10.0.0.1");
    for _ in 0..4 {
        throttle.failed(seconds(0), from, None);
    }
    assert!(throttle.is_suspect(seconds(119), from));
    assert!(!throttle.is_suspect(seconds(120), from));
    assert!(!throttle.is_suspect(seconds(0), address("10.0.0.2")));
    assert!(!throttle.is_suspect(seconds(0), None));
    // Two of four are forgotten: this is the third.
    assert_eq!(throttle.failed(seconds(60), from, None).as_millis(), 1000);
    // A wrong one does not begin the waiting anew: the next is forgotten 30 s after the last was.
    assert_eq!(throttle.failed(seconds(89), from, None).as_millis(), 2000);
    assert_eq!(throttle.failed(seconds(90), from, None).as_millis(), 2000);
    assert_eq!(throttle.failed(seconds(10_000), from, None).as_millis(), 250);
}

#[test]
fn a_long_attack_is_forgotten_as_soon_as_a_short_one() {
    let mut throttle = Throttle::new(LIMITS);
    let from = address("10.0.0.1");
    for _ in 0..100_000 {
        throttle.failed(seconds(0), from, None);
    }
    assert!(throttle.is_suspect(seconds(479), from));
    assert!(!throttle.is_suspect(seconds(480), from));
}

#[test]
fn who_has_a_network_of_addresses_is_one() {
    let mut throttle = Throttle::new(LIMITS);
    throttle.failed(seconds(0), address("2001:db8:1:2::1"), None);
    assert_eq!(throttle.failed(seconds(0), address("2001:db8:1:2:ffff::9"), None).as_millis(), 500);
    assert_eq!(throttle.failed(seconds(0), address("2001:db8:1:3::1"), None).as_millis(), 250);
    throttle.failed(seconds(0), address("10.0.0.1"), None);
    assert_eq!(throttle.failed(seconds(0), address("::ffff:10.0.0.1"), None).as_millis(), 500);
    assert_eq!(throttle.failed(seconds(0), address("::ffff:10.0.0.2"), None).as_millis(), 250);
}

#[test]
fn so_many_are_remembered_and_the_oldest_go_first() {
    let mut throttle = Throttle::new(LIMITS);
    let from = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
    for number in 0..100 {
        throttle.failed(seconds(0), from(number), Some(&text(&number.to_string())));
    }
    // Seen again, so it is not the oldest any more.
    throttle.failed(seconds(0), from(0), None);
    for number in 100..100_000 {
        throttle.failed(seconds(0), from(number), Some(&text(&number.to_string())));
        if number == 150 {
            assert!(throttle.is_suspect(seconds(0), from(0)));
            assert!(!throttle.is_suspect(seconds(0), from(1)));
            assert!(!throttle.is_suspect(seconds(0), from(50)));
            assert!(throttle.is_suspect(seconds(0), from(52)));
        }
    }
    assert_eq!(throttle.remembered(), (100, 100));
}
