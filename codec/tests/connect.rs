//! What is set in a CONNECT is what is read from it, and from the packet that comes out at the other end.

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Connect, Packet, PacketView, Will},
    property::{Properties, Property},
    qos::Qos,
    reason::Side,
    topic::TopicName,
    version::Version,
    wire::{Text, TextView},
};

/// The fields of a CONNECT by their values.
#[derive(Clone, Debug, Default, PartialEq)]
struct Said {
    client_id: Text,
    properties: Properties,
    will: Option<Will>,
    username: Option<Text>,
    password: Option<Bytes>,
}

impl Said {
    fn by(connect: &Connect) -> Self {
        Said {
            client_id: connect.client_id().to_text(),
            properties: connect.properties().to_owned(),
            will: connect.will().map(|will| will.to_owned()),
            username: connect.username().map(TextView::to_text),
            password: connect.password().map(Bytes::copy_from_slice),
        }
    }

    fn of_view(frame: &[u8]) -> Self {
        match PacketView::decode(Version::V3_1, Side::Client, frame) {
            Ok(PacketView::Connect(connect)) => Said {
                client_id: connect.client_id().to_text(),
                properties: connect.properties().to_owned(),
                will: connect.will().map(|will| will.to_owned()),
                username: connect.username().map(TextView::to_text),
                password: connect.password().map(Bytes::copy_from_slice),
            },
            other => panic!("{other:?}"),
        }
    }
}

fn will(version: Version, payload: &'static [u8]) -> Will {
    let properties = [Property::WillDelayInterval(30), Property::ContentType(Text::literal("text/plain"))];
    Will {
        qos: Qos::ExactlyOnce,
        retain: true,
        topic: TopicName::literal("t/é"),
        payload: Bytes::from_static(payload),
        properties: if version.has_properties() { properties.into_iter().collect() } else { Properties::new() },
    }
}

/// What was set is read, written, and read again.
fn check(connect: &Connect, said: &Said) {
    assert_eq!(Said::by(connect), *said);
    let (packet, mut frame) = (Packet::Connect(connect.clone()), BytesMut::new());
    packet.encode(connect.version(), &mut frame).expect("all of it fits");
    assert_eq!(frame.len(), packet.encoded_len(connect.version()));
    assert_eq!(Said::of_view(&frame), *said);
    match Packet::decode(Version::V3_1, Side::Client, frame.freeze()).expect("well-formed") {
        Packet::Connect(read) => {
            assert_eq!(Said::by(&read), *said);
            assert_eq!(read, *connect);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn each_field_is_set_beside_all_others() {
    for version in Version::ALL {
        let mut connect = Connect::new(version, Text::literal("alice"));
        connect.keep_alive = 60;
        connect.clean_start = false;
        let mut said = Said { client_id: Text::literal("alice"), ..Said::default() };
        check(&connect, &said);

        // First from nothing to something, then to something longer, shorter, and to nothing.
        for (text, payload) in [("u", "w"), ("user é", "a longer payload"), ("", "")] {
            said.username = Some(Text::literal(text));
            connect.set_username(said.username.clone());
            check(&connect, &said);
            said.will = Some(will(version, payload.as_bytes()));
            connect.set_will(said.will.clone());
            check(&connect, &said);
            said.password = Some(Bytes::from_static(payload.as_bytes()));
            connect.set_password(said.password.clone());
            check(&connect, &said);
            said.client_id = Text::new(format!("alice{text}")).expect("a string");
            connect.set_client_id(said.client_id.clone());
            check(&connect, &said);
            if version.has_properties() {
                said.properties =
                    said.properties.with(Property::UserProperty((said.client_id.clone(), Text::literal("x"))));
            }
            connect.set_properties(said.properties.clone());
            check(&connect, &said);
        }
        (said.will, said.properties) = (None, Properties::new());
        connect.set_will(None);
        connect.set_properties(Properties::new());
        check(&connect, &said);
        said.password = None;
        connect.set_password(None);
        check(&connect, &said);
        said.username = None;
        connect.set_username(None);
        check(&connect, &said);
    }
}

#[test]
fn a_will_is_changed_where_there_is_one() {
    let mut connect = Connect::new(Version::V5_0, Text::literal("alice"));
    connect.change_will(|_| panic!("there is none"));
    let connect = &mut connect.with_will(will(Version::V5_0, b"gone"));
    connect.change_will(|will| (will.qos, will.retain) = (Qos::AtMostOnce, false));
    let expected = Will { qos: Qos::AtMostOnce, retain: false, ..will(Version::V5_0, b"gone") };
    check(connect, &Said { client_id: Text::literal("alice"), will: Some(expected), ..Said::default() });
}

#[test]
fn properties_are_found_where_they_lie() {
    let pair = |value| Property::UserProperty((Text::literal("k"), Text::literal(value)));
    let mut connect = Connect::new(Version::V5_0, Text::literal(""))
        .with_properties([pair("1"), Property::ReceiveMaximum(7), pair("2")].into_iter().collect());
    connect.push_property(Property::AuthenticationMethod(Text::literal("é")));
    connect.push_property(Property::AuthenticationData(Bytes::from_static(b"data")));
    let properties = connect.properties();
    assert_eq!(properties.receive_maximum(), Some(7));
    assert_eq!(properties.session_expiry_interval(), None);
    assert_eq!(properties.authentication_method().as_deref(), Some("é"));
    assert_eq!(properties.authentication_data(), Some(&b"data"[..]));
    assert_eq!(properties.user_properties().collect::<Vec<_>>(), [("k", "1"), ("k", "2")]);
}

/// What `encode` has against it.
fn refusal(connect: &Connect) -> Option<String> {
    let packet = Packet::Connect(connect.clone());
    packet.encode(connect.version(), &mut BytesMut::new()).err().map(|error| error.to_string())
}

#[test]
fn what_is_too_long_is_refused_until_it_is_set_again() {
    let long = || Bytes::from(vec![0; 65_536]);
    let mut connect = Connect::new(Version::V5_0, Text::literal("alice"));
    connect.set_will(Some(Will { payload: long(), ..will(Version::V5_0, b"") }));
    assert_eq!(refusal(&connect).as_deref(), Some("the will payload of 65536 bytes is longer than 65535"));
    connect.set_password(Some(long()));
    connect.set_will(Some(will(Version::V5_0, b"gone")));
    assert_eq!(refusal(&connect).as_deref(), Some("the password of 65536 bytes is longer than 65535"));
    connect.set_password(Some(long().slice(1..)));
    assert_eq!(refusal(&connect), None);
    connect.push_property(Property::AuthenticationData(long()));
    assert_eq!(refusal(&connect).as_deref(), Some("Authentication Data of 65536 bytes is longer than 65535"));
    connect.set_properties(Properties::new());
    assert_eq!(refusal(&connect), None);
    let properties = Properties::new().with(Property::CorrelationData(long()));
    connect.set_will(Some(Will { properties, ..will(Version::V5_0, b"") }));
    assert_eq!(refusal(&connect).as_deref(), Some("Correlation Data of 65536 bytes is longer than 65535"));
    connect.set_will(None);
    assert_eq!(refusal(&connect), None);
}
