//! Defects that real servers had, collected from their change logs and issue trackers: each names the test that has to notice
//! it, and that test does notice a server that has the defect.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use squall_codec::version::Version;
use squall_conformance::{
    own, planted,
    select::{Planned, all},
    statement::{Key, catalogue},
};
use squall_scenarios::{liar::Liar, verdict::Verdict};

/// A line of the collection.
struct Bug {
    /// In the file, from 1.
    line: usize,
    server: &'static str,
    /// `3.1.1/MQTT-3.1.2-8`, one for each version in which the defect is looked for. None: no test notices it.
    statements: Vec<&'static str>,
    test: &'static str,
    /// The name of a test's liar, or that of a documented defect behind `planted: `.
    defect: &'static str,
    fixed: &'static str,
    /// Why no test notices it.
    note: &'static str,
}

const COLUMNS: [&str; 9] =
    ["server", "concerned", "fixed", "source", "behaviour", "statements", "test", "defect", "note"];

fn bugs() -> Vec<Bug> {
    let text = include_str!("../../statements/documented_bugs.tsv");
    let mut lines = text.lines().zip(1..);
    let (head, _) = lines.next().expect("the first line names the columns");
    assert_eq!(head.split('\t').collect::<Vec<_>>(), COLUMNS);
    let bug = |(line, number): (&'static str, usize)| {
        let cells: Vec<&str> = line.split('\t').collect();
        let [server, concerned, fixed, source, behaviour, statements, test, defect, note] = cells[..] else {
            panic!("line {number} has {} cells", cells.len());
        };
        assert!(source.starts_with("https://"), "line {number} has no source");
        assert!(![server, concerned, fixed, behaviour].contains(&""), "line {number} leaves something out");
        Bug { line: number, server, statements: statements.split_whitespace().collect(), test, defect, fixed, note }
    };
    lines.map(bug).collect()
}

/// The liars of all tests, and the documented defects.
fn defects() -> BTreeMap<String, fn() -> Box<dyn Liar>> {
    let liars = all().into_iter().map(|planned| (planned.test.liar_name().to_owned(), planned.test.liar));
    let named = |defect: planted::Planted| (format!("planted: {}", defect.name), defect.liar);
    liars.chain(planted::documented().chain(planted::all()).map(named)).collect()
}

/// The tests that a line names: one for each of its statements.
fn named(bug: &Bug, tests: &[Planned]) -> Vec<Planned> {
    let of = |statement: &&str| {
        let key = Key::parse(statement).unwrap_or_else(|| panic!("line {}: {statement} is no statement", bug.line));
        assert!(catalogue().find(key).is_some(), "line {}: there is no statement {key}", bug.line);
        let found = tests.iter().find(|planned| planned.test.name == bug.test && planned.version == key.version);
        let found = *found.unwrap_or_else(|| panic!("line {}: {} has no test {}", bug.line, key.version, bug.test));
        assert!(found.test.statements.contains(statement), "line {}: {} is not about {key}", bug.line, bug.test);
        found
    };
    bug.statements.iter().map(of).collect()
}

#[test]
fn every_line_names_a_test_of_its_statement_and_a_defect_or_says_why_not() {
    let (tests, defects) = (all(), defects());
    for bug in bugs() {
        let named = named(&bug, &tests);
        if named.is_empty() {
            assert!(bug.test == "-" && bug.defect == "-", "line {} has a test and no statement", bug.line);
            assert!(!bug.note.is_empty(), "line {} says nothing of why it is not noticed", bug.line);
        } else {
            assert!(defects.contains_key(bug.defect), "line {}: nothing has the defect '{}'", bug.line, bug.defect);
        }
    }
}

#[test]
fn every_documented_defect_stands_in_the_collection() {
    let collected: BTreeSet<_> = bugs().into_iter().map(|bug| bug.defect).collect();
    for defect in planted::documented() {
        let name = format!("planted: {}", defect.name);
        assert!(collected.contains(name.as_str()), "no line has the defect '{}'", defect.name);
    }
}

/// A play for each defect, test and version; several servers had the same.
#[test]
fn each_test_notices_the_defect_that_it_is_named_for() {
    let (tests, defects) = (all(), defects());
    let mut plays: BTreeMap<(&str, &str, Version), (usize, Planned)> = BTreeMap::new();
    for bug in bugs() {
        for planned in named(&bug, &tests) {
            plays.insert((bug.test, bug.defect, planned.version), (bug.line, planned));
        }
    }
    let plays: Vec<_> = plays.into_iter().collect();
    let mut overlooked = Vec::new();
    for ((test, defect, version), (line, planned)) in plays {
        let entry = own::in_virtual_time(&planned, Some(defects[defect]()));
        if !matches!(entry.verdict, Verdict::Fail | Verdict::Warn) || entry.internal_error {
            let reason = entry.reason.as_deref().unwrap_or("as if all were well");
            overlooked.push(format!("line {line}: {version} {test} behind '{defect}': {}: {reason}", entry.verdict));
        }
    }
    assert!(overlooked.is_empty(), "{}", overlooked.join("\n"));
}

/// The figures of the page, drawn from the collection.
fn figures() -> String {
    let bugs = bugs();
    let mut servers: BTreeMap<&str, (usize, usize, usize)> = BTreeMap::new();
    for bug in &bugs {
        let (all, fixed, noticed) = servers.entry(bug.server).or_default();
        *all += 1;
        *fixed += usize::from(bug.fixed != "open");
        *noticed += usize::from(!bug.statements.is_empty());
    }
    let mut out = String::from("| server | documented | of them fixed | noticed |\n|---|---:|---:|---:|\n");
    let mut sum = (0, 0, 0);
    for (server, (all, fixed, noticed)) in &servers {
        out += &format!("| {server} | {all} | {fixed} | {noticed} |\n");
        sum = (sum.0 + all, sum.1 + fixed, sum.2 + noticed);
    }
    out + &format!("| all | {} | {} | {} |\n", sum.0, sum.1, sum.2)
}

/// `SQUALL_BLESS=1` draws them anew.
#[test]
fn the_page_has_the_figures_of_the_collection() {
    let page: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/documented_bugs.md");
    let text = fs::read_to_string(&page).expect("the page is there");
    let (begin, end) = ("<!-- figures -->\n", "<!-- end of figures -->\n");
    let (before, rest) = text.split_once(begin).expect("the page has a place for the figures");
    let (_, after) = rest.split_once(end).expect("the figures end");
    let drawn = format!("{before}{begin}\n{}\n{end}{after}", figures());
    if std::env::var_os("SQUALL_BLESS").is_some() {
        fs::write(&page, &drawn).expect("the page can be written");
    }
    assert!(
        text == drawn,
        "docs/documented_bugs.md has other figures than the collection; SQUALL_BLESS=1 draws them anew"
    );
}
