//! Late is another thing than missing: a broker that keeps sessions for some seconds too long is told so, with what was
//! expected and what was measured, and is not failed.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::Packet,
    property::{Properties, Property},
    reason::Side,
    version::Version,
};
use squall_conformance::{
    own::in_virtual_time,
    report::model::TestEntry,
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
};
use squall_scenarios::{
    liar::{Direction, Liar, Lie},
    timing::Punctuality,
    verdict::Verdict,
};

/// Has sessions live for some seconds longer than they were asked to.
struct Lingers {
    seconds: u32,
}

impl Lingers {
    fn longer(&self, properties: &Properties, unsaid: Option<u32>) -> Properties {
        let others = properties.iter().filter(|one| !matches!(one, Property::SessionExpiryInterval(_)));
        let asked = properties.session_expiry_interval().or(unsaid);
        let longer = asked.map(|asked| Property::SessionExpiryInterval(asked.saturating_add(self.seconds)));
        others.cloned().chain(longer).collect()
    }
}

impl Liar for Lingers {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let mut heard = Packet::decode(Version::V5_0, Side::Client, raw.clone());
        match &mut heard {
            Ok(Packet::Connect(connect)) => {
                connect.set_properties(self.longer(&connect.properties().to_owned(), Some(0)))
            }
            // Left out, what CONNECT said stays, and that is longer already.
            Ok(Packet::Disconnect(leave)) => leave.properties = self.longer(&leave.properties, None),
            _ => return out.push(Lie::Frame(connection, direction, raw)),
        }
        let mut longer = BytesMut::new();
        let packet = heard.expect("it is one of the two");
        packet.encode(Version::V5_0, &mut longer).expect("it was a packet of 5.0 before");
        out.push(Lie::Frame(connection, direction, longer.freeze()));
    }
}

fn planned(name: &str) -> Planned {
    let is_it = |planned: &Planned| planned.test.name == name && planned.version == Version::V5_0;
    all().into_iter().find(is_it).unwrap_or_else(|| panic!("there is no test {name}"))
}

fn on_one_that_lingers(name: &str, seconds: u32) -> TestEntry {
    keep_panics_of_tests_quiet();
    in_virtual_time(&planned(name), Some(Box::new(Lingers { seconds })))
}

/// The test warns, and says when the session ended and when it should have.
fn is_told_late(name: &str, seconds: u32) {
    let entry = on_one_that_lingers(name, seconds);
    let reason = entry.reason.clone().unwrap_or_default();
    assert_eq!(entry.verdict, Verdict::Warn, "{name}: {reason}");
    assert!(reason.starts_with("late: ") && reason.contains("due after"), "{name}: {reason}");
    let late: Vec<_> = entry.timings.iter().filter(|timing| timing.grade == Punctuality::Late).collect();
    assert!(!late.is_empty(), "{name}: {:?}", entry.timings);
    for timing in late {
        let measured = timing.measured_us.expect("it came");
        assert!(measured > timing.latest_us && timing.latest_us >= timing.due_us, "{name}: {timing:?}");
    }
}

/// It is given up, and the report says when.
fn is_told_missing(name: &str, seconds: u32, verdict: Verdict) {
    let entry = on_one_that_lingers(name, seconds);
    assert_eq!(entry.verdict, verdict, "{name}: {:?}", entry.reason);
    let missing = entry.timings.iter().find(|timing| timing.grade == Punctuality::Missing);
    let missing = missing.unwrap_or_else(|| panic!("{name}: {:?}", entry.timings));
    assert!(missing.measured_us.is_none() && missing.given_up_us > Some(missing.latest_us), "{name}: {missing:?}");
}

#[test]
fn a_session_that_ends_a_second_after_its_connection_is_late() {
    is_told_late("without_an_expiry_the_session_ends_with_its_connection", 1);
    is_told_late("the_latest_expiry_counts", 1);
    is_told_late("a_disconnect_can_end_the_session", 1);
}

#[test]
fn a_session_that_ends_four_seconds_after_its_expiry_is_late() {
    is_told_late("an_expired_session_is_gone", 4);
    is_told_late("a_disconnect_can_end_the_session", 4);
}

#[test]
fn a_session_that_expired_meanwhile_and_ends_a_moment_after_the_restart_is_late() {
    is_told_late("a_session_that_expired_meanwhile_is_gone", 4);
}

#[test]
fn a_session_that_does_not_end_is_missing() {
    for name in [
        "without_an_expiry_the_session_ends_with_its_connection",
        "the_latest_expiry_counts",
        "a_disconnect_can_end_the_session",
        "an_expired_session_is_gone",
    ] {
        is_told_missing(name, 1000, Verdict::Fail);
    }
    // The text lets the clock stand while the server is down: nothing there is a failure.
    is_told_missing("a_session_that_expired_meanwhile_is_gone", 1000, Verdict::Warn);
}

/// Nobody waits for the end of a connection that will not end: once CONNACK lets a client in that must be refused, or SUBACK
/// grants what must not be granted, all is known.
#[test]
fn what_is_known_is_not_waited_for() {
    keep_panics_of_tests_quiet();
    let refusal = planned("a_maximum_of_zero_is_refused");
    let filter = planned("a_misplaced_multi_level_wildcard_is_refused");
    for (planned, liar) in [(refusal, (refusal.test.liar)()), (filter, Box::new(Grants) as Box<dyn Liar>)] {
        let (name, entry) = (planned.test.name, in_virtual_time(&planned, Some(liar)));
        assert!(matches!(entry.verdict, Verdict::Fail | Verdict::Warn), "{name}: {}", entry.verdict);
        assert!(entry.duration_us < 1_000_000, "{name} took {} us", entry.duration_us);
    }
}

/// All who were sent away together are listened to together.
#[test]
fn many_who_stay_are_waited_for_once() {
    keep_panics_of_tests_quiet();
    let planned = planned("a_disconnect_of_a_client_has_a_code_of_its_table");
    let entry = in_virtual_time(&planned, Some(Box::new(Keeps)));
    assert_eq!(entry.verdict, Verdict::Warn, "{:?}", entry.reason);
    assert!(entry.duration_us < 12_000_000, "it took {} us", entry.duration_us);
}

/// Does not notice a DISCONNECT with a reason code.
struct Keeps;

impl Liar for Keeps {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        if raw.first() != Some(&0xE0) || raw.len() == 2 {
            out.push(Lie::Frame(connection, direction, raw));
        }
    }
}

/// Grants every filter that ends in another way than with '/#'.
struct Grants;

impl Liar for Grants {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let is_misplaced = raw.first() == Some(&0x82) && !raw.ends_with(b"/#\0");
        match is_misplaced {
            true => {
                let suback = [0x90, 4, raw[2], raw[3], 0, 0];
                out.push(Lie::Frame(connection, Direction::ToClient, Bytes::copy_from_slice(&suback)));
            }
            false => out.push(Lie::Frame(connection, direction, raw)),
        }
    }
}
