//! From the verdicts of tests to the verdicts of statements: the one place that counts.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::version::Version;
use squall_scenarios::verdict::Verdict;

use crate::{
    report::model::{CutShort, Decided, FILTERED_OUT, Header, Report, SCHEMA, StatementEntry, TestEntry, Totals},
    select::{LeftOut, Planned, Selection, all},
    statement::{Key, Statement, catalogue},
};

/// Counts a run: every statement of the chosen versions gets its verdict.
pub fn tally(
    run: Header,
    selection: &Selection,
    mut tests: Vec<(Planned, TestEntry)>,
    duration: Duration,
    cut_short: Option<CutShort>,
) -> Report {
    tests.sort_by_key(|(planned, _)| planned.number);
    let table = all();
    let mut versions = selection.versions.clone();
    versions.sort_unstable();
    versions.dedup();

    let mut statements = Vec::new();
    for version in &versions {
        let of_version = |(planned, _): &&(Planned, TestEntry)| planned.version == *version;
        let mut deciders: BTreeMap<&str, Vec<&TestEntry>> = BTreeMap::new();
        for (planned, entry) in tests.iter().filter(of_version) {
            for (key, _) in planned.statements() {
                deciders.entry(key.id).or_default().push(entry);
            }
        }
        // 3.1 numbers nothing: what is told of it is told by the ids of 3.1.1 that a test looked at.
        let told = |key: &Key<'_>| *version != Version::V3_1 || deciders.contains_key(key.id);
        for (key, statement) in catalogue().of((*version).max(Version::V3_1_1)).filter(|(key, _)| told(key)) {
            let key = Key { version: *version, id: key.id };
            let deciders = deciders.get(key.id).map_or(&[][..], Vec::as_slice);
            statements
                .push(judge(key, statement, deciders, || why_untested(key, statement, selection, &table, cut_short)));
        }
    }

    let tests: Vec<_> = tests.into_iter().map(|(_, entry)| entry).collect();
    let totals = versions
        .iter()
        .map(|version| {
            let version = version.to_string();
            Totals {
                statements: statements
                    .iter()
                    .filter(|entry| entry.version == version)
                    .map(|entry| entry.verdict)
                    .collect(),
                tests: tests.iter().filter(|entry| entry.version == version).map(|entry| entry.verdict).collect(),
                version,
            }
        })
        .collect();
    Report {
        schema: SCHEMA.to_owned(),
        run,
        duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        totals,
        gone: None,
        cut_short,
        baseline: None,
        internal_errors: tests.iter().filter(|test| test.internal_error).count(),
        statements,
        tests,
    }
}

fn judge(
    key: Key<'_>,
    statement: &Statement,
    tests: &[&TestEntry],
    untested: impl FnOnce() -> String,
) -> StatementEntry {
    // The verdicts stand in the order in which they count.
    let decisive = tests.iter().min_by_key(|test| test.verdict);
    let (verdict, reason) = match decisive {
        Some(test) => (test.verdict, test.reason.clone().unwrap_or_else(|| test.about.clone())),
        None => (Verdict::Untested, untested()),
    };
    StatementEntry {
        version: key.version.to_string(),
        id: key.id.to_owned(),
        verdict,
        reason,
        known: None,
        accepted: None,
        level: statement.level,
        section: statement.section.clone(),
        title: statement.title.clone(),
        chapter: statement.chapter().title().to_owned(),
        rule: statement.rule.clone(),
        information: key.version == Version::V3_1,
        tests: tests
            .iter()
            .map(|test| Decided {
                name: test.name.clone(),
                verdict: test.verdict,
                reason: test.reason.clone(),
                evidence: test.evidence_lines(),
            })
            .collect(),
    }
}

fn why_untested(
    key: Key<'_>,
    statement: &Statement,
    selection: &Selection,
    table: &[Planned],
    cut_short: Option<CutShort>,
) -> String {
    let of_statement = |planned: &&Planned| {
        planned.version == key.version && planned.statements().any(|(cited, _)| cited.id == key.id)
    };
    let left_out = table.iter().filter(of_statement).filter_map(|planned| selection.admits(planned).err());
    let chosen = table.iter().filter(of_statement).any(|planned| selection.admits(planned).is_ok());
    if let Some(why) = cut_short.filter(|_| chosen) {
        let why = match why {
            CutShort::Interrupted => "the run was interrupted",
            CutShort::FirstFailure => "the run stopped at the first failure",
        };
        return format!("not reached: {why}");
    }
    // Of several reasons the one that a flag can change is the more useful one.
    match left_out.max_by_key(|reason| *reason == LeftOut::Slow) {
        Some(LeftOut::Slow) => "slow: runs with --slow".to_owned(),
        Some(LeftOut::Filtered) => FILTERED_OUT.to_owned(),
        None => statement.why_untested(),
    }
}

/// What tests exist for, per version and chapter: tested, observable at a server, all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Statements that a test decides.
    pub tested: usize,
    /// Statements that can be observed at a server.
    pub observable: usize,
    /// All.
    pub total: usize,
}

/// The coverage of one group of statements.
pub fn coverage(belongs: impl Fn(Key<'_>, &Statement) -> bool) -> Coverage {
    let table = all();
    let mut coverage = Coverage::default();
    for (key, statement) in catalogue().iter().filter(|(key, statement)| belongs(*key, statement)) {
        coverage.total += 1;
        coverage.observable += usize::from(statement.at_server());
        let decides =
            |planned: &Planned| planned.version == key.version && planned.statements().any(|(cited, _)| cited == key);
        coverage.tested += usize::from(table.iter().any(decides));
    }
    coverage
}
