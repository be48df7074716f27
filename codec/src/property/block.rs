//! A block of properties on the wire (section 2.2.2): its length, then identifier and value one after the other.

use super::{Place, Properties, PropertiesView, Property, PropertyId, PropertyKind};
use crate::{
    error::{DecodeError, EncodeError},
    packet::PacketKind,
    reason::Side,
    topic::check_name,
    wire::{Keep, Reader, VARIABLE_BYTE_INTEGER_MAX, Writer, check_text, variable_len},
};

/// Reads the identifiers of a block and judges whether each may stand there.
pub(crate) struct Head {
    place: Place,
    sender: Side,
    /// One bit for each identifier that may still come.
    open: u64,
    /// One bit for each identifier that was read.
    seen: u64,
}

/// By place and sender: a bit for each identifier that may stand there.
static ALLOWED: [[u64; 2]; Place::ALL.len()] = {
    let mut allowed = [[0; 2]; Place::ALL.len()];
    let mut at = 0;
    while at < PropertyId::ALL.len() * Place::ALL.len() {
        let (property, place) = (PropertyId::ALL[at % PropertyId::ALL.len()], Place::ALL[at / PropertyId::ALL.len()]);
        let bit = 1 << property as u8;
        if property.allowed_in(place) && property.sent_by(place, Side::Client) {
            allowed[place as usize][Side::Client as usize] |= bit;
        }
        if property.allowed_in(place) && property.sent_by(place, Side::Server) {
            allowed[place as usize][Side::Server as usize] |= bit;
        }
        at += 1;
    }
    allowed
};

/// By identifier: what [`PropertyId::bounds`] says.
static BOUNDS: [(u32, u32); 64] = {
    let mut bounds = [(0, 0); 64];
    let mut at = 0;
    while at < PropertyId::ALL.len() {
        let property = PropertyId::ALL[at];
        bounds[property as usize] = property.bounds();
        at += 1;
    }
    bounds
};

impl Head {
    #[inline]
    pub(crate) fn new(place: Place, sender: Side) -> Self {
        Head { place, sender, open: ALLOWED[place as usize][sender as usize], seen: 0 }
    }

    /// The identifier of the next property.
    #[inline]
    pub(crate) fn read(&mut self, block: &mut Reader<'_>) -> Result<PropertyId, DecodeError> {
        let id = block.variable("a property identifier")?;
        let bit = 1_u64.checked_shl(id).unwrap_or(0);
        let property = match PropertyId::from_value(id) {
            Some(property) if self.open & bit != 0 => property,
            _ => return Err(refusal(id, self.place, self.sender)),
        };
        self.seen |= bit;
        if !property.repeats_in(self.place) {
            self.open &= !bit;
        }
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

/// Why an identifier may not come, or not again.
#[cold]
fn refusal(id: u32, place: Place, sender: Side) -> DecodeError {
    let Some(property) = PropertyId::from_value(id) else { return DecodeError::UnknownProperty { id } };
    if !property.allowed_in(place) {
        return DecodeError::PropertyNotAllowed { property, place };
    }
    if !property.sent_by(place, sender) {
        return DecodeError::PropertySender { property, place, sender };
    }
    DecodeError::PropertyRepeated { property, place }
}

impl PropertyId {
    /// Whether a number is within the property's bounds.
    #[inline]
    pub(crate) fn check(self, value: u32) -> Result<(), DecodeError> {
        let (least, most) = BOUNDS[self as usize];
        if value < least || value > most {
            return Err(DecodeError::PropertyValue { property: self, value });
        }
        Ok(())
    }

    /// Whether a string is one that the property may hold.
    #[inline]
    pub(crate) fn check_text(self, text: &[u8]) -> Result<(), DecodeError> {
        match self {
            // [MQTT-3.3.2-14]
            PropertyId::ResponseTopic => check_name(text).map_err(|error| DecodeError::ResponseTopic { error }),
            _ => Ok(()),
        }
    }

    /// Checks the value of a property and passes over it: what a reader does that keeps the bytes as they are.
    /// A number is returned.
    #[inline]
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
    #[inline]
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
        let mut reader = Reader::new(&bytes, 0, PacketKind::Publish);
        let id = reader.variable("a property identifier")?;
        let id = PropertyId::from_value(id).ok_or(DecodeError::UnknownProperty { id })?;
        id.skip(&mut reader.clone())?;
        Property::read(id, &mut reader)
    }
}

impl<'a> PropertiesView<'a> {
    /// Reads a block with its length, checks all of it and copies nothing.
    #[inline]
    pub(crate) fn decode(reader: &mut Reader<'a>, place: Place, sender: Side) -> Result<Self, DecodeError> {
        let length = reader.variable("the property length")?;
        let block = reader.within(length as usize, "the properties")?;
        let view = PropertiesView::new(block.peek());
        if length > 0 {
            check(block, place, sender)?;
        }
        Ok(view)
    }

    /// Reads a block with its length that was checked before.
    #[inline]
    pub(crate) fn again(reader: &mut Reader<'a>) -> Option<Self> {
        let length = reader.variable("the property length").ok()?;
        Some(PropertiesView::new(reader.take(length as usize, "the properties").ok()?))
    }

    /// The same by their values, with copies of what it borrows.
    pub fn to_owned(self) -> Properties {
        self.kept(Keep::Copy)
    }

    /// The same by their values, kept.
    #[inline]
    pub(crate) fn kept(self, keep: Keep<'_>) -> Properties {
        if self.is_empty() { Properties::new() } else { self.read_kept(keep) }
    }

    fn read_kept(self, keep: Keep<'_>) -> Properties {
        let bytes = self.as_bytes().len();
        let mut block = Reader::new(self.as_bytes(), 0, PacketKind::Publish).keeping(keep);
        // Two bytes or more for each, and rarely more than a few.
        let mut list = Vec::with_capacity(bytes.div_ceil(2).min(6));
        while block.left() > 0 {
            let id = block.variable("a property identifier").ok().and_then(PropertyId::from_value);
            let id = id.expect("checked when the frame was decoded");
            list.push(Property::read(id, &mut block).expect("checked when the frame was decoded"));
        }
        Properties { list, bytes }
    }
}

fn check(mut block: Reader<'_>, place: Place, sender: Side) -> Result<(), DecodeError> {
    let mut head = Head::new(place, sender);
    while block.left() > 0 {
        head.read(&mut block)?.skip(&mut block)?;
    }
    head.finish()
}

impl Properties {
    /// Reads a block with its length.
    #[inline]
    pub(crate) fn decode(reader: &mut Reader<'_>, place: Place, sender: Side) -> Result<Self, DecodeError> {
        Ok(PropertiesView::decode(reader, place, sender)?.kept(reader.keep()))
    }

    /// Bytes of the block without its length.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the block with its length.
    pub(crate) fn encoded_len(&self) -> usize {
        block_len(self.bytes)
    }

    /// Appends the block with its length ([MQTT-2.2.2-1]). The writer goes in and comes back: lent to nobody, it stays in
    /// registers.
    #[inline]
    pub(crate) fn encode<'a>(&self, mut out: Writer<'a>) -> Result<Writer<'a>, EncodeError> {
        if self.is_empty() {
            out.put_u8(0);
            return Ok(out);
        }
        self.encode_some(out)
    }

    fn encode_some<'a>(&self, mut out: Writer<'a>) -> Result<Writer<'a>, EncodeError> {
        put_block_len(&mut out, self.bytes)?;
        for property in self.iter() {
            property.encode(&mut out)?;
        }
        Ok(out)
    }
}

/// Bytes of a block whose properties take so many.
pub(crate) fn block_len(content: usize) -> usize {
    u32::try_from(content).map_or(4, variable_len) + content
}

/// Appends the length that a block begins with.
#[inline]
pub(crate) fn put_block_len(out: &mut Writer<'_>, content: usize) -> Result<(), EncodeError> {
    match u32::try_from(content) {
        Ok(length) if length <= VARIABLE_BYTE_INTEGER_MAX => out.put_variable(length),
        _ => return Err(EncodeError::TooLong(content)),
    }
    Ok(())
}
