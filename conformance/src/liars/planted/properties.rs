//! Defects in what 5.0 adds: properties, aliases, identifiers of subscriptions, limits, options, shares.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use squall_codec::{
    packet::{Connack, Packet, Publish, RetainHandling},
    property::{Properties, Property, PropertyId},
    topic::TopicFilter,
    wire::Text,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{Planted, V5, planted};
use crate::liars::{
    filter::liar,
    kind::{bends, hears, hears_connect, tells},
    shared,
};

pub(super) const ALL: &[Planted] = &[
    planted("strips the Payload Format Indicator", V5, || strips(PropertyId::PayloadFormatIndicator)),
    planted("strips the Content Type", V5, || strips(PropertyId::ContentType)),
    planted("strips the Response Topic", V5, || strips(PropertyId::ResponseTopic)),
    planted("strips Correlation Data", V5, || strips(PropertyId::CorrelationData)),
    planted("strips User Properties", V5, || strips(PropertyId::UserProperty)),
    planted("strips the Message Expiry Interval", V5, || delivers(|publish| publish.message_expiry_interval = None)),
    planted("adds a User Property", V5, || {
        delivers(|publish| {
            let pair = Property::UserProperty((Text::literal("via"), Text::literal("proxy")));
            *publish = publish.clone().with_properties(&publish.properties().with(pair));
        })
    }),
    planted("reverses User Properties", V5, || {
        delivers(|publish| {
            let reversed: Vec<Property> = publish.properties().iter().rev().cloned().collect();
            *publish = publish.clone().with_properties(&reversed.into_iter().collect());
        })
    }),
    planted("adds ten seconds to the Message Expiry Interval", V5, || {
        delivers(|publish| {
            publish.message_expiry_interval = publish.message_expiry_interval.map(|seconds| seconds.saturating_add(10));
        })
    }),
    planted("takes the wait of a retained message off once more for each who asks", V5, waits_once_more_for_each),
    planted("delivers messages that have expired", V5, || {
        hears(|packet| {
            if let Packet::Publish(publish) = packet {
                publish.message_expiry_interval = None;
            }
        })
    }),
    planted("ends the connection of a client for which a message is too large", V5, ends_at_what_is_too_large),
    planted("says another Subscription Identifier", V5, || {
        delivers(|publish| {
            publish.subscription_identifiers.iter_mut().for_each(|identifier| *identifier += 1);
        })
    }),
    planted("strips Subscription Identifiers", V5, || delivers(|publish| publish.subscription_identifiers.clear())),
    planted("says a Subscription Identifier to those who gave none", V5, || {
        delivers(|publish| {
            if publish.subscription_identifiers.is_empty() {
                publish.subscription_identifiers.push(7);
            }
        })
    }),
    planted("uses a Topic Alias that it never explained", V5, || {
        delivers(|publish| {
            *publish = publish.clone().without_topic();
            publish.topic_alias = Some(1);
        })
    }),
    planted("uses Topic Aliases above the client's maximum", V5, || {
        delivers(|publish| {
            publish.topic_alias = Some(u16::MAX);
        })
    }),
    planted("says the Topic Alias 0", V5, || delivers(|publish| publish.topic_alias = Some(0))),
    planted("hands the publisher's Topic Alias on", V5, crate::liars::conversation::forwards_aliases),
    planted("writes a Will Delay Interval into messages", V5, || {
        // The block of properties grows by five bytes; both lengths stay below 128 or the frame is left as it is.
        liar(|passing| {
            let Some(Packet::Publish(publish)) = passing.from_server() else { return passing.pass() };
            let identifier = if publish.packet_id.is_some() { 2 } else { 0 };
            let block = 4 + publish.topic().len() + identifier;
            let mut bytes = passing.raw.to_vec();
            if bytes[1] >= 0x7A || bytes.get(block).is_none_or(|length| *length >= 0x7A) {
                return passing.pass();
            }
            bytes[1] += 5;
            bytes[block] += 5;
            bytes.splice(block + 1..=block, [0x18, 0, 0, 0, 1]);
            passing.put_bytes(passing.connection, passing.direction, Bytes::from(bytes));
        })
    }),
    planted("ignores the client's Receive Maximum", V5, || forgets(PropertyId::ReceiveMaximum)),
    planted("ignores the client's Maximum Packet Size", V5, || forgets(PropertyId::MaximumPacketSize)),
    planted("ignores Request Problem Information", V5, || {
        tells(|packet| {
            if let Packet::Suback(suback) = packet {
                suback.properties.push(Property::ReasonString(Text::literal("because")));
            }
        })
    }),
    planted("says the same property twice in CONNACK", V5, || {
        says_in_connack(|connack| {
            connack.properties.push(Property::TopicAliasMaximum(5));
            connack.properties.push(Property::TopicAliasMaximum(5));
        })
    }),
    planted("says a Receive Maximum of 0", V5, || {
        says_in_connack(|connack| {
            connack.properties =
                without(&connack.properties, PropertyId::ReceiveMaximum).with(Property::ReceiveMaximum(0));
        })
    }),
    planted("says a Maximum QoS of 2", V5, || {
        says_in_connack(|connack| connack.properties.push(Property::MaximumQos(2)))
    }),
    planted("says an Assigned Client Identifier to everybody", V5, crate::liars::s3_02_connack::renames_everybody),
    planted("keeps the identifier that it assigned to itself", V5, || {
        says_in_connack(|connack| {
            connack.properties = without(&connack.properties, PropertyId::AssignedClientIdentifier);
        })
    }),
    planted("says Response Information unasked", V5, crate::liars::s3_02_connack::tells_response_information),
    planted("says an Authentication Method unasked", V5, crate::liars::exchanges::names_an_authentication_method),
    planted("leaves the Property Length of CONNACK out", V5, || {
        bends(Direction::ToClient, |bytes| {
            if bytes[0] == 0x20 {
                *bytes = vec![0x20, 2, bytes[2], bytes[3]];
            }
        })
    }),
    planted("ignores No Local", V5, || options(|one| one.options.no_local = false)),
    planted("clears RETAIN in spite of Retain As Published", V5, || {
        options(|one| one.options.retain_as_published = false)
    }),
    planted("keeps RETAIN without Retain As Published", V5, || options(|one| one.options.retain_as_published = true)),
    planted("takes Retain Handling 1 for 0", V5, || handles(RetainHandling::SendIfNew, RetainHandling::Send)),
    planted("takes Retain Handling 2 for 0", V5, || handles(RetainHandling::DoNotSend, RetainHandling::Send)),
    planted("takes Retain Handling 0 for 2", V5, || handles(RetainHandling::Send, RetainHandling::DoNotSend)),
    planted("gives shared messages to every member", V5, || {
        options(|one| {
            if one.filter.share_name().is_some()
                && let Ok(plain) = TopicFilter::try_from(one.filter.filter())
            {
                one.filter = plain;
            }
        })
    }),
    planted("gives shared messages to nobody", V5, || {
        options(|one| {
            if one.filter.share_name().is_some()
                && let Ok(other) = TopicFilter::try_from(format!("{}/nobody", one.filter.as_str()).as_str())
            {
                one.filter = other;
            }
        })
    }),
    planted("gives some shared messages to two members", V5, shared::gives_some_messages_to_two_members),
];

fn delivers(mut change: impl FnMut(&mut Publish) + 'static) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Publish(publish) = packet {
            change(publish);
        }
    })
}

fn without(properties: &Properties, id: PropertyId) -> Properties {
    properties.iter().filter(|one| one.id() != id).cloned().collect()
}

/// Loses a property of every message.
fn strips(id: PropertyId) -> Box<dyn Liar> {
    delivers(move |publish| *publish = publish.clone().with_properties(&without(&publish.properties(), id)))
}

/// Does not read a property of CONNECT.
fn forgets(id: PropertyId) -> Box<dyn Liar> {
    hears_connect(move |connect| connect.set_properties(without(&connect.properties().to_owned(), id)))
}

fn says_in_connack(change: impl Fn(&mut Connack) + 'static) -> Box<dyn Liar> {
    tells(move |packet| {
        if let Packet::Connack(connack) = packet
            && !connack.reason.is_failure()
        {
            change(connack);
        }
    })
}

/// Reads subscriptions so.
fn options(change: impl Fn(&mut squall_codec::packet::Subscription) + 'static) -> Box<dyn Liar> {
    hears(move |packet| {
        if let Packet::Subscribe(subscribe) = packet {
            subscribe.subscriptions.iter_mut().for_each(&change);
        }
    })
}

fn handles(asked: RetainHandling, done: RetainHandling) -> Box<dyn Liar> {
    options(move |one| {
        if one.options.retain_handling == asked {
            one.options.retain_handling = done;
        }
    })
}

/// What is left of a Message Expiry Interval is written back to where the message is kept, and the wait counted from its start again.
fn waits_once_more_for_each() -> Box<dyn Liar> {
    let mut kept: BTreeMap<String, (Duration, u32)> = BTreeMap::new();
    liar(move |passing| {
        if let Some(Packet::Publish(publish)) = passing.from_client().filter(|_| passing.version.has_properties())
            && publish.retain
        {
            kept.insert(publish.topic().to_owned(), (passing.now, 0));
        }
        if let Some(Packet::Publish(publish)) = passing.from_server()
            && publish.retain
            && let Some((since, asked)) = kept.get_mut(publish.topic())
        {
            let waited = u32::try_from((passing.now - *since).as_secs()).unwrap_or(u32::MAX);
            let mut publish = publish.clone();
            let left = |seconds: u32| seconds.saturating_sub(waited.saturating_mul(*asked));
            publish.message_expiry_interval = publish.message_expiry_interval.map(left);
            *asked += 1;
            return passing.put(&Packet::Publish(publish));
        }
        passing.pass();
    })
}

/// The server is told nothing of the limit; whoever has one is cut off where a message exceeds it.
fn ends_at_what_is_too_large() -> Box<dyn Liar> {
    let mut limits: BTreeMap<u64, usize> = BTreeMap::new();
    liar(move |passing| {
        match passing.packet.clone() {
            Some(Packet::Connect(mut connect)) => {
                let properties = connect.properties().to_owned();
                if let Some(limit) = properties.maximum_packet_size() {
                    limits.insert(passing.connection, limit as usize);
                    let others = properties.iter().filter(|one| !matches!(one, Property::MaximumPacketSize(_)));
                    connect.set_properties(others.cloned().collect());
                    return passing.put(&Packet::Connect(connect));
                }
            }
            Some(Packet::Publish(_))
                if passing.direction == Direction::ToClient
                    && limits.get(&passing.connection).is_some_and(|limit| passing.raw.len() > *limit) =>
            {
                return passing.close();
            }
            _ => {}
        }
        passing.pass();
    })
}
