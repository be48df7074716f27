//! Faults of properties: where they stand, how often, and with what value.

use super::{Around, MALFORMED, PROTOCOL, block, connack_with, connect_with, publish_with, refused, taken, will_with};
use squall_codec::{
    error::DecodeError as E,
    property::{Place, PropertyId, PropertyKind},
    reason::{ReasonCode, Side},
    version::Version::V5_0,
};

#[test]
fn properties_in_the_wrong_place() {
    let c = Side::Client;
    for (given, id) in [("00", 0), ("04", 4), ("2B", 0x2B), ("FF01", 0xFF), ("FFFFFF7F", 268_435_455)] {
        refused(V5_0, c, &publish_with(given), E::UnknownProperty { id }, MALFORMED, "MQTT-4.13.1-1");
    }
    let rows = [
        (c, publish_with("11 00000001"), PropertyId::SessionExpiryInterval, Place::Publish),
        (c, publish_with("1F 0001 'r'"), PropertyId::ReasonString, Place::Publish),
        (c, connect_with("01 01"), PropertyId::PayloadFormatIndicator, Place::Connect),
        (c, connect_with("1F 0001 'r'"), PropertyId::ReasonString, Place::Connect),
        (c, will_with("23 0001"), PropertyId::TopicAlias, Place::Will),
        (Side::Server, connack_with("17 01"), PropertyId::RequestProblemInformation, Place::Connack),
        (c, "40 09 0001 00 05 11 00000001".into(), PropertyId::SessionExpiryInterval, Place::Puback),
        (c, "E0 05 00 03 21 0001".into(), PropertyId::ReceiveMaximum, Place::Disconnect),
        (c, "A2 08 0001 02 0B 01 0001 'a'".into(), PropertyId::SubscriptionIdentifier, Place::Unsubscribe),
    ];
    for (sender, given, property, place) in rows {
        refused(V5_0, sender, &given, E::PropertyNotAllowed { property, place }, MALFORMED, "MQTT-4.13.1-1");
    }
    let rows = [
        (c, publish_with("0B 01"), PropertyId::SubscriptionIdentifier, Place::Publish, "MQTT-3.3.4-6"),
        (c, "E0 06 00 04 1C 0001 's'".into(), PropertyId::ServerReference, Place::Disconnect, "MQTT-4.13.1-1"),
        (
            Side::Server,
            "E0 07 00 05 11 00000001".into(),
            PropertyId::SessionExpiryInterval,
            Place::Disconnect,
            "MQTT-3.14.2-2",
        ),
    ];
    for (sender, given, property, place, statement) in rows {
        refused(V5_0, sender, &given, E::PropertySender { property, place, sender }, PROTOCOL, statement);
    }
}

/// Every property in every place that allows it: once is taken, twice is refused, unless it repeats.
#[test]
fn properties_that_repeat() {
    for id in PropertyId::ALL {
        let value = match id {
            PropertyId::UserProperty => "0001 'k' 0001 'v'",
            _ => match id.kind() {
                PropertyKind::Byte | PropertyKind::Variable => "01",
                PropertyKind::Two => "0001",
                PropertyKind::Four => "00000001",
                _ => "0001 'x'",
            },
        };
        let one = format!("{:02X} {value}", *id as u8);
        for (place, sender, around) in PLACES {
            if !id.allowed_in(*place) || !id.sent_by(*place, *sender) {
                continue;
            }
            let needs_method = *id == PropertyId::AuthenticationData
                || *place == Place::Auth && *id != PropertyId::AuthenticationMethod;
            let method = if needs_method { "15 0001 'M'" } else { "" };
            taken(V5_0, *sender, &around(&format!("{method} {one}")));
            let twice = around(&format!("{method} {one} {one}"));
            if id.repeats_in(*place) {
                taken(V5_0, *sender, &twice);
            } else {
                let error = E::PropertyRepeated { property: *id, place: *place };
                refused(V5_0, *sender, &twice, error, PROTOCOL, "MQTT-4.13.1-1");
            }
        }
    }
}

const PLACES: &[(Place, Side, Around)] = &[
    (Place::Connect, Side::Client, connect_with),
    (Place::Will, Side::Client, will_with),
    (Place::Connack, Side::Server, connack_with),
    (Place::Publish, Side::Client, publish_with),
    (Place::Publish, Side::Server, publish_with),
    (Place::Puback, Side::Client, |p| block("40", "0001 00", p, "")),
    (Place::Pubrec, Side::Server, |p| block("50", "0001 00", p, "")),
    (Place::Pubrel, Side::Client, |p| block("62", "0001 00", p, "")),
    (Place::Pubcomp, Side::Server, |p| block("70", "0001 00", p, "")),
    (Place::Subscribe, Side::Client, |p| block("82", "0001", p, "0001 'a' 00")),
    (Place::Suback, Side::Server, |p| block("90", "0001", p, "00")),
    (Place::Unsubscribe, Side::Client, |p| block("A2", "0001", p, "0001 'a'")),
    (Place::Unsuback, Side::Server, |p| block("B0", "0001", p, "00")),
    (Place::Disconnect, Side::Client, |p| block("E0", "00", p, "")),
    (Place::Disconnect, Side::Server, |p| block("E0", "00", p, "")),
    (Place::Auth, Side::Client, |p| block("F0", "18", p, "")),
    (Place::Auth, Side::Server, |p| block("F0", "18", p, "")),
];

#[test]
fn property_values_out_of_bounds() {
    let (c, s) = (Side::Client, Side::Server);
    let rows = [
        (c, connect_with("21 0000"), PropertyId::ReceiveMaximum, 0),
        (c, connect_with("27 00000000"), PropertyId::MaximumPacketSize, 0),
        (c, connect_with("17 02"), PropertyId::RequestProblemInformation, 2),
        (c, connect_with("19 02"), PropertyId::RequestResponseInformation, 2),
        (c, will_with("01 02"), PropertyId::PayloadFormatIndicator, 2),
        (c, publish_with("01 02"), PropertyId::PayloadFormatIndicator, 2),
        (s, publish_with("0B 00"), PropertyId::SubscriptionIdentifier, 0),
        (c, "82 09 0001 02 0B 00 0001 'a' 00".into(), PropertyId::SubscriptionIdentifier, 0),
        (s, connack_with("21 0000"), PropertyId::ReceiveMaximum, 0),
        (s, connack_with("27 00000000"), PropertyId::MaximumPacketSize, 0),
        (s, connack_with("24 02"), PropertyId::MaximumQos, 2),
        (s, connack_with("25 02"), PropertyId::RetainAvailable, 2),
        (s, connack_with("28 02"), PropertyId::WildcardSubscriptionAvailable, 2),
        (s, connack_with("29 FF"), PropertyId::SubscriptionIdentifierAvailable, 255),
        (s, connack_with("2A 02"), PropertyId::SharedSubscriptionAvailable, 2),
    ];
    for (sender, given, property, value) in rows {
        refused(V5_0, sender, &given, E::PropertyValue { property, value }, PROTOCOL, "MQTT-4.13.1-1");
    }
    let alias = E::PropertyValue { property: PropertyId::TopicAlias, value: 0 };
    refused(V5_0, c, &publish_with("23 0000"), alias, ReasonCode::TopicAliasInvalid, "MQTT-3.3.2-8");
    for given in ["21 FFFF", "27 FFFFFFFF", "11 FFFFFFFF", "22 0000"] {
        taken(V5_0, c, &connect_with(given));
    }
}

#[test]
fn authentication_without_its_method() {
    let rows = [
        (Side::Client, connect_with("16 0001 'd'"), Place::Connect),
        (Side::Server, connack_with("16 0001 'd'"), Place::Connack),
        (Side::Client, block("F0", "18", "16 0001 'd'", ""), Place::Auth),
    ];
    for (sender, given, place) in rows {
        refused(V5_0, sender, &given, E::AuthenticationDataAlone { place }, PROTOCOL, "MQTT-4.13.1-1");
    }
    refused(V5_0, Side::Client, "F0 02 18 00", E::NoAuthenticationMethod, PROTOCOL, "MQTT-4.13.1-1");
    refused(V5_0, Side::Server, "F0 02 00 00", E::NoAuthenticationMethod, PROTOCOL, "MQTT-4.13.1-1");
}
