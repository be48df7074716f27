//! What the fuzz targets demand of any input. Each is a function, so that the corpora replay without a fuzzer.

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};

use crate::{
    error::DecodeError,
    generate::arbitrary_packet,
    packet::{Packet, PacketView},
    reason::Side,
    stream::Decoder,
    topic::{self, TopicFilter, TopicName},
    version::Version,
};

const MAXIMUM_PACKET_SIZE: u32 = 1 << 20;

/// A stream of bytes, its first two a choice of decoder and of a split. No input panics; the split does not matter;
/// what is taken can be written and read again.
///
/// # Panics
/// When one of these does not hold.
pub fn decode(data: &[u8]) {
    let [choice, split, stream @ ..] = data else { return };
    let (version, sender) = match choice % 7 {
        0 => (None, Side::Client),
        n @ 1..=3 => (Some(Version::ALL[usize::from(n) - 1]), Side::Client),
        n => (Some(Version::ALL[usize::from(n) - 4]), Side::Server),
    };
    let whole = packets(version, sender, &[stream]);
    let (head, tail) = stream.split_at(usize::from(*split).min(stream.len()));
    let mut parts = vec![head];
    parts.extend(tail.chunks(3));
    assert_eq!(views(version, sender, &parts), whole, "a view says something else than the packet");
    let parts = packets(version, sender, &parts);
    assert_eq!(whole, parts, "a split changed what was read");
    for (version, packet) in whole.0 {
        rewrite(&packet, version, sender);
    }
}

/// Packets with their version as they come out of the parts, and what ended them.
fn packets(version: Option<Version>, sender: Side, parts: &[&[u8]]) -> (Vec<(Version, Packet)>, Option<DecodeError>) {
    let mut decoder = Decoder::new(sender, version, MAXIMUM_PACKET_SIZE);
    let mut packets = Vec::new();
    for part in parts {
        decoder.extend(part);
        loop {
            match decoder.next_packet() {
                Ok(Some(packet)) => packets.push((decoder.version().expect("known after CONNECT"), packet)),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
        assert!(decoder.pending_bytes() <= MAXIMUM_PACKET_SIZE as usize, "more than one frame is kept");
    }
    (packets, None)
}

/// The same by views.
fn views(version: Option<Version>, sender: Side, parts: &[&[u8]]) -> (Vec<(Version, Packet)>, Option<DecodeError>) {
    let mut decoder = Decoder::new(sender, version, MAXIMUM_PACKET_SIZE);
    let mut packets = Vec::new();
    for part in parts {
        decoder.extend_shared(Bytes::copy_from_slice(part));
        loop {
            match decoder.next_view().map(|view| view.map(|view| view.to_owned())) {
                Ok(Some(packet)) => packets.push((decoder.version().expect("known after CONNECT"), packet)),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.pending_bytes(), 0, "nothing is kept after an error");
                    return (packets, Some(error));
                }
            }
        }
    }
    (packets, None)
}

/// An arbitrary packet of every version and side: decode undoes encode, and the length is foretold.
///
/// # Panics
/// When it does not hold.
pub fn round_trip(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(version) = Version::arbitrary(&mut u) else { return };
    let sender = if u.arbitrary().unwrap_or(false) { Side::Server } else { Side::Client };
    if let Ok(packet) = arbitrary_packet(&mut u, version, sender) {
        rewrite(&packet, version, sender);
    }
}

fn rewrite(packet: &Packet, version: Version, sender: Side) {
    // A CONNECT is written in the version that it asks for.
    let mut out = BytesMut::from("before");
    packet.encode(version, &mut out).unwrap_or_else(|error| panic!("{packet} in {version}: {error}"));
    let frame = out.split_off("before".len()).freeze();
    assert_eq!(out, "before", "what stood there before is untouched");
    assert_eq!(frame.len(), packet.encoded_len(version), "{packet} in {version} has another length");
    let again = Packet::decode(version, sender, frame.clone());
    assert_eq!(again.as_ref(), Ok(packet), "{packet} in {version} reads back as something else: {frame:02X?}");
    let view = PacketView::decode(version, sender, &frame).map(|view| view.to_owned());
    assert_eq!(view.as_ref(), Ok(packet), "{packet} in {version} looks like something else: {frame:02X?}");
    if let Packet::Publish(publish) = packet {
        let detached = publish.detached();
        assert_eq!(&detached, publish);
        assert_eq!(detached.size_bytes(), publish.size_bytes());
        assert_eq!(detached.properties(), publish.properties());
    }
}

/// A filter and a name, parted by a line feed: matching agrees with the definition of section 4.7, and what is not
/// a filter is refused.
///
/// # Panics
/// When it does not hold.
pub fn topic_match(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((filter, name)) = text.split_once('\n') else { return };
    let levels: Vec<_> = filter.split('/').collect();
    let valid = !filter.is_empty()
        && levels.iter().all(|level| !level.contains('+') || level.len() == 1)
        && levels.iter().enumerate().all(|(n, level)| !level.contains('#') || *level == "#" && n + 1 == levels.len())
        && !filter.contains('\0')
        && filter.len() <= usize::from(u16::MAX);
    let parsed = crate::wire::Text::new(filter).map_err(Into::into).and_then(TopicFilter::unshared);
    assert_eq!(parsed.is_ok(), valid, "{filter:?} is {parsed:?}");
    if let Ok(shared) = TopicFilter::try_from(filter) {
        assert_eq!(shared.share_name().is_some(), filter.starts_with("$share/"));
        let prefix = shared.share_name().map_or(String::new(), |share_name| format!("$share/{share_name}/"));
        assert_eq!(format!("{prefix}{}", shared.filter()), filter);
    }
    if let (true, Ok(name)) = (valid, TopicName::try_from(name)) {
        let expected = defined(&levels, &name.as_str().split('/').collect::<Vec<_>>())
            && !(name.as_str().starts_with('$') && matches!(levels[0], "+" | "#"));
        assert_eq!(topic::matches(filter, name.as_str()), expected, "{filter:?} against {name:?}");
    }
}

/// Section 4.7 without the rule on `$`, level by level.
fn defined(filter: &[&str], name: &[&str]) -> bool {
    match (filter, name) {
        ([], []) | (["#"], _) => true,
        ([one, filter @ ..], [level, name @ ..]) => (*one == "+" || one == level) && defined(filter, name),
        _ => false,
    }
}
