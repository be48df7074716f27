//! A packet and its whole frame: the fixed header (section 2.1), and what each type has behind it.

use bytes::{Bytes, BytesMut};

use super::{
    Ack, Auth, Connack, Connect, Disconnect, Fields, Packet, PacketKind, Publish, Suback, Subscribe, Unsuback,
    Unsubscribe, connect::decode_version,
};
use crate::{
    error::{DecodeError, EncodeError},
    property::Place,
    reason::Side,
    version::Version,
    wire::{Keep, Reader, VARIABLE_BYTE_INTEGER_MAX, Writer, variable, variable_len},
};

/// The lower four bits of the first byte.
const FLAGS: u8 = 0x0F;

/// What an error calls the length in the fixed header.
pub(crate) const REMAINING_LENGTH: &str = "the remaining length";

impl Packet {
    /// Decodes one whole frame (fixed header included) that `sender` sent. A CONNECT carries its own version and is
    /// decoded by that; `version` is then not looked at.
    ///
    /// # Errors
    /// Everything section 2 and 3 forbid, one variant per cause.
    pub fn decode(version: Version, sender: Side, frame: Bytes) -> Result<Packet, DecodeError> {
        let (kind, first, body) = header(version, &frame)?;
        if kind != PacketKind::Connect {
            check_first_byte(version, sender, first)?;
            return Packet::decode_shared(version, sender, first, frame, body);
        }
        let version = check_connect(sender, first, &frame, body)?;
        Ok(Packet::Connect(Connect::decode(version, frame, body)?))
    }

    /// Decodes what follows a fixed header that was judged, any but CONNECT's.
    #[inline]
    pub(crate) fn decode_shared(
        version: Version,
        sender: Side,
        first: u8,
        frame: Bytes,
        body: usize,
    ) -> Result<Packet, DecodeError> {
        if first >> 4 == PacketKind::Publish.number() {
            let fields = Fields::read(version, sender, first, &frame, body)?;
            return Ok(Packet::Publish(Publish::within(frame, fields)));
        }
        Packet::decode_body(version, sender, first, &frame, Keep::Share(&frame), body)
    }

    /// The same for any but PUBLISH, which shares its frame whatever becomes of what others keep. A packet is large and
    /// made where the caller wants it.
    #[inline]
    pub(crate) fn decode_body<P: From<Packet>>(
        version: Version,
        sender: Side,
        first: u8,
        frame: &[u8],
        keep: Keep<'_>,
        body: usize,
    ) -> Result<P, DecodeError> {
        let kind = kind(version, first)?;
        let reader = &mut Reader::new(frame, body, kind).keeping(keep);
        let ack = |place, reader: &mut Reader<'_>| Ack::decode(version, sender, place, reader);
        let packet = match kind {
            PacketKind::Connect | PacketKind::Publish => unreachable!("decoded by the functions above"),
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
        Ok(packet.into())
    }

    /// Appends the packet's frame to `out`. On an error `out` is as before. What only 5.0 has is left out before 5.0.
    /// A CONNECT is written in its own version; `version` is then not looked at.
    ///
    /// # Errors
    /// A packet that this version does not have, or one too long for a frame.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        if let Packet::Publish(publish) = self {
            return publish.write(version, out);
        }
        if let Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) = self
            && ack.properties.is_empty()
        {
            ack.write_without_properties(self.first_byte(), version, out);
            return Ok(());
        }
        self.write(version, out)
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

    /// Of any packet but PUBLISH, which has flags of its own.
    fn first_byte(&self) -> u8 {
        self.kind().number() << 4 | self.kind().fixed_flags()
    }

    fn write(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let start = out.len();
        let written = self.fill(version, out);
        if written.is_err() {
            out.truncate(start);
        }
        written
    }

    fn fill(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        let body = self.body_len(version);
        let length = remaining_length(body)?;
        let mut out = Writer::behind(out, 1 + variable_len(length) + body);
        out.put_u8(self.first_byte());
        out.put_variable(length);
        match self {
            Packet::Connect(connect) => connect.encode(out),
            Packet::Connack(connack) => connack.encode(version, out),
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                ack.encode(version, out)
            }
            Packet::Subscribe(subscribe) => subscribe.encode(version, out),
            Packet::Suback(suback) => suback.encode(version, out),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.encode(version, out),
            Packet::Unsuback(unsuback) => unsuback.encode(version, out),
            Packet::Publish(_) | Packet::Pingreq | Packet::Pingresp => Ok(()),
            Packet::Disconnect(disconnect) => disconnect.encode(version, out),
            Packet::Auth(auth) => auth.encode(version, out),
        }
    }
}

/// The Remaining Length of a body, if a frame can be so long.
pub(super) fn remaining_length(body: usize) -> Result<u32, EncodeError> {
    match u32::try_from(body) {
        Ok(length) if length <= VARIABLE_BYTE_INTEGER_MAX => Ok(length),
        _ => Err(EncodeError::TooLong(1 + variable_len(VARIABLE_BYTE_INTEGER_MAX) + body)),
    }
}

/// The version that a CONNECT asks for.
pub(crate) fn connect_version(sender: Side, frame: &[u8], body: usize) -> Result<Version, DecodeError> {
    if sender == Side::Server {
        return Err(DecodeError::WrongDirection { packet: PacketKind::Connect, sender });
    }
    decode_version(&frame[body..])
}

/// The same, and whether the flags of the fixed header are those of that version.
pub(super) fn check_connect(sender: Side, first: u8, frame: &[u8], body: usize) -> Result<Version, DecodeError> {
    let version = connect_version(sender, frame, body)?;
    check_flags(version, PacketKind::Connect, first & FLAGS)?;
    Ok(version)
}

/// Splits a whole frame: its kind, its first byte, and where its body begins.
pub(super) fn header(version: Version, frame: &[u8]) -> Result<(PacketKind, u8, usize), DecodeError> {
    let first = *frame.first().ok_or(DecodeError::ReservedType { number: 0 })?;
    let kind = kind(version, first)?;
    let (length, bytes) = variable(&frame[1..], REMAINING_LENGTH)?.ok_or(DecodeError::Truncated {
        packet: kind,
        field: REMAINING_LENGTH,
        needed: frame.len(),
        left: frame.len() - 1,
    })?;
    if kind != PacketKind::Connect {
        check_minimal(version, length, bytes)?;
    }
    let (body, needed) = (1 + bytes, length as usize);
    let left = frame.len() - body;
    if left < needed {
        return Err(DecodeError::Truncated { packet: kind, field: "the body", needed, left });
    }
    if left > needed {
        return Err(DecodeError::Leftover { packet: kind, bytes: left - needed });
    }
    Ok((kind, first, body))
}

fn kind(version: Version, first: u8) -> Result<PacketKind, DecodeError> {
    let number = first >> 4;
    PacketKind::from_number(version, number).ok_or(DecodeError::ReservedType { number })
}

/// Judges how the Remaining Length is written, of any frame but CONNECT: that is read before the version is known, and
/// 3.1.1 has no such rule.
#[inline]
pub(crate) fn check_minimal(version: Version, length: u32, bytes: usize) -> Result<(), DecodeError> {
    // [MQTT-1.5.5-1]
    if version.has_properties() && bytes != variable_len(length) {
        return Err(DecodeError::NotMinimal { field: REMAINING_LENGTH, value: length });
    }
    Ok(())
}

/// What can be judged of a frame by its first byte alone.
#[inline]
pub(crate) fn check_first_byte(version: Version, sender: Side, first: u8) -> Result<(), DecodeError> {
    if FIRST_BYTES[version as usize][sender as usize][first as usize] { Ok(()) } else { judge(version, sender, first) }
}

/// By version and sender: which bytes may begin a frame.
static FIRST_BYTES: [[[bool; 256]; 2]; 3] = {
    let mut allowed = [[[false; 256]; 2]; 3];
    let mut at = 0;
    while at < 3 * 2 * 256 {
        let (version, sender) = (Version::ALL[at / 512], [Side::Client, Side::Server][at / 256 % 2]);
        allowed[version as usize][sender as usize][at % 256] = may_begin(version, sender, (at % 256) as u8);
        at += 1;
    }
    allowed
};

const fn may_begin(version: Version, sender: Side, first: u8) -> bool {
    let Some(packet) = PacketKind::from_number(version, first >> 4) else { return false };
    let flags = first & FLAGS;
    let flags_fit = match packet {
        PacketKind::Publish => super::publish::flags_fit(version, flags),
        _ => matches!(version, Version::V3_1) || flags == packet.fixed_flags(),
    };
    flags_fit && packet.sent_by(version, sender)
}

/// The same, by name.
#[cold]
fn judge(version: Version, sender: Side, first: u8) -> Result<(), DecodeError> {
    let packet = kind(version, first)?;
    if !packet.sent_by(version, sender) {
        return Err(DecodeError::WrongDirection { packet, sender });
    }
    check_flags(version, packet, first & FLAGS)
}

pub(crate) fn check_flags(version: Version, packet: PacketKind, flags: u8) -> Result<(), DecodeError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_first_bytes_agrees_with_the_judge() {
        for version in Version::ALL {
            for sender in [Side::Client, Side::Server] {
                for first in 0..=u8::MAX {
                    let judged = judge(version, sender, first);
                    assert_eq!(may_begin(version, sender, first), judged.is_ok(), "{first:#04X}: {judged:?}");
                    assert_eq!(check_first_byte(version, sender, first), judged);
                }
            }
        }
    }
}
