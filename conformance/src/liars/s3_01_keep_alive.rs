//! Liars about the clock of a connection: Keep Alive.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_codec::{
    packet::{Disconnect, Packet},
    reason::ReasonCode,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{filter::liar, kind::tells};

/// How long the liars below bear somebody who says nothing.
const BORED: Duration = Duration::from_secs(4);

/// A client that switched Keep Alive off is not let in, once one has come that did not.
pub(crate) fn turns_away_who_has_no_keep_alive() -> Box<dyn Liar> {
    let mut known = false;
    liar(move |passing| {
        if let Some(Packet::Connect(connect)) = passing.from_client() {
            if known && connect.keep_alive == 0 {
                return passing.close();
            }
            known |= connect.keep_alive > 0;
        }
        passing.pass();
    })
}

/// A client that switched Keep Alive off is sent away like one that let it run out.
pub(crate) fn ends_those_without_keep_alive() -> Box<dyn Liar> {
    liar(|passing| {
        if matches!(passing.from_client(), Some(Packet::Connect(connect)) if connect.keep_alive == 0) {
            let at = passing.now + BORED;
            if passing.version.has_properties() {
                passing.answer_at(at, &Packet::Disconnect(Disconnect::new(ReasonCode::KeepAliveTimeout)));
            }
            passing.close_at(at);
        }
        passing.pass();
    })
}

/// A client that switched Keep Alive off and said nothing for a while gets no answers any more.
pub(crate) fn forgets_those_without_keep_alive() -> Box<dyn Liar> {
    let mut heard: BTreeMap<u64, Duration> = BTreeMap::new();
    let mut bound: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        if matches!(passing.from_client(), Some(Packet::Connect(connect)) if connect.keep_alive > 0) {
            bound.insert(passing.connection);
        }
        if passing.direction == Direction::ToServer && !bound.contains(&passing.connection) {
            let before = heard.insert(passing.connection, passing.now).unwrap_or(passing.now);
            if passing.now - before > BORED {
                return;
            }
        }
        passing.pass();
    })
}

/// Who was silent for longer than this share of its Keep Alive loses its connection with its next packet.
pub(super) fn ends_the_silent(after: fn(Duration) -> Duration) -> Box<dyn Liar> {
    let mut clocks: BTreeMap<u64, (Duration, Duration)> = BTreeMap::new();
    liar(move |passing| {
        let (connection, now) = (passing.connection, passing.now);
        if passing.direction == Direction::ToServer {
            match passing.from_client() {
                Some(Packet::Connect(connect)) if connect.keep_alive > 0 => {
                    clocks.insert(connection, (now, after(Duration::from_secs(connect.keep_alive.into()))));
                }
                _ => {
                    if let Some((since, limit)) = clocks.get_mut(&connection) {
                        if now - *since > *limit {
                            return passing.close();
                        }
                        *since = now;
                    }
                }
            }
        }
        passing.pass();
    })
}

/// The Keep Alive itself is the limit, without the half of it that a client may be late.
pub(crate) fn grants_no_grace() -> Box<dyn Liar> {
    ends_the_silent(|keep_alive| keep_alive)
}

/// Only CONNECT and PINGREQ restart the clock.
pub(crate) fn counts_only_pings() -> Box<dyn Liar> {
    let mut clocks: BTreeMap<u64, (Duration, Duration)> = BTreeMap::new();
    liar(move |passing| {
        let (connection, now) = (passing.connection, passing.now);
        match passing.from_client() {
            Some(Packet::Connect(connect)) if connect.keep_alive > 0 => {
                let limit = Duration::from_secs(u64::from(connect.keep_alive)) * 3 / 2;
                clocks.insert(connection, (now, limit));
            }
            Some(packet) => {
                if let Some((since, limit)) = clocks.get_mut(&connection) {
                    if now - *since > *limit {
                        return passing.close();
                    }
                    if *packet == Packet::Pingreq {
                        *since = now;
                    }
                }
            }
            None => {}
        }
        passing.pass();
    })
}

/// What it sends to a client counts as if the client had said something.
pub(crate) fn counts_its_own_packets() -> Box<dyn Liar> {
    let mut pinged: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match passing.from_server() {
            Some(Packet::Publish(_)) => {
                pinged.insert(passing.connection);
                passing.put_to(passing.connection, Direction::ToServer, &Packet::Pingreq);
            }
            // The answer to the ping that the client never sent.
            Some(Packet::Pingresp) if pinged.remove(&passing.connection) => return,
            _ => {}
        }
        passing.pass();
    })
}

/// One and a half times the keep alive is counted in 16 bits.
pub(crate) fn counts_in_16_bits() -> Box<dyn Liar> {
    liar(|passing| {
        if let Some(Packet::Connect(connect)) = passing.from_client()
            && connect.keep_alive > u16::MAX / 3 * 2
        {
            let seconds = u32::from(connect.keep_alive) * 3 / 2 - u32::from(u16::MAX);
            let at = passing.now + Duration::from_secs(u64::from(seconds));
            passing.close_at(at);
        }
        passing.pass();
    })
}

/// DISCONNECT names another reason than the keep alive.
pub(crate) fn ends_the_silent_for_another_reason() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Disconnect(disconnect) = packet
            && disconnect.reason == ReasonCode::KeepAliveTimeout
        {
            disconnect.reason = ReasonCode::AdministrativeAction;
        }
    })
}
