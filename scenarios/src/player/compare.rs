//! Expected against seen. Unnamed fields are not compared; the first difference is told in words.

use std::fmt::Display;

use squall_codec::{
    packet::{Ack, Connack, Packet, PacketKind, Publish},
    property::{Properties, Property, PropertyId, PropertyValue},
    reason::ReasonCode,
    wire::PacketId,
};

use crate::{
    player::scene::Scene,
    script::{AckWords, ConnackWords, Expect, Message, PacketIdWord, Placed, PropertyWord, PublishWords, Reason},
    stage::Need,
};

/// The first difference, in words that follow "but".
type Difference = Result<(), String>;

fn same<T: PartialEq + Display>(what: &str, expected: Option<T>, seen: T) -> Difference {
    match expected {
        Some(expected) if expected != seen => Err(format!("its {what} is {seen} and not {expected}")),
        _ => Ok(()),
    }
}

fn flag(what: &str, expected: Option<bool>, seen: bool) -> Difference {
    same(what, expected.map(u8::from), u8::from(seen))
}

impl Scene<'_> {
    /// Whether this packet is the expected one.
    pub(super) fn compare(&self, expect: &Expect, packet: &Packet) -> Difference {
        let kind = expect.kinds().first().copied().expect("a script is checked: an expectation names one packet");
        if packet.kind() != kind {
            return Err(format!("{} came", self.plain(packet)));
        }
        self.compare_fields(expect, packet)
            .and_then(|()| compare_presence(expect, packet))
            .map_err(|difference| format!("{difference}: {}", self.plain(packet)))
    }

    fn compare_fields(&self, expect: &Expect, packet: &Packet) -> Difference {
        match packet {
            Packet::Connack(connack) => match &expect.connack {
                Some(words) => self.compare_connack(words, connack),
                None => Ok(()),
            },
            Packet::Publish(publish) => match &expect.publish {
                Some(words) => self.compare_publish(words, publish),
                None => Ok(()),
            },
            Packet::Puback(ack) => self.compare_ack(expect.puback.as_ref(), ack),
            Packet::Pubrec(ack) => self.compare_ack(expect.pubrec.as_ref(), ack),
            Packet::Pubrel(ack) => self.compare_ack(expect.pubrel.as_ref(), ack),
            Packet::Pubcomp(ack) => self.compare_ack(expect.pubcomp.as_ref(), ack),
            Packet::Suback(suback) => match &expect.suback {
                Some(words) => {
                    self.compare_id(words.packet_id.as_ref(), Some(suback.packet_id))?;
                    self.compare_reasons(words.reasons.as_deref(), &suback.reasons)?;
                    has_properties(&words.properties(), &suback.properties)
                }
                None => Ok(()),
            },
            Packet::Unsuback(unsuback) => match &expect.unsuback {
                Some(words) => {
                    self.compare_id(words.packet_id.as_ref(), Some(unsuback.packet_id))?;
                    let reasons = words.reasons.as_ref().map(|reasons| reasons.value.as_slice());
                    self.compare_reasons(reasons, &unsuback.reasons)?;
                    has_properties(&words.properties(), &unsuback.properties)
                }
                None => Ok(()),
            },
            Packet::Disconnect(disconnect) => match &expect.disconnect {
                Some(words) => {
                    same("reason", words.reason.as_ref().map(|reason| reason.value.0), disconnect.reason)?;
                    has_properties(&words.properties(), &disconnect.properties)
                }
                None => Ok(()),
            },
            Packet::Auth(auth) => match &expect.auth {
                Some(words) => {
                    same("reason", words.reason.as_ref().map(|reason| reason.value.0), auth.reason)?;
                    has_properties(&words.properties(), &auth.properties)
                }
                None => Ok(()),
            },
            // What a server does not send cannot be named, and PINGRESP has no fields.
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Pingreq | Packet::Pingresp => {
                Ok(())
            }
        }
    }

    fn compare_id(&self, expected: Option<&PacketIdWord>, seen: Option<PacketId>) -> Difference {
        match (expected.and_then(|word| self.expected_id(word)), seen) {
            (Some(expected), Some(seen)) => same("packet_id", Some(expected), seen),
            (Some(expected), None) => Err(format!("it has no packet_id where {expected} was expected")),
            (None, _) => Ok(()),
        }
    }

    /// Before 5.0 several reasons share one return code.
    pub(super) fn compare_connack_reason(&self, expected: ReasonCode, connack: &Connack) -> Difference {
        let same_code = expected.connack_return_code() == connack.reason.connack_return_code();
        if !self.stage.version().has_properties() && same_code {
            return Ok(());
        }
        same("reason", Some(expected), connack.reason)
    }

    fn compare_connack(&self, words: &ConnackWords, connack: &Connack) -> Difference {
        if let Some(Reason(expected)) = words.reason {
            self.compare_connack_reason(expected, connack)?;
        }
        flag("session_present", words.session_present, connack.session_present)?;
        has_properties(&words.properties(), &connack.properties)
    }

    fn compare_publish(&self, words: &PublishWords, publish: &Publish) -> Difference {
        let topic = words.topic.as_ref().map(|topic| topic.0.clone());
        same("topic", topic, self.plain(&publish.topic()))?;
        let payload = words.payload.as_ref().map(|payload| format!("'{payload}'"));
        same("payload", payload, format!("'{}'", String::from_utf8_lossy(publish.payload())))?;
        same("qos", words.qos.map(|qos| qos.0), publish.qos)?;
        flag("retain", words.retain, publish.retain)?;
        flag("dup", words.dup, publish.dup)?;
        self.compare_id(words.packet_id.as_ref(), publish.packet_id)?;
        let seen = publish.properties();
        has_properties(&self.rounded(words.properties(), &seen), &seen)
    }

    /// Clocks of whole seconds round as they like: a server that is not ours may be a second off with what is left of the
    /// life of a message.
    fn rounded(&self, expected: Properties, seen: &Properties) -> Properties {
        let (Some(wanted), Some(left)) = (expected.message_expiry_interval(), seen.message_expiry_interval()) else {
            return expected;
        };
        if wanted.abs_diff(left) > 1 || self.stage.world().offers(Need::OwnBroker).is_ok() {
            return expected;
        }
        let rounded = |property: &Property| match property {
            Property::MessageExpiryInterval(_) => Property::MessageExpiryInterval(left),
            other => other.clone(),
        };
        expected.iter().map(rounded).collect()
    }

    /// A message as an application sees it.
    pub(super) fn compare_message(&self, words: &Message, publish: &Publish) -> Difference {
        let words = PublishWords {
            topic: words.topic.clone(),
            payload: words.payload.clone(),
            qos: words.qos,
            retain: words.retain,
            ..PublishWords::default()
        };
        self.compare_publish(&words, publish)
            .map_err(|difference| format!("{difference}: {}", self.plain(&Packet::Publish(publish.clone()))))
    }

    fn compare_ack(&self, words: Option<&AckWords>, ack: &Ack) -> Difference {
        let Some(words) = words else { return Ok(()) };
        self.compare_id(words.packet_id.as_ref(), Some(ack.packet_id))?;
        same("reason", words.reason.as_ref().map(|reason| reason.value.0), ack.reason)?;
        has_properties(&words.properties(), &ack.properties)
    }

    pub(super) fn compare_reasons(&self, expected: Option<&[Reason]>, seen: &[ReasonCode]) -> Difference {
        let Some(expected) = expected else { return Ok(()) };
        if expected.len() != seen.len() {
            return Err(format!("it has {} reasons and not {}", seen.len(), expected.len()));
        }
        for (Reason(expected), seen) in expected.iter().zip(seen) {
            let same_code = expected.suback_return_code() == seen.suback_return_code();
            if self.stage.version().has_properties() || !same_code {
                same("reason", Some(*expected), *seen)?;
            }
        }
        Ok(())
    }

    /// The packet identifier that an expectation met.
    pub(super) fn bind_from(&self, expect: &Expect, packet: &Packet) {
        let acks = [&expect.puback, &expect.pubrec, &expect.pubrel, &expect.pubcomp];
        let word = acks
            .into_iter()
            .flatten()
            .find_map(|words| words.packet_id.as_ref())
            .or(expect.publish.as_ref().and_then(|words| words.packet_id.as_ref()))
            .or(expect.suback.as_ref().and_then(|words| words.packet_id.as_ref()))
            .or(expect.unsuback.as_ref().and_then(|words| words.packet_id.as_ref()));
        let id = match packet {
            Packet::Publish(publish) => publish.packet_id,
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
                Some(ack.packet_id)
            }
            Packet::Suback(suback) => Some(suback.packet_id),
            Packet::Unsuback(unsuback) => Some(unsuback.packet_id),
            _ => None,
        };
        self.bind(word, id);
    }

    /// What is expected: "PUBLISH of 'hello' on t/1".
    pub(super) fn wanted(&self, expect: &Expect) -> String {
        let kind = expect.kinds().first().copied().expect("a script is checked: an expectation names one packet");
        let mut wanted = kind.name().to_owned();
        if let (PacketKind::Publish, Some(publish)) = (kind, &expect.publish) {
            if let Some(payload) = &publish.payload {
                wanted.push_str(&format!(" of '{payload}'"));
            }
            if let Some(topic) = &publish.topic {
                wanted.push_str(&format!(" on {}", topic.0));
            }
        }
        wanted
    }
}

/// Properties that must be there or must not, whatever their values.
fn compare_presence(expect: &Expect, packet: &Packet) -> Difference {
    let properties = match packet {
        Packet::Connack(connack) => connack.properties.clone(),
        Packet::Publish(publish) => publish.properties(),
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => {
            ack.properties.clone()
        }
        Packet::Suback(suback) => suback.properties.clone(),
        Packet::Unsuback(unsuback) => unsuback.properties.clone(),
        Packet::Disconnect(disconnect) => disconnect.properties.clone(),
        Packet::Auth(auth) => auth.properties.clone(),
        _ => Properties::new(),
    };
    let is_there = |word: &&PropertyWord| properties.iter().any(|property| property.id() == word.0);
    let listed = |list: &Option<Placed<Vec<PropertyWord>>>| {
        list.iter().flat_map(|placed| placed.value.clone()).collect::<Vec<_>>()
    };
    if let Some(PropertyWord(missing)) = listed(&expect.has).iter().find(|word| !is_there(word)) {
        return Err(format!("it has no {missing}"));
    }
    match listed(&expect.lacks).iter().find(is_there) {
        Some(PropertyWord(extra)) => Err(format!("it has {extra}")),
        None => Ok(()),
    }
}

/// Every property that is named is there with its value. Those that repeat are compared as a whole, in order; the
/// order of Subscription Identifiers is free.
fn has_properties(expected: &Properties, seen: &Properties) -> Difference {
    let pairs = |properties: &Properties| properties.user_properties().cloned().collect::<Vec<_>>();
    if !pairs(expected).is_empty() && pairs(expected) != pairs(seen) {
        let shown: Vec<String> = pairs(seen).iter().map(|(name, value)| format!("{name}: {value}")).collect();
        return Err(format!("its User Properties are [{}]", shown.join(", ")));
    }
    let identifiers = |properties: &Properties| {
        let mut identifiers: Vec<u32> = properties.subscription_identifiers().collect();
        identifiers.sort_unstable();
        identifiers
    };
    if !identifiers(expected).is_empty() && identifiers(expected) != identifiers(seen) {
        return Err(format!("its Subscription Identifiers are {:?}", identifiers(seen)));
    }
    for property in expected.iter() {
        if matches!(property.id(), PropertyId::UserProperty | PropertyId::SubscriptionIdentifier) {
            continue;
        }
        match seen.iter().find(|candidate| candidate.id() == property.id()) {
            None => return Err(format!("it has no {}", property.id())),
            Some(other) if other != property => {
                return Err(format!("its {} is {} and not {}", property.id(), value(other), value(property)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn value(property: &Property) -> String {
    match property.value() {
        PropertyValue::Byte(value) => value.to_string(),
        PropertyValue::Two(value) => value.to_string(),
        PropertyValue::Four(value) | PropertyValue::Variable(value) => value.to_string(),
        PropertyValue::Text(text) => format!("'{text}'"),
        PropertyValue::Binary(data) => format!("'{}'", String::from_utf8_lossy(data)),
        PropertyValue::Pair(name, value) => format!("'{name}: {value}'"),
    }
}
