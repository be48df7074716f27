//! 2 MQTT Control Packet format: fixed header, packet identifiers, what every packet has to look like.

use std::collections::BTreeMap;

use bytes::Bytes;
use squall_codec::{
    packet::{Ack, Packet, Publish, Suback, Unsuback},
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};
use squall_scenarios::{
    peer::{Next, Peer, Puback, Pubcomp, Pubrec, Pubrel},
    stage::{End, Stage},
    transcript::{EntryId, What},
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::tests::{
    asking::{bytes_of, frame, id, is_v5, lasting_peer, resumed},
    bytes::{RawConnect, publish, subscribe, unsubscribe},
    judge::{At, Cases, Unnoticed, closes, offender, refuses},
    offer,
    rows::{Row, all},
    watch::{collect, fenced, filter, name, rest, tidied, unacknowledged},
    without_qos_2::highest_qos,
};

/// Makes the server send each packet that it has: CONNACK, SUBACK, PUBLISH, PUBACK, PINGRESP and UNSUBACK; and PUBREL, PUBREC
/// and PUBCOMP, where there is QoS 2.
pub(crate) async fn every_packet(stage: &Stage) -> Result<(), Halt> {
    let topic = stage.topic("every");
    let mut subscriber = Peer::connected(stage, "subscriber").await?;
    let highest = highest_qos(stage, &subscriber).await;
    subscriber.subscribed(&topic, highest).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let levels: Vec<Qos> = Qos::ALL.into_iter().filter(|qos| *qos <= highest).collect();
    for qos in levels.iter().copied() {
        publisher.published(&topic, qos, format!("at {qos}").as_bytes(), false).await?;
    }
    let received = collect(&mut subscriber, |seen| seen.len() == levels.len()).await?;
    if received.len() < levels.len() {
        return Err(Halt::inconclusive(format!("only {} of {} messages came", received.len(), levels.len())));
    }
    rest(&mut subscriber).await?;
    let id = subscriber.fresh_id();
    let leave = squall_codec::packet::Unsubscribe::new(id, vec![filter(&topic)]);
    subscriber.send(Packet::Unsubscribe(leave)).await;
    subscriber.expect::<Unsuback>().await?;
    Ok(())
}

/// The frames that the server sent, as they were on the wire.
pub(crate) fn frames_of_the_server(stage: &Stage) -> Vec<(EntryId, Bytes)> {
    let entries = stage.transcript().entries();
    let received = entries.into_iter().enumerate().filter_map(|(n, entry)| match entry.what {
        What::Received { bytes, .. } if !bytes.is_empty() => Some((EntryId(n), bytes)),
        _ => None,
    });
    received.collect()
}

/// Plays every packet, and judges each frame of the server by its bytes: even one that the decoder refused.
pub(crate) async fn passively(stage: &Stage, judge: impl Fn(&[u8]) -> Result<(), String>) -> Outcome {
    let played = every_packet(stage).await;
    let mut evidence: Option<Evidence> = None;
    for (entry, bytes) in frames_of_the_server(stage) {
        judge(&bytes).map_err(|reason| Halt::fail(reason).at(&At(entry)))?;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&At(entry)), |evidence| evidence.and(&At(entry))));
    }
    played.prepared()?;
    evidence.ok_or_else(|| Halt::inconclusive("the server sent nothing"))
}

pub(crate) async fn reserved_flags_of_the_server_are_as_laid_down(stage: &Stage) -> Outcome {
    passively(stage, |bytes| {
        let (kind, flags) = (bytes[0] >> 4, bytes[0] & 0x0F);
        let wanted = match kind {
            // PUBLISH has flags with a meaning.
            3 => return Ok(()),
            6 => 0b0010,
            _ => 0,
        };
        if flags == wanted {
            Ok(())
        } else {
            Err(format!("expected the flags {wanted:04b}, got first byte 0x{:02X}", bytes[0]))
        }
    })
    .await
}

/// Reads a Variable Byte Integer: the value, its length, and whether it could have been shorter.
pub(crate) fn variable_at(bytes: &[u8], at: usize) -> Option<(usize, usize, bool)> {
    let mut value = 0;
    for (n, byte) in bytes.get(at..)?.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return Some((value, n + 1, n > 0 && *byte == 0));
        }
    }
    None
}

/// Where the properties of a frame of the server begin, if packets of that kind have them without fail.
pub(crate) fn property_length_at(bytes: &[u8], body: usize) -> Option<usize> {
    match bytes[0] >> 4 {
        2 => Some(body + 2),
        3 => {
            let topic = usize::from(u16::from_be_bytes([*bytes.get(body)?, *bytes.get(body + 1)?]));
            let packet_id = if bytes[0] & 0b0110 == 0 { 0 } else { 2 };
            Some(body + 2 + topic + packet_id)
        }
        9 | 11 => Some(body + 2),
        _ => None,
    }
}

/// A client that holds back the acknowledgement of one message of this QoS.
async fn holding(stage: &Stage, qos: Qos) -> Result<(Peer, PacketId), Halt> {
    let topic = stage.topic(&stage.fresh("held"));
    let mut peer = offender(stage).await?;
    offer::qos(&peer, qos)?;
    offer::granted(&peer.subscribed(&topic, qos).await?, qos)?;
    let mut publisher = Peer::connected(stage, &stage.fresh("publisher")).await?;
    publisher.published(&topic, qos, b"held", false).await?;
    publisher.disconnect().await;
    let held = peer.expect_message(b"held").await.prepared()?;
    match held.packet_id {
        Some(id) if held.qos == qos => Ok((peer, id)),
        _ => Err(Halt::inconclusive(format!("the message came with QoS {} and not {qos}", held.qos)).at(&held)),
    }
}

/// A packet with these flags in the place of its own.
fn flagged(stage: &Stage, packet: &Packet, first: u8) -> Vec<u8> {
    let mut bytes = bytes_of(stage, packet);
    bytes[0] = first;
    bytes
}

/// Each packet of a client but PUBLISH and DISCONNECT with a wrong flag nibble. In 5.0 no rule makes a receiver look at
/// those of PUBACK, PUBREC, PUBCOMP and PINGREQ.
pub(crate) async fn wrong_fixed_header_flags_close_the_connection(stage: &Stage) -> Outcome {
    let version = stage.version();
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
    let lenient = if is_v5(stage) { Unnoticed::Warns } else { Unnoticed::Fails };
    let mut cases = Cases::new();

    let connect = RawConnect::new(stage, "offender").beginning(0x11);
    cases.add("CONNECT 0x11", refuses(stage, "a CONNECT with the first byte 0x11", &connect.bytes(), &codes).await);

    let mut peer = offender(stage).await?;
    let bytes = subscribe(version, 0x80, 1, &[], &[(stage.topic("t").as_bytes(), 0)]);
    cases.add("SUBSCRIBE 0x80", closes(&mut peer, "SUBSCRIBE 0x80", &bytes, &codes, Unnoticed::Fails).await);

    let mut peer = offender(stage).await?;
    let bytes = unsubscribe(version, 0xA0, 1, &[], &[stage.topic("t").as_bytes()]);
    cases.add("UNSUBSCRIBE 0xA0", closes(&mut peer, "UNSUBSCRIBE 0xA0", &bytes, &codes, Unnoticed::Fails).await);

    let mut peer = offender(stage).await?;
    cases.add("PINGREQ 0xC1", closes(&mut peer, "PINGREQ 0xC1", &[0xC1, 0x00], &codes, lenient).await);

    cases.add("PUBREL 0x60", wrong_pubrel(stage, &codes).await);
    cases.add("PUBACK 0x41", wrong_puback(stage, &codes, lenient).await);
    cases.add("PUBREC 0x51", wrong_pubrec(stage, &codes, lenient).await);
    cases.add("PUBCOMP 0x71", wrong_pubcomp(stage, &codes, lenient).await);
    cases.finish()
}

async fn wrong_pubrel(stage: &Stage, codes: &[ReasonCode]) -> Outcome {
    let mut peer = offender(stage).await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    let topic = name(&stage.topic("released"));
    peer.send(Packet::Publish(Publish::new(&topic, "x").at(Qos::ExactlyOnce, Some(id(5))))).await;
    peer.expect::<Pubrec>().await.prepared()?;
    let bytes = flagged(stage, &Packet::Pubrel(Ack::new(id(5))), 0x60);
    closes(&mut peer, "PUBREL 0x60", &bytes, codes, Unnoticed::Fails).await
}

async fn wrong_puback(stage: &Stage, codes: &[ReasonCode], unnoticed: Unnoticed) -> Outcome {
    let (mut peer, id) = holding(stage, Qos::AtLeastOnce).await?;
    let bytes = flagged(stage, &Packet::Puback(Ack::new(id)), 0x41);
    closes(&mut peer, "PUBACK 0x41", &bytes, codes, unnoticed).await
}

async fn wrong_pubrec(stage: &Stage, codes: &[ReasonCode], unnoticed: Unnoticed) -> Outcome {
    let (mut peer, id) = holding(stage, Qos::ExactlyOnce).await?;
    let bytes = flagged(stage, &Packet::Pubrec(Ack::new(id)), 0x51);
    closes(&mut peer, "PUBREC 0x51", &bytes, codes, unnoticed).await
}

async fn wrong_pubcomp(stage: &Stage, codes: &[ReasonCode], unnoticed: Unnoticed) -> Outcome {
    let (mut peer, id) = holding(stage, Qos::ExactlyOnce).await?;
    peer.send(Packet::Pubrec(Ack::new(id))).await;
    peer.expect::<Pubrel>().await.prepared()?;
    let bytes = flagged(stage, &Packet::Pubcomp(Ack::new(id)), 0x71);
    closes(&mut peer, "PUBCOMP 0x71", &bytes, codes, unnoticed).await
}

pub(crate) async fn packet_identifier_zero_closes_the_connection(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("zero");
    let unnoticed = if is_v5(stage) { Unnoticed::Warns } else { Unnoticed::Fails };
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    let mut cases = Cases::new();
    let offences = [
        ("SUBSCRIBE with id 0", subscribe(version, 0x82, 0, &[], &[(topic.as_bytes(), 0)])),
        ("UNSUBSCRIBE with id 0", unsubscribe(version, 0xA2, 0, &[], &[topic.as_bytes()])),
        ("PUBLISH QoS 1 with id 0", publish(version, 0x32, topic.as_bytes(), Some(0), &[], b"x")),
        ("PUBLISH QoS 2 with id 0", publish(version, 0x34, topic.as_bytes(), Some(0), &[], b"x")),
    ];
    for (offence, bytes) in offences {
        let mut peer = offender(stage).await?;
        cases.add(offence, closes(&mut peer, offence, &bytes, &codes, unnoticed).await);
    }
    cases.finish()
}

/// The messages `0`, `1`, … at this QoS, published by a client of their own.
async fn publish_numbered(stage: &Stage, topic: &str, qos: Qos, numbers: std::ops::Range<u8>) -> Result<(), Halt> {
    let mut publisher = Peer::connected(stage, &stage.fresh("publisher")).await?;
    for number in numbers {
        publisher.published(topic, qos, &[b'0' + number], false).await?;
    }
    publisher.disconnect().await;
    Ok(())
}

pub(crate) async fn the_server_gives_each_message_an_identifier_of_its_own(stage: &Stage) -> Outcome {
    tidied(stage, &["holder"], &[], identifiers_of_the_server(stage)).await
}

async fn identifiers_of_the_server(stage: &Stage) -> Outcome {
    let topic = stage.topic("ids");
    let mut holder = lasting_peer(stage, "holder").await?;
    offer::qos(&holder, Qos::AtLeastOnce)?;
    offer::session_expiry(&holder, 300)?;
    holder.subscribed(&topic, Qos::AtLeastOnce).await?;
    publish_numbered(stage, &topic, Qos::AtLeastOnce, 0..5).await?;

    // Nothing is acknowledged: a server may send all five, or fewer at a time.
    let first = unacknowledged(&mut holder, 5).await.prepared()?;
    let mut evidence = Evidence::of(first.first().ok_or_else(|| Halt::inconclusive("no message came"))?);
    let mut open: BTreeMap<PacketId, Vec<u8>> = BTreeMap::new();
    for message in &first {
        let id = message.packet_id.ok_or_else(|| Halt::inconclusive("the message came with QoS 0").at(message))?;
        if let Some(other) = open.insert(id, message.payload().to_vec()).filter(|other| *other != message.payload()) {
            let (one, two) = (String::from_utf8_lossy(&other).into_owned(), String::from_utf8_lossy(message.payload()));
            return Err(
                Halt::fail(format!("the packet identifier {id} stands for message {one} and for {two}")).at(message)
            );
        }
        evidence = evidence.and(message);
    }
    holder.close(End::Fin).await;

    let mut holder = resumed(stage, "holder").await?;
    let second = unacknowledged(&mut holder, 5).await.prepared()?;
    let mut again: BTreeMap<PacketId, Vec<u8>> = BTreeMap::new();
    for message in &second {
        let id = message.packet_id.ok_or_else(|| Halt::inconclusive("the message came with QoS 0").at(message))?;
        let before = open.iter().find(|(_, payload)| **payload == message.payload()).map(|(id, _)| *id);
        if let Some(before) = before.filter(|before| *before != id) {
            let reason = format!("expected the message to be sent again with packet identifier {before}, got {id}");
            return Err(Halt::fail(reason).at(message));
        }
        if again.insert(id, message.payload().to_vec()).is_some_and(|other| other != message.payload()) {
            return Err(Halt::fail(format!("the packet identifier {id} stands for two messages")).at(message));
        }
        evidence = evidence.and(message);
    }
    if again.is_empty() {
        return Err(Halt::inconclusive("nothing was sent again on the new connection"));
    }

    // What is new on this connection takes none of the identifiers that are in use since the last.
    publish_numbered(stage, &topic, Qos::AtLeastOnce, 5..7).await?;
    for message in fenced(&mut holder).await.prepared()? {
        let Some(id) = message.packet_id else { continue };
        if again.insert(id, message.payload().to_vec()).is_some_and(|other| other != message.payload()) {
            let reason =
                format!("a message that is new on this connection took the packet identifier {id} that is in use");
            return Err(Halt::fail(reason).at(&message));
        }
        evidence = evidence.and(&message);
    }

    // One acknowledgement after the other: no message takes an identifier that is still in use.
    while let Some((id, _)) = again.pop_first() {
        holder.send(Packet::Puback(Ack::new(id))).await;
        for message in fenced(&mut holder).await.prepared()? {
            let Some(id) = message.packet_id else { continue };
            if again.insert(id, message.payload().to_vec()).is_some_and(|other| other != message.payload()) {
                return Err(
                    Halt::fail(format!("a new message took the packet identifier {id} that is in use")).at(&message)
                );
            }
            evidence = evidence.and(&message);
        }
    }
    Ok(evidence)
}

pub(crate) async fn a_qos_0_message_has_no_packet_identifier(stage: &Stage) -> Outcome {
    let topic = stage.topic("plain");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtMostOnce, b"exactly this", false).await?;
    let received = collect(&mut watcher, |seen| !seen.is_empty()).await?;
    let copy = received.first().ok_or_else(|| Halt::inconclusive("the message did not come"))?;
    if copy.payload() == b"exactly this" {
        Ok(Evidence::of(copy))
    } else {
        let reason = format!("expected exactly the bytes that were published, got {:02X?}", copy.payload());
        Err(Halt::fail(reason).at(copy))
    }
}

/// What an acknowledgement has to carry.
fn same_id(kind: &str, seen: PacketId, wanted: PacketId, witness: &impl Witness) -> Result<(), Halt> {
    if seen == wanted {
        Ok(())
    } else {
        Err(Halt::fail(format!("expected {kind} with packet identifier {wanted}, got {seen}")).at(witness))
    }
}

/// In 5.0 a server may turn a message away by a reason.
fn taken(reason: ReasonCode, witness: &impl Witness) -> Result<(), Halt> {
    if reason.is_failure() {
        return Err(Halt::inconclusive(format!("the server refused the message: {reason}")).at(witness));
    }
    Ok(())
}

pub(crate) async fn acknowledgements_carry_the_identifier_of_their_publish(stage: &Stage) -> Outcome {
    let topic = stage.topic("acked");
    let mut publisher = Peer::connected(stage, "publisher").await?;
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    let mut evidence: Option<Evidence> = None;
    for value in [1, 0x1234, 0xFFFF] {
        let wanted = id(value);
        publisher.send(Packet::Publish(Publish::new(&name(&topic), "x").at(Qos::AtLeastOnce, Some(wanted)))).await;
        let puback = publisher.expect::<Puback>().await.prepared()?;
        taken(puback.reason, &puback)?;
        same_id("PUBACK", puback.packet_id, wanted, &puback)?;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&puback), |evidence| evidence.and(&puback)));
    }
    let mut evidence = evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))?;
    if highest_qos(stage, &publisher).await < Qos::ExactlyOnce {
        return Ok(evidence);
    }
    for value in [1, 0x1234, 0xFFFF] {
        let wanted = id(value);
        publisher.send(Packet::Publish(Publish::new(&name(&topic), "x").at(Qos::ExactlyOnce, Some(wanted)))).await;
        let pubrec = publisher.expect::<Pubrec>().await.prepared()?;
        taken(pubrec.reason, &pubrec)?;
        same_id("PUBREC", pubrec.packet_id, wanted, &pubrec)?;
        publisher.send(Packet::Pubrel(Ack::new(wanted))).await;
        let pubcomp = publisher.expect::<Pubcomp>().await.prepared()?;
        same_id("PUBCOMP", pubcomp.packet_id, wanted, &pubcomp)?;
        evidence = evidence.and(&pubrec).and(&pubcomp);
    }
    // And the other way: the PUBREL of the server belongs to its PUBLISH.
    let (mut receiver, held) = match holding(stage, Qos::ExactlyOnce).await {
        Ok(held) => held,
        Err(halt) if halt.verdict == squall_scenarios::verdict::Verdict::Inconclusive => return Ok(evidence),
        Err(halt) => return Err(halt),
    };
    receiver.send(Packet::Pubrec(Ack::new(held))).await;
    let pubrel = receiver.expect::<Pubrel>().await.prepared()?;
    same_id("PUBREL", pubrel.packet_id, held, &pubrel)?;
    receiver.send(Packet::Pubcomp(Ack::new(held))).await;
    Ok(evidence.and(&pubrel))
}

/// SUBSCRIBE and UNSUBSCRIBE in one write; the answers may come in any order.
pub(crate) async fn suback_and_unsuback_carry_the_identifier_of_their_question(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("asked");
    let mut peer = Peer::connected(stage, "alice").await?;
    let questions = [
        subscribe(version, 0x82, 0xFFFF, &[], &[(topic.as_bytes(), 0)]),
        unsubscribe(version, 0xA2, 0x0100, &[], &[topic.as_bytes()]),
    ];
    peer.send_bytes(&questions.concat()).await;
    let (mut suback, mut unsuback) = (None, None);
    let by = stage.now() + stage.patience();
    while suback.is_none() || unsuback.is_none() {
        let packet = match peer.next_by(by).await {
            Next::Packet(packet) => packet,
            Next::Malformed(what) => return Err(Halt::fail(format!("no packet came: {}", *what)).at(&what)),
            Next::End(end) => return Err(Halt::fail("the connection ended before both answers came").at(&end)),
            Next::Nothing => {
                let missing = if suback.is_none() { "SUBACK" } else { "UNSUBACK" };
                return Err(Halt::fail(format!("expected SUBACK and UNSUBACK, but no {missing} came")));
            }
        };
        match &*packet {
            Packet::Suback(Suback { packet_id, .. }) => {
                same_id("SUBACK", *packet_id, id(0xFFFF), &packet)?;
                suback = Some(packet);
            }
            Packet::Unsuback(Unsuback { packet_id, .. }) => {
                same_id("UNSUBACK", *packet_id, id(0x0100), &packet)?;
                unsuback = Some(packet);
            }
            _ => {}
        }
    }
    match (suback, unsuback) {
        (Some(suback), Some(unsuback)) => Ok(Evidence::of(&suback).and(&unsuback)),
        _ => Err(Halt::inconclusive("not both answers came")),
    }
}

/// The same number is in use in both directions: a message held back, and one of the client's own.
pub(crate) async fn identifiers_of_both_directions_are_independent(stage: &Stage) -> Outcome {
    let (mut peer, held) = holding(stage, Qos::AtLeastOnce).await?;
    let topic = name(&stage.topic("own"));
    // The same exchanges work where no identifier is in use.
    let mut control = Peer::connected(stage, "control").await?;
    let highest = highest_qos(stage, &control).await;
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce].into_iter().filter(|qos| *qos <= highest) {
        control.published(&stage.topic("own"), qos, b"control", false).await?;
    }
    peer.send(Packet::Publish(Publish::new(&topic, "own").at(Qos::AtLeastOnce, Some(held)))).await;
    let puback = peer.expect::<Puback>().await?;
    same_id("PUBACK", puback.packet_id, held, &puback)?;
    let mut evidence = Evidence::of(&puback);
    if highest == Qos::ExactlyOnce {
        peer.send(Packet::Publish(Publish::new(&topic, "own").at(Qos::ExactlyOnce, Some(held)))).await;
        let pubrec = peer.expect::<Pubrec>().await?;
        same_id("PUBREC", pubrec.packet_id, held, &pubrec)?;
        peer.send(Packet::Pubrel(Ack::new(held))).await;
        let pubcomp = peer.expect::<Pubcomp>().await?;
        same_id("PUBCOMP", pubcomp.packet_id, held, &pubcomp)?;
        evidence = evidence.and(&pubrec).and(&pubcomp);
    }
    peer.send(Packet::Puback(Ack::new(held))).await;
    let (_, pong) = peer.fence().await?;
    Ok(evidence.and(&pong))
}

/// A packet with each flag nibble.
fn with_each_nibble(name: &'static str, whole: &[u8], unnoticed: Unnoticed) -> Row {
    let faults = (0..16u8).map(|nibble| {
        let first = whole[0] & 0xF0 | nibble;
        (format!("with the first byte 0x{first:02X}"), [&[first], &whole[1..]].concat())
    });
    Row { name, faults: faults.collect(), unnoticed }
}

/// Type 0, and in 3.1.1 type 15, which 5.0 gave to AUTH; with each flag nibble.
pub(crate) async fn a_reserved_packet_type_closes_the_connection(stage: &Stage) -> Outcome {
    let mut rows = vec![with_each_nibble("the packet type 0", &[0x00, 0], Unnoticed::Fails)];
    if !is_v5(stage) {
        rows.push(with_each_nibble("the packet type 15", &[0xF0, 0], Unnoticed::Fails));
    }
    all(stage, rows).await
}

pub(crate) async fn a_remaining_length_of_five_bytes_closes_the_connection(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::PacketTooLarge];
    let mut peer = offender(stage).await?;
    // A fourth byte that says that a fifth follows.
    let bytes = [0x30, 0x80, 0x80, 0x80, 0x80, 0x01];
    closes(&mut peer, "a Remaining Length of five bytes", &bytes, &codes, Unnoticed::Fails).await
}

/// Bytes that are missing: the packet cannot be read.
pub(crate) async fn missing_bytes_close_the_connection(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("cut");
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::TopicFilterInvalid];
    let mut cases = Cases::new();
    let whole = subscribe(version, 0x82, 1, &[], &[(topic.as_bytes(), 0)]);
    let body = &whole[2..];
    let offences = [
        ("SUBSCRIBE without the options of its filter", frame(0x82, &body[..body.len() - 1])),
        ("SUBSCRIBE that breaks off in its filter", frame(0x82, &body[..body.len() - 4])),
        // The topic fills the packet: no packet identifier.
        ("PUBLISH QoS 1 that ends with its topic", frame(0x32, &crate::tests::asking::string(topic.as_bytes()))),
    ];
    for (offence, bytes) in offences {
        let mut peer = offender(stage).await?;
        cases.add(offence, closes(&mut peer, offence, &bytes, &codes, Unnoticed::Fails).await);
    }
    cases.finish()
}

/// A packet that only a server sends, with each flag nibble.
pub(crate) async fn a_packet_of_the_other_direction_closes_the_connection(stage: &Stage) -> Outcome {
    let connack: &[u8] = if is_v5(stage) { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
    let suback: &[u8] = if is_v5(stage) { &[0x90, 4, 0, 1, 0, 0] } else { &[0x90, 3, 0, 1, 0] };
    let unsuback: &[u8] = if is_v5(stage) { &[0xB0, 4, 0, 1, 0, 0] } else { &[0xB0, 2, 0, 1] };
    let packets = [
        ("CONNACK from a client", connack),
        ("SUBACK from a client", suback),
        ("UNSUBACK from a client", unsuback),
        ("PINGRESP from a client", &[0xD0, 0]),
    ];
    all(stage, packets.map(|(name, whole)| with_each_nibble(name, whole, Unnoticed::Warns)).into()).await
}
