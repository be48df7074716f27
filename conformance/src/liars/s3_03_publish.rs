//! Liars about PUBLISH.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Packet, Publish},
    property::{Properties, Property, PropertyId},
    qos::Qos,
    topic::TopicName,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    kind::{hears, tells},
};

/// Changes messages on their way to subscribers.
fn delivers(mut change: impl FnMut(&mut Publish) + 'static) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Publish(publish) = packet {
            change(publish);
        }
    })
}

/// Changes messages on their way from publishers.
fn receives(mut change: impl FnMut(&mut Publish) + 'static) -> Box<dyn Liar> {
    hears(move |packet| {
        if let Packet::Publish(publish) = packet {
            change(publish);
        }
    })
}

/// Never sets DUP.
pub(crate) fn never_says_dup() -> Box<dyn Liar> {
    delivers(|publish| publish.dup = false)
}

/// Passes on the DUP of the publisher.
pub(crate) fn passes_dup_on() -> Box<dyn Liar> {
    let mut flagged = BTreeSet::new();
    liar(move |passing| {
        // A frame with QoS 0 and DUP is no packet: it is looked at by its bytes.
        if passing.raw[0] >> 4 == 3 && passing.raw[0] & 0x08 != 0 && passing.direction == Direction::ToServer {
            flagged.insert(passing.raw[passing.raw.len() - 7..].to_vec());
            if passing.raw[0] & 0x06 == 0 {
                let mut unflagged = passing.raw.to_vec();
                unflagged[0] &= !0x08;
                return passing.put_bytes(passing.connection, passing.direction, unflagged.into());
            }
        }
        let flag = match passing.from_server() {
            Some(Packet::Publish(_)) => flagged.contains(&passing.raw[passing.raw.len().saturating_sub(7)..]),
            _ => false,
        };
        if !flag {
            return passing.pass();
        }
        let mut bytes = passing.raw.to_vec();
        bytes[0] |= 0x08;
        passing.put_bytes(passing.connection, passing.direction, bytes.into());
    })
}

/// Delivers each message on a topic of its own making.
pub(crate) fn renames_topics() -> Box<dyn Liar> {
    delivers(|publish| {
        // The longest topics have no room for more.
        if let Ok(topic) = TopicName::try_from(format!("elsewhere/{}", publish.topic()).as_str()) {
            *publish = publish.clone().with_topic(&topic);
        }
    })
}

/// Swallows PUBACK.
pub(crate) fn acknowledges_nothing() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Puback(_)) => {}
        _ => passing.pass(),
    })
}

/// Delivers at QoS 0 whatever was granted.
pub(crate) fn delivers_at_qos_0() -> Box<dyn Liar> {
    delivers(|publish| {
        publish.qos = Qos::AtMostOnce;
        publish.packet_id = None;
        publish.dup = false;
    })
}

/// Does not deliver empty messages.
pub(crate) fn loses_empty_messages() -> Box<dyn Liar> {
    liar(|passing| match passing.from_server() {
        Some(Packet::Publish(publish)) if publish.payload().is_empty() => {}
        _ => passing.pass(),
    })
}

/// Cuts the eighth bit off.
pub(crate) fn is_not_eight_bit_clean() -> Box<dyn Liar> {
    delivers(|publish| {
        let payload: Vec<u8> = publish.payload().iter().map(|byte| byte & 0x7F).collect();
        *publish = with_payload(publish, &payload);
    })
}

fn with_payload(publish: &Publish, payload: &[u8]) -> Publish {
    publish.clone().with_payload(payload)
}

/// Keeps messages from their own publisher.
pub(crate) fn has_no_echo() -> Box<dyn Liar> {
    let mut sent: BTreeSet<(u64, Vec<u8>)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match (&passing.packet, passing.direction) {
            (Some(Packet::Publish(publish)), Direction::ToServer) => {
                sent.insert((connection, publish.payload().to_vec()));
            }
            (Some(Packet::Publish(publish)), Direction::ToClient)
                if sent.contains(&(connection, publish.payload().to_vec())) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Tells only the first Subscription Identifier.
pub(crate) fn tells_one_identifier() -> Box<dyn Liar> {
    delivers(|publish| publish.subscription_identifiers.truncate(1))
}

/// Does not read the client's Receive Maximum.
pub(crate) fn ignores_the_receive_maximum() -> Box<dyn Liar> {
    super::kind::hears_connect(|connect| {
        let properties = connect.properties().to_owned();
        let others = properties.iter().filter(|one| !matches!(one, Property::ReceiveMaximum(_)));
        connect.set_properties(others.cloned().collect());
    })
}

/// Holds everything back while a message is unacknowledged.
pub(crate) fn holds_answers_back() -> Box<dyn Liar> {
    let mut open: BTreeSet<(u64, PacketId)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match (&passing.packet, passing.direction) {
            (Some(Packet::Publish(publish)), Direction::ToClient) => {
                open.extend(publish.packet_id.map(|id| (connection, id)));
            }
            (Some(Packet::Puback(ack)), Direction::ToServer) => {
                open.remove(&(connection, ack.packet_id));
            }
            (Some(Packet::Suback(_)), Direction::ToClient) if open.iter().any(|(held, _)| *held == connection) => {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Stores nothing.
pub(crate) fn retains_nothing() -> Box<dyn Liar> {
    receives(|publish| publish.retain = false)
}

/// Stores everything.
pub(crate) fn retains_everything() -> Box<dyn Liar> {
    receives(|publish| publish.retain = true)
}

/// Keeps the first message that was retained on a topic: later ones only pass by.
pub(crate) fn keeps_the_first_retained() -> Box<dyn Liar> {
    let mut kept = BTreeSet::new();
    receives(move |publish| {
        if publish.retain && !publish.payload().is_empty() && !kept.insert(publish.topic().to_owned()) {
            publish.retain = false;
        }
    })
}

/// Stores only QoS 1 and 2.
pub(crate) fn retains_no_qos_0() -> Box<dyn Liar> {
    receives(|publish| publish.retain &= publish.qos != Qos::AtMostOnce)
}

/// Delivers everything with RETAIN 1.
pub(crate) fn says_retain_always() -> Box<dyn Liar> {
    delivers(|publish| publish.retain = true)
}

/// Delivers everything with RETAIN 0.
pub(crate) fn says_retain_never() -> Box<dyn Liar> {
    delivers(|publish| publish.retain = false)
}

/// Does not clear what is retained: an empty message passes by.
pub(crate) fn never_clears_a_topic() -> Box<dyn Liar> {
    receives(|publish| publish.retain &= !publish.payload().is_empty())
}

/// Stores an empty message like any other.
pub(crate) fn stores_empty_messages() -> Box<dyn Liar> {
    let mut empty: BTreeMap<String, Publish> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && publish.retain
            && publish.payload().is_empty()
        {
            let mut stored = Publish::new(&publish.topic_name().expect("a full topic"), "");
            stored.retain = true;
            empty.insert(publish.topic().to_owned(), stored);
        }
        let found = match passing.from_client() {
            Some(Packet::Subscribe(subscribe)) => {
                let matching = |filter: &str| empty.get(filter).cloned();
                subscribe.subscriptions.iter().find_map(|one| matching(one.filter.as_str()))
            }
            _ => None,
        };
        passing.pass();
        if let Some(stored) = found {
            passing.answer(&Packet::Publish(stored));
        }
    })
}

/// Sends what is retained at each SUBSCRIBE, however it was asked to handle it.
pub(crate) fn handles_retain_its_own_way() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Subscribe(subscribe) = packet {
            for one in &mut subscribe.subscriptions {
                one.options.retain_handling = squall_codec::packet::RetainHandling::Send;
            }
        }
    })
}

/// Sends what is retained only for new subscriptions, however it was asked to handle it.
pub(crate) fn sends_retained_once() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Subscribe(subscribe) = packet {
            for one in &mut subscribe.subscriptions {
                one.options.retain_handling = squall_codec::packet::RetainHandling::SendIfNew;
            }
        }
    })
}

/// Does not look at Retain As Published: always as if it were this.
fn retain_as_published(always: bool) -> Box<dyn Liar> {
    hears(move |packet| {
        if let Packet::Subscribe(subscribe) = packet {
            for one in &mut subscribe.subscriptions {
                one.options.retain_as_published = always;
            }
        }
    })
}

/// Keeps RETAIN as it was published, always.
pub(crate) fn always_retains_as_published() -> Box<dyn Liar> {
    retain_as_published(true)
}

/// Clears RETAIN on what is live, always.
pub(crate) fn never_retains_as_published() -> Box<dyn Liar> {
    retain_as_published(false)
}

/// Delivers messages with other properties than they came with.
fn delivers_properties(change: impl Fn(Vec<Property>) -> Vec<Property> + 'static) -> Box<dyn Liar> {
    delivers(move |publish| {
        let before: Vec<Property> = publish.forwarded_properties().iter().cloned().collect();
        let after = change(before.clone());
        if after != before {
            let mut properties: Properties = after.into_iter().collect();
            for property in publish.properties().iter() {
                let id = property.id();
                if matches!(
                    id,
                    PropertyId::TopicAlias | PropertyId::MessageExpiryInterval | PropertyId::SubscriptionIdentifier
                ) {
                    properties.push(property.clone());
                }
            }
            *publish = publish.clone().with_properties(&properties);
        }
    })
}

/// Loses the Payload Format Indicator.
pub(crate) fn loses_the_payload_format() -> Box<dyn Liar> {
    loses(PropertyId::PayloadFormatIndicator)
}

/// Loses the Response Topic.
pub(crate) fn loses_the_response_topic() -> Box<dyn Liar> {
    loses(PropertyId::ResponseTopic)
}

/// Loses the Content Type.
pub(crate) fn loses_the_content_type() -> Box<dyn Liar> {
    loses(PropertyId::ContentType)
}

fn loses(id: PropertyId) -> Box<dyn Liar> {
    delivers_properties(move |before| before.into_iter().filter(|property| property.id() != id).collect())
}

/// Ends the Correlation Data at the first zero.
pub(crate) fn cuts_correlation_data() -> Box<dyn Liar> {
    delivers_properties(|before| {
        let cut = |property| match property {
            Property::CorrelationData(data) => {
                let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
                Property::CorrelationData(data.slice(..end))
            }
            other => other,
        };
        before.into_iter().map(cut).collect()
    })
}

/// Delivers each User Property once.
pub(crate) fn merges_user_properties() -> Box<dyn Liar> {
    delivers_properties(|before| {
        let mut seen: Vec<Property> = Vec::new();
        for property in before {
            if !seen.contains(&property) {
                seen.push(property);
            }
        }
        seen
    })
}

/// Sorts User Properties.
pub(crate) fn sorts_user_properties() -> Box<dyn Liar> {
    delivers_properties(|mut before| {
        before.sort_by_key(|property| match property {
            Property::UserProperty((name, value)) => (1, format!("{name}={value}")),
            _ => (0, String::new()),
        });
        before
    })
}

/// Adds a User Property of its own to all that it forwards.
pub(crate) fn forwards_the_properties_of_connect() -> Box<dyn Liar> {
    delivers_properties(|mut before| {
        before.push(Property::UserProperty((Text::literal("connect"), Text::literal("1"))));
        before
    })
}

/// Delivers the Message Expiry Interval as it came, and never lets a message expire.
pub(crate) fn ignores_message_expiry() -> Box<dyn Liar> {
    let mut asked: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    liar(move |passing| {
        let Some(Packet::Publish(publish)) = &passing.packet else { return passing.pass() };
        let mut changed = publish.clone();
        if passing.direction == Direction::ToServer {
            if let Some(seconds) = changed.message_expiry_interval.take() {
                asked.insert(publish.payload().to_vec(), seconds);
            }
        } else {
            changed.message_expiry_interval = asked.get(publish.payload()).copied();
        }
        passing.put(&Packet::Publish(changed));
    })
}

/// Remembers the aliases of a client beyond its connection.
pub(crate) fn remembers_aliases() -> Box<dyn Liar> {
    let mut aliases: BTreeMap<u16, TopicName> = BTreeMap::new();
    liar(move |passing| {
        let Some(Packet::Publish(publish)) = passing.from_client() else { return passing.pass() };
        let Some(alias) = publish.topic_alias else { return passing.pass() };
        match (publish.topic_name(), aliases.get(&alias)) {
            (Some(topic), _) => {
                aliases.insert(alias, topic);
                passing.pass();
            }
            (None, Some(topic)) => {
                let mut full = publish.clone().with_topic(topic);
                full.topic_alias = None;
                passing.put(&Packet::Publish(full));
            }
            (None, None) => passing.pass(),
        }
    })
}

/// Keeps the first topic of an alias when it is mapped anew.
pub(crate) fn never_maps_an_alias_anew() -> Box<dyn Liar> {
    let mut aliases: BTreeMap<(u64, u16), TopicName> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        let Some(Packet::Publish(publish)) = passing.from_client() else { return passing.pass() };
        let (Some(alias), topic) = (publish.topic_alias, publish.topic_name()) else { return passing.pass() };
        match topic {
            Some(topic) if !aliases.contains_key(&(connection, alias)) => {
                aliases.insert((connection, alias), topic);
                passing.pass();
            }
            Some(_) => {
                let mut plain = publish.clone();
                plain.topic_alias = None;
                passing.put(&Packet::Publish(plain));
            }
            None => passing.pass(),
        }
    })
}

/// Gives each message a Message Expiry Interval.
pub(crate) fn adds_a_message_expiry() -> Box<dyn Liar> {
    delivers(|publish| publish.message_expiry_interval = Some(3600))
}
