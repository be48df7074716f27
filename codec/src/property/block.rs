//! A block of properties on the wire (section 2.2.2): its length, then identifier and value one after the other.

use super::{Place, Properties, Property, PropertyId, PropertyKind};
use crate::{
    error::{DecodeError, EncodeError},
    reason::Side,
    topic::check_name,
    wire::{Reader, VARIABLE_BYTE_INTEGER_MAX, Writer, check_text, variable_len},
};

/// Reads the identifiers of a block and judges whether each may stand there.
pub(crate) struct Head {
    place: Place,
    sender: Side,
    /// One bit for each identifier that was read.
    seen: u64,
}

impl Head {
    pub(crate) fn new(place: Place, sender: Side) -> Self {
        Head { place, sender, seen: 0 }
    }

    /// The identifier of the next property.
    pub(crate) fn read(&mut self, block: &mut Reader<'_>) -> Result<PropertyId, DecodeError> {
        let id = block.variable("a property identifier")?;
        let property = PropertyId::from_value(id).ok_or(DecodeError::UnknownProperty { id })?;
        let place = self.place;
        if !property.allowed_in(place) {
            return Err(DecodeError::PropertyNotAllowed { property, place });
        }
        if !property.sent_by(place, self.sender) {
            return Err(DecodeError::PropertySender { property, place, sender: self.sender });
        }
        let bit = 1 << id;
        if self.seen & bit != 0 && !property.repeats_in(place) {
            return Err(DecodeError::PropertyRepeated { property, place });
        }
        self.seen |= bit;
        Ok(property)
    }

    /// Whether a property was read.
    fn has(&self, property: PropertyId) -> bool {
        self.seen & (1 << property as u8) != 0
    }

    /// What can be judged only at the end of a block.
    fn finish(&self) -> Result<(), DecodeError> {
        if self.has(PropertyId::AuthenticationData) && !self.has(PropertyId::AuthenticationMethod) {
            return Err(DecodeError::AuthenticationDataAlone { place: self.place });
        }
        Ok(())
    }
}

impl PropertyId {
    /// Whether a number is within the property's bounds.
    pub(crate) fn check(self, value: u32) -> Result<(), DecodeError> {
        let (least, most) = self.bounds();
        if value < least || value > most {
            return Err(DecodeError::PropertyValue { property: self, value });
        }
        Ok(())
    }

    /// Whether a string is one that the property may hold.
    pub(crate) fn check_text(self, text: &[u8]) -> Result<(), DecodeError> {
        match self {
            // [MQTT-3.3.2-14]
            PropertyId::ResponseTopic => check_name(text).map_err(|error| DecodeError::ResponseTopic { error }),
            _ => Ok(()),
        }
    }

    /// Checks the value of a property and passes over it: what a reader does that keeps the bytes as they are.
    /// A number is returned.
    pub(crate) fn skip(self, block: &mut Reader<'_>) -> Result<u32, DecodeError> {
        let field = self.name();
        let number = match self.kind() {
            PropertyKind::Byte => u32::from(block.u8(field)?),
            PropertyKind::Two => u32::from(block.u16(field)?),
            PropertyKind::Four => block.u32(field)?,
            PropertyKind::Variable => block.variable(field)?,
            PropertyKind::Text => {
                let bytes = self.skip_text(block)?;
                self.check_text(bytes)?;
                return Ok(0);
            }
            PropertyKind::Binary => {
                block.prefixed(field)?;
                return Ok(0);
            }
            // [MQTT-1.5.7-1]
            PropertyKind::Pair => {
                self.skip_text(block)?;
                self.skip_text(block)?;
                return Ok(0);
            }
        };
        self.check(number)?;
        Ok(number)
    }

    // [MQTT-3.3.2-13] [MQTT-3.3.2-19]
    fn skip_text<'a>(self, block: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
        let bytes = block.prefixed(self.name())?;
        check_text(bytes).map_err(|error| DecodeError::Text { field: self.name(), error })?;
        Ok(bytes)
    }
}

impl Property {
    /// Reads one property from identifier and value, wherever it may stand.
    #[cfg(feature = "arbitrary")]
    pub(crate) fn from_wire(bytes: bytes::Bytes) -> Result<Property, DecodeError> {
        let mut reader = Reader::new(crate::wire::Frame::Shared(&bytes), 0, crate::packet::PacketKind::Publish);
        let id = reader.variable("a property identifier")?;
        let id = PropertyId::from_value(id).ok_or(DecodeError::UnknownProperty { id })?;
        Property::read(id, &mut reader)
    }
}

impl Properties {
    /// Reads a block with its length.
    pub(crate) fn decode(reader: &mut Reader<'_>, place: Place, sender: Side) -> Result<Self, DecodeError> {
        let length = reader.variable("the property length")?;
        let mut block = reader.within(length as usize, "the properties")?;
        let mut head = Head::new(place, sender);
        let bytes = block.left();
        // Two bytes or more for each, and rarely more than a few.
        let mut list = Vec::with_capacity(bytes.div_ceil(2).min(6));
        while block.left() > 0 {
            let id = head.read(&mut block)?;
            let property = Property::read(id, &mut block)?;
            property.check()?;
            list.push(property);
        }
        head.finish()?;
        Ok(Properties { list, bytes })
    }

    /// Bytes of the block with its length.
    pub(crate) fn encoded_len(&self) -> usize {
        block_len(self.bytes)
    }

    /// Appends the block with its length ([MQTT-2.2.2-1]).
    pub(crate) fn encode(&self, out: &mut Writer<'_>) -> Result<(), EncodeError> {
        put_block_len(out, self.bytes)?;
        self.iter().try_for_each(|property| property.encode(out))
    }
}

/// Bytes of a block whose properties take so many.
pub(crate) fn block_len(content: usize) -> usize {
    u32::try_from(content).map_or(4, variable_len) + content
}

/// Appends the length that a block begins with.
pub(crate) fn put_block_len(out: &mut Writer<'_>, content: usize) -> Result<(), EncodeError> {
    match u32::try_from(content) {
        Ok(length) if length <= VARIABLE_BYTE_INTEGER_MAX => out.put_variable(length),
        _ => return Err(EncodeError::TooLong(content)),
    }
    Ok(())
}
