//! Where the fields of a CONNECT stand: read and judged once, and written.

use bytes::{Bytes, BytesMut};

use super::WillView;
use crate::{
    ascii::is_plain_name,
    error::{DecodeError, EncodeError},
    packet::PacketKind,
    property::{Place, Properties, PropertiesView},
    qos::Qos,
    reason::Side,
    topic::check_name,
    version::Version,
    wire::{Reader, TextView, Writer, check_text, variable_len},
};

const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// Where the fields behind the Keep Alive begin, in what stands there. They come in this order; properties come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) version: Version,
    /// Which fields there are, QoS and RETAIN of the will: as in the connect flags, but for Clean Start.
    flags: u8,
    client_id: u32,
    will: u32,
    username: u32,
    password: u32,
}

/// What stands behind the Keep Alive.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) properties: &'a [u8],
    pub(super) client_id: &'a [u8],
    pub(super) will: Option<WillView<'a>>,
    pub(super) username: Option<&'a [u8]>,
    pub(super) password: Option<&'a [u8]>,
}

/// As a position in a frame, which has at most 268,435,460 bytes.
const fn offset(at: usize) -> u32 {
    at as u32
}

/// Where what follows the Keep Alive begins, in a frame whose body begins there.
#[inline]
pub(super) const fn begins(version: Version, body: usize) -> usize {
    body + 2 + version.protocol_name().len() + 1 + 1 + 2
}

impl Layout {
    /// Reads a whole frame whose body begins at an offset: Clean Start, Keep Alive, and where the rest is.
    #[inline(always)]
    pub(super) fn read(version: Version, frame: &[u8], body: usize) -> Result<(bool, u16, Self), DecodeError> {
        let mut reader = Reader::new(frame, begins(version, body) - 3, PacketKind::Connect);
        let flags = reader.u8("the connect flags")?;
        check_flags(version, flags)?;
        let keep_alive = reader.u16("the keep alive")?;
        let mut reader = Reader::new(reader.peek(), 0, PacketKind::Connect);
        if version.has_properties() {
            PropertiesView::decode(&mut reader, Place::Connect, Side::Client)?;
        }

        let at_client_id = offset(reader.position());
        let client_id = reader.text_view("the client identifier")?;
        let clean_start = flags & CLEAN_START != 0;
        let may_be_empty = match version {
            Version::V3_1 => false,
            // 3.1.1 [MQTT-3.1.3-8]
            Version::V3_1_1 => clean_start,
            Version::V5_0 => true,
        };
        if client_id.as_bytes().is_empty() && !may_be_empty {
            return Err(DecodeError::EmptyClientId);
        }

        let at_will = offset(reader.position());
        let mut there = 0;
        if flags & WILL != 0 {
            there = flags & (WILL | 0b11 << WILL_QOS_SHIFT | WILL_RETAIN);
            if version.has_properties() {
                PropertiesView::decode(&mut reader, Place::Will, Side::Client)?;
            }
            let topic = reader.prefixed("the will topic")?;
            if topic.is_empty() || !is_plain_name(topic) {
                check_odd_topic(topic)?;
            }
            reader.prefixed("the will payload")?;
        }

        // In 3.1 a flag may be set while its field is missing: the Remaining Length decides.
        let present = |flag: u8, left: usize| flags & flag != 0 && (version != Version::V3_1 || left > 0);
        let at_username = offset(reader.position());
        if present(USER_NAME, reader.left()) {
            reader.text_view("the user name")?;
            there |= USER_NAME;
        }
        let at_password = offset(reader.position());
        if present(PASSWORD, reader.left()) {
            reader.prefixed("the password")?;
            there |= PASSWORD;
        }
        reader.finish()?;
        let (client_id, will, username, password) = (at_client_id, at_will, at_username, at_password);
        Ok((clean_start, keep_alive, Layout { version, flags: there, client_id, will, username, password }))
    }

    /// The connect flags.
    pub(super) const fn flags(&self, clean_start: bool) -> u8 {
        if clean_start { self.flags | CLEAN_START } else { self.flags }
    }

    #[inline]
    pub(super) fn properties<'a>(&self, rest: &'a [u8]) -> PropertiesView<'a> {
        if !self.version.has_properties() {
            return PropertiesView::default();
        }
        let mut reader = Reader::new(&rest[..self.client_id as usize], 0, PacketKind::Connect);
        PropertiesView::again(&mut reader).unwrap_or_default()
    }

    #[inline]
    pub(super) fn client_id<'a>(&self, rest: &'a [u8]) -> TextView<'a> {
        TextView::checked(&rest[self.client_id as usize + 2..self.will as usize])
    }

    #[inline]
    pub(super) fn will<'a>(&self, rest: &'a [u8]) -> Option<WillView<'a>> {
        if self.flags & WILL == 0 {
            return None;
        }
        let mut reader = Reader::new(&rest[..self.username as usize], self.will as usize, PacketKind::Connect);
        let mut properties = PropertiesView::default();
        if self.version.has_properties() {
            properties = PropertiesView::again(&mut reader)?;
        }
        let topic = TextView::checked(reader.prefixed("the will topic").ok()?);
        let payload = reader.prefixed("the will payload").ok()?;
        let qos = Qos::from_bits(will_qos(self.flags))?;
        Some(WillView { qos, retain: self.flags & WILL_RETAIN != 0, topic, payload, properties })
    }

    #[inline]
    pub(super) fn username<'a>(&self, rest: &'a [u8]) -> Option<TextView<'a>> {
        let range = self.username as usize + 2..self.password as usize;
        (self.flags & USER_NAME != 0).then(|| TextView::checked(&rest[range]))
    }

    #[inline]
    pub(super) fn password<'a>(&self, rest: &'a [u8]) -> Option<&'a [u8]> {
        (self.flags & PASSWORD != 0).then(|| &rest[self.password as usize + 2..])
    }

    pub(super) fn parts<'a>(&self, rest: &'a [u8]) -> Parts<'a> {
        Parts {
            properties: self.properties(rest).as_bytes(),
            client_id: self.client_id(rest).as_bytes(),
            will: self.will(rest),
            username: self.username(rest).map(TextView::as_bytes),
            password: self.password(rest),
        }
    }
}

impl Parts<'_> {
    /// As they stand in a packet of this version.
    pub(super) fn written(&self, version: Version) -> (Bytes, Layout) {
        let mut rest = BytesMut::new();
        if version.has_properties() {
            put_block(self.properties, &mut rest);
        }
        let client_id = offset(rest.len());
        put(self.client_id, &mut rest);
        let will = offset(rest.len());
        let mut flags = 0;
        if let Some(will) = &self.will {
            flags |= WILL | will.qos.bits() << WILL_QOS_SHIFT | if will.retain { WILL_RETAIN } else { 0 };
            if version.has_properties() {
                put_block(will.properties.as_bytes(), &mut rest);
            }
            put(will.topic.as_bytes(), &mut rest);
            put(will.payload, &mut rest);
        }
        let username = offset(rest.len());
        if let Some(name) = self.username {
            flags |= USER_NAME;
            put(name, &mut rest);
        }
        let password = offset(rest.len());
        if let Some(secret) = self.password {
            flags |= PASSWORD;
            put(secret, &mut rest);
        }
        (rest.freeze(), Layout { version, flags, client_id, will, username, password })
    }
}

/// Appends a string or Binary Data that was found short enough.
fn put(bytes: &[u8], out: &mut BytesMut) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Appends a block of properties with its length, which was found short enough.
fn put_block(block: &[u8], out: &mut BytesMut) {
    Writer::behind(out, variable_len(offset(block.len()))).put_variable(offset(block.len()));
    out.extend_from_slice(block);
}

/// The properties as they stand on the wire, without their length.
pub(super) fn block(properties: &Properties) -> Result<Bytes, EncodeError> {
    let mut block = BytesMut::new();
    let length = properties.encoded_len();
    properties.encode(Writer::behind(&mut block, length))?;
    Ok(block.split_off(length - properties.bytes()).freeze())
}

/// Whether Binary Data is short enough.
pub(super) fn check_binary(bytes: &[u8], field: &'static str) -> Result<(), EncodeError> {
    match u16::try_from(bytes.len()) {
        Ok(_) => Ok(()),
        Err(_) => Err(EncodeError::BinaryTooLong { field, size: bytes.len() }),
    }
}

/// Reads protocol name and version byte, with which a body begins: what a server needs in order to read the rest, or
/// to refuse it.
#[inline]
pub(in crate::packet) fn decode_version(body: &[u8]) -> Result<Version, DecodeError> {
    match body {
        [0, 4, b'M', b'Q', b'T', b'T', 5, ..] => Ok(Version::V5_0),
        [0, 4, b'M', b'Q', b'T', b'T', 4, ..] => Ok(Version::V3_1_1),
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, ..] => Ok(Version::V3_1),
        _ => Err(refused_version(body)),
    }
}

/// Why a body that begins with no version of ours is refused.
#[cold]
fn refused_version(body: &[u8]) -> DecodeError {
    let reader = &mut Reader::new(body, 0, PacketKind::Connect);
    let name = match reader.prefixed("the protocol name") {
        Ok(name) => name,
        Err(error) => return error,
    };
    // [MQTT-3.1.2-1]
    if !matches!(name, b"MQTT" | b"MQIsdp") {
        let beginning = &name[..name.len().min(16)];
        return DecodeError::ProtocolName { name: String::from_utf8_lossy(beginning).into_owned() };
    }
    // [MQTT-3.1.2-2]
    reader.u8("the protocol version").map_or_else(|error| error, |level| DecodeError::UnsupportedVersion { level })
}

/// Judges a Will Topic that is empty or not plain.
#[cold]
fn check_odd_topic(topic: &[u8]) -> Result<(), DecodeError> {
    check_text(topic).map_err(|error| DecodeError::Text { field: "the will topic", error })?;
    // [MQTT-4.7.0-1], [MQTT-4.7.3-1]; 3.1.1 [MQTT-4.7.1-1]
    check_name(topic).map_err(|error| DecodeError::TopicName { place: Place::Will, error })
}

const fn will_qos(flags: u8) -> u8 {
    flags >> WILL_QOS_SHIFT & 0b11
}

fn check_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    let has_will = flags & WILL != 0;
    // [MQTT-3.1.2-12]; 3.1.1 [MQTT-3.1.2-14]
    if has_will && will_qos(flags) == 3 {
        return Err(DecodeError::WillQos);
    }
    // 3.1.1 [MQTT-3.1.2-22], lifted in 5.0.
    if version < Version::V5_0 && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
        return Err(DecodeError::PasswordWithoutUserName);
    }
    // 3.1 asks nobody to check bits that carry no meaning.
    if version == Version::V3_1 {
        return Ok(());
    }
    // [MQTT-3.1.2-3]
    if flags & RESERVED != 0 {
        return Err(DecodeError::ConnectFlags { flags });
    }
    // [MQTT-3.1.2-11]; 3.1.1 [MQTT-3.1.2-13]
    if !has_will && will_qos(flags) != 0 {
        return Err(DecodeError::WillQosWithoutWill { qos: will_qos(flags) });
    }
    // [MQTT-3.1.2-13]; 3.1.1 [MQTT-3.1.2-15]
    if !has_will && flags & WILL_RETAIN != 0 {
        return Err(DecodeError::WillRetainWithoutWill);
    }
    Ok(())
}
