//! Reason Strings under Request Problem Information and Maximum Packet Size, and Response Information.

use squall_codec::{
    packet::{Connect, Packet},
    property::Property,
    reason::ReasonCode,
    wire::Text,
};

use crate::support::*;

/// The Reason Strings of the refusals that a client gets for one PUBLISH of each QoS and one SUBSCRIBE.
fn told(connect: Connect) -> Vec<Option<String>> {
    let mut broker = TestBroker::with(|config| config.limits.topic_levels = 1);
    let alice = broker.join(connect);
    broker.recv(alice, publish_at(QOS_1, 1, "$SYS/x", "no"));
    broker.recv(alice, publish_at(QOS_2, 2, "a/b", "no"));
    broker.recv(alice, subscribe(3, "a/b", QOS_0));
    (0..3)
        .map(|_| match broker.next(alice) {
            Packet::Puback(ack) | Packet::Pubrec(ack) => (ack.reason, ack.properties),
            Packet::Suback(suback) => (suback.reasons[0], suback.properties),
            other => panic!("unexpected: {other:?}"),
        })
        .map(|(reason, properties)| {
            assert!(reason.is_failure());
            properties.reason_string().map(|text| text.as_str().to_owned())
        })
        .collect()
}

#[test]
fn a_refusal_says_why_unless_the_client_does_not_want_to_know() {
    let plain = told(clean(V5, "alice"));
    assert_eq!(plain[0].as_deref(), Some("publishing to this topic is not allowed"));
    assert!(plain.iter().all(Option::is_some), "{plain:?}");
    for wanted in [0, 1] {
        let mut connect = clean(V5, "alice");
        connect.push_property(Property::RequestProblemInformation(wanted));
        let told = told(connect);
        assert!(told.iter().all(|text| text.is_some() == (wanted == 1)), "{wanted}: {told:?}");
    }
}

#[test]
fn a_reason_string_that_does_not_fit_is_left_out() {
    let mut connect = clean(V5, "alice");
    connect.push_property(Property::MaximumPacketSize(40));
    let told = told(connect);
    assert!(told.iter().all(Option::is_none), "{told:?}");
}

#[test]
fn a_refused_connect_says_why_where_it_fits() {
    for (maximum, told) in [(None, true), (Some(20), false)] {
        let mut broker = TestBroker::with(|config| config.allow_empty_client_id = false);
        let mut connect = clean(V5, "");
        maximum.into_iter().for_each(|size| connect.push_property(Property::MaximumPacketSize(size)));
        let alice = broker.open();
        let connack = broker.connect(alice, connect);
        assert_eq!(connack.reason, ReasonCode::ClientIdentifierNotValid);
        assert_eq!(connack.properties.reason_string().is_some(), told);
    }
}

#[test]
fn response_information_is_told_to_those_who_ask_where_there_is_any() {
    let asking = |asked: Option<u8>| {
        let mut connect = clean(V5, "alice");
        asked.into_iter().for_each(|value| connect.push_property(Property::RequestResponseInformation(value)));
        connect
    };
    for (configured, asked, expected) in [
        (Some("replies"), Some(1), Some("replies")),
        (Some("replies"), Some(0), None),
        (Some("replies"), None, None),
        (None, Some(1), None),
    ] {
        let mut broker = TestBroker::with(|config| config.response_information = configured.map(Text::literal));
        let (_, connack) = broker.join_as(asking(asked));
        assert_eq!(connack.properties.response_information().map(|text| text.as_str()), expected);
    }
}
