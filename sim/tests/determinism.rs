//! The same seed gives the same trace: twice in one process, and in two processes.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    rc::Rc,
};

use squall_scenarios::{files, script::Script};
use squall_sim::{story, world::VirtualWorld};

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

#[test]
fn two_processes_print_the_same_digests() {
    for scripts in ["tests/stories", "../scenarios"] {
        let start = || {
            Command::new(env!("CARGO_BIN_EXE_sim"))
                .args(["digests", "--world", "both"])
                .arg(folder(scripts))
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
}
