//! A server without QoS 2 is not asked for it, and one that has it and fails at it is not excused. Before 5.0 only its
//! behaviour tells the two apart.

use std::{collections::BTreeSet, time::Duration};

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Ack, Packet},
    qos::Qos,
    reason::Side,
    version::Version,
};
use squall_conformance::{
    own::{in_virtual_time, side_by_side},
    report::model::TestEntry,
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
    setup::Setup,
};
use squall_scenarios::{
    liar::{Direction, Liar, Lie},
    verdict::Verdict,
};

/// What becomes of a PUBLISH of QoS 2.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Close,
    Nothing,
    Puback,
    /// As it should be.
    Pubrec,
}

/// Says of QoS 2 what it is told to.
struct WithoutQos2 {
    grants: bool,
    answer: Answer,
    /// Before CONNECT it is nobody's QoS 2.
    connected: BTreeSet<u64>,
}

fn encoded(packet: &Packet) -> Bytes {
    let mut bytes = BytesMut::new();
    packet.encode(Version::V3_1_1, &mut bytes).expect("it was a packet of 3.1.1 before");
    bytes.freeze()
}

impl WithoutQos2 {
    /// What a PUBLISH of QoS 2 brings.
    fn publish(&self, connection: u64, id: Option<squall_codec::wire::PacketId>, raw: Bytes, out: &mut Vec<Lie>) {
        match (self.answer, id) {
            (Answer::Close, _) => out.push(Lie::Close(connection)),
            (Answer::Nothing, _) | (Answer::Puback, None) => {}
            (Answer::Puback, Some(id)) => {
                out.push(Lie::Frame(connection, Direction::ToClient, encoded(&Packet::Puback(Ack::new(id)))));
            }
            (Answer::Pubrec, _) => out.push(Lie::Frame(connection, Direction::ToServer, raw)),
        }
    }
}

impl Liar for WithoutQos2 {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let side = if direction == Direction::ToServer { Side::Client } else { Side::Server };
        match Packet::decode(Version::V3_1_1, side, raw.clone()) {
            Ok(Packet::Connect(_)) => {
                self.connected.insert(connection);
                out.push(Lie::Frame(connection, direction, raw));
            }
            Ok(Packet::Publish(publish))
                if side == Side::Client && publish.qos == Qos::ExactlyOnce && self.connected.contains(&connection) =>
            {
                self.publish(connection, publish.packet_id, raw, out);
            }
            Ok(Packet::Subscribe(mut subscribe)) if !self.grants => {
                for subscription in &mut subscribe.subscriptions {
                    subscription.options.qos = subscription.options.qos.min(Qos::AtLeastOnce);
                }
                out.push(Lie::Frame(connection, direction, encoded(&Packet::Subscribe(subscribe))));
            }
            _ => out.push(Lie::Frame(connection, direction, raw)),
        }
    }
}

/// All tests of 3.1.1 that ask an ordinary server.
fn at(grants: bool, answer: Answer) -> Vec<TestEntry> {
    keep_panics_of_tests_quiet();
    let ordinary = |planned: &Planned| planned.version == Version::V3_1_1 && planned.test.setup == Setup::Plain;
    let tests: Vec<_> = all().into_iter().filter(ordinary).collect();
    side_by_side(&tests, |planned| {
        in_virtual_time(planned, Some(Box::new(WithoutQos2 { grants, answer, connected: BTreeSet::new() })))
    })
}

fn excused(entry: &TestEntry) -> bool {
    entry.verdict == Verdict::Unsupported && entry.reason.as_deref().is_some_and(|reason| reason.contains("no QoS 2"))
}

fn told(entries: &[TestEntry], verdict: Verdict) -> Vec<String> {
    let of = entries.iter().filter(|entry| entry.verdict == verdict);
    of.map(|entry| format!("{}: {}", entry.name, entry.reason.as_deref().unwrap_or_default())).collect()
}

#[test]
fn what_needs_qos_2_is_unsupported_where_there_is_none() {
    for (answer, words) in [
        (Answer::Close, "ended the connection"),
        (Answer::Nothing, "was not answered within"),
        (Answer::Puback, "was answered with PUBACK"),
    ] {
        let entries = at(false, answer);
        assert_eq!(told(&entries, Verdict::Inconclusive), [""; 0], "{answer:?}");
        let unsupported: Vec<_> = entries.iter().filter(|entry| excused(entry)).collect();
        assert!(unsupported.len() >= 12, "{answer:?}: {}", unsupported.len());
        for entry in unsupported {
            let reason = entry.reason.as_deref().unwrap_or_default();
            assert!(reason.contains("SUBACK granted") && reason.contains(words), "{}: {reason}", entry.name);
            assert!(!entry.evidence.is_empty(), "{} shows nothing", entry.name);
        }
    }
}

#[test]
fn what_qos_0_and_1_show_is_asked_without_qos_2() {
    let entries = at(false, Answer::Close);
    for name in [
        "a_client_is_served_however_often_it_comes_back",
        "a_held_message_outlives_an_exchange_of_its_number",
        "a_message_comes_at_the_lower_of_published_and_granted_qos",
        "a_retained_message_waits_for_later_subscribers",
        "a_session_lasts_over_several_connections",
        "acknowledgements_carry_the_identifier_of_their_publish",
        "an_empty_payload_is_delivered",
        "dup_is_not_passed_on",
        "each_subscriber_gets_a_copy_of_its_own",
        "identifiers_of_both_directions_are_independent",
        "messages_of_one_topic_and_qos_keep_their_order",
        "messages_wait_for_an_absent_client",
        "only_what_was_on_its_way_comes_after_unsuback",
        "order_is_kept_within_each_topic_and_qos",
        "overlapping_subscriptions_give_the_highest_qos",
        "packets_are_found_in_any_segments",
        "packets_of_fixed_size_have_that_size",
        "reserved_flags_of_the_server_are_as_laid_down",
        "subscribing_again_replaces_the_subscription",
        "the_delivery_of_a_retained_message_goes_on",
        "what_came_at_qos_0_does_not_come_again",
    ] {
        let entry = entries.iter().find(|entry| entry.name == name).expect("it is one of them");
        assert_eq!(entry.verdict, Verdict::Pass, "{name}: {:?}", entry.reason);
    }
}

#[test]
fn nothing_but_the_rule_of_the_answer_fails_where_there_is_no_qos_2() {
    // To hang up is always allowed.
    assert_eq!(told(&at(false, Answer::Close), Verdict::Fail), [""; 0]);
    let about_the_answer: BTreeSet<_> = [
        "a_publish_is_answered_by_its_qos",
        "a_repeated_qos_2_message_is_delivered_once",
        "a_qos_2_message_is_passed_on_once",
    ]
    .into();
    for answer in [Answer::Nothing, Answer::Puback] {
        let entries = at(false, answer);
        let failed = entries.iter().filter(|entry| entry.verdict == Verdict::Fail);
        let others: Vec<_> = failed.filter(|entry| !about_the_answer.contains(entry.name.as_str())).collect();
        let others: Vec<_> = others.iter().map(|entry| format!("{}: {:?}", entry.name, entry.reason)).collect();
        assert_eq!(others, [""; 0], "{answer:?}");
    }
}

#[test]
fn who_grants_qos_2_or_answers_it_is_not_excused() {
    for (grants, answer) in [
        (true, Answer::Close),
        (true, Answer::Nothing),
        (true, Answer::Puback),
        // It takes what it does not deliver.
        (false, Answer::Pubrec),
    ] {
        let entries = at(grants, answer);
        let excused: Vec<_> = entries.iter().filter(|entry| excused(entry)).map(|entry| &entry.name).collect();
        assert!(excused.is_empty(), "grants {grants}, {answer:?}: {excused:?}");
    }
    assert!(!told(&at(true, Answer::Nothing), Verdict::Fail).is_empty());
    assert!(!told(&at(true, Answer::Puback), Verdict::Fail).is_empty());
}
