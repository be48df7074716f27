//! Where the lanes stand: the broker in the middle, the actors to its left and right in the order of the script.

use super::canvas::{Row, Style};

/// Wider gaps between lanes only make arrows longer.
const WIDEST_GAP: usize = 56;

/// What an actor's lane shows at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It has a connection.
    Open,
    /// It has none.
    Closed,
}

struct Lane {
    name: String,
    column: usize,
    /// The connections that are open.
    open: Vec<u32>,
}

/// All lanes.
pub(super) struct Lanes {
    actors: Vec<Lane>,
    broker: usize,
    /// The first column behind the diagram.
    end: usize,
}

impl Lanes {
    pub(super) fn new(actors: &[String], on_the_left: usize, start: usize, end: usize) -> Self {
        let names: Vec<&str> = actors.iter().map(String::as_str).collect();
        let mut order: Vec<&str> = names.clone();
        order.insert(on_the_left, "broker");
        let half = |name: Option<&&str>| name.map_or(0, |name| name.chars().count().div_ceil(2)).max(2);
        let first = start + half(order.first());
        let last = end.saturating_sub(1 + half(order.last()));
        let gaps = order.len().saturating_sub(1).max(1);
        let gap = (last.saturating_sub(first) / gaps).min(WIDEST_GAP);
        let column = |index: usize| first + index * gap;
        let lane = |(index, name): (usize, &&str)| Lane {
            name: (*name).to_owned(),
            column: column(if index < on_the_left { index } else { index + 1 }),
            open: Vec::new(),
        };
        Lanes { actors: names.iter().enumerate().map(lane).collect(), broker: column(on_the_left), end }
    }

    /// Columns of the actor and of the broker.
    pub(super) fn ends(&self, lane: usize) -> (usize, usize) {
        (self.actors[lane].column, self.broker)
    }

    /// A connection began or ended.
    pub(super) fn set(&mut self, lane: usize, connection: u32, link: Link) {
        let open = &mut self.actors[lane].open;
        open.retain(|other| *other != connection);
        if link == Link::Open {
            open.push(connection);
        }
    }

    /// Where a note beside this lane begins, and how long it may be.
    pub(super) fn note_place(&self, lane: usize) -> (usize, usize) {
        let column = self.actors[lane].column;
        self.place_beside(column, column < self.broker)
    }

    /// Where a note beside the broker's lane begins, and how long it may be.
    pub(super) fn broker_note_place(&self) -> (usize, usize) {
        let is_last = self.actors.iter().all(|lane| lane.column < self.broker);
        self.place_beside(self.broker, !is_last)
    }

    fn place_beside(&self, column: usize, to_the_right: bool) -> (usize, usize) {
        let all = self.actors.iter().map(|other| other.column).chain([self.broker]);
        if to_the_right {
            // Up to the next lane.
            let next = all.filter(|other| *other > column).min().unwrap_or(self.end);
            (column + 2, next.saturating_sub(column + 3))
        } else {
            let before = all.filter(|other| *other < column).max().unwrap_or(0);
            (before + 2, column.saturating_sub(before + 3))
        }
    }

    /// The names.
    pub(super) fn put_names(&self, row: &mut Row) {
        for (index, lane) in self.actors.iter().enumerate() {
            row.put_centred(lane.column, &lane.name, Style::Actor(index));
        }
        row.put_centred(self.broker, "broker", Style::Strong);
    }

    /// The lanes as they are now: whole where there is a connection.
    pub(super) fn put_lines(&self, row: &mut Row) {
        for lane in &self.actors {
            row.put(lane.column, if lane.open.is_empty() { "┊" } else { "│" }, Style::Faint);
        }
        row.put(self.broker, "┃", Style::Faint);
    }
}
