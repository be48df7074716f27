//! What went wrong, told so that somebody who sees MQTT for the first time can follow: what was promised, what was seen, and the
//! packets that lead there.

use std::{borrow::Cow, collections::BTreeSet};

use serde::Serialize;
use squall_codec::version::Version;
use squall_scenarios::verdict::Verdict;

use super::{
    lead::{Cut, Lead, Leads},
    statements, words,
};
use crate::trace::model::{Broken, Trace};

/// So many are told in full: what follows the first is often its consequence.
const MOST: usize = 30;

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Violation {
    /// Its name.
    pub(super) title: String,
    /// In plain words; empty where nothing but the statements say it.
    pub(super) promise: String,
    /// The statements, by their keys.
    pub(super) statements: Vec<String>,
    /// What was seen.
    pub(super) seen: String,
    /// The line of the trace where it showed.
    pub(super) seq: Option<usize>,
    /// The lines that lead there, in the order of time.
    pub(super) steps: Vec<usize>,
    /// What of them is left out.
    pub(super) cut: Option<Cut>,
    /// The line of the script with a caret, for a step that was not borne out.
    pub(super) excerpt: String,
}

/// What stands above a page: of a script that was cut down from a storm not again what was seen.
pub(super) fn title<'t>(trace: &'t Trace, violations: &[Violation]) -> Cow<'t, str> {
    let title = &trace.header.title;
    let is_of = |one: &Violation| title.starts_with(&format!("{}: ", one.title));
    match violations.first() {
        Some(first) if violations.iter().any(is_of) => {
            format!("“{}” does not hold in storm {}", first.title, trace.header.seed).into()
        }
        _ => title.into(),
    }
}

/// All that went wrong, the first first.
pub(super) fn of(trace: &Trace, leads: &Leads<'_>) -> Vec<Violation> {
    let mut breaches: Vec<&Broken> = trace.breaches.iter().collect();
    // What came first is mostly the cause of the others: of a message that never came, when it was published.
    let begins = |breach: &Broken| {
        let about = breach.about.and_then(|about| trace.lines.get(about));
        about.map_or(breach.at_us, |line| line.at_us.min(breach.at_us))
    };
    breaches.sort_by_key(|breach| begins(breach));
    let mut told = BTreeSet::new();
    breaches.retain(|breach| told.insert((&breach.breach, &breach.detail, breach.about)));
    let versions = trace.versions();
    let mut violations: Vec<Violation> = breaches
        .into_iter()
        .take(MOST)
        .map(|breach| {
            let about = breach.about.unwrap_or(breach.seq);
            // The statement of the version that was spoken says it best; 3.1 has none.
            let spoken = match versions.get(about) {
                Some(Version::V3_1 | Version::V3_1_1) => "3.1.1/",
                _ => "5.0/",
            };
            let own = |key: &&String| key.starts_with(spoken);
            let keys: Vec<String> = breach.statements.iter().filter(own).cloned().collect();
            // What has not come has no line of its own: where it began, and all that it met.
            let Lead { steps, cut } = leads.to(&breach.breach, &breach.detail, about, breach.seq);
            Violation {
                title: breach.breach.clone(),
                promise: words::of_invariant(&breach.breach).unwrap_or_default().to_owned(),
                statements: keys,
                seen: trace.shown(&leads.to_the_end(breach)),
                seq: Some(breach.seq),
                steps,
                cut,
                excerpt: String::new(),
            }
        })
        .collect();
    let end = &trace.end;
    // The end of a play that is judged by what must hold says the first of these once more.
    let is_told = end.line.is_none() && trace.breaches.iter().any(|breach| end.reason.contains(&breach.detail));
    if matches!(end.verdict, Verdict::Fail | Verdict::Inconclusive | Verdict::Warn) && !is_told {
        let title = match end.line {
            Some(line) => format!("The story was not borne out at line {line}"),
            None => "The play could not end".to_owned(),
        };
        let known = |key: &&String| statements::find(key).is_some();
        let Lead { steps, cut } = end.seq.map_or_else(Lead::default, |seq| leads.to("", "", seq, seq));
        violations.push(Violation {
            title,
            promise: trace.header.title.clone(),
            statements: trace.header.proves.iter().filter(known).cloned().collect(),
            seen: trace.shown(&end.reason),
            seq: end.seq,
            steps,
            cut,
            excerpt: end.excerpt.clone().unwrap_or_default(),
        });
    }
    violations
}
