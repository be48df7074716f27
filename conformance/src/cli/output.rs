//! Who is told about an audit: a person, and the reports that are written.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::PathBuf,
    str::FromStr,
};

use clap::Args;
use squall_codec::version::Version;
use squall_conformance::{
    baseline::{self, Baseline},
    capture::Capture,
    event::{Event, Listener},
    report::{badge, html, human::Human, json, junit, markdown, model::Report, summary, tap},
    run::Audience,
};

use super::trouble::Trouble;

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write a report, repeatable: FORMAT is json, json-short (packets only where something went wrong), junit, tap, html, markdown, summary (for a pull request), badge,
    /// badge-3.1.1 or badge-5.0; `-` is standard output
    #[arg(long = "report", value_name = "FORMAT=FILE")]
    reports: Vec<ReportFile>,
    /// Warnings (a SHOULD not followed, or late) count as failures
    #[arg(long)]
    pub(super) strict: bool,
    /// End the run at the first failure
    #[arg(long)]
    pub(super) fail_fast: bool,
    /// Deviations that are accepted, each with its reason: exit status 1 only for what is new
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Write what fails now as a baseline
    #[arg(long, value_name = "FILE")]
    write_baseline: Option<PathBuf>,
    /// Write what goes over the wire as pcapng, with TCP/IP headers made up: for Wireshark
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

impl OutputArgs {
    pub(super) fn baseline(&self, now_unix: u64) -> Result<Option<Baseline>, Trouble> {
        self.baseline.as_deref().map(|path| Baseline::load(path, now_unix)).transpose().map_err(Trouble::new)
    }
}

/// The forms of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    JsonShort,
    Junit,
    Tap,
    Html,
    Markdown,
    Summary,
    /// Of all versions, or of one.
    Badge(Option<Version>),
    /// The list of what fails.
    Baseline,
}

const FORMATS: [(&str, Format); 10] = [
    ("json", Format::Json),
    ("json-short", Format::JsonShort),
    ("junit", Format::Junit),
    ("tap", Format::Tap),
    ("html", Format::Html),
    ("markdown", Format::Markdown),
    ("summary", Format::Summary),
    ("badge", Format::Badge(None)),
    ("badge-3.1.1", Format::Badge(Some(Version::V3_1_1))),
    ("badge-5.0", Format::Badge(Some(Version::V5_0))),
];

impl Format {
    fn write(self, report: &Report) -> String {
        match self {
            Format::Json => json::write(report),
            Format::JsonShort => json::write(&report.short()),
            Format::Junit => junit::write(report),
            Format::Tap => tap::write(report),
            Format::Html => html::write(report),
            Format::Markdown => markdown::write(report),
            Format::Summary => summary::write(report),
            Format::Baseline => baseline::write(report),
            Format::Badge(None) => badge::write(report, None),
            Format::Badge(Some(version)) => badge::write(report, Some(&version.to_string())),
        }
    }
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
        let known = FORMATS.iter().find(|(name, _)| *name == format);
        let (_, format) = known.ok_or_else(|| {
            let names: Vec<_> = FORMATS.iter().map(|(name, _)| *name).collect();
            let nearest = names.iter().min_by_key(|name| strsim::damerau_levenshtein(format, name));
            let nearest = nearest.copied().unwrap_or_default();
            format!("unknown format '{format}', expected one of {}; the nearest is {nearest}", names.join(", "))
        })?;
        if path.is_empty() {
            return Err("the file is missing, expected FORMAT=FILE".to_owned());
        }
        Ok(ReportFile { format: *format, path: PathBuf::from(path) })
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
        let text = self.format.write(report);
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => error,
            kind => io::Error::new(kind, format!("the report {} cannot be written: {error}", self.name)),
        })
    }
}

/// A capture that says which file cannot be written.
struct Captured {
    name: String,
    capture: Capture<BufWriter<File>>,
}

impl Listener for Captured {
    fn hear(&mut self, event: Event<'_>) -> io::Result<()> {
        let heard = self.capture.hear(event);
        heard.map_err(|error| {
            io::Error::new(error.kind(), format!("the capture {} cannot be written: {error}", self.name))
        })
    }
}

/// Those who listen. The human report gives way to one that is sent to standard output.
pub(super) fn audience(args: &OutputArgs) -> Result<Audience, Trouble> {
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
    if let Some(path) = &args.write_baseline {
        listeners.push(Box::new(Written::open(&ReportFile { format: Format::Baseline, path: path.clone() })?));
    }
    if let Some(path) = &args.pcap {
        let file = File::create(path);
        let name = path.display();
        let file = file.map_err(|error| Trouble::new(format!("the capture {name} cannot be written: {error}")))?;
        listeners.push(Box::new(Captured { name: name.to_string(), capture: Capture::new(BufWriter::new(file)) }));
    }
    Ok(Audience::new(listeners))
}
