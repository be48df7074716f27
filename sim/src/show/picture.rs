//! What every view draws of a trace: lanes, and rows in the order in which things came, each an arrow or a mark.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    told,
    trace::model::{Happening, Line, Trace},
};

/// An idle time that is said in words, in microseconds.
pub const LONG_PAUSE_US: u64 = 1_000_000;

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The actors that appear, in the order of the script. The broker has a lane besides.
    pub actors: Vec<String>,
    /// In the order of time.
    pub rows: Vec<Row>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When.
    pub at_us: u64,
    /// Which line of the trace; of a breach, where it showed.
    pub seq: usize,
    /// Whose lane; `None` is the broker's.
    pub lane: Option<usize>,
    /// What is drawn.
    pub shape: Shape,
    /// Its words, as people look at them.
    pub label: String,
    /// What becomes of the actor's connection.
    pub change: Option<Change>,
}

/// What is drawn in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Between an actor and the broker.
    Arrow {
        /// Which way.
        way: Way,
        /// What it stands for.
        stroke: Stroke,
        /// Whether it gets there.
        head: Head,
    },
    /// Beside a lane.
    Mark(Mark),
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the actor.
    ToBroker,
    /// To the actor.
    ToActor,
}

/// What an arrow stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// A packet.
    Packet,
    /// The beginning of a connection.
    Beginning,
    /// The end of one.
    End,
}

/// Whether an arrow gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// It does.
    Arrives,
    /// Something ends the connection before.
    Lost,
    /// It waits in a network that does not pass it on, perhaps for ever.
    Stuck,
}

/// What stands beside a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A fault took effect.
    Fault,
    /// A client told its application something.
    Told,
    /// The broker runs again, or nothing goes wrong from here on: no fault, but a turn.
    Turn,
    /// An invariant does not hold.
    Breach,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which of the actor's.
    pub connection: u32,
    /// It begins with this row; otherwise it has ended behind it.
    pub opens: bool,
}

impl Picture {
    /// Of a whole trace.
    pub fn of(trace: &Trace) -> Picture {
        let mut picture = Picture::of_lines(&trace.lines, Some(&trace.header.actors), &|text| trace.shown(text));
        for breach in &trace.breaches {
            // Behind the row where it showed.
            let place = picture.rows.iter().position(|row| row.seq == breach.seq);
            let lane = place.and_then(|place| picture.rows[place].lane);
            let row = Row {
                // What the broker has done wrong its client may hear of later.
                at_us: place.map_or(breach.at_us, |place| breach.at_us.max(picture.rows[place].at_us)),
                seq: breach.seq,
                lane,
                shape: Shape::Mark(Mark::Breach),
                label: trace.shown(&format!("{}: {} ({})", breach.breach, breach.detail, breach.statements.join(", "))),
                change: None,
            };
            picture.rows.insert(place.map_or(picture.rows.len(), |place| place + 1), row);
        }
        picture.rows = told_once(picture.rows);
        picture
    }

    /// Of lines alone. `actors` says their order; otherwise they stand in the order in which they appear.
    pub fn of_lines(lines: &[Line], actors: Option<&[String]>, shown: &dyn Fn(&str) -> String) -> Picture {
        // The record is in the order in which actors looked; the drawing is in the order in which things came.
        let mut sorted: Vec<&Line> = lines.iter().collect();
        sorted.sort_by_key(|line| line.at_us);
        let mut appear: Vec<String> = Vec::new();
        let mut connections: BTreeMap<&str, u32> = BTreeMap::new();
        for line in sorted.iter().filter(|line| line.node != told::BROKER) {
            if !appear.contains(&line.node) {
                appear.push(line.node.clone());
            }
            let count = connections.entry(&line.node).or_insert(0);
            *count = line.connection.max(*count);
        }
        if let Some(order) = actors {
            appear.sort_by_key(|actor| order.iter().position(|known| known == actor).unwrap_or(usize::MAX));
        }
        let mut stuck: BTreeSet<(&str, u32)> = BTreeSet::new();
        let mut next: BTreeMap<(&str, u32), usize> = BTreeMap::new();
        let mut following = vec![None; sorted.len()];
        for (index, line) in sorted.iter().enumerate().rev() {
            following[index] = next.insert((&line.node, line.connection), index);
        }
        let mut rows = Vec::with_capacity(sorted.len());
        for (index, line) in sorted.iter().enumerate() {
            let link = (line.node.as_str(), line.connection);
            let after = following[index].map(|next: usize| sorted[next]);
            let several = connections.get(line.node.as_str()).is_some_and(|count| *count > 1);
            let (shape, label, opens) = match line.what {
                Happening::Opened => {
                    let label =
                        if several { format!("connection {}", line.connection) } else { "connection".to_owned() };
                    (Shape::arrow(Way::ToBroker, Stroke::Beginning, Head::Arrives), label, Some(true))
                }
                Happening::Sent => {
                    let head = match after {
                        Some(after) if is_cut_short(after) => Head::Lost,
                        Some(after) if fault_of(after).contains("to the server held back") => Head::Stuck,
                        _ if stuck.contains(&link) => Head::Stuck,
                        _ => Head::Arrives,
                    };
                    (Shape::arrow(Way::ToBroker, Stroke::Packet, head), shown(&line.text), None)
                }
                Happening::Received => {
                    (Shape::arrow(Way::ToActor, Stroke::Packet, Head::Arrives), shown(&line.text), None)
                }
                Happening::Closed => {
                    let head = if stuck.contains(&link) { Head::Stuck } else { Head::Arrives };
                    (Shape::arrow(Way::ToBroker, Stroke::End, head), line.text.clone(), Some(false))
                }
                Happening::Ended => {
                    (Shape::arrow(Way::ToActor, Stroke::End, Head::Arrives), line.text.clone(), Some(false))
                }
                Happening::Fault => {
                    let fault = fault_of(line);
                    if fault.starts_with("healed") {
                        stuck.remove(&link);
                    } else if blocks_link(fault) {
                        stuck.insert(link);
                    }
                    let mark = if told::is_good_turn(fault) { Mark::Turn } else { Mark::Fault };
                    (Shape::Mark(mark), shown(fault), ends_link(fault).then_some(false))
                }
                Happening::Told => (Shape::Mark(Mark::Told), shown(&line.text), None),
            };
            rows.push(Row {
                at_us: line.at_us,
                seq: line.seq,
                lane: appear.iter().position(|actor| *actor == line.node),
                shape,
                label,
                change: opens.map(|opens| Change { connection: line.connection, opens }),
            });
        }
        Picture { actors: appear, rows }
    }

    /// How many actors stand to the left of the broker.
    pub fn on_the_left(&self) -> usize {
        self.actors.len().div_ceil(2)
    }
}

/// A client that tries in vain to connect says so each time: on its lane that is one mark, with how often and until when.
fn told_once(rows: Vec<Row>) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    // The last row of each lane, how often it was said, and when last.
    let mut last: BTreeMap<Option<usize>, (usize, u32, u64)> = BTreeMap::new();
    for row in rows {
        match last.get_mut(&row.lane) {
            Some((of, times, until))
                if row.shape == Shape::Mark(Mark::Told)
                    && kept[*of].shape == row.shape
                    && kept[*of].label == row.label =>
            {
                *times += 1;
                *until = row.at_us;
            }
            of_lane => {
                let said = of_lane.map(|said| *said);
                say_how_often(&mut kept, said);
                last.insert(row.lane, (kept.len(), 1, row.at_us));
                kept.push(row);
            }
        }
    }
    last.into_values().for_each(|said| say_how_often(&mut kept, Some(said)));
    kept
}

fn say_how_often(rows: &mut [Row], said: Option<(usize, u32, u64)>) {
    if let Some((of, times @ 2.., until)) = said {
        rows[of].label += &format!(" ({times} times, until {} s)", seconds(until));
    }
}

impl Shape {
    fn arrow(way: Way, stroke: Stroke, head: Head) -> Shape {
        Shape::Arrow { way, stroke, head }
    }
}

/// What a fault did, if the line is one.
fn fault_of(line: &Line) -> &str {
    if line.what == Happening::Fault { &line.text } else { "" }
}

/// Whether a fault left nothing of the connection, also where the actor has not noticed.
fn ends_link(fault: &str) -> bool {
    let cut = fault.starts_with("cut ") && !fault.contains("(half-open)");
    cut || fault.contains("RST at both ends") || fault.starts_with("FIN to the server")
}

/// Whether nothing gets from the actor to the broker after it.
fn blocks_link(fault: &str) -> bool {
    let half_open = fault.starts_with("cut ") && fault.contains("(half-open)");
    half_open || fault.contains("gone without a sign") || fault.contains("to the server held back")
}

/// Whether the very next thing on the connection was that a cut kept this frame from reaching the broker whole.
fn is_cut_short(next: &Line) -> bool {
    let fault = fault_of(next);
    let some_of_it = fault.starts_with("cut before ") || (fault.starts_with("cut after ") && fault.contains(" of "));
    some_of_it && fault.contains("to the server")
}

/// As on a clock: seconds and milliseconds.
pub fn seconds(at_us: u64) -> String {
    format!("{}.{:03}", at_us / 1_000_000, at_us / 1_000 % 1_000)
}
