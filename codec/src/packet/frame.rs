//! A packet and its whole frame: the fixed header (section 2.1), and what each type has behind it.

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    Ack, Auth, Connack, Connect, Disconnect, Packet, PacketKind, Publish, Suback, Subscribe, Unsuback, Unsubscribe,
};
use crate::{
    error::{DecodeError, EncodeError},
    property::Place,
    reason::Side,
    version::Version,
    wire::{Reader, VARIABLE_BYTE_INTEGER_MAX, put_variable, variable, variable_len},
};

/// What an error calls the length in the fixed header.
pub(crate) const REMAINING_LENGTH: &str = "the remaining length";

impl Packet {
    /// Decodes one whole frame (fixed header included) that `sender` sent. A CONNECT carries its own version and is
    /// decoded by that; `version` is then not looked at.
    ///
    /// # Errors
    /// Everything section 2 and 3 forbid, one variant per cause.
    pub fn decode(version: Version, sender: Side, frame: Bytes) -> Result<Packet, DecodeError> {
        let (kind, flags, body) = header(version, &frame)?;
        if kind == PacketKind::Publish {
            check_flags(version, kind, flags)?;
            return Publish::decode(version, sender, flags, frame, body).map(Packet::Publish);
        }
        let reader = &mut Reader::new(&frame, body, kind);
        if kind == PacketKind::Connect {
            if sender == Side::Server {
                return Err(DecodeError::WrongDirection { packet: kind, sender });
            }
            let version = Connect::decode_version(reader)?;
            check_flags(version, kind, flags)?;
            let connect = Connect::decode(version, reader)?;
            reader.finish()?;
            return Ok(Packet::Connect(Box::new(connect)));
        }
        check_first_byte(version, sender, frame[0])?;
        let ack = |place, reader: &mut Reader<'_>| Ack::decode(version, sender, place, reader);
        let packet = match kind {
            PacketKind::Connect | PacketKind::Publish => unreachable!("decoded above"),
            PacketKind::Connack => Packet::Connack(Box::new(Connack::decode(version, sender, reader)?)),
            PacketKind::Puback => Packet::Puback(ack(Place::Puback, reader)?),
            PacketKind::Pubrec => Packet::Pubrec(ack(Place::Pubrec, reader)?),
            PacketKind::Pubrel => Packet::Pubrel(ack(Place::Pubrel, reader)?),
            PacketKind::Pubcomp => Packet::Pubcomp(ack(Place::Pubcomp, reader)?),
            PacketKind::Subscribe => Packet::Subscribe(Subscribe::decode(version, sender, reader)?),
            PacketKind::Suback => Packet::Suback(Suback::decode(version, sender, reader)?),
            PacketKind::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(version, sender, reader)?),
            PacketKind::Unsuback => Packet::Unsuback(Unsuback::decode(version, sender, reader)?),
            PacketKind::Pingreq => Packet::Pingreq,
            PacketKind::Pingresp => Packet::Pingresp,
            PacketKind::Disconnect => Packet::Disconnect(Disconnect::decode(version, sender, reader)?),
            PacketKind::Auth => Packet::Auth(Auth::decode(sender, reader)?),
        };
        reader.finish()?;
        Ok(packet)
    }

    /// Appends the packet's frame to `out`. On an error `out` is as before. What only 5.0 has is left out before 5.0.
    /// A CONNECT is written in its own version; `version` is then not looked at.
    ///
    /// # Errors
    /// A packet that this version does not have, or one too long for a frame.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let start = out.len();
        let written = self.write(version, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    /// The number of bytes that `encode` appends: what Maximum Packet Size limits.
    pub fn encoded_len(&self, version: Version) -> usize {
        let body = self.body_len(version);
        1 + u32::try_from(body).map_or(4, variable_len) + body
    }

    fn body_len(&self, version: Version) -> usize {
        match self {
            Packet::Connect(connect) => connect.body_len(),
            Packet::Connack(connack) => connack.body_len(version),
            Packet::Publish(publish) => publish.body_len(version),
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                ack.body_len(version)
            }
            Packet::Subscribe(subscribe) => subscribe.body_len(version),
            Packet::Suback(suback) => suback.body_len(version),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.body_len(version),
            Packet::Unsuback(unsuback) => unsuback.body_len(version),
            Packet::Pingreq | Packet::Pingresp => 0,
            Packet::Disconnect(disconnect) => disconnect.body_len(version),
            Packet::Auth(auth) => auth.body_len(),
        }
    }

    fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let body = self.body_len(version);
        let length = match u32::try_from(body) {
            Ok(length) if length <= VARIABLE_BYTE_INTEGER_MAX => length,
            _ => return Err(EncodeError::TooLong(self.encoded_len(version))),
        };
        out.reserve(1 + variable_len(length) + body);
        let flags = match self {
            Packet::Publish(publish) => publish.flags(),
            other => other.kind().fixed_flags(),
        };
        out.put_u8(self.kind().number() << 4 | flags);
        put_variable(out, length);
        match self {
            Packet::Connect(connect) => connect.encode(out),
            Packet::Connack(connack) => connack.encode(version, out),
            Packet::Publish(publish) => publish.encode(version, out),
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                ack.encode(version, out)
            }
            Packet::Subscribe(subscribe) => subscribe.encode(version, out),
            Packet::Suback(suback) => suback.encode(version, out),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Packet::Unsuback(unsuback) => unsuback.encode(version, out),
            Packet::Pingreq | Packet::Pingresp => Ok(()),
            Packet::Disconnect(disconnect) => disconnect.encode(version, out),
            Packet::Auth(auth) => auth.encode(version, out),
        }
    }
}

/// Splits a whole frame: its kind, its flags, and where its body begins.
fn header(version: Version, frame: &Bytes) -> Result<(PacketKind, u8, usize), DecodeError> {
    let first = *frame.first().ok_or(DecodeError::ReservedType { number: 0 })?;
    let number = first >> 4;
    let kind = PacketKind::from_number(version, number).ok_or(DecodeError::ReservedType { number })?;
    let (length, bytes) = variable(&frame[1..], REMAINING_LENGTH)?.ok_or(DecodeError::Truncated {
        packet: kind,
        field: REMAINING_LENGTH,
        needed: frame.len(),
        left: frame.len() - 1,
    })?;
    // [MQTT-1.5.5-1] CONNECT is excepted: it is read before the version is known, and 3.1.1 has no such rule.
    if version.has_properties() && kind != PacketKind::Connect && bytes != variable_len(length) {
        return Err(DecodeError::NotMinimal { field: REMAINING_LENGTH, value: length });
    }
    let (body, needed) = (1 + bytes, length as usize);
    let left = frame.len() - body;
    if left < needed {
        return Err(DecodeError::Truncated { packet: kind, field: "the body", needed, left });
    }
    if left > needed {
        return Err(DecodeError::Leftover { packet: kind, bytes: left - needed });
    }
    Ok((kind, first & 0x0F, body))
}

/// What can be judged of a frame by its first byte alone.
pub(crate) fn check_first_byte(version: Version, sender: Side, first: u8) -> Result<(), DecodeError> {
    let number = first >> 4;
    let packet = PacketKind::from_number(version, number).ok_or(DecodeError::ReservedType { number })?;
    if !packet.sent_by(version, sender) {
        return Err(DecodeError::WrongDirection { packet, sender });
    }
    check_flags(version, packet, first & 0x0F)
}

fn check_flags(version: Version, packet: PacketKind, flags: u8) -> Result<(), DecodeError> {
    if packet == PacketKind::Publish {
        return super::publish::check_flags(version, flags);
    }
    // [MQTT-2.1.3-1]; 3.1.1 [MQTT-2.2.2-2]. 3.1 uses DUP on PUBREL, SUBSCRIBE and UNSUBSCRIBE, and asks nobody to check
    // the others.
    if version > Version::V3_1 && flags != packet.fixed_flags() {
        return Err(DecodeError::FixedFlags { packet, flags });
    }
    Ok(())
}

/// The version that a CONNECT frame asks for; `None` for anything else.
pub(crate) fn connect_version(frame: &Bytes) -> Option<Version> {
    let (kind, _, body) = header(Version::V5_0, frame).ok()?;
    if kind != PacketKind::Connect {
        return None;
    }
    Connect::decode_version(&mut Reader::new(frame, body, kind)).ok()
}
