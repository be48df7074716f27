//! A sequence diagram of one play, for a terminal: a lane for each actor and one for the broker, virtual time at the
//! left, packets as arrows, faults and what clients told as marks, the verdict at the end.
//!
//! It is drawn from the trace alone, and reads as plain text where colours are stripped.

mod arrow;
mod canvas;
mod lanes;
pub mod wrap;

use squall_scenarios::{transcript::Entry, verdict::Verdict};

use self::{
    arrow::Arrow,
    canvas::{Row, Style},
    lanes::{Lanes, Link},
    wrap::wrap,
};
use crate::{
    show::picture::{self, LONG_PAUSE_US, Mark, Picture, Shape, Stroke, Way, seconds},
    story::TOPIC_ROOT,
    trace::model::{Trace, lines_of},
};

/// Narrower than this it is no diagram.
pub const SMALLEST_WIDTH: usize = 80;
/// Wider than this lines are hard to follow.
const LARGEST_WIDTH: usize = 132;

/// The whole diagram with ANSI colours; `width` in characters.
pub fn draw(trace: &Trace, width: usize) -> String {
    let picture = Picture::of(trace);
    let mut painter = Painter::new(&picture, width);
    painter.title(trace);
    painter.picture(&picture);
    painter.verdict(trace);
    painter.text
}

/// Packets alone, without a script: the lanes in the order in which their actors appear.
pub fn draw_packets(entries: &[Entry], width: usize) -> String {
    let picture = Picture::of_lines(&lines_of(entries), None, &|text| text.replace(TOPIC_ROOT, ""));
    let mut painter = Painter::new(&picture, width);
    painter.picture(&picture);
    painter.text
}

struct Painter {
    width: usize,
    lanes: Lanes,
    /// How many columns the times take.
    time_width: usize,
    /// The time of the last row.
    last: Option<u64>,
    text: String,
}

impl Painter {
    fn new(picture: &Picture, width: usize) -> Self {
        let width = width.clamp(SMALLEST_WIDTH, LARGEST_WIDTH);
        let longest = picture.rows.last().map_or(0, |row| seconds(row.at_us).chars().count()).max(5);
        let time_width = longest + 4;
        let lanes = Lanes::new(&picture.actors, picture.on_the_left(), time_width, width);
        Painter { width, lanes, time_width, last: None, text: String::new() }
    }

    fn title(&mut self, trace: &Trace) {
        let header = &trace.header;
        self.prose(0, &header.title, Style::Strong);
        self.prose(
            0,
            &format!("MQTT {} in the {} world, seed {}", header.mqtt, header.world, header.seed),
            Style::Faint,
        );
        if let Some(about) = &header.about {
            self.blank();
            for paragraph in about.split("\n\n") {
                self.prose(0, &paragraph.split_whitespace().collect::<Vec<_>>().join(" "), Style::Plain);
            }
        }
        self.blank();
    }

    fn picture(&mut self, picture: &Picture) {
        let mut row = Row::new(self.width);
        self.lanes.put_names(&mut row);
        self.push(row);
        let row = self.row();
        self.push(row);
        for row in &picture.rows {
            self.draw(row);
        }
        let row = self.row();
        self.push(row);
        let mut row = Row::new(self.width);
        self.lanes.put_names(&mut row);
        self.push(row);
        self.blank();
    }

    fn draw(&mut self, row: &picture::Row) {
        self.pause(row.at_us);
        let change = row.lane.zip(row.change);
        if let Some((lane, change)) = change.filter(|(_, change)| change.opens) {
            self.lanes.set(lane, change.connection, Link::Open);
        }
        match (row.shape, row.lane) {
            (Shape::Arrow { way, stroke, head }, Some(lane)) => {
                let arrow = match way {
                    Way::ToBroker => Arrow::up(lane, &row.label),
                    Way::ToActor => Arrow::down(lane, &row.label),
                };
                let style = if stroke == Stroke::Packet { Style::Actor(lane) } else { Style::Faint };
                self.arrow(row.at_us, arrow.stroke(stroke).head(head).style(style));
            }
            (Shape::Mark(mark), lane) => {
                let place = lane.map_or_else(|| self.lanes.broker_note_place(), |lane| self.lanes.note_place(lane));
                let (sign, style) = match mark {
                    Mark::Fault => ('⚡', Style::Bad),
                    Mark::Told => ('●', Style::Told),
                    Mark::Turn => ('○', Style::Faint),
                    Mark::Breach => ('✘', Style::Bad),
                };
                self.note(row.at_us, place, sign, &row.label, style);
            }
            // Only actors send.
            (Shape::Arrow { .. }, None) => {}
        }
        if let Some((lane, change)) = change.filter(|(_, change)| !change.opens) {
            self.lanes.set(lane, change.connection, Link::Closed);
        }
    }

    /// A pause that is worth a line.
    fn pause(&mut self, at: u64) {
        let Some(last) = self.last else { return };
        let passed = at.saturating_sub(last);
        if passed < LONG_PAUSE_US {
            return;
        }
        let mut row = self.row();
        let text = format!("⋮ {} s", seconds(passed).trim_end_matches(".000"));
        row.put_right(self.time_width.saturating_sub(3), &text, Style::Faint);
        self.push(row);
    }

    fn arrow(&mut self, at: u64, arrow: Arrow<'_>) {
        let (from, to) = self.lanes.ends(arrow.lane);
        let distance = from.abs_diff(to);
        let mut lines = wrap(arrow.label, arrow::label_room(distance), arrow::text_room(distance)).into_iter();
        let mut row = self.timed_row(at);
        arrow.put(&mut row, from, to, &lines.next().unwrap_or_default());
        self.push(row);
        let left = from.min(to) + arrow::INDENT;
        for line in lines {
            let mut row = self.row();
            row.put(left, &line, arrow.style);
            self.push(row);
        }
    }

    fn note(&mut self, at: u64, (start, room): (usize, usize), mark: char, text: &str, style: Style) {
        for (index, line) in wrap(text, room.saturating_sub(2), room.saturating_sub(2)).into_iter().enumerate() {
            let mut row = if index == 0 { self.timed_row(at) } else { self.row() };
            let line = if index == 0 { format!("{mark} {line}") } else { format!("  {line}") };
            row.put(start, &line, style);
            self.push(row);
        }
    }

    fn verdict(&mut self, trace: &Trace) {
        let end = &trace.end;
        if end.verdict == Verdict::Pass {
            self.prose(0, "✔ pass", Style::Good);
            if !trace.header.proves.is_empty() {
                self.prose(2, &format!("it bears out {}", trace.header.proves.join(", ")), Style::Plain);
            }
        } else {
            let (mark, style) = match end.verdict {
                Verdict::Unsupported | Verdict::Untested => ('–', Style::Faint),
                _ => ('✘', Style::Bad),
            };
            self.prose(0, &format!("{mark} {}: {}", end.verdict, trace.shown(&end.reason)), style);
            if let (Some(line), Some(column)) = (end.line, end.column) {
                self.prose(2, &format!("{}:{line}:{column}", trace.header.script), Style::Plain);
            }
            for line in end.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
                let mut row = Row::new(self.width.max(line.chars().count() + 2));
                row.put(2, line, Style::Plain);
                self.push(row);
            }
        }
        if !trace.breaches.is_empty() {
            let count = trace.breaches.len();
            let words = if count == 1 { "1 invariant does not hold" } else { "invariants do not hold" };
            let words = if count == 1 { words.to_owned() } else { format!("{count} {words}") };
            self.prose(0, &format!("✘ {words}"), Style::Bad);
            for breach in &trace.breaches {
                let statements = breach.statements.join(", ");
                let words = format!("{} s: {}: {} ({statements})", seconds(breach.at_us), breach.breach, breach.detail);
                self.prose(2, &trace.shown(&words), Style::Plain);
            }
        }
    }

    /// A row with the lanes in it.
    fn row(&self) -> Row {
        let mut row = Row::new(self.width);
        self.lanes.put_lines(&mut row);
        row
    }

    /// The first row of something that happened: the time stands at the left, if it has changed.
    fn timed_row(&mut self, at: u64) -> Row {
        let mut row = self.row();
        if self.last != Some(at) {
            row.put_right(self.time_width.saturating_sub(3), &format!("{} s", seconds(at)), Style::Faint);
            self.last = Some(at);
        }
        row
    }

    fn prose(&mut self, indent: usize, text: &str, style: Style) {
        for line in wrap(text, self.width - indent, self.width - indent) {
            let mut row = Row::new(self.width);
            row.put(indent, &line, style);
            self.push(row);
        }
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn push(&mut self, row: Row) {
        row.write(&mut self.text);
        self.text.push('\n');
    }
}
