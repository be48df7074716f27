//! `conformance scenarios`: stories at a server.

use std::{io::Write, path::PathBuf, rc::Rc, time::Duration};

use clap::{ArgGroup, Args};
use squall_codec::version::Version;
use squall_conformance::{
    launch::{built_in, launcher::Launcher},
    preflight::probe,
    report::human::transcript_line,
    stop::Stop,
    stories::{Place, Told, play},
    target::Target,
};
use squall_scenarios::{files::find, script::Script, verdict::Verdict};

use super::{access::AccessArgs, signals, subject::in_real_time, trouble::Trouble};

/// Stories, and a server.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true).args(["target", "launch"])))]
pub(super) struct ScenariosArgs {
    /// Scripts, or folders of scripts
    #[arg(value_name = "FILE", default_value = "scenarios")]
    files: Vec<PathBuf>,
    /// The server: HOST:PORT, tcp://, tls://, ws:// or wss://
    #[arg(long, value_name = "URL")]
    target: Option<Target>,
    /// Start the broker of this profile, and restart it where a story does
    #[arg(long, value_name = "NAME|FILE")]
    launch: Option<String>,
    #[command(flatten)]
    access: AccessArgs,
    /// Versions to speak, repeatable [default: each that a story is for]
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    mqtt: Vec<Version>,
    /// How long an answer may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=60))]
    patience: u16,
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
    let mut counts = [0_usize; 3];
    let stop = Stop::default();
    signals::listen(&stop);
    in_real_time(async {
        let told = |told: Told| {
            let played = &told.played;
            match played.verdict {
                Verdict::Pass | Verdict::Warn => counts[0] += 1,
                Verdict::Unsupported | Verdict::Untested => counts[1] += 1,
                Verdict::Fail | Verdict::Inconclusive => counts[2] += 1,
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
                let place = place(args, &versions).await?;
                Ok(play(&place, scripts, &versions, patience, told).await?)
            } => played,
        }
    })?;
    let [passed, skipped, failed] = counts;
    writeln!(out, "{} plays: {passed} passed, {failed} failed, {skipped} skipped", passed + skipped + failed)?;
    Ok(u8::from(failed > 0))
}

async fn place(args: &ScenariosArgs, versions: &[Version]) -> Result<Place, Trouble> {
    match (&args.launch, &args.target) {
        (Some(name), _) => {
            let profile = built_in::find(name).map_err(Trouble::new)?;
            Ok(Place::Launched(Rc::new(Launcher::new(&profile, versions).map_err(Trouble::new)?)))
        }
        (None, Some(target)) => {
            let access = args.access.at(target).map_err(Trouble::new)?;
            let subject = probe(target, &access, versions).await.map_err(|error| Trouble::new(error.to_string()))?;
            Ok(Place::Named(Rc::new(subject)))
        }
        (None, None) => Err(Trouble::new("no server was named")),
    }
}
