//! `conformance storm`: storms at a server, many at a time, and what they came to.

use std::{
    collections::BTreeMap,
    fs,
    io::{IsTerminal, Write},
    ops::Range,
    path::{Path, PathBuf},
    rc::Rc,
    str::FromStr,
    time::Duration,
};

use clap::{ArgGroup, Args};
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use serde::Serialize;
use squall_codec::version::Version;
use squall_conformance::{
    launch::launcher::Launcher,
    preflight::Subject,
    run::{Bounds, storm_namespace},
    setup::Setup,
    stop::Stop,
    stories::Place,
    storm::{self, Asked, Judged, Tally, asked, play},
    test::Isolation,
};
use squall_scenarios::{plan::Plan, script::Script, transcript::Transcript};
use squall_sim::{
    invariants::at_edge::Allowance,
    storm::{
        fit::{Fitted, fit},
        generate,
    },
    trace::{model::Trace, write::write},
};
use tokio::{task::JoinSet, time::sleep};

use super::{server::ServerArgs, signals, subject::in_real_time, trouble::Trouble};

/// So much later than one storm the next one begins.
const STAGGER: Duration = Duration::from_millis(60);

/// The shape of the JSON.
const SCHEMA: &str = "squall-conformance-storms/1";

const EXAMPLES: &str = "\
Examples:
  conformance storm --target localhost:1883 --seed 4711       the storm that `sim plan 4711` prints
  conformance storm --target localhost:1883 --seeds 0..500    many, fifty at a time
  conformance storm --launch mosquitto --seeds 0..50          at a broker that is started for it
  conformance storm --target localhost:1883 --plan small.yaml a storm from a file, as sim sweep --regressions writes them
  sim show storm-traces/storm-4711.jsonl --as html -o page.html     what a violation looks like

A storm takes 12 s, and after it as long as something is owed, at most 30 s. The clients of each have names and topics of their own.
Exit status: 0 everything held, 1 something did not, 2 it could not be played, 130 it was interrupted.";

/// Storms, and a server.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true).args(["target", "launch"])), after_help = EXAMPLES)]
#[command(group(ArgGroup::new("what").args(["seed", "seeds", "plan"])))]
pub(super) struct StormArgs {
    /// The storm of one seed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The first seed, and the one behind the last [default: 0..10]
    #[arg(long, value_name = "A..B")]
    seeds: Option<Seeds>,
    /// A storm from a file
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Storms at a time
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// How long an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    patience: u16,
    /// By how many seconds the server's own clocks may be late
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = clap::value_parser!(u16).range(0..=60))]
    tolerance: u16,
    /// Where the plan and the trace of each violation are written
    #[arg(long, value_name = "DIR", default_value = "storm-traces")]
    traces: PathBuf,
    /// Write JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// `A..B`.
#[derive(Clone, Debug)]
struct Seeds(Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        match numbers {
            Some((from, to)) if from < to => Ok(Seeds(from..to)),
            Some(_) => Err(format!("'{text}' holds no seed")),
            None => Err(format!("'{text}' is no range of seeds: the first and the one behind the last, as in 0..50")),
        }
    }
}

/// What became of all storms.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    target: String,
    identity: Option<String>,
    /// What the server does not offer.
    missing: Vec<String>,
    /// What was left out of the plans, over all storms.
    left_out: BTreeMap<String, u64>,
    storms: Vec<One>,
    /// How the server was no longer there at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<String>,
}

/// What became of one.
#[derive(Debug, Serialize)]
struct One {
    seed: u64,
    /// Equal for equal plans.
    plan: String,
    seconds: f64,
    #[serde(flatten)]
    tally: Tally,
    breaches: Vec<Wrong>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<String>,
}

#[derive(Debug, Serialize)]
struct Wrong {
    invariant: String,
    statements: Vec<&'static str>,
    at_s: f64,
    detail: String,
}

/// Plays, and tells; the exit status.
pub(super) fn run(args: &StormArgs) -> Result<u8, Trouble> {
    let plans = plans(args)?;
    let stop = Stop::default();
    signals::listen(&stop);
    let report = in_real_time(async {
        tokio::select! {
            biased;
            () = stop.left() => Err(Trouble::interrupted()),
            report = all(args, plans, &stop) => report,
        }
    })?;
    let mut out = anstream::stdout();
    if args.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| Trouble::new(error.to_string()))?;
        writeln!(out, "{text}")?;
    } else {
        tell(&mut out, &report)?;
    }
    if stop.is_asked() {
        return Ok(signals::INTERRUPTED);
    }
    if report.gone.is_none() && report.storms.iter().all(|storm| storm.tally.connections == 0) {
        return Err(Trouble::new(format!("{} let no client in: nothing was judged", report.target)));
    }
    Ok(u8::from(report.gone.is_some() || report.storms.iter().any(|storm| !storm.breaches.is_empty())))
}

fn plans(args: &StormArgs) -> Result<Vec<Plan>, Trouble> {
    if let Some(file) = &args.plan {
        let script = Script::load(file).map_err(|error| Trouble::new(error.to_string()))?;
        let plan = script.plan().ok_or_else(|| Trouble::new(format!("{} is no storm", file.display())))?;
        return Ok(vec![plan.clone()]);
    }
    let seeds = match (args.seed, &args.seeds) {
        (Some(seed), _) => return Ok(vec![generate::plan(seed)]),
        (None, Some(seeds)) => seeds.0.clone(),
        (None, None) => 0..10,
    };
    Ok(seeds.map(generate::plan).collect())
}

/// The server of all storms; what was launched ends with the second.
async fn subject(args: &StormArgs) -> Result<(Rc<Subject>, Option<Rc<Launcher>>), Trouble> {
    match args.server.place(&[Version::V3_1_1, Version::V5_0]).await? {
        Place::Named(subject) => Ok((subject, None)),
        Place::Launched(launcher) => {
            let instance = launcher.instance(Setup::Plain, Isolation::Shared).await.map_err(Trouble::new)?;
            Ok((Rc::new(instance.subject().clone()), Some(launcher)))
        }
    }
}

async fn all(args: &StormArgs, plans: Vec<Plan>, stop: &Stop) -> Result<Report, Trouble> {
    // What was launched ends with this.
    let (subject, launcher) = subject(args).await?;
    let patience = Duration::from_secs(args.patience.into());
    let Asked { offer, missing } =
        asked(&subject, Bounds { patience, ..Bounds::default() }).await.map_err(Trouble::new)?;
    let clock = Duration::from_secs(args.tolerance.into());
    let allowance = Allowance { answer: patience, clock, ..Allowance::default() };
    let mut report = Report {
        schema: SCHEMA,
        target: subject.target.to_string(),
        identity: subject.identity.clone(),
        missing,
        left_out: BTreeMap::new(),
        storms: Vec::new(),
        gone: None,
    };
    let bar = bar(plans.len());
    let mut waiting = plans.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut violations = 0_u64;
    loop {
        while running.len() < args.jobs.into()
            && !stop.is_asked()
            && let Some((number, plan)) = waiting.next()
        {
            let Fitted { plan, left_out } = fit(&plan, &offer);
            for what in left_out {
                *report.left_out.entry(what.what.to_owned()).or_default() += what.count;
            }
            let place =
                storm::Place { subject: Rc::clone(&subject), namespace: storm_namespace(number as u64), allowance };
            // Those that begin together would end and be judged together, and then nobody reads what has come.
            let wait = STAGGER * u32::try_from(number % usize::from(args.jobs)).unwrap_or(0);
            running.spawn_local(async move {
                sleep(wait).await;
                let (judged, transcript) = play(&plan, &place).await;
                (plan, judged, transcript)
            });
        }
        let ended = tokio::select! {
            biased;
            () = stop.asked() => break,
            ended = running.join_next() => ended,
        };
        let Some(ended) = ended else { break };
        let (plan, judged, transcript) =
            ended.map_err(|error| Trouble::new(format!("a storm could not be played: {error}")))?;
        let one = one(args, &plan, judged, &transcript)?;
        bar.inc(1);
        if !one.breaches.is_empty() {
            violations += 1;
            bar.set_message(format!("{violations} with violations"));
        }
        report.storms.push(one);
    }
    bar.finish_and_clear();
    report.storms.sort_by_key(|storm| storm.seed);
    report.gone = match launcher {
        None => subject.is_there().await.err(),
        Some(launcher) => launcher.trouble().await,
    };
    Ok(report)
}

fn one(args: &StormArgs, plan: &Plan, judged: Judged, transcript: &Transcript) -> Result<One, Trouble> {
    let script = plan.to_script();
    let Judged { breaches, topic_root, tally, elapsed, failed } = judged;
    if let Some(reason) = failed {
        return Err(Trouble::new(format!("storm {}: {reason}", plan.seed)));
    }
    let (mut trace, mut replay) = (None, None);
    if !breaches.is_empty() {
        let written = Trace::of_storm(plan, &topic_root, transcript, &breaches, elapsed);
        trace = Some(keep(&args.traces, plan.seed, &script, &write(&written))?);
        let server = args.server.words();
        replay = Some(match &args.plan {
            Some(file) => format!("conformance storm {server} --plan {}", file.display()),
            None => format!("conformance storm {server} --seed {}", plan.seed),
        });
    }
    let shown = |text: &str| text.replace(&topic_root, "");
    Ok(One {
        seed: plan.seed,
        plan: format!("{:016x}", squall_sim::seed::derive(0, &script, 0)),
        seconds: (elapsed.as_secs_f64() * 1_000.0).round() / 1_000.0,
        tally,
        breaches: breaches
            .iter()
            .map(|breach| Wrong {
                invariant: breach.invariant.to_string(),
                statements: breach.statements(),
                at_s: breach.at.as_secs_f64(),
                detail: shown(&breach.detail),
            })
            .collect(),
        trace,
        replay,
    })
}

/// Writes plan and trace; the trace's file.
fn keep(folder: &Path, seed: u64, script: &str, trace: &str) -> Result<PathBuf, Trouble> {
    let cannot = |path: &Path, error: std::io::Error| Trouble::new(format!("cannot write {}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| cannot(folder, error))?;
    let plan = folder.join(format!("storm-{seed}.yaml"));
    fs::write(&plan, script).map_err(|error| cannot(&plan, error))?;
    let file = folder.join(format!("storm-{seed}.jsonl"));
    fs::write(&file, trace).map_err(|error| cannot(&file, error))?;
    Ok(file)
}

/// Violations of one storm that are shown; its trace has all of them.
const SHOWN: usize = 4;

fn tell(out: &mut impl Write, report: &Report) -> Result<(), Trouble> {
    let identity = report.identity.as_deref().unwrap_or("it does not say what it is");
    writeln!(out, "{} ({identity})", report.target)?;
    for missing in &report.missing {
        writeln!(out, "  not asked for: {missing}")?;
    }
    for (what, count) in &report.left_out {
        writeln!(out, "  left out: {what} ({count})")?;
    }
    for storm in report.storms.iter().filter(|storm| !storm.breaches.is_empty()) {
        writeln!(out, "{} storm {}", "✘".red(), storm.seed)?;
        for wrong in storm.breaches.iter().take(SHOWN) {
            let Wrong { invariant, statements, at_s, detail } = wrong;
            let statements = match statements.as_slice() {
                [] => String::new(),
                statements => format!(" ({})", statements.join(", ")),
            };
            writeln!(out, "    {at_s:.3} s: {}: {detail}{statements}", invariant.bold())?;
        }
        if storm.breaches.len() > SHOWN {
            writeln!(out, "    and {} more", storm.breaches.len() - SHOWN)?;
        }
        if let (Some(trace), Some(replay)) = (&storm.trace, &storm.replay) {
            writeln!(out, "    look   sim show {}", trace.display())?;
            writeln!(out, "    again  {replay}")?;
        }
    }
    if let Some(gone) = &report.gone {
        writeln!(out, "{} the server did not outlive it: {gone}", "✘".red())?;
    }
    let sum = |of: fn(&Tally) -> usize| report.storms.iter().map(|storm| of(&storm.tally)).sum::<usize>();
    let broken = report.storms.iter().filter(|storm| !storm.breaches.is_empty()).count();
    let mark = if broken == 0 && report.gone.is_none() { "✔".green().to_string() } else { "✘".red().to_string() };
    writeln!(
        out,
        "{mark} {} storms, {broken} with violations: {} connections, {} messages ({} acknowledged), {} deliveries, {} of {} faults hit",
        report.storms.len(),
        sum(|tally| tally.connections),
        sum(|tally| tally.published),
        sum(|tally| tally.accepted),
        sum(|tally| tally.delivered),
        sum(|tally| tally.faults_hit),
        sum(|tally| tally.faults),
    )?;
    Ok(())
}

fn bar(count: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} storms  {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(count as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
