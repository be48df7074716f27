//! `conformance scenarios`: stories at a server.

use std::{io::Write, path::PathBuf, rc::Rc, time::Duration};

use clap::{ArgGroup, Args};
use squall_codec::version::Version;
use squall_conformance::{
    report::human::transcript_line,
    stop::Stop,
    stories::{Told, play},
};
use squall_scenarios::{files::find, script::Script, verdict::Verdict};

use super::{server::ServerArgs, signals, subject::in_real_time, trouble::Trouble};

/// Stories, and a server.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true).args(["target", "launch"])))]
pub(super) struct ScenariosArgs {
    /// Scripts, or folders of scripts
    #[arg(value_name = "FILE", default_value = "scenarios")]
    files: Vec<PathBuf>,
    /// Versions to speak, repeatable [default: each that a story is for]
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    mqtt: Vec<Version>,
    /// How long an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    patience: u16,
    #[command(flatten)]
    server: ServerArgs,
}

/// Plays, and tells; the exit status.
pub(super) fn run(out: &mut impl Write, args: &ScenariosArgs) -> Result<u8, Trouble> {
    let mut scripts = Vec::new();
    for path in &args.files {
        let found = find(path).map_err(|error| Trouble::new(format!("cannot read {}: {error}", path.display())))?;
        for file in found {
            scripts.push(Rc::new(Script::load(&file).map_err(|error| Trouble::new(error.to_string()))?));
        }
    }
    if scripts.is_empty() {
        return Err(Trouble::new("there is no script (*.yaml) to play"));
    }
    let versions = if args.mqtt.is_empty() { Version::ALL.to_vec() } else { args.mqtt.clone() };
    let mut counts = [0_usize; 4];
    let stop = Stop::default();
    signals::listen(&stop);
    in_real_time(async {
        let told = |told: Told| {
            let played = &told.played;
            match played.verdict {
                Verdict::Pass | Verdict::Warn => counts[0] += 1,
                Verdict::Unsupported | Verdict::Untested => counts[1] += 1,
                Verdict::Fail => counts[2] += 1,
                Verdict::Inconclusive => counts[3] += 1,
            }
            match played.verdict {
                Verdict::Unsupported => {
                    writeln!(out, "skipped  {} in {}: {}", played.file, played.version, played.reason)
                }
                Verdict::Fail | Verdict::Inconclusive => {
                    writeln!(out, "{played}")?;
                    told.transcript.iter().try_for_each(|line| writeln!(out, "{}", transcript_line(line)))
                }
                _ => writeln!(out, "pass     {} in {}", played.file, played.version),
            }
        };
        let patience = Duration::from_secs(args.patience.into());
        tokio::select! {
            biased;
            () = stop.asked() => Err(Trouble::interrupted()),
            played = async {
                let place = args.server.place(&versions).await?;
                Ok(play(&place, scripts, &versions, patience, told).await?)
            } => played,
        }
    })?;
    let [passed, skipped, failed, open] = counts;
    let all: usize = counts.iter().sum();
    writeln!(out, "{all} plays: {passed} passed, {failed} failed, {open} inconclusive, {skipped} skipped")?;
    Ok(u8::from(failed + open > 0))
}
