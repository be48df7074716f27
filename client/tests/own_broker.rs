//! The program against the project's own broker: two processes that know each other by the protocol alone.

use std::{
    io::{BufRead, BufReader, Lines},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use squall_client::{
    core::effect::Event,
    net::{connector::TcpConnector, driver::start},
    options::Options,
};
use squall_codec::{
    packet::Subscription, property::Properties, qos::Qos, reason::ReasonCode, topic::TopicFilter, version::Version,
    wire::Text,
};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// A broker of its own; it ends with its test.
struct Broker {
    child: Child,
    port: u16,
    /// Standard output: closed, it could end the broker.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Beside the client's program; built where nobody has built it yet.
fn broker_program() -> PathBuf {
    let client = PathBuf::from(env!("CARGO_BIN_EXE_client"));
    let program = client.with_file_name(format!("broker{}", std::env::consts::EXE_SUFFIX));
    if !program.is_file() {
        let built = Command::new(env!("CARGO")).args(["build", "-p", "squall-broker", "--bin", "broker"]).status();
        assert!(built.expect("cargo runs").success(), "the broker can be built");
    }
    program
}

impl Broker {
    fn start() -> Broker {
        let mut command = Command::new(broker_program());
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the broker starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let port =
            lines.by_ref().find_map(|line| port_in(&line.expect("text"))).expect("the broker says where it listens");
        Broker { child, port, _said: lines }
    }

    fn run(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.args(arguments).args(["-p", &self.port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }
}

/// The port behind the first `127.0.0.1:` of a line.
fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

async fn finished(child: Child) -> Output {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    timeout(PATIENCE, output).await.expect("the program ends in time").expect("no panic").expect("it ends")
}

#[tokio::test]
async fn request_is_answered_over_the_projects_broker() {
    let broker = Broker::start();
    let server = TcpConnector { host: "127.0.0.1".to_owned(), port: broker.port };
    let options = Options::new(Version::V5_0, Text::literal("responder"));
    let (handle, _messages, mut events, driver) = start(options, server, 1);
    tokio::spawn(driver);
    assert!(matches!(timeout(PATIENCE, events.next()).await, Ok(Some(Event::Connected { .. }))));
    let wanted = vec![Subscription::new(TopicFilter::literal("ask/+"), Qos::AtLeastOnce)];
    let mut questions = handle.stream(wanted, Properties::new()).await.expect("granted");
    for (qos, question) in [("0", "one"), ("1", "two"), ("2", "three")] {
        let child = broker.run(&["request", "-t", "ask/me", "-m", question, "-q", qos, "-W", "30"]);
        let asked = timeout(PATIENCE, questions.next()).await.expect("in time").expect("it runs");
        assert_eq!(asked.payload(), question.as_bytes());
        handle.respond(&asked, format!("{question}!")).await.expect("answered");
        let output = finished(child).await;
        let seen = (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned());
        assert_eq!(seen, (Some(0), format!("{question}!\n")), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = finished(broker.run(&["request", "-t", "nobody", "-m", "?", "-q", "1", "-W", "30"])).await;
    let seen = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*seen), (Some(1), "error: nobody listens to 'nobody'\n"));
    handle.disconnect(ReasonCode::NORMAL_DISCONNECTION, None).await;
}

#[tokio::test]
async fn what_pub_leaves_behind_sub_prints() {
    let broker = Broker::start();
    for (version, payload) in [("3.1", "a"), ("3.1.1", "b"), ("5", "c")] {
        let output =
            finished(broker.run(&["pub", "-t", "kept/x", "-m", payload, "-q", "2", "-r", "-V", version])).await;
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let line = ["sub", "-t", "kept/#", "-q", "2", "-C", "1", "-W", "30", "-V", version, "-F", "%-8t|%q|%r|%3p"];
        let output = finished(broker.run(&line)).await;
        let seen = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.code(), &*seen), (Some(0), &*format!("kept/x  |2|1|  {payload}\n")), "{version}");
    }
}

#[tokio::test]
async fn a_load_at_qos_1_is_received_in_full() {
    let broker = Broker::start();
    let line = ["bench", "--shape", "2:2", "-q", "1", "-n", "400", "--json", "--quiet", "--drain", "30"];
    let output = finished(broker.run(&line)).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    for (pointer, expected) in
        [("/publish/acknowledged", 400), ("/receive/messages", 800), ("/receive/lost", 0), ("/receive/duplicates", 0)]
    {
        let seen = report.pointer(pointer).and_then(serde_json::Value::as_u64);
        assert_eq!(seen, Some(expected), "{pointer}: {report:#}");
    }
    assert_eq!(output.status.code(), Some(0));
}

/// What comes first, retained, is the same for both.
#[tokio::test]
async fn the_forms_of_sub_are_those_of_mosquitto_sub() {
    let theirs = "mosquitto_sub";
    if Command::new(theirs).arg("--help").output().is_err() {
        eprintln!("skipped: no mosquitto_sub on this machine");
        return;
    }
    let broker = Broker::start();
    let line = ["pub", "-t", "home/door", "-m", "ajar", "-q", "1", "-r", "-D", "publish", "content-type", "text/plain"];
    let line = [&line[..], &["-D", "publish", "user-property", "who", "ann"]].concat();
    assert_eq!(finished(broker.run(&line)).await.status.code(), Some(0));
    for format in [
        "%t|%p|%q|%r|%l|%m|%x|%X|%C|%P|%%|@@",
        "%12t|%-12t|%.4t|%6.4t|%-6.4t|",
        "%6l|%06l|%-6l|%5m|%05m|",
        "%14C|%-14C|%.4C|%7p|%-7p|",
        // Theirs keeps no width for a text that is not there (`%5R`), ours does.
        "%R|%E|%F|%S|%4E|%5F|",
        "@Y-@m-@d|@j|@y|@a|@A|@b|@B|@z|@x|",
        r"a\tb\\c\ad\e",
    ] {
        let common = ["-t", "home/#", "-q", "1", "-C", "1", "-W", "30", "-F", format, "-V"];
        let mut command = Command::new(theirs);
        command.args(common).args(["mqttv5", "-p", &broker.port.to_string()]).env("TZ", "EST5");
        let theirs = finished(command.stdout(Stdio::piped()).spawn().expect("it starts")).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command.arg("sub").args(common).args(["5", "-p", &broker.port.to_string()]).env("TZ", "EST5");
        let ours = finished(command.stdout(Stdio::piped()).spawn().expect("it starts")).await;
        let text = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text(&ours), text(&theirs), "{format}");
        assert!(!ours.stdout.is_empty(), "{format}");
    }
}
