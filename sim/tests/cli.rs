//! The program as a person meets it: exit statuses, messages, files.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

fn story(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stories").join(name)
}

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).args(arguments).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program writes text")
}

fn will() -> String {
    story("a_will_speaks_after_a_reset.yaml").display().to_string()
}

#[test]
fn a_story_that_holds_is_drawn_and_passes() {
    let output = sim(&["run", &will(), "--mqtt", "5.0"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let drawn = text(&output.stdout);
    assert!(drawn.contains("PUBLISH will/alice"), "{drawn}");
    assert!(drawn.contains("✔ pass"), "{drawn}");
    assert!(!drawn.contains('\u{1b}'), "colours where no terminal is");
}

#[test]
fn a_story_that_does_not_hold_fails_and_names_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.yaml");
    let text_of_story = "title: nobody said that\nactors: { alice: peer }\nsteps:\n  - alice: { connect: {} }\n  - alice: { expect: { publish: { topic: t } } }\n";
    fs::write(&file, text_of_story).expect("written");
    let output = sim(&["run", &file.display().to_string(), "--world", "both"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let drawn = text(&output.stdout);
    assert!(drawn.contains("wrong.yaml:5:"), "{drawn}");
    assert!(drawn.contains("^"), "{drawn}");
    assert!(drawn.contains("0 passed, 4 failed"), "{drawn}");
}

#[test]
fn what_is_no_script_cannot_be_played() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("typo.yaml");
    fs::write(&file, "title: a typo\nactors: { alice: peer }\nsteps:\n  - alice: { conect: {} }\n").expect("written");
    let output = sim(&["run", &file.display().to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let message = text(&output.stderr);
    assert!(message.contains("typo.yaml:4:"), "{message}");
    assert!(message.contains("connect"), "the nearest word is missing: {message}");
    assert!(message.contains('^'), "{message}");
    assert!(output.stdout.is_empty());
}

#[test]
fn what_is_not_there_cannot_be_played() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.yaml").display().to_string();
    for arguments in [["run", &missing], ["run", &folder.path().display().to_string()], ["list", &missing]] {
        let output = sim(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stderr).lines().count(), 1, "{}", text(&output.stderr));
    }
    assert_eq!(sim(&["run", &will(), "--world", "flat"]).status.code(), Some(2));
    assert_eq!(sim(&["run", &will(), "--mqtt", "4"]).status.code(), Some(2));
}

#[test]
fn a_transcript_is_written_for_one_play_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace.jsonl");
    let trace_name = trace.display().to_string();
    let output = sim(&["run", &will(), "-q", "--digest", "--mqtt", "5.0", "--json", &trace_name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = fs::read_to_string(&trace).expect("the trace is there");
    assert!(lines.lines().count() > 5, "{lines}");
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    // The digest is that of the file.
    let digest = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(lines.as_bytes()));
    assert!(text(&output.stdout).contains(&digest), "{digest} is not in {}", text(&output.stdout));

    let output = sim(&["run", &will(), "--json", &trace_name]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--mqtt"), "{}", text(&output.stderr));

    let nowhere = folder.path().join("no/such/folder/trace").display().to_string();
    let output = sim(&["run", &will(), "-q", "--mqtt", "5.0", "--json", &nowhere]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(&nowhere), "{}", text(&output.stderr));
}

#[test]
fn scripts_are_listed_with_their_titles() {
    let output = sim(&["list", &story("").display().to_string()]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("the will speaks when the link dies"));
}
