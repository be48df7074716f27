//! `sim plan`, `sim sweep`, `sim merge`: storms.

use std::{
    fs,
    io::IsTerminal,
    ops::Range,
    path::PathBuf,
    str::FromStr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use squall_sim::storm::{
    broken, generate,
    report::Report,
    sweep::{PATIENCE, Sweep},
};

use super::World;
use crate::{FAILED, PASSED, print};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sim sweep --seeds 0..10000                              on all cores
  sim sweep --seeds 0..1000000 --shard 1/8 --json 1.json  an eighth of a million; sim merge joins the parts
  sim sweep --seeds 0..1000 --regressions found           a script for each violation: sim run plays it again
  sim sweep --seeds 0..1000 --world turmoil               through the real drivers, judged by what passes the broker's edge
  sim sweep --broken                                      broken brokers, and after how many storms each is noticed
  sim plan 4711                                           the storm of a seed, as a script

Exit status: 0 everything held, 1 something did not, 2 it could not be swept.";

/// Seeds that each broken broker may take.
const BROKEN_SEEDS: u64 = 2_000;

#[derive(Args, Debug)]
pub(crate) struct PlanArguments {
    /// The seed: a whole number.
    #[arg(value_parser = seed)]
    seed: u64,
}

#[derive(Args, Debug)]
pub(crate) struct SweepArguments {
    /// The first seed, and the one behind the last.
    #[arg(long, value_name = "A..B", default_value = "0..1000")]
    seeds: Seeds,
    /// Where they are played: in turmoil through the real drivers, judged at the broker's edge.
    #[arg(long, value_enum, default_value_t = World::Events)]
    world: World,
    /// Threads. Left out: one for each core.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Only the i-th of n parts of the seeds.
    #[arg(long, value_name = "I/N", default_value = "1/1")]
    shard: Shard,
    /// Write the result as JSON: `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the smallest script that shows each violation into this folder.
    #[arg(long, value_name = "DIR")]
    regressions: Option<PathBuf>,
    /// How long one storm may take, in seconds: it takes milliseconds, and one that takes longer than this is a violation.
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE.as_secs(), value_parser = value_parser!(u64).range(1..))]
    patience: u64,
    /// Sweep brokers that are wrong in one thing each, until each is noticed: what a sweep is worth.
    #[arg(long, conflicts_with_all = ["world", "regressions", "shard", "json"])]
    broken: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MergeArguments {
    /// What `sim sweep --json` has written.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the sum as JSON: `-` is standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A seed is a whole number; says so where it is none.
fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a seed is a whole number from 0 to 18446744073709551615".to_owned())
}

/// `A..B`.
#[derive(Clone, Debug)]
struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("'{text}' is no range of seeds: expected the first and the one behind the last, as in 0..1000");
        let (from, to) = text.split_once("..").ok_or_else(wrong)?;
        let (from, to) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
        if from >= to {
            return Err(format!("'{text}' holds no seed"));
        }
        Ok(Seeds(from..to))
    }
}

/// `I/N`.
#[derive(Clone, Copy, Debug)]
struct Shard(u64, u64);

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no part: expected i/n with i from 1 to n, as in 1/8");
        let (part, parts) = text.split_once('/').ok_or_else(wrong)?;
        let (part, parts) = (part.parse().map_err(|_| wrong())?, parts.parse().map_err(|_| wrong())?);
        if part == 0 || part > parts {
            return Err(wrong());
        }
        Ok(Shard(part, parts))
    }
}

/// The storm of a seed.
pub(crate) fn plan(arguments: &PlanArguments) -> Result<u8, String> {
    print(&generate::plan(arguments.seed).to_script())?;
    Ok(PASSED)
}

/// Many storms.
pub(crate) fn sweep(arguments: &SweepArguments) -> Result<u8, String> {
    let jobs = arguments.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    if arguments.broken {
        return sweep_broken(jobs);
    }
    let shard = (arguments.shard.0, arguments.shard.1);
    let patience = Duration::from_secs(arguments.patience);
    let world = arguments.world.into();
    let sweep = Sweep { world, shard, jobs, patience, ..Sweep::of(arguments.seeds.0.clone()) };
    let count = (sweep.seeds.end - sweep.seeds.start).div_ceil(sweep.shard.1);
    let bar = bar(count);
    #[expect(clippy::disallowed_methods, reason = "how long the person has waited, not the world")]
    let began = Instant::now();
    let report = sweep.run(&mut |done, violations| {
        bar.set_position(done);
        if violations > 0 {
            bar.set_message(format!("{violations} violations"));
        }
    });
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let quiet = arguments.json.as_ref().is_some_and(|file| file.as_os_str() == "-");
    if !quiet {
        print(&report.to_string())?;
        print(&format!("  {:.0} storms a second with {jobs} threads\n", report.played as f64 / seconds))?;
    }
    write_json(&report, arguments.json.as_ref())?;
    if let Some(folder) = &arguments.regressions {
        write_regressions(&sweep, &report, folder)?;
    }
    Ok(if report.violations.is_empty() { PASSED } else { FAILED })
}

fn write_regressions(sweep: &Sweep, report: &Report, folder: &PathBuf) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    for violation in &report.violations {
        let Some(plan) = sweep.smallest(violation) else { continue };
        let name = violation.invariant.replace([' ', '/'], "_");
        let file = folder.join(format!("{name}_{}.yaml", violation.seed));
        fs::write(&file, plan.to_script()).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        print(&format!("  seed {}: {} steps, sim run {}\n", violation.seed, plan.steps.len(), file.display()))?;
    }
    Ok(())
}

/// Each broken broker and each broken client, until it is noticed.
fn sweep_broken(jobs: usize) -> Result<u8, String> {
    let mut missed = 0;
    let all = broken::everything();
    for (name, _, breaking) in &all {
        let broken = Some(Arc::clone(breaking));
        let sweep = Sweep { jobs, broken, first_only: true, ..Sweep::of(0..BROKEN_SEEDS) };
        let report = sweep.run(&mut |_, _| {});
        let line = match report.violations.first() {
            Some(found) => format!("{} {name:66} seed {:4}  {}\n", "✔".green(), found.seed, found.invariant),
            None => {
                missed += 1;
                format!("{} {name:66} not noticed in {BROKEN_SEEDS} storms\n", "✘".red())
            }
        };
        print(&line)?;
    }
    print(&format!("{} broken brokers and clients, {missed} not noticed\n", all.len()))?;
    Ok(if missed == 0 { PASSED } else { FAILED })
}

/// The sum of parts.
pub(crate) fn merge(arguments: &MergeArguments) -> Result<u8, String> {
    let mut whole: Option<Report> = None;
    for file in &arguments.files {
        let text = fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let part: Report = serde_json::from_str(&text)
            .map_err(|error| format!("{} is no result of a sweep: {error}", file.display()))?;
        match &mut whole {
            None => whole = Some(part),
            Some(whole) if whole.is_continued_by(&part) => whole.merge(part),
            Some(whole) if !whole.is_of_one_sweep_with(&part) => {
                return Err(format!(
                    "{} is of another version, of another world or of other seeds than the first part",
                    file.display()
                ));
            }
            Some(whole) if part.shards.iter().any(|shard| whole.shards.iter().any(|other| other.1 != shard.1)) => {
                return Err(format!("{} comes from a sweep that was cut in another way", file.display()));
            }
            Some(whole) if part.shards.iter().any(|shard| whole.shards.contains(shard)) => {
                return Err(format!("{} is a part that is there already", file.display()));
            }
            Some(whole) => whole.merge(part),
        }
    }
    let Some(whole) = whole else { return Err("there is nothing to merge".to_owned()) };
    if arguments.json.as_ref().is_none_or(|file| file.as_os_str() != "-") {
        print(&whole.to_string())?;
    }
    write_json(&whole, arguments.json.as_ref())?;
    let parts = whole.shards.iter().map(|(_, parts)| *parts).max().unwrap_or(1);
    let missing: Vec<String> = (1..=parts)
        .filter(|part| !whole.shards.contains(&(*part, parts)))
        .map(|part| format!("{part}/{parts}"))
        .collect();
    if !missing.is_empty() {
        return Err(format!("this is not the whole: missing is {}", missing.join(", ")));
    }
    Ok(if whole.violations.is_empty() { PASSED } else { FAILED })
}

fn write_json(report: &Report, file: Option<&PathBuf>) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())? + "\n";
    if file.as_os_str() == "-" {
        return print(&text);
    }
    fs::write(file, text).map_err(|error| format!("cannot write {}: {error}", file.display()))
}

fn bar(count: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} storms, {per_sec}, {eta} to go  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(count).with_style(style)
}
