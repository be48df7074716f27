//! Does what was asked.

use std::time::{SystemTime, UNIX_EPOCH};

use squall_conformance::{
    report::model::{Header, Spoken},
    run::Audit,
    select::Selection,
    stop::Stop,
};

use super::{
    access::without_secrets,
    accuse, compare, output, probe, scenarios, signals, subject,
    trouble::Trouble,
    words::{AuditArgs, Cli, Command},
};
#[cfg(feature = "own-broker")]
use super::{self_test, storm};
use crate::tell;

/// Does what was asked; the exit status.
pub(crate) fn run(cli: Cli) -> Result<u8, Trouble> {
    let mut out = anstream::stdout();
    match cli.command {
        Some(Command::Explain { id }) => tell::explain(&mut out, &id).map(|()| 0),
        Some(Command::Probe(args)) => probe::run(&mut out, &args).map(|()| 0),
        Some(Command::Scenarios(args)) => scenarios::run(&mut out, &args),
        Some(Command::Coverage) => tell::coverage(&mut out).map(|()| 0),
        Some(Command::Diff(args)) => compare::run(&args),
        Some(Command::Report(args)) => compare::matrix(&mut out, &args).map(|()| 0),
        Some(Command::Issue(args)) => accuse::run(&args),
        #[cfg(feature = "own-broker")]
        Some(Command::SelfTest(args)) => self_test::run(&args),
        #[cfg(feature = "own-broker")]
        Some(Command::Storm(args)) => storm::run(&args),
        None => audit(&cli.audit),
    }
}

fn audit(args: &AuditArgs) -> Result<u8, Trouble> {
    let selection = args.choice.selection();
    let tests = selection.tests().map_err(Trouble::new)?;
    if args.list {
        return tell::list(&mut anstream::stdout(), &tests).map(|()| 0);
    }
    if tests.is_empty() {
        return Err(Trouble::new("no test is left to run: those that were chosen are slow and run with --slow"));
    }
    let named = args.subject.named()?;
    let header = header(&selection, args.output.strict);
    let baseline = args.output.baseline(header.started_unix)?;
    let mut audience = output::audience(&args.output)?;
    let stop = Stop::default();
    signals::listen(&stop);
    let audit = Audit {
        selection: &selection,
        tests,
        jobs: named.jobs(&args.subject),
        bounds: named.bounds(args.subject.bounds()),
        header,
        profile: named.profile.as_ref(),
        baseline: baseline.as_ref(),
        fail_fast: args.output.fail_fast,
        stop,
    };
    Ok(subject::audit(audit, &named, &mut audience)?.exit_status())
}

pub(super) fn header(selection: &Selection, strict: bool) -> Header {
    let words = without_secrets(std::env::args().skip(1)).into_iter();
    let words = words.map(|word| if word.contains(' ') { format!("'{word}'") } else { word });
    Header {
        tool: "conformance".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("SQUALL_COMMIT").unwrap_or("unknown").to_owned(),
        command: std::iter::once("conformance".to_owned()).chain(words).collect::<Vec<_>>().join(" "),
        started_unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
        world: "events".to_owned(),
        target: "squall-broker".to_owned(),
        subject: None,
        mqtt: selection
            .versions
            .iter()
            .map(|version| Spoken { version: version.to_string(), spoken: true, reason: None })
            .collect(),
        strict,
        notes: Vec::new(),
    }
}
