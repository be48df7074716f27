//! The same seed gives the same trace: twice in one process, and in two processes.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    rc::Rc,
};

use squall_scenarios::{files, script::Script};
use squall_sim::{story, world::VirtualWorld};

/// Whoever teaches with them and whoever reports a bug with them sees the same everywhere, and from one release to the next.
const CANONICAL: [&str; 10] = [
    "keep_alive/one_and_a_half.yaml",
    "message_expiry/remaining_time_is_forwarded.yaml",
    "ordering/what_waited_comes_before_what_is_new.yaml",
    "qos/2_pubrec_lost.yaml",
    "qos/lossy_network.yaml",
    "restart/power_loss_before_puback_arrives.yaml",
    "session/expires_after_its_interval.yaml",
    "shared/one_member_gets_each_message.yaml",
    "take_over/qos_2_before_pubrel.yaml",
    "will/half_open_until_keep_alive.yaml",
];

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn two_runs_in_one_process_write_the_same_transcript() {
    let mut compared = 0;
    for file in files::find(&folder("tests/stories")).expect("the stories can be read") {
        let script = Rc::new(Script::load(&file).expect("the story is a script"));
        for version in script.versions() {
            for world in VirtualWorld::ALL {
                for seed in [1, 2, 0xDEAD_BEEF] {
                    let run = || story::play(world, &script, *version, seed).transcript.json_lines();
                    let first = run();
                    assert_eq!(first, run(), "{} in {version}, {world}, seed {seed}", script.file());
                    assert!(!first.is_empty());
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 0);
}

#[test]
fn seeds_differ_where_something_is_random() {
    let file = folder("tests/stories/latency_varies.yaml");
    let script = Rc::new(Script::load(&file).expect("the story is a script"));
    for world in VirtualWorld::ALL {
        let digest = |seed| story::play(world, &script, script.versions()[0], seed).transcript.digest();
        assert_ne!(digest(1), digest(2), "{world}");
    }
}

/// The scripts of `../scenarios` are played in two processes by `tests/scenarios.rs`.
#[test]
fn two_processes_print_the_same_digests() {
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(["digests", "--world", "both"])
            .arg(folder("tests/stories"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    };
    let digests = |process: Child| {
        let output = process.wait_with_output().expect("the program ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("digests are text")
    };
    let (one, other) = (start(), start());
    let first = digests(one);
    assert_eq!(first, digests(other));
    assert!(first.lines().count() > 1, "{first}");
    assert!(first.lines().any(|line| line.contains("turmoil")), "{first}");
}

/// A changed digest is a changed trace: look at it with `sim diff` before the snapshot is renewed.
#[test]
fn the_canonical_scenarios_have_the_digests_that_are_committed() {
    let mut digests = String::new();
    for name in CANONICAL {
        let script = Rc::new(Script::load(&folder("../scenarios").join(name)).expect("the scenario is a script"));
        for version in script.versions() {
            for world in VirtualWorld::ALL {
                let digest = story::play(world, &script, *version, 1).transcript.digest();
                digests += &format!("{digest:016x}  {world:<8} {version:<6} {name}\n");
            }
        }
    }
    insta::assert_snapshot!("canonical_digests", digests);
}
