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
fn a_trace_is_written_for_one_play_only() {
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
    // The digest is that of the play.
    let header: serde_json::Value = serde_json::from_str(lines.lines().next().expect("a header")).expect("JSON");
    let digest = header["digest"].as_str().expect("a digest");
    assert!(text(&output.stdout).contains(digest), "{digest} is not in {}", text(&output.stdout));

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

#[test]
fn a_script_and_its_trace_are_drawn_alike_in_every_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace.jsonl").display().to_string();
    let output = sim(&["run", &will(), "-q", "--mqtt", "5.0", "--json", &trace]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for form in ["terminal", "mermaid", "svg", "html"] {
        let of_script = sim(&["show", &will(), "--as", form]);
        assert_eq!(of_script.status.code(), Some(0), "{form}: {}", text(&of_script.stderr));
        let of_trace = sim(&["show", &trace, "--as", form]);
        assert_eq!(text(&of_script.stdout), text(&of_trace.stdout), "{form}");
        let file = folder.path().join(form).display().to_string();
        let written = sim(&["show", &trace, "--as", form, "-o", &file]);
        assert_eq!(written.status.code(), Some(0), "{form}: {}", text(&written.stderr));
        assert!(written.stdout.is_empty(), "{form}");
        assert_eq!(fs::read_to_string(&file).expect("it is there"), text(&of_trace.stdout), "{form}");
    }
}

#[test]
fn a_script_is_shown_in_the_version_that_was_asked_for() {
    let drawn = |version: &str| text(&sim(&["show", &will(), "--mqtt", version]).stdout);
    assert!(drawn("3.1.1").contains("CONNECT 3.1.1"), "{}", drawn("3.1.1"));
    assert!(drawn("5.0").contains("CONNECT 5.0"), "{}", drawn("5.0"));
    let turmoil = sim(&["show", &will(), "--world", "turmoil", "--seed", "9"]);
    assert!(text(&turmoil.stdout).contains("in the turmoil world, seed 9"), "{}", text(&turmoil.stdout));
    let refused = sim(&["show", &will(), "--mqtt", "3.1"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("is not played in 3.1, but in 3.1.1, 5.0"), "{}", text(&refused.stderr));
}

#[test]
fn a_damaged_trace_is_not_shown_and_its_line_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace.jsonl");
    let name = trace.display().to_string();
    sim(&["run", &will(), "-q", "--mqtt", "5.0", "--json", &name]);
    let whole = fs::read_to_string(&trace).expect("the trace is there");
    fs::write(&trace, &whole[..whole.len() / 2]).expect("written");
    for arguments in [&["show", &name][..], &["diff", &name, &name]] {
        let output = sim(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains("trace.jsonl:"), "{}", text(&output.stderr));
        assert!(output.stdout.is_empty());
    }
    let missing = folder.path().join("missing").display().to_string();
    assert_eq!(sim(&["show", &missing]).status.code(), Some(2));
}

#[test]
fn two_traces_part_where_they_part() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept.jsonl").display().to_string();
    sim(&["run", &will(), "-q", "--mqtt", "5.0", "--json", &kept]);
    let same = sim(&["diff", &kept, &will()]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stdout));
    assert!(text(&same.stdout).contains("the same happened in both"), "{}", text(&same.stdout));
    let varied = story("latency_varies.yaml").display().to_string();
    let differ = sim(&["diff", &format!("{varied}@1"), &format!("{varied}@2")]);
    assert_eq!(differ.status.code(), Some(1), "{}", text(&differ.stderr));
    let told = text(&differ.stdout);
    assert!(told.contains("seed 1") && told.contains("seed 2") && told.contains("they part "), "{told}");
    assert!(
        told.lines().any(|line| line.starts_with("- ")) && told.lines().any(|line| line.starts_with("+ ")),
        "{told}"
    );
    let other = sim(&["diff", &kept, &varied]);
    assert_eq!(other.status.code(), Some(1));
}

#[test]
fn a_play_that_is_checked_twice_is_the_same_twice() {
    let output = sim(&["run", &will(), "-q", "--doublecheck", "--world", "both"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(!text(&output.stdout).contains("not deterministic"));
}

/// The program under its name, as the manifests call it.
fn path_with_sim() -> String {
    let folder = PathBuf::from(env!("CARGO_BIN_EXE_sim")).parent().expect("a folder").display().to_string();
    format!("{folder}:{}", std::env::var("PATH").expect("a PATH"))
}

fn manifest(name: &str) -> serde_json::Value {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/sweep").join(name);
    let text = fs::read_to_string(&file).expect("the manifest is there");
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn the_pods_of_the_indexed_job_sweep_the_whole() {
    let job = manifest("kubernetes.yaml");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let parts = container["env"].as_array().expect("variables").iter().find(|variable| variable["name"] == "PARTS");
    assert_eq!(parts.expect("a number of parts")["value"], job["spec"]["completions"].to_string());
    let command: Vec<&str> = [&container["command"], &container["args"]]
        .iter()
        .flat_map(|words| words.as_array().expect("a list"))
        .map(|word| word.as_str().expect("a word"))
        .collect();

    let folder = tempfile::tempdir().expect("a folder");
    let files = ["0", "1"].map(|index| {
        let pod = Command::new(command[0])
            .args(&command[1..])
            .env("PATH", path_with_sim())
            .envs([("SEEDS", "0..6"), ("PARTS", "2"), ("JOB_COMPLETION_INDEX", index)])
            .output()
            .expect("the pod starts");
        assert_eq!(pod.status.code(), Some(0), "{}", text(&pod.stderr));
        let file = folder.path().join(index).display().to_string();
        fs::write(&file, pod.stdout).expect("written");
        file
    });
    let merged = sim(&["merge", &files[0], &files[1], "--json", "-"]);
    assert_eq!(merged.status.code(), Some(0), "{}", text(&merged.stderr));
    let mut merged: serde_json::Value = serde_json::from_slice(&merged.stdout).expect("JSON");
    let whole = sim(&["sweep", "--seeds", "0..6", "--json", "-"]);
    let mut whole: serde_json::Value = serde_json::from_slice(&whole.stdout).expect("JSON");
    assert_eq!(merged["shards"].take(), serde_json::json!([[1, 2], [2, 2]]));
    whole["shards"].take();
    assert_eq!(merged, whole);

    // One part alone is not the whole, and no part counts twice.
    let one = sim(&["merge", &files[0]]);
    assert_eq!(one.status.code(), Some(2));
    assert!(text(&one.stderr).contains("missing is 2/2"), "{}", text(&one.stderr));
    let twice = sim(&["merge", &files[0], &files[0]]);
    assert_eq!(twice.status.code(), Some(2));
    assert!(text(&twice.stderr).contains("there already"), "{}", text(&twice.stderr));
}

#[test]
fn sweeps_of_neighbouring_seeds_make_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = ["0..4", "4..6", "7..8"].map(|seeds| {
        let file = folder.path().join(seeds).display().to_string();
        assert_eq!(sim(&["sweep", "--seeds", seeds, "--json", &file]).status.code(), Some(0));
        file
    });
    let merged = sim(&["merge", &files[0], &files[1], "--json", "-"]);
    let whole = sim(&["sweep", "--seeds", "0..6", "--json", "-"]);
    assert_eq!(text(&merged.stdout), text(&whole.stdout));
    let torn = sim(&["merge", &files[0], &files[2]]);
    assert_eq!(torn.status.code(), Some(2));
    assert!(text(&torn.stderr).contains("of other seeds"), "{}", text(&torn.stderr));
}

#[test]
fn the_jobs_of_the_workflow_sweep_the_seeds_of_their_night() {
    let workflow = manifest("github.yaml");
    let part = &workflow["jobs"]["part"];
    let parts = part["strategy"]["matrix"]["part"].as_array().expect("a list").len();
    assert_eq!(part["env"]["PARTS"], parts);
    let step = |job: &str, name: &str| {
        let steps = workflow["jobs"][job]["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["name"] == name).expect("the step is there");
        step["run"].as_str().expect("a command").replace("target/release/sim", "sim")
    };
    let folder = tempfile::tempdir().expect("a folder");
    let summary = folder.path().join("summary.md");
    let run = |command: &str, part: &str| {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(folder.path())
            .env("PATH", path_with_sim())
            .envs([("PART", part), ("PARTS", "2"), ("NIGHT", "3"), ("STORMS", "4")])
            .env("GITHUB_STEP_SUMMARY", &summary)
            .output()
            .expect("the step starts");
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    };
    run(&step("part", "Sweep"), "1");
    run(&step("part", "Sweep"), "2");
    run(&step("whole", "Merge"), "");
    let summary = fs::read_to_string(&summary).expect("the summary is there");
    assert!(summary.starts_with("4 storms, seeds 12 to 15\n"), "{summary}");
}
