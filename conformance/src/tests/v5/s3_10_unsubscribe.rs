//! 3.10 UNSUBSCRIBE and 3.11 UNSUBACK of 5.0.

use squall_codec::{packet::Unsuback, qos::Qos, reason::ReasonCode};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome},
};

use crate::{
    liars::{faults, subscribing},
    test::{Test, test},
    tests::{
        asking::{id, unsubscribe},
        both::s3_10_unsubscribe::{
            a_delivery_begun_before_is_completed, an_ill_formed_filter_to_unsubscribe_from_closes_the_connection,
            an_unknown_filter_is_answered_too, an_unsuback_carries_the_packet_id_of_its_unsubscribe,
            an_unsubscribe_with_wrong_flags_closes_the_connection,
            an_unsubscribe_without_a_filter_closes_the_connection, nothing_new_comes_after_the_unsuback,
            one_unsubscribe_with_three_filters_acts_like_three, only_an_equal_filter_is_deleted,
            who_leaves_a_subtree_leaves_its_root,
        },
        judge::formed,
    },
};

pub(crate) const UNSUBSCRIBE: &[Test] = &[
    test!(
        an_unsubscribe_with_wrong_flags_closes_the_connection,
        "An UNSUBSCRIBE whose flags are not 0010 ends the connection.",
        ["5.0/MQTT-3.10.1-1"],
        faults::forgives_flags_of_unsubscribe
    ),
    test!(
        an_ill_formed_filter_to_unsubscribe_from_closes_the_connection,
        "An UNSUBSCRIBE whose filter is no UTF-8 ends the connection.",
        ["5.0/MQTT-3.10.3-1"],
        faults::unsubscribes_from_ill_formed_filters
    )
    .should(),
    test!(
        an_unsubscribe_without_a_filter_closes_the_connection,
        "An UNSUBSCRIBE with an empty payload ends the connection.",
        ["5.0/MQTT-3.10.3-2"],
        faults::unsubscribes_from_no_filter
    ),
    test!(
        only_an_equal_filter_is_deleted,
        "UNSUBSCRIBE from filters that are similar deletes nothing; from the same filter it does.",
        ["5.0/MQTT-3.10.4-1"],
        subscribing::unsubscribes_from_everything
    ),
    test!(
        nothing_new_comes_after_the_unsuback,
        "What is published after the UNSUBACK does not come.",
        ["5.0/MQTT-3.10.4-2"],
        subscribing::never_unsubscribes
    ),
    test!(
        who_leaves_a_subtree_leaves_its_root,
        "A client unsubscribes from a filter that ends in /#; no message comes any more, also not on the level above.",
        ["5.0/MQTT-3.10.4-2"],
        subscribing::keeps_the_root_of_a_subtree
    ),
    test!(
        a_delivery_begun_before_is_completed,
        "A QoS 2 delivery that was begun before the UNSUBSCRIBE is finished after it.",
        ["5.0/MQTT-3.10.4-3"],
        subscribing::abandons_deliveries_at_unsubscribe
    ),
    test!(
        an_unsuback_carries_the_packet_id_of_its_unsubscribe,
        "An UNSUBSCRIBE is answered by an UNSUBACK with its packet id.",
        ["5.0/MQTT-3.10.4-4", "5.0/MQTT-3.10.4-5"],
        subscribing::answers_with_another_unsubscribe_id
    ),
    test!(
        an_unknown_filter_is_answered_too,
        "An UNSUBSCRIBE that deletes nothing is answered by an UNSUBACK too.",
        ["5.0/MQTT-3.10.4-5"],
        subscribing::swallows_unsubacks
    ),
    test!(
        one_unsubscribe_with_three_filters_acts_like_three,
        "An UNSUBSCRIBE with three filters gets one UNSUBACK and deletes all three.",
        ["5.0/MQTT-3.10.4-6"],
        subscribing::unsubscribes_from_the_first_filter_only
    ),
];

pub(crate) const UNSUBACK: &[Test] = &[
    test!(
        unsuback_codes_are_in_the_order_of_the_filters,
        "A known, an unknown and a known filter are answered 00, 11, 00.",
        ["5.0/MQTT-3.11.3-1"],
        subscribing::reverses_unsuback_codes
    ),
    test!(
        an_unsuback_carries_its_codes_one_for_each_filter,
        "Two filters are answered by two codes that UNSUBACK may carry.",
        ["5.0/MQTT-3.11.3-2"],
        subscribing::unsuback_with_a_foreign_code
    ),
];

async fn unsuback_codes_are_in_the_order_of_the_filters(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.subscribed(&stage.topic("a"), Qos::AtMostOnce).await?;
    peer.subscribed(&stage.topic("c"), Qos::AtMostOnce).await?;
    peer.send(unsubscribe(stage, id(8), &["a", "b", "c"])).await;
    let unsuback = peer.expect::<Unsuback>().await?;
    let expected = [ReasonCode::Success, ReasonCode::NoSubscriptionExisted, ReasonCode::Success];
    if unsuback.reasons == [ReasonCode::Success; 3] {
        // A warning of the rule that asks for 0x11; the order cannot be seen then.
        return Err(Halt::unsupported("the server answers 0x00 for a filter that was not there").at(&unsuback));
    }
    if unsuback.reasons != expected {
        let seen: Vec<String> = unsuback.reasons.iter().map(ToString::to_string).collect();
        return Err(Halt::fail(format!("expected the codes 00, 11, 00, seen {}", seen.join(", "))).at(&unsuback));
    }
    Ok(Evidence::of(&unsuback))
}

// A code that the packet may not carry does not decode: what came is then no UNSUBACK, and `expect` fails.
async fn an_unsuback_carries_its_codes_one_for_each_filter(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    peer.subscribed(&stage.topic("a"), Qos::AtMostOnce).await?;
    peer.send(unsubscribe(stage, id(8), &["a", "b"])).await;
    let unsuback = formed(stage, peer.expect::<Unsuback>().await)?;
    if unsuback.reasons.len() != 2 {
        return Err(
            Halt::fail(format!("expected 2 codes for 2 filters, seen {}", unsuback.reasons.len())).at(&unsuback)
        );
    }
    Ok(Evidence::of(&unsuback))
}
