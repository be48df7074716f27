//! 3.1 CONNECT.

use squall_codec::{
    packet::{Connect, Packet},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{s1_5_data_types, s3_01_connect, s3_02_connack, s3_03_publish},
    test::{Test, test},
    tests::{
        both::{
            s3_01_connect::{
                a_foreign_protocol_name_is_not_served, a_second_client_of_the_same_identifier_takes_over,
                a_second_connect_closes_the_connection, a_silent_client_is_disconnected, a_valid_connect_is_accepted,
                empty_identifiers_are_told_apart, nothing_after_a_refused_connect_is_processed,
                packets_behind_connect_are_served, payload_fields_are_read_in_their_order,
                short_alphanumeric_identifiers_are_accepted, the_first_packet_must_be_connect,
                the_identifier_is_the_key_of_the_session,
            },
            s3_01_refusals::{
                a_connect_without_payload_is_refused, a_password_flag_without_password_is_refused,
                a_password_without_its_flag_is_refused, a_user_name_flag_without_user_name_is_refused,
                a_user_name_without_its_flag_is_refused, a_will_qos_without_a_will_is_refused,
                a_will_that_is_flagged_must_be_there, an_ill_formed_client_identifier_is_refused,
                an_ill_formed_user_name_is_refused, an_ill_formed_will_topic_is_refused, nonconforming,
                the_reserved_connect_flag_is_refused, will_qos_3_is_refused, will_retain_without_a_will_is_refused,
            },
            s3_02_connack::connacks,
        },
        bytes::{RawConnect, flag},
        judge::{Cases, farewell, judge_refusal, refuses},
        watch::{is_policy, text},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        the_first_packet_must_be_connect,
        "PINGREQ, PUBLISH, SUBSCRIBE or DISCONNECT comes before any CONNECT; nothing is answered and the server hangs up.",
        ["5.0/MQTT-3.1.0-1"],
        s3_01_connect::answers_strangers
    ),
    test!(
        a_second_connect_closes_the_connection,
        "A connected client says CONNECT again; the server hangs up.",
        ["5.0/MQTT-3.1.0-2"],
        s3_01_connect::swallows_second_connect
    ),
    test!(
        a_foreign_protocol_name_is_not_served,
        "A CONNECT carries a protocol name that no MQTT has; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-1"],
        s3_01_connect::reads_any_protocol_name
    ),
    test!(
        the_reserved_connect_flag_is_refused,
        "The reserved bit of the connect flags is set; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-3"],
        s3_01_connect::welcomes_the_reserved_flag
    ),
    test!(
        a_will_that_is_flagged_must_be_there,
        "The will flag is set and the payload has no whole will; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-9"],
        s3_01_connect::welcomes_a_will_that_is_not_there
    ),
    test!(
        a_will_qos_without_a_will_is_refused,
        "Will QoS 1 or 2 stands where there is no will; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-11"],
        s3_01_connect::welcomes_a_qos_without_will
    ),
    test!(
        will_qos_3_is_refused,
        "A will asks for QoS 3; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-12"],
        s3_01_connect::welcomes_will_qos_3
    ),
    test!(
        will_retain_without_a_will_is_refused,
        "Will Retain is set where there is no will; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-13"],
        s3_01_connect::welcomes_retain_without_will
    ),
    test!(
        a_user_name_without_its_flag_is_refused,
        "The payload has a user name that the flags do not announce; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-16"],
        s3_01_connect::welcomes_unflagged_fields
    ),
    test!(
        a_user_name_flag_without_user_name_is_refused,
        "The flags announce a user name that is not there; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-17"],
        s3_01_connect::welcomes_a_wrong_user_name_flag
    ),
    test!(
        a_password_without_its_flag_is_refused,
        "The payload has a password that the flags do not announce; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-18"],
        s3_01_connect::welcomes_a_wrong_user_name_flag
    ),
    test!(
        a_password_flag_without_password_is_refused,
        "The flags announce a password that is not there; the server does not let the client in.",
        ["5.0/MQTT-3.1.2-19"],
        s3_01_connect::welcomes_a_password_that_is_not_there
    ),
    test!(
        a_silent_client_is_disconnected,
        "A client with Keep Alive 1 says nothing; the server ends its connection after 1.5 s and publishes its will.",
        ["5.0/MQTT-3.1.2-22"],
        s3_01_connect::forgets_the_keep_alive
    ),
    test!(
        payload_fields_are_read_in_their_order,
        "A CONNECT has all five fields in its payload; the will comes out as it went in.",
        ["5.0/MQTT-3.1.3-1"],
        s3_01_connect::mixes_fields_up
    ),
    test!(
        the_identifier_is_the_key_of_the_session,
        "Two clients have sessions; each finds its own by its identifier, which differs only in case.",
        ["5.0/MQTT-3.1.3-2"],
        s3_01_connect::ignores_the_case_of_identifiers
    ),
    test!(
        a_connect_without_payload_is_refused,
        "A CONNECT ends before its payload; the server does not let the client in.",
        ["5.0/MQTT-3.1.3-3"],
        s3_01_connect::welcomes_no_payload
    ),
    test!(
        an_ill_formed_client_identifier_is_refused,
        "A client identifier is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-3.1.3-4"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        short_alphanumeric_identifiers_are_accepted,
        "Client identifiers of 1, 22 and 23 letters and digits; the server takes all of them.",
        ["5.0/MQTT-3.1.3-5"],
        s3_01_connect::refuses_long_identifiers
    )
    .exclusive(),
    test!(
        empty_identifiers_are_told_apart,
        "Two clients come without an identifier; if they are let in, they are two clients.",
        ["5.0/MQTT-3.1.3-6"],
        s3_01_connect::has_one_name_for_the_nameless
    ),
    test!(
        an_ill_formed_will_topic_is_refused,
        "A will topic is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-3.1.3-11"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        an_ill_formed_user_name_is_refused,
        "A user name is no UTF-8; the server does not let the client in.",
        ["5.0/MQTT-3.1.3-12"],
        s1_5_data_types::welcomes_ill_formed_strings
    ),
    test!(
        a_valid_connect_is_accepted,
        "A plain CONNECT; the server accepts it.",
        ["5.0/MQTT-3.1.4-5"],
        s3_01_connect::refuses_everybody
    ),
    test!(
        packets_behind_connect_are_served,
        "SUBSCRIBE, PUBLISH and PINGREQ come in one write with CONNECT; all are served once the client is let in.",
        ["5.0/X-PIPELINE-BEFORE-CONNACK"],
        s3_01_connect::loses_what_comes_early
    ),
    test!(
        a_second_client_of_the_same_identifier_takes_over,
        "A second client comes with the identifier of the first; the server ends the first connection and serves the second.",
        ["5.0/MQTT-3.1.4-3"],
        s3_01_connect::serves_twins
    ),
    test!(
        an_unknown_protocol_version_is_refused,
        "A CONNECT asks for a protocol version that does not exist; the server closes.",
        ["5.0/MQTT-3.1.2-2"],
        s3_02_connack::reads_any_protocol_version
    ),
    test!(
        a_connect_that_does_not_conform_is_refused,
        "CONNECTs with a fault in their form or their properties; the server does not let the client in.",
        ["5.0/MQTT-3.1.4-1"],
        s3_01_connect::welcomes_a_tail
    ),
    test!(
        nothing_behind_a_refused_connect_is_processed,
        "A message comes in one write with a CONNECT that is refused; it is not processed.",
        ["5.0/MQTT-3.1.4-6"],
        s3_01_connect::serves_the_refused
    ),
    test!(
        an_assigned_identifier_finds_its_session,
        "A client without an identifier is given one; it comes back with it and finds its session.",
        ["5.0/MQTT-3.1.3-7"],
        s3_02_connack::assigns_one_name
    ),
    test!(
        assigned_identifiers_differ,
        "Three clients come without an identifier; the names that they are given differ.",
        ["5.0/MQTT-3.2.2-16"],
        s3_02_connack::assigns_one_name
    ),
    test!(
        an_identifier_of_its_own_is_kept,
        "A client has an identifier; the server does not assign another.",
        ["5.0/X-ASSIGNED-ID-ONLY-IF-EMPTY"],
        s3_02_connack::renames_everybody
    ),
    test!(
        a_password_without_a_user_name_is_no_error_of_form,
        "A password comes without a user name; the server may refuse it, but not as malformed.",
        ["5.0/X-PASSWORD-WITHOUT-USERNAME"],
        s3_02_connack::reads_5_0_as_3_1_1
    ),
    test!(
        user_properties_are_accepted_everywhere,
        "CONNECT, SUBSCRIBE, UNSUBSCRIBE and DISCONNECT have user properties with equal names; all are served.",
        ["5.0/X-USERPROP-ACCEPTED"],
        s3_03_publish::forwards_the_properties_of_connect
    ),
];

/// CONNECT of a version that nobody speaks: closed; before it a CONNACK in the form of 5.0 or of 3.1.1 may come.
async fn an_unknown_protocol_version_is_refused(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    for version in [6, 99, 0] {
        let mut peer = Peer::open(stage, "offender").await?;
        peer.send_bytes(&RawConnect::new(stage, "offender").at_level(version).bytes()).await;
        let mut seen = farewell(&mut peer).await;
        let name = format!("the protocol version {version}");
        if let Some(what) = seen.malformed.take() {
            // CONNACK of 3.1.1 with 0x01 is common; with 0x00 it let the client in.
            let accepted = connacks(stage).pop().is_some_and(|(_, bytes)| bytes.get(3) == Some(&0));
            if accepted {
                cases.add(name.clone(), Err(Halt::fail(format!("{name} was accepted")).at(&what)));
                continue;
            }
        }
        cases.add(name.clone(), judge_refusal(stage, &name, &[ReasonCode::UnsupportedProtocolVersion], &seen));
    }
    cases.finish()
}

async fn a_connect_that_does_not_conform_is_refused(stage: &Stage) -> Outcome {
    let good = || RawConnect::new(stage, "offender");
    let mut overrun = good();
    // A Property Length of 100 where the packet ends long before.
    overrun.properties = vec![100];
    let mut offences = nonconforming(stage);
    offences.extend([
        ("a Property Length beyond the packet", overrun.bytes()),
        ("an unknown property", good().with_properties(&[0x7F, 1]).bytes()),
        ("Server Keep Alive in CONNECT", good().with_properties(&[0x13, 0, 10]).bytes()),
        ("Receive Maximum twice", good().with_properties(&[0x21, 0, 10, 0x21, 0, 10]).bytes()),
    ]);
    let mut cases = Cases::new();
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::ClientIdentifierNotValid];
    for (fault, bytes) in offences {
        cases.add(fault, refuses(stage, fault, &bytes, &codes).await);
    }
    cases.finish()
}

/// An unknown version is refused, and with it what comes behind.
async fn nothing_behind_a_refused_connect_is_processed(stage: &Stage) -> Outcome {
    let refused = RawConnect::new(stage, "offender").at_level(99).bytes();
    nothing_after_a_refused_connect_is_processed(stage, refused, "an unknown protocol version").await
}

/// A client without an identifier, whose session lasts: its CONNACK. `unsupported` if the server takes none.
async fn nameless(stage: &Stage, actor: &str) -> Result<(Peer, Seen<Packet>, String), Halt> {
    let mut connect = Peer::hello(stage, actor).with_client_id(text(""));
    connect.push_property(Property::SessionExpiryInterval(60));
    let mut peer = Peer::open(stage, actor).await?;
    peer.send(Packet::Connect(connect)).await;
    let packet = match peer.next().await {
        Next::Packet(packet) => packet,
        Next::End(end) => return Err(Halt::unsupported("the server takes no empty client identifier").at(&end)),
        Next::Malformed(what) => return Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what)),
        Next::Nothing => return Err(Halt::inconclusive("no answer to an empty client identifier")),
    };
    let assigned = match &*packet {
        Packet::Connack(connack) if !connack.reason.is_failure() => {
            connack.properties.assigned_client_identifier().map(ToString::to_string)
        }
        Packet::Connack(connack) => {
            let reason = format!("the server takes no empty client identifier: {}", connack.reason);
            return Err(Halt::unsupported(reason).at(&packet));
        }
        other => return Err(Halt::inconclusive(format!("{} came for CONNACK", other.kind())).at(&packet)),
    };
    match assigned {
        Some(id) => Ok((peer, packet, id)),
        None => Err(Halt::fail("expected an Assigned Client Identifier in CONNACK").at(&packet)),
    }
}

/// Ends a session that stands under this identifier.
async fn forget(stage: &Stage, id: &str) {
    let connect = Connect::new(stage.version(), text(id));
    if let Ok((mut peer, _)) = Peer::connect(stage, "cleaner", connect).await {
        peer.disconnect().await;
    }
}

/// The assigned identifier is the client's from now on: it finds its session by it.
async fn an_assigned_identifier_finds_its_session(stage: &Stage) -> Outcome {
    let (mut first, connack, id) = nameless(stage, "nameless").await?;
    offer_expiry(&connack)?;
    first.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
    first.close(End::Fin).await;
    farewell(&mut first).await;
    let mut connect = Connect::new(stage.version(), text(&id));
    connect.clean_start = false;
    connect.push_property(Property::SessionExpiryInterval(60));
    let again = Peer::connect(stage, "named", connect).await;
    let outcome = match again {
        Ok((_, second)) if second.session_present => Ok(Evidence::of(&connack).and(&second)),
        Ok((_, second)) => {
            let reason = format!("the session under the assigned identifier \"{id}\" was not found: Session Present 0");
            Err(Halt::fail(reason).at(&second))
        }
        Err(halt) => Err(halt),
    };
    forget(stage, &id).await;
    outcome
}

fn offer_expiry(connack: &Seen<Packet>) -> Result<(), Halt> {
    match &**connack {
        Packet::Connack(said) if said.properties.session_expiry_interval() == Some(0) => {
            Err(Halt::unsupported("the server keeps no sessions").at(connack))
        }
        _ => Ok(()),
    }
}

/// Several clients without an identifier, one of them gone with its session kept: all names differ.
async fn assigned_identifiers_differ(stage: &Stage) -> Outcome {
    let mut names: Vec<String> = Vec::new();
    let mut evidence: Option<Evidence> = None;
    let mut outcome = Ok(());
    for n in 0..3 {
        let (mut peer, connack, id) = match nameless(stage, &format!("nameless{n}")).await {
            Ok(named) => named,
            Err(halt) => {
                outcome = Err(halt);
                break;
            }
        };
        peer.close(End::Fin).await;
        if names.contains(&id) || id.is_empty() {
            outcome = Err(Halt::fail(format!("the identifier \"{id}\" was assigned twice, or is empty")).at(&connack));
            break;
        }
        names.push(id);
        evidence = Some(evidence.map_or_else(|| Evidence::of(&connack), |evidence| evidence.and(&connack)));
    }
    for id in &names {
        forget(stage, id).await;
    }
    outcome?;
    evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
}

/// 5.0 allows it: an authentication may say no, but the form is right.
async fn a_password_without_a_user_name_is_no_error_of_form(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "keyholder").flagged(flag::PASSWORD).field(b"secret");
    let mut peer = Peer::open(stage, "keyholder").await?;
    let sent = peer.send_bytes(&connect.bytes()).await;
    match peer.next().await {
        Next::Packet(packet) => match &*packet {
            Packet::Connack(connack)
                if matches!(connack.reason, ReasonCode::MalformedPacket | ReasonCode::ProtocolError) =>
            {
                Err(Halt::fail(format!("a password without a user name was refused with {}", connack.reason))
                    .at(&packet))
            }
            Packet::Connack(connack)
                if !connack.reason.is_failure()
                    || is_policy(connack.reason)
                    || connack.reason == ReasonCode::BadUserNameOrPassword =>
            {
                Ok(Evidence::of(&packet))
            }
            other => Err(Halt::inconclusive(format!("{other} came")).at(&packet)),
        },
        // Refused for who it is, without a word.
        Next::End(end) => Err(Halt::inconclusive("the server closed without a word").at(&end)),
        Next::Malformed(what) => Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what)),
        Next::Nothing => Err(Halt::fail("no answer came").at(&sent)),
    }
}

/// User Properties are legal, and may repeat, wherever a client sends them.
async fn user_properties_are_accepted_everywhere(stage: &Stage) -> Outcome {
    let pair = |value: &str| Property::UserProperty((text("same"), text(value)));
    let mut connect = Peer::hello(stage, "talkative");
    connect.set_properties([pair("1"), pair("2"), pair("1")].into_iter().collect());
    let (mut peer, connack) = Peer::connect(stage, "talkative", connect).await?;
    let topic = crate::tests::watch::filter(&stage.topic("t"));
    let mut subscribe = squall_codec::packet::Subscribe::new(
        peer.fresh_id(),
        vec![squall_codec::packet::Subscription::new(topic.clone(), Qos::AtMostOnce)],
    );
    subscribe.properties = [pair("1"), pair("2")].into_iter().collect();
    let suback = peer.subscribe_with(subscribe).await?;
    let plain = squall_codec::packet::Publish::new(&crate::tests::watch::name(&stage.topic("t")), "plain");
    peer.send(Packet::Publish(plain)).await;
    let copy = crate::tests::watch::message(&mut peer, b"plain").await?;
    if copy.forwarded_properties().user_properties().any(|(name, _)| name == "connect" || name == "same") {
        return Err(Halt::fail("a user property of CONNECT or SUBSCRIBE came with a message").at(&copy));
    }
    let mut leave = squall_codec::packet::Unsubscribe::new(peer.fresh_id(), vec![topic]);
    leave.properties = [pair("1"), pair("2")].into_iter().collect();
    peer.send(Packet::Unsubscribe(leave)).await;
    let unsuback = peer.expect::<squall_codec::packet::Unsuback>().await?;
    let mut disconnect = squall_codec::packet::Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
    disconnect.properties = [pair("1"), pair("2")].into_iter().collect();
    peer.send(Packet::Disconnect(disconnect)).await;
    peer.close(squall_scenarios::stage::End::Fin).await;
    let seen = farewell(&mut peer).await;
    if let Some((reason, at)) = seen.disconnect() {
        return Err(Halt::fail(format!("DISCONNECT with user properties was answered by DISCONNECT {reason}")).at(at));
    }
    Ok(Evidence::of(&connack).and(&suback).and(&copy).and(&unsuback))
}

/// A client with an identifier of its own keeps it.
async fn an_identifier_of_its_own_is_kept(stage: &Stage) -> Outcome {
    let (mut peer, connack) = Peer::connect(stage, "named", Peer::hello(stage, "named")).await.prepared()?;
    peer.disconnect().await;
    match connack.properties.assigned_client_identifier() {
        None => Ok(Evidence::of(&connack)),
        Some(id) if id.as_str() == stage.client_id("named").as_str() => {
            Ok(Evidence::of(&connack).warn("the server assigns the identifier that the client has"))
        }
        Some(id) => {
            Err(Halt::fail(format!("the server assigned \"{id}\" to a client with an identifier")).at(&connack))
        }
    }
}
