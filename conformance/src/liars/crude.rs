//! Three crude liars that break everything at once: what passes in front of all of them checks nothing. And one that is
//! only slow.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::{
    packet::{Ack, Connack, Packet, Suback, Unsuback},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::liar::{Direction, Liar};

use super::filter::{deaf_liar, liar};

/// A crude liar with its name.
pub type Crude = (&'static str, fn() -> Box<dyn Liar>);

/// All three.
pub const ALL: [Crude; 3] =
    [("mute", mute), ("hangs up", hangs_up), ("acknowledges everything and delivers nothing", acknowledges)];

/// Takes connections and never says a word.
pub fn mute() -> Box<dyn Liar> {
    deaf_liar(|_| {})
}

/// Ends every connection at its first packet.
pub fn hangs_up() -> Box<dyn Liar> {
    liar(|passing| passing.close())
}

/// Is honest, and sends one byte a minute to each client.
pub fn drips() -> Box<dyn Liar> {
    let mut free: BTreeMap<u64, Duration> = BTreeMap::new();
    liar(move |passing| {
        if passing.direction == Direction::ToServer {
            return passing.pass();
        }
        let mut at = free.get(&passing.connection).copied().unwrap_or_default().max(passing.now);
        for place in 0..passing.raw.len() {
            at += Duration::from_secs(60);
            passing.put_bytes_at(at, passing.raw.slice(place..place + 1));
        }
        free.insert(passing.connection, at);
    })
}

/// Says yes to whatever it understands, overlooks the rest, and never hands a message on.
pub fn acknowledges() -> Box<dyn Liar> {
    deaf_liar(|passing| {
        let Some(packet) = passing.from_client() else { return };
        let answer = match packet {
            Packet::Connect(_) => Packet::Connack(Box::new(Connack::new(ReasonCode::Success))),
            Packet::Publish(publish) => match (publish.qos, publish.packet_id) {
                (Qos::AtLeastOnce, Some(id)) => Packet::Puback(Ack::new(id)),
                (Qos::ExactlyOnce, Some(id)) => Packet::Pubrec(Ack::new(id)),
                _ => return,
            },
            Packet::Pubrel(ack) => Packet::Pubcomp(Ack::new(ack.packet_id)),
            Packet::Subscribe(subscribe) => {
                let granted = |qos: Qos| ReasonCode::from_value(qos.bits()).unwrap_or(ReasonCode::Success);
                let reasons = subscribe.subscriptions.iter().map(|subscription| granted(subscription.options.qos));
                Packet::Suback(Suback::new(subscribe.packet_id, reasons.collect()))
            }
            Packet::Unsubscribe(unsubscribe) => {
                // Before 5.0 an UNSUBACK says nothing but its identifier.
                let count = if passing.version.has_properties() { unsubscribe.filters.len() } else { 0 };
                let reasons = std::iter::repeat_n(ReasonCode::Success, count);
                Packet::Unsuback(Unsuback::new(unsubscribe.packet_id, reasons.collect()))
            }
            Packet::Pingreq => Packet::Pingresp,
            Packet::Disconnect(_) => return passing.close(),
            _ => return,
        };
        passing.answer(&answer);
    })
}
