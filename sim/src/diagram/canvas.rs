//! One row of characters, each with a style.

use owo_colors::{AnsiColors, OwoColorize, Style as Ansi};

/// What a piece of text is; how that looks is decided here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// The title.
    Strong,
    /// Times, lanes, what only frames the story.
    Faint,
    /// What an actor sends and receives: each has its colour.
    Actor(usize),
    /// What a client told its application.
    Told,
    /// A pass.
    Good,
    /// A fault, a failure.
    Bad,
}

/// Colours that can be told apart on a light and a dark ground.
const ACTORS: [AnsiColors; 5] =
    [AnsiColors::Cyan, AnsiColors::Magenta, AnsiColors::Blue, AnsiColors::Yellow, AnsiColors::BrightGreen];

impl Style {
    fn ansi(self) -> Ansi {
        let style = Ansi::new();
        match self {
            Style::Plain => style,
            Style::Strong => style.bold(),
            Style::Faint => style.dimmed(),
            Style::Actor(index) => style.color(ACTORS[index % ACTORS.len()]),
            Style::Told => style.color(AnsiColors::Green),
            Style::Good => style.color(AnsiColors::Green).bold(),
            Style::Bad => style.color(AnsiColors::Red).bold(),
        }
    }
}

/// A row of a fixed width.
pub(super) struct Row(Vec<(char, Style)>);

impl Row {
    pub(super) fn new(width: usize) -> Self {
        Row(vec![(' ', Style::Plain); width])
    }

    /// Writes from this column on; what does not fit is left out.
    pub(super) fn put(&mut self, column: usize, text: &str, style: Style) {
        for (cell, character) in self.0.iter_mut().skip(column).zip(text.chars()) {
            *cell = (character, style);
        }
    }

    /// Writes so that the text ends before this column.
    pub(super) fn put_right(&mut self, end: usize, text: &str, style: Style) {
        self.put(end.saturating_sub(text.chars().count()), text, style);
    }

    /// Writes so that the middle of the text is at this column.
    pub(super) fn put_centred(&mut self, column: usize, text: &str, style: Style) {
        self.put(column.saturating_sub(text.chars().count() / 2), text, style);
    }

    /// Appends the row without the spaces at its end.
    pub(super) fn write(&self, out: &mut String) {
        let end = self.0.iter().rposition(|(character, _)| *character != ' ').map_or(0, |last| last + 1);
        for piece in self.0[..end].chunk_by(|a, b| a.1 == b.1) {
            let text: String = piece.iter().map(|(character, _)| character).collect();
            match piece[0].1 {
                Style::Plain => out.push_str(&text),
                style => out.push_str(&text.style(style.ansi()).to_string()),
            }
        }
    }
}
