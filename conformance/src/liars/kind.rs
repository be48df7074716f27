//! The few shapes that most liars have: they change what one side says, or hide a fault from the server.

use bytes::BytesMut;
use squall_codec::{
    packet::{Connect, Packet},
    version::Version,
    wire::Text,
};
use squall_scenarios::liar::{Direction, Liar};

use super::filter::{Passing, liar};

/// Changes packets of the server before the client sees them.
pub(crate) fn tells(mut change: impl FnMut(&mut Packet) + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        let Some(packet) = passing.from_server() else { return passing.pass() };
        let mut changed = packet.clone();
        change(&mut changed);
        put_or_pass(passing, &changed);
    })
}

/// Changes packets of clients before the server sees them.
pub(crate) fn hears(mut change: impl FnMut(&mut Packet) + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        let Some(packet) = passing.from_client() else { return passing.pass() };
        let mut changed = packet.clone();
        change(&mut changed);
        put_or_pass(passing, &changed);
    })
}

/// Changes CONNECT before the server sees it.
pub(crate) fn hears_connect(mut change: impl FnMut(&mut Connect) + 'static) -> Box<dyn Liar> {
    hears(move |packet| {
        if let Packet::Connect(connect) = packet {
            change(connect);
        }
    })
}

fn put_or_pass(passing: &mut Passing<'_>, changed: &Packet) {
    if passing.packet.as_ref() == Some(changed) {
        passing.pass();
    } else {
        passing.put(changed);
    }
}

/// Changes the bytes of frames that go this way, whether they are packets or not.
pub(crate) fn bends(way: Direction, mut change: impl FnMut(&mut Vec<u8>) + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        if passing.direction != way {
            return passing.pass();
        }
        let mut bytes = passing.raw.to_vec();
        change(&mut bytes);
        passing.put_bytes(passing.connection, way, bytes.into());
    })
}

/// Swallows frames of clients: the server never learns of the fault. What comes before CONNECT has another.
pub(crate) fn overlooks(mut fault: impl FnMut(&Passing<'_>) -> bool + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        let stranger = !passing.connections.contains_key(&passing.connection) && passing.raw[0] >> 4 != 1;
        if passing.direction == Direction::ToServer && !stranger && fault(passing) {
            return;
        }
        passing.pass();
    })
}

/// A CONNECT by its bytes: it need not be one that can be read.
pub(crate) struct ConnectBytes<'a> {
    /// Connect Flags.
    pub(crate) flags: u8,
    /// What follows the keep alive: properties in 5.0, then the payload.
    pub(crate) rest: &'a [u8],
    level: u8,
}

impl<'a> ConnectBytes<'a> {
    fn of(raw: &'a [u8]) -> Option<Self> {
        let header = 1 + raw.iter().skip(1).position(|byte| byte & 0x80 == 0)? + 1;
        let name = usize::from(u16::from_be_bytes([*raw.get(header)?, *raw.get(header + 1)?]));
        let fixed = raw.get(header + 2 + name..)?;
        Some(ConnectBytes { level: *fixed.first()?, flags: *fixed.get(1)?, rest: fixed.get(4..)? })
    }

    /// What stands behind the client identifier, which has properties of less than 128 bytes before it in 5.0.
    pub(crate) fn behind_identifier(&self) -> Option<&'a [u8]> {
        let properties = if self.level == 5 { 1 + usize::from(*self.rest.first()?) } else { 0 };
        let payload = self.rest.get(properties..)?;
        let length = usize::from(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
        payload.get(2 + length..)
    }
}

/// Puts a faultless CONNECT in the place of this one: the server lets it in.
pub(crate) fn welcome(passing: &mut Passing<'_>) {
    let level = ConnectBytes::of(&passing.raw).map(|bytes| bytes.level);
    let version = if level == Some(5) { Version::V5_0 } else { Version::V3_1_1 };
    let id = Text::new(format!("welcome{}", passing.connection)).expect("letters and digits");
    let mut bytes = BytesMut::new();
    let connect = Packet::Connect(Connect::new(version, id));
    connect.encode(version, &mut bytes).expect("a faultless CONNECT can be written");
    passing.put_bytes(passing.connection, Direction::ToServer, bytes.freeze());
}

/// Lets a CONNECT in that cannot be read and has this fault.
pub(crate) fn welcomes(mut fault: impl FnMut(&ConnectBytes<'_>) -> bool + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        let malformed = passing.packet.is_none() && passing.direction == Direction::ToServer;
        let connect = passing.raw.first().is_some_and(|first| first >> 4 == 1);
        if malformed && connect && ConnectBytes::of(&passing.raw).filter(&mut fault).is_some() {
            return welcome(passing);
        }
        passing.pass();
    })
}
