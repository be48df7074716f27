//! CONNECT (section 3.1).

use bytes::Bytes;

use super::PacketKind;
use crate::{
    ascii::is_plain_name,
    error::{DecodeError, EncodeError},
    property::{Place, Properties, PropertiesView},
    qos::Qos,
    reason::Side,
    topic::{TopicName, check_name},
    version::Version,
    wire::{Keep, Reader, Text, TextView, Writer, check_text},
};

const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USER_NAME: u8 = 0x80;

/// The first packet of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// The version that this packet is written in and asks for.
    pub version: Version,
    /// Clean Start (before 5.0: Clean Session).
    pub clean_start: bool,
    /// Seconds; 0 switches it off.
    pub keep_alive: u16,
    /// May be empty where the version allows it.
    pub client_id: Text,
    /// Empty before 5.0.
    pub properties: Properties,
    /// Published by the server when the connection ends without DISCONNECT.
    pub will: Option<Will>,
    /// User Name.
    pub username: Option<Text>,
    /// Password.
    pub password: Option<Bytes>,
}

/// The Will Message as CONNECT carries it (sections 3.1.2.5 and 3.1.3.2 to 3.1.3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Will QoS.
    pub qos: Qos,
    /// Will Retain.
    pub retain: bool,
    /// Will Topic.
    pub topic: TopicName,
    /// Will Payload (before 5.0: Will Message).
    pub payload: Bytes,
    /// Will Properties; empty before 5.0.
    pub properties: Properties,
}

/// A CONNECT that borrows from the buffer it lies in: as strictly checked, nothing copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectView<'a> {
    /// As in [`Connect`].
    pub version: Version,
    /// Clean Start (before 5.0: Clean Session).
    pub clean_start: bool,
    /// Seconds; 0 switches it off.
    pub keep_alive: u16,
    /// May be empty where the version allows it.
    pub client_id: TextView<'a>,
    /// Empty before 5.0.
    pub properties: PropertiesView<'a>,
    /// The Will Message.
    pub will: Option<WillView<'a>>,
    /// User Name.
    pub username: Option<TextView<'a>>,
    /// Password.
    pub password: Option<&'a [u8]>,
}

/// The Will Message of a [`ConnectView`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WillView<'a> {
    /// Will QoS.
    pub qos: Qos,
    /// Will Retain.
    pub retain: bool,
    /// Will Topic.
    pub topic: TextView<'a>,
    /// Will Payload (before 5.0: Will Message).
    pub payload: &'a [u8],
    /// Will Properties; empty before 5.0.
    pub properties: PropertiesView<'a>,
}

impl Connect {
    /// A CONNECT with Clean Start 1, Keep Alive 0, no will and no credentials.
    pub fn new(version: Version, client_id: Text) -> Self {
        Connect {
            version,
            clean_start: true,
            keep_alive: 0,
            client_id,
            properties: Properties::new(),
            will: None,
            username: None,
            password: None,
        }
    }
}

impl Connect {
    /// Decodes a whole frame of this version whose body begins at an offset.
    pub(crate) fn decode(
        version: Version,
        frame: &[u8],
        keep: Keep<'_>,
        body: usize,
    ) -> Result<Box<Self>, DecodeError> {
        let mut reader = Reader::new(frame, ConnectView::begins(version, body), PacketKind::Connect);
        let connect = ConnectView::decode(version, &mut reader)?;
        reader.finish()?;
        // Made where it stays: it is large.
        Ok(Box::write(Box::new_uninit(), connect.kept(keep)))
    }

    /// Reads protocol name and version byte, with which a body begins: what a server needs in order to read the rest, or
    /// to refuse it.
    #[inline]
    pub(super) fn decode_version(body: &[u8]) -> Result<Version, DecodeError> {
        match body {
            [0, 4, b'M', b'Q', b'T', b'T', 5, ..] => Ok(Version::V5_0),
            [0, 4, b'M', b'Q', b'T', b'T', 4, ..] => Ok(Version::V3_1_1),
            [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, ..] => Ok(Version::V3_1),
            _ => Err(refused_version(body)),
        }
    }

    pub(super) fn body_len(&self) -> usize {
        let properties = |properties: &Properties| match self.version {
            Version::V5_0 => properties.encoded_len(),
            _ => 0,
        };
        let will = self
            .will
            .as_ref()
            .map_or(0, |will| properties(&will.properties) + 2 + will.topic.text().len() + 2 + will.payload.len());
        2 + self.version.protocol_name().len()
            + 4
            + properties(&self.properties)
            + 2
            + self.client_id.len()
            + will
            + self.username.as_ref().map_or(0, |name| 2 + name.len())
            + self.password.as_ref().map_or(0, |password| 2 + password.len())
    }

    pub(super) fn encode(&self, mut out: Writer<'_>) -> Result<(), EncodeError> {
        let [high, low] = self.keep_alive.to_be_bytes();
        match self.version {
            Version::V3_1 => out.put([0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, self.flags(), high, low]),
            Version::V3_1_1 => out.put([0, 4, b'M', b'Q', b'T', b'T', 4, self.flags(), high, low]),
            Version::V5_0 => out.put([0, 4, b'M', b'Q', b'T', b'T', 5, self.flags(), high, low]),
        }
        if self.version.has_properties() {
            out = self.properties.encode(out)?;
        }
        out.put_text(&self.client_id);
        if let Some(will) = &self.will {
            if self.version.has_properties() {
                out = will.properties.encode(out)?;
            }
            out.put_text(will.topic.text());
            out.put_binary(&will.payload, "the will payload")?;
        }
        if let Some(username) = &self.username {
            out.put_text(username);
        }
        if let Some(password) = &self.password {
            out.put_binary(password, "the password")?;
        }
        Ok(())
    }

    fn flags(&self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let will = self
            .will
            .as_ref()
            .map_or(0, |will| WILL | will.qos.bits() << WILL_QOS_SHIFT | flag(will.retain, WILL_RETAIN));
        will | flag(self.clean_start, CLEAN_START)
            | flag(self.username.is_some(), USER_NAME)
            | flag(self.password.is_some(), PASSWORD)
    }
}

impl<'a> ConnectView<'a> {
    /// Where what follows the version byte begins, in a frame whose body begins there.
    pub(super) const fn begins(version: Version, body: usize) -> usize {
        body + 2 + version.protocol_name().len() + 1
    }

    /// Reads what follows the version byte.
    #[inline]
    pub(super) fn decode(version: Version, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let flags = reader.u8("the connect flags")?;
        check_flags(version, flags)?;
        let keep_alive = reader.u16("the keep alive")?;
        let properties = decode_properties(version, reader, Place::Connect)?;

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

        let will = if flags & WILL != 0 { Some(WillView::decode(version, flags, reader)?) } else { None };
        // In 3.1 a flag may be set while its field is missing: the Remaining Length decides.
        let present = |flag: u8, left: usize| flags & flag != 0 && (version != Version::V3_1 || left > 0);
        let username = if present(USER_NAME, reader.left()) { Some(reader.text_view("the user name")?) } else { None };
        let password = if present(PASSWORD, reader.left()) { Some(reader.prefixed("the password")?) } else { None };
        Ok(ConnectView { version, clean_start, keep_alive, client_id, properties, will, username, password })
    }

    /// The same, with copies of what it borrows.
    pub fn to_owned(&self) -> Connect {
        self.kept(Keep::Copy)
    }

    /// The same, kept.
    #[inline(always)]
    pub(super) fn kept(self, keep: Keep<'_>) -> Connect {
        let ConnectView { version, clean_start, keep_alive, client_id, properties, will, username, password } = self;
        Connect {
            version,
            clean_start,
            keep_alive,
            client_id: client_id.kept(keep),
            properties: properties.kept(keep),
            will: will.map(|will| will.kept(keep)),
            username: username.map(|username| username.kept(keep)),
            password: password.map(|password| keep.bytes(password)),
        }
    }
}

impl<'a> WillView<'a> {
    #[inline]
    fn decode(version: Version, flags: u8, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let properties = decode_properties(version, reader, Place::Will)?;
        let topic = reader.prefixed("the will topic")?;
        if topic.is_empty() || !is_plain_name(topic) {
            check_odd_topic(topic)?;
        }
        let payload = reader.prefixed("the will payload")?;
        // [MQTT-3.1.2-12]; 3.1.1 [MQTT-3.1.2-14]
        let qos = Qos::from_bits(will_qos(flags)).ok_or(DecodeError::WillQos)?;
        let (retain, topic) = (flags & WILL_RETAIN != 0, TextView::checked(topic));
        Ok(WillView { qos, retain, topic, payload, properties })
    }

    #[inline]
    fn kept(self, keep: Keep<'_>) -> Will {
        let WillView { qos, retain, topic, payload, properties } = self;
        Will {
            qos,
            retain,
            topic: TopicName::checked(topic.kept(keep)),
            payload: keep.bytes(payload),
            properties: properties.kept(keep),
        }
    }
}

#[inline]
fn decode_properties<'a>(
    version: Version,
    reader: &mut Reader<'a>,
    place: Place,
) -> Result<PropertiesView<'a>, DecodeError> {
    match version {
        Version::V5_0 => PropertiesView::decode(reader, place, Side::Client),
        _ => Ok(PropertiesView::default()),
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
