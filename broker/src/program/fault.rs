//! What is wrong, as a person is told: one sentence, or the place in a file with its line and a caret.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    ops::Range,
};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::start::warn;

/// Why the program cannot do what it was asked.
#[derive(Debug)]
pub(super) enum Failure {
    /// One sentence.
    Sentence(String),
    /// Faults in a file, each with its excerpt.
    File(Source, Vec<Fault>),
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// As the user named it.
    pub(super) name: String,
    pub(super) text: String,
}

/// One thing that is wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) title: String,
    /// Where, in bytes.
    pub(super) span: Range<usize>,
    /// Beneath the caret.
    pub(super) label: String,
    /// What to do.
    pub(super) help: Option<String>,
}

impl Failure {
    /// A sentence that names what was tried.
    pub(super) fn to(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Failure::Sentence(format!("failed to {what}: {why}"))
    }

    /// Says it on standard error.
    pub(super) fn report(&self) {
        match self {
            Failure::Sentence(sentence) => warn(sentence),
            Failure::File(source, faults) => {
                let terminal = io::stderr().is_terminal();
                let renderer = if terminal { Renderer::styled() } else { Renderer::plain() };
                let rendered: Vec<_> = faults.iter().map(|fault| fault.render(source, &renderer)).collect();
                let _ = writeln!(io::stderr(), "{}", rendered.join("\n\n"));
            }
        }
    }
}

impl Fault {
    fn render(&self, source: &Source, renderer: &Renderer) -> String {
        let end = source.text.len();
        let span = self.span.start.min(end)..self.span.end.min(end);
        let mut snippet = Snippet::source(&source.text).path(&source.name);
        snippet = snippet.annotation(AnnotationKind::Primary.span(span).label(&self.label));
        let mut groups = vec![Level::ERROR.primary_title(&self.title).element(snippet)];
        if let Some(help) = &self.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help)));
        }
        renderer.render(&groups)
    }
}

/// The word that was probably meant.
pub(super) fn nearest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = |known: &'a str| (strsim::jaro_winkler(word, known), known);
    let best = words.into_iter().map(close).max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= 0.8).then_some(best.1)
}
