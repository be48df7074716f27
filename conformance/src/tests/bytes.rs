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
    /// A faultless one of the stage's version: Clean Session, Keep Alive 0, the client identifier of `actor`.
    pub(crate) fn new(stage: &Stage, actor: &str) -> Self {
        RawConnect::without_payload(stage).field(stage.client_id(actor).as_bytes())
    }

    /// The same with an empty payload: no client identifier either.
    pub(crate) fn without_payload(stage: &Stage) -> Self {
        let version = stage.version();
        RawConnect {
            first: 0x10,
            name: version.protocol_name().as_bytes().to_vec(),
            level: version.level(),
            flags: flag::CLEAN,
            keep_alive: 0,
            properties: properties(version, &[]),
            payload: Vec::new(),
            version,
        }
    }

    /// With these bits set too.
    pub(crate) fn flagged(mut self, bits: u8) -> Self {
        self.flags |= bits;
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
    pub(crate) fn field(mut self, bytes: &[u8]) -> Self {
        self.payload.extend(string(bytes));
        self
    }

    /// With these bytes at the end of the payload as they are.
    pub(crate) fn tail(mut self, bytes: &[u8]) -> Self {
        self.payload.extend_from_slice(bytes);
        self
    }

    /// With a will of QoS 0: the flag, the properties of 5.0 (their content is given), topic and payload.
    pub(crate) fn will(mut self, content: &[u8], topic: &[u8], payload: &[u8]) -> Self {
        self.payload.extend(properties(self.version, content));
        self.flagged(flag::WILL).field(topic).field(payload)
    }

    /// The frame.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = string(&self.name);
        body.extend([self.level, self.flags]);
        body.extend(self.keep_alive.to_be_bytes());
        body.extend_from_slice(&self.properties);
        body.extend_from_slice(&self.payload);
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
