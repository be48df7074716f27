//! Brokers that the program starts by itself: how they are found, set up, and stopped.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use squall_codec::version::Version;
use squall_conformance::{
    launch::{built_in, launcher::Launcher},
    profile::Profile,
    report::{json, model::Report},
    setup::Setup,
    test::Isolation,
};
use squall_scenarios::outage::{Outage, Stop};
use tempfile::TempDir;
use tokio::task::{JoinSet, LocalSet};

pub(crate) const TESTS: &[crate::Test] = tests![
    mosquitto_is_launched_as_each_test_wants_it,
    a_server_that_was_only_named_is_not_accused_of_how_it_is_set_up,
    what_cannot_be_launched_is_told_in_one_sentence,
    an_interrupted_audit_leaves_no_broker_behind,
    an_audit_that_is_killed_leaves_no_broker_behind,
    a_broker_that_crashes_is_launched_again_and_that_is_told,
    who_brings_a_broker_down_is_told_with_what_it_sent,
    who_makes_a_broker_hang_is_told_too,
    each_version_is_asked_at_its_own_address,
    who_lets_nobody_in_by_connect_alone_is_there,
    what_is_run_before_a_broker_holds_nobody_up,
    few_brokers_start_at_a_time,
    a_broker_is_back_when_it_answers_connect,
];

fn conformance(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conformance")).args(words).output().expect("the program starts")
}

/// Whether this machine has the program.
fn is_there(program: &str) -> bool {
    let folders = env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(Into::into);
    env::split_paths(&folders).chain(system).any(|folder| folder.join(program).is_file())
}

fn report(output: &Output) -> Report {
    let text = String::from_utf8(output.stdout.clone()).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    json::read(&text).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

/// The verdict of one test.
fn verdict(report: &Report, version: &str, test: &str) -> (String, String) {
    let entry = report.tests.iter().find(|entry| entry.version == version && entry.name == test);
    let entry = entry.unwrap_or_else(|| panic!("{version} {test} did not run"));
    (entry.verdict.to_string(), entry.reason.clone().unwrap_or_default())
}

/// One test for each setup, and whether it has a setup of its own at Mosquitto.
const TABLE: &[(Setup, &str, &str)] = &[
    (Setup::Users, "wrong_credentials_end_the_connection", "pass"),
    (Setup::Acl, "an_identifier_is_free_after_a_refusing_pubrec", "pass"),
    (Setup::Named, "a_client_identifier_that_is_rejected_ends_the_connection", "warn"),
    (Setup::SmallPackets, "a_packet_above_the_maximum_packet_size_closes_the_connection", "fail"),
    (Setup::Qos0, "a_will_above_the_maximum_qos_is_refused", "pass"),
    (Setup::NoRetain, "a_retained_will_is_refused_where_nothing_is_retained", "pass"),
    (Setup::NoWildcards, "a_wildcard_is_refused_where_there_are_none", "unsupported"),
    (Setup::NoShared, "a_shared_subscription_is_refused_where_there_are_none", "unsupported"),
    (Setup::NoSubscriptionIdentifiers, "a_subscription_identifier_is_refused_where_there_are_none", "unsupported"),
    (Setup::Persistence, "a_session_survives_a_restart", "pass"),
    (Setup::Enhanced, "an_auth_of_the_server_says_that_it_goes_on", "unsupported"),
];

fn mosquitto_is_launched_as_each_test_wants_it() {
    if !is_there("mosquitto") {
        eprintln!("skipped: mosquitto is not on the PATH");
        return;
    }
    let launch = built_in::find("mosquitto").expect("a profile").launch.expect("it can be launched");
    let mut words = vec!["--launch", "mosquitto", "--mqtt", "5.0", "--report", "json=-"];
    words.extend(TABLE.iter().map(|(_, test, _)| *test));
    let output = conformance(&words);
    let report = report(&output);
    assert!(report.run.target.starts_with("Mosquitto, launched here"), "{}", report.run.target);
    assert!(report.run.subject.as_deref().is_some_and(|subject| subject.contains("mosquitto")));
    let is_this_version = report.run.subject.as_deref().is_some_and(|subject| subject.contains("2.0.11"));
    for (setup, test, due) in TABLE {
        let (seen, reason) = verdict(&report, "5.0", test);
        assert_ne!(seen, "inconclusive", "{test}: {reason}");
        assert_eq!(seen == "unsupported", !launch.has(*setup), "{test}: {reason}");
        if seen == "unsupported" {
            assert!(reason.starts_with("the profile Mosquitto has no server"), "{test}: {reason}");
        } else if is_this_version {
            assert_eq!(seen, *due, "{test}: {reason}");
        }
    }
}

/// What each says that was not launched: nothing is failed, and what it would take is told.
fn a_server_that_was_only_named_is_not_accused_of_how_it_is_set_up() {
    if !is_there("mosquitto") {
        eprintln!("skipped: mosquitto is not on the PATH");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|one| one.local_addr()).expect("a port").port();
    let file = folder.path().join("mosquitto.conf");
    std::fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\n")).expect("a file");
    let mosquitto = if Path::new("/usr/sbin/mosquitto").is_file() { "/usr/sbin/mosquitto" } else { "mosquitto" };
    let quiet = Command::new(mosquitto).arg("-c").arg(&file).stderr(Stdio::null()).spawn();
    let mut process = Stopped(quiet.expect("it starts"));
    let mut words = vec!["--mqtt", "5.0", "--report", "json=-"];
    let target = format!("127.0.0.1:{port}");
    words.extend(["--target", &target]);
    words.extend(TABLE.iter().map(|(_, test, _)| *test));
    let report = report(&conformance(&words));
    process.0.kill().expect("it runs");
    for (setup, test, _) in TABLE {
        let (seen, reason) = verdict(&report, "5.0", test);
        assert_eq!(seen, "unsupported", "{test}: {reason}");
        assert!(reason.contains(setup.wanted()) || reason.contains("was not started here"), "{test}: {reason}");
    }
}

/// A process that ends with its test.
struct Stopped(std::process::Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn what_cannot_be_launched_is_told_in_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let missing = file("missing.toml", "name = 'X'\ntarget = 'a:1'\n[launch]\nprogram = 'no-such-program'\n");
    let ends = file("ends.toml", "name = 'X'\ntarget = 'a:1'\n[launch]\nprogram = 'ls'\narguments = ['/no/such/x']\n");
    let silent = file(
        "silent.toml",
        "name = 'X'\ntarget = 'a:1'\n[launch]\nprogram = 'sleep'\narguments = ['100']\nseconds = 1\n",
    );
    let bare = file("bare.toml", "name = 'X'\ntarget = 'a:1'\n");
    for (name, sentence) in [
        ("mosquito", "did you mean mosquitto?"),
        (&missing, "'no-such-program' is not on the PATH"),
        (&ends, "X was launched and ended with exit status"),
        (&silent, "did not answer within 1 s"),
        (&bare, "does not say how to launch it"),
        ("/no/such/file.toml", "cannot read /no/such/file.toml"),
    ] {
        let output = conformance(&["--launch", name]);
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{name}: {stderr}");
        assert!(stderr.contains(sentence) && stderr.trim_end().lines().count() == 1, "{name}: {stderr}");
    }
}

/// The processes whose words hold this, with their numbers.
fn running(word: &str) -> Vec<(String, String)> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let words = entries.filter_map(|entry| {
        let words = std::fs::read(entry.path().join("cmdline")).ok()?;
        Some((entry.file_name().display().to_string(), String::from_utf8_lossy(&words).replace('\0', " ")))
    });
    words.filter(|(_, words)| words.contains(word)).collect()
}

/// An audit of a Mosquitto that its own folder tells from all others.
struct Marked {
    folder: tempfile::TempDir,
    audit: Stopped,
}

impl Marked {
    /// `None` where there is no mosquitto, or no /proc to see it in.
    fn start(more: &str, filters: &[&str]) -> Option<Marked> {
        if !Path::new("/proc/self/cmdline").exists() || !is_there("mosquitto") {
            eprintln!("skipped: there is no mosquitto, or no /proc to see it in");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark").display().to_string();
        let profile = folder.path().join("marked.toml");
        let text = format!(
            "name = 'Mosquitto'\ntarget = 'a:1'\n[launch]\nprogram = 'mosquitto'\n\
             arguments = ['-c', '{mark}', '-p', '{{port}}']\n{more}"
        );
        std::fs::write(&profile, text).expect("a file");
        std::fs::write(&mark, "user root\n").expect("a file");
        let audit = Command::new(env!("CARGO_BIN_EXE_conformance"))
            .args(["--launch", &profile.display().to_string(), "--mqtt", "5.0"])
            .args(filters)
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let marked = Marked { folder, audit: Stopped(audit.expect("the program starts")) };
        assert!(until(|| !marked.left().is_empty()), "the broker was launched");
        Some(marked)
    }

    /// What still runs of it.
    fn left(&self) -> Vec<(String, String)> {
        let all = running(&self.folder.path().display().to_string()).into_iter();
        all.filter(|(_, words)| !words.contains("--launch")).collect()
    }

    fn signal(&self, name: &str) {
        signal(name, &self.audit.0.id().to_string());
    }
}

fn signal(name: &str, whom: &str) {
    let told = Command::new("kill").args(["-s", name, whom]).status();
    assert!(told.expect("kill is there").success());
}

/// What has not come by then does not come any more.
pub(crate) const HANGS: Duration = Duration::from_secs(20);

/// Whether it comes true in time.
pub(crate) fn until(mut is: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + HANGS;
    while !is() {
        if Instant::now() > deadline {
            return false;
        }
        thread::yield_now();
    }
    true
}

fn an_interrupted_audit_leaves_no_broker_behind() {
    for times in 1..=3 {
        let Some(mut marked) = Marked::start("companions = [['sleep', '1000']]\n", &[]) else { return };
        (0..times).for_each(|_| marked.signal("INT"));
        let status = marked.audit.0.wait().expect("it ends");
        assert_eq!(status.code(), Some(130), "after {times} interruptions");
        assert!(until(|| marked.left().is_empty()), "after {times} interruptions: {:?}", marked.left());
    }
}

fn an_audit_that_is_killed_leaves_no_broker_behind() {
    let Some(mut marked) = Marked::start("", &[]) else { return };
    marked.signal("KILL");
    marked.audit.0.wait().expect("it ends");
    assert!(until(|| marked.left().is_empty()), "{:?}", marked.left());
}

fn a_broker_that_crashes_is_launched_again_and_that_is_told() {
    let Some(mut marked) = Marked::start("", &["MQTT-3.3"]) else { return };
    let mut lines = BufReader::new(marked.audit.0.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    // It is being audited once a test has its verdict.
    assert!(lines.any(|line| line.contains("pass")), "a test ends");
    let brokers = marked.left();
    let (pid, _) = brokers.iter().find(|(_, words)| words.contains("mosquitto -c")).expect("it runs");
    signal("SEGV", pid);
    let text: Vec<_> = lines.collect();
    let status = marked.audit.0.wait().expect("it ends");
    let last = text.last().cloned().unwrap_or_default();
    assert_eq!(status.code(), Some(2), "{last}");
    assert!(last.contains("it crashed while it was audited") && last.contains("signal: 11"), "{last}");
    // Those after it found another one, and those that it took down with it were asked once more.
    let inconclusive = last.split(", ").find_map(|part| part.split_once(" inconclusive")).map(|(count, _)| count);
    assert_eq!(inconclusive, Some("0"), "{last}");
}

/// An audit of a Mosquitto that gets this signal as soon as a client of one test is there, each time that it is launched: all
/// that is printed. `jobs`: as the profile says it.
fn struck(signal: &str, jobs: usize, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("mortal.toml");
    let head = format!("name = 'Mosquitto'\ntarget = 'a:1'\njobs = {jobs}\n");
    let text = r#"
        [launch]
        program = 'mosquitto'
        arguments = ['-c', '{folder}/mosquitto.conf', '-p', '{port}']
        companions = [['sh', '-c', """
            until grep -qs 'connected .*late' "$0/log"; do sleep 0.01; done
            kill -s SIGNAL "$(cat "$0/pid")"
        """, '{folder}']]
        [launch.files]
        'mosquitto.conf' = """
            user root
            pid_file {folder}/pid
            log_dest file {folder}/log
        """
    "#;
    std::fs::write(&profile, head + &text.replace("SIGNAL", signal)).expect("a file");
    let audit = Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args(["--launch", &profile.display().to_string(), "--mqtt", "3.1.1"])
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = String::from_utf8(audit.stdout).expect("text");
    assert_eq!(audit.status.code(), Some(2), "{text}");
    text
}

/// The last line of what an audit prints.
fn last(text: &str) -> &str {
    text.trim_end().lines().last().unwrap_or_default()
}

fn passes(text: &str, test: &str) -> bool {
    text.lines().any(|line| line.starts_with("pass") && line.ends_with(test))
}

fn who_brings_a_broker_down_is_told_with_what_it_sent() {
    if !is_there("mosquitto") {
        eprintln!("skipped: there is no mosquitto");
        return;
    }
    let tests = ["a_client_that_is_a_little_late_is_still_served", "a_pingreq_is_answered", "a_second_connect"];
    let text = struck("SEGV", squall_conformance::profile::JOBS, &tests);
    let last = last(&text);
    // Beside many, beside few, and alone: that is when it is known who did it.
    assert!(last.contains("it crashed 3 times while it was audited: after CONNECT 3.1.1"), "{last}");
    let test = "in 3.1.1 a_client_that_is_a_little_late_is_still_served it ended with signal: 11";
    assert_eq!(last.matches(" it ended with ").count(), 1, "{last}");
    assert!(last.contains(test), "{last}");
    for other in ["a_pingreq_is_answered", "a_second_connect_closes_the_connection"] {
        assert!(passes(&text, other), "{text}");
    }
}

fn who_makes_a_broker_hang_is_told_too() {
    if !is_there("mosquitto") {
        eprintln!("skipped: there is no mosquitto");
        return;
    }
    let tests = ["--patience", "1", "a_client_that_is_a_little_late_is_still_served", "a_second_connect"];
    let text = struck("STOP", 1, &tests);
    let last = last(&text);
    assert!(last.contains("it crashed while it was audited: after "), "{last}");
    let test = "in 3.1.1 a_client_that_is_a_little_late_is_still_served it did not answer CONNECT any more";
    assert!(last.contains(test), "{last}");
    assert!(passes(&text, "a_second_connect_closes_the_connection"), "{text}");
}

/// A profile that launches a Mosquitto as one test wants it, and the folder that it is in: what stands behind `program`, made for that
/// folder. `None` where there is no mosquitto.
fn of_mosquitto(launch: impl FnOnce(&Path) -> String) -> Option<(TempDir, String)> {
    if !is_there("mosquitto") {
        eprintln!("skipped: mosquitto is not on the PATH");
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("own.toml");
    let head = "name = 'Mosquitto'\ntarget = 'a:1'\n[launch]\nprogram = 'mosquitto'\n";
    std::fs::write(&profile, format!("{head}{}", launch(folder.path()))).expect("a file");
    Some((folder, profile.display().to_string()))
}

/// A Mosquitto with two listeners, of which one takes nothing above QoS 0.
fn each_version_is_asked_at_its_own_address() {
    let text = r#"
        arguments = ['-c', '{folder}/mosquitto.conf']
        targets = { '3.1.1' = '127.0.0.1:{spare}' }
        [launch.files]
        'mosquitto.conf' = """
            user root
            allow_anonymous true
            listener {port} 127.0.0.1
            max_qos 0
            listener {spare} 127.0.0.1
        """
        [launch.setups.qos_0]
    "#;
    let Some((_folder, profile)) = of_mosquitto(|_| text.to_owned()) else { return };
    let (above, first) = ("a_will_above_the_maximum_qos_is_refused", "dup_is_not_passed_on");
    let report = report(&conformance(&["--launch", &profile, "--report", "json=-", above, first]));
    let spoken = report.run.mqtt.iter().map(|entry| (entry.version.as_str(), entry.spoken));
    assert_eq!(spoken.collect::<Vec<_>>(), [("3.1.1", true), ("5.0", true)]);
    assert_eq!(verdict(&report, "5.0", above).0, "pass");
    assert_eq!(verdict(&report, "3.1.1", first).0, "pass");
    assert_ne!(verdict(&report, "5.0", first).0, "pass");
}

/// A Mosquitto that turns everybody away, where a server is wanted at which one comes in by an exchange.
fn who_lets_nobody_in_by_connect_alone_is_there() {
    let text = r#"
        arguments = ['-c', '{folder}/mosquitto.conf']
        [launch.files]
        'mosquitto.conf' = """
            user root
            listener {port} 127.0.0.1
            allow_anonymous {anonymous}
        """
        [launch.values]
        anonymous = 'true'
        [launch.setups.enhanced]
        values = { anonymous = 'false' }
    "#;
    let Some((_folder, profile)) = of_mosquitto(|_| text.to_owned()) else { return };
    let test = "auth_and_connack_repeat_the_method";
    let words = ["--launch", &profile, "--mqtt", "5.0", "--report", "json=-", test];
    let (seen, reason) = verdict(&report(&conformance(&words)), "5.0", test);
    assert_eq!(seen, "inconclusive", "{reason}");
    assert!(reason.contains("expected AUTH") && reason.contains("CONNACK"), "it was asked: {reason}");
}

/// Two setups, each of which is prepared only when the other one is being prepared as well.
fn what_is_run_before_a_broker_holds_nobody_up() {
    let setup = |place: &Path, own: &str, other: &str| {
        let place = place.display();
        let wait = format!("for n in $(seq 1000); do test -e {place}/{other} && exit; sleep 0.01; done; exit 1");
        format!("[launch.setups.{own}]\nprepare = [['sh', '-c', 'touch {place}/{own}; {wait}']]\n")
    };
    let launch = |place: &Path| {
        let setups = [setup(place, "no_shared", "no_wildcards"), setup(place, "no_wildcards", "no_shared")];
        format!("arguments = ['-p', '{{port}}']\n{}", setups.concat())
    };
    let Some((_folder, profile)) = of_mosquitto(launch) else { return };
    let tests = ["a_wildcard_is_refused_where_there_are_none", "a_shared_subscription_is_refused_where_there_are_none"];
    let mut words = vec!["--launch", &profile, "--mqtt", "5.0", "--report", "json=-"];
    words.extend(tests);
    let report = report(&conformance(&words));
    for test in tests {
        let (seen, reason) = verdict(&report, "5.0", test);
        assert_ne!(seen, "inconclusive", "{test}: {reason}");
    }
}

/// Each counts who started before it and still runs; none of them ever answers.
fn few_brokers_start_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let (started, counted) = (folder.path().join("started"), folder.path().join("counted"));
    let script = format!(
        "echo $$ >> {started}; for other in $(cat {started}); do kill -0 $other 2>/dev/null && echo; done | wc -l >> {counted}; \
         exec sleep 600",
        started = started.display(),
        counted = counted.display(),
    );
    let profile = format!(
        "name = 'Slow'\ntarget = 'a:1'\n[launch]\nprogram = 'sh'\narguments = ['-c', '{script}']\nseconds = 1\n"
    );
    let profile = Profile::parse(&profile).expect("a profile");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let launcher = Rc::new(Launcher::new(&profile, &[Version::V5_0]).expect("it says how it is launched"));
        let mut starts = JoinSet::new();
        for _ in 0..9 {
            let launcher = Rc::clone(&launcher);
            starts.spawn_local(async move { launcher.instance(Setup::Plain, Isolation::Own).await.map(drop) });
        }
        while let Some(end) = starts.join_next().await {
            let told = end.expect("no panic").expect_err("nobody answers");
            assert!(told.contains("did not answer within 1 s"), "{told}");
        }
    });
    let counted = fs::read_to_string(&counted).expect("they have counted");
    let counted: Vec<usize> = counted.split_whitespace().map(|count| count.parse().expect("a number")).collect();
    assert_eq!(counted.len(), 9, "{counted:?}");
    assert!(counted.iter().all(|count| *count <= 4), "{counted:?} ran beside each other");
}

/// A Mosquitto that starts again only when it may; meanwhile somebody takes its connections and serves none.
fn a_broker_is_back_when_it_answers_connect() {
    let script = |place: &Path| {
        let place = place.display();
        format!(
            "if test -e {place}/before; then touch {place}/again; until test -e {place}/may; do sleep 0.01; done; fi; \
             touch {place}/before; exec mosquitto -p {{port}}"
        )
    };
    let launch = |place: &Path| format!("arguments = ['-c', '{}']\n", script(place));
    let Some((folder, profile)) = of_mosquitto(launch) else { return };
    let profile = fs::read_to_string(profile).expect("it was written").replace("'mosquitto'", "'sh'");
    let profile = Profile::parse(&profile).expect("a profile");
    let there = |name: &str| folder.path().join(name).exists();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let launcher = Launcher::new(&profile, &[Version::V5_0]).expect("it says how it is launched");
        let instance = launcher.instance(Setup::Plain, Isolation::Own).await.expect("it starts");
        let address = instance.subject().dialer(Version::V5_0).address();
        let impostor = async {
            while !there("again") {
                tokio::task::yield_now().await;
            }
            let listener = tokio::net::TcpListener::bind(address).await.expect("the port is free");
            for _ in 0..3 {
                drop(listener.accept().await.expect("somebody asks"));
            }
            drop(listener);
            fs::write(folder.path().join("may"), "").expect("a file");
        };
        let back = async {
            let crash = Outage { how: Stop::Crash, down: Duration::ZERO };
            instance.outage(crash).await.expect("it comes back");
            assert!(there("may"), "it was said to be back before it was started");
        };
        tokio::join!(impostor, back);
        assert!(instance.subject().answers().await, "it is back");
    });
}
