//! What somebody says who never becomes a client: nothing, half a CONNECT, something else, or a CONNECT that cannot be let in.

use bytes::Bytes;
use squall_codec::version::Version;

/// A name that a client of the same storm has: nothing befalls that client.
const NAME: &str = "anna";

/// [MQTT-3.1.2-3]
const RESERVED: u8 = 0x01;
const CLEAN: u8 = 0x02;
const WILL: u8 = 0x04;
const PASSWORD: u8 = 0x40;

/// A string as it goes over the line.
fn text(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text").to_be_bytes();
    [&length, text].concat()
}

/// A packet: its first byte, and what comes behind its length.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).expect("a short packet");
    assert!(length < 0x80, "its length takes one byte");
    [&[first, length], body].concat()
}

/// A CONNECT with a Keep Alive of a minute.
struct Connect {
    first: u8,
    protocol: &'static str,
    level: u8,
    flags: u8,
    /// With their length; of 5.0 alone.
    properties: &'static [u8],
    name: Vec<u8>,
    /// Behind the name.
    behind: Vec<u8>,
}

impl Connect {
    /// As it may be.
    fn of(version: Version) -> Self {
        Connect {
            first: 0x10,
            protocol: if version == Version::V3_1 { "MQIsdp" } else { "MQTT" },
            level: version.level(),
            flags: CLEAN,
            properties: if version.has_properties() { b"\0" } else { b"" },
            name: NAME.as_bytes().to_vec(),
            behind: Vec::new(),
        }
    }

    /// With a will that everybody who has subscribed to it would notice.
    fn with_will(version: Version) -> Self {
        let properties: &[u8] = if version.has_properties() { b"\0" } else { b"" };
        let behind = [properties, &text(b"squall//a"), &text(b"of nobody")].concat();
        Connect { flags: CLEAN | WILL, behind, ..Connect::of(version) }
    }

    fn bytes(&self) -> Vec<u8> {
        let head = [&text(self.protocol.as_bytes())[..], &[self.level, self.flags], &[0, 60], self.properties].concat();
        packet(self.first, &[&head[..], &text(&self.name), &self.behind].concat())
    }
}

/// PUBLISH to a topic of the storm, whatever would be spoken: the 0 has no properties, or begins the payload.
fn publish() -> Vec<u8> {
    packet(0x30, &[&text(b"squall//a")[..], b"\0of nobody"].concat())
}

/// All that may be said, with what is wrong.
pub fn strangers() -> Vec<(&'static str, Bytes)> {
    let (v3_1, v3_1_1, v5_0) = (Version::V3_1, Version::V3_1_1, Version::V5_0);
    let whole = Connect::with_will(v3_1_1).bytes();
    let mut all: Vec<(&'static str, Vec<u8>)> = vec![
        ("nothing at all", Vec::new()),
        ("a first byte", whole[..1].to_vec()),
        ("the beginning of a CONNECT", whole[..9].to_vec()),
        ("a CONNECT without its last byte", whole[..whole.len() - 1].to_vec()),
        ("PUBLISH before CONNECT", [publish(), whole].concat()),
        ("PINGREQ before CONNECT", b"\xC0\x00".to_vec()),
        ("SUBSCRIBE before CONNECT", packet(0x82, &[&[0, 1][..], &text(b"#"), &[0]].concat())),
        ("DISCONNECT before CONNECT", b"\xE0\x00".to_vec()),
        ("AUTH before CONNECT", b"\xF0\x00".to_vec()),
        ("a packet of a server", b"\x20\x02\x00\x00".to_vec()),
        ("a packet without a kind", b"\x00\x00".to_vec()),
        ("a request of HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        ("a Remaining Length of five bytes", b"\x10\xFF\xFF\xFF\xFF\x01".to_vec()),
    ];
    let ill_formed = b"\xC3\x28".to_vec();
    let mut connects = vec![
        ("another protocol", Connect { protocol: "MQTX", ..Connect::with_will(v3_1_1) }),
        ("no protocol", Connect { protocol: "", ..Connect::with_will(v3_1_1) }),
        ("the name of 3.1 with the level of 3.1.1", Connect { protocol: "MQIsdp", ..Connect::with_will(v3_1_1) }),
        ("a level before the first", Connect { level: 2, ..Connect::with_will(v3_1_1) }),
        ("a level behind the last", Connect { level: 6, ..Connect::with_will(v5_0) }),
        ("no name, and a session to be kept", Connect { flags: 0, name: Vec::new(), ..Connect::of(v3_1_1) }),
        ("no name in 3.1", Connect { name: Vec::new(), ..Connect::of(v3_1) }),
        (
            "a name of 24 letters in 3.1",
            Connect { name: b"anna-anna-anna-anna-anna".to_vec(), ..Connect::with_will(v3_1) },
        ),
        (
            "a password without a user",
            Connect { flags: CLEAN | PASSWORD, behind: text(b"secret"), ..Connect::of(v3_1_1) },
        ),
        ("Receive Maximum 0", Connect { properties: b"\x03\x21\0\0", ..Connect::with_will(v5_0) }),
        ("a property twice", Connect { properties: b"\x06\x21\0\x01\x21\0\x01", ..Connect::with_will(v5_0) }),
        ("a property that CONNECT cannot have", Connect { properties: b"\x03\x23\0\x01", ..Connect::with_will(v5_0) }),
    ];
    for version in [v3_1_1, v5_0] {
        let of = || Connect::with_will(version);
        connects.extend([
            ("flags in the first byte", Connect { first: 0x11, ..of() }),
            ("the reserved flag", Connect { flags: CLEAN | WILL | RESERVED, ..of() }),
            ("a will of QoS 3", Connect { flags: CLEAN | WILL | 0x18, ..of() }),
            ("the QoS of a will, and no will", Connect { flags: CLEAN | 0x08, ..Connect::of(version) }),
            ("RETAIN of a will, and no will", Connect { flags: CLEAN | 0x20, ..Connect::of(version) }),
            ("a name that is no UTF-8", Connect { name: ill_formed.clone(), ..of() }),
            ("a name with the letter U+0000", Connect { name: b"an\0na".to_vec(), ..of() }),
            ("bytes behind the end", Connect { behind: [of().behind, b"!".to_vec()].concat(), ..of() }),
            ("a will without its message", Connect { behind: Vec::new(), ..of() }),
        ]);
    }
    // Nobody listens to what comes behind it.
    all.extend(connects.into_iter().map(|(what, connect)| (what, [connect.bytes(), publish()].concat())));
    all.into_iter().map(|(what, bytes)| (what, Bytes::from(bytes))).collect()
}
