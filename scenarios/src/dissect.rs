//! A frame taken apart into its fields, each with its bytes and its value, as far as the bytes go: for showing where in a
//! frame something stands, also where the frame as a whole cannot be read.

use std::{fmt, ops::Range};

use squall_codec::{
    packet::PacketKind,
    property::{PropertyId, PropertyKind},
    reason::{ReasonCode, Side},
    version::Version,
};

/// The name of the first byte.
pub const TYPE_AND_FLAGS: &str = "Packet type and flags";
/// The name of what cannot be read.
pub const REST: &str = "Rest";

/// A field and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Which part of the packet it belongs to.
    pub group: Group,
    /// As in the standard.
    pub name: &'static str,
    /// Bytes of the frame.
    pub range: Range<usize>,
    /// What it says.
    pub value: Value,
}

/// The parts of a packet (section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Packet type, flags, Remaining Length.
    FixedHeader,
    /// What follows it.
    VariableHeader,
    /// Properties of the packet, 5.0.
    Properties,
    /// Properties of the will in CONNECT, 5.0.
    WillProperties,
    /// The rest.
    Payload,
}

impl Group {
    /// The standard's name.
    pub const fn name(self) -> &'static str {
        match self {
            Group::FixedHeader => "Fixed header",
            Group::VariableHeader => "Variable header",
            Group::Properties => "Properties",
            Group::WillProperties => "Will Properties",
            Group::Payload => "Payload",
        }
    }
}

/// What a field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u32),
    /// A string; what is not UTF-8 in it is replaced.
    Text(String),
    /// Bytes that are no text.
    Binary(Vec<u8>),
    /// A name and a value.
    Pair(String, String),
    /// A reason code or return code with its name.
    Code(u8, &'static str),
    /// Several things in one byte.
    Flags(Vec<Flag>),
    /// Not to be shown to others.
    Secret,
    /// Bytes that could not be read as a field.
    Unread,
}

/// Some bits of a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As in the standard.
    pub name: &'static str,
    /// Which bits.
    pub mask: u8,
    /// Their value, as a number of its own.
    pub value: u8,
}

impl Flag {
    const fn of(name: &'static str, byte: u8, mask: u8) -> Flag {
        Flag { name, mask, value: (byte & mask) >> mask.trailing_zeros() }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Text(text) => f.write_str(text),
            Value::Binary(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
            }
            Value::Pair(name, value) => write!(f, "{name}: {value}"),
            Value::Code(code, name) => write!(f, "0x{code:02X} {name}"),
            Value::Flags(flags) => {
                for (index, flag) in flags.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{} {}", flag.name, flag.value)?;
                }
                Ok(())
            }
            Value::Secret => f.write_str("***"),
            Value::Unread => Ok(()),
        }
    }
}

/// Takes a frame apart. What cannot be read is the last field; the fields leave no gap.
pub fn fields(frame: &[u8], version: Version) -> Vec<Field> {
    let mut cursor = Cursor { frame, at: 0, fields: Vec::new(), version, group: Group::FixedHeader };
    // None only says that the bytes ended before the packet did.
    let _ = cursor.packet();
    if cursor.at < frame.len() {
        cursor.push(REST, frame.len() - cursor.at, Value::Unread);
    }
    cursor.fields
}

/// The kind that the first byte of a frame names.
pub fn kind(frame: &[u8]) -> Option<PacketKind> {
    frame.first().and_then(|first| PacketKind::from_number(Version::V5_0, first >> 4))
}

/// The version that a CONNECT names, if this is one and it goes that far.
pub fn connect_version(frame: &[u8]) -> Option<Version> {
    let fields = fields(frame, Version::V3_1_1);
    let value = |wanted: &str| fields.iter().find(|field| field.name == wanted).map(|field| &field.value);
    let Some(Value::Number(level)) = value("Protocol Version") else { return None };
    Version::ALL.into_iter().find(|version| u32::from(version.level()) == *level)
}

struct Cursor<'a> {
    frame: &'a [u8],
    at: usize,
    fields: Vec<Field>,
    version: Version,
    group: Group,
}

impl Cursor<'_> {
    fn left(&self) -> usize {
        self.frame.len() - self.at
    }

    fn peek(&self, length: usize) -> Option<&[u8]> {
        self.frame.get(self.at..self.at.checked_add(length)?)
    }

    fn push(&mut self, name: &'static str, length: usize, value: Value) {
        if length > 0 {
            self.fields.push(Field { group: self.group, name, range: self.at..self.at + length, value });
        }
        self.at += length;
    }

    fn byte(&mut self, name: &'static str, value: impl FnOnce(u8) -> Value) -> Option<u8> {
        let byte = self.peek(1)?[0];
        self.push(name, 1, value(byte));
        Some(byte)
    }

    fn two(&mut self, name: &'static str) -> Option<()> {
        let bytes = self.peek(2)?;
        let value = u32::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        self.push(name, 2, Value::Number(value));
        Some(())
    }

    /// A Variable Byte Integer: its value.
    fn variable(&mut self, name: &'static str) -> Option<usize> {
        let (length, value) = variable(&self.frame[self.at..])?;
        self.push(name, length, Value::Number(value));
        Some(value as usize)
    }

    /// A string or binary data behind two bytes of length.
    fn prefixed(&mut self, name: &'static str, value: impl FnOnce(&[u8]) -> Value) -> Option<()> {
        let length = prefixed(&self.frame[self.at..])?;
        let value = value(&self.peek(length)?[2..]);
        self.push(name, length, value);
        Some(())
    }

    fn string(&mut self, name: &'static str) -> Option<()> {
        self.prefixed(name, text)
    }

    fn properties(&mut self, group: Group) -> Option<()> {
        if self.version != Version::V5_0 {
            return Some(());
        }
        let before = std::mem::replace(&mut self.group, group);
        let length = self.variable("Property Length")?;
        let end = self.at + length;
        while self.at < end {
            let (id, length, value) = property(&self.frame[self.at..])?;
            self.push(id.name(), length, value);
        }
        self.group = before;
        Some(())
    }

    fn packet(&mut self) -> Option<()> {
        let kind = kind(self.frame);
        let first = self.byte(TYPE_AND_FLAGS, |byte| Value::Flags(first_byte(kind, byte)))?;
        self.variable("Remaining Length")?;
        self.group = Group::VariableHeader;
        match kind? {
            PacketKind::Connect => self.connect(),
            PacketKind::Connack => {
                let present = |byte| {
                    Value::Flags(vec![Flag::of("Session Present", byte, 0x01), Flag::of("Reserved", byte, 0xFE)])
                };
                self.byte("Connect Acknowledge Flags", present)?;
                self.code(PacketKind::Connack)?;
                self.properties(Group::Properties)
            }
            PacketKind::Publish => {
                self.string("Topic Name")?;
                if first & 0b0110 != 0 {
                    self.two("Packet Identifier")?;
                }
                self.properties(Group::Properties)?;
                self.group = Group::Payload;
                let payload = readable(self.peek(self.left())?);
                self.push("Payload", self.left(), payload);
                Some(())
            }
            kind @ (PacketKind::Puback | PacketKind::Pubrec | PacketKind::Pubrel | PacketKind::Pubcomp) => {
                self.two("Packet Identifier")?;
                self.code_and_properties(kind)
            }
            kind @ (PacketKind::Subscribe | PacketKind::Unsubscribe) => {
                self.two("Packet Identifier")?;
                self.properties(Group::Properties)?;
                self.group = Group::Payload;
                while self.left() > 0 {
                    self.string("Topic Filter")?;
                    if kind == PacketKind::Subscribe {
                        let version = self.version;
                        self.byte("Subscription Options", |byte| Value::Flags(options(version, byte)))?;
                    }
                }
                Some(())
            }
            kind @ (PacketKind::Suback | PacketKind::Unsuback) => {
                self.two("Packet Identifier")?;
                self.properties(Group::Properties)?;
                self.group = Group::Payload;
                while self.left() > 0 {
                    self.code(kind)?;
                }
                Some(())
            }
            kind @ (PacketKind::Disconnect | PacketKind::Auth) => self.code_and_properties(kind),
            PacketKind::Pingreq | PacketKind::Pingresp => None,
        }
    }

    fn code(&mut self, kind: PacketKind) -> Option<()> {
        let version = self.version;
        self.byte("Reason Code", |byte| Value::Code(byte, code_name(version, kind, byte)))?;
        Some(())
    }

    fn code_and_properties(&mut self, kind: PacketKind) -> Option<()> {
        if self.left() == 0 {
            return Some(());
        }
        self.code(kind)?;
        if self.left() > 0 { self.properties(Group::Properties) } else { Some(()) }
    }

    fn connect(&mut self) -> Option<()> {
        self.string("Protocol Name")?;
        let level = self.byte("Protocol Version", |byte| Value::Number(byte.into()))?;
        self.version = if level == Version::V5_0.level() { Version::V5_0 } else { Version::V3_1_1 };
        let flags = self.byte("Connect Flags", |byte| Value::Flags(connect_flags(level, byte)))?;
        self.two("Keep Alive")?;
        self.properties(Group::Properties)?;
        self.group = Group::Payload;
        self.string("Client Identifier")?;
        if flags & 0b0100 != 0 {
            self.properties(Group::WillProperties)?;
            self.string("Will Topic")?;
            self.prefixed("Will Payload", readable)?;
        }
        if flags & 0b1000_0000 != 0 {
            self.string("User Name")?;
        }
        if flags & 0b0100_0000 != 0 {
            self.prefixed("Password", |_| Value::Secret)?;
        }
        Some(())
    }
}

fn first_byte(kind: Option<PacketKind>, byte: u8) -> Vec<Flag> {
    let mut flags = vec![Flag::of("Packet type", byte, 0xF0)];
    if kind == Some(PacketKind::Publish) {
        flags.extend([Flag::of("DUP", byte, 0x08), Flag::of("QoS", byte, 0x06), Flag::of("RETAIN", byte, 0x01)]);
    } else {
        flags.push(Flag::of("Reserved", byte, 0x0F));
    }
    flags
}

fn connect_flags(level: u8, byte: u8) -> Vec<Flag> {
    let clean = if level == Version::V5_0.level() { "Clean Start" } else { "Clean Session" };
    vec![
        Flag::of("User Name Flag", byte, 0x80),
        Flag::of("Password Flag", byte, 0x40),
        Flag::of("Will Retain", byte, 0x20),
        Flag::of("Will QoS", byte, 0x18),
        Flag::of("Will Flag", byte, 0x04),
        Flag::of(clean, byte, 0x02),
        Flag::of("Reserved", byte, 0x01),
    ]
}

fn options(version: Version, byte: u8) -> Vec<Flag> {
    if version != Version::V5_0 {
        return vec![Flag::of("Requested QoS", byte, 0x03), Flag::of("Reserved", byte, 0xFC)];
    }
    vec![
        Flag::of("Maximum QoS", byte, 0x03),
        Flag::of("No Local", byte, 0x04),
        Flag::of("Retain As Published", byte, 0x08),
        Flag::of("Retain Handling", byte, 0x30),
        Flag::of("Reserved", byte, 0xC0),
    ]
}

/// What the standard calls the code in this packet.
fn code_name(version: Version, kind: PacketKind, code: u8) -> &'static str {
    match (version.has_properties(), kind, code) {
        (_, PacketKind::Suback, 0) => "Granted QoS 0",
        (true, PacketKind::Disconnect, 0) => "Normal disconnection",
        (false, PacketKind::Suback, 0x80) => "Failure",
        (false, PacketKind::Connack, 0) => "Connection Accepted",
        (false, PacketKind::Connack, _) => {
            ReasonCode::from_connack_return_code(code).map_or("unknown", ReasonCode::name)
        }
        _ => {
            let known = ReasonCode::from_value(code);
            let fits =
                |reason: &ReasonCode| [Side::Client, Side::Server].iter().any(|side| reason.allowed_in(kind, *side));
            known.filter(fits).or(known).map_or("unknown", ReasonCode::name)
        }
    }
}

/// How many bytes a Variable Byte Integer takes, and its value.
fn variable(bytes: &[u8]) -> Option<(usize, u32)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((index + 1, value));
        }
    }
    None
}

/// How many bytes a string or binary data takes, with the two of its length.
fn prefixed(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(..2)?;
    let length = 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
    (length <= bytes.len()).then_some(length)
}

fn text(bytes: &[u8]) -> Value {
    Value::Text(String::from_utf8_lossy(bytes).into_owned())
}

/// Text where it can be read as one.
fn readable(bytes: &[u8]) -> Value {
    let unreadable = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(unreadable) => Value::Text(text.to_owned()),
        _ => Value::Binary(bytes.to_vec()),
    }
}

/// The property that begins here: which, its length with the identifier, its value.
fn property(bytes: &[u8]) -> Option<(PropertyId, usize, Value)> {
    let id = PropertyId::from_value(u32::from(*bytes.first()?))?;
    let value = &bytes[1..];
    let (length, value) = match id.kind() {
        PropertyKind::Byte => (1, Value::Number(u32::from(*value.first()?))),
        PropertyKind::Two => {
            let value = value.get(..2)?;
            (2, Value::Number(u32::from(u16::from_be_bytes([value[0], value[1]]))))
        }
        PropertyKind::Four => {
            let value = value.get(..4)?;
            (4, Value::Number(u32::from_be_bytes([value[0], value[1], value[2], value[3]])))
        }
        PropertyKind::Variable => {
            let (length, number) = variable(value)?;
            (length, Value::Number(number))
        }
        PropertyKind::Text => {
            let length = prefixed(value)?;
            (length, text(&value[2..length]))
        }
        PropertyKind::Binary if id == PropertyId::AuthenticationData => (prefixed(value)?, Value::Secret),
        PropertyKind::Binary => {
            let length = prefixed(value)?;
            (length, readable(&value[2..length]))
        }
        PropertyKind::Pair => {
            let name = prefixed(value)?;
            let rest = prefixed(&value[name..])?;
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            (name + rest, Value::Pair(lossy(&value[2..name]), lossy(&value[name + 2..name + rest])))
        }
    };
    Some((id, 1 + length, value))
}
