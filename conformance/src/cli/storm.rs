//! `conformance storm`: storms at a server, many at a time.

mod report;

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
use squall_codec::version::Version;
use squall_conformance::{
    launch::launcher::Launcher,
    preflight::Subject,
    run::{Bounds, storm_namespace},
    setup::Setup,
    stop::Stop,
    stories::Place,
    storm::{self, Asked, Judged, asked, play, server_of_its_own},
    test::Isolation,
};
use squall_scenarios::{
    plan::{Act, Plan},
    script::Script,
    transcript::Transcript,
};
use squall_sim::{
    invariants::at_edge::Allowance,
    storm::{
        fit::{Fitted, fit},
        generate,
    },
    trace::{model::Trace, write::write},
};
use tokio::{task::JoinSet, time::sleep};

use self::report::{One, Report, SCHEMA, Unplayed, Wrong};
use super::{server::ServerArgs, signals, subject::in_real_time, trouble::Trouble};

/// So much later than one storm the next one begins.
const STAGGER: Duration = Duration::from_millis(60);

const EXAMPLES: &str = "\
Examples:
  conformance storm --target localhost:1883 --seed 4711       the storm that `sim plan 4711` prints
  conformance storm --target localhost:1883 --seeds 0..500    many, fifty at a time
  conformance storm --launch mosquitto --seeds 0..50          at a broker that is started for it
  conformance storm --target localhost:1883 --plan small.yaml a storm from a file, as sim sweep --regressions writes them
  sim show storm-traces/storm-4711.jsonl --as html -o page.html     what a violation looks like

A storm takes 12 s, and after it as long as something is owed, at most 30 s. The clients of each have names and topics of their own.
A server that is launched is restarted too, in a storm that has it to itself, and killed if a session outlives that.
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
        report.tell(&mut out)?;
    }
    if stop.is_asked() {
        return Ok(signals::INTERRUPTED);
    }
    report.status()
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
    let bounds = Bounds { patience, ..Bounds::default() };
    let Asked { mut offer, mut missing } = asked(&subject, bounds).await.map_err(Trouble::new)?;
    if let Some(launcher) = &launcher
        && plans.iter().any(takes_it_down)
    {
        match storm::outages(launcher, &offer.versions, bounds).await {
            Ok(outages) => offer.outages = outages,
            Err(reason) => missing.push(format!("outages: {reason}")),
        }
    }
    let clock = Duration::from_secs(args.tolerance.into());
    let allowance = Allowance { answer: patience, clock, ..Allowance::default() };
    let mut report = Report {
        schema: SCHEMA,
        target: subject.target.to_string(),
        identity: subject.identity.clone(),
        missing,
        left_out: BTreeMap::new(),
        storms: Vec::new(),
        unplayed: Vec::new(),
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
            let (subject, launcher) = (Rc::clone(&subject), launcher.clone());
            // Those that begin together would end and be judged together, and then nobody reads what has come.
            let wait = STAGGER * u32::try_from(number % usize::from(args.jobs)).unwrap_or(0);
            running.spawn_local(async move {
                sleep(wait).await;
                let place =
                    storm::Place { subject, instance: None, namespace: storm_namespace(number as u64), allowance };
                let played = match launcher.filter(|_| takes_it_down(&plan)) {
                    None => Ok(play(&plan, &place).await),
                    Some(launcher) => at_a_server_of_its_own(&plan, place, &launcher).await,
                };
                (plan, played)
            });
        }
        let ended = tokio::select! {
            biased;
            () = stop.asked() => break,
            ended = running.join_next() => ended,
        };
        let Some(ended) = ended else { break };
        let (plan, played) = ended.map_err(|error| Trouble::new(format!("a storm could not be played: {error}")))?;
        bar.inc(1);
        let (judged, transcript) = match played {
            Ok((Judged { failed: Some(reason), .. }, _)) | Err(reason) => {
                report.unplayed.push(Unplayed { seed: plan.seed, reason });
                continue;
            }
            Ok(played) => played,
        };
        let one = one(args, &plan, judged, &transcript)?;
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

/// Plays a plan at a server that is launched for it and may be taken down.
async fn at_a_server_of_its_own(
    plan: &Plan,
    place: storm::Place,
    launcher: &Launcher,
) -> Result<(Judged, Transcript), String> {
    let instance = server_of_its_own(launcher).await?;
    let subject = Rc::new(instance.subject().clone());
    let played = play(plan, &storm::Place { subject, instance: Some(Rc::clone(&instance)), ..place }).await;
    if played.0.failed.is_none() {
        launcher.look_after(&instance).await;
    }
    Ok(played)
}

fn takes_it_down(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.act, Act::Outage(_)))
}

fn one(args: &StormArgs, plan: &Plan, judged: Judged, transcript: &Transcript) -> Result<One, Trouble> {
    let script = plan.to_script();
    let Judged { breaches, topic_root, tally, elapsed, .. } = judged;
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
