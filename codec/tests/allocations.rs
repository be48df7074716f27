//! Decoding a PUBLISH or a CONNECT allocates nothing: it shares the frame.

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Ack, Connect, Packet, PacketView, Publish, Subscribe, Subscription, Will},
    property::{Properties, Property},
    qos::Qos,
    reason::Side,
    stream::Decoder,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

fn publish() -> Publish {
    let properties = Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::MessageExpiryInterval(60))
        .with(Property::ContentType(Text::literal("text/plain")))
        .with(Property::ResponseTopic(Text::literal("answers/é")))
        .with(Property::CorrelationData(Bytes::from_static(b"7")))
        .with(Property::UserProperty((Text::literal("k"), Text::literal("v"))))
        .with(Property::TopicAlias(3));
    Publish::new(&TopicName::literal("t/é"), [0; 1000])
        .with_properties(&properties)
        .at(Qos::ExactlyOnce, Some(PacketId::MIN))
}

fn frame(packet: &Packet, version: Version) -> Bytes {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("a packet of this version");
    let frame = out.freeze();
    // The first clone of what was a `BytesMut` makes it shared: the stream's decoder has done that by splitting.
    drop(frame.clone());
    frame
}

fn connect(version: Version) -> Connect {
    let mut connect = Connect::new(version, Text::literal("alice"));
    connect.set_username(Some(Text::literal("é")));
    connect.set_password(Some(Bytes::from_static(b"secret")));
    connect.set_properties(Properties::new().with(Property::ReceiveMaximum(5)));
    connect.set_will(Some(Will {
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: TopicName::literal("t/é"),
        payload: Bytes::from_static(b"gone"),
        properties: Properties::new().with(Property::WillDelayInterval(30)),
    }));
    connect
}

#[test]
fn decoding_a_publish_or_connect_allocates_nothing() {
    for version in Version::ALL {
        for packet in [Packet::Publish(publish()), Packet::Connect(connect(version))] {
            let frame = frame(&packet, version);
            let mut decoded = None;
            let found = measure(|| decoded = Some(Packet::decode(version, Side::Client, frame.clone())));
            assert_eq!(decoded.map(|decoded| decoded.map(|decoded| decoded.kind())), Some(Ok(packet.kind())));
            assert_eq!(found.count_total, 0, "{} allocations for {packet} in {version}", found.count_total);
        }
    }
}

#[test]
fn looking_at_a_packet_where_it_lies_allocates_nothing() {
    let filter = Subscription::new(TopicFilter::literal("t/+/é"), Qos::AtLeastOnce);
    let packets = [
        Packet::Publish(publish()),
        Packet::Connect(connect(Version::V5_0)),
        Packet::Subscribe(Subscribe::new(PacketId::MIN, vec![filter.clone(), filter])),
        Packet::Puback(Ack::new(PacketId::MIN)),
    ];
    for packet in packets {
        let frame = frame(&packet, Version::V5_0);
        let found = measure(|| match PacketView::decode(Version::V5_0, Side::Client, &frame).expect("well-formed") {
            PacketView::Publish(publish) => {
                assert_eq!(publish.topic(), "t/é");
                assert_eq!(publish.properties().iter().count(), 7);
            }
            PacketView::Connect(connect) => assert_eq!(connect.client_id().as_str(), "alice"),
            PacketView::Subscribe(subscribe) => assert_eq!(subscribe.subscriptions().count(), 2),
            other => assert!(matches!(other, PacketView::Other(Packet::Puback(_)))),
        });
        assert_eq!(found.count_total, 0, "{} allocations for {packet}", found.count_total);
    }
}

/// How many packets come out of bytes that come in pieces of this size.
fn decode_in_pieces(decoder: &mut Decoder, bytes: &[u8], size: usize) -> usize {
    let mut count = 0;
    for piece in bytes.chunks(size) {
        decoder.extend(piece);
        while decoder.next_packet().expect("well-formed").is_some() {
            count += 1;
        }
    }
    count
}

#[test]
fn a_stream_in_pieces_is_read_into_the_same_buffer_again() {
    let bytes = frame(&Packet::Publish(Publish::new(&TopicName::literal("t/é"), [0; 100])), Version::V5_0).repeat(1000);
    for (size, most) in [(1460, bytes.len() / 1460), (64, 80)] {
        let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 1000);
        let found = measure(|| assert_eq!(decode_in_pieces(&mut decoder, &bytes, size), 1000));
        assert!(found.count_total <= most as u64 + 4, "{} allocations in pieces of {size}", found.count_total);
    }
}

#[test]
fn the_beginning_of_a_frame_keeps_no_large_buffer() {
    let packets = frame(&Packet::Publish(publish()), Version::V5_0).repeat(100);
    let bytes = [&packets[..], &packets[..10]].concat();
    for size in [bytes.len(), 5000, 1460] {
        let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 2000);
        let found = measure(|| assert_eq!(decode_in_pieces(&mut decoder, &bytes, size), 100));
        assert_eq!(decoder.pending_bytes(), 10);
        assert!(found.bytes_current < 10_000, "{} bytes after pieces of {size}", found.bytes_current);
    }
}

#[test]
fn encoding_into_a_buffer_with_room_allocates_nothing() {
    let packet = Packet::Publish(publish());
    let mut out = BytesMut::with_capacity(2000);
    let found = measure(|| packet.encode(Version::V5_0, &mut out).expect("5.0 has PUBLISH"));
    assert_eq!(found.count_total, 0);
    assert_eq!(out.len(), packet.encoded_len(Version::V5_0));
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(publish())).count_total > 0);
}
