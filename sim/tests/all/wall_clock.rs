//! The clock on the wall of the broker's machine.

use std::time::Duration;

use squall_scenarios::outage::ClockJump;
use squall_sim::wall_clock::{BEGINNING, WallClock};

#[test]
fn it_goes_on_from_where_it_was_set() {
    let mut clock = WallClock::default();
    let second = Duration::from_secs(1);
    assert_eq!(clock.shows(second), BEGINNING + second);
    clock.set(ClockJump::Ahead(3 * second));
    clock.set(ClockJump::Back(5 * second));
    assert_eq!(clock.shows(4 * second), BEGINNING + 2 * second);
    clock.set(ClockJump::Back(2 * BEGINNING));
    assert_eq!(clock.shows(second), Duration::ZERO);
}
