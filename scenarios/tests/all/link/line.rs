//! What the line itself does: bandwidth, senders that gather, delays that spread.

use squall_codec::packet::PacketKind;
use squall_scenarios::{
    fault::{Delay, FaultKind, Pass},
    liar::Direction::{ToClient, ToServer},
    link::{Link, WINDOW_BYTES},
    stage::{Arrival, End},
};

use super::{FIN, PINGREQ, PUBREC, START, cut, drain, hits, latency, ms, write};

fn bandwidth(bytes_per_second: u64) -> FaultKind {
    FaultKind::Bandwidth { bytes_per_second, direction: None }
}

fn coalesce(bytes: usize, time: u64) -> FaultKind {
    FaultKind::Coalesce { bytes, time: ms(time), direction: Some(ToServer) }
}

#[test]
fn a_slow_line_takes_its_time_for_each_byte_and_what_follows_waits_for_the_line() {
    let mut link = Link::new(1);
    link.apply(START, bandwidth(1_000));
    write(&mut link, START, ToServer, &[1; 100]);
    write(&mut link, ms(20), ToServer, &[2; 50]);
    write(&mut link, ms(20), ToClient, &[3; 10]);
    assert_eq!(drain(&mut link, ms(99), ToServer), (vec![], None));
    assert_eq!(drain(&mut link, ms(100), ToServer), (vec![1; 100], None));
    assert_eq!(link.deadline_of(ToServer), Some(ms(150)), "50 bytes more, behind the first");
    assert_eq!(drain(&mut link, ms(150), ToServer), (vec![2; 50], None));
    assert_eq!(link.deadline_of(ToClient), Some(ms(30)), "each way has a line of its own");
    // The line is free again: nothing is owed for the time in which nobody sent.
    write(&mut link, ms(1_000), ToServer, &[4; 1]);
    assert_eq!(link.deadline_of(ToServer), Some(ms(1_001)));
    let told = hits(&mut link);
    assert_eq!(told[0], (0, "a segment of 100 bytes to the server takes 100 ms at 1000 bytes/s".to_owned()));
    assert_eq!(told.len(), 2, "once each way");
}

#[test]
fn a_slow_line_carries_much_in_full_segments() {
    let mut link = Link::new(1);
    link.apply(START, bandwidth(1_460));
    write(&mut link, START, ToServer, &[1; 3_000]);
    assert_eq!(drain(&mut link, ms(1_000), ToServer).0.len(), 1_460);
    assert_eq!(drain(&mut link, ms(2_000), ToServer).0.len(), 1_460);
    assert_eq!(drain(&mut link, ms(2_055), ToServer).0.len(), 80);
    link.apply(ms(3_000), bandwidth(0));
    write(&mut link, ms(3_000), ToServer, &[1; 3_000]);
    assert_eq!(drain(&mut link, ms(3_000), ToServer).0.len(), 3_000);
    assert_eq!(hits(&mut link).last(), Some(&(1, "no bound of the bandwidth any more".to_owned())));
}

#[test]
fn latency_comes_behind_the_line_and_what_an_outage_held_back_goes_over_the_line_behind_it() {
    let mut link = Link::new(1);
    link.apply(START, bandwidth(1_000));
    link.apply(START, latency(7, 7));
    write(&mut link, START, ToServer, &[1; 10]);
    assert_eq!(link.deadline_of(ToServer), Some(ms(17)));
    drain(&mut link, ms(17), ToServer);
    link.apply(ms(20), FaultKind::Hold);
    write(&mut link, ms(20), ToServer, &[2; 10]);
    write(&mut link, ms(21), ToServer, &[3; 10]);
    link.apply(ms(500), FaultKind::Heal { reset: false });
    assert_eq!(drain(&mut link, ms(509), ToServer), (vec![], None));
    assert_eq!(drain(&mut link, ms(510), ToServer), (vec![2; 10], None));
    assert_eq!(drain(&mut link, ms(520), ToServer), (vec![3; 10], None));
}

#[test]
fn a_sender_that_gathers_waits_for_a_full_segment_or_for_its_time() {
    let mut link = Link::new(1);
    link.apply(START, coalesce(4, 200));
    write(&mut link, START, ToServer, b"ab");
    assert_eq!(link.deadline(), Some(ms(200)));
    assert_eq!(drain(&mut link, ms(100), ToServer), (vec![], None));
    write(&mut link, ms(100), ToServer, b"cde");
    assert_eq!(drain(&mut link, ms(100), ToServer), (b"abcd".to_vec(), None));
    assert_eq!(hits(&mut link), [(0, "2 writes to the server in a segment of 4 bytes".to_owned())]);
    assert_eq!(link.deadline(), Some(ms(300)), "what is left waits anew");
    assert_eq!(drain(&mut link, ms(300), ToServer), (b"e".to_vec(), None));
    write(&mut link, ms(300), ToClient, b"the other way");
    assert_eq!(drain(&mut link, ms(300), ToClient), (b"the other way".to_vec(), None));
    write(&mut link, ms(400), ToServer, b"f");
    link.end(ms(450), ToServer, End::Fin);
    assert_eq!(drain(&mut link, ms(450), ToServer), (b"f".to_vec(), Some(End::Fin)), "nothing more will come");
}

#[test]
fn a_sender_that_gathers_touches_nothing_that_was_full_or_did_not_wait() {
    let mut link = Link::new(1);
    link.apply(START, coalesce(4, 200));
    write(&mut link, START, ToServer, b"abcd");
    assert_eq!(drain(&mut link, START, ToServer), (b"abcd".to_vec(), None));
    assert_eq!(hits(&mut link), []);
    write(&mut link, START, ToServer, b"e");
    assert_eq!(link.room(ToServer), WINDOW_BYTES - 1, "what waits is in the window");
    link.apply(ms(20), coalesce(4, 0));
    assert_eq!(drain(&mut link, ms(20), ToServer), (b"e".to_vec(), None));
    write(&mut link, ms(30), ToServer, b"f");
    assert_eq!(drain(&mut link, ms(30), ToServer), (b"f".to_vec(), None));
    let told: Vec<String> = hits(&mut link).into_iter().map(|hit| hit.1).collect();
    assert_eq!(told, ["a segment of 1 byte to the server waited for more", "no waiting for more any more"]);
}

#[test]
fn what_gathers_is_lost_with_the_link_and_passes_before_a_cut() {
    let mut link = Link::new(1);
    link.apply(START, coalesce(100, 200));
    write(&mut link, START, ToServer, b"lost");
    link.apply(ms(1), FaultKind::Reset);
    assert_eq!(drain(&mut link, ms(500), ToServer), (vec![], Some(End::Reset)));

    let mut link = Link::new(1);
    link.apply(START, coalesce(100, 200));
    link.apply(START, cut(PacketKind::Pubrec, ToServer, 1, Pass::After, FIN));
    write(&mut link, START, ToServer, &[PINGREQ, PUBREC].concat());
    assert_eq!(drain(&mut link, START, ToServer), ([PINGREQ, PUBREC].concat(), Some(End::Fin)));
}

#[test]
fn a_spread_is_drawn_in_whole_microseconds_and_keeps_the_order() {
    let mut link = Link::new(3);
    link.apply(START, FaultKind::Latency { time: Delay::Spread { median: ms(20), p99: ms(200) }, direction: None });
    let mut last = START;
    for round in 0..500u64 {
        write(&mut link, ms(round), ToServer, &[round as u8]);
    }
    for round in 0..500u64 {
        let due = link.deadline_of(ToServer).expect("it is under way");
        assert!(due >= last && due.subsec_nanos().is_multiple_of(1_000));
        let Some(Arrival::Bytes(bytes)) = link.read(due, ToServer) else { panic!("a segment arrives when it is due") };
        assert_eq!(bytes[0], round as u8);
        last = due;
    }
}
