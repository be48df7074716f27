//! Liars about limits: they take what CONNACK said that they do not.

use std::time::Duration;

use squall_codec::{
    packet::{Ack, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
};
use squall_scenarios::liar::Liar;

use super::{
    filter::liar,
    kind::{hears, hears_connect, tells},
};

/// Grants no subscription above what may be published.
pub(crate) fn grants_only_what_may_be_published() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Suback(suback) = packet
            && let Some(last) = suback.reasons.last_mut()
        {
            *last = ReasonCode::ImplementationSpecificError;
        }
    })
}

/// Takes any will.
pub(crate) fn takes_any_will() -> Box<dyn Liar> {
    hears_connect(|connect| {
        if let Some(will) = &mut connect.will {
            (will.qos, will.retain) = (Qos::AtMostOnce, false);
        }
    })
}

/// Takes retained messages as if they were not.
pub(crate) fn forwards_what_it_cannot_retain() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Publish(publish) = packet {
            publish.retain = false;
        }
    })
}

/// Acknowledges a QoS that it does not have.
pub(crate) fn acknowledges_any_qos() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Publish(publish)) if publish.qos != Qos::AtMostOnce => {
            let Some(id) = publish.packet_id else { return };
            let answer = if publish.qos == Qos::AtLeastOnce { Packet::Puback } else { Packet::Pubrec };
            passing.answer(&answer(Ack::new(id)));
        }
        _ => passing.pass(),
    })
}

/// Takes packets of any size: what is too much of them is cut off before it is looked at.
pub(crate) fn takes_packets_of_any_size() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Publish(publish) = packet
            && publish.payload().len() > 8
        {
            let shorter = publish.payload()[..8].to_vec();
            *publish = publish.clone().with_payload(&shorter);
        }
    })
}

/// Grants every filter and identifier, whatever it said.
pub(crate) fn grants_any_subscription() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Subscribe(subscribe) = packet {
            let others = subscribe.properties.iter().filter(|one| !matches!(one, Property::SubscriptionIdentifier(_)));
            subscribe.properties = others.cloned().collect::<Properties>();
            for subscription in &mut subscribe.subscriptions {
                subscription.filter = TopicFilter::literal("anything");
            }
        }
    })
}

/// Waits for the Keep Alive that the client asked for, though it has said another.
pub(crate) fn keeps_silent_clients() -> Box<dyn Liar> {
    super::filter::deaf_liar(|passing| match passing.from_server() {
        Some(Packet::Disconnect(_)) if passing.now > Duration::ZERO => {}
        _ => passing.pass(),
    })
}

/// Refuses a CONNECT and does not hang up.
pub(crate) fn stays_after_a_refusal() -> Box<dyn Liar> {
    liar(|passing| {
        if let Some(Packet::Connack(connack)) = passing.from_server()
            && connack.reason.is_failure()
        {
            passing.hide_end();
        }
        passing.pass();
    })
}
