//! 2.2.2 Properties, systematically: what belongs to no packet, what stands twice, lengths that lie, strings that are
//! none, and reason codes that a packet does not have. The cases come from the standard's tables.

use squall_codec::{
    packet::PacketKind,
    property::{Place, PropertyId},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome},
};

use crate::{
    liars::{faults, malformed as liar, s1_5_data_types, s3_01_connect},
    test::{Test, test},
    tests::{
        asking::frame,
        both::s1_5_data_types::{ILL_FORMED, WITH_NULL},
        bytes::{RawConnect, flag},
        judge::{Cases, LAG, Unnoticed, farewell, farewells},
        many::{Offence, all_close, all_connected, all_refused},
        offer,
        property_faults::{
            ACKNOWLEDGING, CONNECTING, ID, PLACES, SUBSCRIBING, bad_in_any_way, bad_strings, block, cut, foreign,
            lying, offence, offences, packet, repeated, sample, wrong_codes,
        },
        watch::{Delivery, collect, collect_by, no_other, up_to_marker, will_taken, with_will},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        no_foreign_property_in_connect,
        "CONNECT or its will has each property that it may not have, and each unknown one; no client is let in.",
        ["5.0/X-PROP-UNKNOWN-ID", "5.0/MQTT-3.1.4-1"],
        s3_01_connect::welcomes_unknown_properties
    ),
    test!(
        no_foreign_property_in_publish,
        "A PUBLISH has each property that it may not have, and each unknown one; the server hangs up.",
        ["5.0/X-PROP-UNKNOWN-ID"],
        faults::acknowledges_foreign_properties
    ),
    test!(
        no_foreign_property_in_subscribe_and_unsubscribe,
        "SUBSCRIBE and UNSUBSCRIBE have each property that they may not have, and each unknown one; the server hangs up.",
        ["5.0/X-PROP-UNKNOWN-ID"],
        faults::grants_foreign_properties
    ),
    test!(
        no_foreign_property_in_acknowledgements,
        "PUBACK to PUBCOMP have each property that they may not have, and each unknown one; the server hangs up.",
        ["5.0/X-PROP-UNKNOWN-ID"],
        liar::takes_acknowledgements_with_foreign_properties
    ),
    test!(
        no_foreign_property_in_disconnect,
        "A DISCONNECT has each property that it may not have; it is no valid one, and the will is sent.",
        ["5.0/MQTT-4.13.1-1"],
        liar::takes_any_disconnect
    )
    .should(),
    test!(
        a_disconnect_that_cannot_be_read_is_none,
        "A DISCONNECT has properties twice, lengths that lie, strings that are none, or breaks off; the will is sent.",
        ["5.0/MQTT-4.13.1-1"],
        liar::takes_any_disconnect
    )
    .should(),
    test!(
        no_property_twice_in_connect,
        "CONNECT or its will has each single property twice; no client is let in.",
        ["5.0/MQTT-3.1.4-1"],
        s3_01_connect::welcomes_what_stands_twice
    ),
    test!(
        no_property_twice_in_other_packets,
        "Every other packet has each single property twice; the server hangs up.",
        ["5.0/X-PROP-REPEATED"],
        faults::overlooks_what_stands_twice
    )
    .should(),
    test!(
        property_lengths_of_connect_are_checked,
        "The Property Length of CONNECT or of its will goes too far, or cuts a property; no client is let in.",
        ["5.0/MQTT-3.1.4-1"],
        s3_01_connect::welcomes_lengths_that_lie
    ),
    test!(
        property_lengths_are_checked,
        "The Property Length of every other packet goes too far, or cuts a property; the server hangs up.",
        ["5.0/X-TRAILING-BYTES"],
        faults::unsubscribes_by_wrong_property_lengths
    ),
    test!(
        a_connect_that_breaks_off_is_refused,
        "A CONNECT with all its fields ends after each of its bytes; no client is let in.",
        ["5.0/MQTT-3.1.4-1"],
        s3_01_connect::welcomes_what_breaks_off
    ),
    test!(
        a_packet_that_breaks_off_closes_the_connection,
        "Each packet ends after each of its bytes where that leaves no packet; the server hangs up.",
        ["5.0/X-TRAILING-BYTES"],
        faults::unsubscribes_by_what_breaks_off
    ),
    test!(
        strings_in_properties_of_connect_are_well_formed,
        "Each string among the properties of CONNECT and its will is no UTF-8 in each way; no client is let in.",
        ["5.0/MQTT-1.5.4-1"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        no_null_character_in_properties_of_connect,
        "Each string among the properties of CONNECT and its will holds U+0000; no client is let in.",
        ["5.0/MQTT-1.5.4-2"],
        s1_5_data_types::welcomes_null_characters
    ),
    test!(
        strings_in_properties_of_a_message_are_well_formed,
        "Each string among the properties of a message is no UTF-8 or holds U+0000; no subscriber gets one.",
        ["5.0/MQTT-1.5.4-1", "5.0/MQTT-1.5.4-2"],
        liar::hands_on_ill_formed_strings
    ),
    test!(
        strings_in_properties_of_other_packets_are_well_formed,
        "Each string among the properties of every other packet is no UTF-8 or holds U+0000; the server hangs up.",
        ["5.0/MQTT-4.13.1-1"],
        faults::overlooks_ill_formed_explanations
    )
    .should(),
    test!(
        acknowledgements_of_a_client_have_codes_of_their_tables,
        "PUBACK to PUBCOMP have each reason code that a client may not send in them; the server hangs up.",
        ["5.0/MQTT-4.13.1-1"],
        faults::overlooks_foreign_codes
    )
    .should(),
    test!(
        a_disconnect_of_a_client_has_a_code_of_its_table,
        "A DISCONNECT has each reason code that a client may not send; it is no valid one, and the will is sent.",
        ["5.0/MQTT-4.13.1-1"],
        liar::takes_any_disconnect
    )
    .should(),
];

const CODES: &[ReasonCode] = &[ReasonCode::MalformedPacket, ReasonCode::ProtocolError];

/// The places of these whose packets the server takes: no acknowledgement without the QoS that it belongs to.
async fn offered(stage: &Stage, places: &[Place]) -> Result<Vec<Place>, Halt> {
    let mut probe = Peer::connected(stage, "probe").await?;
    let highest = offer::highest_qos(&probe);
    probe.disconnect().await;
    farewell(&mut probe).await;
    let taken = |place: &&Place| match place {
        Place::Publish => highest >= Qos::AtLeastOnce,
        Place::Pubrel => highest == Qos::ExactlyOnce,
        _ => true,
    };
    Ok(places.iter().filter(taken).copied().collect())
}

async fn no_foreign_property_in_connect(stage: &Stage) -> Outcome {
    all_refused(stage, &offences(stage, CONNECTING, foreign), CODES).await
}

async fn no_foreign_property_in_publish(stage: &Stage) -> Outcome {
    closing(stage, &[Place::Publish], foreign).await
}

async fn no_foreign_property_in_subscribe_and_unsubscribe(stage: &Stage) -> Outcome {
    closing(stage, SUBSCRIBING, foreign).await
}

async fn no_foreign_property_in_acknowledgements(stage: &Stage) -> Outcome {
    closing(stage, ACKNOWLEDGING, foreign).await
}

/// Answered as if all were well: fails. Unnoticed: a warning.
async fn closing(stage: &Stage, places: &[Place], wrong: impl Fn(Place) -> Vec<(String, Vec<u8>)>) -> Outcome {
    let places = offered(stage, places).await?;
    let offences = offences(stage, &places, wrong);
    if offences.is_empty() {
        return Err(Halt::unsupported("the server announces no QoS above 0"));
    }
    all_close(stage, &offences, CODES, Unnoticed::FailsIfAnswered).await
}

async fn no_foreign_property_in_disconnect(stage: &Stage) -> Outcome {
    wills_are_sent(stage, &disconnects(stage, foreign(Place::Disconnect))).await
}

/// A DISCONNECT with each of these blocks.
fn disconnects(stage: &Stage, blocks: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    blocks.into_iter().map(|(name, block)| (name, packet(stage, Place::Disconnect, &block))).collect()
}

async fn a_disconnect_that_cannot_be_read_is_none(stage: &Stage) -> Outcome {
    let place = Place::Disconnect;
    let mut all = disconnects(stage, [repeated(place), lying(place), bad_in_any_way(place)].concat());
    let whole = packet(stage, place, &block(&sample(PropertyId::UserProperty)));
    // It may end before its reason code, or before its properties.
    all.extend((4..whole.len()).map(|at| (format!("an end after {} bytes", at - 2), cut(&whole, at))));
    wills_are_sent(stage, &all).await
}

/// A DISCONNECT that is no valid one: the connection ends in any case, and the will of its client is sent.
async fn wills_are_sent(stage: &Stage, offences: &[(String, Vec<u8>)]) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&topic, Qos::AtMostOnce).await?;
    let hellos = offences.iter().map(|(name, _)| {
        let actor = stage.fresh("leaver");
        (with_will(stage, &actor, will_taken(&watcher, &topic, name.as_bytes())), actor)
    });
    let mut leavers = all_connected(stage, hellos.collect()).await?;
    let mut sent = Vec::new();
    for (peer, (_, bytes)) in leavers.iter_mut().zip(offences) {
        sent.push(peer.send_bytes(bytes).await);
    }
    let mut cases = Cases::new();
    let partings = farewells(stage, &mut leavers).await;
    for ((parting, (name, _)), sent) in partings.iter().zip(offences).zip(&sent) {
        match &parting.end {
            Some(end) => cases.add(name, Ok(Evidence::of(end))),
            None => {
                let reason = format!("{name}: expected the end after a DISCONNECT, but the connection is open");
                cases.add(name, Ok(Evidence::of(sent).warn(reason)));
            }
        }
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtMostOnce, b"marker", false).await?;
    let marker = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"marker");
    let mut got = collect(&mut watcher, marker).await?;
    // A will may be somewhat later than the end of its connection.
    let missing = (offences.len() + 1).saturating_sub(got.len());
    got.extend(collect_by(&mut watcher, stage.now() + 2 * LAG, |seen| seen.len() >= missing).await?);
    for (name, _) in offences {
        match got.iter().find(|copy| copy.payload() == name.as_bytes()) {
            Some(copy) => cases.add(name, Ok(Evidence::of(copy))),
            None => {
                let witness = got.first().ok_or_else(|| Halt::inconclusive("the marker did not come"))?;
                let reason = format!("{name}: the DISCONNECT was taken for a valid one, no will came");
                cases.add(name, Ok(Evidence::of(witness).warn(reason)));
            }
        }
    }
    cases.finish()
}

async fn no_property_twice_in_connect(stage: &Stage) -> Outcome {
    // Authentication Data needs a method, and a method one that the server knows.
    let codes = [CODES, &[ReasonCode::BadAuthenticationMethod]].concat();
    all_refused(stage, &offences(stage, CONNECTING, repeated), &codes).await
}

async fn no_property_twice_in_other_packets(stage: &Stage) -> Outcome {
    let places: Vec<Place> =
        PLACES.into_iter().filter(|place| !CONNECTING.contains(place) && *place != Place::Disconnect).collect();
    let places = offered(stage, &places).await?;
    // Where there are no aliases, one is as wrong as two.
    let codes = [CODES, &[ReasonCode::TopicAliasInvalid]].concat();
    all_close(stage, &offences(stage, &places, repeated), &codes, Unnoticed::Warns).await
}

async fn property_lengths_of_connect_are_checked(stage: &Stage) -> Outcome {
    let codes = [CODES, &[ReasonCode::BadAuthenticationMethod]].concat();
    all_refused(stage, &offences(stage, CONNECTING, lying), &codes).await
}

async fn property_lengths_are_checked(stage: &Stage) -> Outcome {
    let codes = [CODES, &[ReasonCode::TopicFilterInvalid]].concat();
    // Behind the properties of an acknowledgement nothing stands: its packet ends in the property.
    let places = offered(stage, &[&[Place::Publish], SUBSCRIBING, ACKNOWLEDGING].concat()).await?;
    all_close(stage, &offences(stage, &places, lying), &codes, Unnoticed::FailsIfAnswered).await
}

async fn a_connect_that_breaks_off_is_refused(stage: &Stage) -> Outcome {
    let properties = [sample(PropertyId::SessionExpiryInterval), sample(PropertyId::UserProperty)].concat();
    let whole = RawConnect::new(stage, "offender")
        .with_properties(&properties)
        .will(&sample(PropertyId::ContentType), b"w", b"x")
        .flagged(flag::USER_NAME | flag::PASSWORD)
        .field(b"u")
        .field(b"p")
        .bytes();
    let cuts =
        (2..whole.len()).map(|at| Offence::new(format!("a CONNECT cut after {} bytes", at - 2), cut(&whole, at)));
    let codes = [CODES, &[ReasonCode::UnsupportedProtocolVersion]].concat();
    all_refused(stage, &cuts.collect::<Vec<_>>(), &codes).await
}

async fn a_packet_that_breaks_off_closes_the_connection(stage: &Stage) -> Outcome {
    let mut all = Vec::new();
    for place in offered(stage, &[&[Place::Publish], SUBSCRIBING, ACKNOWLEDGING].concat()).await? {
        let whole = packet(stage, place, &block(&sample(PropertyId::UserProperty)));
        // The payload of a PUBLISH may be cut; an acknowledgement has forms of two and of three bytes.
        let end = if place == Place::Publish { whole.len() - 1 } else { whole.len() };
        let short = |at: &usize| !ACKNOWLEDGING.contains(&place) || !matches!(at - 2, 2 | 3);
        all.extend(
            (2..end)
                .filter(short)
                .map(|at| offence(stage, place, format!("{place} cut after {} bytes", at - 2), cut(&whole, at))),
        );
    }
    let codes = [CODES, &[ReasonCode::TopicFilterInvalid, ReasonCode::TopicNameInvalid]].concat();
    all_close(stage, &all, &codes, Unnoticed::FailsIfAnswered).await
}

async fn strings_in_properties_of_connect_are_well_formed(stage: &Stage) -> Outcome {
    let codes = [CODES, &[ReasonCode::BadAuthenticationMethod]].concat();
    all_refused(stage, &offences(stage, CONNECTING, |place| bad_strings(place, &ILL_FORMED)), &codes).await
}

async fn no_null_character_in_properties_of_connect(stage: &Stage) -> Outcome {
    let codes = [CODES, &[ReasonCode::BadAuthenticationMethod]].concat();
    all_refused(stage, &offences(stage, CONNECTING, |place| bad_strings(place, &WITH_NULL)), &codes).await
}

async fn strings_in_properties_of_a_message_are_well_formed(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    offer::qos(&watcher, Qos::AtLeastOnce)?;
    let offences = offences(stage, &[Place::Publish], bad_in_any_way);
    let codes = [CODES, &[ReasonCode::TopicNameInvalid]].concat();
    let closed = all_close(stage, &offences, &codes, Unnoticed::Warns).await;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&stage.topic("t"), Qos::AtMostOnce, b"marker", false).await?;
    let received = up_to_marker(&mut watcher, b"marker").await?;
    no_other(&received, b"marker")?;
    let marker = received.first().ok_or_else(|| Halt::inconclusive("the marker did not come"))?;
    closed.map(|evidence| evidence.and(marker))
}

async fn strings_in_properties_of_other_packets_are_well_formed(stage: &Stage) -> Outcome {
    let places = offered(stage, &[SUBSCRIBING, ACKNOWLEDGING].concat()).await?;
    all_close(stage, &offences(stage, &places, bad_in_any_way), CODES, Unnoticed::Warns).await
}

async fn acknowledgements_of_a_client_have_codes_of_their_tables(stage: &Stage) -> Outcome {
    let mut all = Vec::new();
    for place in offered(stage, ACKNOWLEDGING).await? {
        let first = packet(stage, place, &[])[0];
        all.extend(wrong_codes(place.packet()).into_iter().map(|code| {
            let bytes = frame(first, &[ID[0], ID[1], code]);
            offence(stage, place, format!("{place} with the code 0x{code:02X}"), bytes)
        }));
    }
    all_close(stage, &all, CODES, Unnoticed::Warns).await
}

async fn a_disconnect_of_a_client_has_a_code_of_its_table(stage: &Stage) -> Outcome {
    let codes = wrong_codes(PacketKind::Disconnect).into_iter();
    let offences = codes.map(|code| (format!("the code 0x{code:02X}"), frame(0xE0, &[code])));
    wills_are_sent(stage, &offences.collect::<Vec<_>>()).await
}
