//! Liars about limits: they take what CONNACK said that they do not.

use std::collections::BTreeMap;

use squall_codec::{
    packet::{Ack, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
};
use squall_scenarios::liar::Liar;

use super::{
    filter::{Passing, liar},
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
    hears_connect(|connect| connect.change_will(|will| (will.qos, will.retain) = (Qos::AtMostOnce, false)))
}

/// Takes retained messages as if they were not.
pub(crate) fn forwards_what_it_cannot_retain() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Publish(publish) = packet {
            publish.retain = false;
        }
    })
}

/// A liar that knows what CONNACK said on each connection.
fn knowing(mut rewrite: impl FnMut(&mut Passing<'_>, &Properties) + 'static) -> Box<dyn Liar> {
    let mut said: BTreeMap<u64, Properties> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Connack(connack)) = passing.from_server() {
            said.insert(passing.connection, connack.properties.clone());
        }
        match said.get(&passing.connection) {
            Some(said) => rewrite(passing, said),
            None => passing.pass(),
        }
    })
}

/// Acknowledges a QoS that it does not have.
pub(crate) fn acknowledges_any_qos() -> Box<dyn Liar> {
    knowing(|passing, said| match passing.from_client() {
        Some(Packet::Publish(publish)) if said.maximum_qos().is_some_and(|maximum| publish.qos.bits() > maximum) => {
            let Some(id) = publish.packet_id else { return };
            let answer = if publish.qos == Qos::AtLeastOnce { Packet::Puback } else { Packet::Pubrec };
            passing.answer(&answer(Ack::new(id)));
        }
        _ => passing.pass(),
    })
}

/// Takes packets of any size: what is too much of them is cut off before it is looked at.
pub(crate) fn takes_packets_of_any_size() -> Box<dyn Liar> {
    knowing(|passing, said| {
        let too_large = said.maximum_packet_size().is_some_and(|maximum| passing.raw.len() > maximum as usize);
        match passing.from_client() {
            Some(Packet::Publish(publish)) if too_large && publish.payload().len() > 8 => {
                let shorter = publish.payload()[..8].to_vec();
                let shorter = publish.clone().with_payload(&shorter);
                passing.put(&Packet::Publish(shorter));
            }
            _ => passing.pass(),
        }
    })
}

/// Grants every filter and identifier, whatever it said.
pub(crate) fn grants_any_subscription() -> Box<dyn Liar> {
    knowing(|passing, said| {
        let Some(Packet::Subscribe(subscribe)) = passing.from_client() else { return passing.pass() };
        let lacks = |available: Option<u8>| available == Some(0);
        let mut changed = subscribe.clone();
        if lacks(said.subscription_identifier_available()) {
            let others = subscribe.properties.iter().filter(|one| !matches!(one, Property::SubscriptionIdentifier(_)));
            changed.properties = others.cloned().collect::<Properties>();
        }
        for subscription in &mut changed.subscriptions {
            let filter = subscription.filter.as_str();
            let wild = lacks(said.wildcard_subscription_available()) && filter.contains(['+', '#']);
            if wild || (lacks(said.shared_subscription_available()) && filter.starts_with("$share")) {
                subscription.filter = TopicFilter::literal("anything");
            }
        }
        passing.put(&Packet::Subscribe(changed));
    })
}

/// Waits for the Keep Alive that the client asked for, though it has said another.
pub(crate) fn keeps_silent_clients() -> Box<dyn Liar> {
    knowing(|passing, said| {
        if said.server_keep_alive().is_some() {
            passing.hide_end();
        }
        match passing.from_server() {
            Some(Packet::Disconnect(_)) if said.server_keep_alive().is_some() => {}
            _ => passing.pass(),
        }
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

/// Says where to go, and another reason than that it sends people away.
pub(crate) fn redirects_with_another_code() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Connack(connack) = packet
            && connack.properties.server_reference().is_some()
        {
            connack.reason = ReasonCode::ServerBusy;
        }
    })
}
