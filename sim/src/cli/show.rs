//! `sim show`: draws a play, from a script or from a trace.

use std::{fs, path::PathBuf, rc::Rc};

use clap::{Args, ValueEnum};
use squall_codec::version::Version;
use squall_scenarios::script::Script;
use squall_sim::{
    diagram,
    show::{html, mermaid, svg},
    story,
    trace::{model::Trace, read},
    world::VirtualWorld,
};

use super::{World, columns};
use crate::{PASSED, print};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sim show scenarios/qos/1_puback_lost.yaml                             in the terminal
  sim show scenarios/qos/1_puback_lost.yaml --as html -o lost.html      a page to turn through, one file
  sim show trace.jsonl --as svg -o trace.svg                            from a trace that was kept
  sim show scenarios/will/delay.yaml --mqtt 5.0 --as mermaid            text for Mermaid

Exit status: 0 it was drawn, 2 the file cannot be read or played.";

#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// A script, which is played, or a trace that `sim run --json` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The form of the picture.
    #[arg(long = "as", value_enum, default_value_t = Form::Terminal)]
    form: Form,
    /// Write the picture into this file.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    play: PlayArguments,
}

/// How a script is played that stands where a trace could stand.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct PlayArguments {
    /// The world in which a script is played.
    #[arg(long, value_enum, default_value_t = World::Events)]
    pub(crate) world: World,
    /// The version in which a script is played: 3.1, 3.1.1 or 5.0. Otherwise the latest that it is for.
    #[arg(long, value_name = "VERSION")]
    pub(crate) mqtt: Option<Version>,
    /// Everything random in it comes from this.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// The forms of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Lanes and arrows of characters.
    Terminal,
    /// Text for Mermaid.
    Mermaid,
    /// A drawing that stands alone.
    Svg,
    /// A page to turn through that stands alone.
    Html,
}

pub(crate) fn show(arguments: &ShowArguments) -> Result<u8, String> {
    let trace = trace_of(&arguments.file, arguments.play)?;
    let picture = match arguments.form {
        Form::Terminal => diagram::draw(&trace, columns()),
        Form::Mermaid => mermaid::draw(&trace),
        Form::Svg => svg::draw(&trace),
        Form::Html => html::draw(&trace),
    };
    match &arguments.output {
        None => print(&picture)?,
        Some(file) => {
            let picture = match arguments.form {
                Form::Terminal => anstream::adapter::strip_str(&picture).to_string(),
                _ => picture,
            };
            fs::write(file, picture).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
        }
    }
    Ok(PASSED)
}

/// Reads a trace, or plays a script.
pub(crate) fn trace_of(file: &PathBuf, play: PlayArguments) -> Result<Trace, String> {
    let beginning = fs::read(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    let beginning = String::from_utf8_lossy(&beginning[..beginning.len().min(256)]).into_owned();
    if read::looks_like_one(&beginning) {
        return read::load(file).map_err(|error| error.to_string());
    }
    let script = Rc::new(Script::load(file).map_err(|error| error.to_string())?);
    let version = version_of(&script, play.mqtt)?;
    let world = VirtualWorld::from(play.world);
    let run = story::play(world, &script, version, play.seed);
    Ok(Trace::of(&script, world, version, play.seed, &run))
}

fn version_of(script: &Script, asked: Option<Version>) -> Result<Version, String> {
    let versions = script.versions();
    let Some(asked) = asked else {
        return versions.iter().max().copied().ok_or_else(|| format!("{} is for no version", script.file()));
    };
    if versions.contains(&asked) {
        return Ok(asked);
    }
    let known: Vec<String> = versions.iter().map(ToString::to_string).collect();
    Err(format!("{} is not played in {asked}, but in {}", script.file(), known.join(", ")))
}
