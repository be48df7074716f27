//! 4.9 Flow Control: what uses the window up, and what gives it back.

use std::collections::{BTreeMap, VecDeque};

use squall_codec::{
    packet::{Ack, Packet, Publish},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};
use squall_scenarios::{
    peer::{Next, Peer, Pubcomp, Pubrec, Pubrel, Seen},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::flow_control,
    test::{Test, test},
    tests::{
        asking::lasting,
        bytes::publish,
        judge::{Cases, Unnoticed, farewell, judge_close, offender, parting},
        offer,
        sharing::{numbered, publishes},
        watch::{Delivery, burst, collect, fenced, no_other, tidied, will_taken, with_will},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        more_than_the_receive_maximum_of_the_server_closes_the_connection,
        "A client sends one QoS 2 message more than the server takes at a time; the server hangs up.",
        ["5.0/X-RECVMAX-EXCEEDED"],
        flow_control::takes_more_than_it_announced
    )
    .should(),
    test!(
        quota_comes_back_with_the_end_of_an_exchange,
        "With Receive Maximum 1 the next message comes after PUBCOMP or a refusing PUBREC, not after PUBREC.",
        ["5.0/X-RECVMAX-CREDIT"],
        flow_control::gives_credit_for_pubrec
    ),
    test!(
        each_connection_has_a_window_of_its_own,
        "A session with unacknowledged messages is resumed with another Receive Maximum; the new one counts.",
        ["5.0/X-RECVMAX-PER-CONNECTION"],
        flow_control::carries_the_window_over
    ),
    test!(
        qos_0_does_not_use_the_window_up,
        "QoS 0 messages come or do not while the window is full; afterwards QoS 1 messages come as before.",
        ["5.0/X-RECVMAX-QOS0"],
        flow_control::counts_qos_0
    ),
    test!(
        a_qos_1_message_has_an_identifier_that_is_free,
        "Messages are acknowledged in part while new ones come; no identifier stands for two that are under way.",
        ["5.0/MQTT-4.3.2-1"],
        flow_control::reuses_identifiers_of_qos_1
    ),
    test!(
        a_qos_2_message_has_an_identifier_that_is_free,
        "Messages have their PUBREC and no PUBCOMP while new ones come; their identifiers are not given again.",
        ["5.0/MQTT-4.3.3-1"],
        flow_control::frees_identifiers_at_pubrec
    ),
    test!(
        short_acknowledgements_are_taken,
        "PUBACK, PUBREC, PUBREL, PUBCOMP and DISCONNECT come in their short forms; each is taken for what it says.",
        ["5.0/X-SHORT-FORM-ACKS"],
        flow_control::wants_whole_acknowledgements
    ),
];

/// Beyond this it is not sensible to fill the window of a server.
const LARGEST_WINDOW: u16 = 2048;

async fn more_than_the_receive_maximum_of_the_server_closes_the_connection(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    let announced = peer.connack().and_then(|connack| connack.properties.receive_maximum());
    let maximum = match announced {
        Some(maximum) if maximum <= LARGEST_WINDOW => maximum,
        Some(maximum) => {
            return Err(Halt::unsupported(format!(
                "the server takes {maximum} messages at a time, too many to exceed"
            )));
        }
        None => return Err(Halt::unsupported("the server announces no Receive Maximum")),
    };
    let topic = stage.topic("many");
    let messages = (1..=maximum + 1).map(|id| publish(stage.version(), 0x34, topic.as_bytes(), Some(id), &[], b"x"));
    let bytes = messages.collect::<Vec<_>>().concat();
    let sent = peer.send_bytes(&bytes).await;
    let (mut seen, pong) = parting(&mut peer).await;
    // A refusal of what is too much is an answer, if not the one that is asked for; the others are in order.
    let surplus = seen.packets.iter().find_map(|packet| match &**packet {
        Packet::Pubrec(ack) if ack.packet_id.value() > maximum && ack.reason.is_failure() => Some(
            Evidence::of(packet).warn(format!("one message too many: expected a close, got PUBREC {}", ack.reason)),
        ),
        _ => None,
    });
    if let (Some(evidence), None) = (surplus, &seen.end) {
        return Ok(evidence);
    }
    seen.packets.retain(|packet| !matches!(**packet, Packet::Pubrec(_)));
    let codes = [ReasonCode::ReceiveMaximumExceeded];
    let offence = format!("more than {maximum} messages at a time");
    judge_close(stage, &offence, &codes, Unnoticed::Warns, (&seen, pong.as_ref()), &sent)
}

/// A subscriber with this Receive Maximum.
async fn windowed(stage: &Stage, actor: &str, receive_maximum: u16, qos: Qos) -> Result<Peer, Halt> {
    let mut connect = Peer::hello(stage, actor);
    connect.push_property(Property::ReceiveMaximum(receive_maximum));
    let (mut peer, _) = Peer::connect(stage, actor, connect).await.prepared()?;
    offer::qos(&peer, qos)?;
    peer.subscribed(&stage.topic("t"), qos).await?;
    Ok(peer)
}

/// The next message must be this one, at this QoS.
async fn next_message(peer: &mut Peer, payload: &str, qos: Qos) -> Result<(Seen<Publish>, PacketId), Halt> {
    let message = peer.expect_message(payload.as_bytes()).await?;
    match message.packet_id {
        Some(id) if message.qos == qos => Ok((message, id)),
        _ => {
            let reason = format!("the message came at QoS {}, the question needs QoS {qos}", message.qos);
            Err(Halt::inconclusive(reason).at(&message))
        }
    }
}

/// No message may come before the answer to a PINGREQ.
async fn nothing_more(peer: &mut Peer, when: &str) -> Result<Seen<()>, Halt> {
    let (before, pong) = peer.fence().await.prepared()?;
    match before.iter().find(|packet| matches!(***packet, Packet::Publish(_))) {
        Some(packet) => Err(Halt::fail(format!("{when}, {} came under Receive Maximum 1", **packet)).at(packet)),
        None => Ok(pong),
    }
}

fn when<T>(result: Result<T, Halt>, what: &str) -> Result<T, Halt> {
    result.map_err(|halt| Halt { reason: format!("{what}: {}", halt.reason), ..halt })
}

async fn quota_comes_back_with_the_end_of_an_exchange(stage: &Stage) -> Outcome {
    const QOS: Qos = Qos::ExactlyOnce;
    let mut peer = windowed(stage, "alice", 1, QOS).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    for payload in ["1", "2", "3", "4"] {
        publisher.published(&stage.topic("t"), QOS, payload.as_bytes(), false).await?;
    }
    let (first, one) = next_message(&mut peer, "1", QOS).await.prepared()?;
    let mut evidence = Evidence::of(&first).and(&nothing_more(&mut peer, "before any answer").await?);
    peer.send(Packet::Pubrec(Ack::new(one))).await;
    peer.expect::<Pubrel>().await.prepared()?;
    evidence = evidence.and(&nothing_more(&mut peer, "after PUBREC").await?);
    peer.send(Packet::Pubcomp(Ack::new(one))).await;
    let (second, two) = when(next_message(&mut peer, "2", QOS).await, "after PUBCOMP")?;
    peer.send(Packet::Pubrec(Ack::with_reason(two, ReasonCode::UnspecifiedError))).await;
    let (third, three) = match next_message(&mut peer, "3", QOS).await {
        Ok(third) => third,
        Err(halt) => {
            queues_behind_a_window(stage, QOS).await?;
            return when(Err(halt), "after PUBREC 0x80");
        }
    };
    evidence = evidence.and(&second).and(&third);
    // A PUBCOMP that ends nothing gives nothing back. The server may also take it for an error.
    let stray = if one == three { two } else { one };
    if stray != three {
        peer.send(Packet::Pubcomp(Ack::new(stray))).await;
        match nothing_more(&mut peer, "after a PUBCOMP of no exchange").await {
            Ok(pong) => evidence = evidence.and(&pong),
            Err(_) if !peer.is_open() => return Ok(evidence),
            Err(halt) => return Err(halt),
        }
    }
    peer.send(Packet::Pubrec(Ack::new(three))).await;
    peer.expect::<Pubrel>().await.prepared()?;
    peer.send(Packet::Pubcomp(Ack::new(three))).await;
    let (fourth, _) = when(next_message(&mut peer, "4", QOS).await, "after the second PUBCOMP")?;
    Ok(evidence.and(&fourth))
}

/// The control: behind a full window as many messages wait, and come when each exchange before them has ended as usual.
async fn queues_behind_a_window(stage: &Stage, qos: Qos) -> Result<(), Halt> {
    let mut peer = windowed(stage, "carol", 1, qos).await?;
    let mut publisher = Peer::connected(stage, "dave").await?;
    for payload in ["1", "2", "3", "4"] {
        publisher.published(&stage.topic("t"), qos, payload.as_bytes(), false).await?;
    }
    for payload in ["1", "2", "3"] {
        let (_, id) = next_message(&mut peer, payload, qos).await.prepared()?;
        peer.send(Packet::Pubrec(Ack::new(id))).await;
        peer.expect::<Pubrel>().await.prepared()?;
        peer.send(Packet::Pubcomp(Ack::new(id))).await;
    }
    Ok(())
}

async fn each_connection_has_a_window_of_its_own(stage: &Stage) -> Outcome {
    tidied(stage, &["wider", "narrower"], &[], async {
        let mut cases = Cases::new();
        cases.add("1, then 5", resized(stage, "wider", 1, 5).await);
        cases.add("5, then 1", resized(stage, "narrower", 5, 1).await);
        cases.finish()
    })
    .await
}

async fn resized(stage: &Stage, actor: &str, before: u16, after: u16) -> Outcome {
    const MESSAGES: usize = 8;
    let topic = stage.topic(actor);
    let with = |maximum| {
        let mut connect = lasting(stage, actor);
        connect.push_property(Property::ReceiveMaximum(maximum));
        connect
    };
    let (mut peer, _) = Peer::connect(stage, actor, with(before)).await.prepared()?;
    offer::session_expiry(&peer, 300)?;
    peer.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publishes(&mut publisher, &topic, &numbered(MESSAGES)).await?;
    publisher.disconnect().await;
    farewell(&mut publisher).await;
    let first = burst(&mut peer).await?;
    within(&first, before, "on the first connection")?;
    peer.close(End::Fin).await;
    farewell(&mut peer).await;

    let (mut peer, connack) = Peer::connect(stage, actor, with(after)).await.prepared()?;
    if !connack.session_present {
        return Err(Halt::inconclusive("the server did not keep the session (Session Present 0)").at(&connack));
    }
    let mut evidence = Evidence::of(&connack);
    let mut came: BTreeMap<Vec<u8>, PacketId> = BTreeMap::new();
    let mut open = VecDeque::new();
    loop {
        let more = if open.is_empty() { burst(&mut peer).await? } else { fenced(&mut peer).await.prepared()? };
        for copy in more {
            let Some(id) = copy.packet_id else {
                return Err(Halt::inconclusive("a message came at QoS 0").at(&copy));
            };
            came.insert(copy.payload().to_vec(), id);
            evidence = evidence.and(&copy);
            // Sent twice it is still one that is unacknowledged.
            if open.iter().all(|(other, _)| *other != id) {
                open.push_back((id, copy));
            }
        }
        let unacknowledged: Vec<Delivery> = open.iter().map(|(_, copy)| copy.clone()).collect();
        within(&unacknowledged, after, "on the second connection")?;
        let Some((id, _)) = open.pop_front() else { break };
        peer.send(Packet::Puback(Ack::new(id))).await;
        if open.is_empty() && came.len() >= MESSAGES {
            break;
        }
    }
    peer.disconnect().await;
    Ok(evidence)
}

/// So many messages and no more may be unacknowledged.
fn within(unacknowledged: &[Delivery], maximum: u16, when: &str) -> Result<(), Halt> {
    match unacknowledged.get(usize::from(maximum)) {
        None => Ok(()),
        Some(surplus) => {
            let count = unacknowledged.len();
            let reason = format!("{count} messages are unacknowledged {when}, Receive Maximum is {maximum}");
            Err(Halt::fail(reason).at(surplus))
        }
    }
}

async fn qos_0_does_not_use_the_window_up(stage: &Stage) -> Outcome {
    let mut peer = windowed(stage, "alice", 1, Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    publishes(&mut publisher, &stage.topic("t"), &["held".to_owned()]).await?;
    let (held, id) = next_message(&mut peer, "held", Qos::AtLeastOnce).await.prepared()?;
    for payload in ["a", "b", "c"] {
        publisher.published(&stage.topic("t"), Qos::AtMostOnce, payload.as_bytes(), false).await?;
    }
    let mut got = fenced(&mut peer).await.prepared()?;
    peer.send(Packet::Puback(Ack::new(id))).await;
    publishes(&mut publisher, &stage.topic("t"), &["after".to_owned()]).await?;
    got.extend(collect(&mut peer, |seen| seen.last().is_some_and(|last| last.payload() == b"after")).await?);
    let evidence = Evidence::of(&held).and_all(&got);
    for payload in ["a", "b", "c", "after"] {
        let copies: Vec<_> = got.iter().filter(|copy| copy.payload() == payload.as_bytes()).collect();
        match (copies.as_slice(), payload) {
            ([_], _) | ([], "a" | "b" | "c") => {}
            ([], _) => return Err(Halt::fail("after QoS 0 messages no QoS 1 message came any more")),
            ([_, second, ..], _) => return Err(Halt::fail(format!("the message \"{payload}\" came twice")).at(*second)),
        }
    }
    Ok(evidence)
}

/// Identifiers under way. A second message with one of them fails.
fn all_free(under_way: &mut BTreeMap<PacketId, Vec<u8>>, messages: &[Delivery], qos: Qos) -> Result<(), Halt> {
    for message in messages {
        let Some(id) = message.packet_id.filter(|_| message.qos == qos) else {
            let reason = format!("the message came at QoS {}, the question needs QoS {qos}", message.qos);
            return Err(Halt::inconclusive(reason).at(message));
        };
        if under_way.insert(id, message.payload().to_vec()).is_some() {
            let reason = format!("the packet identifier {id} was given to a new message while it stands for another");
            return Err(Halt::fail(reason).at(message));
        }
    }
    Ok(())
}

/// So many new messages, acknowledged by nobody. Others are on their way: these are waited for. `unsupported` where the
/// server keeps fewer in flight.
async fn arriving(peer: &mut Peer, count: usize) -> Result<Vec<Delivery>, Halt> {
    let mut messages: Vec<Delivery> = Vec::new();
    while messages.len() < count {
        match (burst(peer).await, messages.last()) {
            (Ok(more), _) => messages.extend(more),
            (Err(_), Some(last)) if peer.is_open() => {
                let reason = format!("the server keeps no more than {} messages in flight", messages.len());
                return Err(Halt::unsupported(reason).at(last));
            }
            (Err(halt), _) => return Err(halt),
        }
    }
    Ok(messages)
}

async fn a_qos_1_message_has_an_identifier_that_is_free(stage: &Stage) -> Outcome {
    const QOS: Qos = Qos::AtLeastOnce;
    let mut peer = windowed(stage, "alice", 100, QOS).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    let mut under_way = BTreeMap::new();
    let mut evidence: Option<Evidence> = None;
    let payloads = numbered(15);
    for group in payloads.chunks(5) {
        publishes(&mut publisher, &stage.topic("t"), group).await?;
        let messages = arriving(&mut peer, group.len()).await?;
        all_free(&mut under_way, &messages, QOS)?;
        evidence = messages.iter().fold(evidence, |evidence, message| {
            Some(evidence.map_or_else(|| Evidence::of(message), |evidence| evidence.and(message)))
        });
        // In the middle: those before and behind are still under way.
        for message in &messages[1..3] {
            if let Some(id) = message.packet_id {
                peer.send(Packet::Puback(Ack::new(id))).await;
                under_way.remove(&id);
            }
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("no message came"))
}

async fn a_qos_2_message_has_an_identifier_that_is_free(stage: &Stage) -> Outcome {
    const QOS: Qos = Qos::ExactlyOnce;
    let mut peer = windowed(stage, "alice", 100, QOS).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    let mut under_way = BTreeMap::new();
    let mut evidence: Option<Evidence> = None;
    let payloads = numbered(9);
    for group in payloads.chunks(3) {
        for payload in group {
            publisher.published(&stage.topic("t"), QOS, payload.as_bytes(), false).await?;
        }
        let messages = arriving(&mut peer, group.len()).await?;
        all_free(&mut under_way, &messages, QOS)?;
        for message in &messages {
            evidence = Some(evidence.map_or_else(|| Evidence::of(message), |evidence| evidence.and(message)));
            let Some(id) = message.packet_id else { continue };
            peer.send(Packet::Pubrec(Ack::new(id))).await;
            peer.expect::<Pubrel>().await.prepared()?;
        }
        // Only the first is finished: the identifiers of the others are still in use.
        if let Some(id) = messages.first().and_then(|message| message.packet_id) {
            peer.send(Packet::Pubcomp(Ack::new(id))).await;
            under_way.remove(&id);
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("no message came"))
}

/// How much of an acknowledgement of success is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Identifier,
    Reason,
    NoProperties,
}

const FORMS: [(&str, Form); 3] = [
    ("without a reason", Form::Identifier),
    ("with a reason and no more", Form::Reason),
    ("with a reason and a property length of 0", Form::NoProperties),
];

/// The frame of an acknowledgement of success in this form.
fn short(first: u8, id: PacketId, form: Form) -> Vec<u8> {
    let [high, low] = id.value().to_be_bytes();
    match form {
        Form::Identifier => vec![first, 2, high, low],
        Form::Reason => vec![first, 3, high, low, 0],
        Form::NoProperties => vec![first, 4, high, low, 0, 0],
    }
}

async fn short_acknowledgements_are_taken(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for (words, form) in FORMS {
        cases.add(format!("PUBACK {words}"), short_puback(stage, form).await);
        cases.add(format!("PUBREC and PUBCOMP {words}"), short_pubrec(stage, form).await);
        cases.add(format!("PUBREL {words}"), short_pubrel(stage, form).await);
    }
    for bytes in [&[0xE0, 0][..], &[0xE0, 1, 0], &[0xE0, 2, 0, 0]] {
        cases.add(format!("DISCONNECT {bytes:02X?}"), short_disconnect(stage, bytes).await);
    }
    cases.finish()
}

/// Two messages for a subscriber with a window of one: the second comes when the first is done with.
async fn two_messages(stage: &Stage, qos: Qos) -> Result<(Peer, PacketId), Halt> {
    let mut peer = windowed(stage, &stage.fresh("short"), 1, qos).await?;
    let mut publisher = Peer::connected(stage, &stage.fresh("bob")).await?;
    for payload in ["1", "2"] {
        publisher.published(&stage.topic("t"), qos, payload.as_bytes(), false).await?;
    }
    let (_, id) = next_message(&mut peer, "1", qos).await.prepared()?;
    Ok((peer, id))
}

async fn short_puback(stage: &Stage, form: Form) -> Outcome {
    let (mut peer, id) = two_messages(stage, Qos::AtLeastOnce).await?;
    peer.send_bytes(&short(0x40, id, form)).await;
    let (next, _) = next_message(&mut peer, "2", Qos::AtLeastOnce).await?;
    peer.disconnect().await;
    Ok(Evidence::of(&next))
}

async fn short_pubrec(stage: &Stage, form: Form) -> Outcome {
    let (mut peer, id) = two_messages(stage, Qos::ExactlyOnce).await?;
    peer.send_bytes(&short(0x50, id, form)).await;
    let pubrel = peer.expect::<Pubrel>().await?;
    peer.send_bytes(&short(0x70, id, form)).await;
    let (next, _) = next_message(&mut peer, "2", Qos::ExactlyOnce).await?;
    peer.disconnect().await;
    Ok(Evidence::of(&pubrel).and(&next))
}

async fn short_pubrel(stage: &Stage, form: Form) -> Outcome {
    let mut peer = offender(stage).await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    let id = peer.fresh_id();
    let bytes = publish(stage.version(), 0x34, stage.topic("out").as_bytes(), Some(id.value()), &[], b"x");
    peer.send_bytes(&bytes).await;
    peer.expect::<Pubrec>().await.prepared()?;
    peer.send_bytes(&short(0x62, id, form)).await;
    let pubcomp = peer.expect::<Pubcomp>().await?;
    Ok(Evidence::of(&pubcomp))
}

/// As after any DISCONNECT with success the server has nothing more to say, and the will is not sent. That it closes the connection is
/// no more than a SHOULD, so the client does.
async fn short_disconnect(stage: &Stage, bytes: &[u8]) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
    let actor = stage.fresh("leaver");
    let connect = with_will(stage, &actor, will_taken(&watcher, &topic, b"will"));
    let (mut peer, _) = Peer::connect(stage, &actor, connect).await.prepared()?;
    peer.send_bytes(bytes).await;
    peer.close(End::Fin).await;
    let end = match peer.next().await {
        Next::End(end) => end,
        other => return Err(Halt { entry: other.entry(), ..Halt::fail(format!("expected the end, but {other}")) }),
    };
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let qos = Qos::AtLeastOnce.min(offer::highest_qos(&publisher));
    publisher.published(&topic, qos, b"marker", false).await?;
    publisher.disconnect().await;
    let marker = |seen: &[Delivery]| seen.last().is_some_and(|last| last.payload() == b"marker");
    let received = collect(&mut watcher, marker).await?;
    no_other(&received, b"marker")?;
    watcher.disconnect().await;
    let last = received.last().ok_or_else(|| Halt::inconclusive("the marker did not come"))?;
    Ok(Evidence::of(&end).and(last))
}
