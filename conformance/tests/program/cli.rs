//! The program as it is used: exit statuses, one clear sentence when it cannot run, what it writes.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
};

use squall_conformance::report::{json, markdown, model::CutShort};

use crate::launch::{HANGS, until};

pub(crate) const TESTS: &[crate::Test] = tests![
    a_port_where_nobody_listens_is_told,
    a_name_that_does_not_exist_is_told,
    a_server_of_another_protocol_is_told,
    an_answer_to_connect_is_told_by_its_bytes,
    a_server_that_says_nothing_is_told,
    a_server_that_hangs_up_is_told,
    a_filter_that_takes_nothing_is_told,
    a_report_that_cannot_be_written_is_told_before_anything_runs,
    a_rule_is_explained_and_a_misspelt_one_is_guessed,
    there_is_nothing_to_accuse_an_honest_broker_of,
    a_baseline_is_written_accepted_and_outgrown,
    a_version_that_is_not_spoken_is_unsupported_with_the_reason,
    a_broker_that_goes_away_during_the_audit_is_told,
    wrong_words_are_refused_with_what_is_expected,
    our_own_broker_passes_and_the_reports_say_so,
    the_json_has_the_fields_that_others_read,
    coverage_and_the_list_of_tests_are_told_without_running_any,
    a_rule_is_explained_with_its_liar_its_readings_and_its_packets,
    a_report_does_not_tell_passwords,
    an_accusation_can_be_replayed_without_us,
    a_run_ends_at_the_first_failure_where_that_was_asked,
    an_interrupted_run_tells_what_it_knows,
    a_run_that_is_interrupted_before_its_first_test_does_not_wait_for_an_answer,
    every_form_of_a_report_and_a_capture_are_written_at_once,
    the_schema_accepts_a_real_report,
    committed_reports_are_drawn_from_their_json,
];

fn conformance(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conformance")).args(words).output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Exit status 2 and one sentence on standard error that holds these words.
fn refuses(words: &[&str], sentence: &str) {
    let output = conformance(words);
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{words:?}: {stderr}");
    assert!(stderr.contains(sentence), "{words:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{words:?}: {stderr}");
}

/// A server that does this with each connection.
fn server(serve: impl Fn(TcpStream) + Send + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("it is bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection");
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn a_port_where_nobody_listens_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    refuses(&["--target", &address], "refused the connection");
}

fn a_name_that_does_not_exist_is_told() {
    refuses(&["--target", "no-such-host.invalid:1883"], "the name 'no-such-host.invalid' was not found");
}

fn a_server_of_another_protocol_is_told() {
    let address = server(|mut stream| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    refuses(&["--target", &address], "something that is not MQTT: \"HTTP/1.1 400 Bad Request\"");
}

/// A server that says this to every CONNECT, and hangs up.
fn answers(bytes: &'static [u8]) -> String {
    server(move |mut stream| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(bytes);
    })
}

fn an_answer_to_connect_is_told_by_its_bytes() {
    let not_mqtt = "something that is not MQTT: the bytes 15 03 03 00";
    refuses(&["--target", &answers(b"\x15\x03\x03\x00")], not_mqtt);
    let refused = "3.1.1: CONNECT was refused with 0x87 Not authorized; 5.0: CONNECT was refused with CONNACK 0x05";
    refuses(&["--target", &answers(b"\x20\x02\x00\x05")], refused);
}

fn a_server_that_says_nothing_is_told() {
    // It listens until the other side gives up.
    let address = server(|mut stream| while stream.read(&mut [0; 64]).is_ok_and(|length| length > 0) {});
    refuses(&["--target", &address], "did not answer CONNECT in time");
}

fn a_server_that_hangs_up_is_told() {
    let address = server(|mut stream| {
        let _ = stream.read(&mut [0; 64]);
    });
    refuses(&["--target", &address], "closes them on CONNECT");
}

/// A broker of one version that is lost for words after CONNACK.
fn speaks_only_3_1_1(mut stream: TcpStream) {
    let mut connect = [0; 64];
    let length = stream.read(&mut connect).unwrap_or(0);
    let old = connect[..length].get(8) == Some(&4);
    let _ = stream.write_all(if old { b"\x20\x02\x00\x00" } else { b"\x20\x02\x00\x01" });
    while old && stream.read(&mut connect).is_ok_and(|length| length > 0) {}
}

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

fn a_filter_that_takes_nothing_is_told() {
    refuses(&["MQTT-9.9.9-9"], "the nearest are MQTT-");
    refuses(&["no such words"], "no test matches 'no such words'");
}

fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    refuses(&["--report", "json=/no/such/folder/report.json"], "/no/such/folder/report.json cannot be written");
    // What is found out only later says which file it is, too.
    if std::path::Path::new("/dev/full").exists() {
        refuses(&["--report", "json=/dev/full", "MQTT-3.1.0"], "the report /dev/full cannot be written");
        refuses(&["--pcap", "/dev/full", "MQTT-3.1.0"], "the capture /dev/full cannot be written");
    }
}

fn wrong_words_are_refused_with_what_is_expected() {
    for (words, expected) in [
        (&["--mqtt", "4.0"][..], "expected one of 3.1, 3.1.1, 5.0"),
        (&["--report", "xml=a"], "expected one of json, json-short, junit, tap, html, markdown, summary, badge"),
        (&["--report", "jnit=a"], "the nearest is junit"),
        (&["--grade", "COULD"], "expected MUST, SHOULD or MAY"),
        (&["--tag", "quick"], "unknown tag 'quick', expected one of time"),
        (&["--report", "a.json"], "expected FORMAT=FILE"),
        (&["--target", "quic://a:1"], "expected tcp, tls, ws or wss"),
        (&["--jobs", "0"], "0"),
    ] {
        let output = conformance(words);
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

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

fn a_rule_is_explained_and_a_misspelt_one_is_guessed() {
    let output = conformance(&["explain", "MQTT-3.1.0-2"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for part in ["3.1.1/MQTT-3.1.0-2", "5.0/MQTT-3.1.0-2", "binds", "test", "liar"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    refuses(&["explain", "MQTT-3.1.0-22"], "the nearest are MQTT-3.1.0-2");
}

fn coverage_and_the_list_of_tests_are_told_without_running_any() {
    let coverage = stdout(&conformance(&["coverage"]));
    assert!(coverage.contains("of 392 numbered statements are tested"), "{coverage}");
    let list = stdout(&conformance(&["--list", "5.0/MQTT-3.1"]));
    assert!(list.contains("5.0/MQTT-3.1.0-2") && !list.contains("3.1.1/MQTT"), "{list}");
}

fn a_rule_is_explained_with_its_liar_its_readings_and_its_packets() {
    let text = stdout(&conformance(&["explain", "5.0/MQTT-3.1.0-2"]));
    for part in ["liar:", "on our own broker, in virtual time: pass", "CONNECT", "CONNACK", "▶", "◀"] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let text = stdout(&conformance(&["explain", "5.0/MQTT-3.3.1-10"]));
    assert!(text.contains("reading   Appendix B inverts"), "{text}");
}

/// A broker of 3.1.1 and 5.0 that lets a client say CONNECT as often as it likes, or not.
fn answers_connect(mut stream: TcpStream, again: bool) {
    let mut heard = Vec::new();
    let mut connected = false;
    loop {
        let mut buffer = [0; 256];
        let length = stream.read(&mut buffer).unwrap_or(0);
        if length == 0 {
            return;
        }
        heard.extend(&buffer[..length]);
        while heard.len() >= 2 && heard.len() >= 2 + usize::from(heard[1]) {
            let frame: Vec<u8> = heard.drain(..2 + usize::from(heard[1])).collect();
            let answer: &[u8] = match frame[0] >> 4 {
                1 if connected && !again => return,
                1 if frame[8] == 5 => b"\x20\x03\x00\x00\x00",
                1 => b"\x20\x02\x00\x00",
                12 => b"\xd0\x00",
                14 => return,
                _ => b"",
            };
            connected = true;
            let _ = stream.write_all(answer);
        }
    }
}

fn a_report_does_not_tell_passwords() {
    let address = server(|stream| answers_connect(stream, false));
    let command = |words: &[&str]| {
        let rest = ["--mqtt", "5.0", "--patience", "1", "--report", "json=-", "MQTT-3.12.4-1"];
        let output = conformance(&[words, &rest].concat());
        json::read(&stdout(&output)).expect("a report").run.command
    };
    let rest = "--mqtt 5.0 --patience 1 --report json=- MQTT-3.12.4-1";
    let said = command(&["--target", &format!("tcp://ann:secret@{address}")]);
    assert_eq!(said, format!("conformance --target tcp://...@{address} {rest}"));
    let said = command(&["--target", &address, "--username", "ann", "--password", "secret"]);
    assert_eq!(said, format!("conformance --target {address} --username ann --password ... {rest}"));
    let said = command(&["--target", &address, "--username", "ann", "--password=secret"]);
    assert_eq!(said, format!("conformance --target {address} --username ann --password=... {rest}"));
}

fn an_accusation_can_be_replayed_without_us() {
    let forgiving = server(|stream| answers_connect(stream, true));
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("replay.py").display().to_string();
    let output =
        conformance(&["issue", "5.0/MQTT-3.1.0-2", "--target", &forgiving, "--patience", "1", "--script", &script]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "# 5.0/MQTT-3.1.0-2",
        "## The rule",
        "- expected:",
        "- observed:",
        "## The packets",
        "## The control arm: what works",
        "(ours, in virtual time)",
        "```python",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let written = std::fs::read_to_string(&script).expect("the script");
    assert!(text.contains(&written), "the script of the file is that of the text");

    let Ok(python) = Command::new("python3").arg("--version").output() else {
        println!("ignored: there is no python3 on the PATH to run the script");
        return;
    };
    assert!(python.status.success());
    let replay = |address: &str| {
        let (host, port) = address.split_once(':').expect("a port");
        let output = Command::new("python3").args([script.as_str(), host, port]).output().expect("it starts");
        (output.status.code(), stdout(&output) + &String::from_utf8_lossy(&output.stderr))
    };
    let (status, told) = replay(&forgiving);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("The rule 5.0/MQTT-3.1.0-2 is broken"), "{told}");
    let lawful = server(|stream| answers_connect(stream, false));
    let (status, told) = replay(&lawful);
    assert_eq!(status, Some(0), "{told}");
    let nobody =
        TcpListener::bind("127.0.0.1:0").expect("a loopback port").local_addr().expect("it is bound").to_string();
    assert_eq!(replay(&nobody).0, Some(2));
}

fn there_is_nothing_to_accuse_an_honest_broker_of() {
    let output = conformance(&["issue", "5.0/MQTT-3.12.4-1"]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    assert!(stdout(&output).contains("nothing to accuse"), "{}", stdout(&output));
    refuses(&["issue", "5.0/MQTT-3.12.4-9"], "the nearest are");
}

fn a_baseline_is_written_accepted_and_outgrown() {
    let forgiving = server(|stream| answers_connect(stream, true));
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let audit = |target: &str, more: &[&str]| {
        let words = [&["--target", target, "--mqtt", "5.0", "--patience", "1", "5.0/MQTT-3.1.0-2"], more].concat();
        conformance(&words)
    };
    let known = path("known.toml");
    let before = format!("json={}", path("before.json"));
    let first = audit(&forgiving, &["--write-baseline", &known, "--report", &before]);
    assert_eq!(first.status.code(), Some(1), "{}", stdout(&first));
    let second = audit(&forgiving, &["--baseline", &known]);
    assert_eq!(second.status.code(), Some(0), "{}", stdout(&second));
    assert!(stdout(&second).contains("accepted, no other rule is broken"), "{}", stdout(&second));
    let lawful = server(|stream| answers_connect(stream, false));
    let after = format!("json={}", path("after.json"));
    let third = audit(&lawful, &["--baseline", &known, "--report", &after]);
    assert_eq!(third.status.code(), Some(0), "{}", stdout(&third));
    assert!(stdout(&third).contains("better  5.0/MQTT-3.1.0-2: pass, the baseline says fail"), "{}", stdout(&third));

    let worse = conformance(&["diff", &path("after.json"), &path("before.json")]);
    assert_eq!(worse.status.code(), Some(1), "{}", stdout(&worse));
    assert!(stdout(&worse).contains("newly failing"), "{}", stdout(&worse));
    let fixed = conformance(&["diff", "--json", &path("before.json"), &path("after.json")]);
    assert_eq!(fixed.status.code(), Some(0));
    let fixed: serde_json::Value = serde_json::from_str(&stdout(&fixed)).expect("JSON");
    assert!(!fixed["fixed"].as_array().expect("a list").is_empty());
    refuses(&["diff", &path("before.json"), &path("nowhere.json")], "cannot read");

    std::fs::write(path("wrong.toml"), "[[known]]\nstatement = \"5.0/MQTT-3.1.0-2\"\n").expect("the folder is there");
    let wrong = conformance(&["--baseline", &path("wrong.toml")]);
    let told = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert_eq!(wrong.status.code(), Some(2), "{told}");
    assert!(told.contains("wrong.toml:1: missing field `reason`"), "{told}");
}

fn a_run_ends_at_the_first_failure_where_that_was_asked() {
    let forgiving = server(|stream| answers_connect(stream, true));
    let output = conformance(&[
        "--target",
        &forgiving,
        "--mqtt",
        "5.0",
        "--patience",
        "1",
        "--jobs",
        "1",
        "--fail-fast",
        "--report",
        "json=-",
        "5.0/MQTT-3.1.0-2",
        "MQTT-3.8",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let report = json::read(&stdout(&output)).expect("a report");
    assert_eq!(report.cut_short, Some(CutShort::FirstFailure));
    let failed = report.tests.iter().filter(|test| test.verdict.to_string() == "fail").count();
    assert_eq!(failed, 1, "nothing ran after the first failure");
    assert!(report.statements.iter().any(|entry| entry.reason.starts_with("not reached: the run stopped")));
}

/// A broker that lets clients in and then says nothing keeps the audit busy: it is interrupted.
#[cfg(unix)]
/// An audit of 3.1.1 at a server that answers too little, whose report goes to a file.
struct Patient {
    child: Child,
    report: PathBuf,
    _folder: tempfile::TempDir,
}

impl Patient {
    fn start(address: &str) -> Patient {
        let folder = tempfile::tempdir().expect("a folder");
        let report = folder.path().join("report.json");
        let child = Command::new(env!("CARGO_BIN_EXE_conformance"))
            .args(["--target", address, "--mqtt", "3.1.1", "--patience", "60", "MQTT-3.12.4-1"])
            .args(["--report", &format!("json={}", report.display())])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        Patient { child, report, _folder: folder }
    }

    /// It says so, reports what it knows, and does not wait for an answer any more.
    fn ends_when_interrupted(mut self) {
        let asked = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill is there");
        assert!(asked.success());
        assert!(until(|| self.child.try_wait().expect("its status").is_some()), "it still waits");
        assert_eq!(self.child.wait().expect("it ends").code(), Some(130));
        let mut told = String::new();
        self.child.stdout.take().expect("it is piped").read_to_string(&mut told).expect("text");
        assert!(told.lines().last().is_some_and(|line| line.contains("interrupted: exit status 130")), "{told}");
        let report = json::read(&std::fs::read_to_string(&self.report).expect("the report")).expect("a report");
        assert_eq!(report.cut_short, Some(CutShort::Interrupted));
    }
}

impl Drop for Patient {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn an_interrupted_run_tells_what_it_knows() {
    // It answers CONNECT and SUBSCRIBE, which comes before any test, and no PINGREQ.
    let address = server(|mut stream| {
        let mut heard = [0; 256];
        while let Ok(length @ 1..) = stream.read(&mut heard) {
            let _ = match heard[..length] {
                [0x10, ..] => stream.write_all(b"\x20\x02\x00\x00"),
                [0x82, _, high, low, ..] => stream.write_all(&[0x90, 0x03, high, low, 0x80]),
                _ => continue,
            };
        }
    });
    let mut audit = Patient::start(&address);
    // Its first line says that the run has begun.
    let mut first = [0; 8];
    audit.child.stdout.as_mut().expect("it is piped").read_exact(&mut first).expect("the first line");
    assert_eq!(&first, b"Auditing");
    audit.ends_when_interrupted();
}

fn a_run_that_is_interrupted_before_its_first_test_does_not_wait_for_an_answer() {
    let (sender, subscribed) = mpsc::channel();
    let address = server(move |mut stream| {
        let mut heard = [0; 256];
        while let Ok(length @ 1..) = stream.read(&mut heard) {
            let _ = match heard[..length] {
                [0x10, ..] => stream.write_all(b"\x20\x02\x00\x00").ok(),
                [0x82, ..] => sender.send(()).ok(),
                _ => continue,
            };
        }
    });
    let audit = Patient::start(&address);
    // The server says what it is, and then whether its topics may be used.
    for asked in ["the identity", "the topics"] {
        subscribed.recv_timeout(HANGS).expect(asked);
    }
    audit.ends_when_interrupted();
}

fn every_form_of_a_report_and_a_capture_are_written_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let forms = ["json", "junit", "tap", "html", "markdown", "summary", "badge", "badge-5.0"];
    let files: Vec<String> =
        forms.iter().flat_map(|form| ["--report".to_owned(), format!("{form}={}", path(form))]).collect();
    let mut words: Vec<&str> = files.iter().map(String::as_str).collect();
    let capture = path("capture");
    words.extend(["--pcap", &capture, "MQTT-3.12"]);
    let output = conformance(&words);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    for (form, begin) in [
        ("json", "{"),
        ("junit", "<?xml"),
        ("tap", "TAP version 14\n1.."),
        ("html", "<!DOCTYPE html>"),
        ("markdown", "# Conformance of squall-broker"),
        ("summary", "### ✅ MQTT conformance"),
        ("badge", "{\n  \"schemaVersion\": 1"),
        ("badge-5.0", "{\n  \"schemaVersion\": 1,\n  \"label\": \"MQTT 5.0 part\""),
    ] {
        let text = std::fs::read_to_string(path(form)).expect("the file");
        assert!(text.starts_with(begin), "{form}: {}", text.chars().take(80).collect::<String>());
    }
    let capture = std::fs::read(capture).expect("the file");
    assert_eq!(capture[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    assert!(capture.len() > 500);
}

fn the_schema_accepts_a_real_report() {
    let output = conformance(&["--report", "json=-", "MQTT-3.1.2"]);
    let report: serde_json::Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let schema = serde_json::from_str(include_str!("../../report.schema.json")).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> = schema.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path)).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

/// The Markdown beside each committed JSON is drawn from it. `SQUALL_BLESS=1` draws it anew.
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
