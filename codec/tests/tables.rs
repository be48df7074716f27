//! The tables of properties and reason codes, written down a second time from the standard: both have to agree.

use squall_codec::{
    packet::PacketKind,
    property::{Place, PropertyId, PropertyKind},
    reason::{ReasonCode, Side},
};

/// Identifier, name, type, places.
const PROPERTIES: &[&str] = &[
    "01 | Payload Format Indicator | byte | will publish",
    "02 | Message Expiry Interval | u32 | will publish",
    "03 | Content Type | string | will publish",
    "08 | Response Topic | string | will publish",
    "09 | Correlation Data | binary | will publish",
    "0B | Subscription Identifier | VBI | publish subscribe",
    "11 | Session Expiry Interval | u32 | connect connack disconnect",
    "12 | Assigned Client Identifier | string | connack",
    "13 | Server Keep Alive | u16 | connack",
    "15 | Authentication Method | string | connect connack auth",
    "16 | Authentication Data | binary | connect connack auth",
    "17 | Request Problem Information | byte | connect",
    "18 | Will Delay Interval | u32 | will",
    "19 | Request Response Information | byte | connect",
    "1A | Response Information | string | connack",
    "1C | Server Reference | string | connack disconnect",
    "1F | Reason String | string | connack ack suback unsuback disconnect auth",
    "21 | Receive Maximum | u16 | connect connack",
    "22 | Topic Alias Maximum | u16 | connect connack",
    "23 | Topic Alias | u16 | publish",
    "24 | Maximum QoS | byte | connack",
    "25 | Retain Available | byte | connack",
    "26 | User Property | pair | connect will connack publish ack subscribe suback unsubscribe unsuback disconnect auth",
    "27 | Maximum Packet Size | u32 | connect connack",
    "28 | Wildcard Subscription Available | byte | connack",
    "29 | Subscription Identifier Available | byte | connack",
    "2A | Shared Subscription Available | byte | connack",
];

/// Code, name, and for each packet who may send it: C a client, S a server.
const REASON_CODES: &[&str] = &[
    "00 | Success | connack:S puback:CS pubrec:CS pubrel:CS pubcomp:CS suback:S unsuback:S disconnect:CS auth:S",
    "01 | Granted QoS 1 | suback:S",
    "02 | Granted QoS 2 | suback:S",
    "04 | Disconnect with Will Message | disconnect:C",
    "10 | No matching subscribers | puback:S pubrec:S",
    "11 | No subscription existed | unsuback:S",
    "18 | Continue authentication | auth:CS",
    "19 | Re-authenticate | auth:C",
    "80 | Unspecified error | connack:S puback:CS pubrec:CS suback:S unsuback:S disconnect:CS",
    "81 | Malformed Packet | connack:S disconnect:CS",
    "82 | Protocol Error | connack:S disconnect:CS",
    "83 | Implementation specific error | connack:S puback:CS pubrec:CS suback:S unsuback:S disconnect:CS",
    "84 | Unsupported Protocol Version | connack:S",
    "85 | Client Identifier not valid | connack:S",
    "86 | Bad User Name or Password | connack:S",
    "87 | Not authorized | connack:S puback:CS pubrec:CS suback:S unsuback:S disconnect:S",
    "88 | Server unavailable | connack:S",
    "89 | Server busy | connack:S disconnect:S",
    "8A | Banned | connack:S",
    "8B | Server shutting down | disconnect:S",
    "8C | Bad authentication method | connack:S disconnect:CS",
    "8D | Keep Alive timeout | disconnect:S",
    "8E | Session taken over | disconnect:S",
    "8F | Topic Filter invalid | suback:S unsuback:S disconnect:S",
    "90 | Topic Name invalid | connack:S puback:CS pubrec:CS disconnect:CS",
    "91 | Packet Identifier in use | puback:CS pubrec:CS suback:S unsuback:S",
    "92 | Packet Identifier not found | pubrel:CS pubcomp:CS",
    "93 | Receive Maximum exceeded | disconnect:CS",
    "94 | Topic Alias invalid | disconnect:CS",
    "95 | Packet too large | connack:S disconnect:CS",
    "96 | Message rate too high | disconnect:CS",
    "97 | Quota exceeded | connack:S puback:CS pubrec:CS suback:S disconnect:CS",
    "98 | Administrative action | disconnect:CS",
    "99 | Payload format invalid | connack:S puback:CS pubrec:CS disconnect:CS",
    "9A | Retain not supported | connack:S disconnect:S",
    "9B | QoS not supported | connack:S disconnect:CS",
    "9C | Use another server | connack:S disconnect:S",
    "9D | Server moved | connack:S disconnect:S",
    "9E | Shared Subscriptions not supported | suback:S disconnect:S",
    "9F | Connection rate exceeded | connack:S disconnect:S",
    "A0 | Maximum connect time | disconnect:S",
    "A1 | Subscription Identifiers not supported | suback:S disconnect:S",
    "A2 | Wildcard Subscriptions not supported | suback:S disconnect:S",
];

const PLACES: &[(Place, &str)] = &[
    (Place::Connect, "connect"),
    (Place::Will, "will"),
    (Place::Connack, "connack"),
    (Place::Publish, "publish"),
    (Place::Puback, "ack"),
    (Place::Pubrec, "ack"),
    (Place::Pubrel, "ack"),
    (Place::Pubcomp, "ack"),
    (Place::Subscribe, "subscribe"),
    (Place::Suback, "suback"),
    (Place::Unsubscribe, "unsubscribe"),
    (Place::Unsuback, "unsuback"),
    (Place::Disconnect, "disconnect"),
    (Place::Auth, "auth"),
];

fn cells(row: &str) -> Vec<&str> {
    row.split('|').map(str::trim).collect()
}

#[test]
fn the_property_table_is_the_standards() {
    assert_eq!(PropertyId::ALL.len(), 27);
    assert_eq!(PROPERTIES.len(), 27);
    for (id, row) in PropertyId::ALL.iter().zip(PROPERTIES) {
        let [number, name, kind, places] = cells(row)[..] else { panic!("{row}") };
        assert_eq!(format!("{:02X}", *id as u8), number);
        assert_eq!(id.name(), name);
        assert_eq!(id.word(), name.to_lowercase().replace(' ', "_"));
        assert_eq!(PropertyId::from_value(u32::from_str_radix(number, 16).expect("a number")), Some(*id));
        let expected = match kind {
            "byte" => PropertyKind::Byte,
            "u16" => PropertyKind::Two,
            "u32" => PropertyKind::Four,
            "VBI" => PropertyKind::Variable,
            "string" => PropertyKind::Text,
            "binary" => PropertyKind::Binary,
            _ => PropertyKind::Pair,
        };
        assert_eq!(id.kind(), expected, "{name}");
        for (place, word) in PLACES {
            let expected = places.split(' ').any(|one| one == *word);
            assert_eq!(id.allowed_in(*place), expected, "{name} in {place}");
        }
    }
    let known = (0..=0x7F).filter(|value| PropertyId::from_value(*value).is_some()).count();
    assert_eq!(known, 27);
}

#[test]
fn the_reason_code_table_is_the_standards() {
    assert_eq!(ReasonCode::ALL.len(), 43);
    assert_eq!(REASON_CODES.len(), 43);
    for (reason, row) in ReasonCode::ALL.iter().zip(REASON_CODES) {
        let [code, name, packets] = cells(row)[..] else { panic!("{row}") };
        assert_eq!(format!("{:02X}", reason.value()), code);
        assert_eq!(reason.name(), name);
        assert_eq!(ReasonCode::from_value(reason.value()), Some(*reason));
        assert_eq!(reason.is_failure(), code >= "80");
        for packet in PacketKind::ALL {
            let word = packet.name().to_lowercase();
            let senders = packets.split(' ').find_map(|one| one.strip_prefix(&format!("{word}:"))).unwrap_or_default();
            for (side, letter) in [(Side::Client, 'C'), (Side::Server, 'S')] {
                let expected = senders.contains(letter);
                assert_eq!(reason.allowed_in(*packet, side), expected, "{reason} in {packet} from a {side}");
            }
        }
    }
    let known = (0..=255).filter(|value| ReasonCode::from_value(*value).is_some()).count();
    assert_eq!(known, 43);
}
