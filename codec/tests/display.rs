//! What a packet looks like in a transcript.

use bytes::Bytes;
use squall_codec::{
    packet::{Ack, Connack, Connect, Disconnect, Packet, Publish, Suback, Subscribe, Subscription, Unsubscribe, Will},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

fn check(packet: Packet, expected: &str) {
    assert_eq!(packet.to_string(), expected);
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not 0")
}

#[test]
fn a_packet_is_one_readable_line() {
    let mut connect = Connect::new(Version::V5_0, Text::literal("alice"));
    connect.keep_alive = 30;
    check(Packet::Connect(connect.clone()), "CONNECT 5.0 client_id=alice clean_start=1 keep_alive=30");
    connect.set_will(Some(Will {
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: TopicName::literal("w/alice"),
        payload: Bytes::from_static(b"gone"),
        properties: Properties::new().with(Property::WillDelayInterval(5)),
    }));
    connect.set_username(Some(Text::literal("al ice")));
    connect.set_password(Some(Bytes::from_static(b"secret")));
    connect.push_property(Property::SessionExpiryInterval(60));
    check(
        Packet::Connect(connect),
        "CONNECT 5.0 client_id=alice clean_start=1 keep_alive=30 \
         will=[w/alice qos=1 retain \"gone\" (4 bytes) will_delay_interval=5] \
         username=\"al ice\" password=*** session_expiry_interval=60",
    );
    let mut connack = Connack::new(ReasonCode::Success);
    connack.session_present = true;
    check(Packet::Connack(Box::new(connack)), "CONNACK 0x00 Success session_present");

    let mut publish = Publish::new(&TopicName::literal("t/1"), "hello").at(Qos::AtLeastOnce, Some(id(7)));
    publish.dup = true;
    publish.retain = true;
    check(Packet::Publish(publish), "PUBLISH t/1 qos=1 id=7 dup retain \"hello\" (5 bytes)");
    let name = TopicName::literal("t");
    check(Packet::Publish(Publish::new(&name, [0xFF])), "PUBLISH t 0xFF (1 byte)");
    check(
        Packet::Publish(Publish::new(&name, "x".repeat(40))),
        "PUBLISH t \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"… (40 bytes)",
    );
    let pair = (Text::literal("k"), Text::literal("v w"));
    let properties = Properties::new()
        .with(Property::TopicAlias(3))
        .with(Property::CorrelationData(Bytes::from_static(b"123")))
        .with(Property::UserProperty(pair));
    check(
        Packet::Publish(Publish::new(&name, "").with_properties(&properties).without_topic()),
        "PUBLISH \"\" \"\" (0 bytes) correlation_data=(3 bytes) user_property=k:\"v w\" topic_alias=3",
    );

    check(Packet::Pubrec(Ack::new(id(7))), "PUBREC id=7");
    check(
        Packet::Pubrel(Ack::with_reason(id(7), ReasonCode::PacketIdentifierNotFound)),
        "PUBREL id=7 0x92 Packet Identifier not found",
    );
    let subscriptions = vec![
        Subscription::new(TopicFilter::literal("t/#"), Qos::ExactlyOnce),
        Subscription::new(TopicFilter::literal("+"), Qos::AtMostOnce),
    ];
    check(Packet::Subscribe(Subscribe::new(id(1), subscriptions)), "SUBSCRIBE id=1 [t/# qos=2, + qos=0]");
    let reasons = vec![ReasonCode::GRANTED_QOS_0, ReasonCode::NotAuthorized];
    check(Packet::Suback(Suback::new(id(1), reasons)), "SUBACK id=1 [0x00 Granted QoS 0, 0x87 Not authorized]");
    let filters = vec![TopicFilter::literal("t/#")];
    check(Packet::Unsubscribe(Unsubscribe::new(id(2), filters)), "UNSUBSCRIBE id=2 [t/#]");
    check(Packet::Pingreq, "PINGREQ");
    check(Packet::Disconnect(Disconnect::new(ReasonCode::SessionTakenOver)), "DISCONNECT 0x8E Session taken over");
    check(Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)), "DISCONNECT");
}
