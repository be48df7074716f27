//! The decoder over a stream: limits, refusals from the first byte, what it keeps.

use bytes::{Buf, Bytes, BytesMut};
use squall_codec::{
    error::DecodeError,
    packet::{Ack, Connect, Packet, PacketView, Publish},
    property::{Properties, Property, PropertyId, ValueView},
    reason::Side,
    stream::Decoder,
    topic::TopicName,
    version::Version,
    wire::{PacketId, Text},
};

fn encoded(packet: &Packet, version: Version) -> BytesMut {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("a packet of this version");
    assert_eq!(out.len(), packet.encoded_len(version));
    out
}

fn publish() -> Packet {
    Packet::Publish(Publish::new(&TopicName::literal("t/1"), "hello"))
}

#[test]
fn a_server_learns_the_version_from_connect() {
    for version in Version::ALL {
        let connect = Packet::Connect(Connect::new(version, Text::literal("alice")));
        let mut decoder = Decoder::new(Side::Client, None, 1000);
        decoder.extend(&encoded(&connect, version));
        decoder.extend(&encoded(&publish(), version));
        decoder.extend(&[0xC0]);
        assert_eq!(decoder.version(), None);
        assert_eq!(decoder.next_packet(), Ok(Some(connect)));
        assert_eq!(decoder.version(), Some(version));
        assert_eq!(decoder.next_packet(), Ok(Some(publish())));
        assert_eq!(decoder.next_packet(), Ok(None));
        assert_eq!(decoder.pending_bytes(), 1);
        decoder.extend(&[0x00]);
        assert_eq!(decoder.next_packet(), Ok(Some(Packet::Pingreq)));
        assert_eq!(decoder.pending_bytes(), 0);
    }
}

#[test]
fn the_version_of_a_refused_connect_is_known() {
    // 3.1.1, an empty Client Identifier with Clean Session 0.
    let mut decoder = Decoder::new(Side::Client, None, 1000);
    decoder.extend(&[0x10, 0x0C, 0, 4, b'M', b'Q', b'T', b'T', 4, 0, 0, 60, 0, 0]);
    assert_eq!(decoder.next_packet(), Err(DecodeError::EmptyClientId));
    assert_eq!(decoder.version(), Some(Version::V3_1_1));
}

#[test]
fn what_is_not_connect_is_refused_from_its_first_byte() {
    let mut decoder = Decoder::new(Side::Client, None, 1000);
    decoder.extend(&[0x30]);
    assert_eq!(decoder.next_packet(), Err(DecodeError::NotConnect { number: 3 }));
}

#[test]
fn a_second_connect_is_a_packet_like_any_other() {
    let connect = Packet::Connect(Connect::new(Version::V5_0, Text::literal("alice")));
    let mut decoder = Decoder::new(Side::Client, None, 1000);
    decoder.extend(&encoded(&connect, Version::V5_0));
    decoder.extend(&encoded(&connect, Version::V5_0));
    assert_eq!(decoder.next_packet(), Ok(Some(connect.clone())));
    assert_eq!(decoder.next_packet(), Ok(Some(connect)));
}

#[test]
fn a_frame_beyond_the_limit_is_refused_from_its_header() {
    let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 100);
    decoder.extend(&[0x30, 98]);
    assert_eq!(decoder.next_packet(), Ok(None), "2 + 98 bytes are within the limit");
    let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 100);
    decoder.extend(&[0x30, 99]);
    let error = DecodeError::PacketTooLarge { size: 101, limit: 100, sender: Side::Client };
    assert_eq!(decoder.next_packet(), Err(error.clone()));
    decoder.extend(&[0xC0, 0x00]);
    assert_eq!(decoder.next_packet(), Err(error), "after an error nothing more comes");
    assert_eq!(decoder.pending_bytes(), 0, "and nothing is kept");
}

#[test]
fn a_wrong_first_byte_is_refused_before_the_frame_is_there() {
    for (version, first) in
        [(Version::V5_0, 0x00), (Version::V3_1_1, 0xF0), (Version::V3_1_1, 0x80), (Version::V5_0, 0x38)]
    {
        let mut decoder = Decoder::new(Side::Client, Some(version), 100);
        decoder.extend(&[first]);
        assert!(decoder.next_packet().is_err(), "{first:#04x} was taken in {version}");
    }
    let mut decoder = Decoder::new(Side::Client, Some(Version::V3_1), 100);
    decoder.extend(&[0x8A]);
    assert_eq!(decoder.next_packet(), Ok(None), "3.1 has DUP on SUBSCRIBE");
}

#[test]
fn every_split_gives_the_same_packets() {
    let mut bytes = encoded(&publish(), Version::V3_1_1);
    bytes.extend_from_slice(&[0xC0, 0x00]);
    bytes.extend_from_slice(&encoded(&publish(), Version::V3_1_1));
    for first in 0..bytes.len() {
        for second in first..bytes.len() {
            let mut decoder = Decoder::new(Side::Client, Some(Version::V3_1_1), 100);
            let mut packets = Vec::new();
            for part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                decoder.extend(part);
                while let Some(packet) = decoder.next_packet().expect("well-formed") {
                    packets.push(packet);
                }
            }
            assert_eq!(packets, [publish(), Packet::Pingreq, publish()]);
        }
    }
}

/// In pieces of every size, while some packets are kept and others let go, by copies and by what can be shared.
#[test]
fn what_is_kept_is_not_written_over() {
    let sent = (0..120_usize)
        .map(|n| match n % 7 {
            3 => Packet::Pingreq,
            5 => Packet::Puback(Ack::new(PacketId::MIN)),
            _ => Packet::Publish(Publish::new(&TopicName::literal("t/1"), vec![n as u8; n * n % 311])),
        })
        .collect::<Vec<_>>();
    let bytes = sent.iter().flat_map(|packet| encoded(packet, Version::V5_0)).collect::<Vec<_>>();
    for size in (1..400).chain([1460, 6000, bytes.len()]) {
        for kept_of_three in 0..=3 {
            let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 1000);
            let mut next = sent.iter().enumerate();
            let mut kept = Vec::new();
            for (n, piece) in bytes.chunks(size).enumerate() {
                match n % 4 {
                    3 => decoder.extend_shared(Bytes::copy_from_slice(piece)),
                    _ => decoder.extend(piece),
                }
                while let Some(packet) = decoder.next_packet().expect("well-formed") {
                    let (n, sent) = next.next().expect("as many as were sent");
                    assert_eq!(packet, *sent, "packet {n} in pieces of {size}");
                    if n % 3 < kept_of_three {
                        kept.push((packet, sent));
                    }
                }
                let due = next.clone().next().map_or(1, |(_, packet)| packet.encoded_len(Version::V5_0));
                assert!(decoder.pending_bytes() < due, "a whole frame waits in pieces of {size}");
            }
            assert_eq!(next.next(), None, "in pieces of {size}");
            assert!(kept.iter().all(|(packet, sent)| packet == *sent), "in pieces of {size}");
        }
    }
}

#[test]
fn a_publish_of_5_0_keeps_what_is_forwarded_and_parts_what_belongs_to_the_hop() {
    // Content Type, Topic Alias, User Property, Message Expiry Interval, Correlation Data.
    let frame = Bytes::from_static(
        b"\x32\x28\x00\x03t/1\x00\x07\x1B\x03\x00\x01x\x23\x00\x05\x26\x00\x01k\x00\x01v\x02\x00\x00\x00\x09\x09\x00\x05\x01\x02\x03\x04\x05hello",
    );
    let Ok(Packet::Publish(publish)) = Packet::decode(Version::V5_0, Side::Client, frame.clone()) else {
        panic!("no PUBLISH: {:?}", Packet::decode(Version::V5_0, Side::Client, frame))
    };
    assert_eq!((publish.topic(), publish.payload()), ("t/1", &b"hello"[..]));
    assert_eq!((publish.topic_alias, publish.message_expiry_interval), (Some(5), Some(9)));
    assert_eq!(publish.forwarded_properties().len(), 3);
    assert_eq!(publish.properties().len(), 5);
    let detached = publish.detached();
    assert_eq!(detached, publish);
    let again = encoded(&Packet::Publish(publish.clone()), Version::V5_0).freeze();
    assert_eq!(Packet::decode(Version::V5_0, Side::Client, again), Ok(Packet::Publish(publish.clone())));
    let plain = encoded(&Packet::Publish(publish.clone()), Version::V3_1_1);
    assert_eq!(plain[..], b"\x32\x0C\x00\x03t/1\x00\x07hello"[..]);
    let rebuilt = Publish::new(&TopicName::literal("t/1"), "hello")
        .with_properties(&publish.properties())
        .at(publish.qos, publish.packet_id);
    assert_eq!(rebuilt, publish);
}

/// What was needed for one packet is no measure for the next, which may be shorter.
#[test]
fn a_short_packet_behind_one_that_came_in_pieces_is_seen() {
    for version in [Version::V3_1_1, Version::V5_0] {
        for first in [Packet::Puback(Ack::new(PacketId::MIN)), publish()] {
            let first_bytes = encoded(&first, version);
            for cut in 1..first_bytes.len() {
                let mut decoder = Decoder::new(Side::Client, Some(version), 10_000);
                decoder.extend(&first_bytes[..cut]);
                assert_eq!(decoder.next_packet(), Ok(None));
                decoder.extend(&first_bytes[cut..]);
                decoder.extend(&[0xC0, 0]);
                assert_eq!(decoder.next_packet(), Ok(Some(first.clone())), "cut at {cut}");
                assert_eq!(decoder.next_packet(), Ok(Some(Packet::Pingreq)), "cut at {cut}");
                assert_eq!(decoder.next_packet(), Ok(None));
            }
        }
    }
}

#[test]
fn bytes_that_are_shared_are_not_copied() {
    let packets = encoded(&publish(), Version::V5_0).repeat(3);
    let shared = Bytes::from([&packets[..], &[0x30]].concat());
    let lies_within = |part: &[u8]| shared.as_ptr_range().contains(&part.as_ptr());
    let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 1000);
    decoder.extend_shared(shared.clone());
    let frame = decoder.next_frame().expect("well-formed").expect("whole");
    assert!(lies_within(&frame));
    let Ok(Some(Packet::Publish(publish))) = decoder.next_packet() else { panic!("no PUBLISH") };
    assert!(lies_within(publish.payload()));
    let Ok(Some(PacketView::Publish(publish))) = decoder.next_view() else { panic!("no PUBLISH") };
    assert!(lies_within(publish.payload()));
    assert_eq!(decoder.next_packet(), Ok(None));
    assert_eq!(decoder.pending_bytes(), 1);
    decoder.extend_shared(Bytes::from(packets[1..packets.len() / 3].to_vec()));
    assert_eq!(decoder.next_packet(), Ok(Some(self::publish())), "what had begun goes on");
}

/// Packets and views in turn, over bytes that come in any three parts.
#[test]
fn a_view_is_done_with_when_the_decoder_is_used_again() {
    let bytes = encoded(&publish(), Version::V5_0).repeat(4);
    for first in 0..bytes.len() {
        for second in first..bytes.len() {
            let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 100);
            let mut packets = Vec::new();
            for part in [&bytes[..first], &bytes[first..second], &bytes[second..]] {
                decoder.extend(part);
                loop {
                    let before = decoder.pending_bytes();
                    let next = match packets.len() % 2 {
                        0 => decoder.next_view().map(|view| view.map(|view| view.to_owned())),
                        _ => decoder.next_packet(),
                    };
                    let Some(packet) = next.expect("well-formed") else { break };
                    packets.push(packet);
                    assert_eq!(decoder.pending_bytes(), before - bytes.len() / 4);
                }
            }
            assert_eq!(packets, [publish(), publish(), publish(), publish()]);
            assert_eq!(decoder.pending_bytes(), 0);
        }
    }
}

/// The properties of a PUBLISH are read where they lie, and say what their copies say.
#[test]
fn properties_are_read_without_a_copy() {
    let properties = Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::MessageExpiryInterval(60))
        .with(Property::ContentType(Text::literal("text/plain")))
        .with(Property::CorrelationData(Bytes::from_static(b"7")))
        .with(Property::SubscriptionIdentifier(5))
        .with(Property::UserProperty((Text::literal("k"), Text::literal("é"))))
        .with(Property::TopicAlias(3));
    let publish = Publish::new(&TopicName::literal("t/1"), "hello").with_properties(&properties);
    let frame = encoded(&Packet::Publish(publish.clone()), Version::V5_0);
    let Ok(PacketView::Publish(view)) = PacketView::decode(Version::V5_0, Side::Server, &frame) else {
        panic!("no PUBLISH")
    };
    let forwarded = [
        (PropertyId::PayloadFormatIndicator, ValueView::Byte(1)),
        (PropertyId::ContentType, ValueView::Text("text/plain")),
        (PropertyId::CorrelationData, ValueView::Binary(b"7")),
        (PropertyId::UserProperty, ValueView::Pair("k", "é")),
    ];
    let of_the_hop = [
        (PropertyId::TopicAlias, ValueView::Two(3)),
        (PropertyId::MessageExpiryInterval, ValueView::Four(60)),
        (PropertyId::SubscriptionIdentifier, ValueView::Variable(5)),
    ];
    assert_eq!(view.properties().iter().collect::<Vec<_>>(), [&forwarded[..], &of_the_hop].concat());
    assert_eq!(view.to_owned().forwarded_views().collect::<Vec<_>>(), forwarded);
    assert_eq!(view.to_owned(), publish);
}

/// Whether all came together or a frame in two parts, and whoever looked: what is done with is let go.
#[test]
fn an_idle_decoder_keeps_no_buffer_alive() {
    let packets = encoded(&publish(), Version::V5_0).repeat(3);
    for as_views in [false, true] {
        for rest in 0..packets.len() / 3 {
            let shared = Bytes::from(packets.clone());
            let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 1000);
            decoder.extend_shared(shared.slice(..packets.len() - rest));
            let drain = |decoder: &mut Decoder| {
                let mut count = 0;
                while match as_views {
                    true => decoder.next_view().expect("well-formed").is_some(),
                    false => decoder.next_packet().expect("well-formed").is_some(),
                } {
                    count += 1;
                }
                count
            };
            assert_eq!(drain(&mut decoder), if rest == 0 { 3 } else { 2 });
            assert!(shared.is_unique(), "{rest} bytes are still to come");
            assert_eq!(decoder.pending_bytes(), if rest == 0 { 0 } else { packets.len() / 3 - rest });
            decoder.extend(&packets[packets.len() - rest..]);
            assert_eq!(drain(&mut decoder), usize::from(rest > 0));
            assert_eq!(decoder.pending_bytes(), 0);
        }
    }
}

#[test]
fn no_bytes_keep_no_buffer_alive() {
    let shared = Bytes::from(encoded(&publish(), Version::V5_0).to_vec());
    let mut nothing = shared.clone();
    nothing.advance(shared.len());
    let mut decoder = Decoder::new(Side::Client, Some(Version::V5_0), 1000);
    decoder.extend_shared(nothing);
    assert_eq!(decoder.next_packet(), Ok(None));
    assert!(shared.is_unique());
}
