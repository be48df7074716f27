//! A sequence diagram of one play, for a terminal: a lane for each actor and one for the broker, virtual time at the
//! left, packets as arrows, faults and what clients told as marks, the verdict at the end.
//!
//! It is drawn from the script, the outcome and the transcript alone, and reads as plain text where colours are stripped.

mod arrow;
mod canvas;
mod lanes;
mod wrap;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use squall_codec::version::Version;
use squall_scenarios::{
    player::Played,
    script::Script,
    transcript::{Entry, What},
    verdict::Verdict,
};

use self::{
    arrow::{Arrow, Head, Line},
    canvas::{Row, Style},
    lanes::{Lanes, Link},
    wrap::wrap,
};
use crate::{
    run::{Run, RunError},
    story::TOPIC_ROOT,
    told,
    world::VirtualWorld,
};

/// Narrower than this it is no diagram.
pub const SMALLEST_WIDTH: usize = 80;
/// Wider than this lines are hard to follow.
const LARGEST_WIDTH: usize = 132;
/// An idle time that is said in words.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// What was played.
#[derive(Clone, Copy, Debug)]
pub struct Heading<'a> {
    /// The script.
    pub script: &'a Script,
    /// Which world.
    pub world: VirtualWorld,
    /// Which version.
    pub version: Version,
    /// The seed.
    pub seed: u64,
}

/// The whole diagram with ANSI colours; `width` in characters.
pub fn draw(heading: Heading<'_>, run: &Run<Played>, width: usize) -> String {
    let mut entries = run.transcript.entries();
    // The record is in the order in which actors looked; the drawing is in the order in which things came.
    entries.sort_by_key(|entry| entry.at);
    let mut painter = Painter::new(heading.script.actors(), &entries, width);
    painter.title(heading);
    painter.header();
    for (index, entry) in entries.iter().enumerate() {
        painter.entry(entry, &entries[index + 1..]);
    }
    painter.footer();
    painter.verdict(heading, &run.outcome);
    painter.text
}

/// Packets alone, without a script: the lanes in the order in which their actors appear.
pub fn draw_packets(entries: &[Entry], width: usize) -> String {
    let mut entries = entries.to_vec();
    entries.sort_by_key(|entry| entry.at);
    let mut actors: Vec<Rc<str>> = Vec::new();
    for entry in &entries {
        if !actors.contains(&entry.actor) {
            actors.push(Rc::clone(&entry.actor));
        }
    }
    let mut painter = Painter::new(actors.iter().map(|actor| &**actor), &entries, width);
    painter.header();
    for (index, entry) in entries.iter().enumerate() {
        painter.entry(entry, &entries[index + 1..]);
    }
    painter.footer();
    painter.text
}

struct Painter {
    width: usize,
    lanes: Lanes,
    /// How many columns the times take.
    time_width: usize,
    /// The time of the last row.
    last: Option<Duration>,
    /// Connections on which nothing gets to the broker at present.
    stuck: BTreeSet<(Rc<str>, u32)>,
    /// How many connections each actor has opened in the whole play.
    connections: BTreeMap<Rc<str>, u32>,
    text: String,
}

impl Painter {
    fn new<'a>(actors: impl Iterator<Item = &'a str>, entries: &[Entry], width: usize) -> Self {
        let width = width.clamp(SMALLEST_WIDTH, LARGEST_WIDTH);
        let longest = entries.last().map_or(0, |entry| seconds(entry.at).chars().count()).max(5);
        let time_width = longest + 4;
        let mut connections = BTreeMap::new();
        for entry in entries {
            let count = connections.entry(Rc::clone(&entry.actor)).or_insert(0);
            *count = entry.connection.max(*count);
        }
        // Those who appear, in the order of the script.
        let actors = actors.filter(|actor| connections.contains_key(*actor));
        let lanes = Lanes::new(actors, time_width, width);
        Painter { width, lanes, time_width, last: None, stuck: BTreeSet::new(), connections, text: String::new() }
    }

    fn title(&mut self, heading: Heading<'_>) {
        let Heading { script, world, version, seed } = heading;
        self.prose(0, script.title(), Style::Strong);
        self.prose(0, &format!("MQTT {version} in the {world} world, seed {seed}"), Style::Faint);
        if let Some(about) = script.about() {
            self.blank();
            for paragraph in about.split("\n\n") {
                self.prose(0, &paragraph.split_whitespace().collect::<Vec<_>>().join(" "), Style::Plain);
            }
        }
        self.blank();
    }

    fn header(&mut self) {
        let mut row = Row::new(self.width);
        self.lanes.put_names(&mut row);
        self.push(row);
        let row = self.row();
        self.push(row);
    }

    fn footer(&mut self) {
        let row = self.row();
        self.push(row);
        let mut row = Row::new(self.width);
        self.lanes.put_names(&mut row);
        self.push(row);
        self.blank();
    }

    fn entry(&mut self, entry: &Entry, after: &[Entry]) {
        self.pause(entry.at);
        let Some(lane) = self.lanes.find(&entry.actor) else {
            if &*entry.actor == told::BROKER {
                self.note(entry.at, self.lanes.broker_note_place(), '⚡', fault_of(entry), Style::Bad);
            }
            return;
        };
        let number = entry.connection;
        let several = self.connections.get(&entry.actor).is_some_and(|count| *count > 1);
        let link = (Rc::clone(&entry.actor), number);
        let next = after.iter().find(|next| next.actor == entry.actor && next.connection == number);
        match &entry.what {
            What::Opened => {
                self.lanes.set(lane, number, Link::Open);
                let label = if several { format!("connection {number}") } else { "connection".to_owned() };
                self.arrow(entry.at, Arrow::up(lane, &label).line(Line::Dotted).style(Style::Faint));
            }
            What::Sent { summary, .. } => {
                let held_back = next.is_some_and(|next| fault_of(next).contains("to the server held back"));
                let head = match next {
                    Some(next) if is_cut_short(next) => Head::Lost,
                    _ if held_back || self.stuck.contains(&link) => Head::Stuck,
                    _ => Head::Arrives,
                };
                self.arrow(entry.at, Arrow::up(lane, &shown(summary)).head(head).style(Style::Actor(lane)));
            }
            What::Received { summary, .. } => {
                self.arrow(entry.at, Arrow::down(lane, &shown(summary)).style(Style::Actor(lane)));
            }
            What::Closed { how } => {
                let head = if self.stuck.contains(&link) { Head::Stuck } else { Head::Arrives };
                self.arrow(entry.at, Arrow::up(lane, how).line(Line::Double).head(head).style(Style::Faint));
                self.lanes.set(lane, number, Link::Closed);
            }
            What::Ended { how } => {
                self.arrow(entry.at, Arrow::down(lane, how).line(Line::Double).style(Style::Faint));
                self.lanes.set(lane, number, Link::Closed);
            }
            What::Fault { summary } => {
                self.note(entry.at, self.lanes.note_place(lane), '⚡', summary, Style::Bad);
                if ends_link(summary) {
                    self.lanes.set(lane, number, Link::Closed);
                }
                if summary.starts_with("healed") {
                    self.stuck.remove(&link);
                } else if blocks_link(summary) {
                    self.stuck.insert(link);
                }
            }
            What::Told { summary } => {
                self.note(entry.at, self.lanes.note_place(lane), '●', &shown(summary), Style::Told);
            }
        }
    }

    /// A pause that is worth a line.
    fn pause(&mut self, at: Duration) {
        let Some(last) = self.last else { return };
        let passed = at.saturating_sub(last);
        if passed < LONG_PAUSE {
            return;
        }
        let mut row = self.row();
        let text = format!("⋮ {} s", seconds(passed).trim_end_matches(".000"));
        row.put_right(self.time_width.saturating_sub(3), &text, Style::Faint);
        self.push(row);
    }

    fn arrow(&mut self, at: Duration, arrow: Arrow<'_>) {
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

    fn note(&mut self, at: Duration, (start, room): (usize, usize), mark: char, text: &str, style: Style) {
        for (index, line) in wrap(text, room.saturating_sub(2), room.saturating_sub(2)).into_iter().enumerate() {
            let mut row = if index == 0 { self.timed_row(at) } else { self.row() };
            let line = if index == 0 { format!("{mark} {line}") } else { format!("  {line}") };
            row.put(start, &line, style);
            self.push(row);
        }
    }

    fn verdict(&mut self, heading: Heading<'_>, outcome: &Result<Played, RunError>) {
        let played = match outcome {
            Ok(played) => played,
            Err(error) => return self.prose(0, &format!("✘ fail: {error}"), Style::Bad),
        };
        match played.verdict {
            Verdict::Pass => {
                self.prose(0, "✔ pass", Style::Good);
                let proven = heading.script.proves().filter(|statement| statement.version == heading.version);
                let proven: Vec<String> = proven.map(ToString::to_string).collect();
                if !proven.is_empty() {
                    self.prose(2, &format!("it bears out {}", proven.join(", ")), Style::Plain);
                }
            }
            verdict => {
                let (mark, style) = match verdict {
                    Verdict::Unsupported | Verdict::Untested => ('–', Style::Faint),
                    _ => ('✘', Style::Bad),
                };
                self.prose(0, &format!("{mark} {verdict}: {}", shown(&played.reason)), style);
                if let Some(place) = played.place {
                    self.prose(2, &format!("{}:{}:{}", played.file, place.line, place.column), Style::Plain);
                }
                for line in played.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
                    let mut row = Row::new(self.width.max(line.chars().count() + 2));
                    row.put(2, line, Style::Plain);
                    self.push(row);
                }
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
    fn timed_row(&mut self, at: Duration) -> Row {
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

/// Whether a fault left nothing of the connection, also where the actor has not noticed.
fn ends_link(summary: &str) -> bool {
    let cut = summary.starts_with("cut ") && !summary.contains("(half-open)");
    cut || summary.contains("RST at both ends") || summary.starts_with("FIN to the server")
}

/// Whether nothing gets from the actor to the broker after it.
fn blocks_link(summary: &str) -> bool {
    let half_open = summary.starts_with("cut ") && summary.contains("(half-open)");
    half_open || summary.contains("gone without a sign") || summary.contains("to the server held back")
}

/// What a fault did, if the entry is one.
fn fault_of(entry: &Entry) -> &str {
    match &entry.what {
        What::Fault { summary } => summary,
        _ => "",
    }
}

/// Whether the very next thing on the connection was that a cut kept this frame from reaching the broker whole.
fn is_cut_short(next: &Entry) -> bool {
    let fault = fault_of(next);
    let some_of_it = fault.starts_with("cut before ") || (fault.starts_with("cut after ") && fault.contains(" of "));
    some_of_it && fault.contains("to the server")
}

/// Without what keeps this play's topics apart from others'.
fn shown(summary: &str) -> String {
    summary.replace(TOPIC_ROOT, "")
}

fn seconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_secs(), time.subsec_millis())
}
