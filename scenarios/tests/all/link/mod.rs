//! The link alone: what goes in, what comes out and when, and which faults say that they took effect.

mod line;
mod random;

use std::time::Duration;

use bytes::Bytes;
use squall_codec::packet::PacketKind;
use squall_scenarios::{
    fault::{CutEnd, Delay, FaultKind, Pass, Trigger},
    liar::Direction::{self, ToClient, ToServer},
    link::{Link, WINDOW_BYTES},
    stage::{Arrival, End},
};

const START: Duration = Duration::ZERO;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// All that comes out of a direction by `now`: the bytes, joined, and the end.
fn drain(link: &mut Link, now: Duration, direction: Direction) -> (Vec<u8>, Option<End>) {
    let (mut bytes, mut end) = (Vec::new(), None);
    while let Some(arrival) = link.read(now, direction) {
        assert_eq!(end, None, "nothing comes after an end");
        match arrival {
            Arrival::Bytes(more) => {
                assert!(!more.is_empty());
                bytes.extend_from_slice(&more);
            }
            Arrival::End(how) => end = Some(how),
        }
    }
    (bytes, end)
}

fn write(link: &mut Link, now: Duration, direction: Direction, bytes: &[u8]) {
    link.write(now, direction, Bytes::copy_from_slice(bytes));
}

/// What took effect, as (fault, words).
fn hits(link: &mut Link) -> Vec<(usize, String)> {
    link.take_hits().into_iter().map(|hit| (hit.fault, hit.summary)).collect()
}

fn latency(min: u64, max: u64) -> FaultKind {
    FaultKind::Latency { time: Delay::Between { min: ms(min), max: ms(max) }, direction: None }
}

fn cut(packet: PacketKind, direction: Direction, nth: u32, pass: Pass, how: CutEnd) -> FaultKind {
    FaultKind::Cut { on: Trigger { packet, direction, nth }, pass, how }
}

const FIN: CutEnd = CutEnd::End(End::Fin);
const RST: CutEnd = CutEnd::End(End::Reset);

const PINGREQ: &[u8] = &[0xC0, 0x00];
const PUBREC: &[u8] = &[0x50, 0x02, 0x00, 0x07];
const PUBCOMP: &[u8] = &[0x70, 0x02, 0x00, 0x07];

#[test]
fn what_has_passed_counts_for_who_waits_for_a_frame() {
    let mut link = Link::new(1);
    assert!(link.pass(ms(5), ToServer, PINGREQ));
    // The first byte of the next one passes too, and the rest is what is waited for.
    assert!(link.pass(ms(6), ToServer, &PINGREQ[..1]));
    link.apply(ms(6), cut(PacketKind::Pingreq, ToServer, 1, Pass::After, FIN));
    assert!(!link.pass(ms(7), ToServer, &PINGREQ[1..]), "somebody waits for a frame");
    assert!(link.pass(ms(7), ToClient, PUBREC), "and not in this direction");
    assert_eq!(link.deadline(), None);
}

#[test]
fn without_faults_everything_passes_at_once() {
    let mut link = Link::new(1);
    write(&mut link, ms(5), ToServer, b"abc");
    write(&mut link, ms(5), ToClient, b"xyz");
    assert_eq!(link.deadline(), Some(ms(5)));
    assert_eq!(drain(&mut link, ms(5), ToServer), (b"abc".to_vec(), None));
    assert_eq!(drain(&mut link, ms(5), ToClient), (b"xyz".to_vec(), None));
    assert_eq!(link.deadline(), None);
    assert_eq!(hits(&mut link), []);
}

#[test]
fn fin_ends_one_direction_and_rst_both() {
    let mut link = Link::new(1);
    write(&mut link, START, ToServer, b"last");
    link.end(START, ToServer, End::Fin);
    write(&mut link, START, ToServer, b"too late");
    assert_eq!(drain(&mut link, START, ToServer), (b"last".to_vec(), Some(End::Fin)));
    write(&mut link, START, ToClient, b"still");
    assert_eq!(drain(&mut link, START, ToClient), (b"still".to_vec(), None));
    assert!(link.is_open() && !link.is_finished());

    link.end(START, ToClient, End::Reset);
    assert_eq!(drain(&mut link, START, ToClient), (vec![], Some(End::Reset)));
    assert!(!link.is_open() && link.is_finished());
}

#[test]
fn who_aborts_reads_rst_at_once_and_the_other_behind_what_was_on_the_wire() {
    let mut link = Link::new(1);
    link.apply(START, latency(10, 10));
    write(&mut link, START, ToServer, b"sent");
    write(&mut link, START, ToClient, b"lost");
    link.end(ms(1), ToServer, End::Reset);
    assert_eq!(drain(&mut link, ms(1), ToClient), (vec![], Some(End::Reset)));
    assert_eq!(drain(&mut link, ms(10), ToServer), (b"sent".to_vec(), None));
    assert_eq!(drain(&mut link, ms(11), ToServer), (vec![], Some(End::Reset)));
}

#[test]
fn latency_delays_each_segment_and_tells_once() {
    let mut link = Link::new(1);
    link.apply(START, latency(10, 10));
    write(&mut link, START, ToServer, b"a");
    write(&mut link, ms(3), ToServer, b"b");
    assert_eq!(link.deadline(), Some(ms(10)));
    assert_eq!(drain(&mut link, ms(9), ToServer), (vec![], None));
    assert_eq!(drain(&mut link, ms(10), ToServer), (b"a".to_vec(), None));
    assert_eq!(link.deadline(), Some(ms(13)));
    assert_eq!(drain(&mut link, ms(13), ToServer), (b"b".to_vec(), None));
    assert_eq!(hits(&mut link), [(0, "a segment of 1 byte to the server takes 10 ms".to_owned())]);
}

#[test]
fn latency_between_two_bounds_is_whole_microseconds_and_differs() {
    let mut link = Link::new(7);
    link.apply(START, latency(1, 5));
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..200u64 {
        let now = Duration::from_secs(round);
        write(&mut link, now, ToClient, b"x");
        let due = link.deadline().expect("something is under way") - now;
        assert!(due >= ms(1) && due <= ms(5), "{due:?}");
        assert_eq!(due.subsec_nanos() % 1_000, 0);
        seen.insert(due);
        drain(&mut link, now + due, ToClient);
    }
    assert!(seen.len() > 150, "only {} different delays", seen.len());
}

#[test]
fn one_directions_latency_leaves_the_other_alone_and_a_later_one_takes_its_place() {
    let mut link = Link::new(1);
    link.apply(
        START,
        FaultKind::Latency { time: Delay::Between { min: ms(10), max: ms(10) }, direction: Some(ToServer) },
    );
    write(&mut link, START, ToClient, b"x");
    assert_eq!(drain(&mut link, START, ToClient), (b"x".to_vec(), None));
    link.apply(
        START,
        FaultKind::Latency { time: Delay::Between { min: ms(2), max: ms(2) }, direction: Some(ToServer) },
    );
    write(&mut link, START, ToServer, b"x");
    assert_eq!(link.deadline(), Some(ms(2)));
    assert_eq!(hits(&mut link).iter().map(|hit| hit.0).collect::<Vec<_>>(), [1], "the first never touched anything");
}

#[test]
fn taking_a_latency_away_is_an_effect_only_if_there_was_one() {
    let mut link = Link::new(1);
    link.apply(START, latency(0, 0));
    assert_eq!(hits(&mut link), []);
    link.apply(START, latency(3, 3));
    link.apply(START, latency(0, 0));
    assert_eq!(hits(&mut link), [(2, "no latency any more".to_owned())]);
}

#[test]
fn a_lost_segment_comes_after_the_retransmission_time_out_and_what_follows_waits() {
    let mut link = Link::new(1);
    link.apply(START, FaultKind::Drop { probability: 1.0, direction: Some(ToServer) });
    write(&mut link, START, ToServer, b"a");
    // 200 ms, doubled each time up to two minutes, fifteen times.
    let waits: u64 = (0..15).map(|loss| (200u64 << loss).min(120_000)).sum();
    assert_eq!(link.deadline(), Some(ms(waits)));
    link.apply(START, FaultKind::Drop { probability: 0.0, direction: None });
    write(&mut link, ms(1), ToServer, b"b");
    assert_eq!(drain(&mut link, ms(waits - 1), ToServer), (vec![], None));
    assert_eq!(drain(&mut link, ms(waits), ToServer), (b"ab".to_vec(), None));
    let told: Vec<String> = hits(&mut link).into_iter().map(|hit| hit.1).collect();
    assert_eq!(told, ["a segment of 1 byte to the server lost 15 times, 804.6 s late", "no loss any more"]);
}

#[test]
fn a_probability_is_met_within_chance() {
    let mut link = Link::new(3);
    link.apply(START, FaultKind::Drop { probability: 0.2, direction: None });
    for round in 0..1_000u64 {
        write(&mut link, Duration::from_secs(round * 10_000), ToServer, b"x");
        drain(&mut link, Duration::from_secs(round * 10_000 + 9_999), ToServer);
    }
    let lost = hits(&mut link).len();
    // Five standard deviations around 200.
    assert!((137..=263).contains(&lost), "{lost} of 1000 segments lost at 20 %");
}

#[test]
fn split_delivers_in_small_segments_and_tells_only_if_it_split() {
    let mut link = Link::new(1);
    link.apply(START, FaultKind::Split { bytes: 3 });
    write(&mut link, START, ToServer, b"abc");
    assert_eq!(hits(&mut link), []);
    write(&mut link, START, ToServer, b"defgh");
    assert_eq!(link.read(START, ToServer), Some(Arrival::Bytes(Bytes::from_static(b"abc"))));
    assert_eq!(link.read(START, ToServer), Some(Arrival::Bytes(Bytes::from_static(b"def"))));
    assert_eq!(link.read(START, ToServer), Some(Arrival::Bytes(Bytes::from_static(b"gh"))));
    assert_eq!(link.read(START, ToServer), None);
    assert_eq!(hits(&mut link), [(0, "5 bytes to the server in 2 segments of 3 bytes".to_owned())]);
}

#[test]
fn a_partition_holds_back_what_is_under_way_and_what_comes_and_heal_lets_it_go() {
    let mut link = Link::new(1);
    link.apply(START, latency(10, 10));
    write(&mut link, START, ToServer, b"arrived");
    write(&mut link, ms(5), ToServer, b"under way");
    link.apply(ms(12), FaultKind::Partition { direction: Some(ToServer) });
    assert_eq!(hits(&mut link)[1], (1, "partition: 9 bytes to the server held back".to_owned()));
    assert_eq!(drain(&mut link, ms(500), ToServer), (b"arrived".to_vec(), None));
    write(&mut link, ms(500), ToServer, b"!");
    link.end(ms(500), ToServer, End::Fin);
    write(&mut link, ms(500), ToClient, b"the other way");
    assert_eq!(drain(&mut link, ms(510), ToClient), (b"the other way".to_vec(), None));
    assert_eq!(link.deadline(), None);
    assert!(link.is_blocked(ToServer) && !link.is_blocked(ToClient));

    link.apply(ms(600), FaultKind::Heal { reset: false });
    assert_eq!(hits(&mut link).last(), Some(&(2, "healed: 10 bytes that waited go on".to_owned())));
    assert_eq!(link.deadline(), Some(ms(600)));
    assert_eq!(drain(&mut link, ms(600), ToServer), (b"under way!".to_vec(), Some(End::Fin)));
}

#[test]
fn an_outage_that_held_nothing_back_touched_nothing() {
    let mut link = Link::new(1);
    link.apply(START, FaultKind::Partition { direction: None });
    link.apply(ms(1), FaultKind::Heal { reset: false });
    assert_eq!(hits(&mut link), [(1, "healed: 0 bytes that waited go on".to_owned())]);
    link.apply(ms(2), FaultKind::Heal { reset: true });
    assert_eq!(hits(&mut link), [], "there was nothing to heal");
    assert!(link.is_open());
}

#[test]
fn an_outage_longer_than_patience_ends_in_a_reset_at_both_ends() {
    let mut link = Link::new(1);
    link.apply(START, FaultKind::Hold);
    write(&mut link, START, ToServer, b"four");
    write(&mut link, START, ToClient, b"five!");
    link.apply(ms(9), FaultKind::Heal { reset: true });
    assert_eq!(drain(&mut link, ms(9), ToServer), (vec![], Some(End::Reset)));
    assert_eq!(drain(&mut link, ms(9), ToClient), (vec![], Some(End::Reset)));
    let told = hits(&mut link);
    assert_eq!(told[0], (0, "hold: 4 bytes to the server held back".to_owned()));
    assert_eq!(told[2], (1, "healed too late: RST at both ends, 9 bytes lost".to_owned()));
}

#[test]
fn a_reset_loses_what_has_not_arrived_and_pierces_an_outage() {
    let mut link = Link::new(1);
    link.apply(START, latency(10, 10));
    write(&mut link, START, ToServer, b"arrived");
    write(&mut link, ms(5), ToServer, b"not");
    link.apply(ms(11), FaultKind::Partition { direction: None });
    link.apply(ms(11), FaultKind::Reset);
    assert_eq!(drain(&mut link, ms(11), ToServer), (b"arrived".to_vec(), Some(End::Reset)));
    assert_eq!(drain(&mut link, ms(11), ToClient), (vec![], Some(End::Reset)));
    assert_eq!(hits(&mut link).last(), Some(&(2, "RST at both ends, 3 bytes undelivered".to_owned())));
    link.apply(ms(12), FaultKind::Reset);
    assert_eq!(hits(&mut link), [], "there is nothing left to reset");
}

#[test]
fn a_close_is_a_fin_to_the_server_behind_its_bytes() {
    let mut link = Link::new(1);
    link.apply(START, latency(10, 10));
    write(&mut link, START, ToServer, b"bytes");
    write(&mut link, START, ToClient, b"lost");
    link.apply(ms(1), FaultKind::Close);
    assert_eq!(drain(&mut link, ms(1), ToClient), (vec![], Some(End::Fin)));
    write(&mut link, ms(2), ToClient, b"nobody reads");
    assert_eq!(drain(&mut link, ms(11), ToServer), (b"bytes".to_vec(), Some(End::Fin)));
    assert_eq!(drain(&mut link, ms(99), ToClient), (vec![], None));
}

#[test]
fn a_half_open_link_is_silent_both_ways() {
    let mut link = Link::new(1);
    link.apply(START, FaultKind::HalfOpen);
    assert_eq!(hits(&mut link), [(0, "the client is gone without a sign".to_owned())]);
    write(&mut link, START, ToServer, b"a");
    write(&mut link, START, ToClient, b"b");
    link.end(START, ToClient, End::Fin);
    assert_eq!(drain(&mut link, ms(1_000_000), ToServer), (vec![], None));
    assert_eq!(drain(&mut link, ms(1_000_000), ToClient), (vec![], None));
    assert_eq!(link.deadline(), None);
}

#[test]
fn a_reader_who_stalls_fills_the_window() {
    let mut link = Link::new(1);
    link.apply(START, FaultKind::StallReading);
    assert_eq!(hits(&mut link), []);
    assert_eq!(link.room(ToClient), WINDOW_BYTES);
    write(&mut link, START, ToClient, &[0; 1000]);
    assert_eq!(hits(&mut link), [(0, "the client does not read: 1000 bytes wait".to_owned())]);
    assert_eq!(link.room(ToClient), WINDOW_BYTES - 1000);
    write(&mut link, START, ToClient, &[0; WINDOW_BYTES]);
    assert_eq!(link.room(ToClient), 0);
    assert_eq!(link.deadline(), None);
    write(&mut link, START, ToServer, b"x");
    assert_eq!(drain(&mut link, START, ToServer), (b"x".to_vec(), None));
    link.apply(ms(5), FaultKind::Heal { reset: false });
    assert_eq!(drain(&mut link, ms(5), ToClient).0.len(), WINDOW_BYTES + 1000);
    assert_eq!(link.room(ToClient), WINDOW_BYTES);
}

#[test]
fn a_cut_before_a_frame_lets_what_precedes_it_pass() {
    let mut link = Link::new(1);
    link.apply(START, cut(PacketKind::Pubrec, ToClient, 1, Pass::Before, FIN));
    write(&mut link, START, ToClient, &[PUBCOMP, PUBREC, PINGREQ].concat());
    assert_eq!(drain(&mut link, START, ToClient), (PUBCOMP.to_vec(), Some(End::Fin)));
    assert_eq!(drain(&mut link, START, ToServer), (vec![], Some(End::Fin)));
    assert_eq!(hits(&mut link), [(0, "cut before PUBREC 1 to the client (FIN), 0 of 4 bytes passed".to_owned())]);
    assert!(!link.is_open());
}

#[test]
fn a_cut_after_a_frame_lets_it_pass_and_drops_the_rest() {
    let mut link = Link::new(1);
    link.apply(START, cut(PacketKind::Pubrec, ToClient, 2, Pass::After, RST));
    write(&mut link, START, ToClient, &[PUBREC, PUBREC, PINGREQ].concat());
    assert_eq!(drain(&mut link, START, ToClient), ([PUBREC, PUBREC].concat(), Some(End::Reset)));
    assert_eq!(drain(&mut link, START, ToServer), (vec![], Some(End::Reset)));
    assert_eq!(hits(&mut link), [(0, "cut after PUBREC 2 to the client (RST), 4 of 4 bytes passed".to_owned())]);
}

#[test]
fn a_cut_within_a_frame_is_exact_over_any_split_of_the_writes() {
    for passes in 0..=5 {
        for split in 0..=PUBREC.len() {
            let mut link = Link::new(1);
            link.apply(START, cut(PacketKind::Pubrec, ToServer, 1, Pass::Bytes(passes), RST));
            let (first, second) = PUBREC.split_at(split);
            write(&mut link, START, ToServer, &[PINGREQ, first].concat());
            write(&mut link, START, ToServer, &[second, PINGREQ].concat());
            let expected = [PINGREQ, &PUBREC[..passes.min(4)]].concat();
            assert_eq!(drain(&mut link, START, ToServer), (expected, Some(End::Reset)), "{passes} {split}");
            assert_eq!(hits(&mut link).len(), 1);
        }
    }
}

#[test]
fn a_cut_counts_from_when_it_was_put_in_place() {
    let mut link = Link::new(1);
    write(&mut link, START, ToServer, PUBREC);
    link.apply(START, cut(PacketKind::Pubrec, ToServer, 2, Pass::Before, FIN));
    write(&mut link, START, ToServer, PUBREC);
    write(&mut link, START, ToClient, &[PUBREC, PUBREC].concat());
    assert_eq!(drain(&mut link, START, ToServer), ([PUBREC, PUBREC].concat(), None));
    write(&mut link, START, ToServer, PUBREC);
    assert_eq!(drain(&mut link, START, ToServer), (vec![], Some(End::Fin)));
}

#[test]
fn the_earlier_of_two_cuts_falls_and_the_other_touches_nothing() {
    let mut link = Link::new(1);
    link.apply(START, cut(PacketKind::Pubrec, ToServer, 1, Pass::After, FIN));
    link.apply(START, cut(PacketKind::Pubrec, ToServer, 1, Pass::Bytes(1), FIN));
    write(&mut link, START, ToServer, PUBREC);
    assert_eq!(drain(&mut link, START, ToServer), (PUBREC[..1].to_vec(), Some(End::Fin)));
    assert_eq!(hits(&mut link).iter().map(|hit| hit.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_cut_arrives_when_the_frame_would_have() {
    let mut link = Link::new(1);
    link.apply(START, latency(10, 10));
    link.apply(START, cut(PacketKind::Pubrec, ToServer, 1, Pass::After, RST));
    write(&mut link, START, ToServer, PUBREC);
    assert_eq!(drain(&mut link, ms(9), ToServer), (vec![], None));
    assert_eq!(drain(&mut link, ms(10), ToServer), (PUBREC.to_vec(), Some(End::Reset)));
}

#[test]
fn behind_a_half_open_cut_nothing_passes_until_it_is_healed() {
    let mut link = Link::new(1);
    link.apply(START, cut(PacketKind::Pubrec, ToServer, 1, Pass::Bytes(2), CutEnd::HalfOpen));
    link.apply(START, cut(PacketKind::Pubcomp, ToServer, 1, Pass::Before, RST));
    write(&mut link, START, ToServer, &[PUBREC, PINGREQ].concat());
    write(&mut link, START, ToClient, b"x");
    assert_eq!(drain(&mut link, ms(99), ToServer), (PUBREC[..2].to_vec(), None));
    assert_eq!(drain(&mut link, ms(99), ToClient), (vec![], None));
    link.apply(ms(100), FaultKind::Heal { reset: false });
    assert_eq!(drain(&mut link, ms(100), ToServer), ([&PUBREC[2..], PINGREQ].concat(), None));
    assert_eq!(drain(&mut link, ms(100), ToClient), (b"x".to_vec(), None));
    // The frames are still followed.
    write(&mut link, ms(100), ToServer, PUBCOMP);
    assert_eq!(drain(&mut link, ms(100), ToServer), (vec![], Some(End::Reset)));
}

#[test]
fn a_reader_who_is_gone_takes_nothing_and_blocks_nobody() {
    let mut link = Link::new(1);
    write(&mut link, START, ToClient, &[0; WINDOW_BYTES]);
    assert_eq!(link.room(ToClient), 0);
    link.abandon(ToClient);
    assert_eq!(link.room(ToClient), WINDOW_BYTES);
    write(&mut link, START, ToClient, b"x");
    assert_eq!(link.deadline(), None);
}
