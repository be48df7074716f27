//! 4.1 to 4.6 of 5.0: state, quality of service, retry, receipt, order.

use std::time::Duration;

use squall_codec::{
    packet::{Ack, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Pubcomp, Pubrec},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::{
    liars::{documented, exchanges, s3_03_retained},
    test::{Test, test},
    tests::{
        asking::{id, lasting_peer, publish, resumed},
        both::{
            s4_03_many::acknowledged_messages_come_however_many_are_open,
            s4_03_qos::{
                a_connection_over_tcp_is_taken, a_packet_id_is_new_after_its_puback,
                a_qos_0_message_goes_out_with_dup_0, a_repeated_qos_2_message_is_delivered_once,
                a_session_lasts_while_its_connection_is_open,
                an_unacknowledged_qos_1_message_is_sent_again_on_the_resumed_session,
                an_unfinished_qos_2_delivery_goes_on_where_it_stopped, every_matching_session_gets_the_message,
                messages_of_one_topic_and_qos_keep_their_order,
            },
            s4_03_repeats::{
                a_held_message_outlives_an_exchange_of_its_number, a_message_for_nobody_frees_its_identifier,
                a_newcomer_completes_a_qos_2_message, every_repeat_of_a_qos_2_message_is_acknowledged,
                what_came_at_qos_0_does_not_come_again,
            },
            s4_04_resumption::a_message_released_on_the_next_connection_is_whole,
        },
        clock::{end_after, gone},
        judge::{At, LAG},
        offer,
        watch::{Delivery, collect, collect_by, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_session_lasts_while_its_connection_is_open,
        "A client that stays connected for longer than its session expiry keeps its subscription.",
        ["5.0/MQTT-4.1.0-1"],
        exchanges::forgets_an_open_session
    ),
    test!(
        a_connection_over_tcp_is_taken,
        "A CONNECT over TCP is accepted.",
        ["5.0/MQTT-4.2.0-1"],
        exchanges::turns_everybody_away
    ),
    test!(
        a_qos_0_message_goes_out_with_dup_0,
        "A QoS 0 delivery has QoS 0 and DUP 0, also where the message was published at QoS 1.",
        ["5.0/MQTT-4.3.1-1"],
        exchanges::marks_qos_0_as_duplicate
    ),
    test!(
        an_unacknowledged_qos_1_message_is_sent_again_on_the_resumed_session,
        "A QoS 1 delivery without PUBACK is sent again on the resumed session with its packet id and DUP 1; with PUBACK it is not.",
        ["5.0/MQTT-4.3.2-3", "5.0/MQTT-4.3.2-2", "5.0/MQTT-4.4.0-1"],
        exchanges::never_sends_a_publish_again
    ),
    test!(
        a_packet_id_is_new_after_its_puback,
        "A packet id is used again after its PUBACK, with DUP 1: the second message is delivered too.",
        ["5.0/MQTT-4.3.2-5", "5.0/MQTT-4.3.2-4"],
        exchanges::trusts_dup
    ),
    test!(
        an_unfinished_qos_2_delivery_goes_on_where_it_stopped,
        "A QoS 2 delivery is cut after each step; PUBLISH, then PUBREL is sent again, and never PUBLISH after PUBREL.",
        ["5.0/MQTT-4.3.3-5", "5.0/MQTT-4.3.3-2", "5.0/MQTT-4.3.3-3", "5.0/MQTT-4.3.3-4", "5.0/MQTT-4.3.3-6"],
        exchanges::never_sends_a_pubrel_again
    ),
    test!(
        a_repeated_qos_2_message_is_delivered_once,
        "A QoS 2 PUBLISH that is sent twice is delivered once; after PUBCOMP its packet id is new.",
        ["5.0/MQTT-4.3.3-10", "5.0/MQTT-4.3.3-8", "5.0/MQTT-4.3.3-11", "5.0/MQTT-4.3.3-12"],
        exchanges::delivers_qos_0_twice
    ),
    test!(
        every_matching_session_gets_the_message,
        "A message reaches every matching session, also the one that was away.",
        ["5.0/MQTT-4.5.0-1"],
        exchanges::forgets_those_who_were_away
    ),
    test!(
        acknowledged_messages_come_however_many_are_open,
        "A client sends many QoS 2 messages before it releases any, and one of QoS 1; all that are acknowledged come.",
        ["5.0/MQTT-4.5.0-1"],
        exchanges::loses_what_it_has_no_room_for
    ),
    test!(
        messages_of_one_topic_and_qos_keep_their_order,
        "Twenty numbered messages of each QoS come in the order in which they were published.",
        ["5.0/MQTT-4.6.0-5", "5.0/MQTT-4.6.0-6"],
        exchanges::swaps_two_messages
    ),
    test!(
        an_expired_session_is_gone,
        "A session is resumed after its expiry; the server does not have it any more.",
        ["5.0/MQTT-4.1.0-2"],
        exchanges::claims_a_session
    ),
    test!(
        a_qos_2_delivery_goes_on_after_its_message_expired,
        "A QoS 2 delivery is cut and its message expires meanwhile; it is sent again all the same.",
        ["5.0/MQTT-4.3.3-7"],
        exchanges::never_sends_a_publish_again
    ),
    test!(
        a_qos_2_exchange_is_finished_after_its_message_expired,
        "A QoS 2 message expires between PUBREC and PUBREL; the exchange is finished all the same.",
        ["5.0/MQTT-4.3.3-13"],
        exchanges::forgets_an_expired_exchange
    ),
    test!(
        a_refusal_counts_as_an_acknowledgement,
        "A subscriber refuses a QoS 1 and a QoS 2 message; neither is sent again on the resumed session.",
        ["5.0/MQTT-4.4.0-2"],
        exchanges::takes_a_refusal_for_silence
    ),
    test!(
        a_message_released_on_the_next_connection_is_whole,
        "A retained QoS 2 PUBLISH comes on one connection, its PUBREL on the next; it is delivered at QoS 2 and retained.",
        ["5.0/MQTT-4.4.0-1", "5.0/MQTT-3.3.1-5", "5.0/MQTT-3.8.4-8"],
        s3_03_retained::lowers_what_is_released_later
    ),
    test!(
        every_repeat_of_a_qos_2_message_is_acknowledged,
        "A QoS 2 PUBLISH is sent again three times before its PUBREL; each gets a PUBREC, and it is delivered once.",
        ["5.0/MQTT-4.3.3-10"],
        documented::has_enough_of_repeats
    ),
    test!(
        a_newcomer_completes_a_qos_2_message,
        "The first packet of a connection is a QoS 2 PUBLISH, and PUBREL follows its PUBREC at once; PUBCOMP comes.",
        ["5.0/MQTT-4.3.3-11"],
        documented::stumbles_over_a_hasty_pubrel
    ),
    test!(
        a_held_message_outlives_an_exchange_of_its_number,
        "A client publishes with the packet identifier of a message that it holds, and reconnects; that message comes again.",
        ["5.0/X-INFLIGHT-INDEPENDENT-IDS", "5.0/MQTT-4.4.0-1"],
        documented::forgets_what_shares_a_number
    ),
    test!(
        a_message_for_nobody_frees_its_identifier,
        "A QoS 2 message has no subscriber; its packet identifier is free for a new message on the next connection.",
        ["5.0/MQTT-4.3.3-12"],
        documented::remembers_what_nobody_wanted
    ),
    test!(
        what_came_at_qos_0_does_not_come_again,
        "A client fetches what waited for it at QoS 0; on its next connections it does not come once more.",
        ["5.0/X-QOS-DOWNGRADE-DUP"],
        documented::replays_what_came_at_qos_0
    )
    .should(),
];

/// Beyond an expiry: the slack of a server's timer.
const SLACK: Duration = Duration::from_secs(2);

/// The Session Expiry Interval of each of these, who leave together and come back one by one.
const LASTS_SECONDS: u32 = 2;
const LEAVERS: [&str; 4] = ["first", "second", "third", "fourth"];
const LOOKS: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(4), Duration::from_secs(7), Duration::from_secs(12)];

/// Seconds in which a QoS 2 message reaches a subscriber, however far away the server is: a message that expires on its way
/// answers nothing.
async fn long_enough(peer: &mut Peer) -> Result<u32, Halt> {
    let since = peer.stage().now();
    peer.fence().await.prepared()?;
    let round_trip = peer.stage().now().saturating_sub(since);
    Ok(1 + u32::try_from((2 * round_trip).as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
}

async fn an_expired_session_is_gone(stage: &Stage) -> Outcome {
    tidied(stage, &LEAVERS, &[], async {
        let connecting = |actor: &str| {
            let mut connect = Peer::hello(stage, actor);
            connect.push_property(Property::SessionExpiryInterval(LASTS_SECONDS));
            connect
        };
        let mut leavers = Vec::new();
        for actor in LEAVERS {
            let (mut peer, connack) = Peer::connect(stage, actor, connecting(actor)).await.prepared()?;
            if let Some(other) = connack.properties.session_expiry_interval().filter(|given| *given != LASTS_SECONDS) {
                let reason = format!("the server changes Session Expiry Interval {LASTS_SECONDS} to {other}");
                return Err(Halt::unsupported(reason).at(&connack));
            }
            peer.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
            leavers.push(peer);
        }
        let since = stage.now();
        for peer in &mut leavers {
            peer.close(End::Fin).await;
        }
        let due = end_after("the end of the session", LASTS_SECONDS, "the end of the connection");
        gone(stage, due, since, &LOOKS, "a session is still there", async |number| {
            let mut connect = connecting(LEAVERS[number]);
            connect.clean_start = false;
            let (_, connack) = Peer::connect(stage, LEAVERS[number], connect).await.prepared()?;
            Ok((connack.session_present, At(connack.entry())))
        })
        .await
    })
    .await
}

async fn a_qos_2_delivery_goes_on_after_its_message_expired(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], expired_delivery(stage)).await
}

async fn expired_delivery(stage: &Stage) -> Outcome {
    let mut peer = lasting_peer(stage, "alice").await?;
    peer.subscribed(&stage.topic("t"), Qos::ExactlyOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    offer::qos(&publisher, Qos::ExactlyOnce)?;
    let lives = long_enough(&mut publisher).await?;
    let expiring = Properties::new().with(Property::MessageExpiryInterval(lives));
    let message = publish(stage, "t", Qos::ExactlyOnce, id(3), "short-lived").with_properties(&expiring);
    publisher.send(Packet::Publish(message)).await;
    publisher.expect::<Pubrec>().await.prepared()?;
    publisher.send(Packet::Pubrel(Ack::new(id(3)))).await;
    publisher.expect::<Pubcomp>().await.prepared()?;
    let first = peer.expect_message(b"short-lived").await.prepared()?;
    if first.qos != Qos::ExactlyOnce {
        return Err(Halt::unsupported(format!("the server delivers at QoS {}, the question needs QoS 2", first.qos)));
    }
    peer.close(End::Fin).await;
    stage.pass(Duration::from_secs(lives.into()) + SLACK).await;
    let mut peer = resumed(stage, "alice").await?;
    let again = again_before_marker(stage, &mut peer, &mut publisher, b"short-lived").await?;
    if again.packet_id != first.packet_id {
        let reason = format!("expected the packet id of before, {:?}, seen {:?}", first.packet_id, again.packet_id);
        return Err(Halt::fail(reason).at(&again));
    }
    Ok(Evidence::of(&first).and(&again))
}

/// What is sent again on a resumed session: before a message that is published now, or not much later.
async fn again_before_marker(
    stage: &Stage,
    peer: &mut Peer,
    publisher: &mut Peer,
    payload: &[u8],
) -> Result<Delivery, Halt> {
    publisher.published(&stage.topic("t"), Qos::AtLeastOnce, b"marker", false).await.prepared()?;
    let mut came = collect(peer, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
    let is_again = |copy: &Delivery| copy.payload() == payload;
    if !came.iter().any(is_again) {
        came.extend(collect_by(peer, stage.now() + LAG, |seen| seen.iter().any(is_again)).await?);
    }
    let shown = came.last().map(|last| At(last.entry()));
    came.into_iter().find(is_again).ok_or_else(|| {
        let halt = Halt::fail(format!(
            "expected \"{}\" to be sent again on the resumed session, but only what was published later came",
            String::from_utf8_lossy(payload)
        ));
        shown.map_or(halt.clone(), |last| halt.at(&last))
    })
}

async fn a_qos_2_exchange_is_finished_after_its_message_expired(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    let expiring = Properties::new().with(Property::MessageExpiryInterval(1));
    peer.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(3), "x").with_properties(&expiring))).await;
    let pubrec = peer.expect::<Pubrec>().await.prepared()?;
    stage.pass(Duration::from_secs(1) + SLACK).await;
    peer.send(Packet::Pubrel(Ack::new(id(3)))).await;
    let pubcomp = peer.expect::<Pubcomp>().await?;
    let evidence = Evidence::of(&pubrec).and(&pubcomp);
    if pubcomp.reason.is_failure() {
        return Ok(evidence.warn(format!("expected PUBCOMP 0x00, seen {}", pubcomp.reason)));
    }
    Ok(evidence)
}

async fn a_refusal_counts_as_an_acknowledgement(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], refused_delivery(stage)).await
}

async fn refused_delivery(stage: &Stage) -> Outcome {
    let mut peer = lasting_peer(stage, "alice").await?;
    peer.subscribed(&stage.topic("t"), Qos::ExactlyOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    let mut evidence: Option<Evidence> = None;
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        offer::qos(&publisher, qos)?;
        publisher.published(&stage.topic("t"), qos, b"unwanted", false).await?;
        let message = peer.expect_message(b"unwanted").await.prepared()?;
        let refusal = |id| Ack::with_reason(id, ReasonCode::ImplementationSpecificError);
        match (message.qos, message.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => peer.send(Packet::Puback(refusal(id))).await,
            (Qos::ExactlyOnce, Some(id)) => peer.send(Packet::Pubrec(refusal(id))).await,
            _ => return Err(Halt::unsupported(format!("the server delivers at QoS {}", message.qos)).at(&message)),
        };
        evidence = Some(match evidence {
            None => Evidence::of(&message),
            Some(evidence) => evidence.and(&message),
        });
    }
    // The fence makes sure that the refusals were read before the connection ends; a PUBREL here would be a warning only.
    let (_, fence) = peer.fence().await.prepared()?;
    peer.close(End::Fin).await;
    let mut peer = resumed(stage, "alice").await?;
    let silence = peer.quiet().await?;
    Ok(evidence.expect("two messages were refused").and(&fence).and(&silence))
}
