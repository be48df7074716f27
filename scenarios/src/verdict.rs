//! What a test or a script concludes, and on which evidence.

use std::fmt;

use crate::transcript::EntryId;

/// The verdict on one test, one script or one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A rule was broken.
    Fail,
    /// The question was never reached.
    Inconclusive,
    /// A SHOULD was not followed, or the right thing came late.
    Warn,
    /// The rule held, and packets prove it.
    Pass,
    /// The subject does not offer what the rule is about, or the world cannot do what the test needs.
    Unsupported,
    /// Nothing was asked.
    Untested,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Verdict::Fail => "fail",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Warn => "warn",
            Verdict::Pass => "pass",
            Verdict::Unsupported => "unsupported",
            Verdict::Untested => "untested",
        })
    }
}

/// What a test returns.
pub type Outcome = Result<Evidence, Halt>;

/// The packets that prove a pass (or a warning). It cannot be made without having seen one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    entries: Vec<EntryId>,
    warning: Option<String>,
}

/// Something that was seen on the wire: it can stand as evidence.
pub trait Witness {
    /// Where in the transcript.
    fn entry(&self) -> EntryId;
}

impl Evidence {
    /// This was seen.
    pub fn of(witness: &impl Witness) -> Self {
        Evidence { entries: vec![witness.entry()], warning: None }
    }

    /// And this.
    #[must_use]
    pub fn and(mut self, witness: &impl Witness) -> Self {
        self.entries.push(witness.entry());
        self
    }

    /// And all of these.
    #[must_use]
    pub fn and_all<'a, W: Witness + 'a>(mut self, witnesses: impl IntoIterator<Item = &'a W>) -> Self {
        self.entries.extend(witnesses.into_iter().map(Witness::entry));
        self
    }

    /// Both together; the first warning stays.
    #[must_use]
    pub fn join(mut self, other: Evidence) -> Self {
        self.entries.extend(other.entries);
        self.warning = self.warning.or(other.warning);
        self
    }

    /// The rule held, but a SHOULD was not followed or it came late: the verdict is `warn`. The first warning stays.
    #[must_use]
    pub fn warn(mut self, reason: impl Into<String>) -> Self {
        self.warning.get_or_insert_with(|| reason.into());
        self
    }

    /// Where in the transcript, in the order in which the test named them.
    pub fn entries(&self) -> &[EntryId] {
        &self.entries
    }

    /// Why the verdict is `warn` and not `pass`.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

/// Why a test stopped short of a pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{verdict}: {reason}")]
pub struct Halt {
    /// Fail, warn, unsupported or inconclusive.
    pub verdict: Verdict,
    /// One line: expected and seen.
    pub reason: String,
    /// The entry of the transcript where it showed, if there is one.
    pub entry: Option<EntryId>,
    /// The kind of packet that was waited for in vain: "PUBREC".
    pub missed: Option<&'static str>,
}

impl Halt {
    fn new(verdict: Verdict, reason: String) -> Self {
        Halt { verdict, reason, entry: None, missed: None }
    }

    /// The rule is broken.
    pub fn fail(reason: impl Into<String>) -> Self {
        Halt::new(Verdict::Fail, reason.into())
    }

    /// A SHOULD is not followed.
    pub fn warn(reason: impl Into<String>) -> Self {
        Halt::new(Verdict::Warn, reason.into())
    }

    /// The subject does not offer it, or the world cannot do it.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Halt::new(Verdict::Unsupported, reason.into())
    }

    /// The question was never reached.
    pub fn inconclusive(reason: impl Into<String>) -> Self {
        Halt::new(Verdict::Inconclusive, reason.into())
    }

    /// Shown at this entry.
    #[must_use]
    pub fn at(mut self, witness: &impl Witness) -> Self {
        self.entry = Some(witness.entry());
        self
    }
}

/// Turns what would be a failure into `inconclusive`: for the steps that only lead up to the question.
pub trait Preparing {
    /// This was preparation: if it failed, nothing was learned about the rule.
    #[must_use]
    fn prepared(self) -> Self;
}

impl<T> Preparing for Result<T, Halt> {
    fn prepared(self) -> Self {
        self.map_err(|halt| match halt.verdict {
            Verdict::Fail | Verdict::Warn => Halt {
                verdict: Verdict::Inconclusive,
                reason: format!("the question was not reached: {}", halt.reason),
                ..halt
            },
            _ => halt,
        })
    }
}
