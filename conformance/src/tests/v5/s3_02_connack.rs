//! 3.2 CONNACK.

use squall_codec::{
    packet::{Packet, Publish},
    property::Property,
    qos::Qos,
};
use squall_scenarios::{
    peer::{Peer, Puback, Pubcomp, Pubrec},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{s3_01_connect, s3_01_session, s3_02_connack},
    test::{Test, test},
    tests::{
        asking::id,
        both::s3_02_connack::{
            a_clean_session_has_session_present_0, a_refusal_has_session_present_0, connack_comes_first,
            connack_flags_have_no_reserved_bit, connack_is_in_the_format_of_its_version, connacks, refused_connack,
        },
        bytes::RawConnect,
        judge::{farewell, offender_as},
        offer,
        watch::name,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        connack_comes_first,
        "A session with waiting messages is resumed, with packets right behind the CONNECT; CONNACK comes before all else.",
        ["5.0/MQTT-3.2.0-1"],
        s3_01_session::speaks_before_connack
    ),
    test!(
        connack_flags_have_no_reserved_bit,
        "All CONNACKs have 0 or 1 as their flags.",
        ["5.0/MQTT-3.2.2-1"],
        s3_01_session::flags_its_connack
    ),
    test!(
        a_clean_session_has_session_present_0,
        "A session is stored and a fresh one asked for; CONNACK says that none is present.",
        ["5.0/MQTT-3.2.2-2"],
        s3_01_session::says_present
    ),
    test!(
        connack_is_in_the_format_of_its_version,
        "CONNACK is written in the format of the version that CONNECT asked for.",
        ["5.0/X-PROTOCOL-MIX"],
        s3_02_connack::mixes_formats
    ),
    test!(
        the_server_closes_after_a_refusal,
        "A CONNECT is refused by CONNACK; the server closes.",
        ["5.0/MQTT-3.2.2-7"],
        s3_01_session::refuses_and_stays
    ),
    test!(
        a_refused_client_has_no_session_present,
        "A client has a session and is refused; CONNACK does not say that it is present.",
        ["5.0/MQTT-3.2.2-6"],
        s3_01_session::says_present_in_refusals
    ),
    test!(
        at_most_one_connack_comes,
        "A client says CONNECT a second time; no second CONNACK comes.",
        ["5.0/MQTT-3.2.0-2"],
        s3_01_connect::answers_each_connect
    ),
    test!(
        reason_codes_are_those_of_the_table,
        "CONNACKs of accepted and refused clients have a reason code of the table.",
        ["5.0/MQTT-3.2.2-8"],
        s3_02_connack::says_a_foreign_code
    ),
    test!(
        a_qos_that_is_not_denied_is_served,
        "CONNACK does not deny QoS 1 and 2; they are served.",
        ["5.0/MQTT-3.2.2-9"],
        s3_02_connack::refuses_qos_2
    ),
    test!(
        a_connack_keeps_to_the_maximum_packet_size,
        "A client takes packets of 20 bytes; CONNACK does not explain itself at greater length.",
        ["5.0/MQTT-3.2.2-19", "5.0/MQTT-3.2.2-20"],
        s3_02_connack::is_talkative_in_connack
    ),
];

/// After a second CONNECT, and behind a PINGREQ: never a second CONNACK.
async fn at_most_one_connack_comes(stage: &Stage) -> Outcome {
    let mut peer = offender_as(stage, "offender").await?;
    let second = crate::tests::asking::bytes_of(stage, &Packet::Connect(Peer::hello(stage, "offender")));
    let sent = peer.send_bytes(&second).await;
    let seen = farewell(&mut peer).await;
    match (seen.connack(), &seen.end) {
        (Some((_, at)), _) => Err(Halt::fail("a second CONNACK came on one connection").at(at)),
        (None, Some(end)) => Ok(Evidence::of(&sent).and(end)),
        (None, None) => {
            let (before, pong) = peer.fence().await.prepared()?;
            match before.iter().find(|packet| matches!(***packet, Packet::Connack(_))) {
                Some(at) => Err(Halt::fail("a second CONNACK came on one connection").at(at)),
                None => Ok(Evidence::of(&sent).and(&pong)),
            }
        }
    }
}

/// A CONNECT that is well-formed and refused: a version that nobody speaks.
fn refused(stage: &Stage, actor: &str) -> Vec<u8> {
    RawConnect::new(stage, actor).at_level(99).bytes()
}

async fn the_server_closes_after_a_refusal(stage: &Stage) -> Outcome {
    let mut cases = crate::tests::judge::Cases::new();
    cases.add("version 99", refused_connack(stage, &refused(stage, "offender")).await);
    let method = [&[0x15][..], &crate::tests::asking::string(b"NO-SUCH-METHOD")].concat();
    let connect = RawConnect::new(stage, "offender").with_properties(&method);
    cases.add("unknown authentication method", refused_connack(stage, &connect.bytes()).await);
    cases.finish()
}

/// Refused for an Authentication Method that nobody knows, with the identifier of a stored session.
async fn a_refused_client_has_no_session_present(stage: &Stage) -> Outcome {
    let method = [&[0x15][..], &crate::tests::asking::string(b"NO-SUCH-METHOD")].concat();
    let connect = RawConnect::new(stage, "alice").with_properties(&method);
    a_refusal_has_session_present_0(stage, connect.bytes()).await
}

/// The codes that table 3-1 gives to CONNACK.
const CODES: [u8; 22] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B,
    0x9C, 0x9D, 0x9F,
];

async fn reason_codes_are_those_of_the_table(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "plain").await?;
    peer.disconnect().await;
    let method = [&[0x15][..], &crate::tests::asking::string(b"NO-SUCH-METHOD")].concat();
    for bytes in [
        refused(stage, "offender"),
        RawConnect::new(stage, "offender").with_properties(&method).bytes(),
        RawConnect::new(stage, "offender").flagged(crate::tests::bytes::flag::RESERVED).bytes(),
        RawConnect::new(stage, "offender").will(&[], b"wild/#", b"x").bytes(),
    ] {
        let mut peer = Peer::open(stage, "offender").await?;
        peer.send_bytes(&bytes).await;
        farewell(&mut peer).await;
    }
    let mut evidence: Option<Evidence> = None;
    let mut refusals = 0;
    for (at, bytes) in connacks(stage) {
        // Four bytes in all: the form of 3.1.1, for those who speak another version.
        match bytes.get(3) {
            Some(code) if bytes.len() > 4 && !CODES.contains(code) => {
                return Err(Halt::fail(format!(
                    "a CONNACK has the reason code 0x{code:02X}, which is not one of its table"
                ))
                .at(&at));
            }
            code => {
                refusals += usize::from(code.is_some_and(|code| *code >= 0x80));
                evidence = Some(evidence.map_or_else(|| Evidence::of(&at), |evidence| evidence.and(&at)));
            }
        }
    }
    if refusals == 0 {
        return Err(Halt::unsupported("the server refuses without a CONNACK"));
    }
    evidence.ok_or_else(|| Halt::inconclusive("no CONNACK came"))
}

/// What CONNACK does not deny has to work: QoS 1 and QoS 2.
async fn a_qos_that_is_not_denied_is_served(stage: &Stage) -> Outcome {
    let (mut peer, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await.prepared()?;
    let highest = offer::highest_qos(&peer);
    if connack.properties.maximum_qos().is_some_and(|maximum| maximum > 1) {
        return Err(Halt::fail("Maximum QoS is neither 0 nor 1").at(&connack));
    }
    let topic = name(&stage.topic("served"));
    let mut evidence = Evidence::of(&connack);
    let refused = |what| Halt::inconclusive(format!("the server refused the message: {what}"));
    if highest >= Qos::AtLeastOnce {
        peer.send(Packet::Publish(Publish::new(&topic, "x").at(Qos::AtLeastOnce, Some(id(1))))).await;
        let puback = peer.expect::<Puback>().await?;
        if puback.reason.is_failure() {
            return Err(refused(puback.reason).at(&puback));
        }
        evidence = evidence.and(&puback);
    }
    if highest == Qos::ExactlyOnce {
        peer.send(Packet::Publish(Publish::new(&topic, "x").at(Qos::ExactlyOnce, Some(id(2))))).await;
        let pubrec = peer.expect::<Pubrec>().await?;
        if pubrec.reason.is_failure() {
            return Err(refused(pubrec.reason).at(&pubrec));
        }
        peer.send(Packet::Pubrel(squall_codec::packet::Ack::new(id(2)))).await;
        let pubcomp = peer.expect::<Pubcomp>().await?;
        evidence = evidence.and(&pubrec).and(&pubcomp);
    }
    Ok(evidence)
}

/// The client takes 20 bytes: CONNACK leaves out what can be left out, or does not come at all.
async fn a_connack_keeps_to_the_maximum_packet_size(stage: &Stage) -> Outcome {
    const LIMIT: u32 = 20;
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut connect = Peer::hello(stage, "tiny");
    connect.push_property(Property::MaximumPacketSize(LIMIT));
    let mut peer = Peer::open(stage, "tiny").await?;
    peer.send(Packet::Connect(connect)).await;
    match peer.next().await {
        squall_scenarios::peer::Next::Packet(packet) => {
            let Packet::Connack(connack) = &*packet else {
                return Err(Halt::inconclusive(format!("{} came for CONNACK", packet.kind())).at(&packet));
            };
            let size = packet.encoded_len(stage.version());
            let talkative =
                connack.properties.reason_string().is_some() || connack.properties.user_properties().next().is_some();
            if size > LIMIT as usize && talkative {
                let reason = format!("a CONNACK of {size} bytes explains itself, Maximum Packet Size is {LIMIT}");
                return Err(Halt::fail(reason).at(&packet));
            }
            Ok(Evidence::of(&packet))
        }
        // It could not make it small enough.
        squall_scenarios::peer::Next::End(end) => Ok(Evidence::of(&end)),
        squall_scenarios::peer::Next::Malformed(what) => {
            Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what))
        }
        squall_scenarios::peer::Next::Nothing => Err(Halt::inconclusive("nothing came")),
    }
}
