//! Who is told about an audit: a person, and the reports that are written.

use std::{
    fs::File,
    io::{self, IsTerminal, Write},
    path::PathBuf,
    str::FromStr,
};

use clap::Args;
use squall_conformance::{
    event::{Event, Listener},
    report::{human::Human, json, markdown},
    run::Audience,
};

use super::trouble::Trouble;

#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Write a report, repeatable: json=FILE or markdown=FILE; `-` is standard output
    #[arg(long = "report", value_name = "FORMAT=FILE")]
    reports: Vec<ReportFile>,
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
    Ok(Audience::new(listeners))
}
