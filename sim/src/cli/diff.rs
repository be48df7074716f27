//! `sim diff`: where two traces part. And `sim run --doublecheck`, which asks it of one play.

use std::{path::PathBuf, rc::Rc};

use clap::Args;
use squall_codec::version::Version;
use squall_scenarios::{player::Played, script::Script};
use squall_sim::{
    run::Run,
    story,
    trace::{difference, model::Trace},
    world::VirtualWorld,
};

use super::show::{PlayArguments, trace_of};
use crate::{FAILED, PASSED, print};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sim diff monday.jsonl tuesday.jsonl                 two traces that were kept
  sim diff scenarios/qos/lossy_network.yaml@1 scenarios/qos/lossy_network.yaml@2     one script with two seeds
  sim diff kept.jsonl scenarios/will/reset.yaml       a trace and what happens today

Exit status: 0 the same happened, 1 they differ, 2 a file cannot be read or played.";

#[derive(Args, Debug)]
pub(crate) struct DiffArguments {
    /// A trace, or a script, which is played; `FILE@SEED` plays it with that seed.
    #[arg(value_name = "A")]
    a: String,
    /// The other.
    #[arg(value_name = "B")]
    b: String,
    #[command(flatten)]
    play: PlayArguments,
}

pub(crate) fn diff(arguments: &DiffArguments) -> Result<u8, String> {
    let side = |name: &str| {
        let (file, seed) = file_and_seed(name, arguments.play.seed);
        trace_of(&file, PlayArguments { seed, ..arguments.play })
    };
    let (a, b) = (side(&arguments.a)?, side(&arguments.b)?);
    match difference::first(&a, &b) {
        None => {
            print(&format!("the same happened in both: {} entries, digest {}\n", a.lines.len(), a.header.digest))?;
            Ok(PASSED)
        }
        Some(difference) => {
            print(&difference::draw(&a, &b, difference, [&arguments.a, &arguments.b]))?;
            Ok(FAILED)
        }
    }
}

/// A file that is there is itself, whatever its name.
fn file_and_seed(name: &str, seed: u64) -> (PathBuf, u64) {
    let whole = PathBuf::from(name);
    match name.rsplit_once('@') {
        Some((file, number)) if !whole.exists() => {
            number.parse().map_or((whole, seed), |seed| (PathBuf::from(file), seed))
        }
        _ => (whole, seed),
    }
}

/// Plays once more; where that differs, the two are shown. Whether they are the same.
pub(crate) fn doublecheck(
    script: &Rc<Script>,
    world: VirtualWorld,
    version: Version,
    seed: u64,
    run: &Run<Played>,
) -> Result<bool, String> {
    let again = story::play(world, script, version, seed);
    if again.transcript.digest() == run.transcript.digest() && again.outcome == run.outcome {
        return Ok(true);
    }
    let first = Trace::of(script, world, version, seed, run);
    let second = Trace::of(script, world, version, seed, &again);
    let words = match difference::first(&first, &second) {
        Some(difference) => difference::draw(&first, &second, difference, ["the first play", "the second play"]),
        None => format!(
            "the same happened in both plays, but they ended as {} and as {}\n",
            first.end.verdict, second.end.verdict
        ),
    };
    print(&format!("{} is not deterministic\n{words}", script.file()))?;
    Ok(false)
}
