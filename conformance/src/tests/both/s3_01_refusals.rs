//! 3.1 CONNECT: Connect Flags that do not fit their payload, fields that are not there, strings that are none.

use squall_codec::reason::ReasonCode;
use squall_scenarios::{stage::Stage, verdict::Outcome};

use crate::tests::{
    asking::is_v5,
    bytes::{RawConnect, flag},
    judge::{Cases, refuses},
};

pub(crate) const MALFORMED: &[ReasonCode] = &[ReasonCode::MalformedPacket, ReasonCode::ProtocolError];

/// Bit 0 of the connect flags.
pub(crate) async fn the_reserved_connect_flag_is_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").flagged(flag::RESERVED);
    refuses(stage, "a CONNECT with its reserved flag set", &connect.bytes(), MALFORMED).await
}

/// Will Flag 1, and the payload ends before what it promises.
pub(crate) async fn a_will_that_is_flagged_must_be_there(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    let promised = RawConnect::new(stage, "offender").flagged(flag::WILL);
    cases.add("no will", refuses(stage, "a will flag without a will", &promised.bytes(), MALFORMED).await);
    // In 5.0 the will properties come before the topic.
    let properties: &[u8] = if is_v5(stage) { &[0] } else { &[] };
    let half = promised.tail(properties).field(stage.topic("will").as_bytes());
    cases.add("no payload", refuses(stage, "a will that ends with its topic", &half.bytes(), MALFORMED).await);
    cases.finish()
}

pub(crate) async fn a_will_qos_without_a_will_is_refused(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for (qos, bits) in [(1, 0x08), (2, 0x10)] {
        let connect = RawConnect::new(stage, "offender").flagged(bits);
        let offence = format!("Will QoS {qos} without a will");
        cases.add(offence.clone(), refuses(stage, &offence, &connect.bytes(), MALFORMED).await);
    }
    cases.finish()
}

pub(crate) async fn will_qos_3_is_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").will(&[], stage.topic("will").as_bytes(), b"gone");
    refuses(stage, "Will QoS 3", &connect.flagged(flag::WILL_QOS).bytes(), MALFORMED).await
}

pub(crate) async fn will_retain_without_a_will_is_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").flagged(flag::WILL_RETAIN);
    refuses(stage, "Will Retain without a will", &connect.bytes(), MALFORMED).await
}

pub(crate) async fn a_user_name_without_its_flag_is_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").field(b"user");
    refuses(stage, "a user name without its flag", &connect.bytes(), MALFORMED).await
}

pub(crate) async fn a_user_name_flag_without_user_name_is_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").flagged(flag::USER_NAME);
    refuses(stage, "a user name flag without a user name", &connect.bytes(), MALFORMED).await
}

pub(crate) async fn a_password_without_its_flag_is_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").flagged(flag::USER_NAME).field(b"user").field(b"secret");
    refuses(stage, "a password without its flag", &connect.bytes(), MALFORMED).await
}

pub(crate) async fn a_password_flag_without_password_is_refused(stage: &Stage) -> Outcome {
    let connect = RawConnect::new(stage, "offender").flagged(flag::USER_NAME | flag::PASSWORD).field(b"user");
    refuses(stage, "a password flag without a password", &connect.bytes(), MALFORMED).await
}

pub(crate) async fn a_connect_without_payload_is_refused(stage: &Stage) -> Outcome {
    refuses(stage, "a CONNECT without a payload", &RawConnect::without_payload(stage).bytes(), MALFORMED).await
}

pub(crate) async fn an_ill_formed_client_identifier_is_refused(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::ClientIdentifierNotValid];
    let mut cases = Cases::new();
    for bad in [&b"a\xFF"[..], b"a\xED\xA0\x80"] {
        let connect = RawConnect::without_payload(stage).field(bad);
        cases.add(
            "client identifier",
            refuses(stage, "an ill-formed client identifier", &connect.bytes(), &codes).await,
        );
    }
    cases.finish()
}

pub(crate) async fn an_ill_formed_will_topic_is_refused(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::TopicNameInvalid];
    let connect = RawConnect::new(stage, "offender").will(&[], b"will/\xC0\x80", b"gone");
    refuses(stage, "an ill-formed will topic", &connect.bytes(), &codes).await
}

pub(crate) async fn an_ill_formed_user_name_is_refused(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::MalformedPacket, ReasonCode::ProtocolError, ReasonCode::BadUserNameOrPassword];
    let connect = RawConnect::new(stage, "offender").flagged(flag::USER_NAME).field(b"user\xFF");
    refuses(stage, "an ill-formed user name", &connect.bytes(), &codes).await
}

/// CONNECTs that do not conform, each in another way. What comes back is left to the versions.
pub(crate) fn nonconforming(stage: &Stage) -> Vec<(&'static str, Vec<u8>)> {
    let good = || RawConnect::new(stage, "offender");
    let mut too_long = RawConnect::without_payload(stage);
    // A client identifier that says 200 bytes and has three.
    too_long.payload = vec![0, 200, b'a', b'b', b'c'];
    let mut cut = RawConnect::without_payload(stage);
    // Half a length.
    cut.payload = vec![0];
    vec![
        ("a client identifier longer than the packet", too_long.bytes()),
        ("a packet that breaks off in a length", cut.bytes()),
        ("bytes behind the last field", good().tail(b"more").bytes()),
        ("the first byte 0x12", good().beginning(0x12).bytes()),
        ("reserved flag", good().flagged(flag::RESERVED).bytes()),
        ("Will QoS without a will", good().flagged(0x08).bytes()),
    ]
}
