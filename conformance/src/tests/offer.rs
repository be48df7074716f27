//! What a server offers: it says so in CONNACK, and nothing beyond that is asked of it.

use squall_codec::{
    packet::{Connack, Suback},
    qos::Qos,
};
use squall_scenarios::{
    peer::{Peer, Seen},
    verdict::Halt,
};

fn said(peer: &Peer) -> Option<&Connack> {
    peer.connack()
}

/// The highest QoS that may be published.
pub(crate) fn highest_qos(peer: &Peer) -> Qos {
    said(peer).and_then(|connack| connack.properties.maximum_qos()).and_then(Qos::from_bits).unwrap_or(Qos::ExactlyOnce)
}

/// `unsupported` where this QoS may not be published.
pub(crate) fn qos(peer: &Peer, qos: Qos) -> Result<(), Halt> {
    match highest_qos(peer) {
        highest if highest < qos => Err(Halt::unsupported(format!("the server announces Maximum QoS {highest}"))),
        _ => Ok(()),
    }
}

/// The QoS that a SUBACK granted its first filter.
pub(crate) fn granted_qos(suback: &Suback) -> Qos {
    suback.reasons.first().and_then(|reason| Qos::from_bits(reason.value())).unwrap_or(Qos::AtMostOnce)
}

/// `unsupported` where a subscriber was granted less than it asked for: a server may do that ([MQTT-3.8.4-7],
/// 3.1.1 [MQTT-3.8.4-6]).
pub(crate) fn granted(suback: &Seen<Suback>, asked: Qos) -> Result<(), Halt> {
    match granted_qos(suback) {
        granted if granted < asked => {
            let reason = format!("the server grants QoS {granted} where QoS {asked} was asked for");
            Err(Halt::unsupported(reason).at(suback))
        }
        _ => Ok(()),
    }
}

/// `unsupported` where nothing is retained.
pub(crate) fn retain(peer: &Peer) -> Result<(), Halt> {
    match said(peer).and_then(|connack| connack.properties.retain_available()) {
        Some(0) => Err(Halt::unsupported("the server announces Retain Available 0")),
        _ => Ok(()),
    }
}

/// `unsupported` where filters may hold no wildcard.
pub(crate) fn wildcards(peer: &Peer) -> Result<(), Halt> {
    match said(peer).and_then(|connack| connack.properties.wildcard_subscription_available()) {
        Some(0) => Err(Halt::unsupported("the server announces Wildcard Subscription Available 0")),
        _ => Ok(()),
    }
}

/// `unsupported` where subscriptions have no identifiers.
pub(crate) fn subscription_identifiers(peer: &Peer) -> Result<(), Halt> {
    match said(peer).and_then(|connack| connack.properties.subscription_identifier_available()) {
        Some(0) => Err(Halt::unsupported("the server announces Subscription Identifier Available 0")),
        _ => Ok(()),
    }
}

/// `unsupported` where there are no Shared Subscriptions.
pub(crate) fn shared_subscriptions(peer: &Peer) -> Result<(), Halt> {
    match said(peer).and_then(|connack| connack.properties.shared_subscription_available()) {
        Some(0) => Err(Halt::unsupported("the server announces Shared Subscription Available 0")),
        _ => Ok(()),
    }
}

/// `unsupported` where the server lets the session live for less than was asked.
pub(crate) fn session_expiry(peer: &Peer, asked_seconds: u32) -> Result<(), Halt> {
    match said(peer).and_then(|connack| connack.properties.session_expiry_interval()) {
        Some(given) if given < asked_seconds => {
            Err(Halt::unsupported(format!("the server lowers Session Expiry Interval {asked_seconds} to {given}")))
        }
        _ => Ok(()),
    }
}

/// The Topic Alias Maximum; `unsupported` where it is 0.
pub(crate) fn topic_aliases(peer: &Peer) -> Result<u16, Halt> {
    match said(peer).and_then(|connack| connack.properties.topic_alias_maximum()) {
        None | Some(0) => Err(Halt::unsupported("the server announces no Topic Alias Maximum")),
        Some(maximum) => Ok(maximum),
    }
}

/// The largest packet in bytes that the server takes.
pub(crate) fn packet_size(peer: &Peer) -> usize {
    let announced = said(peer).and_then(|connack| connack.properties.maximum_packet_size());
    announced.map_or(usize::MAX, |size| size as usize)
}
