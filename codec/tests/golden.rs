//! Every packet of every version, its bytes written by hand: they decode to the packet, and the packet encodes to them.

mod common;

use bytes::{Bytes, BytesMut};
use common::bytes;
use squall_codec::{
    packet::{
        Ack, Auth, Connack, Connect, Disconnect, Packet, Publish, RetainHandling, Suback, Subscribe, Subscription,
        SubscriptionOptions, Unsuback, Unsubscribe, Will,
    },
    property::{Properties, Property},
    qos::Qos,
    reason::{ReasonCode, Side},
    topic::{TopicFilter, TopicName},
    version::Version::{self, V3_1, V3_1_1, V5_0},
    wire::{PacketId, Text},
};

/// Both ways.
#[track_caller]
fn check(version: Version, sender: Side, golden: &str, packet: Packet) {
    let golden = Bytes::from(bytes(golden));
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("the version has this packet");
    assert_eq!(out, golden, "{packet} in {version} is written as {out:02X?} instead of {golden:02X?}");
    assert_eq!(packet.encoded_len(version), golden.len());
    read(version, sender, golden, packet);
}

/// A form that is read and never written.
#[track_caller]
fn check_read(version: Version, sender: Side, golden: &str, packet: Packet) {
    read(version, sender, bytes(golden).into(), packet);
}

#[track_caller]
fn read(version: Version, sender: Side, golden: Bytes, packet: Packet) {
    assert_eq!(Packet::decode(version, sender, golden), Ok(packet));
}

fn id(value: u16) -> PacketId {
    PacketId::new(value).expect("not 0")
}

fn text(text: &'static str) -> Text {
    Text::literal(text)
}

fn pair(name: &'static str, value: &'static str) -> Property {
    Property::UserProperty((text(name), text(value)))
}

fn blob(bytes: &'static [u8]) -> Bytes {
    Bytes::from_static(bytes)
}

fn connect(version: Version, change: impl Fn(&mut Connect)) -> Packet {
    let mut connect = Connect::new(version, text("cl"));
    connect.keep_alive = 60;
    change(&mut connect);
    Packet::Connect(connect)
}

fn connack(reason: ReasonCode, session_present: bool, properties: Properties) -> Packet {
    Packet::Connack(Box::new(Connack { session_present, reason, properties }))
}

#[test]
fn connect_of_every_version() {
    let plain = |version| connect(version, |_| {});
    check(V3_1, Side::Client, "10 10 0006 'MQIsdp' 03 02 003C 0002 'cl'", plain(V3_1));
    check(V3_1_1, Side::Client, "10 0E 0004 'MQTT' 04 02 003C 0002 'cl'", plain(V3_1_1));
    check(V5_0, Side::Client, "10 0F 0004 'MQTT' 05 02 003C 00 0002 'cl'", plain(V5_0));
    // The smallest that the standard allows.
    let smallest = |version| connect(version, |connect| connect.set_client_id(text("")));
    check(V3_1_1, Side::Client, "10 0C 0004 'MQTT' 04 02 003C 0000", smallest(V3_1_1));
    check(V5_0, Side::Client, "10 0D 0004 'MQTT' 05 02 003C 00 0000", smallest(V5_0));
}

#[test]
fn connect_with_will_and_credentials() {
    let full = |version| {
        connect(version, |connect| {
            connect.clean_start = false;
            connect.set_will(Some(Will {
                qos: Qos::ExactlyOnce,
                retain: true,
                topic: TopicName::literal("w"),
                payload: blob(b"bye"),
                properties: Properties::new(),
            }));
            connect.set_username(Some(text("u")));
            connect.set_password(Some(blob(&[0, 255])));
        })
    };
    // Flags: User Name 80, Password 40, Will Retain 20, Will QoS 2 10, Will 04.
    let tail = "0002 'cl' 0001 'w' 0003 'bye' 0001 'u' 0002 00FF";
    check(V3_1, Side::Client, &format!("10 1F 0006 'MQIsdp' 03 F4 003C {tail}"), full(V3_1));
    check(V3_1_1, Side::Client, &format!("10 1D 0004 'MQTT' 04 F4 003C {tail}"), full(V3_1_1));
    let tail = "0002 'cl' 00 0001 'w' 0003 'bye' 0001 'u' 0002 00FF";
    check(V5_0, Side::Client, &format!("10 1F 0004 'MQTT' 05 F4 003C 00 {tail}"), full(V5_0));
}

#[test]
fn connect_with_every_property() {
    let packet = connect(V5_0, |connect| {
        connect.set_client_id(text(""));
        connect.set_properties(
            Properties::new()
                .with(Property::SessionExpiryInterval(0xFFFF_FFFF))
                .with(Property::ReceiveMaximum(10))
                .with(Property::MaximumPacketSize(0x0001_0000))
                .with(Property::TopicAliasMaximum(5))
                .with(Property::RequestResponseInformation(1))
                .with(Property::RequestProblemInformation(0))
                .with(pair("k", "v"))
                .with(pair("k", "w"))
                .with(Property::AuthenticationMethod(text("M")))
                .with(Property::AuthenticationData(blob(&[1, 2]))),
        );
        connect.set_will(Some(Will {
            qos: Qos::AtLeastOnce,
            retain: false,
            topic: TopicName::literal("w"),
            payload: blob(b""),
            properties: Properties::new()
                .with(Property::WillDelayInterval(15))
                .with(Property::PayloadFormatIndicator(1))
                .with(Property::MessageExpiryInterval(30))
                .with(Property::ContentType(text("c")))
                .with(Property::ResponseTopic(text("r")))
                .with(Property::CorrelationData(blob(b"x")))
                .with(pair("k", "v")),
        }));
        // 5.0 allows a password without a user name.
        connect.set_password(Some(blob(b"p")));
    });
    check(
        V5_0,
        Side::Client,
        "10 60 0004 'MQTT' 05 4E 003C
         2B 11 FFFFFFFF 21 000A 27 00010000 22 0005 19 01 17 00 26 0001 'k' 0001 'v' 26 0001 'k' 0001 'w'
            15 0001 'M' 16 0002 0102
         0000
         1F 18 0000000F 01 01 02 0000001E 03 0001 'c' 08 0001 'r' 09 0001 'x' 26 0001 'k' 0001 'v'
         0001 'w' 0000 0001 'p'",
        packet,
    );
}

#[test]
fn connack_of_every_version() {
    let none = Properties::new;
    for version in [V3_1, V3_1_1] {
        check(version, Side::Server, "20 02 00 00", connack(ReasonCode::Success, false, none()));
        let codes = [
            ("01", ReasonCode::UnsupportedProtocolVersion),
            ("02", ReasonCode::ClientIdentifierNotValid),
            ("03", ReasonCode::ServerUnavailable),
            ("04", ReasonCode::BadUserNameOrPassword),
            ("05", ReasonCode::NotAuthorized),
        ];
        for (code, reason) in codes {
            check(version, Side::Server, &format!("20 02 00 {code}"), connack(reason, false, none()));
        }
    }
    check(V3_1_1, Side::Server, "20 02 01 00", connack(ReasonCode::Success, true, none()));
    // 3.1 has no Session Present: whatever the byte holds means nothing.
    check_read(V3_1, Side::Server, "20 02 FF 00", connack(ReasonCode::Success, false, none()));
    check(V5_0, Side::Server, "20 03 01 00 00", connack(ReasonCode::Success, true, none()));
    check(V5_0, Side::Server, "20 03 00 8A 00", connack(ReasonCode::Banned, false, none()));
    check(
        V5_0,
        Side::Server,
        "20 4B 00 00
         48 11 00000E10 21 0014 24 01 25 00 27 00100000 12 0002 'id' 22 000A 1F 0002 'ok' 26 0001 'k' 0001 'v'
            28 00 29 00 2A 00 13 001E 1A 0002 'rt' 1C 000A 'other:1883' 15 0001 'M' 16 0001 07",
        connack(
            ReasonCode::Success,
            false,
            Properties::new()
                .with(Property::SessionExpiryInterval(3600))
                .with(Property::ReceiveMaximum(20))
                .with(Property::MaximumQos(1))
                .with(Property::RetainAvailable(0))
                .with(Property::MaximumPacketSize(1_048_576))
                .with(Property::AssignedClientIdentifier(text("id")))
                .with(Property::TopicAliasMaximum(10))
                .with(Property::ReasonString(text("ok")))
                .with(pair("k", "v"))
                .with(Property::WildcardSubscriptionAvailable(0))
                .with(Property::SubscriptionIdentifierAvailable(0))
                .with(Property::SharedSubscriptionAvailable(0))
                .with(Property::ServerKeepAlive(30))
                .with(Property::ResponseInformation(text("rt")))
                .with(Property::ServerReference(text("other:1883")))
                .with(Property::AuthenticationMethod(text("M")))
                .with(Property::AuthenticationData(blob(&[7]))),
        ),
    );
}

#[test]
fn publish_of_every_version() {
    let name = TopicName::literal("a/b");
    let plain = || Packet::Publish(Publish::new(&name, "hi"));
    let mut retained = Publish::new(&name, "").at(Qos::ExactlyOnce, Some(id(0x1234)));
    retained.dup = true;
    retained.retain = true;
    let once = Publish::new(&name, [0, 255]).at(Qos::AtLeastOnce, Some(id(10)));
    for version in [V3_1, V3_1_1] {
        for sender in [Side::Client, Side::Server] {
            check(version, sender, "30 07 0003 'a/b' 'hi'", plain());
            check(version, sender, "32 09 0003 'a/b' 000A 00FF", Packet::Publish(once.clone()));
            check(version, sender, "3D 07 0003 'a/b' 1234", Packet::Publish(retained.clone()));
        }
    }
    check(V5_0, Side::Client, "30 08 0003 'a/b' 00 'hi'", plain());
    check(V5_0, Side::Server, "32 0A 0003 'a/b' 000A 00 00FF", Packet::Publish(once));
    check(V5_0, Side::Client, "3D 08 0003 'a/b' 1234 00", Packet::Publish(retained));
    // A Remaining Length of two bytes: 5 + 123 = 128.
    let long = Packet::Publish(Publish::new(&name, "x".repeat(123)));
    check(V3_1_1, Side::Client, &format!("30 80 01 0003 'a/b' '{}'", "x".repeat(123)), long);
}

#[test]
fn publish_with_every_property() {
    let name = TopicName::literal("t");
    let properties = Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::ContentType(text("c")))
        .with(Property::ResponseTopic(text("r")))
        .with(Property::CorrelationData(blob(&[9])))
        .with(pair("k", "v"))
        .with(pair("a", "b"))
        .with(Property::TopicAlias(3))
        .with(Property::MessageExpiryInterval(60))
        .with(Property::SubscriptionIdentifier(1))
        .with(Property::SubscriptionIdentifier(268_435_455));
    let publish = Publish::new(&name, "!").with_properties(&properties);
    assert_eq!(publish.properties(), properties);
    check(
        V5_0,
        Side::Server,
        "30 30 0001 't'
         2B 01 01 03 0001 'c' 08 0001 'r' 09 0001 09 26 0001 'k' 0001 'v' 26 0001 'a' 0001 'b'
            23 0003 02 0000003C 0B 01 0B FFFFFF7F
         '!'",
        Packet::Publish(publish),
    );
    // The same in another order is the same packet, and is written in ours.
    let Ok(Packet::Publish(mixed)) = Packet::decode(
        V5_0,
        Side::Server,
        bytes("30 14 0000 10 0B 01 03 0001 'c' 23 0003 02 0000003C 0B 05 '!'").into(),
    ) else {
        panic!("a PUBLISH with interleaved properties was refused")
    };
    assert_eq!((mixed.topic(), mixed.topic_alias), ("", Some(3)));
    assert_eq!(mixed.subscription_identifiers, [1, 5]);
    assert_eq!(mixed.forwarded_properties(), Properties::new().with(Property::ContentType(text("c"))));
    check(V5_0, Side::Server, "30 14 0000 10 03 0001 'c' 23 0003 02 0000003C 0B 01 0B 05 '!'", Packet::Publish(mixed));
}

#[test]
fn acknowledgements_of_every_version() {
    type Make = fn(Ack) -> Packet;
    let packets: [(&str, Make); 4] =
        [("40", Packet::Puback), ("50", Packet::Pubrec), ("62", Packet::Pubrel), ("70", Packet::Pubcomp)];
    for (first, make) in packets {
        for sender in [Side::Client, Side::Server] {
            for version in Version::ALL {
                check(version, sender, &format!("{first} 02 0102"), make(Ack::new(id(0x0102))));
            }
            check_read(V5_0, sender, &format!("{first} 03 0102 00"), make(Ack::new(id(0x0102))));
            check_read(V5_0, sender, &format!("{first} 04 0102 00 00"), make(Ack::new(id(0x0102))));
            let properties = Properties::new().with(Property::ReasonString(text("no"))).with(pair("k", "v"));
            check(
                V5_0,
                sender,
                &format!("{first} 10 0102 00 0C 1F 0002 'no' 26 0001 'k' 0001 'v'"),
                make(Ack { properties, ..Ack::new(id(0x0102)) }),
            );
        }
    }
    let refused = |reason| Ack::with_reason(id(1), reason);
    check(V5_0, Side::Client, "40 03 0001 99", Packet::Puback(refused(ReasonCode::PayloadFormatInvalid)));
    check(V5_0, Side::Server, "50 03 0001 10", Packet::Pubrec(refused(ReasonCode::NoMatchingSubscribers)));
    check(V5_0, Side::Client, "62 03 0001 92", Packet::Pubrel(refused(ReasonCode::PacketIdentifierNotFound)));
    check(V5_0, Side::Server, "70 03 0001 92", Packet::Pubcomp(refused(ReasonCode::PacketIdentifierNotFound)));
    // 3.1 sends a PUBREL again with DUP.
    check_read(V3_1, Side::Client, "6A 02 0001", Packet::Pubrel(Ack::new(id(1))));
}

#[test]
fn subscribe_of_every_version() {
    let subscribe = |filters: &[(&'static str, Qos)]| {
        let one = |(filter, qos): &(&'static str, Qos)| Subscription::new(TopicFilter::literal(filter), *qos);
        Subscribe::new(id(10), filters.iter().map(one).collect())
    };
    let two = || subscribe(&[("a/#", Qos::AtLeastOnce), ("+", Qos::ExactlyOnce)]);
    for version in [V3_1, V3_1_1] {
        check(version, Side::Client, "82 0C 000A 0003 'a/#' 01 0001 '+' 02", Packet::Subscribe(two()));
    }
    check_read(V3_1, Side::Client, "8A 0C 000A 0003 'a/#' 01 0001 '+' 02", Packet::Subscribe(two()));
    check(V5_0, Side::Client, "82 0D 000A 00 0003 'a/#' 01 0001 '+' 02", Packet::Subscribe(two()));

    let options = |qos, no_local, retain_as_published, retain_handling| SubscriptionOptions {
        qos,
        no_local,
        retain_as_published,
        retain_handling,
    };
    let filter = TopicFilter::literal("a");
    let shared = TopicFilter::literal("$share/g/a");
    let subscriptions = vec![
        Subscription { filter: filter.clone(), options: options(Qos::AtMostOnce, true, false, RetainHandling::Send) },
        Subscription {
            filter: filter.clone(),
            options: options(Qos::AtLeastOnce, false, true, RetainHandling::SendIfNew),
        },
        Subscription { filter, options: options(Qos::ExactlyOnce, true, true, RetainHandling::DoNotSend) },
        Subscription { filter: shared, options: options(Qos::AtMostOnce, false, false, RetainHandling::Send) },
    ];
    let mut full = Subscribe::new(id(1), subscriptions);
    full.properties = Properties::new().with(Property::SubscriptionIdentifier(200)).with(pair("k", "v"));
    check(
        V5_0,
        Side::Client,
        "82 26 0001 0A 0B C801 26 0001 'k' 0001 'v'
         0001 'a' 04 0001 'a' 19 0001 'a' 2E 000A '$share/g/a' 00",
        Packet::Subscribe(full),
    );
    // Before 5.0 '$share' is a level like any other, and so is one that 5.0 refuses.
    for name in ["$share/g/a", "$share/g"] {
        let filter = TopicFilter::unshared(text(name)).expect("an ordinary filter");
        assert_eq!(filter.share_name(), None);
        let length = name.len();
        check(
            V3_1_1,
            Side::Client,
            &format!("82 {:02X} 0001 {length:04X} '{name}' 00", length + 5),
            Packet::Subscribe(Subscribe::new(id(1), vec![Subscription::new(filter, Qos::AtMostOnce)])),
        );
    }
}

#[test]
fn suback_of_every_version() {
    let granted = vec![ReasonCode::GRANTED_QOS_0, ReasonCode::GrantedQos1, ReasonCode::GrantedQos2];
    for version in [V3_1, V3_1_1] {
        check(version, Side::Server, "90 05 0001 00 01 02", Packet::Suback(Suback::new(id(1), granted.clone())));
        let failed = Suback::new(id(1), vec![ReasonCode::UnspecifiedError]);
        check(version, Side::Server, "90 03 0001 80", Packet::Suback(failed));
    }
    check(V5_0, Side::Server, "90 06 0001 00 00 01 02", Packet::Suback(Suback::new(id(1), granted)));
    let mut refused = Suback::new(id(1), vec![ReasonCode::NotAuthorized, ReasonCode::SharedSubscriptionsNotSupported]);
    refused.properties = Properties::new().with(Property::ReasonString(text("no"))).with(pair("k", "v"));
    check(V5_0, Side::Server, "90 11 0001 0C 1F 0002 'no' 26 0001 'k' 0001 'v' 87 9E", Packet::Suback(refused.clone()));
    // 3.1.1 has one code for every refusal.
    let mut out = BytesMut::new();
    Packet::Suback(refused).encode(V3_1_1, &mut out).expect("3.1.1 has SUBACK");
    assert_eq!(out[..], bytes("90 04 0001 80 80"));
}

#[test]
fn unsubscribe_and_unsuback_of_every_version() {
    let filters = || vec![TopicFilter::literal("a"), TopicFilter::literal("b/+")];
    for version in [V3_1, V3_1_1] {
        let unsubscribe = Packet::Unsubscribe(Unsubscribe::new(id(3), filters()));
        check(version, Side::Client, "A2 0A 0003 0001 'a' 0003 'b/+'", unsubscribe);
        check(version, Side::Server, "B0 02 0003", Packet::Unsuback(Unsuback::new(id(3), Vec::new())));
    }
    let mut unsubscribe = Unsubscribe::new(id(3), filters());
    check(V5_0, Side::Client, "A2 0B 0003 00 0001 'a' 0003 'b/+'", Packet::Unsubscribe(unsubscribe.clone()));
    unsubscribe.properties.push(pair("k", "v"));
    check(
        V5_0,
        Side::Client,
        "A2 12 0003 07 26 0001 'k' 0001 'v' 0001 'a' 0003 'b/+'",
        Packet::Unsubscribe(unsubscribe),
    );
    let mut unsuback = Unsuback::new(id(3), vec![ReasonCode::Success, ReasonCode::NoSubscriptionExisted]);
    check(V5_0, Side::Server, "B0 05 0003 00 00 11", Packet::Unsuback(unsuback.clone()));
    unsuback.properties.push(Property::ReasonString(text("r")));
    check(V5_0, Side::Server, "B0 09 0003 04 1F 0001 'r' 00 11", Packet::Unsuback(unsuback));
    check_read(V3_1, Side::Client, "AA 05 0003 0001 'a'", {
        Packet::Unsubscribe(Unsubscribe::new(id(3), vec![TopicFilter::literal("a")]))
    });
}

#[test]
fn pings_of_every_version() {
    for version in Version::ALL {
        check(version, Side::Client, "C0 00", Packet::Pingreq);
        check(version, Side::Server, "D0 00", Packet::Pingresp);
    }
}

#[test]
fn disconnect_of_every_version() {
    let disconnect = |reason| Packet::Disconnect(Disconnect::new(reason));
    for version in Version::ALL {
        check(version, Side::Client, "E0 00", disconnect(ReasonCode::NORMAL_DISCONNECTION));
    }
    check(V5_0, Side::Server, "E0 00", disconnect(ReasonCode::NORMAL_DISCONNECTION));
    check(V5_0, Side::Server, "E0 01 8E", disconnect(ReasonCode::SessionTakenOver));
    check(V5_0, Side::Client, "E0 01 04", disconnect(ReasonCode::DisconnectWithWillMessage));
    check_read(V5_0, Side::Client, "E0 01 00", disconnect(ReasonCode::NORMAL_DISCONNECTION));
    check_read(V5_0, Side::Client, "E0 02 00 00", disconnect(ReasonCode::NORMAL_DISCONNECTION));
    let full = |reason, properties| Packet::Disconnect(Disconnect { reason, properties });
    check(
        V5_0,
        Side::Client,
        "E0 0E 00 0C 11 0000003C 26 0001 'k' 0001 'v'",
        full(ReasonCode::Success, Properties::new().with(Property::SessionExpiryInterval(60)).with(pair("k", "v"))),
    );
    check(
        V5_0,
        Side::Server,
        "E0 0B 9D 09 1F 0001 'r' 1C 0002 's2'",
        full(
            ReasonCode::ServerMoved,
            Properties::new().with(Property::ReasonString(text("r"))).with(Property::ServerReference(text("s2"))),
        ),
    );
}

#[test]
fn auth_of_5_0() {
    let full = |reason| {
        let properties = Properties::new()
            .with(Property::AuthenticationMethod(text("M")))
            .with(Property::AuthenticationData(blob(&[1, 2])))
            .with(Property::ReasonString(text("r")))
            .with(pair("k", "v"));
        Packet::Auth(Auth { reason, properties })
    };
    let tail = "14 15 0001 'M' 16 0002 0102 1F 0001 'r' 26 0001 'k' 0001 'v'";
    check(V5_0, Side::Server, &format!("F0 16 18 {tail}"), full(ReasonCode::ContinueAuthentication));
    check(V5_0, Side::Client, &format!("F0 16 18 {tail}"), full(ReasonCode::ContinueAuthentication));
    check(V5_0, Side::Client, &format!("F0 16 19 {tail}"), full(ReasonCode::ReAuthenticate));
    check(V5_0, Side::Server, &format!("F0 16 00 {tail}"), full(ReasonCode::Success));
    // An AUTH should name its method; one that does not has only this form.
    check(V5_0, Side::Server, "F0 00", Packet::Auth(Auth::new(ReasonCode::Success)));
}

#[test]
fn connect_of_3_1_may_leave_out_what_its_flags_announce() {
    let without = connect(V3_1, |_| {});
    check_read(V3_1, Side::Client, "10 10 0006 'MQIsdp' 03 C2 003C 0002 'cl'", without);
    let named = connect(V3_1, |connect| connect.set_username(Some(text("u"))));
    check_read(V3_1, Side::Client, "10 13 0006 'MQIsdp' 03 C2 003C 0002 'cl' 0001 'u'", named);
    // Bits without a meaning are not looked at.
    check_read(V3_1, Side::Client, "1F 10 0006 'MQIsdp' 03 3B 003C 0002 'cl'", connect(V3_1, |_| {}));
}

#[test]
fn strings_are_kept_as_they_are() {
    let mut odd = Connect::new(V5_0, Text::literal("\u{FEFF}é日😀\u{1}\u{FFFF}"));
    odd.clean_start = false;
    check(
        V5_0,
        Side::Client,
        "10 1D 0004 'MQTT' 05 00 0000 00 0010 EFBBBF C3A9 E697A5 F09F9880 01 EFBFBF",
        Packet::Connect(odd),
    );
}

#[test]
fn what_a_version_cannot_say_is_not_written() {
    let refused = |packet: Packet, version| {
        let mut out = BytesMut::from("kept");
        let error = packet.encode(version, &mut out).expect_err("this version cannot say it");
        assert_eq!(out, "kept");
        error.to_string()
    };
    for version in [V3_1, V3_1_1] {
        assert_eq!(
            refused(Packet::Auth(Auth::new(ReasonCode::Success)), version),
            format!("MQTT {version} has no AUTH")
        );
        assert_eq!(
            refused(Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown)), version),
            format!("MQTT {version} has no DISCONNECT")
        );
        assert_eq!(
            refused(connack(ReasonCode::MalformedPacket, false, Properties::new()), version),
            format!("CONNACK of MQTT {version} has no return code for 0x81 Malformed Packet")
        );
    }
    let name = TopicName::literal("t");
    assert_eq!(
        refused(Packet::Publish(Publish::new(&name, "").at(Qos::AtLeastOnce, None)), V5_0),
        "PUBLISH with QoS above 0 has no packet identifier"
    );
    let password = connect(V5_0, |connect| connect.set_password(Some(Bytes::from(vec![0; 65_536]))));
    assert_eq!(refused(password, V5_0), "the password of 65536 bytes is longer than 65535");
    let identifier = Property::SubscriptionIdentifier(268_435_456);
    let publish = Publish::new(&name, "").with_properties(&Properties::new().with(identifier));
    assert_eq!(refused(Packet::Publish(publish), V5_0), "Subscription Identifier 268435456 is larger than 268435455");
    // 2 + 4096 * (2 + 65535 + 1) bytes; the filters share theirs.
    let filter = TopicFilter::try_from("x".repeat(65_535).as_str()).expect("a filter");
    let subscriptions = vec![Subscription::new(filter, Qos::AtMostOnce); 4096];
    assert_eq!(
        refused(Packet::Subscribe(Subscribe::new(id(1), subscriptions)), V3_1_1),
        "a packet of 268443655 bytes is longer than a frame can be"
    );
}
