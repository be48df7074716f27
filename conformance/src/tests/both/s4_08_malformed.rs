//! 4.8 and 4.13, systematically: each kind of packet with each wrong flag nibble, cut at each of its bytes, with lengths
//! that lie, from the wrong side and before CONNECT.
//!
//! What is judged is whether a fault was refused, not how. All faults of one kind in one kind of packet are one row.

use squall_codec::{packet::Packet, property::Property, qos::Qos, reason::ReasonCode};
use squall_scenarios::{
    peer::Peer,
    stage::{LocalFuture, Stage},
    verdict::{Evidence, Halt, Outcome},
};

use crate::tests::{
    asking::{answered, frame, is_v5, string},
    bytes::{RawConnect, flag, properties, publish, subscribe, unsubscribe},
    judge::{Cases, Unnoticed, farewell},
    rows::{Row, all, together},
};

/// PUBACK, PUBREC, PUBREL and PUBCOMP for a message that was never sent.
fn acknowledgement(first: u8) -> Vec<u8> {
    vec![first, 2, 0x42, 0x42]
}

/// A whole CONNECT with all that it can hold.
fn full_connect(stage: &Stage) -> RawConnect {
    RawConnect::new(stage, "offender")
        .flagged(flag::USER_NAME | flag::PASSWORD)
        .will(&[], b"w", b"gone")
        .field(b"user")
        .field(b"secret")
}

/// Every packet of a client whose flags are fixed, with each of the 15 other nibbles.
///
/// In 5.0 no rule makes a receiver look at those of PUBACK, PUBREC, PUBCOMP and PINGREQ. DISCONNECT and AUTH end a
/// connection in any case.
pub(crate) async fn every_wrong_flag_nibble_is_refused(stage: &Stage) -> Outcome {
    let version = stage.version();
    let lenient = if is_v5(stage) { Unnoticed::Warns } else { Unnoticed::Fails };
    let packets = [
        ("CONNECT", RawConnect::new(stage, "offender").bytes(), Unnoticed::Fails),
        ("PUBACK", acknowledgement(0x40), lenient),
        ("PUBREC", acknowledgement(0x50), lenient),
        ("PUBREL", acknowledgement(0x62), Unnoticed::Fails),
        ("PUBCOMP", acknowledgement(0x70), lenient),
        ("SUBSCRIBE", subscribe(version, 0x82, 1, &[], &[(stage.topic("t").as_bytes(), 0)]), Unnoticed::Fails),
        ("UNSUBSCRIBE", unsubscribe(version, 0xA2, 1, &[], &[stage.topic("t").as_bytes()]), Unnoticed::Fails),
        ("PINGREQ", vec![0xC0, 0], lenient),
    ];
    let rows = packets.into_iter().map(|(name, whole, unnoticed)| {
        let wrong = (0..16u8).filter(|nibble| *nibble != whole[0] & 0x0F);
        let faults = wrong.map(|nibble| {
            let mut bytes = whole.clone();
            bytes[0] = bytes[0] & 0xF0 | nibble;
            (format!("with the first byte 0x{:02X}", bytes[0]), bytes)
        });
        Row { name, faults: faults.collect(), unnoticed }
    });
    // PUBLISH: QoS 3 with each DUP and RETAIN.
    let three = [0x36, 0x37, 0x3E, 0x3F].map(|first| {
        let bytes = publish(version, first, stage.topic("t").as_bytes(), Some(3), &[], b"x");
        (format!("with the first byte 0x{first:02X}"), bytes)
    });
    let publish = Row { name: "PUBLISH", faults: three.into(), unnoticed: Unnoticed::Fails };
    all(stage, rows.chain([publish]).collect()).await
}

/// The frame with only so much of its body, and a Remaining Length that fits.
fn cut(whole: &[u8], header: usize, length: usize) -> Vec<u8> {
    frame(whole[0], &whole[header..header + length])
}

/// Every packet of a client with a body, cut before each byte of it. Where the version lets the end be left out, the
/// cuts stop before that.
pub(crate) async fn a_packet_cut_at_any_byte_is_refused(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("t");
    // The payload of a PUBLISH may be empty: its last mandatory byte is that of the Property Length, or of the id.
    let publish = |first, id| publish(version, first, topic.as_bytes(), id, &[], b"");
    let subscribe = subscribe(version, 0x82, 1, &[], &[(topic.as_bytes(), 0)]);
    let unsubscribe = unsubscribe(version, 0xA2, 1, &[], &[topic.as_bytes()]);
    let packets = [
        ("CONNECT", full_connect(stage).bytes()),
        ("PUBLISH at QoS 0", publish(0x30, None)),
        ("PUBLISH at QoS 1", publish(0x32, Some(3))),
        ("PUBACK", acknowledgement(0x40)),
        ("PUBREC", acknowledgement(0x50)),
        ("PUBREL", acknowledgement(0x62)),
        ("PUBCOMP", acknowledgement(0x70)),
        ("SUBSCRIBE", subscribe),
        ("UNSUBSCRIBE", unsubscribe),
    ];
    let rows = packets.into_iter().map(|(name, whole)| {
        let header = if whole[1] & 0x80 == 0 { 2 } else { 3 };
        let body = whole.len() - header;
        let faults =
            (0..body).map(|length| (format!("cut after {length} of {body} bytes"), cut(&whole, header, length)));
        Row { name, faults: faults.collect(), unnoticed: answered(stage) }
    });
    all(stage, rows.collect()).await
}

/// Bytes behind the end of a packet, lengths of fields beyond the end or short of it, and lengths that no packet has.
pub(crate) async fn a_length_that_lies_is_refused(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("t");
    let behind = |whole: &[u8], more: &[u8]| {
        let header = if whole[1] & 0x80 == 0 { 2 } else { 3 };
        frame(whole[0], &[&whole[header..], more].concat())
    };
    let whole_subscribe = subscribe(version, 0x82, 1, &[], &[(topic.as_bytes(), 0)]);
    let whole_unsubscribe = unsubscribe(version, 0xA2, 1, &[], &[topic.as_bytes()]);
    let connect = full_connect(stage).bytes();
    // What is missing makes a packet unreadable. Of bytes too many no sentence speaks where nothing can be read into them.
    let (unnoticed, surplus) = (answered(stage), Unnoticed::Warns);
    // A field that says it is so much longer or shorter than it is.
    let lied = |field: &[u8], length: usize| [&u16::try_from(length).expect("short").to_be_bytes()[..], field].concat();
    let id = [0, 1];
    let none = properties(version, &[]);
    let field = topic.as_bytes();
    let mut rows = vec![
        Row {
            name: "CONNECT",
            faults: vec![
                ("with a byte behind its end".to_owned(), behind(&connect, &[0])),
                ("with a field behind its end".to_owned(), behind(&connect, &string(b"more"))),
            ],
            unnoticed,
        },
        Row {
            name: "SUBSCRIBE",
            faults: vec![
                ("with a byte behind its end".to_owned(), behind(&whole_subscribe, &[0])),
                ("with a length behind its end".to_owned(), behind(&whole_subscribe, &[0, 9])),
                (
                    "with a filter longer than it is".to_owned(),
                    frame(0x82, &[&id[..], &none, &lied(field, field.len() + 2), &[0]].concat()),
                ),
                (
                    "with a filter of 65,535 bytes that are not there".to_owned(),
                    frame(0x82, &[&id[..], &none, &lied(field, 0xFFFF), &[0]].concat()),
                ),
            ],
            unnoticed,
        },
        Row {
            name: "UNSUBSCRIBE",
            faults: vec![
                ("with a byte behind its end".to_owned(), behind(&whole_unsubscribe, &[0])),
                (
                    "with a filter longer than it is".to_owned(),
                    frame(0xA2, &[&id[..], &none, &lied(field, field.len() + 1)].concat()),
                ),
                (
                    "with a filter shorter than it is".to_owned(),
                    frame(0xA2, &[&id[..], &none, &lied(field, field.len() - 1)].concat()),
                ),
            ],
            unnoticed,
        },
        Row {
            name: "PUBLISH",
            faults: vec![
                ("with a topic longer than it is".to_owned(), frame(0x30, &lied(field, field.len() + 3))),
                ("with a topic of 65,535 bytes that are not there".to_owned(), frame(0x32, &lied(field, 0xFFFF))),
            ],
            unnoticed,
        },
        Row { name: "PINGREQ", faults: vec![("with a byte".to_owned(), vec![0xC0, 1, 0])], unnoticed: surplus },
        Row {
            name: "a Remaining Length of five bytes",
            faults: [0x30, 0x40, 0x82, 0xC0]
                .map(|first| (format!("behind 0x{first:02X}"), vec![first, 0x80, 0x80, 0x80, 0x80, 0x01]))
                .into(),
            unnoticed: Unnoticed::Fails,
        },
    ];
    // A Remaining Length too large takes the beginning of the next packet with it.
    let mut swallows = whole_subscribe.clone();
    swallows[1] += 2;
    swallows.extend([0xC0, 0, 0xC0, 0]);
    rows.push(Row {
        name: "a Remaining Length too large",
        faults: vec![("in a SUBSCRIBE".to_owned(), swallows)],
        unnoticed,
    });
    // One too small leaves an end that begins no packet.
    let mut leaves = whole_subscribe;
    leaves[1] -= 1;
    rows.push(Row {
        name: "a Remaining Length too small",
        faults: vec![("in a SUBSCRIBE".to_owned(), leaves)],
        unnoticed,
    });
    if !is_v5(stage) {
        // In 5.0 a reason code may stand there.
        let longer = |name, first: u8| Row {
            name,
            faults: vec![("with a byte behind its packet id".to_owned(), vec![first, 3, 0x42, 0x42, 0])],
            unnoticed: surplus,
        };
        rows.extend([longer("PUBACK", 0x40), longer("PUBREC", 0x50), longer("PUBREL", 0x62), longer("PUBCOMP", 0x70)]);
    }
    all(stage, rows).await
}

/// Every packet but CONNECT as the first of a connection: none is answered, and the connection ends.
pub(crate) async fn no_packet_but_connect_comes_first(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("t");
    let none = properties(version, &[]);
    let mut firsts = vec![
        ("type 0", vec![0x00, 0]),
        ("CONNACK", if is_v5(stage) { vec![0x20, 3, 0, 0, 0] } else { vec![0x20, 2, 0, 0] }),
        ("PUBLISH at QoS 0", publish(version, 0x30, topic.as_bytes(), None, &[], b"x")),
        ("PUBLISH at QoS 1", publish(version, 0x32, topic.as_bytes(), Some(3), &[], b"x")),
        ("PUBLISH at QoS 2", publish(version, 0x34, topic.as_bytes(), Some(3), &[], b"x")),
        ("PUBACK", acknowledgement(0x40)),
        ("PUBREC", acknowledgement(0x50)),
        ("PUBREL", acknowledgement(0x62)),
        ("PUBCOMP", acknowledgement(0x70)),
        ("SUBSCRIBE", subscribe(version, 0x82, 1, &[], &[(topic.as_bytes(), 0)])),
        ("SUBACK", frame(0x90, &[&[0, 1][..], &none, &[0]].concat())),
        ("UNSUBSCRIBE", unsubscribe(version, 0xA2, 1, &[], &[topic.as_bytes()])),
        ("UNSUBACK", frame(0xB0, &[&[0, 1][..], &none].concat())),
        ("PINGREQ", vec![0xC0, 0]),
        ("PINGRESP", vec![0xD0, 0]),
        ("DISCONNECT", vec![0xE0, 0]),
    ];
    let method = Property::AuthenticationMethod(crate::tests::watch::text("X"));
    let auth = squall_codec::packet::Auth {
        reason: ReasonCode::ReAuthenticate,
        properties: squall_codec::property::Properties::new().with(method),
    };
    firsts.push(match is_v5(stage) {
        true => ("AUTH", crate::tests::asking::bytes_of(stage, &Packet::Auth(auth))),
        false => ("type 15", vec![0xF0, 0]),
    });
    let mut control = Peer::connected(stage, "control").await?;
    control.published(&topic, Qos::AtMostOnce, b"control", false).await?;
    let stories =
        firsts.iter().map(|(what, bytes)| Box::pin(first_of_all(stage, what, bytes)) as LocalFuture<'_, Outcome>);
    let outcomes = together(stories).await;
    let mut cases = Cases::new();
    for ((what, _), outcome) in firsts.iter().zip(outcomes) {
        cases.add(*what, outcome);
    }
    cases.finish()
}

async fn first_of_all(stage: &Stage, what: &str, bytes: &[u8]) -> Outcome {
    let mut peer = Peer::open(stage, &stage.fresh("stranger")).await?;
    let sent = peer.send_bytes(bytes).await;
    let seen = farewell(&mut peer).await;
    let answer = seen.packets.iter().find(|packet| match &***packet {
        // 5.0: turned away, in a form that belongs to a CONNECT.
        Packet::Connack(connack) => !connack.reason.is_failure(),
        Packet::Disconnect(_) => false,
        _ => true,
    });
    match (answer, &seen.end) {
        (Some(answer), _) => {
            Err(Halt::fail(format!("{what} before CONNECT was answered by {}", answer.kind())).at(answer))
        }
        (None, Some(end)) => Ok(match seen.packets.first() {
            None => Evidence::of(end),
            // 5.0 [MQTT-3.14.0-1] has a test of its own.
            Some(packet) if is_v5(stage) && matches!(**packet, Packet::Disconnect(_)) => Evidence::of(end).and(packet),
            Some(packet) => {
                Evidence::of(end).and(packet).warn(format!("{what} before CONNECT: {} came", packet.kind()))
            }
        }),
        (None, None) => {
            let reason = format!("{what} before CONNECT: still open after {:?}", stage.patience());
            if is_v5(stage) { Ok(Evidence::of(&sent).warn(reason)) } else { Err(Halt::fail(reason).at(&sent)) }
        }
    }
}
