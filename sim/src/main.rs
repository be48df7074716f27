//! `sim`: plays scripts in the virtual worlds and shows what happened.

mod cli;
mod exhausting;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{self, ExitCode},
    rc::Rc,
    time::Instant,
};

use anstream::eprintln;
use clap::Parser;
use owo_colors::OwoColorize;
use squall_codec::version::Version;
use squall_scenarios::{files, player::Played, script::Script, verdict::Verdict};
use squall_sim::{
    diagram,
    run::Run,
    story,
    trace::{model::Trace, write},
    turmoil,
    world::VirtualWorld,
};

use self::cli::{Cli, Command, DigestsArguments, ListArguments, RunArguments};

/// All played as told.
const PASSED: u8 = 0;
/// A script was not borne out.
const FAILED: u8 = 1;
/// Something could not be played at all.
const CANNOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let status = match Cli::parse().command {
        Command::Run(arguments) => run(&arguments),
        Command::List(arguments) => list(&arguments),
        Command::Digests(arguments) => digests(&arguments),
        Command::Exhaust(arguments) => exhausting::run(&arguments),
        Command::Show(arguments) => cli::show::show(&arguments),
        Command::Diff(arguments) => cli::diff::diff(&arguments),
        Command::Plan(arguments) => cli::sweep::plan(&arguments),
        Command::Sweep(arguments) => cli::sweep::sweep(&arguments),
        Command::Merge(arguments) => cli::sweep::merge(&arguments),
    };
    ExitCode::from(status.unwrap_or_else(|message| {
        eprintln!("{} {message}", "error:".red().bold());
        CANNOT_RUN
    }))
}

/// One play to come.
struct Planned {
    script: Rc<Script>,
    version: Version,
    world: VirtualWorld,
}

fn run(arguments: &RunArguments) -> Result<u8, String> {
    let scripts = load(&arguments.files)?;
    let plan = plan(&scripts, arguments.mqtt, arguments.world.worlds());
    if plan.is_empty() {
        return Err("none of the scripts is played in this version".to_owned());
    }
    if arguments.json.is_some() && plan.len() != 1 {
        let count = plan.len();
        return Err(format!(
            "--json writes the trace of one play, and this is {count}: choose with --mqtt and --world"
        ));
    }
    let draws = arguments.draws(scripts.len());
    #[expect(clippy::disallowed_methods, reason = "how long the person has waited, not the world")]
    let began = Instant::now();
    let mut tally = Tally::default();
    let mut differ = 0;
    for planned @ Planned { script, version, world } in &plan {
        let run = story::play(*world, script, *version, arguments.seed);
        if arguments.doublecheck && !cli::diff::doublecheck(script, *world, *version, arguments.seed, &run)? {
            differ += 1;
        }
        let verdict = verdict(&run);
        tally.count(verdict);
        // In both worlds the same happens: once is enough to look at, unless something went wrong.
        let is_first = *world == arguments.world.worlds()[0];
        if (draws && is_first) || (verdict == Verdict::Fail && !arguments.quiet) {
            let trace = Trace::of(script, *world, *version, arguments.seed, &run);
            print(&diagram::draw(&trace, cli::columns()))?;
            if arguments.digest {
                print(&format!("  digest {:016x}\n", run.transcript.digest()))?;
            }
            print("\n")?;
        } else {
            let digest = arguments.digest.then(|| run.transcript.digest());
            print(&line(planned, &run, digest))?;
        }
        if let Some(file) = &arguments.json {
            let trace = Trace::of(script, *world, *version, arguments.seed, &run);
            fs::write(file, write::write(&trace))
                .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
    }
    if differ > 0 {
        print(&format!("{differ} of {} plays are not deterministic\n", plan.len()))?;
        return Ok(FAILED);
    }
    if plan.len() > 1 {
        print(&format!("{} in {:.1} s\n", tally.words(), began.elapsed().as_secs_f64()))?;
    }
    Ok(if tally.failed > 0 { FAILED } else { PASSED })
}

fn list(arguments: &ListArguments) -> Result<u8, String> {
    for script in load(std::slice::from_ref(&arguments.folder))? {
        let versions: Vec<String> = script.versions().iter().map(ToString::to_string).collect();
        let versions = format!("({})", versions.join(", "));
        print(&format!("{}  {}\n    {}\n", script.file(), versions.dimmed(), script.title()))?;
    }
    Ok(PASSED)
}

/// One line for each play, the same on every machine and in every build profile.
fn digests(arguments: &DigestsArguments) -> Result<u8, String> {
    let scripts = load(std::slice::from_ref(&arguments.folder))?;
    for Planned { script, version, world } in plan(&scripts, None, arguments.world.worlds()) {
        let run = story::play(world, &script, version, arguments.seed);
        let digest = run.transcript.digest();
        let (version, verdict) = (version.to_string(), verdict(&run));
        print(&format!("{digest:016x}  {world:7}  {version:5}  {verdict:11}  {}\n", script.file()))?;
    }
    Ok(PASSED)
}

/// Reads all scripts of these files and folders.
fn load(paths: &[PathBuf]) -> Result<Vec<Rc<Script>>, String> {
    let mut scripts = Vec::new();
    for path in paths {
        let files = files::find(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        if files.is_empty() {
            return Err(format!("there is no script (*.yaml) in {}", path.display()));
        }
        for file in files {
            scripts.push(Rc::new(load_one(&file)?));
        }
    }
    Ok(scripts)
}

fn load_one(file: &Path) -> Result<Script, String> {
    Script::load(file).map_err(|error| error.to_string())
}

fn plan(scripts: &[Rc<Script>], only: Option<Version>, worlds: &[VirtualWorld]) -> Vec<Planned> {
    let mut plan = Vec::new();
    for script in scripts {
        for version in script.versions() {
            if only.is_none_or(|only| only == *version) {
                plan.extend(worlds.iter().map(|world| Planned {
                    script: Rc::clone(script),
                    version: *version,
                    world: *world,
                }));
            }
        }
    }
    plan
}

/// A play that could not end is a failure too.
fn verdict(run: &Run<Played>) -> Verdict {
    run.outcome.as_ref().map_or(Verdict::Fail, |played| played.verdict)
}

/// One play in one line.
fn line(planned: &Planned, run: &Run<Played>, digest: Option<u64>) -> String {
    let verdict = verdict(run);
    let mark = match verdict {
        Verdict::Pass => "✔".green().to_string(),
        Verdict::Unsupported | Verdict::Untested => "–".dimmed().to_string(),
        _ => "✘".red().to_string(),
    };
    let what = format!("{:7}  {:5}  {}", planned.world, planned.version.to_string(), planned.script.file());
    let reason = match &run.outcome {
        Ok(played) if played.reason.is_empty() => left_out(planned),
        Ok(played) => format!("  {}: {}", played.verdict, played.reason),
        Err(error) => format!("  {error}"),
    };
    let digest = digest.map_or_else(String::new, |digest| format!("{digest:016x}  "));
    format!("{mark} {digest}{what}{}\n", reason.dimmed())
}

/// What of a storm is not played in turmoil: a pass there says nothing of it.
fn left_out(planned: &Planned) -> String {
    let plan = planned.script.plan().filter(|_| planned.world == VirtualWorld::Turmoil);
    let left_out = plan.map_or_else(Vec::new, |plan| turmoil::storm::fitted(plan).left_out);
    let words: Vec<&str> = left_out.iter().map(|left_out| left_out.what).collect();
    if words.is_empty() { String::new() } else { format!("  without {}", words.join(", ")) }
}

/// Writes to standard output, without colours where it is no terminal. A reader who has gone away ends the program.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => process::exit(PASSED.into()),
        outcome => outcome.map_err(|error| format!("cannot write to standard output: {error}")),
    }
}

/// How many plays ended how.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    unsupported: usize,
}

impl Tally {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Pass | Verdict::Warn => self.passed += 1,
            Verdict::Unsupported | Verdict::Untested => self.unsupported += 1,
            Verdict::Fail | Verdict::Inconclusive => self.failed += 1,
        }
    }

    fn words(&self) -> String {
        let Tally { passed, failed, unsupported } = self;
        let failed = match failed {
            0 => "0 failed".to_owned(),
            _ => format!("{failed} failed").red().bold().to_string(),
        };
        let mut words = format!("{passed} passed, {failed}");
        if *unsupported > 0 {
            words += &format!(", {unsupported} unsupported in their world");
        }
        words
    }
}
