//! Liars about the options and the identifiers of subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Packet, Suback, SubscriptionOptions},
    property::{Properties, Property, PropertyId},
    reason::{ReasonCode, Side},
    topic::TopicFilter,
    version::Version,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    kind::{hears, tells},
};

/// Grants a SUBSCRIBE that cannot be read and has this fault.
fn grants(fault: impl Fn(&[u8]) -> bool + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        let unreadable = passing.packet.is_none() && passing.direction == Direction::ToServer;
        if !unreadable || passing.raw[0] != 0x82 || !fault(&passing.raw) {
            return passing.pass();
        }
        if let Some(id) = PacketId::new(u16::from_be_bytes([passing.raw[2], passing.raw[3]])) {
            passing.answer(&Packet::Suback(Suback::new(id, vec![ReasonCode::GRANTED_QOS_0])));
        }
    })
}

/// A SUBSCRIBE in which all these bits of the last options are set, and which is right without them.
fn is_whole_but_for(bytes: &[u8], bits: u8) -> bool {
    let mut right = bytes.to_vec();
    let Some(options) = right.last_mut().filter(|options| **options & bits == bits) else { return false };
    *options &= !bits;
    Packet::decode(Version::V5_0, Side::Client, right.into()).is_ok()
}

/// Grants QoS 3.
pub(crate) fn grants_qos_3() -> Box<dyn Liar> {
    grants(|bytes| is_whole_but_for(bytes, 0x03))
}

/// Grants Retain Handling 3.
pub(crate) fn grants_retain_handling_3() -> Box<dyn Liar> {
    grants(|bytes| is_whole_but_for(bytes, 0x30))
}

/// Grants the Subscription Identifier 0.
pub(crate) fn grants_the_identifier_0() -> Box<dyn Liar> {
    grants(|bytes| bytes.get(4..7) == Some(&[2, 0x0B, 0]))
}

/// Delivers what is retained without a Subscription Identifier.
pub(crate) fn forgets_identifiers_of_retained_messages() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet
            && publish.retain
        {
            publish.subscription_identifiers.clear();
        }
    })
}

/// Who comes back to a session is a subscriber without any option.
pub(crate) fn forgets_options_of_those_who_were_away() -> Box<dyn Liar> {
    let mut resumed: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match passing.from_server() {
            Some(Packet::Connack(connack)) if connack.session_present => {
                resumed.insert(passing.connection);
            }
            Some(Packet::Publish(publish)) if publish.retain && resumed.contains(&passing.connection) => {
                let mut plain = publish.clone();
                plain.retain = false;
                return passing.put(&Packet::Publish(plain));
            }
            _ => {}
        }
        passing.pass();
    })
}

fn identifier(properties: &Properties) -> Option<u32> {
    properties.iter().find_map(|property| match property {
        Property::SubscriptionIdentifier(identifier) => Some(*identifier),
        _ => None,
    })
}

/// A subscription keeps the identifier that it had first.
pub(crate) fn keeps_the_first_identifier() -> Box<dyn Liar> {
    let mut first: BTreeMap<TopicFilter, u32> = BTreeMap::new();
    hears(move |packet| {
        let Packet::Subscribe(subscribe) = packet else { return };
        let Some(filter) = subscribe.subscriptions.first().map(|one| one.filter.clone()) else { return };
        if let Some(kept) = first.get(&filter) {
            let others = subscribe.properties.iter().filter(|one| one.id() != PropertyId::SubscriptionIdentifier);
            subscribe.properties =
                others.cloned().collect::<Properties>().with(Property::SubscriptionIdentifier(*kept));
        } else if let Some(said) = identifier(&subscribe.properties) {
            first.insert(filter, said);
        }
    })
}

/// A subscription keeps this option as it had it first.
fn keeps_first(option: fn(&mut SubscriptionOptions) -> &mut bool) -> Box<dyn Liar> {
    let mut first: BTreeMap<(u64, TopicFilter), bool> = BTreeMap::new();
    liar(move |passing| {
        let Some(Packet::Subscribe(subscribe)) = passing.from_client() else { return passing.pass() };
        let mut subscribe = subscribe.clone();
        for one in &mut subscribe.subscriptions {
            let said = option(&mut one.options);
            *said = *first.entry((passing.connection, one.filter.clone())).or_insert(*said);
        }
        passing.put(&Packet::Subscribe(subscribe));
    })
}

/// A subscription keeps the No Local that it had first.
pub(crate) fn keeps_the_first_no_local() -> Box<dyn Liar> {
    keeps_first(|options| &mut options.no_local)
}

/// A subscription keeps the Retain As Published that it had first.
pub(crate) fn keeps_the_first_retain_as_published() -> Box<dyn Liar> {
    keeps_first(|options| &mut options.retain_as_published)
}

/// Tells every identifier of the client, whichever subscription matched.
pub(crate) fn tells_every_identifier() -> Box<dyn Liar> {
    let mut all: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        if let Some(Packet::Subscribe(subscribe)) = passing.from_client() {
            all.entry(connection).or_default().extend(identifier(&subscribe.properties));
        }
        match (passing.from_server(), all.get(&connection)) {
            (Some(Packet::Publish(publish)), Some(all)) if !all.is_empty() => {
                let mut changed = publish.clone();
                changed.subscription_identifiers.clone_from(all);
                passing.put(&Packet::Publish(changed));
            }
            _ => passing.pass(),
        }
    })
}

/// A session that is resumed has lost the identifiers of its subscriptions.
pub(crate) fn forgets_identifiers_with_the_connection() -> Box<dyn Liar> {
    let mut resumed: BTreeSet<u64> = BTreeSet::new();
    liar(move |passing| {
        match passing.from_server() {
            Some(Packet::Connack(connack)) if connack.session_present => {
                resumed.insert(passing.connection);
            }
            Some(Packet::Publish(publish)) if resumed.contains(&passing.connection) => {
                let mut changed = publish.clone();
                changed.subscription_identifiers.clear();
                return passing.put(&Packet::Publish(changed));
            }
            _ => {}
        }
        passing.pass();
    })
}

/// With No Local a client gets nothing at all of what others publish.
pub(crate) fn takes_no_local_for_nothing() -> Box<dyn Liar> {
    let mut names: BTreeMap<u64, Text> = BTreeMap::new();
    let mut choosy: BTreeSet<Text> = BTreeSet::new();
    liar(move |passing| {
        match passing.from_client() {
            Some(Packet::Connect(connect)) => {
                names.insert(passing.connection, connect.client_id().to_text());
            }
            Some(Packet::Subscribe(subscribe)) if subscribe.subscriptions.iter().any(|one| one.options.no_local) => {
                choosy.extend(names.get(&passing.connection).cloned());
            }
            _ => {}
        }
        let withheld = names.get(&passing.connection).is_some_and(|name| choosy.contains(name));
        match passing.from_server() {
            Some(Packet::Publish(_)) if withheld => {}
            _ => passing.pass(),
        }
    })
}

/// Says success for a filter that was not subscribed.
pub(crate) fn unsubscribes_from_anything() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Unsuback(unsuback) = packet {
            unsuback.reasons.iter_mut().for_each(|reason| *reason = ReasonCode::Success);
        }
    })
}

/// Takes no notice of a SUBSCRIBE whose identifier is that of a message under way.
pub(crate) fn overlooks_identifiers_in_use() -> Box<dyn Liar> {
    let mut open: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match passing.from_client() {
            Some(Packet::Publish(publish)) => open.extend(publish.packet_id.map(|id| (connection, id))),
            Some(Packet::Subscribe(subscribe)) if open.contains(&(connection, subscribe.packet_id)) => return,
            _ => {}
        }
        passing.pass();
    })
}
