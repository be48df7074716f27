//! A sequence diagram as SVG: a lane for each actor, one for the broker, the packets as arrows.

use std::fmt::Write as _;

use squall_scenarios::escaped::escaped;

use crate::report::model::{Direction, Line};

/// More actors than this share one lane, and each arrow says whose it is.
const LANES: usize = 4;
/// Between two lanes, where there are several.
const GAP: usize = 290;
/// Between the only lane and the broker's.
const WIDE_GAP: usize = 620;
/// Before the first lane: the times.
const LEFT: usize = 90;
const ROW: usize = 30;
const HEAD: usize = 34;
/// A letter of the labels.
const LETTER: f64 = 6.3;

/// The lines with their positions in the transcript; `evidence` are the positions that decided.
pub(super) fn svg(lines: &[(usize, &Line)], evidence: &[usize], title: &str) -> String {
    let mut actors: Vec<&str> = Vec::new();
    for (_, line) in lines {
        if !actors.contains(&line.actor.as_str()) {
            actors.push(&line.actor);
        }
    }
    let shared = actors.len() > LANES;
    let lanes: Vec<&str> = if shared { vec!["clients"] } else { actors.clone() };
    let gap = if lanes.len() == 1 { WIDE_GAP } else { GAP };
    let broker = LEFT + lanes.len() * gap;
    let (width, height) = (broker + 60, HEAD + lines.len() * ROW + 10);

    let mut svg = String::new();
    let _ = write!(
        svg,
        "<svg class=\"seq\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\
         <title>{}</title>",
        escaped(title)
    );
    let columns = lanes.iter().enumerate().map(|(index, name)| (LEFT + index * gap, *name));
    for (column, name) in columns.chain([(broker, "broker")]) {
        let _ = write!(
            svg,
            "<text class=\"who\" x=\"{column}\" y=\"16\">{}</text>\
             <line class=\"lane\" x1=\"{column}\" y1=\"24\" x2=\"{column}\" y2=\"{height}\"/>",
            escaped(name)
        );
    }
    let mut last = None;
    for (row, (position, line)) in lines.iter().enumerate() {
        let y = HEAD + row * ROW + ROW - 8;
        if last != Some(line.at_us) {
            let _ = write!(svg, "<text class=\"at\" x=\"4\" y=\"{y}\">{:.3} s</text>", line.at_us as f64 / 1e6);
            last = Some(line.at_us);
        }
        let lane = if shared { 0 } else { actors.iter().position(|actor| *actor == line.actor).unwrap_or(0) };
        let class = if evidence.contains(position) { "row ev" } else { "row" };
        let _ = write!(svg, "<g class=\"{class}\">");
        arrow(&mut svg, line, LEFT + lane * gap, broker, y, shared);
        svg.push_str("</g>");
    }
    svg.push_str("</svg>");
    svg
}

fn arrow(svg: &mut String, line: &Line, lane: usize, broker: usize, y: usize, shared: bool) {
    let who = if shared { format!("{}: ", line.actor) } else { String::new() };
    let label = format!("{who}{}", line.summary);
    let room = ((broker - lane - 24) as f64 / LETTER) as usize;
    let shown: String = if label.chars().count() > room {
        label.chars().take(room.saturating_sub(1)).chain(['…']).collect()
    } else {
        label.clone()
    };
    let hex = line.hex.as_deref().map(|hex| format!(" [{hex}]")).unwrap_or_default();
    let _ = write!(svg, "<title>{}</title>", escaped(&format!("{label}{hex}")));
    let (from, to, kind) = match line.direction {
        Direction::Sent => (lane, broker, "packet"),
        Direction::Received => (broker, lane, "packet"),
        Direction::Opened => (lane, broker, "open"),
        Direction::Closed => (lane, broker, "end"),
        Direction::Ended => (broker, lane, "end"),
        Direction::Fault | Direction::Told => {
            let sign = if line.direction == Direction::Fault { "⚡" } else { "●" };
            let _ = write!(svg, "<text class=\"note\" x=\"{}\" y=\"{y}\">{sign} {}</text>", lane + 8, escaped(&shown));
            return;
        }
    };
    let inward: i64 = if to > from { -1 } else { 1 };
    let tip = i64::try_from(to).unwrap_or_default() + inward;
    let back = tip + 7 * inward;
    let (top, bottom) = (y - 4, y + 4);
    let _ = write!(
        svg,
        "<line class=\"{kind}\" x1=\"{from}\" y1=\"{y}\" x2=\"{tip}\" y2=\"{y}\"/>\
         <path class=\"head\" d=\"M{tip} {y} L{back} {top} L{back} {bottom} Z\"/>\
         <text x=\"{}\" y=\"{}\">{}</text>",
        lane + 12,
        y - 5,
        escaped(&shown)
    );
}
