//! `sim exhaust`: what is cut, how it goes on, and what did not hold.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use serde_json::{Value, json};
use squall_codec::version::Version;
use squall_scenarios::{liar::Direction, script::Script};
use squall_sim::exhaust::{ExhaustOptions, Exhausted, Progress, Violation, exhaust};

use crate::{FAILED, PASSED, cli::ExhaustArguments, print};

/// Violations that are shown one by one.
const SHOWN: usize = 10;

pub(crate) fn run(arguments: &ExhaustArguments) -> Result<u8, String> {
    let text = fs::read_to_string(&arguments.file)
        .map_err(|error| format!("cannot read {}: {error}", arguments.file.display()))?;
    let name = arguments.file.display().to_string();
    let script = Rc::new(Script::parse(&name, &text).map_err(|error| error.to_string())?);
    let versions: Vec<Version> = script
        .versions()
        .iter()
        .copied()
        .filter(|version| arguments.mqtt.is_none_or(|only| only == *version))
        .collect();
    if versions.is_empty() {
        return Err(format!("{name} is not played in this version"));
    }
    let jobs = arguments.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let options = ExhaustOptions {
        link: arguments.link.clone(),
        pairs: arguments.pairs,
        jobs,
        ..ExhaustOptions::new(arguments.seed)
    };
    let quiet = arguments.json.as_deref() == Some(Path::new("-"));
    let mut results = Vec::new();
    let mut status = PASSED;
    for version in versions {
        let watch = Watch::new();
        let exhausted = exhaust(&script, &text, version, &options, &|progress| watch.see(progress));
        let took = watch.finish();
        let exhausted = exhausted.map_err(|error| error.to_string())?;
        if !exhausted.violations.is_empty() {
            status = FAILED;
        }
        let files = write_violations(arguments, &exhausted)?;
        if !quiet {
            print(&report(&name, &exhausted, &files, took))?;
        }
        results.push(as_json(&exhausted, &files));
    }
    if let Some(file) = &arguments.json {
        let result = json!({ "version": 1, "script": name, "seed": arguments.seed, "results": results });
        let text = format!("{result:#}\n");
        if quiet {
            print(&text)?;
        } else {
            fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
    }
    Ok(status)
}

/// Shows how far it is, where somebody looks on.
struct Watch {
    bar: ProgressBar,
    violated: AtomicUsize,
    began: Instant,
}

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "how long the person has waited, not the world")]
    fn new() -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {per_sec} {eta}");
        let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Watch { bar, violated: AtomicUsize::new(0), began: Instant::now() }
    }

    fn see(&self, progress: Progress) {
        match progress {
            Progress::Begins { cuts, plays } => {
                self.bar.reset();
                self.bar.set_length(plays as u64);
                self.bar.set_message(if cuts > 1 { "pairs of cuts" } else { "cuts" });
            }
            Progress::Played { violated } => {
                if violated {
                    let count = self.violated.fetch_add(1, Ordering::Relaxed) + 1;
                    self.bar.set_message(format!("{count} violations"));
                }
                self.bar.inc(1);
            }
        }
    }

    fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.began.elapsed()
    }
}

/// One file for each violation, if they are wanted: the names, in the order of the violations.
fn write_violations(arguments: &ExhaustArguments, exhausted: &Exhausted) -> Result<Vec<PathBuf>, String> {
    let Some(folder) = &arguments.out else { return Ok(Vec::new()) };
    let stem = arguments.file.file_stem().map_or_else(|| "flow".into(), |stem| stem.to_string_lossy());
    let version = exhausted.version.to_string().replace('.', "_");
    let failed = |what: &Path, error: &std::io::Error| format!("cannot write {}: {error}", what.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let mut files = Vec::new();
    for (number, violation) in exhausted.violations.iter().enumerate() {
        let file = folder.join(format!("{stem}-{version}-{:05}.yaml", number + 1));
        fs::write(&file, &violation.script).map_err(|error| failed(&file, &error))?;
        files.push(file);
    }
    Ok(files)
}

fn report(name: &str, exhausted: &Exhausted, files: &[PathBuf], took: Duration) -> String {
    let Exhausted { version, links, frames, singles, pairs, pairs_played, missed, coverage, violations } = exhausted;
    let bytes: usize = frames.iter().map(|frame| frame.size).sum();
    let plays = singles + pairs_played;
    let rate = plays as f64 / took.as_secs_f64().max(0.001);
    let mut text = format!("{name} in {version}: {} frames, {bytes} bytes of {}\n", frames.len(), links.join(", "));
    text += &format!("  {singles} places and ways to cut, all played\n");
    if *pairs_played > 0 {
        text += &format!("  {pairs_played} of {pairs} pairs played\n");
    }
    if *missed > 0 {
        text += &format!("  {missed} plays in which a second cut found nothing to cut\n");
    }
    text += &format!("  {plays} plays in {:.1} s, {rate:.0} a second\n\n", took.as_secs_f64());
    text += &format!(
        "  {:<11} {:<14} {:>6} {:>6} {:>13} {:>9}\n",
        "packet", "", "frames", "bytes", "at boundaries", "within"
    );
    for ((kind, direction), cell) in coverage {
        let way = match direction {
            Direction::ToServer => "to the server",
            Direction::ToClient => "to the client",
        };
        text += &format!(
            "  {:<11} {way:<14} {:>6} {:>6} {:>13} {:>9}\n",
            kind.to_string(),
            cell.frames,
            cell.bytes,
            cell.at_boundaries,
            cell.within
        );
    }
    text += "\n";
    if violations.is_empty() {
        return text + &format!("{} everything held\n\n", "✔".green());
    }
    for (number, violation) in violations.iter().enumerate().take(SHOWN) {
        text += &show_violation(violation, files.get(number), *version);
    }
    if violations.len() > SHOWN {
        text += &format!("  … and {} more\n", violations.len() - SHOWN);
    }
    if files.is_empty() {
        text += "  -o DIR writes a script for each of them, to play it again\n";
    }
    text + &format!("{} {}\n\n", "✘".red(), format!("{} violations", violations.len()).red().bold())
}

fn show_violation(violation: &Violation, file: Option<&PathBuf>, version: Version) -> String {
    let mut text = format!("{} cut {}\n", "✘".red(), words(violation));
    for breach in &violation.breaches {
        text += &format!("    {breach}\n");
    }
    if let Some(file) = file {
        text += &format!("    {}\n", replay(file, version).dimmed());
    }
    text
}

fn words(violation: &Violation) -> String {
    let cuts: Vec<String> = violation.cuts.iter().map(ToString::to_string).collect();
    cuts.join("; then ")
}

fn replay(file: &Path, version: Version) -> String {
    format!("sim run {} --mqtt {version}", file.display())
}

fn as_json(exhausted: &Exhausted, files: &[PathBuf]) -> Value {
    let coverage: Vec<Value> = exhausted
        .coverage
        .iter()
        .map(|((kind, direction), cell)| {
            json!({
                "packet": kind.to_string(),
                "to": if *direction == Direction::ToServer { "server" } else { "client" },
                "frames": cell.frames,
                "bytes": cell.bytes,
                "at_boundaries": cell.at_boundaries,
                "within": cell.within,
            })
        })
        .collect();
    let violations: Vec<Value> = exhausted
        .violations
        .iter()
        .enumerate()
        .map(|(number, violation)| {
            let file = files.get(number);
            json!({
                "cuts": violation.cuts.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "breaches": violation.breaches,
                "file": file.map(|file| file.display().to_string()),
                "command": file.map(|file| replay(file, exhausted.version)),
            })
        })
        .collect();
    json!({
        "mqtt": exhausted.version.to_string(),
        "links": exhausted.links,
        "frames": exhausted.frames.len(),
        "bytes": exhausted.frames.iter().map(|frame| frame.size).sum::<usize>(),
        "cuts": exhausted.singles,
        "pairs": exhausted.pairs,
        "pairs_played": exhausted.pairs_played,
        "missed": exhausted.missed,
        "coverage": coverage,
        "violations": violations,
    })
}
