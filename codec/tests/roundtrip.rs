//! For all packets and all bytes: what is written reads back the same, and no input does harm.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use squall_codec::{
    fuzzing,
    generate::arbitrary_packet,
    packet::{Ack, Packet, PacketKind},
    property::{Place, Properties, PropertyId},
    reason::{ReasonCode, Side},
    stream::Decoder,
    version::Version,
};

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(&Version::ALL[..])
}

fn sender() -> impl Strategy<Value = Side> {
    prop::sample::select(&[Side::Client, Side::Server][..])
}

/// A handful of packets of one side, and their bytes one after the other.
fn packets(choices: &[Vec<u8>], version: Version, sender: Side) -> (Vec<Packet>, Bytes) {
    let mut bytes = BytesMut::new();
    let mut packets = Vec::new();
    for choices in choices {
        let packet = arbitrary_packet(&mut arbitrary::Unstructured::new(choices), version, sender);
        let packet = packet.expect("an exhausted source gives smaller packets");
        packet.encode(version, &mut bytes).expect("an arbitrary packet can be written");
        packets.push(packet);
    }
    (packets, bytes.freeze())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn decode_undoes_encode(choices in vec(any::<u8>(), 0..600)) {
        fuzzing::round_trip(&choices);
    }

    #[test]
    fn any_bytes_are_refused_or_read_back_the_same(bytes in vec(any::<u8>(), 0..200)) {
        fuzzing::decode(&bytes);
    }

    #[test]
    fn a_changed_byte_is_refused_or_reads_back_the_same(
        version in version(), sender in sender(),
        choices in vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(), byte in any::<u8>(), split in any::<u8>(),
    ) {
        let (_, bytes) = packets(&[choices], version, sender);
        let mut bytes = bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let choice = Version::ALL.iter().position(|one| *one == version).expect("one of them") as u8
            + if sender == Side::Client { 1 } else { 4 };
        fuzzing::decode(&[&[choice, split], &bytes[..]].concat());
    }

    #[test]
    fn any_split_of_the_stream_gives_the_same_packets(
        version in version(), sender in sender(),
        choices in vec(vec(any::<u8>(), 0..200), 1..5),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (expected, bytes) = packets(&choices, version, sender);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let mut decoder = Decoder::new(sender, Some(version), u32::MAX);
        let mut packets = Vec::new();
        for part in cuts.windows(2) {
            decoder.extend(&bytes[part[0]..part[1]]);
            while let Some(packet) = decoder.next_packet().expect("well-formed") {
                packets.push(packet);
            }
        }
        prop_assert_eq!(packets, expected);
        prop_assert_eq!(decoder.pending_bytes(), 0);
    }

    #[test]
    fn a_cut_packet_waits_for_the_rest(version in version(), sender in sender(), choices in vec(any::<u8>(), 0..200)) {
        let (_, bytes) = packets(&[choices], version, sender);
        let mut decoder = Decoder::new(sender, Some(version), u32::MAX);
        for byte in &bytes[..bytes.len() - 1] {
            decoder.extend(&[*byte]);
            prop_assert_eq!(decoder.next_packet(), Ok(None));
        }
    }

    #[test]
    fn topics_match_as_defined(filter in "[ab/+#$]{0,8}", name in "[ab/$]{0,8}") {
        fuzzing::topic_match(format!("{filter}\n{name}").as_bytes());
    }
}

/// The properties above speak of what the generator reaches: every packet, every property in every place, every code.
#[test]
fn arbitrary_packets_reach_everything() {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let mut seen = BTreeSet::new();
    let mut codes = BTreeSet::new();
    for version in Version::ALL {
        for sender in [Side::Client, Side::Server] {
            for _ in 0..3000 {
                let choices: Vec<u8> = (0..400).map(|_| random()).collect();
                let packet = arbitrary_packet(&mut arbitrary::Unstructured::new(&choices), version, sender);
                let packet = packet.expect("an exhausted source gives smaller packets");
                note(&packet, version, sender, &mut seen, &mut codes);
            }
        }
    }
    for version in Version::ALL {
        for kind in PacketKind::ALL {
            for sender in [Side::Client, Side::Server] {
                let exists = PacketKind::from_number(version, kind.number()).is_some() && kind.sent_by(version, sender);
                let found = seen.contains(&format!("{version} {kind} {sender}"));
                assert_eq!(found, exists, "{kind} of a {sender} in {version}");
            }
        }
    }
    for kind in PacketKind::ALL {
        for reason in ReasonCode::ALL {
            for sender in [Side::Client, Side::Server] {
                let allowed = reason.allowed_in(*kind, sender);
                let found = codes.contains(&(*kind, sender, *reason));
                assert_eq!(found, allowed, "{reason} in {kind} from a {sender}");
            }
        }
    }
    let places = [
        Place::Connect,
        Place::Will,
        Place::Connack,
        Place::Publish,
        Place::Puback,
        Place::Pubrec,
        Place::Pubrel,
        Place::Pubcomp,
        Place::Subscribe,
        Place::Suback,
        Place::Unsubscribe,
        Place::Unsuback,
        Place::Disconnect,
        Place::Auth,
    ];
    for place in places {
        for id in PropertyId::ALL {
            assert_eq!(seen.contains(&format!("{id} in {place}")), id.allowed_in(place), "{id} in {place}");
        }
    }
}

/// Writes down what this packet is and holds.
fn note(
    packet: &Packet,
    version: Version,
    sender: Side,
    seen: &mut BTreeSet<String>,
    codes: &mut BTreeSet<(PacketKind, Side, ReasonCode)>,
) {
    let kind = packet.kind();
    seen.insert(format!("{version} {kind} {sender}"));
    let mut properties = |place: Place, properties: &Properties| {
        for property in properties.iter() {
            assert_eq!(version, Version::V5_0);
            seen.insert(format!("{} in {place}", property.id()));
        }
    };
    let mut code = |reason: ReasonCode| {
        if version == Version::V5_0 {
            codes.insert((kind, sender, reason));
        }
    };
    let mut ack = |place, ack: &Ack| {
        properties(place, &ack.properties);
        code(ack.reason);
    };
    match packet {
        Packet::Connect(connect) => {
            properties(Place::Connect, &connect.properties().to_owned());
            if let Some(will) = connect.will() {
                properties(Place::Will, &will.properties.to_owned());
            }
        }
        Packet::Connack(connack) => {
            properties(Place::Connack, &connack.properties);
            code(connack.reason);
        }
        Packet::Publish(publish) => properties(Place::Publish, &publish.properties()),
        Packet::Puback(packet) => ack(Place::Puback, packet),
        Packet::Pubrec(packet) => ack(Place::Pubrec, packet),
        Packet::Pubrel(packet) => ack(Place::Pubrel, packet),
        Packet::Pubcomp(packet) => ack(Place::Pubcomp, packet),
        Packet::Subscribe(subscribe) => properties(Place::Subscribe, &subscribe.properties),
        Packet::Suback(suback) => {
            properties(Place::Suback, &suback.properties);
            suback.reasons.iter().for_each(|reason| code(*reason));
        }
        Packet::Unsubscribe(unsubscribe) => properties(Place::Unsubscribe, &unsubscribe.properties),
        Packet::Unsuback(unsuback) => {
            properties(Place::Unsuback, &unsuback.properties);
            unsuback.reasons.iter().for_each(|reason| code(*reason));
        }
        Packet::Pingreq | Packet::Pingresp => {}
        Packet::Disconnect(disconnect) => {
            properties(Place::Disconnect, &disconnect.properties);
            code(disconnect.reason);
        }
        Packet::Auth(auth) => {
            properties(Place::Auth, &auth.properties);
            code(auth.reason);
        }
    }
}
