//! The command line: what was asked for, and who is told about it.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Parser, Subcommand};
use squall_codec::version::Version;
use squall_conformance::{
    event::{Event, Listener},
    profile::Profile,
    report::{
        human::Human,
        json, markdown,
        model::{Header, Report, Spoken},
    },
    run::{Audience, Audit, Bounds, DEFAULT_VERSIONS},
    select::{Filter, Selection},
    target::{Subject, Target, probe},
};
use tokio::task::LocalSet;

use crate::tell;

const EXAMPLES: &str = "\
Examples:
  conformance                                        audit our own broker in virtual time
  conformance --target localhost:1883                audit a broker over TCP, MQTT 3.1.1 and 5.0
  conformance --target broker:1883 --mqtt 5.0        one version
  conformance --target broker:1883 MQTT-3.3          the statements of PUBLISH
  conformance --target broker:1883 5.0/MQTT-3.1.2-24 one statement
  conformance --target broker:1883 \"will\"            tests with this word
  conformance --target broker:1883 --report json=report.json --report markdown=report.md
  conformance --list MQTT-3.1                        what would run
  conformance explain MQTT-3.1.0-2                   the rule, and the tests that prove it
  conformance coverage                               what is tested, and what could be

Exit status: 0 no rule is broken, 1 a rule is broken, 2 the audit could not run.";

/// Audits any MQTT broker against the numbered statements of the standard.
#[derive(Debug, Parser)]
#[command(name = "conformance", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    audit: AuditArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell a statement in plain words, and the tests that prove it
    Explain {
        /// As in the standard, with or without a version: MQTT-3.1.0-2, 5.0/MQTT-3.1.0-2
        id: String,
    },
    /// Count what is tested, what could be observed at a server, and all there is
    Coverage,
}

#[derive(Debug, Args)]
struct AuditArgs {
    /// The broker to audit: HOST:PORT, tcp:// or mqtt://; without it, our own broker in virtual time
    #[arg(long, value_name = "HOST:PORT")]
    target: Option<Target>,
    /// Versions to speak, repeatable: 3.1 (for information), 3.1.1, 5.0 [default: 3.1.1 and 5.0]
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    mqtt: Vec<Version>,
    /// What is known of this broker: brokers/*.toml
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// List the tests that would run, and run none
    #[arg(long)]
    list: bool,
    /// Tests at a time
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Run also tests that need more than 5 s on a healthy broker
    #[arg(long)]
    slow: bool,
    /// How long an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    patience: u16,
    /// Write a report, repeatable: json=FILE or markdown=FILE; `-` is standard output
    #[arg(long = "report", value_name = "FORMAT=FILE")]
    reports: Vec<ReportFile>,
    /// Beginnings of ids (MQTT-3.1, 5.0/MQTT-3.3.1-2) or words of a test's name
    #[arg(value_name = "FILTER")]
    filters: Vec<Filter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    Markdown,
}

#[derive(Clone, Debug)]
struct ReportFile {
    format: Format,
    path: PathBuf,
}

impl FromStr for ReportFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, path) = text.split_once('=').ok_or("expected FORMAT=FILE, like json=report.json")?;
        let format = match format {
            "json" => Format::Json,
            "markdown" => Format::Markdown,
            other => return Err(format!("unknown format '{other}', expected json or markdown")),
        };
        if path.is_empty() {
            return Err("the file is missing, expected FORMAT=FILE".to_owned());
        }
        Ok(ReportFile { format, path: PathBuf::from(path) })
    }
}

/// A report that is written when all is known. Its file is opened before anything runs.
struct Written {
    format: Format,
    name: String,
    out: Box<dyn Write>,
}

impl Written {
    fn open(file: &ReportFile) -> Result<Self, Trouble> {
        let name = file.path.display().to_string();
        let out: Box<dyn Write> = if name == "-" {
            Box::new(io::stdout())
        } else {
            let file = File::create(&file.path);
            Box::new(file.map_err(|error| Trouble::new(format!("the report {name} cannot be written: {error}")))?)
        };
        Ok(Written { format: file.format, name, out })
    }
}

impl Listener for Written {
    fn hear(&mut self, event: Event<'_>) -> io::Result<()> {
        let Event::RunFinished(report) = event else { return Ok(()) };
        let text = match self.format {
            Format::Json => json::write(report),
            Format::Markdown => markdown::write(report),
        };
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => error,
            kind => io::Error::new(kind, format!("the report {} cannot be written: {error}", self.name)),
        })
    }
}

/// Why nothing could be run: one sentence, or none where nobody reads any more.
#[derive(Debug)]
pub(crate) struct Trouble(Option<String>);

impl Trouble {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Trouble(Some(sentence.into()))
    }

    pub(crate) fn sentence(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble((error.kind() != io::ErrorKind::BrokenPipe).then(|| error.to_string()))
    }
}

/// Does what was asked; the exit status.
pub(crate) fn run(cli: Cli) -> Result<u8, Trouble> {
    let mut out = anstream::stdout();
    match cli.command {
        Some(Command::Explain { id }) => return tell::explain(&mut out, &id).map(|()| 0),
        Some(Command::Coverage) => return tell::coverage(&mut out).map(|()| 0),
        None => {}
    }
    let args = cli.audit;
    let mut versions = if args.mqtt.is_empty() { DEFAULT_VERSIONS.to_vec() } else { args.mqtt.clone() };
    versions.sort_unstable();
    versions.dedup();
    let selection = Selection { versions, filters: args.filters.clone(), slow: args.slow };
    let tests = selection.tests().map_err(Trouble::new)?;
    if args.list {
        return tell::list(&mut out, &tests).map(|()| 0);
    }
    if tests.is_empty() {
        return Err(Trouble::new("no test is left to run: those that were chosen are slow and run with --slow"));
    }

    let profile = args.profile.as_deref().map(Profile::load).transpose().map_err(Trouble::new)?;
    let target = match (&args.target, &profile) {
        (Some(target), _) => Some(target.clone()),
        (None, Some(profile)) => {
            Some(profile.target.parse().map_err(|error| Trouble::new(format!("the target of the profile: {error}")))?)
        }
        (None, None) => None,
    };
    let mut audience = audience(&args)?;
    let header = header(&selection);
    let bounds = Bounds { patience: Duration::from_secs(args.patience.into()), ..Bounds::default() };
    let audit =
        Audit { selection: &selection, tests, jobs: args.jobs.into(), bounds, header, profile: profile.as_ref() };
    let report = match target {
        Some(target) => live(audit, &target, &mut audience)?,
        None => own(audit, &mut audience)?,
    };
    Ok(report.exit_status())
}

/// Those who listen. The human report gives way to one that is sent to standard output.
fn audience(args: &AuditArgs) -> Result<Audience, Trouble> {
    let mut listeners: Vec<Box<dyn Listener>> = Vec::new();
    let piped = args.reports.iter().any(|report| report.path.as_os_str() == "-");
    let bar = io::stderr().is_terminal();
    if piped {
        listeners.push(Box::new(Human::new(anstream::stderr(), bar, false)));
    } else {
        listeners.push(Box::new(Human::new(anstream::stdout(), bar, !io::stdout().is_terminal())));
    }
    for report in &args.reports {
        listeners.push(Box::new(Written::open(report)?));
    }
    Ok(Audience::new(listeners))
}

fn header(selection: &Selection) -> Header {
    let words = std::env::args().skip(1).map(|word| if word.contains(' ') { format!("'{word}'") } else { word });
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
    }
}

fn live(mut audit: Audit<'_>, target: &Target, audience: &mut Audience) -> Result<Report, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::new(format!("the runtime cannot start: {error}")))?;
    let outcome = LocalSet::new().block_on(&runtime, async {
        let subject =
            probe(target, &audit.selection.versions).await.map_err(|error| Trouble::new(error.to_string()))?;
        describe(&mut audit, &subject);
        Ok(audit.live(&subject, audience).await?)
    });
    // A look-up of a name may still be waiting for an answer, and nobody waits for it any more.
    runtime.shutdown_background();
    outcome
}

fn describe(audit: &mut Audit<'_>, subject: &Subject) {
    let header = &mut audit.header;
    header.world = "live".to_owned();
    header.target = subject.target.to_string();
    header.subject = subject.identity.clone().or_else(|| audit.profile.map(|profile| profile.name.clone()));
    header.mqtt = subject
        .spoken
        .iter()
        .map(|(version, spoken)| Spoken {
            version: version.to_string(),
            spoken: spoken.is_ok(),
            reason: spoken.as_ref().err().cloned(),
        })
        .collect();
}

#[cfg(feature = "own-broker")]
fn own(mut audit: Audit<'_>, audience: &mut Audience) -> Result<Report, Trouble> {
    audit.header.subject = Some(format!("squall-broker {}", env!("CARGO_PKG_VERSION")));
    Ok(squall_conformance::own::audit(audit, audience)?)
}

#[cfg(not(feature = "own-broker"))]
fn own(_audit: Audit<'_>, _audience: &mut Audience) -> Result<Report, Trouble> {
    Err(Trouble::new("this build has no broker of its own: name one with --target HOST:PORT"))
}
