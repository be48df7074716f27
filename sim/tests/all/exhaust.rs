//! Flows that are cut everywhere: how many places there are, that whole clients come through all of them, and that a broken broker does
//! not.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_codec::version::Version;
use squall_scenarios::{
    liar::{Direction, Liar, Lie},
    script::Script,
    transcript::What,
    verdict::Verdict,
};
use squall_sim::{
    exhaust::{ExhaustError, ExhaustOptions, Exhausted, MakeLiar, exhaust},
    story,
    world::VirtualWorld,
};

const JOBS: usize = 2;

fn flow(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scenarios/flows").join(name)
}

fn run(name: &str, version: Version, options: &ExhaustOptions) -> Result<Exhausted, ExhaustError> {
    let text = fs::read_to_string(flow(name)).expect("the flow can be read");
    let script = Rc::new(Script::parse(name, &text).expect("the flow is a script"));
    exhaust(&script, &text, version, options, &|_| {})
}

fn options() -> ExhaustOptions {
    ExhaustOptions { jobs: JOBS, ..ExhaustOptions::new(1) }
}

/// The sizes of all frames that clients send and receive in the flow as it stands.
fn frame_sizes(name: &str, version: Version) -> Vec<usize> {
    let script = Rc::new(Script::load(&flow(name)).expect("the flow is a script"));
    let run = story::play(VirtualWorld::Events, &script, version, 1);
    let size = |what: &What| match what {
        What::Sent { bytes, .. } | What::Received { bytes, .. } => Some(bytes.len()),
        _ => None,
    };
    run.transcript.entries().iter().filter_map(|entry| size(&entry.what)).collect()
}

fn holds(name: &str, version: Version, options: &ExhaustOptions) -> Exhausted {
    let exhausted = run(name, version, options).unwrap_or_else(|error| panic!("{error}"));
    if let Some(first) = exhausted.violations.first() {
        let cuts: Vec<String> = first.cuts.iter().map(ToString::to_string).collect();
        let (count, cuts) = (exhausted.violations.len(), cuts.join("; "));
        panic!(
            "{name} in {version}: {count} violations; cut {cuts}:\n{}\n\n{}",
            first.breaches.join("\n"),
            first.script
        );
    }
    exhausted
}

#[test]
fn a_qos_2_flow_holds_wherever_it_is_cut_and_is_cut_everywhere() {
    for version in [Version::V3_1_1, Version::V5_0] {
        let sizes = frame_sizes("qos_2.yaml", version);
        let exhausted = holds("qos_2.yaml", version, &options());
        // Before each frame, behind each of its bytes; FIN, RST and half-open.
        assert_eq!(exhausted.singles, sizes.iter().map(|size| 3 * (size + 1)).sum::<usize>(), "{version}");
        assert_eq!(exhausted.missed, 0, "each cut found its frame");
        for ((kind, direction), cell) in &exhausted.coverage {
            assert_eq!(cell.at_boundaries, 3 * 2 * cell.frames, "{kind} {direction}");
            assert_eq!(cell.within, 3 * (cell.bytes - cell.frames), "{kind} {direction}");
        }
        assert_eq!(exhausted.links, ["alice", "bob"]);
        assert!(exhausted.pairs > 10 * exhausted.singles, "{} pairs", exhausted.pairs);
    }
}

#[test]
fn pairs_of_cuts_are_drawn_by_the_seed_and_the_result_does_not_depend_on_the_jobs() {
    let pairs = |jobs| ExhaustOptions { pairs: 150, jobs, link: Some("alice".to_owned()), ..ExhaustOptions::new(3) };
    let one = holds("qos_2.yaml", Version::V5_0, &pairs(1));
    let other = holds("qos_2.yaml", Version::V5_0, &pairs(2));
    assert_eq!((one.pairs_played, one.links.len()), (150, 1));
    assert_eq!((one.pairs, one.missed, &one.coverage), (other.pairs, other.missed, &other.coverage));
    assert!(one.missed < 15, "{} of 150 second cuts found nothing", one.missed);
}

#[test]
fn the_other_flows_hold_wherever_they_are_cut() {
    for name in ["qos_1.yaml", "subscribe.yaml", "take_over.yaml", "will.yaml"] {
        holds(name, Version::V5_0, &options());
    }
}

/// What QoS 2 is about: it forgets which messages it has, and takes each repeat for a new one.
struct Forgetful;

const PUBLISH: u8 = 3;
const PUBREC: u8 = 5;
const PUBREL: u8 = 6;
const PUBCOMP: u8 = 7;
/// Far above the identifiers that a client takes.
const OFFSET: u16 = 30_000;

/// A frame whose packet identifier at this place is another one.
fn renumbered(raw: &Bytes, at: usize, change: impl Fn(u16) -> u16) -> Bytes {
    let mut frame = BytesMut::from(&raw[..]);
    let id = change(u16::from_be_bytes([raw[at], raw[at + 1]]));
    frame[at..at + 2].copy_from_slice(&id.to_be_bytes());
    frame.freeze()
}

impl Liar for Forgetful {
    fn frame(&mut self, _: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let (kind, is_repeat) = (raw[0] >> 4, raw[0] & 0x08 != 0 && raw[0] & 0x06 == 0x04);
        let frame = match direction {
            Direction::ToServer if kind == PUBLISH && is_repeat => {
                let id_at = 4 + usize::from(u16::from_be_bytes([raw[2], raw[3]]));
                renumbered(&raw, id_at, |id| id + OFFSET)
            }
            Direction::ToServer if kind == PUBREL => {
                out.push(Lie::Frame(connection, direction, renumbered(&raw, 2, |id| id + OFFSET)));
                raw
            }
            Direction::ToClient if kind == PUBREC || kind == PUBCOMP => {
                renumbered(&raw, 2, |id| if id > OFFSET { id - OFFSET } else { id })
            }
            _ => raw,
        };
        out.push(Lie::Frame(connection, direction, frame));
    }
}

/// It never answers a repeat.
struct Silent;

impl Liar for Silent {
    fn frame(&mut self, _: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        if direction == Direction::ToServer && raw[0] & 0xF8 == 0x38 {
            return;
        }
        out.push(Lie::Frame(connection, direction, raw));
    }
}

fn against(make: MakeLiar) -> Exhausted {
    let options = ExhaustOptions { liar: Some(make), link: Some("alice".to_owned()), ..options() };
    run("qos_2.yaml", Version::V3_1_1, &options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_broker_that_forgets_which_messages_it_has_is_caught() {
    let exhausted = against(Arc::new(|| Box::new(Forgetful)));
    let twice = exhausted.violations.iter().find(|violation| violation.breaches[0].contains("exactly once"));
    let twice = twice.unwrap_or_else(|| panic!("no message came twice: {:?}", exhausted.violations.first()));
    assert!(twice.breaches[0].contains("came 2 times"), "{:?}", twice.breaches);
    assert!(exhausted.violations.len() < exhausted.singles, "most cuts are harmless even so");
}

#[test]
fn a_broker_that_answers_no_repeat_is_caught() {
    let exhausted = against(Arc::new(|| Box::new(Silent)));
    let first = exhausted.violations.first().expect("it is caught");
    assert!(first.breaches.iter().any(|breach| breach.contains("never answered")), "{:?}", first.breaches);
}

#[test]
fn what_was_found_is_a_script_that_plays_it_again() {
    let exhausted = against(Arc::new(|| Box::new(Forgetful)));
    let found = exhausted.violations.first().expect("it is caught");
    let script = Rc::new(Script::parse("found.yaml", &found.script).expect("it is a script"));
    assert!(script.is_judged_by_invariants());
    // The honest broker holds, in both worlds: it is the same story.
    for world in VirtualWorld::ALL {
        let run = story::play(world, &script, Version::V3_1_1, 1);
        let played = run.outcome.expect("the play ends");
        assert_eq!(played.verdict, Verdict::Pass, "{world}: {}", played.reason);
        let is_cut = |what: &What| matches!(what, What::Fault { summary } if summary.starts_with("cut "));
        assert_eq!(run.transcript.entries().iter().filter(|entry| is_cut(&entry.what)).count(), 1, "{world}");
    }
}

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().expect("the program starts")
}

#[test]
fn the_program_tells_counts_and_coverage() {
    let folder = tempfile::tempdir().expect("a folder");
    let json = folder.path().join("result.json").display().to_string();
    let file = flow("qos_2.yaml").display().to_string();
    let output = sim(&["exhaust", &file, "--mqtt", "3.1.1", "--link", "bob", "--pairs", "20", "--json", &json]);
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{told}");
    for line in ["of bob", "20 of ", "PUBCOMP     to the server", "everything held"] {
        assert!(told.contains(line), "'{line}' is not in\n{told}");
    }
    let result: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&json).expect("it is written")).expect("it is JSON");
    assert_eq!(result["results"][0]["violations"], serde_json::json!([]));
    assert_eq!(result["results"][0]["pairs_played"], 20);
}

#[test]
fn what_cannot_be_cut_is_told_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        file.display().to_string()
    };
    let peers = write("peers.yaml", "title: t\nactors: { alice: peer }\nsteps:\n  - alice: { connect: {} }\n");
    let wrong = write(
        "wrong.yaml",
        "title: t\nactors: { alice: client }\nsteps:\n  - alice: { connect: { session_present: true } }\n",
    );
    let qos_2 = flow("qos_2.yaml").display().to_string();
    for (arguments, words) in [
        (vec!["exhaust", &peers], "no whole client"),
        (vec!["exhaust", &wrong], "does not hold in 3.1.1 before anything is cut"),
        (vec!["exhaust", &qos_2, "--link", "carol"], "'carol' is no whole client"),
        (vec!["exhaust", &qos_2, "--mqtt", "3.1"], "is not played in this version"),
        (vec!["exhaust", "no/such/file.yaml"], "cannot read"),
    ] {
        let output = sim(&arguments);
        let message = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(words) && message.lines().count() == 1, "{message}");
    }
}
