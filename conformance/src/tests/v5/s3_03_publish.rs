//! 3.3 PUBLISH.

use squall_codec::{
    packet::{Ack, Packet, Publish, Subscribe, Subscription},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{documented, faults, s3_03_publish},
    test::{Test, test},
    tests::{
        asking::id,
        both::s3_03_copies::each_subscriber_gets_a_copy_of_its_own,
        both::s3_03_publish::{
            a_message_matches_the_filter_that_it_came_for, a_message_that_comes_again_has_dup,
            a_publish_begins_with_a_whole_topic, a_publish_is_answered_by_its_qos, a_publisher_gets_its_own_message,
            a_topic_with_wildcards_is_not_forwarded, an_empty_payload_is_delivered, dup_is_not_passed_on,
            overlapping_subscriptions_give_the_highest_qos, payloads_pass_unchanged, qos_0_has_no_dup,
            qos_3_closes_the_connection,
        },
        bytes::publish,
        judge::{Unnoticed, closes, offender},
        offer,
        watch::{Delivery, as_delivery, collect, fenced, filter, name, rest, unacknowledged, up_to_marker},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_message_that_comes_again_has_dup,
        "A message was not acknowledged before the connection was cut; it comes again with DUP.",
        ["5.0/MQTT-3.3.1-1"],
        s3_03_publish::never_says_dup
    ),
    test!(
        qos_0_has_no_dup,
        "Messages of QoS 0 come with DUP 0, also where the publisher set it.",
        ["5.0/MQTT-3.3.1-2"],
        s3_03_publish::passes_dup_on
    ),
    test!(
        dup_is_not_passed_on,
        "A message is published with DUP 1; its first copy to a subscriber has DUP 0.",
        ["5.0/MQTT-3.3.1-3"],
        s3_03_publish::passes_dup_on
    ),
    test!(
        qos_3_closes_the_connection,
        "A PUBLISH has both QoS bits set; the server hangs up and nobody gets the message.",
        ["5.0/MQTT-3.3.1-4"],
        faults::overlooks_qos_3
    ),
    test!(
        a_publish_begins_with_a_whole_topic,
        "The topic of a PUBLISH is longer than the packet, or no UTF-8; the server hangs up.",
        ["5.0/MQTT-3.3.2-1"],
        faults::overlooks_cut_topics
    ),
    test!(
        a_topic_with_wildcards_is_not_forwarded,
        "A message is published to a topic with wildcards; nobody gets it.",
        ["5.0/MQTT-3.3.2-2", "5.0/MQTT-4.7.0-1"],
        faults::relays_wildcards
    ),
    test!(
        a_message_matches_the_filter_that_it_came_for,
        "Many topics and filters; each message that comes is on a topic that its filter matches.",
        ["5.0/MQTT-3.3.2-3"],
        s3_03_publish::renames_topics
    ),
    test!(
        a_publish_is_answered_by_its_qos,
        "PUBLISH at each QoS; nothing, PUBACK or PUBREC comes, each with the right packet identifier.",
        ["5.0/MQTT-3.3.4-1"],
        s3_03_publish::acknowledges_nothing
    ),
    test!(
        overlapping_subscriptions_give_the_highest_qos,
        "Three subscriptions of one client match a message; it comes at the highest QoS among them.",
        ["5.0/MQTT-3.3.4-2"],
        s3_03_publish::delivers_at_qos_0
    ),
    test!(
        a_publisher_gets_its_own_message,
        "A client subscribes to the topic that it publishes to; it gets its own message.",
        ["5.0/X-ECHO-TO-PUBLISHER"],
        s3_03_publish::has_no_echo
    ),
    test!(
        an_empty_payload_is_delivered,
        "Messages without a payload are published at each QoS; all arrive, empty.",
        ["5.0/X-PAYLOAD-EMPTY"],
        s3_03_publish::loses_empty_messages
    ),
    test!(
        payloads_pass_unchanged,
        "Payloads with all byte values and of sizes around the steps of the Remaining Length; they arrive as they were.",
        ["5.0/X-PAYLOAD-BINARY-LARGE"],
        s3_03_publish::is_not_eight_bit_clean
    ),
    test!(
        matching_subscription_identifiers_are_sent,
        "Two subscriptions with identifiers match a message; both identifiers come with it.",
        ["5.0/MQTT-3.3.4-3"],
        s3_03_publish::tells_one_identifier
    ),
    test!(
        each_copy_has_the_identifiers_of_its_subscriptions,
        "Two subscriptions match; one copy carries both identifiers, or each of several its own.",
        ["5.0/MQTT-3.3.4-4", "5.0/MQTT-3.3.4-5"],
        s3_03_publish::tells_one_identifier
    ),
    test!(
        a_subscription_identifier_of_a_client_is_not_forwarded,
        "A client puts a Subscription Identifier into its PUBLISH; no subscriber gets to see it.",
        ["5.0/MQTT-3.3.4-6"],
        faults::relays_subscription_identifiers
    ),
    test!(
        the_receive_maximum_of_the_client_is_kept,
        "A client takes two messages at a time; never are more unacknowledged, and in the end all arrive.",
        ["5.0/MQTT-3.3.4-9"],
        s3_03_publish::ignores_the_receive_maximum
    ),
    test!(
        a_full_window_holds_only_messages_back,
        "A client's window is full; SUBSCRIBE, PUBLISH and PINGREQ are answered all the same.",
        ["5.0/MQTT-3.3.4-10"],
        s3_03_publish::holds_answers_back
    ),
    test!(
        each_subscriber_gets_a_copy_of_its_own,
        "Subscribers of each QoS, some with a Subscription Identifier, get one message; each copy is as its own subscription asks.",
        ["5.0/MQTT-3.8.4-8"],
        documented::lowers_one_copy_and_all_that_follow
    ),
];

/// SUBSCRIBE with these filters, each with an identifier of its own (0: none).
async fn identified(peer: &mut Peer, filters: &[(String, u32)]) -> Result<(), Halt> {
    for (text, identifier) in filters {
        let mut subscribe = Subscribe::new(peer.fresh_id(), vec![Subscription::new(filter(text), Qos::AtMostOnce)]);
        if *identifier > 0 {
            subscribe.properties = Properties::new().with(Property::SubscriptionIdentifier(*identifier));
        }
        peer.subscribe_with(subscribe).await.prepared()?;
    }
    Ok(())
}

/// 5.0: the identifiers of all that match, in one copy or one for each subscription.
async fn copies_with_identifiers(stage: &Stage) -> Result<Vec<Delivery>, Halt> {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::subscription_identifiers(&watcher)?;
    offer::wildcards(&watcher)?;
    let filters = [(stage.topic("ids/#"), 1), (stage.topic("ids/+"), 2), (stage.topic("other"), 3)];
    identified(&mut watcher, &filters).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&stage.topic("ids/x"), Qos::AtMostOnce, b"both", false).await?;
    let mut received = collect(&mut watcher, |seen| !seen.is_empty()).await?;
    let (more, _) = rest(&mut watcher).await.prepared()?;
    received.extend(more);
    if received.is_empty() {
        return Err(Halt::inconclusive("the message did not come"));
    }
    Ok(received)
}

/// 5.0: both identifiers come, in whatever number of copies, and no other.
async fn matching_subscription_identifiers_are_sent(stage: &Stage) -> Outcome {
    let copies = copies_with_identifiers(stage).await?;
    let mut all: Vec<u32> = copies.iter().flat_map(|copy| copy.subscription_identifiers.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    if all == [1, 2] {
        Ok(Evidence::of(&copies[0]).and_all(&copies[1..]))
    } else {
        Err(Halt::fail(format!("expected the Subscription Identifiers 1 and 2, got {all:?}")).at(&copies[0]))
    }
}

/// 5.0: one copy carries all of them; of several each carries its own.
async fn each_copy_has_the_identifiers_of_its_subscriptions(stage: &Stage) -> Outcome {
    let copies = copies_with_identifiers(stage).await?;
    let evidence = Evidence::of(&copies[0]).and_all(&copies[1..]);
    if let [only] = &copies[..] {
        let mut ids = only.subscription_identifiers.clone();
        ids.sort_unstable();
        ids.dedup();
        return if ids == [1, 2] {
            Ok(evidence)
        } else {
            Err(Halt::fail(format!("expected the only copy to carry the identifiers 1 and 2, got {ids:?}")).at(only))
        };
    }
    let mut seen = Vec::new();
    for copy in &copies {
        match copy.subscription_identifiers[..] {
            [own] => seen.push(own),
            [] => return Err(Halt::fail("a copy has no Subscription Identifier").at(copy)),
            [..] => return Ok(evidence.warn("one of several copies carries more than one Subscription Identifier")),
        }
    }
    seen.sort_unstable();
    if seen == [1, 2] {
        Ok(evidence)
    } else {
        Err(Halt::fail(format!("expected a copy for each of the identifiers 1 and 2, got {seen:?}")).at(&copies[0]))
    }
}

/// 5.0: a Subscription Identifier in a client's PUBLISH must not reach anybody.
async fn a_subscription_identifier_of_a_client_is_not_forwarded(stage: &Stage) -> Outcome {
    let topic = stage.topic("foreign");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut peer = offender(stage).await?;
    let bytes = publish(stage.version(), 0x30, topic.as_bytes(), None, &[0x0B, 5], b"foreign");
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    let offence = "a PUBLISH with a Subscription Identifier";
    let closed = closes(&mut peer, offence, &bytes, &codes, Unnoticed::Warns).await;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtMostOnce, b"marker", false).await?;
    let received = up_to_marker(&mut watcher, b"marker").await?;
    match received.iter().find(|copy| !copy.subscription_identifiers.is_empty()) {
        Some(copy) => Err(Halt::fail("the Subscription Identifier of a client reached a subscriber").at(copy)),
        None => closed.map(|evidence| evidence.and_all(&received)),
    }
}

/// 5.0: Receive Maximum 2; never are more than two messages open, and in the end all arrive.
async fn the_receive_maximum_of_the_client_is_kept(stage: &Stage) -> Outcome {
    let topic = stage.topic("window");
    let mut connect = Peer::hello(stage, "narrow");
    connect.push_property(Property::ReceiveMaximum(2));
    let (mut narrow, _) = Peer::connect(stage, "narrow", connect).await.prepared()?;
    offer::qos(&narrow, Qos::AtLeastOnce)?;
    narrow.subscribed(&topic, Qos::ExactlyOnce).await?;
    let highest = offer::highest_qos(&narrow);
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let mut wanted = Vec::new();
    for n in 0..8 {
        let qos = if n % 2 == 0 { Qos::AtLeastOnce } else { highest };
        let payload = format!("message {n}").into_bytes();
        publisher.published(&topic, qos, &payload, false).await?;
        wanted.push(payload);
    }
    let mut open = unacknowledged(&mut narrow, 3).await.prepared()?;
    let mut seen = open.clone();
    let mut rounds = 0;
    loop {
        if open.len() > 2 {
            let reason = format!("{} messages are open, Receive Maximum is 2", open.len());
            return Err(Halt::fail(reason).at(&open[open.len() - 1]));
        }
        if seen.len() >= wanted.len() {
            break;
        }
        rounds += 1;
        if open.is_empty() || rounds > 4 * wanted.len() {
            let reason = format!("only {} of {} messages came, each was acknowledged", seen.len(), wanted.len());
            return Err(Halt::fail(reason));
        }
        let oldest = open.remove(0);
        let packet_id =
            oldest.packet_id.ok_or_else(|| Halt::inconclusive("the message came with QoS 0").at(&oldest))?;
        let mut more = taken(&mut narrow, oldest.qos, packet_id).await?;
        more.extend(if open.is_empty() && more.is_empty() {
            unacknowledged(&mut narrow, 3).await.prepared()?
        } else {
            fenced(&mut narrow).await.prepared()?
        });
        seen.extend(more.iter().cloned());
        open.extend(more);
    }
    for copy in open.iter().filter(|copy| copy.qos == Qos::AtLeastOnce) {
        if let Some(id) = copy.packet_id {
            narrow.send(Packet::Puback(Ack::new(id))).await;
        }
    }
    Ok(Evidence::of(&seen[0]).and_all(&seen[1..]))
}

/// Takes a message to the end of its exchange, and has those that come meanwhile.
async fn taken(peer: &mut Peer, qos: Qos, packet_id: PacketId) -> Result<Vec<Delivery>, Halt> {
    let mut meanwhile = Vec::new();
    if qos == Qos::AtLeastOnce {
        peer.send(Packet::Puback(Ack::new(packet_id))).await;
        return Ok(meanwhile);
    }
    peer.send(Packet::Pubrec(Ack::new(packet_id))).await;
    let by = peer.stage().now() + peer.stage().patience();
    loop {
        match peer.next_by(by).await {
            Next::Packet(packet) if matches!(&*packet, Packet::Pubrel(ack) if ack.packet_id == packet_id) => {
                peer.send(Packet::Pubcomp(Ack::new(packet_id))).await;
                return Ok(meanwhile);
            }
            Next::Packet(packet) => meanwhile.extend(as_delivery(packet)),
            Next::Malformed(what) => return Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what)),
            Next::End(end) => return Err(Halt::inconclusive("the connection ended").at(&end)),
            Next::Nothing => return Err(Halt::inconclusive("no PUBREL came")),
        }
    }
}

/// 5.0: with the window full, everything but PUBLISH is answered.
async fn a_full_window_holds_only_messages_back(stage: &Stage) -> Outcome {
    let topic = stage.topic("full");
    let mut connect = Peer::hello(stage, "narrow");
    connect.push_property(Property::ReceiveMaximum(1));
    let (mut narrow, _) = Peer::connect(stage, "narrow", connect).await.prepared()?;
    offer::qos(&narrow, Qos::AtLeastOnce)?;
    narrow.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    for n in 0..3 {
        publisher.published(&topic, Qos::AtLeastOnce, format!("{n}").as_bytes(), false).await?;
    }
    let open = unacknowledged(&mut narrow, 1).await.prepared()?;
    let first = open.first().ok_or_else(|| Halt::inconclusive("no message came"))?;
    let subscribe =
        Subscribe::new(narrow.fresh_id(), vec![Subscription::new(filter(&stage.topic("x")), Qos::AtMostOnce)]);
    let suback = narrow.subscribe_with(subscribe).await?;
    let publish = Publish::new(&name(&stage.topic("own")), "own").at(Qos::AtLeastOnce, Some(id(999)));
    narrow.publish_with(publish).await?;
    let (_, pong) = narrow.pinged().await?;
    Ok(Evidence::of(first).and(&suback).and(&pong))
}
