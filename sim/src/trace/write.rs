//! A trace as text: the header, then a line for each thing that happened with the breaches that showed there, then the end.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value as Json;

use super::{
    model::{Cause, End, Happening, Trace},
    packet,
};

/// The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Written<'a> {
    seq: usize,
    at_us: u64,
    node: &'a str,
    connection: u32,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a Cause>,
}

#[derive(Serialize)]
struct Last<'a> {
    end: &'a End,
}

/// The whole trace, a JSON object a line.
pub fn write(trace: &Trace) -> String {
    let mut text = String::new();
    push(&mut text, &trace.header);
    for (line, version) in trace.lines.iter().zip(trace.versions()) {
        let has_bytes = matches!(line.what, Happening::Sent | Happening::Received);
        push(
            &mut text,
            &Written {
                seq: line.seq,
                at_us: line.at_us,
                node: &line.node,
                connection: line.connection,
                what: line.what.word(),
                direction: line.what.direction(),
                text: &line.text,
                packet: has_bytes.then(|| packet::json(line, version)),
                bytes: has_bytes.then(|| hex(&line.bytes)),
                cause: line.cause.as_ref(),
            },
        );
        for breach in trace.breaches.iter().filter(|breach| breach.seq == line.seq) {
            push(&mut text, breach);
        }
    }
    push(&mut text, &Last { end: &trace.end });
    text
}

/// As two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn push(text: &mut String, line: &impl Serialize) {
    text.push_str(&serde_json::to_string(line).expect("texts and numbers are JSON"));
    text.push('\n');
}
