//! Frames by hand: what the codec refuses to write.

use squall_codec::version::Version;
use squall_scenarios::stage::Stage;

use crate::tests::asking::{frame, string};

/// A Variable Byte Integer.
pub(crate) fn variable(mut value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7F {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// A block of properties with its length; nothing before 5.0.
pub(crate) fn properties(version: Version, content: &[u8]) -> Vec<u8> {
    if version.has_properties() { [variable(content.len()), content.to_vec()].concat() } else { Vec::new() }
}

/// A User Property.
pub(crate) fn user_property(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0x26], string(name), string(value)].concat()
}

/// A CONNECT in its parts.
#[derive(Clone, Debug)]
pub(crate) struct RawConnect {
    /// The first byte of the frame.
    first: u8,
    pub(crate) name: Vec<u8>,
    level: u8,
    flags: u8,
    keep_alive: u16,
    /// The block with its length.
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    version: Version,
    /// User Name and Password of a test that says nothing about them, with their flags.
    credentials: Option<(u8, Vec<u8>)>,
}

/// Connect Flags.
pub(crate) mod flag {
    pub(crate) const RESERVED: u8 = 0x01;
    pub(crate) const CLEAN: u8 = 0x02;
    pub(crate) const WILL: u8 = 0x04;
    pub(crate) const WILL_QOS: u8 = 0x18;
    pub(crate) const WILL_RETAIN: u8 = 0x20;
    pub(crate) const PASSWORD: u8 = 0x40;
    pub(crate) const USER_NAME: u8 = 0x80;
}

impl RawConnect {
    /// A faultless one of the stage's version: Clean Session, the Keep Alive of the stage, the client identifier of `actor`.
    pub(crate) fn new(stage: &Stage, actor: &str) -> Self {
        let mut connect = RawConnect::without_payload(stage).field(stage.client_id(actor).as_bytes());
        connect.credentials = stage.credentials().map(|credentials| {
            let password: Option<&[u8]> = credentials.password.as_deref();
            let flags = flag::USER_NAME | password.map_or(0, |_| flag::PASSWORD);
            let fields: [Option<&[u8]>; 2] = [Some(credentials.username.as_bytes()), password];
            (flags, fields.into_iter().flatten().flat_map(string).collect())
        });
        connect
    }

    /// The same with an empty payload: no client identifier either.
    pub(crate) fn without_payload(stage: &Stage) -> Self {
        let version = stage.version();
        RawConnect {
            first: 0x10,
            name: version.protocol_name().as_bytes().to_vec(),
            level: version.level(),
            flags: flag::CLEAN,
            keep_alive: stage.keep_alive(),
            properties: properties(version, &[]),
            payload: Vec::new(),
            version,
            credentials: None,
        }
    }

    /// With these bits set too.
    pub(crate) fn flagged(mut self, bits: u8) -> Self {
        self.flags |= bits;
        if bits & (flag::WILL | flag::USER_NAME | flag::PASSWORD) != 0 {
            self.credentials = None;
        }
        self
    }

    /// With these bits cleared.
    pub(crate) fn unflagged(mut self, bits: u8) -> Self {
        self.flags &= !bits;
        self
    }

    /// With this first byte in the place of its own.
    pub(crate) fn beginning(mut self, first: u8) -> Self {
        self.first = first;
        self
    }

    /// With this protocol version byte in the place of its own.
    pub(crate) fn at_level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// With these bytes as the content of its properties.
    pub(crate) fn with_properties(mut self, content: &[u8]) -> Self {
        self.properties = properties(self.version, content);
        self
    }

    /// With one more string or binary field at the end of the payload.
    pub(crate) fn field(self, bytes: &[u8]) -> Self {
        self.tail(&string(bytes))
    }

    /// With these bytes at the end of the payload as they are.
    pub(crate) fn tail(mut self, bytes: &[u8]) -> Self {
        self.payload.extend_from_slice(bytes);
        // What the payload holds is now the test's own.
        self.credentials = None;
        self
    }

    /// With a will of QoS 0: the flag, the properties of 5.0 (their content is given), topic and payload.
    pub(crate) fn will(mut self, content: &[u8], topic: &[u8], payload: &[u8]) -> Self {
        for part in [properties(self.version, content), string(topic), string(payload)] {
            self.payload.extend(part);
        }
        self.flags |= flag::WILL;
        self
    }

    /// The frame.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (flags, credentials) = self.credentials.as_ref().map_or((0, &[][..]), |(flags, fields)| (*flags, fields));
        let mut body = string(&self.name);
        body.extend([self.level, self.flags | flags]);
        body.extend(self.keep_alive.to_be_bytes());
        body.extend_from_slice(&self.properties);
        body.extend_from_slice(&self.payload);
        body.extend_from_slice(credentials);
        frame(self.first, &body)
    }
}

/// PUBLISH: the first byte says DUP, QoS and RETAIN; `content` is that of the properties.
pub(crate) fn publish(
    version: Version,
    first: u8,
    topic: &[u8],
    id: Option<u16>,
    content: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let mut body = string(topic);
    body.extend(id.into_iter().flat_map(u16::to_be_bytes));
    body.extend(properties(version, content));
    body.extend_from_slice(payload);
    frame(first, &body)
}

/// SUBSCRIBE: each filter with its options byte.
pub(crate) fn subscribe(version: Version, first: u8, id: u16, content: &[u8], filters: &[(&[u8], u8)]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, content));
    for (filter, options) in filters {
        body.extend(string(filter));
        body.push(*options);
    }
    frame(first, &body)
}

/// UNSUBSCRIBE.
pub(crate) fn unsubscribe(version: Version, first: u8, id: u16, content: &[u8], filters: &[&[u8]]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    body.extend(properties(version, content));
    for filter in filters {
        body.extend(string(filter));
    }
    frame(first, &body)
}
