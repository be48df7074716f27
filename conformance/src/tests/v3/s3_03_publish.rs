//! 3.3 PUBLISH.

use squall_codec::{
    packet::{Packet, Publish},
    qos::Qos,
};
use squall_scenarios::{
    peer::Next,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome},
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
        judge::offender,
        watch::name,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_message_that_comes_again_has_dup,
        "A message was not acknowledged before the connection was cut; it comes again with DUP.",
        ["3.1.1/MQTT-3.3.1-1"],
        s3_03_publish::never_says_dup
    ),
    test!(
        qos_0_has_no_dup,
        "Messages of QoS 0 come with DUP 0, also where the publisher set it.",
        ["3.1.1/MQTT-3.3.1-2"],
        s3_03_publish::passes_dup_on
    ),
    test!(
        dup_is_not_passed_on,
        "A message is published with DUP 1; its first copy to a subscriber has DUP 0.",
        ["3.1.1/MQTT-3.3.1-3"],
        s3_03_publish::passes_dup_on
    ).also_3_1(),
    test!(
        qos_3_closes_the_connection,
        "A PUBLISH has both QoS bits set; the server hangs up and nobody gets the message.",
        ["3.1.1/MQTT-3.3.1-4"],
        faults::overlooks_qos_3
    ).also_3_1(),
    test!(
        a_publish_begins_with_a_whole_topic,
        "The topic of a PUBLISH is longer than the packet, or no UTF-8; the server hangs up.",
        ["3.1.1/MQTT-3.3.2-1"],
        faults::overlooks_cut_topics
    ),
    test!(
        a_topic_with_wildcards_is_not_forwarded,
        "A message is published to a topic with wildcards; nobody gets it.",
        ["3.1.1/MQTT-3.3.2-2", "3.1.1/MQTT-4.7.1-1"],
        faults::relays_wildcards
    ),
    test!(
        a_message_matches_the_filter_that_it_came_for,
        "Many topics and filters; each message that comes is on a topic that its filter matches.",
        ["3.1.1/MQTT-3.3.2-3"],
        s3_03_publish::renames_topics
    ).also_3_1(),
    test!(
        a_publish_is_answered_by_its_qos,
        "PUBLISH at each QoS; nothing, PUBACK or PUBREC comes, each with the right packet identifier.",
        ["3.1.1/MQTT-3.3.4-1"],
        s3_03_publish::acknowledges_nothing
    ).also_3_1(),
    test!(
        overlapping_subscriptions_give_the_highest_qos,
        "Three subscriptions of one client match a message; it comes at the highest QoS among them.",
        ["3.1.1/MQTT-3.3.5-1"],
        s3_03_publish::delivers_at_qos_0
    ),
    test!(
        an_unauthorised_publish_is_acknowledged_or_closes,
        "A client publishes to $SYS, where it has no business; the server acknowledges or hangs up.",
        ["3.1.1/MQTT-3.3.5-2"],
        s3_03_publish::acknowledges_nothing
    ),
    test!(
        a_publisher_gets_its_own_message,
        "A client subscribes to the topic that it publishes to; it gets its own message.",
        ["3.1.1/X-ECHO-TO-PUBLISHER"],
        s3_03_publish::has_no_echo
    ).also_3_1(),
    test!(
        an_empty_payload_is_delivered,
        "Messages without a payload are published at each QoS; all arrive, empty.",
        ["3.1.1/X-PAYLOAD-EMPTY"],
        s3_03_publish::loses_empty_messages
    ),
    test!(
        payloads_pass_unchanged,
        "Payloads with all byte values and of sizes around the steps of the Remaining Length; they arrive as they were.",
        ["3.1.1/X-PAYLOAD-BINARY-LARGE"],
        s3_03_publish::is_not_eight_bit_clean
    ).also_3_1(),
    test!(
        each_subscriber_gets_a_copy_of_its_own,
        "Subscribers of each QoS get one message; each copy is as its own subscription asks.",
        ["3.1.1/MQTT-3.8.4-6"],
        documented::lowers_one_copy_and_all_that_follow
    ),
];

/// 3.1.1: a topic that clients may hardly write to. Acknowledged or closed; silence is wrong.
async fn an_unauthorised_publish_is_acknowledged_or_closes(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    let topic = name("$SYS/broker/uptime");
    peer.send(Packet::Publish(Publish::new(&topic, "x").at(Qos::AtLeastOnce, Some(id(1))))).await;
    match peer.next().await {
        Next::Packet(packet) if matches!(*packet, Packet::Puback(_)) => Ok(Evidence::of(&packet)),
        Next::Packet(packet) => {
            Err(Halt::fail(format!("expected PUBACK or a close, got {}", packet.kind())).at(&packet))
        }
        Next::Malformed(what) => Err(Halt::fail(format!("expected PUBACK or a close, got {}", *what)).at(&what)),
        Next::End(end) => Ok(Evidence::of(&end)),
        Next::Nothing => Err(Halt::fail("expected PUBACK or a close, but nothing came")),
    }
}
