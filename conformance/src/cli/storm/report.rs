//! What storms at a server came to: as JSON, and for a person.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use owo_colors::OwoColorize;
use serde::Serialize;
use squall_conformance::storm::Tally;

use super::super::trouble::Trouble;

/// The shape of the JSON.
pub(super) const SCHEMA: &str = "squall-conformance-storms/1";

/// Violations of one storm that are shown; its trace has all of them.
const SHOWN: usize = 4;

/// What became of all storms.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    pub(super) target: String,
    pub(super) identity: Option<String>,
    /// What the server does not offer.
    pub(super) missing: Vec<String>,
    /// What was left out of the plans, over all storms.
    pub(super) left_out: BTreeMap<String, u64>,
    pub(super) storms: Vec<One>,
    /// Those that could not be played to their end.
    pub(super) unplayed: Vec<Unplayed>,
    /// How the server was no longer there at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gone: Option<String>,
}

/// What became of one.
#[derive(Debug, Serialize)]
pub(super) struct One {
    pub(super) seed: u64,
    /// Equal for equal plans.
    pub(super) plan: String,
    pub(super) seconds: f64,
    #[serde(flatten)]
    pub(super) tally: Tally,
    pub(super) breaches: Vec<Wrong>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) replay: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Wrong {
    pub(super) invariant: String,
    pub(super) statements: Vec<&'static str>,
    pub(super) at_s: f64,
    pub(super) detail: String,
}

/// One that was not judged: its server could not be started, or did not come back.
#[derive(Debug, Serialize)]
pub(super) struct Unplayed {
    pub(super) seed: u64,
    pub(super) reason: String,
}

impl Report {
    /// The exit status.
    pub(super) fn status(&self) -> Result<u8, Trouble> {
        if self.gone.is_some() || self.broken().next().is_some() {
            return Ok(1);
        }
        if self.unplayed.is_empty() && self.storms.iter().all(|storm| storm.tally.connections == 0) {
            return Err(Trouble::new(format!("{} let no client in: nothing was judged", self.target)));
        }
        Ok(if self.unplayed.is_empty() { 0 } else { 2 })
    }

    fn broken(&self) -> impl Iterator<Item = &One> {
        self.storms.iter().filter(|storm| !storm.breaches.is_empty())
    }

    /// What a person reads.
    pub(super) fn tell(&self, out: &mut impl Write) -> Result<(), Trouble> {
        let identity = self.identity.as_deref().unwrap_or("it does not say what it is");
        writeln!(out, "{} ({identity})", self.target)?;
        for missing in &self.missing {
            writeln!(out, "  not asked for: {missing}")?;
        }
        for (what, count) in &self.left_out {
            writeln!(out, "  left out: {what} ({count})")?;
        }
        for storm in self.broken() {
            writeln!(out, "{} storm {}", "✘".red(), storm.seed)?;
            for wrong in storm.breaches.iter().take(SHOWN) {
                let Wrong { invariant, statements, at_s, detail } = wrong;
                let statements = match statements.as_slice() {
                    [] => String::new(),
                    statements => format!(" ({})", statements.join(", ")),
                };
                writeln!(out, "    {at_s:.3} s: {}: {detail}{statements}", invariant.bold())?;
            }
            if storm.breaches.len() > SHOWN {
                writeln!(out, "    and {} more", storm.breaches.len() - SHOWN)?;
            }
            if let (Some(trace), Some(replay)) = (&storm.trace, &storm.replay) {
                writeln!(out, "    look   sim show {}", trace.display())?;
                writeln!(out, "    again  {replay}")?;
            }
        }
        for Unplayed { seed, reason } in &self.unplayed {
            writeln!(out, "{} storm {seed} could not be played: {reason}", "?".yellow())?;
        }
        if let Some(gone) = &self.gone {
            writeln!(out, "{} the server did not outlive it: {gone}", "✘".red())?;
        }
        let sum = |of: fn(&Tally) -> usize| self.storms.iter().map(|storm| of(&storm.tally)).sum::<usize>();
        let broken = self.broken().count();
        let mark = match (broken == 0 && self.gone.is_none(), self.unplayed.is_empty()) {
            (true, true) => "✔".green().to_string(),
            (true, false) => "?".yellow().to_string(),
            (false, _) => "✘".red().to_string(),
        };
        writeln!(
            out,
            "{mark} {} storms, {broken} with violations: {} connections, {} messages ({} acknowledged), {} deliveries, {} of {} faults hit",
            self.storms.len(),
            sum(|tally| tally.connections),
            sum(|tally| tally.published),
            sum(|tally| tally.accepted),
            sum(|tally| tally.delivered),
            sum(|tally| tally.faults_hit),
            sum(|tally| tally.faults),
        )?;
        Ok(())
    }
}
