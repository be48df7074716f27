//! An arrow between an actor's lane and the broker's, with words on it.

use super::canvas::{Row, Style};
use crate::show::picture::{Head, Stroke, Way};

/// From a lane to the words.
pub(super) const INDENT: usize = 4;
/// From the words to the other lane: a space, a piece of line, the head.
const TAIL: usize = 5;

/// One arrow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrow<'a> {
    pub(super) lane: usize,
    pub(super) label: &'a str,
    pub(super) style: Style,
    way: Way,
    stroke: Stroke,
    head: Head,
}

/// How many characters of words fit on an arrow between lanes that are so far apart.
pub(super) fn label_room(distance: usize) -> usize {
    distance.saturating_sub(INDENT + TAIL).max(4)
}

/// How many characters fit on the lines below the arrow.
pub(super) fn text_room(distance: usize) -> usize {
    distance.saturating_sub(INDENT + 1).max(4)
}

impl<'a> Arrow<'a> {
    /// From an actor to the broker.
    pub(super) fn up(lane: usize, label: &'a str) -> Self {
        Arrow { lane, label, style: Style::Plain, way: Way::ToBroker, stroke: Stroke::Packet, head: Head::Arrives }
    }

    /// From the broker to an actor.
    pub(super) fn down(lane: usize, label: &'a str) -> Self {
        Arrow { way: Way::ToActor, ..Arrow::up(lane, label) }
    }

    pub(super) fn stroke(self, stroke: Stroke) -> Self {
        Arrow { stroke, ..self }
    }

    pub(super) fn head(self, head: Head) -> Self {
        Arrow { head, ..self }
    }

    pub(super) fn style(self, style: Style) -> Self {
        Arrow { style, ..self }
    }

    /// Draws it with these words between the actor's column and the broker's.
    pub(super) fn put(self, row: &mut Row, actor: usize, broker: usize, words: &str) {
        let line = match self.stroke {
            Stroke::Packet => "─",
            Stroke::End => "═",
            Stroke::Beginning => "┄",
        };
        let (left, right) = (actor.min(broker), actor.max(broker));
        row.put(left + 1, &line.repeat(right - left - 1), self.style);
        let points_right = (self.way == Way::ToBroker) == (actor < broker);
        let (head, column) = match (self.head, points_right) {
            (Head::Arrives, true) => ("▶", right - 1),
            (Head::Arrives, false) => ("◀", left + 1),
            (Head::Lost, true) => ("╳", right - 3),
            (Head::Lost, false) => ("╳", left + 3),
            (Head::Stuck, true) => ("┄┄┄", right - 5),
            (Head::Stuck, false) => ("┄┄┄", left + 3),
        };
        if self.head != Head::Arrives {
            let beyond = if points_right { column..right } else { left + 1..column + 1 };
            row.put(beyond.start, &" ".repeat(beyond.len()), Style::Plain);
        }
        row.put(column, head, if self.head == Head::Arrives { self.style } else { Style::Bad });
        // The words do not cover the sign of a packet that was lost on its way to the left.
        let begin =
            if self.head == Head::Arrives || points_right { left + INDENT - 1 } else { column + head.chars().count() };
        row.put(begin, &format!(" {words} "), self.style);
    }
}
