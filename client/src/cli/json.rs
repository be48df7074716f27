//! A message as one JSON object, as `mosquitto_sub` has it.

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Zoned;
use serde_json::{Map, Value, json};
use squall_codec::{packet::Publish, property::Properties};

pub(super) fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

pub(super) fn json(message: &Publish, properties: &Properties, at: &Zoned, payload: Value) -> Value {
    let mut object = Map::new();
    let microseconds = format!(".{:06}", at.subsec_nanosecond() / 1000);
    object.insert("tst".to_owned(), date_and_time(at, &microseconds).into());
    object.insert("topic".to_owned(), message.topic().into());
    object.insert("qos".to_owned(), message.qos.bits().into());
    object.insert("retain".to_owned(), u8::from(message.retain).into());
    object.insert("payloadlen".to_owned(), message.payload().len().into());
    if let Some(packet_id) = message.packet_id {
        object.insert("mid".to_owned(), packet_id.value().into());
    }
    let said = said(message, properties);
    if !said.is_empty() {
        object.insert("properties".to_owned(), said.into());
    }
    object.insert("payload".to_owned(), payload);
    // What is no text cannot stand in JSON as it is.
    if std::str::from_utf8(message.payload()).is_err() {
        object.insert("payload_base64".to_owned(), STANDARD.encode(message.payload()).into());
    }
    object.into()
}

fn said(message: &Publish, properties: &Properties) -> Map<String, Value> {
    let mut said = Map::new();
    let mut put = |name: &str, value: Value| drop(said.insert(name.to_owned(), value));
    if let Some(format) = properties.payload_format_indicator() {
        put("payload-format-indicator", format.into());
    }
    if let Some(seconds) = message.message_expiry_interval {
        put("message-expiry-interval", seconds.into());
    }
    if let Some(kind) = properties.content_type() {
        put("content-type", kind.as_str().into());
    }
    if let Some(topic) = properties.response_topic() {
        put("response-topic", topic.as_str().into());
    }
    if let Some(data) = properties.correlation_data() {
        put("correlation-data", text(data));
    }
    if !message.subscription_identifiers.is_empty() {
        put("subscription-identifiers", message.subscription_identifiers.clone().into());
    }
    let pairs: Vec<_> =
        properties.user_properties().map(|(name, value)| json!({ name.as_str(): value.as_str() })).collect();
    if !pairs.is_empty() {
        put("user-properties", pairs.into());
    }
    said
}

/// `2026-11-21T15:52:03+0100`, with this between the second and the zone.
pub(super) fn date_and_time(at: &Zoned, fraction: &str) -> String {
    format!("{}{fraction}{}", at.strftime("%Y-%m-%dT%H:%M:%S"), at.strftime("%z"))
}
