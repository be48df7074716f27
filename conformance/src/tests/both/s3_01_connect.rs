//! 3.1 CONNECT: who is let in. What is refused, sessions and wills have files of their own.

use std::time::Duration;

use squall_codec::{
    packet::{Connack, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
    wire::Text,
};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::tests::{
    asking::{bytes_of, id, is_v5, lasting, lasting_peer},
    bytes::{RawConnect, publish, subscribe},
    clock::{close_after_silence, graded},
    judge::{Cases, Unnoticed, farewell, judge_close, offender_as, parting},
    offer,
    watch::{is_policy, message, name, no_other, rest, text, tidied, up_to_marker, will, with_will},
};

/// Something else than CONNECT comes first: nothing may be answered, and the connection ends.
pub(crate) async fn the_first_packet_must_be_connect(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("first");
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    for (what, bytes) in [
        ("PINGREQ", vec![0xC0, 0]),
        ("PUBLISH", publish(version, 0x30, topic.as_bytes(), None, &[], b"x")),
        ("SUBSCRIBE", subscribe(version, 0x82, 1, &[], &[(topic.as_bytes(), 0)])),
        ("DISCONNECT", vec![0xE0, 0]),
    ] {
        let mut peer = Peer::open(stage, "stranger").await?;
        let sent = peer.send_bytes(&bytes).await;
        let seen = farewell(&mut peer).await;
        let answered = seen.packets.iter().find(|packet| match &***packet {
            // 5.0: turned away by a CONNACK is no answer to the packet.
            Packet::Connack(connack) => !connack.reason.is_failure(),
            // Nor is this: 5.0 [MQTT-3.14.0-1] has a test of its own.
            Packet::Disconnect(_) => !is_v5(stage),
            _ => true,
        });
        cases.add(
            what,
            match (answered, &seen.end) {
                (Some(answer), _) => {
                    let reason = format!("{what} before CONNECT was answered by {}", answer.kind());
                    Err(Halt::fail(reason).at(answer))
                }
                (None, None) if is_v5(stage) => {
                    Ok(Evidence::of(&sent)
                        .warn(format!("{what} before CONNECT: still open after {:?}", stage.patience())))
                }
                (None, None) => {
                    let reason =
                        format!("expected {what} before CONNECT to close the connection, but it is still open");
                    Err(Halt::fail(reason).at(&sent))
                }
                (None, Some(end)) => Ok(match seen.connack() {
                    Some((connack, at)) => {
                        Evidence::of(end).and(at).warn(format!("CONNACK {} came before any CONNECT", connack.reason))
                    }
                    None => Evidence::of(end),
                }),
            },
        );
    }
    cases.finish()
}

/// The same CONNECT again, and one with another client identifier: a take-over of itself is not the right answer.
pub(crate) async fn a_second_connect_closes_the_connection(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for actor in ["offender", "another"] {
        let mut peer = offender_as(stage, "offender").await?;
        let second = bytes_of(stage, &Packet::Connect(Peer::hello(stage, actor)));
        let offence = if actor == "offender" { "the same CONNECT again" } else { "a CONNECT with another identifier" };
        let codes = [ReasonCode::ProtocolError];
        let sent = peer.send_bytes(&second).await;
        let (seen, pong) = parting(&mut peer).await;
        let outcome = match (seen.connack(), pong) {
            (Some((_, at)), _) => Err(Halt::fail(format!("{offence} was answered by a second CONNACK")).at(at)),
            (None, pong) => judge_close(stage, offence, &codes, Unnoticed::Fails, (&seen, pong.as_ref()), &sent),
        };
        cases.add(offence, outcome);
    }
    cases.finish()
}

/// A protocol name that no version has.
pub(crate) async fn a_foreign_protocol_name_is_not_served(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    for foreign in [&b"MQTX"[..], b"mqtt", b"MQTTT", b"", b"MQT\xFF", b"MQTT\0"] {
        let mut connect = RawConnect::new(stage, "offender");
        connect.name = foreign.to_vec();
        let mut peer = Peer::open(stage, "offender").await?;
        let sent = peer.send_bytes(&connect.bytes()).await;
        let seen = farewell(&mut peer).await;
        let accepted = seen.connack().filter(|(connack, _)| !connack.reason.is_failure());
        let name = format!("the protocol name \"{}\"", foreign.escape_ascii());
        cases.add(
            name.clone(),
            match (accepted, &seen.end) {
                (Some((_, at)), _) => Err(Halt::fail(format!("{name} was accepted")).at(at)),
                (None, Some(end)) => Ok(Evidence::of(end)),
                // 3.1.1 says that the server may disconnect; 5.0 that it must.
                (None, None) if !is_v5(stage) => {
                    Ok(Evidence::of(&sent).warn(format!("{name}: neither an answer nor a close")))
                }
                (None, None) => Err(Halt::fail(format!("{name}: the connection was left open")).at(&sent)),
            },
        );
    }
    cases.finish()
}

/// Identifiers of 1, 22 and 23 letters and digits; all 62 are in them.
pub(crate) async fn short_alphanumeric_identifiers_are_accepted(stage: &Stage) -> Outcome {
    // Each version has its own: both may be audited at the same time.
    let ids = match stage.version() {
        Version::V5_0 => ["5", "0123456789ABCDEFGHIJKL", "abcdefghijklmnopqrstuvM"],
        _ => ["4", "NOPQRSTUVWXYZ012345678", "abcdefghijklmnopqrstu90"],
    };
    let rest = match stage.version() {
        Version::V5_0 => ["NOPQRSTUVWXYZ", "wxyz"],
        _ => ["ABCDEFGHIJKLM", "vwxyz"],
    };
    let mut evidence: Option<Evidence> = None;
    for id in ids.iter().chain(&rest) {
        let connect = Peer::hello(stage, "short").with_client_id(Text::literal(id));
        let mut peer = Peer::open(stage, "short").await?;
        peer.send(Packet::Connect(connect)).await;
        let connack = peer.expect::<Connack>().await.map_err(|halt| Halt {
            reason: format!("the identifier \"{id}\" ({} bytes): {}", id.len(), halt.reason),
            ..halt
        })?;
        if connack.reason.is_failure() {
            let reason = format!("expected the identifier \"{id}\" to be accepted, got {}", connack.reason);
            let halt = if is_policy(connack.reason) { Halt::inconclusive(reason) } else { Halt::fail(reason) };
            return Err(halt.at(&connack));
        }
        peer.disconnect().await;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&connack), |evidence| evidence.and(&connack)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
}

/// A faultless CONNECT.
pub(crate) async fn a_valid_connect_is_accepted(stage: &Stage) -> Outcome {
    let mut peer = Peer::open(stage, "alice").await?;
    peer.send(Packet::Connect(Peer::hello(stage, "alice"))).await;
    let connack = peer.expect::<Connack>().await?;
    if connack.reason.is_failure() {
        let reason = format!("expected CONNACK with success, got {}", connack.reason);
        let excused = is_policy(connack.reason) || connack.reason == ReasonCode::BadUserNameOrPassword;
        return Err(if excused { Halt::inconclusive(reason) } else { Halt::fail(reason) }.at(&connack));
    }
    if connack.session_present {
        return Err(Halt::fail("Session Present 1 for a clean session").at(&connack));
    }
    peer.disconnect().await;
    Ok(Evidence::of(&connack))
}

/// The old connection of the identifier ends, the new one works. Either may be seen first.
pub(crate) async fn taken_over(stage: &Stage) -> Result<(crate::tests::judge::Farewell, Peer), Halt> {
    let mut old = Peer::connected(stage, "alice").await?;
    old.fence().await.prepared()?;
    let (mut new, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await?;
    let seen = farewell(&mut old).await;
    if seen.end.is_none() {
        let reason = "expected the first connection of the client identifier to be closed, but it is still open";
        return Err(match old.fence().await {
            Ok((_, pong)) => Halt::fail(format!("{reason} and served")).at(&pong),
            Err(_) => Halt::fail(reason).at(&connack),
        });
    }
    new.pinged().await?;
    Ok((seen, new))
}

pub(crate) async fn a_second_client_of_the_same_identifier_takes_over(stage: &Stage) -> Outcome {
    let (seen, mut new) = taken_over(stage).await?;
    new.disconnect().await;
    let end = seen.end.as_ref().ok_or_else(|| Halt::inconclusive("the end was not seen"))?;
    let evidence = Evidence::of(end);
    Ok(match (seen.disconnect(), is_v5(stage)) {
        (Some((ReasonCode::SessionTakenOver, at)), true) => evidence.and(at),
        (Some((reason, at)), true) => {
            evidence.and(at).warn(format!("expected DISCONNECT {}, got {reason}", ReasonCode::SessionTakenOver))
        }
        (None, true) => evidence.warn("the connection was closed without a DISCONNECT"),
        (_, false) => evidence,
    })
}

/// A CONNECT that is turned away, and behind it in the same write a retained message.
pub(crate) async fn nothing_after_a_refused_connect_is_processed(
    stage: &Stage,
    refused: Vec<u8>,
    why: &str,
) -> Outcome {
    let topic = stage.topic("smuggled");
    tidied(stage, &[], &[&topic], async {
        let mut watcher = Peer::connected(stage, "watcher").await?;
        watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
        let mut peer = Peer::open(stage, "offender").await?;
        let qos = Qos::AtLeastOnce.min(offer::highest_qos(&watcher));
        let packet_id = (qos > Qos::AtMostOnce).then(|| id(1));
        let mut smuggled = Publish::new(&name(&topic), "smuggled").at(qos, packet_id);
        smuggled.retain = true;
        let smuggled = bytes_of(stage, &Packet::Publish(smuggled));
        peer.send_bytes(&[refused, smuggled].concat()).await;
        let seen = farewell(&mut peer).await;
        if let Some((connack, at)) = seen.connack().filter(|(connack, _)| !connack.reason.is_failure()) {
            return Err(Halt::inconclusive(format!("{why} was not refused: {}", connack.reason)).at(at));
        }
        if let Some(puback) = seen.packets.iter().find(|packet| matches!(***packet, Packet::Puback(_))) {
            return Err(Halt::fail("a PUBLISH behind the refused CONNECT was acknowledged").at(puback));
        }
        let end = seen.end.ok_or_else(|| Halt::inconclusive(format!("{why} did not end the connection")))?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publisher.published(&topic, qos, b"marker", false).await?;
        let marker = message_alone(&mut watcher, b"marker").await?;
        // Nothing is retained either: a later subscriber gets nothing.
        let mut late = Peer::connected(stage, "late").await?;
        late.subscribed(&topic, Qos::AtLeastOnce).await?;
        let (retained, pong) = rest(&mut late).await.prepared()?;
        no_other(&retained, b"marker")?;
        Ok(Evidence::of(&end).and(&marker).and(&pong))
    })
    .await
}

/// A message with this payload, and no other before it.
pub(crate) async fn message_alone(peer: &mut Peer, payload: &[u8]) -> Result<crate::tests::watch::Delivery, Halt> {
    let received = up_to_marker(peer, payload).await?;
    no_other(&received, payload)?;
    received.into_iter().next().ok_or_else(|| {
        let wanted = String::from_utf8_lossy(payload).into_owned();
        Halt::inconclusive(format!("the marker message \"{wanted}\" did not come"))
    })
}

/// All five fields of the payload: the will comes out as it went in, so they were read in their order.
pub(crate) async fn payload_fields_are_read_in_their_order(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::qos(&watcher, Qos::AtLeastOnce)?;
    watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut connect = with_will(stage, "alice", will(&topic, b"the will"));
    if connect.username().is_none() {
        connect.set_username(Some(text("the user")));
    }
    if connect.password().is_none() {
        connect.set_password(Some(b"the password".to_vec().into()));
    }
    let mut alice = Peer::open(stage, "alice").await?;
    alice.send(Packet::Connect(connect)).await;
    let connack = alice.expect::<Connack>().await.prepared()?;
    if connack.reason.is_failure() {
        // These credentials are known to nobody.
        return Err(
            Halt::unsupported(format!("the server wants credentials of its own: {}", connack.reason)).at(&connack)
        );
    }
    alice.close(End::Fin).await;
    let came = match message(&mut watcher, b"the will").await {
        Err(halt) if stage.credentials().is_none() && !is_heard(stage, &mut watcher, &topic).await? => {
            // Whom it does not know may perhaps come in, and say nothing.
            let reason = format!("what this user publishes comes to nobody: {}", halt.reason);
            return Err(Halt { verdict: Verdict::Inconclusive, reason, ..halt });
        }
        came => came?,
    };
    if came.topic() == topic {
        Ok(Evidence::of(&came))
    } else {
        Err(Halt::fail(format!("expected the will on {topic}, got {}", came.topic())).at(&came))
    }
}

/// Whether a message of the user that nobody knows comes to the watcher.
async fn is_heard(stage: &Stage, watcher: &mut Peer, topic: &str) -> Result<bool, Halt> {
    let mut connect = Peer::hello(stage, "control");
    connect.set_username(Some(text("the user")));
    connect.set_password(Some(b"the password".to_vec().into()));
    let (mut control, _) = Peer::connect(stage, "control", connect).await.prepared()?;
    control.published(topic, Qos::AtLeastOnce, b"control", false).await?;
    Ok(message(watcher, b"control").await.is_ok())
}

/// Closed at one and a half times the keep alive; how early or late is graded apart.
pub(crate) async fn a_silent_client_is_disconnected(stage: &Stage) -> Outcome {
    let topic = stage.topic("silent");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::qos(&watcher, Qos::AtLeastOnce)?;
    watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut connect = with_will(stage, "silent", will(&topic, b"silent"));
    connect.keep_alive = 1;
    let (mut silent, connack) = Peer::connect(stage, "silent", connect).await.prepared()?;
    let keep_alive = connack.properties.server_keep_alive().unwrap_or(1);
    if keep_alive == 0 || keep_alive > 3 {
        return Err(Halt::unsupported(format!("the server sets the keep alive to {keep_alive} s")).at(&connack));
    }
    let since = connack.at();
    let due = close_after_silence(keep_alive, "CONNACK");
    let limit = due.due;
    let given_up = limit + Duration::from_secs(10) + stage.tolerance();
    let end = loop {
        match silent.next_by(since + given_up).await {
            Next::End(end) => break end,
            Next::Packet(_) | Next::Malformed(_) => {}
            Next::Nothing => {
                stage.missed(due, given_up);
                let reason = format!(
                    "expected the silent client to be closed at {limit:?}, still open {given_up:?} after CONNACK"
                );
                return Err(Halt::fail(reason).at(&connack));
            }
        }
    };
    let took = end.at().saturating_sub(since);
    let came = message(&mut watcher, b"silent").await?;
    Ok(graded(stage, due, took, Evidence::of(&end).and(&came)))
}

/// Two connections with an empty identifier: they are two clients.
pub(crate) async fn empty_identifiers_are_told_apart(stage: &Stage) -> Outcome {
    let mut peers = Vec::new();
    let mut evidence: Option<Evidence> = None;
    for n in 0..2 {
        let connect = Peer::hello(stage, "nameless").with_client_id(text(""));
        let mut peer = Peer::open(stage, &format!("nameless{n}")).await?;
        peer.send(Packet::Connect(connect)).await;
        let connack = match peer.next().await {
            Next::Packet(packet) => packet,
            Next::End(end) => return Err(Halt::unsupported("the server takes no empty client identifier").at(&end)),
            Next::Malformed(what) => return Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what)),
            Next::Nothing => return Err(Halt::inconclusive("no answer to an empty client identifier")),
        };
        match &*connack {
            Packet::Connack(answer) if !answer.reason.is_failure() => {}
            Packet::Connack(answer) => {
                let reason = format!("the server takes no empty client identifier: {}", answer.reason);
                return Err(Halt::unsupported(reason).at(&connack));
            }
            other => return Err(Halt::inconclusive(format!("{} came for CONNACK", other.kind())).at(&connack)),
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(&connack), |evidence| evidence.and(&connack)));
        peers.push(peer);
    }
    let mut evidence = evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))?;
    // Each has its own subscription, and both are still there.
    for (n, peer) in peers.iter_mut().enumerate() {
        let (_, pong) = peer
            .fence()
            .await
            .map_err(|halt| Halt { reason: format!("nameless client {n} did not stay: {}", halt.reason), ..halt })?;
        evidence = evidence.and(&pong);
        peer.subscribed(&stage.topic(&format!("own/{n}")), Qos::AtMostOnce).await?;
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    for n in 0..2 {
        publisher
            .published(&stage.topic(&format!("own/{n}")), Qos::AtMostOnce, format!("{n}").as_bytes(), false)
            .await?;
    }
    for (n, peer) in peers.iter_mut().enumerate() {
        let own = message_alone(peer, format!("{n}").as_bytes()).await?;
        evidence = evidence.and(&own);
        peer.disconnect().await;
    }
    Ok(evidence)
}

/// SUBSCRIBE, PUBLISH and PINGREQ in the same write as CONNECT: all are served, CONNACK first.
pub(crate) async fn packets_behind_connect_are_served(stage: &Stage) -> Outcome {
    let version = stage.version();
    let topic = stage.topic("pipelined");
    let mut peer = Peer::open(stage, "hasty").await?;
    let bytes = [
        bytes_of(stage, &Packet::Connect(Peer::hello(stage, "hasty"))),
        subscribe(version, 0x82, 1, &[], &[(topic.as_bytes(), 0)]),
        publish(version, 0x30, topic.as_bytes(), None, &[], b"hasty"),
        vec![0xC0, 0],
    ];
    peer.send_bytes(&bytes.concat()).await;
    let connack = peer.expect::<Connack>().await?;
    if connack.reason.is_failure() {
        return Err(Halt::inconclusive(format!("the server refused: {}", connack.reason)).at(&connack));
    }
    let mut evidence = Evidence::of(&connack);
    let mut missing = vec!["SUBACK", "PUBLISH", "PINGRESP"];
    let by = stage.now() + stage.patience();
    while !missing.is_empty() {
        match peer.next_by(by).await {
            Next::Packet(packet) => {
                let kind = packet.kind().to_string();
                missing.retain(|wanted| *wanted != kind);
                evidence = evidence.and(&packet);
            }
            Next::Malformed(what) => return Err(Halt::fail(format!("no packet came: {}", *what)).at(&what)),
            Next::End(end) => {
                return Err(Halt::fail(format!("the connection ended before {} came", missing.join(", "))).at(&end));
            }
            Next::Nothing => {
                return Err(Halt::fail(format!(
                    "expected {} behind the CONNACK, but it did not come",
                    missing.join(", ")
                )));
            }
        }
    }
    Ok(evidence)
}

/// Two lasting sessions: each identifier finds its own, also where they differ only in case.
pub(crate) async fn the_identifier_is_the_key_of_the_session(stage: &Stage) -> Outcome {
    tidied(stage, &["alice", "ALICE"], &[], async {
        let mut evidence: Option<Evidence> = None;
        for actor in ["alice", "ALICE"] {
            let mut peer = lasting_peer(stage, actor).await?;
            offer::qos(&peer, Qos::AtLeastOnce)?;
            offer::session_expiry(&peer, 300)?;
            peer.subscribed(&stage.topic(&format!("of/{actor}")), Qos::AtLeastOnce).await?;
            peer.disconnect().await;
        }
        let mut publisher = Peer::connected(stage, "publisher").await?;
        for actor in ["alice", "ALICE"] {
            let topic = stage.topic(&format!("of/{actor}"));
            publisher.published(&topic, Qos::AtLeastOnce, actor.as_bytes(), false).await?;
        }
        for actor in ["alice", "ALICE"] {
            let (mut peer, connack) = Peer::connect(stage, actor, lasting(stage, actor)).await.prepared()?;
            if !connack.session_present {
                return Err(Halt::fail(format!("the session of {actor} was not found: Session Present 0")).at(&connack));
            }
            let own = message(&mut peer, actor.as_bytes()).await?;
            let (others, _) = rest(&mut peer).await.prepared()?;
            no_other(&others, actor.as_bytes())?;
            evidence =
                Some(evidence.map_or_else(|| Evidence::of(&connack), |evidence| evidence.and(&connack)).and(&own));
            peer.disconnect().await;
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
    })
    .await
}
