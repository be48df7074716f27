//! The command line.

pub(crate) mod diff;
pub(crate) mod show;
pub(crate) mod sweep;

use std::{env, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use squall_codec::version::Version;
use squall_sim::world::VirtualWorld;

const EXAMPLES: &str = "\
Examples:
  sim run scenarios/will/reset.yaml                  play it in both versions and draw what happened
  sim run scenarios/will/reset.yaml --mqtt 5.0       only in 5.0
  sim run scenarios --world both                     play all scripts in both worlds, one line each
  sim run FILE --mqtt 5.0 --json trace.jsonl         keep the trace, one JSON object a line
  sim show FILE --as html -o story.html              a page to turn through, of a script or a trace
  sim list                                           what scripts there are
  sim sweep --seeds 0..10000                         ten thousand storms, judged by a model of the server
  sim digests                                        one digest for each play: to compare machines and builds

Exit status: 0 all plays passed, 1 a play failed, 2 something could not be played.";

const EXHAUST_EXAMPLES: &str = "\
Examples:
  sim exhaust scenarios/flows/qos_2.yaml                   each byte, each kind of end, and 2,000 pairs
  sim exhaust scenarios/flows/qos_2.yaml --pairs 0         single cuts alone
  sim exhaust scenarios/flows/qos_2.yaml --link alice      only the connections of one client
  sim exhaust scenarios/flows/qos_2.yaml -o found          write a script for each violation: sim run plays it again

Exit status: 0 everything held, 1 something did not, 2 the flow cannot be cut.";

/// Plays MQTT stories in a simulated network: a real broker, real clients, virtual time.
#[derive(Debug, Parser)]
#[command(name = "sim", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plays scripts; one script is drawn as a sequence diagram, several give a line each.
    #[command(after_help = EXAMPLES)]
    Run(RunArguments),
    /// Lists scripts with their titles.
    List(ListArguments),
    /// Cuts the connections of a small flow everywhere, and judges whether its clients come through.
    #[command(after_help = EXHAUST_EXAMPLES)]
    Exhaust(ExhaustArguments),
    /// Prints a digest of what happened in each play, for comparing machines and builds.
    Digests(DigestsArguments),
    /// Draws a script or a trace: in the terminal, for Mermaid, as SVG, as a page of HTML.
    #[command(after_help = show::EXAMPLES)]
    Show(show::ShowArguments),
    /// Shows where two traces part.
    #[command(after_help = diff::EXAMPLES)]
    Diff(diff::DiffArguments),
    /// Prints the storm of a seed, as a script.
    Plan(sweep::PlanArguments),
    /// Plays the storms of many seeds, and cuts those that show a violation down to a page.
    #[command(after_help = sweep::EXAMPLES)]
    Sweep(sweep::SweepArguments),
    /// Joins what parts of a sweep have written.
    Merge(sweep::MergeArguments),
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Scripts, or folders of scripts.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The world to play in.
    #[arg(long, value_enum, default_value_t = Worlds::Events)]
    pub(crate) world: Worlds,
    /// Only this version: 3.1, 3.1.1 or 5.0. Otherwise each that the script is for.
    #[arg(long, value_name = "VERSION")]
    pub(crate) mqtt: Option<Version>,
    /// Everything random comes from it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Also print the digest of the transcript (xxh3-64 of its canonical JSON lines).
    #[arg(long)]
    pub(crate) digest: bool,
    /// Write the trace of the one play, a JSON object a line: `sim show` and `sim diff` read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Play everything twice, and show the first line in which the two differ: a play must not.
    #[arg(long)]
    pub(crate) doublecheck: bool,
    /// Draw nothing: one line for each play.
    #[arg(short, long, alias = "no-diagram")]
    pub(crate) quiet: bool,
}

impl RunArguments {
    /// One script is a story to look at, many are a test run.
    pub(crate) fn draws(&self, scripts: usize) -> bool {
        !self.quiet && scripts == 1
    }
}

#[derive(Args, Debug)]
pub(crate) struct ExhaustArguments {
    /// A small flow of whole clients that connect again by themselves.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only this version: 3.1, 3.1.1 or 5.0. Otherwise each that the flow is for.
    #[arg(long, value_name = "VERSION")]
    pub(crate) mqtt: Option<Version>,
    /// Cut only this client's connections. Otherwise those of all whole clients.
    #[arg(long, value_name = "NAME")]
    pub(crate) link: Option<String>,
    /// At most this many pairs of cuts, drawn from all there are; 0 for none.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    pub(crate) pairs: usize,
    /// Plays at once; as many as the machine has cores, if it is not said.
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Everything random comes from it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write a script for each violation here.
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Write the result as JSON here; - is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ListArguments {
    /// A folder of scripts.
    #[arg(value_name = "DIR", default_value = "scenarios")]
    pub(crate) folder: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct DigestsArguments {
    /// A folder of scripts.
    #[arg(value_name = "DIR", default_value = "scenarios")]
    pub(crate) folder: PathBuf,
    /// The world to play in.
    #[arg(long, value_enum, default_value_t = Worlds::Both)]
    pub(crate) world: Worlds,
    /// Everything random comes from it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Which worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Worlds {
    /// The discrete-event loop: skips idle time.
    Events,
    /// The real drivers in turmoil's network.
    Turmoil,
    /// One after the other.
    Both,
}

impl Worlds {
    pub(crate) const fn worlds(self) -> &'static [VirtualWorld] {
        match self {
            Worlds::Events => &[VirtualWorld::Events],
            Worlds::Turmoil => &[VirtualWorld::Turmoil],
            Worlds::Both => &VirtualWorld::ALL,
        }
    }
}

/// One world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum World {
    /// The discrete-event loop: skips idle time.
    Events,
    /// The real drivers in turmoil's network.
    Turmoil,
}

impl From<World> for VirtualWorld {
    fn from(world: World) -> Self {
        match world {
            World::Events => VirtualWorld::Events,
            World::Turmoil => VirtualWorld::Turmoil,
        }
    }
}

/// The width of the terminal: as the environment says, as it is, or 100 where there is none.
pub(crate) fn columns() -> usize {
    let asked = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let found = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    asked.or_else(found).unwrap_or(100)
}
