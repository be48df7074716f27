//! The diagram as text for Mermaid, which many wikis and forges draw.

use std::fmt::Write as _;

use squall_scenarios::verdict::Verdict;

use super::picture::{Head, LONG_PAUSE_US, Mark, Picture, Row, Shape, Stroke, Way, seconds};
use crate::{diagram::wrap::wrap, trace::model::Trace};

/// A label is broken into lines of so many characters.
const WIDTH: usize = 44;

/// The whole diagram.
pub fn draw(trace: &Trace) -> String {
    let picture = Picture::of(trace);
    let header = &trace.header;
    let mut text = String::from("sequenceDiagram\n");
    let title = format!("{} (MQTT {}, seed {})", header.title, header.mqtt, header.seed);
    let _ = writeln!(text, "    title {}", escaped(&title));
    let (left, right) = picture.actors.split_at(picture.on_the_left());
    let numbered = |(index, actor): (usize, &String)| format!("a{index} as {}", escaped(actor));
    let left: Vec<String> = left.iter().enumerate().map(numbered).collect();
    let right: Vec<String> =
        right.iter().enumerate().map(|(index, actor)| numbered((index + left.len(), actor))).collect();
    let broker = "broker".to_owned();
    for lane in left.iter().chain([&broker]).chain(&right) {
        let _ = writeln!(text, "    participant {lane}");
    }
    let (first, last) = (if left.is_empty() { "broker" } else { "a0" }, picture.actors.len().saturating_sub(1));
    let across = if right.is_empty() { format!("{first},broker") } else { format!("{first},a{last}") };
    let mut before = None;
    for row in &picture.rows {
        let pause = before.map_or(0, |before| row.at_us.saturating_sub(before));
        if pause >= LONG_PAUSE_US {
            let _ = writeln!(text, "    Note over {across}: ⋮ {} s", seconds(pause).trim_end_matches(".000"));
        }
        put(&mut text, row, before != Some(row.at_us));
        before = Some(row.at_us);
    }
    let verdict = match trace.end.verdict {
        Verdict::Pass => "✔ pass".to_owned(),
        verdict => format!("{verdict}: {}", trace.shown(&trace.end.reason)),
    };
    let _ = writeln!(text, "    Note over {across}: {}", lines(&verdict));
    text
}

fn put(text: &mut String, row: &Row, is_later: bool) {
    let lane = row.lane.map_or_else(|| "broker".to_owned(), |lane| format!("a{lane}"));
    let time = if is_later { format!("[{} s] ", seconds(row.at_us)) } else { String::new() };
    let label = lines(&format!("{time}{}", row.label));
    match row.shape {
        Shape::Arrow { way, stroke, head } => {
            let arrow = match (stroke, head) {
                (_, Head::Lost) => "-x",
                (_, Head::Stuck) => "--)",
                (Stroke::Packet, Head::Arrives) => "->>",
                (Stroke::Beginning | Stroke::End, Head::Arrives) => "-->>",
            };
            let (from, to) = match way {
                Way::ToBroker => (lane.as_str(), "broker"),
                Way::ToActor => ("broker", lane.as_str()),
            };
            let _ = writeln!(text, "    {from}{arrow}{to}: {label}");
        }
        Shape::Mark(Mark::Fault) => drop(writeln!(text, "    Note over {lane}: ⚡ {label}")),
        Shape::Mark(Mark::Turn) => drop(writeln!(text, "    Note over {lane}: ○ {label}")),
        Shape::Mark(Mark::Told) => drop(writeln!(text, "    Note over {lane}: ● {label}")),
        Shape::Mark(Mark::Breach) => {
            let _ = writeln!(text, "    rect rgb(255, 205, 205)\n    Note over {lane}: ✘ {label}\n    end");
        }
    }
}

fn lines(label: &str) -> String {
    let broken: Vec<String> = wrap(label, WIDTH, WIDTH).iter().map(|line| escaped(line)).collect();
    broken.join("<br/>")
}

/// What Mermaid would take for its own.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '#' | ';' | '<' | '>' | '"' | '&' | '%' | '`' | '{' | '}' => {
                let _ = write!(escaped, "#{};", u32::from(letter));
            }
            letter if letter.is_control() => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}
