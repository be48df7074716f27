//! Strings that make a packet unreadable: where they stand, and the packet without that fault.

use std::ops::Range;

use squall_codec::{
    packet::Packet,
    property::{PropertyId, PropertyKind},
    reason::Side,
    version::Version,
};
use squall_scenarios::liar::Direction;

use super::filter::Passing;

/// What makes a string one that no packet may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is no UTF-8.
    IllFormed,
    /// It holds U+0000.
    Null,
    /// Either.
    Any,
}

impl Flaw {
    fn is_in(self, string: &[u8]) -> bool {
        let ill_formed = || std::str::from_utf8(string).is_err();
        match self {
            Flaw::IllFormed => ill_formed(),
            Flaw::Null => string.contains(&0),
            Flaw::Any => ill_formed() || string.contains(&0),
        }
    }
}

/// A CONNECT or PUBLISH of a client that cannot be read for this flaw in its strings and for nothing else: the frame with
/// letters in the place of what is wrong.
pub(crate) fn mended(passing: &Passing<'_>, flaw: Flaw) -> Option<Vec<u8>> {
    if passing.packet.is_some() || passing.direction == Direction::ToClient {
        return None;
    }
    let mut frame = passing.raw.to_vec();
    let (version, strings) = Walk::through(&passing.raw, passing.version)?;
    for place in strings.into_iter().filter(|place| flaw.is_in(&passing.raw[place.clone()])) {
        let wrong = frame[place].iter_mut().filter(|byte| **byte == 0 || **byte >= 0x80);
        wrong.for_each(|byte| *byte = b'x');
    }
    Packet::decode(version, Side::Client, frame.clone().into()).is_ok().then_some(frame)
}

/// A reader of one frame that notes where strings stand.
struct Walk<'a> {
    raw: &'a [u8],
    at: usize,
    strings: Vec<Range<usize>>,
}

impl<'a> Walk<'a> {
    /// Where the strings of a CONNECT or PUBLISH stand, and its version.
    fn through(raw: &'a [u8], version: Version) -> Option<(Version, Vec<Range<usize>>)> {
        let header = 1 + raw.iter().skip(1).position(|byte| byte & 0x80 == 0)? + 1;
        let mut walk = Walk { raw, at: header, strings: Vec::new() };
        let version = match raw.first()? >> 4 {
            1 => walk.connect()?,
            3 => walk.publish(version)?,
            _ => return None,
        };
        Some((version, walk.strings))
    }

    fn connect(&mut self) -> Option<Version> {
        self.string()?;
        let version = if self.byte()? == 5 { Version::V5_0 } else { Version::V3_1_1 };
        let flags = self.byte()?;
        self.skip(2)?;
        self.properties(version)?;
        self.string()?;
        if flags & 0x04 != 0 {
            self.properties(version)?;
            self.string()?;
            self.binary()?;
        }
        if flags & 0x80 != 0 {
            self.string()?;
        }
        Some(version)
    }

    fn publish(&mut self, version: Version) -> Option<Version> {
        self.string()?;
        if self.raw[0] & 0x06 != 0 {
            self.skip(2)?;
        }
        self.properties(version)?;
        Some(version)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.raw.get(self.at..self.at + count)?;
        self.at += count;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        self.skip(1)?;
        Some(self.raw[self.at - 1])
    }

    /// Two bytes of length, and so many bytes.
    fn binary(&mut self) -> Option<Range<usize>> {
        let length = usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]));
        self.skip(length)?;
        Some(self.at - length..self.at)
    }

    fn string(&mut self) -> Option<()> {
        let place = self.binary()?;
        self.strings.push(place);
        Some(())
    }

    fn variable(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn properties(&mut self, version: Version) -> Option<()> {
        if !version.has_properties() {
            return Some(());
        }
        let end = self.variable()? + self.at;
        while self.at < end {
            let id = PropertyId::from_value(u32::try_from(self.variable()?).ok()?)?;
            match id.kind() {
                PropertyKind::Byte => self.skip(1)?,
                PropertyKind::Two => self.skip(2)?,
                PropertyKind::Four => self.skip(4)?,
                PropertyKind::Variable => {
                    self.variable()?;
                }
                PropertyKind::Binary => {
                    self.binary()?;
                }
                PropertyKind::Text => self.string()?,
                PropertyKind::Pair => {
                    self.string()?;
                    self.string()?;
                }
            }
        }
        Some(())
    }
}
