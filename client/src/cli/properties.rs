//! `-D COMMAND PROPERTY VALUE`: properties of 5.0 in words.

use bytes::Bytes;
use squall_codec::{
    property::{Place, Properties, Property, PropertyId},
    wire::Text,
};

use super::Trouble;

/// The properties of each packet that this program sends.
#[derive(Debug, Default)]
pub(crate) struct PacketProperties {
    pub(crate) connect: Properties,
    pub(crate) publish: Properties,
    pub(crate) subscribe: Properties,
    pub(crate) will: Properties,
    pub(crate) disconnect: Properties,
}

/// What a client may say, by the names that `mosquitto_pub` has for them.
const NAMES: &[(&str, PropertyId)] = &[
    ("content-type", PropertyId::ContentType),
    ("correlation-data", PropertyId::CorrelationData),
    ("maximum-packet-size", PropertyId::MaximumPacketSize),
    ("message-expiry-interval", PropertyId::MessageExpiryInterval),
    ("payload-format-indicator", PropertyId::PayloadFormatIndicator),
    ("receive-maximum", PropertyId::ReceiveMaximum),
    ("response-topic", PropertyId::ResponseTopic),
    ("session-expiry-interval", PropertyId::SessionExpiryInterval),
    ("subscription-identifier", PropertyId::SubscriptionIdentifier),
    ("topic-alias-maximum", PropertyId::TopicAliasMaximum),
    ("user-property", PropertyId::UserProperty),
    ("will-delay-interval", PropertyId::WillDelayInterval),
];

impl PacketProperties {
    /// Reads the words of all `-D`, one after the other.
    pub(crate) fn read(words: &[String]) -> Result<Self, Trouble> {
        let mut all = PacketProperties::default();
        let mut words = words.iter().map(String::as_str);
        while let Some(command) = words.next() {
            let (place, properties) = match command {
                "connect" => (Place::Connect, &mut all.connect),
                "publish" => (Place::Publish, &mut all.publish),
                "subscribe" => (Place::Subscribe, &mut all.subscribe),
                "disconnect" => (Place::Disconnect, &mut all.disconnect),
                "will" => (Place::Will, &mut all.will),
                other => {
                    let expected = "expected connect, publish, subscribe, disconnect or will";
                    return Err(Trouble::unable(format!("-D: '{other}' has no properties here: {expected}")));
                }
            };
            let (name, value) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let Some((_, id)) = NAMES.iter().find(|(known, id)| *known == name && allowed(*id, place)) else {
                let names = NAMES.iter().filter(|(_, id)| allowed(*id, place)).map(|(name, _)| *name);
                let names = names.collect::<Vec<_>>().join(", ");
                return Err(Trouble::unable(format!("-D {command}: no property '{name}': expected {names}")));
            };
            let second = || format!("-D {command} user-property: expected a name and a value");
            let property = match id {
                PropertyId::UserProperty => {
                    let content = words.next().ok_or_else(|| Trouble::unable(second()))?;
                    Property::UserProperty((text(value)?, text(content)?))
                }
                id => property(*id, value)
                    .ok_or_else(|| Trouble::unable(format!("-D {command} {name}: '{value}' is no value of it")))?,
            };
            if *id != PropertyId::UserProperty && properties.iter().any(|known| known.id() == *id) {
                return Err(Trouble::unable(format!("-D {command} {name}: given twice")));
            }
            properties.push(property);
        }
        Ok(all)
    }
}

/// What this program lets be said where: the rest of the standard's list is the library's own business.
fn allowed(id: PropertyId, place: Place) -> bool {
    let ours = match place {
        Place::Publish => id != PropertyId::SubscriptionIdentifier,
        Place::Disconnect => id == PropertyId::SessionExpiryInterval,
        _ => true,
    };
    ours && id.allowed_in(place)
}

fn text(value: &str) -> Result<Text, Trouble> {
    Text::try_from(value).map_err(|error| Trouble::unable(format!("-D: '{value}' {error}")))
}

fn property(id: PropertyId, value: &str) -> Option<Property> {
    Some(match id {
        PropertyId::ContentType => Property::ContentType(Text::try_from(value).ok()?),
        PropertyId::CorrelationData => Property::CorrelationData(Bytes::copy_from_slice(value.as_bytes())),
        PropertyId::MaximumPacketSize => Property::MaximumPacketSize(value.parse().ok().filter(|size| *size > 0)?),
        PropertyId::MessageExpiryInterval => Property::MessageExpiryInterval(value.parse().ok()?),
        PropertyId::PayloadFormatIndicator => {
            Property::PayloadFormatIndicator(value.parse().ok().filter(|format| *format < 2)?)
        }
        PropertyId::ReceiveMaximum => Property::ReceiveMaximum(value.parse().ok().filter(|most| *most > 0)?),
        PropertyId::ResponseTopic => Property::ResponseTopic(Text::try_from(value).ok()?),
        PropertyId::SessionExpiryInterval => Property::SessionExpiryInterval(value.parse().ok()?),
        PropertyId::SubscriptionIdentifier => {
            Property::SubscriptionIdentifier(value.parse().ok().filter(|id| (1..=268_435_455).contains(id))?)
        }
        PropertyId::TopicAliasMaximum => Property::TopicAliasMaximum(value.parse().ok()?),
        PropertyId::WillDelayInterval => Property::WillDelayInterval(value.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<PacketProperties, String> {
        let words: Vec<_> = words.iter().map(|word| (*word).to_owned()).collect();
        PacketProperties::read(&words).map_err(|trouble| trouble.sentence)
    }

    #[test]
    fn properties_go_to_their_packets() {
        let line = ["publish", "user-property", "a", "b", "connect", "session-expiry-interval", "60"];
        let all = read(&line).expect("well said");
        assert_eq!(all.connect.session_expiry_interval(), Some(60));
        assert_eq!(all.publish.user_properties().next(), Some(&(Text::literal("a"), Text::literal("b"))));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, named) in [
            (&["pub", "content-type", "x"][..], "'pub' has no properties here"),
            (&["publish", "contenttype", "x"], "no property 'contenttype': expected content-type, "),
            (&["publish", "will-delay-interval", "1"], "no property 'will-delay-interval'"),
            (&["connect", "receive-maximum", "0"], "'0' is no value of it"),
            (&["publish", "user-property", "a"], "expected a name and a value"),
            (&["publish", "content-type", "a", "publish", "content-type", "b"], "given twice"),
        ] {
            let sentence = read(line).expect_err("wrong");
            assert!(sentence.contains(named), "{sentence}");
        }
    }
}
