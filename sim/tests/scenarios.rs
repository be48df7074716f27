//! Every script of the project, in each of its versions, in both virtual worlds: one named trial each.
//!
//! A trial passes when every world that offers what the script needs says `pass`, and when they have seen the same packets
//! on the same connections, each way in the same order. (How the two ways interleave within a moment is left open: a
//! driver may read two packets before it answers the first.) A storm waits for nobody and is another one wherever the broker
//! cannot be made to suffer: each world judges its own. And another process has to see in each world, byte for byte, what this
//! one sees.

use std::{
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
    sync::{Arc, OnceLock},
};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use squall_codec::version::Version;
use squall_scenarios::{
    files,
    liar::Direction,
    script::Script,
    transcript::{PacketLine, Transcript},
    verdict::Verdict,
};
use squall_sim::{diagram, story, trace::model::Trace, world::VirtualWorld};

const SEED: u64 = 1;

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = files::find(&folder).expect("the folder of scripts can be read");
    let mut trials: Vec<Trial> = files.iter().flat_map(|file| trials_of(&folder, file)).collect();
    if trials.is_empty() {
        let message = format!("there is no script in {}", folder.display());
        trials.push(Trial::test("there are scripts", move || Err(message.into())));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn trials_of(folder: &Path, file: &Path) -> Vec<Trial> {
    let name = file.strip_prefix(folder).unwrap_or(file).display().to_string();
    match Script::load(file) {
        Err(error) => vec![Trial::test(name, move || Err(error.to_string().into()))],
        Ok(script) => {
            let elsewhere = Arc::new(Elsewhere { file: file.to_owned(), told: OnceLock::new() });
            let trial = |version: &Version| {
                let (elsewhere, version) = (Arc::clone(&elsewhere), *version);
                Trial::ignorable_test(format!("{name} in {version}"), move || play(&elsewhere, version))
            };
            script.versions().iter().map(trial).collect()
        }
    }
}

/// Another process that plays a script, in all its versions.
struct Elsewhere {
    file: PathBuf,
    /// The digests that it printed, or what it said instead.
    told: OnceLock<Result<String, String>>,
}

impl Elsewhere {
    fn told(&self) -> Result<&str, &String> {
        let told = self.told.get_or_init(|| {
            let mut program = Command::new(env!("CARGO_BIN_EXE_sim"));
            program.args(["digests", "--world", "both", "--seed", &SEED.to_string()]).arg(&self.file);
            let output = program.output().map_err(|error| error.to_string())?;
            if output.status.success() {
                String::from_utf8(output.stdout).map_err(|error| error.to_string())
            } else {
                Err(String::from_utf8_lossy(&output.stderr).into_owned())
            }
        });
        told.as_deref()
    }

    /// It has seen the same play.
    fn saw(&self, world: VirtualWorld, version: Version, transcript: &Transcript) -> Result<(), Failed> {
        let (version, digest) = (version.to_string(), format!("{:016x}", transcript.digest()));
        let told = self.told()?;
        let digests = told.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>());
        if digests.into_iter().any(|words| words == [&*digest, &*world.to_string(), &*version]) {
            return Ok(());
        }
        Err(format!("{world}, {version}: the digest here is {digest}, and in another process\n{told}").into())
    }
}

fn play(elsewhere: &Elsewhere, version: Version) -> Result<Completion, Failed> {
    let file = &elsewhere.file;
    let script = Rc::new(Script::load(file).map_err(|error| error.to_string())?);
    let mut played: Vec<(VirtualWorld, Transcript)> = Vec::new();
    let mut reasons = Vec::new();
    for world in VirtualWorld::ALL {
        let run = story::play(world, &script, version, SEED);
        elsewhere.saw(world, version, &run.transcript)?;
        match &run.outcome {
            Ok(outcome) if outcome.verdict == Verdict::Pass => played.push((world, run.transcript)),
            Ok(outcome) if outcome.verdict == Verdict::Unsupported => reasons.push(outcome.reason.clone()),
            _ => {
                let drawn = diagram::draw(&Trace::of(&script, world, version, SEED, &run), 120);
                return Err(anstream::adapter::strip_str(&drawn).to_string().into());
            }
        }
    }
    if played.is_empty() {
        return Ok(Completion::ignored_with(reasons.join("; ")));
    }
    if script.plan().is_some() {
        return Ok(Completion::Completed);
    }
    for pair in played.windows(2) {
        same_packets(&pair[0], &pair[1])?;
    }
    Ok(Completion::Completed)
}

/// The worlds have seen the same packets in the same order on each connection.
fn same_packets(one: &(VirtualWorld, Transcript), other: &(VirtualWorld, Transcript)) -> Result<(), Failed> {
    let ((one_world, one), (other_world, other)) = (one, other);
    let connections = |transcript: &Transcript| {
        let mut connections = transcript.connections();
        connections.sort();
        connections
    };
    if connections(one) != connections(other) {
        let (one, other) = (connections(one), connections(other));
        return Err(format!("the connections differ\n{one_world}: {one:?}\n{other_world}: {other:?}").into());
    }
    for (actor, connection) in connections(one) {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let packets = |transcript: &Transcript| {
                let mut packets = transcript.packets_of(&actor, connection);
                packets.retain(|packet| packet.direction == direction);
                packets
            };
            let (one, other) = (packets(one), packets(other));
            if one != other {
                let show = |packets: &[PacketLine]| {
                    packets.iter().map(|packet| format!("  {}\n", packet.summary)).collect::<String>()
                };
                let (one, other) = (show(&one), show(&other));
                return Err(format!(
                    "the packets of {actor}, connection {connection}, {direction} differ\n\
                     {one_world}:\n{one}{other_world}:\n{other}"
                )
                .into());
            }
        }
    }
    Ok(())
}
