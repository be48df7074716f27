//! A capture: what it holds is what went over the wire.

use std::collections::BTreeMap;

use squall_codec::version::Version;
use squall_conformance::{
    capture::Capture,
    event::{Event, Listener},
    own,
    report::model::{Direction, TestEntry},
    select::{Planned, all},
};

use super::report;

/// One packet of a capture: the time, who sent it, the flags of TCP, the sequence number, what is in it.
struct Captured {
    at_us: u64,
    ends: (Vec<u8>, u16, Vec<u8>, u16),
    flags: u8,
    sequence: u32,
    payload: Vec<u8>,
    comment: String,
}

fn sum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) * 256 + pair.get(1).map_or(0, |low| u32::from(*low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).expect("it was folded")
}

/// Reads pcapng as the format says, and checks every length and checksum on the way.
fn captured(file: &[u8]) -> Vec<Captured> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    let mut packets = Vec::new();
    let mut at = 0;
    let mut kinds = Vec::new();
    while at < file.len() {
        let (kind, length) = (word(at), word(at + 4) as usize);
        assert_eq!(length % 4, 0);
        assert_eq!(word(at + length - 4) as usize, length, "a block says its length twice");
        kinds.push(kind);
        if kind == 6 {
            let caplen = word(at + 20) as usize;
            let ip = &file[at + 28..at + 28 + caplen];
            assert_eq!((ip[0], ip[9]), (0x45, 6), "IPv4 with TCP");
            assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
            assert_eq!(sum(&ip[..20]), 0xffff, "the checksum of IP");
            let tcp = &ip[20..];
            let length = u16::try_from(tcp.len()).expect("short").to_be_bytes();
            let pseudo = [&ip[12..20], &[0, 6], &length, tcp].concat();
            assert_eq!(sum(&pseudo), 0xffff, "the checksum of TCP");
            let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
            let options = at + 28 + caplen.next_multiple_of(4);
            let comment = if options < at + length_of(&file[at..]) - 4 {
                let length = usize::from(u16::from_le_bytes([file[options + 2], file[options + 3]]));
                String::from_utf8(file[options + 4..options + 4 + length].to_vec()).expect("text")
            } else {
                String::new()
            };
            packets.push(Captured {
                at_us: u64::from(word(at + 12)) << 32 | u64::from(word(at + 16)),
                ends: (ip[12..16].to_vec(), port(0), ip[16..20].to_vec(), port(2)),
                flags: tcp[13],
                sequence: u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]),
                payload: tcp[20..].to_vec(),
                comment,
            });
        }
        at += length;
    }
    assert_eq!(kinds[..2], [0x0A0D_0D0A, 1], "a section, then its interface");
    packets
}

fn length_of(block: &[u8]) -> usize {
    u32::from_le_bytes(block[4..8].try_into().expect("four bytes")) as usize
}

#[test]
fn a_capture_reads_back_as_the_packets_that_were_sent() {
    // Some send much, some wait, some have many connections.
    let chosen = |planned: &Planned| planned.version == Version::V5_0 && planned.section.number.starts_with("3.1");
    let chosen: Vec<_> = all().into_iter().filter(chosen).collect();
    assert!(chosen.len() > 30);
    chosen.iter().for_each(captures);
}

/// The capture of a run of one test.
fn written(played: &TestEntry) -> Vec<u8> {
    let report = report();
    let mut file = Vec::new();
    let mut capture = Capture::new(&mut file);
    capture.hear(Event::RunStarted(&report.run, 1)).expect("a vector takes everything");
    capture.hear(Event::TestFinished(played)).expect("a vector takes everything");
    capture.hear(Event::RunFinished(&report)).expect("a vector takes everything");
    drop(capture);
    file
}

fn captures(planned: &Planned) {
    let played = own::in_events(planned, None);
    let packets = captured(&written(&played));
    assert!(packets.iter().all(|packet| packet.at_us >= report().run.started_unix * 1_000_000));
    assert!(packets.windows(2).all(|pair| pair[0].at_us <= pair[1].at_us), "in the order of time");
    let mut flows: BTreeMap<_, (u32, Vec<u8>)> = BTreeMap::new();
    for packet in &packets {
        let (next, bytes) = flows.entry(packet.ends.clone()).or_insert((packet.sequence, Vec::new()));
        assert_eq!(packet.sequence, *next, "no byte is missing and none is there twice");
        let counted = u32::from(packet.flags & 0b11 != 0);
        *next = next.wrapping_add(counted + u32::try_from(packet.payload.len()).expect("short"));
        bytes.extend(&packet.payload);
    }
    let connections = played.transcript.iter().filter(|line| line.direction == Direction::Opened).count();
    assert_eq!(flows.len(), 2 * connections, "a flow each way for each connection");
    let syns = packets.iter().filter(|packet| packet.flags == 0b10);
    assert!(syns.clone().all(|packet| packet.ends.3 == 1883 && packet.comment.contains(planned.test.name)));
    assert_eq!(syns.count(), connections);
    let mut wanted: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for line in &played.transcript {
        // A connection on which nothing was sent is a flow too.
        for to_broker in [true, false] {
            wanted.entry((line.actor.clone(), line.connection, to_broker)).or_default();
        }
        let to_broker = line.direction == Direction::Sent;
        let frame = line.frame.as_ref().map_or(&[][..], |frame| frame);
        wanted.entry((line.actor.clone(), line.connection, to_broker)).or_default().extend(frame);
    }
    for to_broker in [true, false] {
        let mut wanted: Vec<_> = wanted.iter().filter(|(key, _)| key.2 == to_broker).map(|(_, bytes)| bytes).collect();
        let of_way = flows.iter().filter(|(ends, _)| (ends.3 == 1883) == to_broker);
        let mut found: Vec<_> = of_way.map(|(_, (_, bytes))| bytes).collect();
        wanted.sort();
        found.sort();
        assert_eq!(found, wanted, "{}: the bytes of the connections", planned.test.name);
    }
    let decided = packets.iter().filter(|packet| packet.comment.starts_with("pass: ")).count();
    let can_be_told = played.evidence_lines().iter().any(|line| line.frame.is_some());
    assert!(decided > 0 || !can_be_told, "{}: what decided carries the reason", planned.test.name);
}

#[test]
fn a_long_reason_is_cut_to_what_a_comment_can_hold() {
    let planned = all().into_iter().find(|planned| planned.section.number == "3.12").expect("there is one");
    let mut played = own::in_events(&planned, None);
    played.about = "x".repeat(100_000);
    let packets = captured(&written(&played));
    let comment = packets.iter().map(|packet| packet.comment.as_str()).find(|comment| comment.starts_with("pass: "));
    let comment = comment.expect("what decided carries the reason");
    assert!((60_000..usize::from(u16::MAX)).contains(&comment.len()), "{} bytes", comment.len());
}
