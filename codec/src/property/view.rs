//! Properties where they lie: checked once, read as often as somebody wants, nothing copied.

use super::PropertyId;
use crate::{ascii::as_str, packet::PacketKind, property::PropertyKind, wire::Reader};

/// A block of properties that was checked, in the frame that it came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertiesView<'a> {
    block: &'a [u8],
}

/// The value of a property that borrows from its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of `PropertyKind`")]
pub enum ValueView<'a> {
    Byte(u8),
    Two(u16),
    Four(u32),
    Variable(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair(&'a str, &'a str),
}

impl<'a> PropertiesView<'a> {
    /// Of a block without its length that was checked.
    pub(crate) const fn new(block: &'a [u8]) -> Self {
        PropertiesView { block }
    }

    /// The properties in the order of the wire.
    #[inline]
    pub fn iter(&self) -> PropertyViews<'a> {
        PropertyViews { reader: Reader::new(self.block, 0, PacketKind::Publish) }
    }

    /// The value of the first property with this identifier.
    pub fn value(self, id: PropertyId) -> Option<ValueView<'a>> {
        self.iter().find_map(|(one, value)| (one == id).then_some(value))
    }

    pub(crate) const fn as_bytes(self) -> &'a [u8] {
        self.block
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.block.is_empty()
    }
}

impl<'a> IntoIterator for PropertiesView<'a> {
    type Item = (PropertyId, ValueView<'a>);
    type IntoIter = PropertyViews<'a>;

    fn into_iter(self) -> PropertyViews<'a> {
        self.iter()
    }
}

/// Yields the properties of a block one after the other.
#[derive(Clone, Debug)]
pub struct PropertyViews<'a> {
    reader: Reader<'a>,
}

impl<'a> PropertyViews<'a> {
    #[inline]
    fn text(&mut self, id: PropertyId) -> Option<&'a str> {
        self.reader.prefixed(id.name()).ok().map(as_str)
    }
}

impl<'a> Iterator for PropertyViews<'a> {
    type Item = (PropertyId, ValueView<'a>);

    /// Ends where the block ends: in one that was checked there is nothing else to end it.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.left() == 0 {
            return None;
        }
        let id = PropertyId::from_value(self.reader.variable("a property identifier").ok()?)?;
        let field = id.name();
        let value = match id.kind() {
            PropertyKind::Byte => ValueView::Byte(self.reader.u8(field).ok()?),
            PropertyKind::Two => ValueView::Two(self.reader.u16(field).ok()?),
            PropertyKind::Four => ValueView::Four(self.reader.u32(field).ok()?),
            PropertyKind::Variable => ValueView::Variable(self.reader.variable(field).ok()?),
            PropertyKind::Text => ValueView::Text(self.text(id)?),
            PropertyKind::Binary => ValueView::Binary(self.reader.prefixed(field).ok()?),
            PropertyKind::Pair => ValueView::Pair(self.text(id)?, self.text(id)?),
        };
        Some((id, value))
    }
}
