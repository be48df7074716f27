//! A server with small bounds that it does not announce loses what is beyond them. Whoever asks for more than that has not
//! reached its question, and blames no other rule for it.

use std::time::Duration;

use bytes::Bytes;
use squall_broker::core::config::Config;
use squall_codec::{packet::Packet, qos::Qos, reason::Side, version::Version};
use squall_conformance::{
    own,
    report::model::TestEntry,
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
    setup::Setup,
};
use squall_scenarios::{
    liar::{Direction, Liar, Lie},
    verdict::Verdict,
};

/// Loses messages of QoS 0 with a payload of more bytes than these. It has no way to say so.
struct Overlooks(usize);

impl Liar for Overlooks {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let is_lost = match Packet::decode(Version::V5_0, Side::Client, raw.clone()) {
            Ok(Packet::Publish(publish)) => publish.qos == Qos::AtMostOnce && raw.len() > self.0,
            _ => false,
        };
        if direction == Direction::ToClient || !is_lost {
            out.push(Lie::Frame(connection, direction, raw));
        }
    }
}

/// A test of 5.0 on our own broker, set up so.
fn played(name: &str, change: fn(&mut Config), habit: Option<Box<dyn Liar>>) -> TestEntry {
    keep_panics_of_tests_quiet();
    let is_named = |planned: &Planned| planned.test.name == name && planned.version == Version::V5_0;
    let planned = all().into_iter().find(is_named).expect("there is such a test");
    let mut subject = own::subject(Setup::Plain);
    change(&mut subject.config);
    own::in_events_on(subject, &planned, habit)
}

fn is_undecided(entry: &TestEntry, because: &str) {
    let reason = entry.reason.as_deref().unwrap_or_default();
    assert_eq!(entry.verdict, Verdict::Inconclusive, "{}: {reason}", entry.name);
    assert!(reason.contains(because), "{}: {reason}", entry.name);
}

#[test]
fn a_short_queue_is_not_taken_for_messages_that_expired() {
    let entry = played("an_expired_message_is_not_delivered", |config| config.limits.queued_messages = 10, None);
    is_undecided(&entry, "keeps only 10 of 27 messages");
}

#[test]
fn a_short_queue_is_not_taken_for_a_place_that_does_not_come_back() {
    let change = |config: &mut Config| config.limits.queued_messages = 1;
    let entry = played("quota_comes_back_with_the_end_of_an_exchange", change, None);
    is_undecided(&entry, "not reached");
}

#[test]
fn who_loses_large_messages_loses_them_for_everybody() {
    let entry = played("others_get_what_is_too_large_for_one", |_| {}, Some(Box::new(Overlooks(150))));
    is_undecided(&entry, "expected reader to receive");
}
