//! What a trace says of a packet, and where two traces differ.

use bytes::Bytes;
use squall_codec::version::Version;
use squall_scenarios::transcript::Transcript;
use squall_sim::trace::{
    difference::{Difference, first},
    model::{Cause, Happening, Line, Trace},
    packet::json,
    read,
};

fn told(what: Happening, bytes: &'static [u8], version: Version) -> String {
    let line = Line {
        seq: 0,
        at_us: 0,
        node: "alice".to_owned(),
        connection: 1,
        what,
        text: String::new(),
        bytes: Bytes::from_static(bytes),
        cause: None,
    };
    json(&line, version).to_string()
}

#[test]
fn fields_have_the_standards_names_and_what_repeats_is_a_list() {
    assert_eq!(
        told(Happening::Sent, b"\x82\x0f\x00\x05\x02\x0b\x07\x00\x01a\x01\x00\x03b/#\x2c", Version::V5_0),
        r#"{"type":"SUBSCRIBE","Remaining Length":15,"Packet Identifier":5,"Properties":{"Subscription Identifier":[7]},"Topic Filters":[{"Topic Filter":"a","Maximum QoS":1,"No Local":0,"Retain As Published":0,"Retain Handling":0,"Reserved":0},{"Topic Filter":"b/#","Maximum QoS":0,"No Local":1,"Retain As Published":1,"Retain Handling":2,"Reserved":0}]}"#
    );
    assert_eq!(
        told(Happening::Received, b"\x90\x05\x00\x05\x00\x01\x87", Version::V5_0),
        r#"{"type":"SUBACK","Remaining Length":5,"Packet Identifier":5,"Reason Codes":["0x01 Granted QoS 1","0x87 Not authorized"]}"#
    );
    assert_eq!(
        told(Happening::Sent, b"\x34\x08\x00\x01t\x00\x07\xff\x00\x01", Version::V3_1_1),
        r#"{"type":"PUBLISH","DUP":0,"QoS":2,"RETAIN":0,"Remaining Length":8,"Topic Name":"t","Packet Identifier":7,"Payload":{"hex":"FF0001"}}"#
    );
}

#[test]
fn what_is_no_packet_says_what_is_wrong_and_which_statement_that_breaks() {
    let told = told(Happening::Sent, b"\x36\x05\x00\x01t\x00\x07", Version::V5_0);
    assert!(told.contains(r#""QoS":3"#), "{told}");
    assert!(told.contains(r#""malformed":""#), "{told}");
    assert!(told.contains(r#""breaks":"5.0/MQTT-3.3.1-4""#), "{told}");
}

fn trace(lines: &[(&str, u64)]) -> Trace {
    let mut lines: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(seq, (text, at_us))| Line {
            seq,
            at_us: *at_us,
            node: "alice".to_owned(),
            connection: 1,
            what: Happening::Told,
            text: (*text).to_owned(),
            bytes: Bytes::new(),
            cause: None,
        })
        .collect();
    let header = format!(
        r#"{{"format":"squall-trace","version":1,"squall":"0","script":"s","title":"t","world":"events","mqtt":"5.0","seed":1,"actors":[],"proves":[],"entries":0,"hash":"xxh3-64","digest":"{:016x}"}}"#,
        Transcript::new().digest()
    );
    let empty = format!("{header}\n{{\"end\":{{\"verdict\":\"pass\",\"elapsed_us\":0}}}}\n");
    let mut trace = read::parse("t", &empty).expect("it is a trace");
    trace.lines.append(&mut lines);
    trace
}

#[test]
fn the_first_difference_is_found_wherever_it_is() {
    let a = trace(&[("one", 1), ("two", 2), ("three", 3)]);
    assert_eq!(first(&a, &a), None);
    let other = trace(&[("one", 1), ("zwei", 2), ("three", 3)]);
    assert_eq!(first(&a, &other), Some(Difference { seq: 1, in_time_alone: false }));
    let late = trace(&[("one", 1), ("two", 2), ("three", 4)]);
    assert_eq!(first(&a, &late), Some(Difference { seq: 2, in_time_alone: true }));
    let short = trace(&[("one", 1), ("two", 2)]);
    assert_eq!(first(&a, &short), Some(Difference { seq: 2, in_time_alone: false }));
    assert_eq!(first(&short, &a), Some(Difference { seq: 2, in_time_alone: false }));
}

#[test]
fn a_cause_is_no_difference() {
    let a = trace(&[("one", 1)]);
    let mut b = a.clone();
    b.lines[0].cause = Some(Cause { line: Some(3), ..Default::default() });
    assert_eq!(first(&a, &b), None);
}
