//! 3.14 DISCONNECT.

use squall_codec::{packet::Packet, property::Property, qos::Qos, reason::Side};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::{
    liars::{documented, s3_01_session, s3_02_connack},
    test::{Test, test},
    tests::{
        both::{
            s2_packet_format::variable_at,
            s3_01_lasting_wills::a_disconnect_right_behind_a_message_counts,
            s3_01_will::{a_disconnect_discards_the_will, a_flagged_disconnect_is_none},
            s3_14_disconnect::{nothing_after_disconnect_is_processed, the_receiver_of_disconnect_closes},
        },
        bytes::{RawConnect, flag, publish},
        judge::{At, Cases, Farewell, farewell, offender},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_disconnect_discards_the_will,
        "A client with a will says DISCONNECT; its will is not published.",
        ["5.0/MQTT-3.14.4-3"],
        s3_01_session::publishes_wills_after_disconnect
    ),
    test!(
        a_flagged_disconnect_is_none,
        "DISCONNECT comes with a reserved flag; the connection ends as for an error and the will is published.",
        ["5.0/MQTT-3.14.1-1"],
        s3_01_session::takes_each_disconnect_for_normal
    ),
    test!(
        the_receiver_of_disconnect_closes,
        "A client says DISCONNECT and keeps its side open; the server closes.",
        ["5.0/X-DISCONNECT-RECEIVER-CLOSES"],
        s3_02_connack::stays_after_disconnect
    )
    .should(),
    test!(
        nothing_after_disconnect_is_processed,
        "A retained message comes behind a DISCONNECT in one write; it is not processed.",
        ["5.0/X-AFTER-DISCONNECT-IGNORED"],
        s3_02_connack::reads_behind_disconnect
    )
    .should(),
    test!(
        no_disconnect_comes_before_connack,
        "CONNECTs are refused, and other packets come first; the server never says DISCONNECT.",
        ["5.0/MQTT-3.14.0-1"],
        s3_02_connack::says_disconnect_before_connack
    ),
    test!(
        a_disconnect_has_a_reason_of_its_table,
        "A client is taken over, another breaks the protocol; DISCONNECT has a reason that a server may give.",
        ["5.0/MQTT-3.14.2-1"],
        s3_02_connack::disconnects_like_a_client
    ),
    test!(
        a_disconnect_of_the_server_has_no_session_expiry,
        "A client is taken over, another breaks the protocol; DISCONNECT has no Session Expiry Interval.",
        ["5.0/MQTT-3.14.2-2"],
        s3_02_connack::disconnects_with_an_expiry
    ),
    test!(
        a_disconnect_keeps_to_the_maximum_packet_size,
        "A client that takes packets of 60 bytes is disconnected; DISCONNECT does not explain itself at greater length.",
        ["5.0/MQTT-3.14.2-3", "5.0/MQTT-3.14.2-4"],
        s3_02_connack::is_talkative_in_disconnect
    ),
    test!(
        nothing_follows_the_disconnect_of_the_server,
        "A client with messages under way breaks the protocol; nothing comes after DISCONNECT.",
        ["5.0/MQTT-3.14.4-1"],
        s3_02_connack::talks_after_disconnect
    ),
    test!(
        the_server_closes_after_its_disconnect,
        "The server says DISCONNECT; it closes the connection.",
        ["5.0/MQTT-3.14.4-2"],
        s3_02_connack::disconnects_and_stays
    ),
    test!(
        the_server_says_why_it_closes,
        "A client breaks the protocol; the server says DISCONNECT with the reason before it closes.",
        ["5.0/X-ERROR-DISCONNECT-SENT"],
        s3_02_connack::closes_without_a_word
    )
    .should(),
    test!(
        a_disconnect_right_behind_a_message_counts,
        "A message, DISCONNECT and the end of the connection come in one breath; the will is not published.",
        ["5.0/MQTT-3.14.4-3"],
        documented::overlooks_a_hasty_disconnect
    ),
];

/// CONNECTs that are refused and packets that come without one: no DISCONNECT, whatever else.
async fn no_disconnect_comes_before_connack(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    let mut ended = false;
    for (what, bytes) in [
        ("version 99", RawConnect::new(stage, "offender").at_level(99).bytes()),
        ("the reserved flag", RawConnect::new(stage, "offender").flagged(flag::RESERVED).bytes()),
        ("no payload", RawConnect::without_payload(stage).bytes()),
        ("PINGREQ first", vec![0xC0, 0]),
        ("PUBLISH first", publish(stage.version(), 0x30, b"t", None, &[], b"x")),
    ] {
        let mut peer = Peer::open(stage, "offender").await?;
        let sent = peer.send_bytes(&bytes).await;
        let seen = farewell(&mut peer).await;
        ended |= seen.end.is_some();
        cases.add(
            what,
            match (seen.disconnect(), &seen.end) {
                (Some((reason, at)), _) => {
                    Err(Halt::fail(format!("DISCONNECT {reason} came before any CONNACK")).at(at))
                }
                (None, Some(end)) => Ok(Evidence::of(end)),
                (None, None) => Ok(Evidence::of(&sent)),
            },
        );
    }
    match cases.finish() {
        // Whoever refuses nothing has no occasion to say it.
        Ok(_) if !ended => Err(Halt::inconclusive("the server ended none of these connections")),
        outcome => outcome,
    }
}

/// Ways to be disconnected: taken over, and for an error. What was seen of each.
async fn disconnected(stage: &Stage, maximum: Option<u32>) -> Result<Vec<(&'static str, Farewell)>, Halt> {
    let mut seen = Vec::new();
    let connect = || {
        let mut connect = Peer::hello(stage, "alice");
        if let Some(maximum) = maximum {
            connect.push_property(Property::MaximumPacketSize(maximum));
        }
        connect
    };
    let (mut old, _) = Peer::connect(stage, "alice", connect()).await.prepared()?;
    let (mut new, _) = Peer::connect(stage, "alice", connect()).await.prepared()?;
    seen.push(("taken over", farewell(&mut old).await));
    new.send_bytes(&publish(stage.version(), 0x36, stage.topic("t").as_bytes(), Some(1), &[], b"x")).await;
    seen.push(("a PUBLISH with QoS 3", farewell(&mut new).await));
    Ok(seen)
}

/// The frames of DISCONNECT among what the server sent: by their bytes, as a decoder may refuse them.
fn disconnects(stage: &Stage) -> Vec<(At, bytes::Bytes)> {
    super::super::both::s2_packet_format::frames_of_the_server(stage)
        .into_iter()
        .filter(|(_, bytes)| bytes[0] == 0xE0)
        .map(|(entry, bytes)| (At(entry), bytes))
        .collect()
}

/// The codes that a server may say: of table 3-10, and 0x8C, which only table 2-6 has.
fn is_of_a_server(code: u8) -> bool {
    matches!(
        code,
        0x00 | 0x80..=0x83 | 0x87 | 0x89 | 0x8B..=0x90 | 0x93..=0x9F | 0xA0..=0xA2
    )
}

async fn judge_disconnects(stage: &Stage, judge: impl Fn(&[u8]) -> Result<(), String>) -> Outcome {
    let played = disconnected(stage, None).await;
    let mut evidence: Option<Evidence> = None;
    for (at, bytes) in disconnects(stage) {
        judge(&bytes).map_err(|reason| Halt::fail(reason).at(&at))?;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&at), |evidence| evidence.and(&at)));
    }
    played?;
    evidence.ok_or_else(|| Halt::unsupported("the server closes without a DISCONNECT"))
}

async fn a_disconnect_has_a_reason_of_its_table(stage: &Stage) -> Outcome {
    judge_disconnects(stage, |bytes| match variable_at(bytes, 1).and_then(|(_, size, _)| bytes.get(1 + size)) {
        Some(code) if !is_of_a_server(*code) => {
            Err(format!("a server says DISCONNECT with the reason code 0x{code:02X}"))
        }
        _ => Ok(()),
    })
    .await
}

async fn a_disconnect_of_the_server_has_no_session_expiry(stage: &Stage) -> Outcome {
    let version = stage.version();
    judge_disconnects(stage, |bytes| {
        // Read as if a client had sent it, who may say so.
        match Packet::decode(version, Side::Client, bytes::Bytes::copy_from_slice(bytes)) {
            Ok(Packet::Disconnect(disconnect)) if disconnect.properties.session_expiry_interval().is_some() => {
                Err("the DISCONNECT of a server has a Session Expiry Interval".to_owned())
            }
            // By its bytes, where the reason is one that no client has: length, reason, Property Length, 0x11.
            _ if bytes.len() >= 9 && bytes[4] == 0x11 => {
                Err("the DISCONNECT of a server has a Session Expiry Interval".to_owned())
            }
            _ => Ok(()),
        }
    })
    .await
}

/// A client that takes 60 bytes: DISCONNECT leaves out what can be left out, or does not come.
async fn a_disconnect_keeps_to_the_maximum_packet_size(stage: &Stage) -> Outcome {
    const LIMIT: usize = 60;
    let seen = disconnected(stage, Some(LIMIT as u32)).await?;
    for (at, bytes) in disconnects(stage) {
        if bytes.len() > LIMIT {
            let reason = format!("a DISCONNECT of {} bytes came, Maximum Packet Size is {LIMIT}", bytes.len());
            return Err(Halt::fail(reason).at(&at));
        }
    }
    let mut evidence: Option<Evidence> = None;
    for (how, farewell) in &seen {
        let witness = match (farewell.disconnect(), &farewell.end) {
            (Some((_, at)), _) => At(at.entry()),
            (None, Some(end)) => At(end.entry()),
            (None, None) => return Err(Halt::inconclusive(format!("{how}: the connection was not closed"))),
        };
        evidence = Some(evidence.map_or_else(|| Evidence::of(&witness), |evidence| evidence.and(&witness)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nobody was disconnected"))
}

/// A message is under way to a client that is disconnected: nothing comes behind the DISCONNECT.
async fn nothing_follows_the_disconnect_of_the_server(stage: &Stage) -> Outcome {
    let topic = stage.topic("pending");
    let mut peer = offender(stage).await?;
    peer.subscribed(&topic, Qos::AtMostOnce).await?;
    // Its own messages in the same write as the offence: they are on their way back when the server hangs up.
    let pending = publish(stage.version(), 0x30, topic.as_bytes(), None, &[], b"pending");
    let offence = publish(stage.version(), 0x36, topic.as_bytes(), Some(1), &[], b"x");
    peer.send_bytes(&[pending.clone(), pending, offence].concat()).await;
    let seen = farewell(&mut peer).await;
    let Some(said) = seen.packets.iter().position(|packet| matches!(**packet, Packet::Disconnect(_))) else {
        return Err(Halt::unsupported("the server closes without a DISCONNECT"));
    };
    match (seen.packets.get(said + 1), &seen.malformed, &seen.end) {
        (Some(after), _, _) => Err(Halt::fail(format!("{} came after DISCONNECT", after.kind())).at(after)),
        (None, Some(what), _) => Err(Halt::fail("bytes came after DISCONNECT").at(what)),
        (None, None, Some(end)) => Ok(Evidence::of(&seen.packets[said]).and(end)),
        (None, None, None) => Err(Halt::inconclusive("the connection was not closed").at(&seen.packets[said])),
    }
}

/// The server says DISCONNECT and closes, though the client does nothing.
async fn the_server_closes_after_its_disconnect(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for (how, seen) in disconnected(stage, None).await? {
        cases.add(
            how,
            match (seen.disconnect(), &seen.end) {
                (None, _) => Err(Halt::unsupported("the server closes without a DISCONNECT")),
                (Some((_, at)), Some(end)) => Ok(Evidence::of(at).and(end)),
                (Some((_, at)), None) => {
                    let reason =
                        format!("DISCONNECT came and the connection was still open after {:?}", stage.patience());
                    Err(Halt::fail(reason).at(at))
                }
            },
        );
    }
    cases.finish()
}

/// Before it closes for an error, a server of 5.0 should say why.
async fn the_server_says_why_it_closes(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    peer.send_bytes(&publish(stage.version(), 0x36, stage.topic("t").as_bytes(), Some(1), &[], b"x")).await;
    match peer.next().await {
        Next::Packet(packet) => match &*packet {
            Packet::Disconnect(disconnect) if disconnect.reason.is_failure() => Ok(Evidence::of(&packet)),
            other => Err(Halt::warn(format!("expected DISCONNECT with an error, got {}", other.kind())).at(&packet)),
        },
        Next::End(end) => Err(Halt::warn("the server closed for an error without a DISCONNECT").at(&end)),
        Next::Malformed(what) => Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what)),
        Next::Nothing => Err(Halt::inconclusive("the server did not close")),
    }
}
