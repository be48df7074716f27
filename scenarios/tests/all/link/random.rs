//! Any faults in any order: nothing is lost that is not told, and a seed says the same twice.

use std::time::Duration;

use proptest::prelude::*;
use squall_codec::packet::PacketKind;
use squall_scenarios::{
    fault::{CutEnd, Delay, FaultKind, Pass},
    liar::Direction::{self, ToClient, ToServer},
    link::Link,
    stage::End,
};

use super::{FIN, RST, START, cut, drain, ms, write};

/// A fault that loses nothing.
fn harmless() -> impl Strategy<Value = FaultKind> {
    let direction = || prop_oneof![Just(None), Just(Some(ToServer)), Just(Some(ToClient))];
    prop_oneof![
        (0..50u64, 0..50u64, direction()).prop_map(|(min, more, direction)| FaultKind::Latency {
            time: Delay::Between { min: ms(min), max: ms(min + more) },
            direction
        }),
        (0.0..0.7f64, direction()).prop_map(|(probability, direction)| FaultKind::Drop { probability, direction }),
        (1..50u64, 1..30u64, direction()).prop_map(|(median, times, direction)| FaultKind::Latency {
            time: Delay::Spread { median: ms(median), p99: ms(median * times) },
            direction
        }),
        (prop_oneof![Just(0), 1..5_000u64], direction())
            .prop_map(|(bytes_per_second, direction)| FaultKind::Bandwidth { bytes_per_second, direction }),
        (1..100usize, 0..300u64, direction()).prop_map(|(bytes, time, direction)| FaultKind::Coalesce {
            bytes,
            time: ms(time),
            direction
        }),
        (1..20usize).prop_map(|bytes| FaultKind::Split { bytes }),
        direction().prop_map(|direction| FaultKind::Partition { direction }),
        Just(FaultKind::Hold),
        Just(FaultKind::HalfOpen),
        Just(FaultKind::StallReading),
        Just(FaultKind::Heal { reset: false }),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Apply(FaultKind),
    Write(bool, Vec<u8>),
    Pass(u64),
    Read,
}

fn step(fault: impl Strategy<Value = FaultKind> + 'static) -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => fault.prop_map(Step::Apply),
        5 => (any::<bool>(), prop::collection::vec(any::<u8>(), 1..60)).prop_map(|(way, bytes)| Step::Write(way, bytes)),
        3 => (0..400u64).prop_map(Step::Pass),
        4 => Just(Step::Read),
    ]
}

fn any_fault() -> impl Strategy<Value = FaultKind> {
    let kind = prop::sample::select(PacketKind::ALL);
    let pass = prop_oneof![Just(Pass::Before), Just(Pass::After), (0..9usize).prop_map(Pass::Bytes)];
    let how = prop_oneof![Just(FIN), Just(RST), Just(CutEnd::HalfOpen)];
    prop_oneof![
        4 => harmless(),
        1 => any::<bool>().prop_map(|reset| FaultKind::Heal { reset }),
        1 => prop_oneof![Just(FaultKind::Reset), Just(FaultKind::Close)],
        3 => (kind, any::<bool>(), 1..4u32, pass, how).prop_map(|(packet, way, nth, pass, how)| {
            cut(packet, if way { ToServer } else { ToClient }, nth, pass, how)
        }),
    ]
}

/// What was written and read each way, the ends, and all of it with the hits in order.
struct Played {
    written: [Vec<u8>; 2],
    read: [Vec<u8>; 2],
    ends: [Option<End>; 2],
    trace: Vec<(Duration, String)>,
}

/// Plays the steps, then heals the link and reads all that is left.
fn play(seed: u64, steps: &[Step]) -> Played {
    let mut link = Link::new(seed);
    let mut played =
        Played { written: Default::default(), read: Default::default(), ends: [None; 2], trace: Vec::new() };
    let mut now = START;
    let read_all = |link: &mut Link, now: Duration, played: &mut Played| {
        for direction in [ToServer, ToClient] {
            let (bytes, end) = drain(link, now, direction);
            let way = direction as usize;
            assert!(played.ends[way].is_none() || (bytes.is_empty() && end.is_none()), "nothing comes after an end");
            played.trace.push((now, format!("{direction} {bytes:?} {end:?}")));
            played.read[way].extend(bytes);
            played.ends[way] = played.ends[way].or(end);
        }
        if let Some(deadline) = link.deadline() {
            assert!(deadline > now, "a deadline of {deadline:?} at {now:?} after everything was read");
        }
    };
    for step in steps {
        match step {
            Step::Apply(fault) => link.apply(now, fault.clone()),
            Step::Write(way, bytes) => {
                let direction = if *way { ToServer } else { ToClient };
                write(&mut link, now, direction, bytes);
                played.written[direction as usize].extend_from_slice(bytes);
            }
            Step::Pass(time) => now += ms(*time),
            Step::Read => read_all(&mut link, now, &mut played),
        }
        played.trace.extend(link.take_hits().into_iter().map(|hit| (hit.at, hit.summary)));
    }
    link.apply(now, FaultKind::Heal { reset: false });
    read_all(&mut link, now, &mut played);
    while let Some(deadline) = link.deadline() {
        read_all(&mut link, deadline, &mut played);
    }
    played
}

/// Plays the steps with readers who read at once: what came out each way and when, with the hits in order.
fn play_at_once(seed: u64, steps: &[Step], may_pass: bool) -> Vec<(Duration, String)> {
    let mut link = Link::new(seed);
    let mut trace = Vec::new();
    let mut now = START;
    let read = |link: &mut Link, now: Duration, direction: Direction, trace: &mut Vec<(Duration, String)>| {
        let (bytes, end) = drain(link, now, direction);
        if !bytes.is_empty() || end.is_some() {
            trace.push((now, format!("{direction} {bytes:?} {end:?}")));
        }
    };
    for step in steps {
        match step {
            Step::Apply(fault) => link.apply(now, fault.clone()),
            Step::Write(way, bytes) => {
                let direction = if *way { ToServer } else { ToClient };
                if may_pass && link.pass(now, direction, bytes) {
                    trace.push((now, format!("{direction} {bytes:?} None")));
                } else {
                    write(&mut link, now, direction, bytes);
                }
            }
            Step::Pass(time) => now += ms(*time),
            Step::Read => {}
        }
        for direction in [ToServer, ToClient] {
            read(&mut link, now, direction, &mut trace);
        }
        trace.extend(link.take_hits().into_iter().map(|hit| (hit.at, hit.summary)));
    }
    while let Some(deadline) = link.deadline() {
        for direction in [ToServer, ToClient] {
            read(&mut link, deadline, direction, &mut trace);
        }
    }
    trace
}

proptest! {
    #[test]
    fn what_passes_at_once_is_what_would_have_been_written_and_read(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(any_fault()), 0..60),
    ) {
        prop_assert_eq!(play_at_once(seed, &steps, true), play_at_once(seed, &steps, false));
    }

    #[test]
    fn no_harmless_fault_loses_or_reorders_a_byte(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(harmless()), 0..60),
    ) {
        let played = play(seed, &steps);
        prop_assert_eq!(&played.read, &played.written);
        prop_assert_eq!(played.ends, [None, None]);
    }

    #[test]
    fn whatever_comes_out_is_the_beginning_of_what_went_in(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(any_fault()), 0..60),
    ) {
        let played = play(seed, &steps);
        for way in 0..2 {
            prop_assert!(played.written[way].starts_with(&played.read[way]));
            // What did not end has lost nothing.
            if played.ends[way].is_none() {
                prop_assert_eq!(&played.read[way], &played.written[way]);
            }
        }
    }

    #[test]
    fn the_same_seed_plays_the_same(
        seed in any::<u64>(),
        steps in prop::collection::vec(step(any_fault()), 0..60),
    ) {
        prop_assert_eq!(play(seed, &steps).trace, play(seed, &steps).trace);
    }
}

#[test]
fn draws_are_those_of_the_pinned_generator() {
    let mut link = Link::new(42);
    link.apply(
        START,
        FaultKind::Latency { time: Delay::Between { min: START, max: Duration::from_secs(1) }, direction: None },
    );
    let mut due = Vec::new();
    for round in 0..4u64 {
        let now = Duration::from_secs(10 * round);
        write(&mut link, now, ToServer, b"x");
        due.push((link.deadline().expect("something is under way") - now).as_micros());
        drain(&mut link, now + Duration::from_secs(1), ToServer);
    }
    // A change here changes what every seed in a report means.
    assert_eq!(due, [348_254, 285_698, 493_472, 367_892]);
}
