//! The program as it is used: exit statuses, one clear sentence when it cannot run, what it writes.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use squall_conformance::report::{json, markdown};

/// What is promised: a target that is no broker is told within this time.
const PROMISED: Duration = Duration::from_secs(5);

fn conformance(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conformance")).args(words).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Exit status 2 and one sentence on standard error that holds these words.
fn refuses(words: &[&str], sentence: &str) {
    let started = Instant::now();
    let output = conformance(words);
    let took = started.elapsed();
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
    assert!(stderr.contains(sentence), "{words:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{words:?}: {stderr}");
    assert!(took <= PROMISED, "{words:?} took {took:?}");
}

/// A server that does this with each connection.
fn server(serve: impl Fn(TcpStream) + Send + Sync + Copy + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn a_port_where_nobody_listens_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    refuses(&["--target", &address], "refused the connection");
}

#[test]
fn a_name_that_does_not_exist_is_told() {
    refuses(&["--target", "no-such-host.invalid:1883"], "the name 'no-such-host.invalid' was not found");
}

#[test]
fn a_server_of_another_protocol_is_told() {
    let address = server(|mut stream| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    refuses(&["--target", &address], "something that is not MQTT: \"HTTP/1.1 400 Bad Request\"");
}

#[test]
fn a_server_that_says_nothing_is_told() {
    // It listens until the other side gives up.
    let address = server(|mut stream| while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {});
    refuses(&["--target", &address], "did not answer CONNECT in time");
}

#[test]
fn a_server_that_hangs_up_is_told() {
    let address = server(|mut stream| {
        let _ = stream.read(&mut [0; 64]);
    });
    refuses(&["--target", &address], "speaks none of the chosen versions");
}

/// A broker of one version that is lost for words after CONNACK.
fn speaks_only_3_1_1(mut stream: TcpStream) {
    let mut connect = [0; 64];
    let length = stream.read(&mut connect).unwrap_or(0);
    let old = connect[..length].get(8) == Some(&4);
    let _ = stream.write_all(if old { b"\x20\x02\x00\x00" } else { b"\x20\x02\x00\x01" });
    while old && stream.read(&mut connect).is_ok_and(|length| length > 0) {}
}

#[test]
fn a_version_that_is_not_spoken_is_unsupported_with_the_reason() {
    let address = server(speaks_only_3_1_1);
    let output = conformance(&[
        "--target",
        &address,
        "--patience",
        "1",
        "--report",
        "json=-",
        "5.0/MQTT-3.1.0-2",
        "3.1.1/MQTT-3.12.4-1",
    ]);
    let report = json::read(&stdout(&output)).expect("a report");
    let five = report.statements.iter().find(|entry| entry.key() == "5.0/MQTT-3.1.0-2").expect("the statement");
    assert_eq!(five.verdict.to_string(), "unsupported", "{}", five.reason);
    assert!(five.reason.contains("does not speak MQTT 5.0"), "{}", five.reason);
    let spoken: Vec<_> = report.run.mqtt.iter().map(|version| (version.version.as_str(), version.spoken)).collect();
    assert_eq!(spoken, [("3.1.1", true), ("5.0", false)]);
    // PINGREQ is never answered there: a verdict comes nevertheless, and in bounded time.
    let ping = report.statements.iter().find(|entry| entry.key() == "3.1.1/MQTT-3.12.4-1").expect("the statement");
    assert_ne!(ping.verdict.to_string(), "pass", "{}", ping.reason);
}

#[test]
fn a_broker_that_goes_away_during_the_audit_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        // It welcomes one client, and then the port is closed for good.
        let (mut stream, _) = listener.accept().expect("a connection");
        drop(listener);
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"\x20\x02\x00\x00");
        while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {}
    });
    let output = conformance(&["--target", &address, "--mqtt", "3.1.1", "--patience", "1", "MQTT-3.12.4-1"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.contains("was gone at the end")), "{text}");
}

#[test]
fn a_filter_that_takes_nothing_is_told() {
    refuses(&["MQTT-9.9.9-9"], "the nearest are MQTT-");
    refuses(&["no such words"], "no test matches 'no such words'");
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    refuses(&["--report", "json=/no/such/folder/report.json"], "/no/such/folder/report.json cannot be written");
}

#[test]
fn wrong_words_are_refused_with_what_is_expected() {
    for (words, expected) in [
        (&["--mqtt", "4.0"][..], "expected one of 3.1, 3.1.1, 5.0"),
        (&["--report", "xml=a"], "expected json or markdown"),
        (&["--report", "a.json"], "expected FORMAT=FILE"),
        (&["--target", "ws://a:1"], "expected tcp:// or mqtt://"),
        (&["--jobs", "0"], "0"),
    ] {
        let output = conformance(words);
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn our_own_broker_passes_and_the_reports_say_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let output = conformance(&[
        "--report",
        &format!("json={}", path("a.json")),
        "--report",
        &format!("markdown={}", path("a.md")),
        "MQTT-3.1",
    ]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("No --target: auditing our own broker in the events world"), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.contains("exit status 0")), "{text}");
    assert!(!text.contains('\u{1b}'), "piped text has no escape codes");

    let report = json::read(&std::fs::read_to_string(path("a.json")).expect("the file")).expect("a report");
    let numbered = |version: &str| {
        report.statements.iter().filter(|entry| entry.version == version && entry.id.starts_with("MQTT-")).count()
    };
    assert_eq!((numbered("3.1.1"), numbered("5.0")), (141, 251));
    for entry in report.statements.iter().filter(|entry| entry.verdict.to_string() == "pass") {
        assert!(entry.tests.iter().any(|test| !test.evidence.is_empty()), "{} passes without evidence", entry.key());
    }
    assert!(report.statements.iter().all(|entry| !entry.reason.is_empty()), "each verdict has its reason");
    assert_eq!(std::fs::read_to_string(path("a.md")).expect("the file"), markdown::write(&report));
}

#[test]
fn the_json_has_the_fields_that_others_read() {
    let output = conformance(&["--report", "json=-", "5.0/MQTT-3.1.0-2"]);
    let value: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(value["schema"], "squall-conformance-report/1");
    assert!(value["run"]["command"].as_str().is_some_and(|command| command.ends_with("5.0/MQTT-3.1.0-2")));
    let entry = value["statements"].as_array().expect("a list").iter();
    let entry = entry.clone().find(|entry| entry["id"] == "MQTT-3.1.0-2" && entry["version"] == "5.0").expect("it");
    assert_eq!(entry["verdict"], "pass");
    assert!(entry["reason"].is_string());
    let evidence = &entry["tests"][0]["evidence"][0];
    assert!(evidence["at_us"].is_u64() && evidence["direction"].is_string() && evidence["summary"].is_string());
    let other = value["statements"].as_array().expect("a list").iter().find(|entry| entry["version"] == "3.1.1");
    assert_eq!(other.expect("both versions are there")["verdict"], "untested");
}

#[test]
fn a_rule_is_explained_and_a_misspelt_one_is_guessed() {
    let output = conformance(&["explain", "MQTT-3.1.0-2"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["3.1.1/MQTT-3.1.0-2", "5.0/MQTT-3.1.0-2", "binds", "test", "liar"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    refuses(&["explain", "MQTT-3.1.0-22"], "the nearest are MQTT-3.1.0-2");
}

#[test]
fn coverage_and_the_list_of_tests_are_told_without_running_any() {
    let coverage = stdout(&conformance(&["coverage"]));
    assert!(coverage.contains("of 392 numbered statements are tested"), "{coverage}");
    let list = stdout(&conformance(&["--list", "5.0/MQTT-3.1"]));
    assert!(list.contains("5.0/MQTT-3.1.0-2") && !list.contains("3.1.1/MQTT"), "{list}");
}

/// The Markdown beside each committed JSON is drawn from it. `SQUALL_BLESS=1` draws it anew.
#[test]
fn committed_reports_are_drawn_from_their_json() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/conformance");
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|is| is == "json"))
    {
        let report =
            std::fs::read_to_string(&path).map_err(|error| error.to_string()).and_then(|text| json::read(&text));
        let drawn = markdown::write(&report.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        let beside = path.with_extension("md");
        if std::env::var_os("SQUALL_BLESS").is_some() {
            std::fs::write(&beside, &drawn).expect("the report can be written");
        }
        let committed = std::fs::read_to_string(&beside).unwrap_or_default();
        assert!(committed == drawn, "{} is not what its JSON says; SQUALL_BLESS=1 draws it anew", beside.display());
    }
}
