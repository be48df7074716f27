//! The record: its order, its canonical form, its digest.

use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use squall_scenarios::{
    liar::Direction,
    shared_link::Note,
    transcript::{EntryId, Transcript, What},
};

fn note(at: u64, actor: &str, summary: &str) -> Note {
    let what = What::Fault { summary: summary.to_owned() };
    Note { at: Duration::from_micros(at), actor: Arc::from(actor), connection: 1, what }
}

/// A record with one line of each kind.
fn example() -> Transcript {
    let transcript = Transcript::new();
    let alice: Rc<str> = Rc::from("alice");
    let frame = |bytes: &'static [u8]| Bytes::from_static(bytes);
    let lines = [
        (0, What::Opened),
        (1, What::Sent { summary: "PINGREQ".to_owned(), bytes: frame(&[0xC0, 0x00]) }),
        (1_500, What::Received { summary: "say \"hü\"".to_owned(), bytes: frame(&[0xD0, 0x00]) }),
        (1_500, What::Fault { summary: "cut".to_owned() }),
        (2_000_000, What::Told { summary: "a message".to_owned() }),
        (2_000_000, What::Ended { how: "RST" }),
        (3_600_000_000, What::Closed { how: "FIN" }),
    ];
    for (index, (at, what)) in lines.into_iter().enumerate() {
        assert_eq!(transcript.record(Duration::from_micros(at), &alice, 1, what), EntryId(index));
    }
    transcript
}

#[test]
fn the_canonical_lines_never_change() {
    let lines = [
        r#"{"seq":0,"at_us":0,"actor":"alice","connection":1,"what":"opened"}"#,
        r#"{"seq":1,"at_us":1,"actor":"alice","connection":1,"what":"sent","text":"PINGREQ","bytes":"c000"}"#,
        r#"{"seq":2,"at_us":1500,"actor":"alice","connection":1,"what":"received","text":"say \"hü\"","bytes":"d000"}"#,
        r#"{"seq":3,"at_us":1500,"actor":"alice","connection":1,"what":"fault","text":"cut"}"#,
        r#"{"seq":4,"at_us":2000000,"actor":"alice","connection":1,"what":"told","text":"a message"}"#,
        r#"{"seq":5,"at_us":2000000,"actor":"alice","connection":1,"what":"ended","text":"RST"}"#,
        r#"{"seq":6,"at_us":3600000000,"actor":"alice","connection":1,"what":"closed","text":"FIN"}"#,
        "",
    ];
    assert_eq!(example().json_lines(), lines.join("\n"));
    // xxh3-64 of exactly those bytes: a change here makes every digest of an older run meaningless.
    assert_eq!(format!("{:016x}", example().digest()), "52f1f28d782663f8");
}

#[test]
fn any_difference_changes_the_digest() {
    let (one, other) = (example(), example());
    assert_eq!(one.digest(), other.digest());
    other.record(Duration::ZERO, &Rc::from("bob"), 1, What::Opened);
    assert_ne!(one.digest(), other.digest());
}

#[test]
fn a_person_reads_times_names_and_bytes() {
    let transcript = example();
    let long = Bytes::from(vec![0xAB; 30]);
    let bob: Rc<str> = Rc::from("bob");
    transcript.record(Duration::from_secs(3_600), &bob, 12, What::Sent { summary: "PUBLISH".to_owned(), bytes: long });
    let text = transcript.render();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], "    0.000001  alice#1  -> PINGREQ  [c0 00]");
    assert_eq!(lines[6], " 3600.000000  alice#1  -> FIN");
    assert!(
        lines[7].starts_with(" 3600.000000  bob#12   -> PUBLISH  [ab ab ") && lines[7].ends_with(" ab and 6 more]")
    );
}

#[test]
fn packets_of_a_connection_stand_alone() {
    let transcript = example();
    let bob: Rc<str> = Rc::from("bob");
    let frame = Bytes::from_static(&[0xE0, 0x00]);
    transcript.record(Duration::ZERO, &bob, 1, What::Sent { summary: "DISCONNECT".to_owned(), bytes: frame });
    let of = |actor, connection| {
        let packets = transcript.packets_of(actor, connection);
        packets.into_iter().map(|line| (line.direction, line.bytes[0])).collect::<Vec<_>>()
    };
    assert_eq!(of("alice", 1), [(Direction::ToServer, 0xC0), (Direction::ToClient, 0xD0)]);
    assert_eq!(of("bob", 1), [(Direction::ToServer, 0xE0)]);
    assert_eq!(of("alice", 2), []);
    assert_eq!(transcript.connections(), [(Rc::from("alice"), 1)]);
    assert_eq!((transcript.next_connection("alice"), transcript.next_connection("bob")), (2, 1));
}

#[test]
fn what_a_source_wrote_stands_before_the_next_line() {
    let transcript = Transcript::new();
    let written = Rc::new(RefCell::new(vec![note(1, "alice", "first")]));
    let source = Rc::clone(&written);
    transcript.pull_from(move || source.borrow_mut().drain(..).collect());
    let alice: Rc<str> = Rc::from("alice");
    let second = transcript.record(Duration::from_micros(2), &alice, 1, What::Opened);
    assert_eq!(second, EntryId(1));
    written.borrow_mut().push(note(3, "alice", "third"));
    assert_eq!(transcript.len(), 3);
    let at: Vec<u128> = transcript.entries().iter().map(|entry| entry.at.as_micros()).collect();
    assert_eq!(at, [1, 2, 3]);
}
