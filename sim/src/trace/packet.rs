//! A packet as JSON: every field and property by the name that the standard gives it.

use serde_json::{Map, Value as Json, json};
use squall_codec::{packet::Packet, reason::Side, version::Version};
use squall_scenarios::dissect::{self, Field, Group, TYPE_AND_FLAGS, Value};

use super::model::{Happening, Line};

/// The fields of a frame; with `malformed` (and the statement that this breaks) where it is no packet.
pub fn json(line: &Line, version: Version) -> Json {
    let fields = dissect::fields(&line.bytes, version);
    let mut packet = Map::new();
    let kind = dissect::kind(&line.bytes).map_or("reserved", |kind| kind.name());
    packet.insert("type".to_owned(), json!(kind));
    for field in &fields {
        put(&mut packet, field);
    }
    let sender = if line.what == Happening::Sent { Side::Client } else { Side::Server };
    if let Err(error) = Packet::decode(version, sender, line.bytes.clone()) {
        packet.insert("malformed".to_owned(), json!(error.to_string()));
        if let Some(statement) = error.statement(version) {
            packet.insert("breaks".to_owned(), json!(format!("{version}/{statement}")));
        }
    }
    Json::Object(packet)
}

/// Fields that stand in a packet more than once become lists.
fn put(packet: &mut Map<String, Json>, field: &Field) {
    match (field.group, &field.value) {
        (_, Value::Unread) => drop(packet.insert(field.name.to_owned(), json!(field.range.len()))),
        (Group::Properties | Group::WillProperties, _) if field.name == "Property Length" => {}
        (Group::Properties | Group::WillProperties, value) => {
            let properties = packet.entry(field.group.name()).or_insert_with(|| json!({}));
            let Some(properties) = properties.as_object_mut() else { return };
            if matches!(field.name, "User Property" | "Subscription Identifier") {
                push(properties, field.name, value_of(value));
            } else {
                properties.insert(field.name.to_owned(), value_of(value));
            }
        }
        (_, Value::Flags(flags)) if field.name == "Subscription Options" => {
            // They belong to the filter before them.
            let last =
                packet.get_mut("Topic Filters").and_then(Json::as_array_mut).and_then(|filters| filters.last_mut());
            if let Some(filter) = last.and_then(Json::as_object_mut) {
                filter.extend(flags.iter().map(|flag| (flag.name.to_owned(), json!(flag.value))));
            }
        }
        (_, Value::Flags(flags)) => {
            let is_first = field.name == TYPE_AND_FLAGS;
            let said = flags.iter().filter(|flag| {
                let is_known = is_first && flag.name == "Packet type";
                !is_known && (flag.name != "Reserved" || !is_first && flag.value != 0)
            });
            packet.extend(said.map(|flag| (flag.name.to_owned(), json!(flag.value))));
        }
        (_, value) if field.name == "Topic Filter" => {
            push(packet, "Topic Filters", json!({ "Topic Filter": value_of(value) }));
        }
        (Group::Payload, Value::Code(..)) => push(packet, "Reason Codes", value_of(&field.value)),
        (_, value) => drop(packet.insert(field.name.to_owned(), value_of(value))),
    }
}

fn push(object: &mut Map<String, Json>, name: &str, value: Json) {
    if let Some(list) = object.entry(name).or_insert_with(|| json!([])).as_array_mut() {
        list.push(value);
    }
}

fn value_of(value: &Value) -> Json {
    match value {
        Value::Number(number) => json!(number),
        Value::Pair(name, value) => json!([name, value]),
        Value::Binary(_) => json!({ "hex": value.to_string().trim_start_matches("0x") }),
        other => json!(other.to_string()),
    }
}
