//! The book of links: which connection a fault befalls, before it exists and after, and which faults touched nothing.

use std::time::Duration;

use bytes::Bytes;
use squall_codec::packet::PacketKind;
use squall_scenarios::{
    fault::{CutEnd, Delay, Fault, FaultKind, Moment, Pass, Trigger, Triggered},
    liar::Direction::{self, ToClient, ToServer},
    links::Links,
    shared_link::SharedLink,
    stage::{Arrival, End},
    transcript::What,
};

const START: Duration = Duration::ZERO;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn of(actor: &str, kind: FaultKind) -> Fault {
    Fault { actor: Some(actor.to_owned()), kind }
}

fn everyones(kind: FaultKind) -> Fault {
    Fault { actor: None, kind }
}

fn latency(count: u64) -> FaultKind {
    FaultKind::Latency { time: Delay::Between { min: ms(count), max: ms(count) }, direction: None }
}

fn spread(median: u64, p99: u64) -> FaultKind {
    FaultKind::Latency { time: Delay::Spread { median: ms(median), p99: ms(p99) }, direction: None }
}

fn cut(packet: PacketKind, nth: u32) -> FaultKind {
    let on = Trigger { packet, direction: ToServer, nth };
    FaultKind::Cut { on, pass: Pass::Before, how: CutEnd::End(End::Reset) }
}

fn write(link: &SharedLink, now: Duration, direction: Direction, bytes: &[u8]) {
    link.with(|link| link.write(now, direction, Bytes::copy_from_slice(bytes)));
}

fn read(link: &SharedLink, now: Duration, direction: Direction) -> Option<Arrival> {
    link.with(|link| link.read(now, direction))
}

/// How long a byte takes to the server.
fn delay(link: &SharedLink, now: Duration) -> Duration {
    write(link, now, ToServer, b"x");
    let due = link.with(|link| link.deadline_of(ToServer)).expect("it is under way");
    while read(link, due, ToServer).is_some() {}
    due - now
}

const PINGREQ: &[u8] = &[0xC0, 0x00];
const RST: Option<Arrival> = Some(Arrival::End(End::Reset));

#[test]
fn connections_are_counted_for_each_actor() {
    let links = Links::new(1);
    assert_eq!(links.connection_number("alice"), 0);
    assert_eq!(links.open(START, "alice").connection(), 1);
    assert_eq!(links.open(START, "bob").connection(), 1);
    let again = links.open(START, "alice");
    assert_eq!((again.actor(), again.connection(), links.connection_number("alice")), ("alice", 2, 2));
}

#[test]
fn what_lasts_holds_for_connections_of_today_and_tomorrow() {
    let links = Links::new(1);
    let before = links.open(START, "alice");
    links.apply(START, &of("alice", latency(10))).expect("it stands");
    links.apply(START, &everyones(FaultKind::Split { bytes: 1 })).expect("it stands");
    let after = links.open(START, "alice");
    let other = links.open(START, "bob");
    assert_eq!((delay(&before, START), delay(&after, START), delay(&other, START)), (ms(10), ms(10), START));
    write(&other, START, ToClient, b"ab");
    assert_eq!(read(&other, START, ToClient), Some(Arrival::Bytes(Bytes::from_static(b"a"))));
    assert_eq!(links.unhit(), [""; 0]);
}

#[test]
fn a_later_latency_takes_the_place_of_an_earlier_one_for_later_connections_too() {
    let links = Links::new(1);
    links.apply(START, &everyones(latency(10))).expect("it stands");
    links.apply(START, &of("alice", latency(3))).expect("it stands");
    assert_eq!(delay(&links.open(START, "alice"), START), ms(3));
    assert_eq!(links.unhit(), ["all: latency 10 ms"]);
    assert_eq!(delay(&links.open(START, "bob"), START), ms(10));
    assert_eq!(links.unhit(), [""; 0]);
}

#[test]
fn an_outage_of_an_actor_who_is_not_there_meets_the_next_connection_unless_healed() {
    let links = Links::new(1);
    links.apply(START, &everyones(FaultKind::Partition { direction: None })).expect("it stands");
    links.apply(START, &of("alice", FaultKind::Heal { reset: false })).expect("there is something to heal");
    assert!(!links.open(START, "alice").with(|link| link.is_blocked(ToServer)));
    let bob = links.open(START, "bob");
    assert!(bob.with(|link| link.is_blocked(ToServer)));
    assert_eq!(links.unhit(), ["all: partition"]);
    write(&bob, START, ToServer, b"x");
    assert_eq!(links.unhit(), [""; 0]);
    links.apply(ms(1), &everyones(FaultKind::Heal { reset: true })).expect("there is something to heal");
    assert_eq!(read(&bob, ms(1), ToServer), RST);
    assert!(!links.open(ms(2), "bob").with(|link| link.is_blocked(ToServer)));
    assert_eq!(links.unhit(), [""; 0]);
    links.apply(ms(3), &everyones(FaultKind::Heal { reset: true })).expect("it is allowed");
    assert_eq!(links.unhit(), ["all: heal with RST"], "a heal of nothing touches nothing");
}

#[test]
fn what_happens_once_needs_a_connection_and_befalls_the_newest() {
    let links = Links::new(1);
    let error = links.apply(START, &of("alice", FaultKind::Reset)).expect_err("nobody is connected");
    assert_eq!(error, "alice has no connection for 'RST at both ends'");
    assert_eq!(links.unhit(), [""; 0], "what could not be put in place is not in the book");
    let older = links.open(START, "alice");
    let newer = links.open(START, "alice");
    let bob = links.open(START, "bob");
    links.apply(START, &of("alice", FaultKind::Reset)).expect("there is one");
    assert_eq!((read(&newer, START, ToClient), read(&newer, START, ToServer)), (RST, RST));
    assert_eq!(read(&older, START, ToClient), None);
    links.apply(START, &everyones(FaultKind::Reset)).expect("there are two left");
    assert_eq!((read(&older, START, ToClient), read(&bob, START, ToClient)), (RST, RST));
    links.apply(START, &everyones(FaultKind::HalfOpen)).expect_err("nobody is left");
}

#[test]
fn a_half_open_link_stays_so_and_the_actors_next_one_works() {
    let links = Links::new(1);
    let gone = links.open(START, "alice");
    links.apply(START, &of("alice", FaultKind::HalfOpen)).expect("there is one");
    let back = links.open(START, "alice");
    assert!(gone.with(|link| link.is_blocked(ToServer)) && !back.with(|link| link.is_blocked(ToServer)));
}

#[test]
fn a_cut_waits_over_connections_and_goes_on_counting() {
    let links = Links::new(1);
    links.apply(START, &of("alice", cut(PacketKind::Pingreq, 3))).expect("it stands");
    let first = links.open(START, "alice");
    write(&first, START, ToServer, PINGREQ);
    let second = links.open(START, "alice");
    write(&second, START, ToServer, PINGREQ);
    // The older connection does not count any more.
    write(&first, START, ToServer, PINGREQ);
    assert_eq!(links.unhit(), ["alice: cut before PINGREQ 3 to the server (RST)"]);
    write(&second, START, ToServer, PINGREQ);
    assert!(!second.with(|link| link.is_open()));
    let summary = "cut before PINGREQ 3 to the server (RST), 0 of 2 bytes passed".to_owned();
    let notes = links.take_notes();
    assert_eq!(notes.len(), 1);
    assert_eq!((&*notes[0].actor, notes[0].connection, &notes[0].what), ("alice", 2, &What::Fault { summary }));
    assert_eq!(links.unhit(), [""; 0]);
    // It fell once and for all.
    let third = links.open(START, "alice");
    write(&third, START, ToServer, &PINGREQ.repeat(9));
    assert!(third.with(|link| link.is_open()));
}

#[test]
fn a_cut_for_all_falls_once_for_each_actor() {
    let links = Links::new(1);
    let alice = links.open(START, "alice");
    links.apply(START, &everyones(cut(PacketKind::Pingreq, 1))).expect("it stands");
    let bob = links.open(START, "bob");
    for link in [&alice, &bob] {
        write(link, START, ToServer, PINGREQ);
        assert!(!link.with(|link| link.is_open()));
        let next = links.open(START, link.actor());
        write(&next, START, ToServer, PINGREQ);
        assert!(next.with(|link| link.is_open()));
    }
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let links = Links::new(1);
    let wrong = [
        (
            FaultKind::Latency { time: Delay::Between { min: ms(50), max: ms(10) }, direction: None },
            "a latency of at least 50 ms cannot be at most 10 ms",
        ),
        (FaultKind::Drop { probability: 1.5, direction: None }, "a probability of 1.5 is not between 0 and 1"),
        (FaultKind::Drop { probability: f64::NAN, direction: None }, "a probability of NaN is not between 0 and 1"),
        (FaultKind::Split { bytes: 0 }, "segments of 0 bytes carry nothing"),
        (FaultKind::Coalesce { bytes: 0, time: ms(1), direction: None }, "segments of 0 bytes carry nothing"),
        (spread(0, 10), "a median latency is at least 1 us"),
        (spread(20, 10), "of latencies with a median of 20 ms, 99 of 100 cannot be at most 10 ms"),
        (spread(1, 1_000_001), "1000.001 s is more than a million times the median of 1 ms"),
        (cut(PacketKind::Pingreq, 0), "the first PINGREQ is number 1, not 0"),
    ];
    for (kind, words) in wrong {
        assert_eq!(links.apply(START, &everyones(kind)), Err(words.to_owned()));
    }
    assert_eq!(links.unhit(), [""; 0]);
}

#[test]
fn each_connection_draws_from_its_own_stream() {
    let draw = |seed: u64, actor: &str, connections: u32| {
        let links = Links::new(seed);
        let most =
            FaultKind::Latency { time: Delay::Between { min: START, max: Duration::from_secs(1) }, direction: None };
        links.apply(START, &everyones(most)).expect("it stands");
        let mut last = None;
        for _ in 0..connections {
            last = Some(delay(&links.open(START, actor), START));
        }
        last.expect("at least one connection")
    };
    let delays = [draw(1, "alice", 1), draw(1, "alice", 2), draw(1, "bob", 1), draw(2, "alice", 1)];
    for (index, one) in delays.iter().enumerate() {
        assert!(delays[index + 1..].iter().all(|other| other != one), "{delays:?}");
    }
    assert_eq!(draw(1, "alice", 2), delays[1]);
}

#[test]
fn a_tapped_link_writes_down_frames_over_any_split() {
    let links = Links::new(1);
    let link = links.open(START, "alice");
    link.observe(START, ToServer, PINGREQ);
    assert_eq!(links.take_notes(), [], "it is not tapped yet");
    link.tap(ms(1));
    link.observe(ms(2), ToServer, &PINGREQ[..1]);
    link.observe(ms(3), ToServer, &[PINGREQ, PINGREQ].concat()[1..]);
    link.observe(ms(4), ToClient, &[0xD0, 0x00]);
    link.tell(ms(5), What::Ended { how: "FIN" });
    let notes: Vec<(Duration, String)> =
        links.take_notes().into_iter().map(|note| (note.at, note.what.to_string())).collect();
    let lines = ["opens a connection", "-> PINGREQ  [c0 00]", "-> PINGREQ  [c0 00]", "<- PINGRESP  [d0 00]", "<- FIN"];
    assert_eq!(notes.iter().map(|note| &*note.1).collect::<Vec<_>>(), lines);
    assert_eq!(notes.iter().map(|note| note.0).collect::<Vec<_>>(), [ms(1), ms(3), ms(3), ms(4), ms(5)]);
}

/// Before, within or after the first PUBLISH of alice.
fn publish_of_alice(pass: Pass) -> Moment {
    let on = Trigger { packet: PacketKind::Publish, direction: ToServer, nth: 1 };
    Moment { actor: "alice".to_owned(), on, pass }
}

/// Topic "t", payload "x", QoS 0.
const PUBLISH: &[u8] = &[0x30, 0x04, 0x00, 0x01, b't', b'x'];

fn drain(link: &SharedLink, now: Duration, direction: Direction) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Arrival::Bytes(more)) = read(link, now, direction) {
        bytes.extend_from_slice(&more);
    }
    bytes
}

#[test]
fn a_fault_strikes_at_its_moment_before_the_next_byte_passes() {
    for (pass, passed) in [(Pass::Before, 0), (Pass::Bytes(3), 3), (Pass::After, PUBLISH.len())] {
        let links = Links::new(1);
        let link = links.open(START, "alice");
        let moment = publish_of_alice(pass);
        let hold = of("alice", FaultKind::Partition { direction: Some(ToServer) });
        let armed = links.arm(&moment, Triggered::Fault(hold)).expect("it waits");
        write(&link, START, ToServer, PINGREQ);
        assert_eq!((armed.came(), links.unhit().len()), (None, 1));
        let words = links.unhit().remove(0);
        assert_eq!(links.why_unhit(&words).as_deref(), Some("its moment never came"));
        write(&link, ms(5), ToServer, &[PUBLISH, PINGREQ].concat());
        assert_eq!(armed.came(), Some(ms(5)));
        assert_eq!(drain(&link, ms(5), ToServer), [PINGREQ, &PUBLISH[..passed]].concat(), "{pass:?}");
        assert_eq!(links.unhit(), [""; 0]);
        links.apply(ms(9), &of("alice", FaultKind::Heal { reset: false })).expect("it stands");
        assert_eq!(drain(&link, ms(9), ToServer), [&PUBLISH[passed..], PINGREQ].concat(), "{pass:?}");
    }
}

#[test]
fn a_moment_on_one_link_may_strike_another_and_waits_over_connections() {
    let links = Links::new(1);
    let bob = links.open(START, "bob");
    let moment = publish_of_alice(Pass::Before);
    links.arm(&moment, Triggered::Fault(of("bob", FaultKind::Reset))).expect("it waits");
    let first = links.open(START, "alice");
    write(&first, START, ToServer, PINGREQ);
    let second = links.open(ms(1), "alice");
    write(&first, ms(1), ToServer, PUBLISH);
    assert!(bob.with(|link| link.is_open()), "the older connection does not count any more");
    write(&second, ms(2), ToServer, PUBLISH);
    assert_eq!(read(&bob, ms(2), ToClient), RST);
    assert_eq!(drain(&second, ms(2), ToServer), PUBLISH);
    assert_eq!(links.unhit(), [""; 0]);
}

#[test]
fn a_moment_at_which_nothing_can_be_done_is_told() {
    let links = Links::new(1);
    let alice = links.open(START, "alice");
    let reset = links.arm(&publish_of_alice(Pass::Before), Triggered::Fault(of("bob", FaultKind::Reset)));
    let late = links.arm(&publish_of_alice(Pass::Before), Triggered::Fault(of("bob", FaultKind::Hold)));
    write(&alice, START, ToServer, PUBLISH);
    assert!(reset.expect("it waited").came().is_some() && late.expect("it waited").came().is_some(), "both strike");
    let unhit = links.unhit();
    let words = ["bob: hold, before PUBLISH 1 from alice", "bob: RST at both ends, before PUBLISH 1 from alice"];
    assert_eq!(unhit, words);
    assert_eq!(links.why_unhit(words[0]), None, "it is in place, and nothing came by");
    assert_eq!(links.why_unhit(words[1]).as_deref(), Some("bob has no connection for 'RST at both ends'"));
}

#[test]
fn a_reset_at_a_moment_lets_pass_what_was_to_pass() {
    let links = Links::new(1);
    links.apply(START, &of("alice", latency(10))).expect("it stands");
    let link = links.open(START, "alice");
    links.arm(&publish_of_alice(Pass::After), Triggered::Fault(of("alice", FaultKind::Reset))).expect("it waits");
    write(&link, START, ToServer, &[PUBLISH, PINGREQ].concat());
    assert_eq!(read(&link, ms(10), ToServer), Some(Arrival::Bytes(Bytes::from_static(PUBLISH))));
    assert_eq!(read(&link, ms(10), ToServer), RST);
    assert_eq!(read(&link, START, ToClient), RST);
}

#[test]
fn behind_the_moment_of_an_outage_nothing_passes_and_what_passed_arrives_first() {
    for (pass, passed) in [(Pass::Before, 0), (Pass::Bytes(2), 2), (Pass::After, PUBLISH.len())] {
        let links = Links::new(1);
        links.apply(START, &of("alice", latency(10))).expect("it stands");
        let link = links.open(START, "alice");
        let armed = links.arm(&publish_of_alice(pass), Triggered::Outage).expect("it waits");
        write(&link, START, ToServer, &[PUBLISH, PINGREQ].concat());
        assert_eq!(armed.came().is_some(), pass != Pass::After, "after delivery is when it has arrived");
        assert_eq!(drain(&link, ms(10), ToServer), &PUBLISH[..passed]);
        assert!(armed.came().is_some());
    }
}

#[test]
fn what_was_sent_behind_the_moment_of_a_power_failure_is_answered_with_a_reset_when_the_power_is_back() {
    for (sent, answer) in [(PUBLISH, RST), (PINGREQ, None)] {
        let links = Links::new(1);
        let link = links.open(START, "alice");
        links.arm(&publish_of_alice(Pass::Before), Triggered::Outage).expect("it waits");
        write(&link, START, ToServer, sent);
        assert_eq!(drain(&link, START, ToServer), if sent == PINGREQ { PINGREQ } else { b"" });
        links.server_goes_dark();
        links.server_comes_back(ms(500));
        assert_eq!(read(&link, ms(500), ToClient), answer, "{sent:?}");
    }
}

#[test]
fn a_machine_that_knows_nothing_of_a_connection_resets_it_however_often_it_has_failed() {
    let links = Links::new(1);
    let link = links.open(START, "alice");
    write(&link, START, ToServer, PINGREQ);
    assert_eq!(drain(&link, START, ToServer), PINGREQ);
    for at in [100, 200] {
        links.server_goes_dark();
        links.server_comes_back(ms(at));
    }
    links.calm(ms(300));
    assert_eq!(read(&link, ms(300), ToClient), None);
    write(&link, ms(900), ToServer, PINGREQ);
    assert_eq!(read(&link, ms(900), ToClient), RST);
}
