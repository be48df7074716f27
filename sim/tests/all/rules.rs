//! Which statements a packet touches.

use squall_codec::{packet::PacketKind, version::Version};
use squall_scenarios::dissect::{Value, fields};
use squall_sim::{
    show::{
        rules::{RULES, touched},
        statements,
    },
    trace::model::Happening,
};

#[test]
fn every_rule_is_a_statement_of_its_standard() {
    for rule in RULES {
        let v5 = rule.v5.iter().map(|id| format!("5.0/MQTT-{id}"));
        for key in v5.chain(rule.v3.iter().map(|id| format!("3.1.1/MQTT-{id}"))) {
            assert!(statements::find(&key).is_some(), "{key} of {} {} is no statement", rule.packet, rule.field);
        }
    }
}

#[test]
fn every_field_of_a_rule_is_one_that_a_packet_can_have() {
    let properties: Vec<&str> =
        squall_codec::property::PropertyId::ALL.iter().map(|property| property.name()).collect();
    let frames: [(&[u8], Version); 8] = [
        (b"\x10\x1a\x00\x04MQTT\x04\xee\x00\x0a\x00\x01a\x00\x01t\x00\x01p\x00\x01u\x00\x01p", Version::V3_1_1),
        (b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x0a\x00\x00\x01a", Version::V5_0),
        (b"\x20\x03\x00\x00\x00", Version::V5_0),
        (b"\x32\x05\x00\x01t\x00\x07", Version::V3_1_1),
        (b"\x40\x03\x00\x07\x10", Version::V5_0),
        (b"\x82\x07\x00\x07\x00\x00\x01t\x00", Version::V5_0),
        (b"\x62\x02\x00\x07", Version::V5_0),
        (b"\xe0\x01\x00", Version::V5_0),
    ];
    let mut known: Vec<&str> = vec![""];
    for (frame, version) in frames {
        for field in fields(frame, version) {
            known.push(field.name);
            if let Value::Flags(flags) = field.value {
                known.extend(flags.iter().map(|flag| flag.name));
            }
        }
    }
    for rule in RULES {
        let is_known = known.contains(&rule.field) || properties.contains(&rule.field);
        assert!(is_known, "no packet has a field {:?}", rule.field);
    }
}

#[test]
fn what_a_packet_says_decides_which_rules_it_touches() {
    let keys = |frame: &[u8], what| {
        let touched = touched(PacketKind::Publish, what, Version::V5_0, &fields(frame, Version::V5_0));
        touched.into_iter().map(|touched| touched.key).collect::<Vec<_>>()
    };
    let first = keys(b"\x34\x06\x00\x01t\x00\x07\x00", Happening::Sent);
    assert!(first.contains(&"5.0/MQTT-4.3.3-10".to_owned()), "{first:?}");
    assert!(!first.contains(&"5.0/MQTT-3.3.1-1".to_owned()), "{first:?}");
    let again = keys(b"\x3c\x06\x00\x01t\x00\x07\x00", Happening::Sent);
    assert!(again.contains(&"5.0/MQTT-3.3.1-1".to_owned()), "{again:?}");
    let plain = keys(b"\x30\x04\x00\x01t\x00", Happening::Received);
    assert!(plain.contains(&"5.0/MQTT-4.3.1-1".to_owned()), "{plain:?}");
    assert!(!plain.contains(&"5.0/MQTT-2.2.1-4".to_owned()), "{plain:?}");
}
