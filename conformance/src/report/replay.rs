//! A script of plain Python that plays the packets of a test again, with sockets and nothing of ours.

use std::{collections::BTreeSet, fmt::Write as _};

use super::model::{Direction, Line, TestEntry};

/// A shorter pause between two packets is the network's.
const PAUSE_US: u64 = 250_000;

const PLAYER: &str = include_str!("replay.py");

/// What of a transcript an accusation needs: without control arms, and without other cases of the same test.
pub fn minimal(test: &TestEntry) -> Vec<&Line> {
    let decisive: Vec<&Line> = test.evidence.iter().filter_map(|position| test.transcript.get(*position)).collect();
    // An answer on the offender's own connection needs nobody else; a message may come from anybody.
    let alone = !decisive.is_empty()
        && decisive.iter().all(|line| {
            let message = line.direction == Direction::Received && line.summary.starts_with("PUBLISH");
            !message && line.direction != Direction::Sent
        });
    let accused: BTreeSet<&str> = decisive.iter().map(|line| line.actor.as_str()).collect();
    let is_aside = |line: &Line| line.actor.starts_with("control") || line.actor.starts_with("sweeper");
    let end = if alone { test.evidence.iter().copied().max() } else { None };
    test.transcript
        .iter()
        .enumerate()
        .filter(|(position, _)| end.is_none_or(|end| *position <= end))
        .map(|(_, line)| line)
        .filter(|line| accused.contains(line.actor.as_str()) || !(alone || is_aside(line)))
        .collect()
}

/// The script.
pub fn script(test: &TestEntry, key: &str, rule: &str) -> String {
    let mut steps = String::new();
    let mut last = None;
    for line in minimal(test) {
        let who = format!("{}#{}", line.actor, line.connection);
        let acts = matches!(line.direction, Direction::Opened | Direction::Sent | Direction::Closed);
        let pause = line.at_us.saturating_sub(last.unwrap_or(line.at_us));
        if acts && pause >= PAUSE_US {
            let _ = writeln!(steps, "    (\"wait\", {:.3}),", pause as f64 / 1e6);
        }
        last = Some(line.at_us);
        let hex = frame_hex(line);
        let summary = quoted(&line.summary);
        let who = quoted(&who);
        let step = match line.direction {
            Direction::Opened => format!("(\"open\", {who})"),
            Direction::Sent => format!("(\"send\", {who}, \"{hex}\", {summary})"),
            Direction::Received => format!("(\"receive\", {who}, \"{hex}\", {summary})"),
            Direction::Closed => format!("(\"close\", {who}, {summary})"),
            Direction::Ended => format!("(\"ended\", {who}, {summary})"),
            // A script has neither our link nor our client.
            Direction::Fault | Direction::Told => continue,
        };
        let _ = writeln!(steps, "    {step},");
    }
    let reason = test.reason.as_deref().unwrap_or(&test.about);
    PLAYER
        .replace("{{KEY}}", &in_text(key))
        .replace("{{RULE}}", &in_text(rule))
        .replace("{{SEEN}}", &in_text(reason))
        .replace("    # {{STEPS}}\n", &steps)
}

/// All bytes, where the frame is still there; otherwise what the report kept.
fn frame_hex(line: &Line) -> String {
    match &line.frame {
        Some(frame) => frame.iter().fold(String::with_capacity(frame.len() * 2), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
        None => line.hex.clone().unwrap_or_default(),
    }
}

/// A JSON string of plain ASCII is a Python string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(ascii(text)).to_string()
}

fn ascii(text: &str) -> String {
    text.chars().map(|letter| if letter.is_ascii() && !letter.is_ascii_control() { letter } else { '?' }).collect()
}

/// Text inside a docstring.
fn in_text(text: &str) -> String {
    ascii(text).replace('\\', "/").replace('"', "'")
}
