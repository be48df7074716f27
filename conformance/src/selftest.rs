//! The table of tests and liars: every test on every liar of its version, in the events world. Feature `own-broker`.
//!
//! A test that does not notice its own liar checks nothing; one that notices the liar of a rule it does not depend on
//! accuses the wrong rule. The three crude liars break everything at once, and nothing may pass on the first two.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use owo_colors::OwoColorize;
use serde::Serialize;
use squall_codec::version::Version;
use squall_scenarios::{liar::Liar, verdict::Verdict};

use crate::{
    crude,
    expected::{self, Needless},
    noticed::{self, Noticed},
    own::in_virtual_time,
    select::{self, Planned},
    setup::Setup,
    stop::Stop,
};

/// The shape of its JSON.
pub const SCHEMA: &str = "squall-conformance-self-test/2";

/// Which liars a test meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None, its own, the crude ones.
    Own,
    /// None and one in so many of those of other tests, spread evenly and always the same: what they find undeclared is
    /// undeclared, and nothing else is known.
    Sample(usize),
    /// All of its version besides: the number of plays grows with the square of the tests.
    All,
}

/// The whole table.
#[derive(Clone, Debug, Serialize)]
pub struct SelfTest {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Whether each test met every liar of its version.
    pub complete: bool,
    /// One for each test.
    pub tests: Vec<Row>,
    /// One for each crude liar.
    pub crude: Vec<Crude>,
    /// Plays that say nothing of anybody: a test or a liar panicked.
    pub broken: Vec<Broken>,
    /// Defects with no test in mind, and who notices them: where all tests were asked.
    pub planted: Vec<Noticed>,
    /// What the data excuses and no test needs: where all tests met all liars.
    pub needless: Vec<Needless>,
}

/// A play that ended in a panic.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// That it speaks.
    pub version: String,
    /// Of the test.
    pub test: String,
    /// As the table of tests names it; absent on the honest broker.
    pub liar: Option<String>,
    /// What it said.
    pub reason: String,
}

/// A test, and what it made of its liar.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// That it speaks.
    pub version: String,
    /// Of the test.
    pub name: String,
    /// What it decides.
    pub statements: Vec<String>,
    /// Its liar, as the table of tests names it.
    pub liar: String,
    /// On the honest broker: should be pass.
    pub honest: Verdict,
    /// On its liar: should be `due`.
    pub deceived: Verdict,
    /// Fail, or warn where its rule is a SHOULD.
    pub due: Verdict,
    /// Other tests that pass on the honest broker and fail or warn on this test's liar.
    pub others: Vec<Other>,
}

/// Another test that accuses the liar.
#[derive(Clone, Debug, Serialize)]
pub struct Other {
    /// Of the test.
    pub name: String,
    /// What it said.
    pub verdict: Verdict,
    /// And why.
    pub reason: String,
    /// It decides a statement that the liar's own test decides too, or one that touches it; or it has the same liar; or
    /// the data says why it has to.
    pub related: bool,
}

/// A liar that breaks everything.
#[derive(Clone, Debug, Serialize)]
pub struct Crude {
    /// What it does.
    pub liar: String,
    /// It leaves nothing for a rule to hold in: no test may pass.
    pub nothing_may_pass: bool,
    /// Tests that pass on it.
    pub passed: Vec<String>,
    /// Statements that a report would say pass on it.
    pub statements: Vec<String>,
    /// Those of them of which the data does not say that they may.
    pub unexpected: Vec<String>,
}

impl Row {
    /// Honest passes, and the liar is caught.
    pub fn holds(&self) -> bool {
        self.honest == Verdict::Pass && self.deceived == self.due
    }
}

impl SelfTest {
    /// 0: every test passes on the honest broker and catches its liar, no other test convicts that liar but for a reason
    /// that the data gives, the data gives none that is not needed, some test notices each planted defect, and nothing passes on
    /// the crude liars that leave nothing. 1: not so.
    pub fn exit_status(&self) -> u8 {
        let rows = self.tests.iter().all(Row::holds);
        let crude = self
            .crude
            .iter()
            .all(|crude| crude.unexpected.is_empty() && (!crude.nothing_may_pass || crude.passed.is_empty()));
        let data = self.undeclared() == 0 && self.needless.is_empty();
        u8::from(!(rows && crude && data && self.broken.is_empty() && self.unnoticed() == 0))
    }

    /// Tests of other rules that convict a liar, each counted once for each liar, and nothing says why.
    pub fn undeclared(&self) -> usize {
        self.tests.iter().map(|row| row.others.iter().filter(|other| !other.related).count()).sum()
    }

    /// Planted defects that no test notices.
    pub fn unnoticed(&self) -> usize {
        self.planted.iter().filter(|noticed| noticed.by.is_none()).count()
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a table is plain data");
        text.push('\n');
        text
    }

    /// For a person.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{}",
            format!("{:<6} {:<13} {:<13} {:>6} {:>6}  test", "", "honest", "its liar", "same", "else").bold()
        )?;
        for row in &self.tests {
            let related = row.others.iter().filter(|other| other.related).count();
            let mark = if row.holds() { " " } else { "✗" };
            writeln!(
                out,
                "{mark} {:<5} {:<13} {:<13} {related:>6} {:>6}  {}",
                row.version,
                row.honest,
                row.deceived,
                row.others.len() - related,
                row.name.bold()
            )?;
            if !row.holds() {
                writeln!(out, "        due: pass and {}; the liar: {}", row.due, row.liar)?;
            }
            for other in row.others.iter().filter(|other| !other.related) {
                writeln!(out, "        {} too: {}: {}", other.verdict, other.name, other.reason)?;
            }
        }
        writeln!(
            out,
            "\nsame: tests of the same statement, or of one that depends on it, that notice this liar; else: other tests that do"
        )?;
        for crude in &self.crude {
            writeln!(
                out,
                "\n{}: {} tests, {} statements pass",
                crude.liar.bold(),
                crude.passed.len(),
                crude.statements.len()
            )?;
            for key in &crude.statements {
                let mark = if crude.unexpected.contains(key) { "✗" } else { " " };
                writeln!(out, "{mark} {key}")?;
            }
        }
        for broken in &self.broken {
            let liar = broken.liar.as_deref().unwrap_or("the honest broker");
            writeln!(out, "✗ {} {} on {liar}: {}", broken.version, broken.test, broken.reason)?;
        }
        for Needless { liar, test } in &self.needless {
            writeln!(out, "✗ {test} does not convict {liar}, and statements/implied.yaml says that it may")?;
        }
        for noticed in &self.planted {
            let (mark, by) = noticed.by.as_deref().map_or(("✗", "nobody"), |by| (" ", by));
            writeln!(out, "{mark} {:<5} a server that {}: {by}", noticed.version, noticed.defect)?;
        }
        if !self.planted.is_empty() {
            let noticed = self.planted.len() - self.unnoticed();
            writeln!(out, "{noticed} of {} planted defects are noticed", self.planted.len())?;
        }
        let caught = self.tests.iter().filter(|row| row.holds()).count();
        let beside = self.tests.iter().filter(|row| row.others.iter().any(|other| !other.related)).count();
        writeln!(
            out,
            "\n{caught} of {} tests pass on the honest broker and convict their liar; {beside} liars are noticed by tests of statements that do not depend on the broken one, {} accusations in all{}: exit status {}",
            self.tests.len(),
            self.undeclared(),
            if self.complete { "" } else { " (not every test met every liar)" },
            self.exit_status()
        )
    }
}

/// A subject: the honest broker, or one of the liars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Honest,
    /// The liar of the test at this position.
    Of(usize),
    Crude(usize),
}

/// What a test said of a subject.
struct Said {
    verdict: Verdict,
    /// Kept where it accuses, or is broken itself.
    reason: Option<String>,
    broken: bool,
}

/// Which liar a test has.
fn identity(planned: &Planned) -> (Version, &'static str) {
    (planned.version, planned.test.liar_name())
}

/// Plays it. `progress` hears how many of how many plays are done.
pub fn run(tests: &[Planned], depth: Depth, stop: &Stop, progress: &(dyn Fn(usize, usize) + Sync)) -> SelfTest {
    // A test of 3.1 is that of 3.1.1, and convicts nobody.
    let tests: Vec<Planned> = tests.iter().copied().filter(|planned| planned.version != Version::V3_1).collect();
    let is_whole = tests.len() == select::all().iter().filter(|planned| planned.version != Version::V3_1).count();
    // Tests that share a liar meet it once.
    let mut first = BTreeMap::new();
    for (index, planned) in tests.iter().enumerate() {
        first.entry(identity(planned)).or_insert(index);
    }
    let liar_of = |index: usize| first[&identity(&tests[index])];

    let mut plays: Vec<(Subject, usize)> = Vec::new();
    for test in 0..tests.len() {
        plays.push((Subject::Honest, test));
        if !matches!(depth, Depth::Sample(_)) {
            plays.push((Subject::Of(liar_of(test)), test));
            plays.extend((0..crude::ALL.len()).map(|crude| (Subject::Crude(crude), test)));
        }
    }
    let step = match depth {
        Depth::Own => None,
        Depth::Sample(step) => Some(step.max(1)),
        Depth::All => Some(1),
    };
    if let Some(step) = step {
        for (number, liar) in first.values().enumerate() {
            // A liar below a WebSocket sees no packets, and one that sees packets no WebSocket.
            let world = |index: usize| (tests[index].version, tests[index].test.setup == Setup::WebSocket);
            let met = |test: &usize| {
                world(*test) == world(*liar) && liar_of(*test) != *liar && (number + test).is_multiple_of(step)
            };
            plays.extend((0..tests.len()).filter(met).map(|test| (Subject::Of(*liar), test)));
        }
    }

    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let verdicts = Mutex::new(BTreeMap::new());
    let play = || {
        loop {
            let Some((subject, test)) = plays.get(next.fetch_add(1, Ordering::Relaxed)).copied() else { return };
            if stop.is_asked() {
                return;
            }
            let planned = &tests[test];
            let liar: Option<Box<dyn Liar>> = match subject {
                Subject::Honest => None,
                Subject::Of(owner) => Some((tests[owner].test.liar)()),
                Subject::Crude(crude) => Some((crude::ALL[crude].1)()),
            };
            let entry = in_virtual_time(planned, liar);
            let (verdict, broken) = (entry.verdict, entry.internal_error);
            let reason = entry.reason.filter(|_| broken || matches!(verdict, Verdict::Fail | Verdict::Warn));
            let said = Said { verdict, reason, broken };
            verdicts.lock().unwrap_or_else(PoisonError::into_inner).insert((subject, test), said);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, plays.len());
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(play);
        }
    });
    let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
    let said = |subject, test| verdicts.get(&(subject, test)).map_or(Verdict::Untested, |said| said.verdict);
    let reason = |subject, test| verdicts.get(&(subject, test)).and_then(|said| said.reason.clone());

    let shares = |one: usize, other: usize| {
        let cited = tests[one].test.statements;
        let theirs = tests[other].test.statements;
        liar_of(one) == liar_of(other)
            || theirs.iter().any(|key| cited.contains(key))
            || expected::touch(cited, theirs)
            || expected::is_implied(tests[one].test.liar_name(), tests[other].test.name)
    };
    let row = |test: usize| {
        let liar = Subject::Of(liar_of(test));
        let deceived = |other: &usize| {
            let before = said(Subject::Honest, *other);
            let now = said(liar, *other);
            // A test that never reaches its question accuses nobody.
            *other != test && before == Verdict::Pass && matches!(now, Verdict::Fail | Verdict::Warn)
        };
        let others = (0..tests.len()).filter(deceived).map(|other| Other {
            name: tests[other].test.name.to_owned(),
            verdict: said(liar, other),
            reason: reason(liar, other).unwrap_or_default(),
            related: shares(test, other),
        });
        let planned = &tests[test];
        Row {
            version: planned.version.to_string(),
            name: planned.test.name.to_owned(),
            statements: planned.test.statements.iter().map(ToString::to_string).collect(),
            liar: planned.test.liar_name().to_owned(),
            honest: said(Subject::Honest, test),
            deceived: said(liar, test),
            due: if planned.test.should { Verdict::Warn } else { Verdict::Fail },
            others: others.collect(),
        }
    };
    let crude = |(index, (name, _)): (usize, &crude::Crude)| crude_row(&tests, index, name, &said);
    let broken = verdicts.iter().filter(|(_, said)| said.broken).map(|((subject, test), said)| Broken {
        version: tests[*test].version.to_string(),
        test: tests[*test].test.name.to_owned(),
        liar: match subject {
            Subject::Honest => None,
            Subject::Of(owner) => Some(tests[*owner].test.liar_name().to_owned()),
            Subject::Crude(crude) => Some(crude::ALL[*crude].0.to_owned()),
        },
        reason: said.reason.clone().unwrap_or_default(),
    });
    let rows: Vec<Row> = (0..tests.len()).map(row).collect();
    let complete = depth == Depth::All && verdicts.len() == plays.len();
    let convicting =
        rows.iter().flat_map(|row| row.others.iter().map(|other| (row.liar.as_str(), other.name.as_str())));
    let needless = match complete && is_whole {
        true => expected::needless(&convicting.collect()),
        false => Vec::new(),
    };
    SelfTest {
        schema: SCHEMA,
        complete,
        needless,
        tests: rows,
        crude: crude::ALL.iter().enumerate().map(crude).collect(),
        broken: broken.collect(),
        planted: if depth == Depth::All && is_whole { noticed::all(&tests) } else { Vec::new() },
    }
}

fn crude_row(tests: &[Planned], index: usize, name: &str, said: &dyn Fn(Subject, usize) -> Verdict) -> Crude {
    let mut worst: BTreeMap<&str, Verdict> = BTreeMap::new();
    let mut passed = Vec::new();
    for (test, planned) in tests.iter().enumerate() {
        let verdict = said(Subject::Crude(index), test);
        if verdict == Verdict::Pass {
            passed.push(format!("{}/{}", planned.version, planned.test.name));
        }
        for key in planned.test.statements {
            let entry = worst.entry(key).or_insert(verdict);
            *entry = verdict.min(*entry);
        }
    }
    let statements = worst.into_iter().filter(|(_, verdict)| *verdict == Verdict::Pass);
    let statements: Vec<String> = statements.map(|(key, _)| key.to_owned()).collect();
    // What acknowledges everything does hold the rules of its acknowledgements.
    let nothing_may_pass = index < 2;
    let may = expected::by_acknowledging();
    let unexpected = statements.iter().filter(|key| nothing_may_pass || !may.contains_key(key.as_str()));
    Crude { liar: name.to_owned(), nothing_may_pass, passed, unexpected: unexpected.cloned().collect(), statements }
}
