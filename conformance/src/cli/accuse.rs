//! `conformance issue`: one broken statement as Markdown that a maintainer can act on.

use std::{
    cell::RefCell,
    fs,
    io::{self, Write},
    path::PathBuf,
    rc::Rc,
};

use clap::Args;
use squall_conformance::{
    event::{Event, Listener},
    report::{
        accusation,
        model::{Report, TestEntry},
        replay,
    },
    run::{Audience, Audit, DEFAULT_VERSIONS},
    select::{Planned, Selection, all},
    statement::{Key, catalogue},
    stop::Stop,
};

use super::{
    audit::header,
    subject::{self, SubjectArgs},
    trouble::Trouble,
};

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    /// As in the standard, with a version where the id exists in both: 5.0/MQTT-3.1.0-2
    id: String,
    #[command(flatten)]
    subject: SubjectArgs,
    /// Write the replay script here besides
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
}

/// Keeps the tests whole, with all bytes of their frames.
#[derive(Clone, Default)]
struct Keeper(Rc<RefCell<Vec<TestEntry>>>);

impl Listener for Keeper {
    fn hear(&mut self, event: Event<'_>) -> io::Result<()> {
        if let Event::TestFinished(entry) = event {
            self.0.borrow_mut().push(entry.clone());
        }
        Ok(())
    }
}

pub(super) fn run(args: &IssueArgs) -> Result<u8, Trouble> {
    let keys = keys(&args.id)?;
    let versions: Vec<_> =
        DEFAULT_VERSIONS.into_iter().filter(|version| keys.iter().any(|key| key.version == *version)).collect();
    // What decides the statement, and the rest of its section for the control arm.
    let decides = |planned: &Planned| {
        planned.statements().any(|(cited, _)| keys.contains(&cited)) && versions.contains(&planned.version)
    };
    let deciding: Vec<_> = all().into_iter().filter(decides).collect();
    if deciding.is_empty() {
        let statement = catalogue().find(keys[0]);
        let why = statement.map(|statement| statement.why_untested()).unwrap_or_default();
        return Err(Trouble::new(format!("{} has no test: {why}", keys[0])));
    }
    let beside = |planned: &Planned| {
        !planned.test.slow
            && deciding
                .iter()
                .any(|chosen| chosen.version == planned.version && chosen.section.number == planned.section.number)
    };
    let tests: Vec<_> = all().into_iter().filter(|planned| decides(planned) || beside(planned)).collect();
    let selection = Selection { versions, slow: true, ..Selection::default() };
    let named = args.subject.named()?;
    let kept = Keeper::default();
    let mut audience = Audience::new(vec![Box::new(kept.clone())]);
    let audit = Audit {
        selection: &selection,
        tests,
        jobs: named.jobs(&args.subject),
        bounds: named.bounds(args.subject.bounds()),
        header: header(&selection, false),
        profile: named.profile.as_ref(),
        baseline: None,
        fail_fast: false,
        stop: Stop::default(),
    };
    let mut report = subject::audit(audit, &named, &mut audience)?;
    if let Some(gone) = &report.gone {
        return Err(Trouble::new(format!("{} was gone at the end: {gone}", report.run.target)));
    }
    // With all bytes, for the script.
    for test in &mut report.tests {
        if let Some(whole) =
            kept.0.borrow().iter().find(|whole| whole.name == test.name && whole.version == test.version)
        {
            test.transcript.clone_from(&whole.transcript);
        }
    }
    told(args, &keys, &report)
}

fn told(args: &IssueArgs, keys: &[Key<'_>], report: &Report) -> Result<u8, Trouble> {
    let mut out = anstream::stdout();
    for key in keys {
        let Some(entry) = report.statement(&key.to_string()) else { continue };
        let Some(text) = accusation::write(report, entry, &reference) else { continue };
        out.write_all(text.as_bytes())?;
        if let (Some(path), Some(test)) = (&args.script, accusation::accusers(report, &entry.key()).first()) {
            let script = replay::script(test, &entry.key(), &entry.rule);
            let written = fs::write(path, script);
            written.map_err(|error| Trouble::new(format!("{} cannot be written: {error}", path.display())))?;
        }
        return Ok(1);
    }
    for entry in keys.iter().filter_map(|key| report.statement(&key.to_string())) {
        writeln!(out, "{}: {}. {}", entry.key(), entry.verdict, entry.reason)?;
    }
    writeln!(out, "There is nothing to accuse {} of.", report.run.target)?;
    Ok(0)
}

/// The statements of this id: of one version, or of both.
fn keys(text: &str) -> Result<Vec<Key<'static>>, Trouble> {
    let (version, id) = match Key::parse(text) {
        Some(key) => (Some(key.version), key.id),
        None => (None, text),
    };
    let asked = |key: &Key<'_>| key.id.eq_ignore_ascii_case(id) && version.is_none_or(|version| version == key.version);
    let keys: Vec<_> = catalogue().iter().map(|(key, _)| key).filter(asked).collect();
    if keys.is_empty() {
        let nearest = catalogue().nearest(id).join(", ");
        return Err(Trouble::new(format!("there is no statement {text}; the nearest are {nearest}")));
    }
    Ok(keys)
}

/// The same test on our own broker.
#[cfg(feature = "own-broker")]
fn reference(test: &TestEntry) -> Option<TestEntry> {
    let same = |planned: &Planned| planned.version.to_string() == test.version && planned.test.name == test.name;
    all().into_iter().find(same).map(|planned| squall_conformance::own::in_virtual_time(&planned, None))
}

#[cfg(not(feature = "own-broker"))]
fn reference(_test: &TestEntry) -> Option<TestEntry> {
    None
}
