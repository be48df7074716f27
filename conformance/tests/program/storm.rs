//! Storms at real sockets: an honest broker comes through, broken ones are noticed, and a seed is the same storm each time.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
    rc::Rc,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;
use squall_broker::{
    core::HashKey,
    net::{
        listener::ListenerOptions,
        server::{Server, ServerOptions},
    },
};
use squall_scenarios::{
    frames::FrameSplitter,
    liar::{Direction, Liar, Lie},
    plan::Plan,
};
use squall_sim::{
    events::storm::{StormOptions, play as virtually},
    invariants::at_edge::{Allowance, judge},
    scribe::Scribe,
    storm::{
        broken::{self, Broken},
        fit::{Offer, fit},
        generate,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        Notify,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
    task::{JoinSet, LocalSet, spawn_local},
};

pub(crate) const TESTS: &[crate::Test] = tests![
    an_honest_broker_comes_through_and_a_seed_is_one_storm,
    a_fault_waits_for_its_packet,
    broken_brokers_are_noticed_and_the_trace_can_be_drawn,
    a_server_that_is_launched_is_taken_down_and_has_to_come_back_with_what_it_had,
    a_server_that_does_not_come_back_leaves_its_storm_open,
    a_server_that_does_not_outlive_a_storm_is_told_of,
    where_nobody_listens_one_sentence_says_so,
];

/// Our broker at a port of its own, behind a filter if there is one. It ends with the process.
pub(crate) fn broker(broken: Option<&'static Broken>) -> SocketAddr {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let mut server = Server::new(ServerOptions::new(HashKey([1, 2]), Duration::from_secs(1_800_000_000)));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            let honest = listener.local_addr().expect("it is bound");
            server.listen(listener, ListenerOptions::named("honest"));
            let front = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            let lying = front.local_addr().expect("it is bound");
            if let Some(broken) = broken {
                spawn_local(Proxy::new(broken.filter()).run(front, honest));
            }
            sender.send(if broken.is_some() { lying } else { honest }).expect("someone waits for the address");
            server.run(std::future::pending()).await.expect("the listener accepts");
        });
    });
    receiver.recv().expect("the broker starts")
}

/// A filter between sockets.
struct Proxy {
    liar: Box<dyn Liar>,
    /// Where the bytes for the server and for the client go; `None` is the end.
    ends: BTreeMap<u64, [UnboundedSender<Option<Bytes>>; 2]>,
}

impl Proxy {
    fn new(liar: Box<dyn Liar>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Proxy { liar, ends: BTreeMap::new() }))
    }

    fn carry_out(&self, lies: Vec<Lie>) {
        for lie in lies {
            match lie {
                Lie::Frame(connection, direction, bytes) => self.send(connection, direction, Some(bytes)),
                Lie::Close(connection) => {
                    self.send(connection, Direction::ToServer, None);
                    self.send(connection, Direction::ToClient, None);
                }
            }
        }
    }

    fn send(&self, connection: u64, direction: Direction, bytes: Option<Bytes>) {
        if let Some(ends) = self.ends.get(&connection) {
            let _ = ends[direction as usize].send(bytes);
        }
    }
}

trait Run {
    async fn run(self, front: TcpListener, behind: SocketAddr);
}

impl Run for Rc<RefCell<Proxy>> {
    async fn run(self, front: TcpListener, behind: SocketAddr) {
        for connection in 0.. {
            let (client, _) = front.accept().await.expect("the listener accepts");
            let server = TcpStream::connect(behind).await.expect("the broker accepts");
            client.set_nodelay(true).expect("a TCP socket");
            server.set_nodelay(true).expect("a TCP socket");
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let (server_end, server_bytes) = unbounded_channel();
            let (client_end, client_bytes) = unbounded_channel();
            self.borrow_mut().ends.insert(connection, [server_end, client_end]);
            self.borrow_mut().liar.opened(Duration::ZERO, connection);
            spawn_local(write(to_server, server_bytes));
            spawn_local(write(to_client, client_bytes));
            spawn_local(read(Rc::clone(&self), connection, Direction::ToServer, from_client));
            spawn_local(read(Rc::clone(&self), connection, Direction::ToClient, from_server));
        }
    }
}

async fn write(mut half: OwnedWriteHalf, mut bytes: UnboundedReceiver<Option<Bytes>>) {
    while let Some(Some(bytes)) = bytes.recv().await {
        if half.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

async fn read(proxy: Rc<RefCell<Proxy>>, connection: u64, direction: Direction, mut half: OwnedReadHalf) {
    let (mut frames, mut buffer) = (FrameSplitter::default(), vec![0; 16 * 1024]);
    loop {
        let length = half.read(&mut buffer).await.unwrap_or(0);
        let mut out = Vec::new();
        let mut proxy = proxy.borrow_mut();
        if length == 0 {
            if proxy.liar.ended(Duration::ZERO, connection, direction, &mut out) {
                proxy.send(connection, direction, None);
            }
            return proxy.carry_out(out);
        }
        frames.extend(&buffer[..length]);
        while let Some(frame) = frames.next_frame() {
            proxy.liar.frame(Duration::ZERO, connection, direction, frame, &mut out);
        }
        proxy.carry_out(out);
    }
}

/// The first seconds of a storm.
fn beginning(seed: u64) -> Plan {
    let mut plan = fit(&generate::plan(seed), &Offer::default()).plan;
    plan.lasts = Duration::from_secs(4);
    plan.calm = Duration::from_secs(15);
    plan.steps.retain(|step| step.at < plan.lasts);
    plan
}

fn written(plan: &Plan, folder: &Path) -> PathBuf {
    let file = folder.join(format!("{}.yaml", plan.seed));
    std::fs::write(&file, plan.to_script()).expect("a file");
    file
}

fn storm(address: SocketAddr, words: &[&str], folder: &Path) -> (Option<i32>, Value, String) {
    storm_at(["--target", &address.to_string()], words, folder)
}

fn storm_at(server: [&str; 2], words: &[&str], folder: &Path) -> (Option<i32>, Value, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_conformance"))
        .args(["storm", "--json", "--patience", "2", "--traces"])
        .arg(folder)
        .args(server)
        .args(words)
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&stderr).into_owned();
    (status.code(), serde_json::from_slice(&stdout).unwrap_or_default(), errors)
}

/// What waits for a session while it is away outlives a restart, and a kill.
const TAKEN_DOWN: &str = "\
title: a session while the broker is taken down twice
actors: { anna: client, bela: client }
storm:
  lasts: 4s
  calm: 15s
  steps:
    - { at: 0s, anna: { connect: { version: \"5.0\", clean_start: false, session_expiry: 60s, keep_alive: 1s, reconnect: { after: 50ms } } } }
    - { at: 0s, bela: { connect: { version: \"3.1.1\", clean_start: false, keep_alive: 1s, reconnect: { after: 50ms } } } }
    - { at: 300ms, anna: { subscribe: { filter: t, qos: 2 } } }
    - { at: 600ms, world: { restart: { down: 200ms } } }
    - { at: 1s, bela: { publish: { topic: t, payload: behind a restart, qos: 2 } } }
    - { at: 2s, world: { crash: { down: 200ms } } }
    - { at: 2500ms, bela: { publish: { topic: t, payload: behind a kill, qos: 1 } } }
";

/// This plan at our own broker, launched by its profile with one thing changed; `None` where its program is not there.
fn launched(plan: &str, change: (&str, &str), folder: &Path) -> Option<(Option<i32>, Value, String)> {
    let conformance = Path::new(env!("CARGO_BIN_EXE_conformance"));
    if !conformance.with_file_name("broker").is_file() {
        eprintln!("skipped: the program broker is not there");
        return None;
    }
    let (profile, file) = (folder.join("squall.toml"), folder.join("plan.yaml"));
    let text = include_str!("../../brokers/squall.toml");
    assert!(text.contains(change.0), "the profile has it");
    std::fs::write(&profile, text.replace(change.0, change.1)).expect("a file");
    std::fs::write(&file, plan).expect("a file");
    Some(storm_at(["--launch", at(&profile)], &["--plan", at(&file)], folder))
}

/// What a server that is launched has of its own.
const SETTINGS: &str = "settings of the broker: it is as it is";

fn left_out(report: &Value) -> Vec<&str> {
    report["left_out"].as_object().into_iter().flatten().map(|(what, _)| what.as_str()).collect()
}

/// Where the server's store is, in its profile.
const STORE: &str = "values = { store = 'dir = \"data\"' }";

fn a_server_that_is_launched_is_taken_down_and_has_to_come_back_with_what_it_had() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some((status, report, errors)) = launched(TAKEN_DOWN, (STORE, STORE), folder.path()) else { return };
    assert_eq!(status, Some(0), "{report:#} {errors}");
    assert_eq!(left_out(&report), [SETTINGS], "{report:#}");
    let storm = &report["storms"][0];
    assert!(storm["connections"].as_u64() >= Some(6), "each comes back twice: {report:#}");
    assert_eq!([&storm["published"], &storm["delivered"]], [2, 2], "{report:#}");

    // One that keeps nothing is not killed, for no session would outlive that; it restarts, and is judged by that.
    let Some((status, report, errors)) = launched(TAKEN_DOWN, (STORE, ""), folder.path()) else { return };
    assert_eq!(status, Some(1), "{report:#} {errors}");
    let instead = "kills and power failures of the broker: it restarts instead";
    assert_eq!(left_out(&report), [instead, SETTINGS], "{report:#}");
    let breaches = report["storms"][0]["breaches"].as_array().expect("what does not hold");
    assert!(breaches.iter().any(|breach| breach["invariant"] == "session present"), "{report:#}");
}

fn a_server_that_does_not_come_back_leaves_its_storm_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let conformance = Path::new(env!("CARGO_BIN_EXE_conformance"));
    let program = (
        "program = \"broker\"\narguments = [\"--config\", \"{folder}/broker.toml\"]",
        &format!(
            "program = \"sh\"\narguments = [\"-c\", \"test -e once && exit 3; touch once; exec {} --config broker.toml\"]",
            conformance.with_file_name("broker").display()
        )[..],
    );
    let Some((status, report, errors)) = launched(TAKEN_DOWN, program, folder.path()) else { return };
    assert_eq!(status, Some(2), "{report:#} {errors}");
    let reason = report["unplayed"][0]["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("Squall was started again and ended with exit status: 3"), "{report:#}");
    assert_eq!(report["storms"].as_array().map(Vec::len), Some(0), "{report:#}");
}

fn at(file: &Path) -> &str {
    file.to_str().expect("a plain path")
}

fn an_honest_broker_comes_through_and_a_seed_is_one_storm() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = broker(None);
    let plan = written(&beginning(2), folder.path());
    let plays: Vec<_> = thread::scope(|scope| {
        let play = || scope.spawn(|| storm(address, &["--plan", at(&plan)], folder.path()));
        let plays = [play(), play()];
        plays.into_iter().map(|play| play.join().expect("it is played")).collect()
    });
    for (status, report, errors) in &plays {
        assert_eq!(*status, Some(0), "{report:#} {errors}");
        let storm = &report["storms"][0];
        assert!(storm["accepted"].as_u64() > Some(20), "{report:#}");
        assert!(storm["delivered"].as_u64() > Some(20), "{report:#}");
        assert!(storm["faults_hit"].as_u64() > Some(0), "{report:#}");
    }
    assert_eq!(plays[0].1["storms"][0]["plan"], plays[1].1["storms"][0]["plan"]);
}

/// The first PUBLISH never arrives, and the one on the next connection does.
const MEETS_A_RESET: &str = "\
title: a message that meets a reset
actors: { anna: client }
storm:
  lasts: 2s
  calm: 15s
  steps:
    - { at: 0s, anna: { connect: { version: \"5.0\", clean_start: false, session_expiry: 60s, reconnect: { after: 50ms } } } }
    - { at: 300ms, anna: { subscribe: { filter: t, qos: 1 } } }
    - { at: 300ms, on: { packet: publish, nth: 1, from: anna, pass: before }, world: { reset: { link: anna } } }
    - { at: 1s, anna: { publish: { topic: t, payload: once, qos: 1 } } }
";

fn a_fault_waits_for_its_packet() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("meets_a_reset.yaml");
    std::fs::write(&file, MEETS_A_RESET).expect("a file");
    let (status, report, errors) = storm(broker(None), &["--plan", at(&file)], folder.path());
    assert_eq!(status, Some(0), "{report:#} {errors}");
    let storm = &report["storms"][0];
    assert_eq!([&storm["faults"], &storm["faults_hit"], &storm["delivered"]], [1, 1, 1], "{report:#}");
}

fn broken_brokers_are_noticed_and_the_trace_can_be_drawn() {
    let named = |name: &str| broken::all().find(|broker| broker.name == name).expect("it is in the table");
    thread::scope(|scope| {
        for broken in BROKEN.map(named) {
            scope.spawn(move || {
                let folder = tempfile::tempdir().expect("a folder");
                let seed = (0..100).find(|seed| shows(*seed, broken)).expect("a storm that shows it");
                let plan = written(&beginning(seed), folder.path());
                let (status, report, errors) = storm(broker(Some(broken)), &["--plan", at(&plan)], folder.path());
                assert_eq!(status, Some(1), "{}: {report:#} {errors}", broken.name);
                let storm = &report["storms"][0];
                let found = storm["breaches"].as_array().expect("a list").iter();
                let found: Vec<&str> = found.filter_map(|wrong| wrong["invariant"].as_str()).collect();
                let is_meant = broken.caught_by.iter().any(|invariant| found.contains(&&*invariant.to_string()));
                assert!(is_meant, "{}: {found:?}", broken.name);
                let trace = PathBuf::from(storm["trace"].as_str().expect("a file"));
                let trace = squall_sim::trace::read::load(&trace).unwrap_or_else(|error| panic!("{error}"));
                assert!(!trace.breaches.is_empty());
                assert!(storm["replay"].as_str().expect("a command").contains("conformance storm --target"));
            });
        }
    });
}

/// Brokers that are wrong in one thing each.
const BROKEN: [&str; 5] = [
    "delivers QoS 1 as QoS 0",
    "changes a payload now and then",
    "says that there was a session",
    "never acknowledges a QoS 1 message now and then",
    "loses QoS 2 messages now and then",
];

/// Whether the beginning of a storm shows in virtual time what is wrong.
fn shows(seed: u64, broken: &'static Broken) -> bool {
    let scribe = Rc::new(RefCell::new(Scribe::default()));
    let beside = Some(Rc::clone(&scribe) as Rc<RefCell<_>>);
    let liar = Some(broken.filter());
    let run = virtually(&beginning(seed), StormOptions { liar, beside, is_quiet: true, ..StormOptions::default() });
    let found = judge(scribe.borrow().history(), run.elapsed, &Allowance::default()).at_the_end();
    found.iter().any(|breach| broken.caught_by.contains(&breach.invariant))
}

/// Our broker behind an address that is gone for good once a client has sent these bytes.
fn until_it_hears(word: &'static [u8]) -> SocketAddr {
    let honest = broker(None);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let front = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
            sender.send(front.local_addr().expect("it is bound")).expect("someone waits for the address");
            let heard = Arc::new(Notify::new());
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = tokio::select! {
                    biased;
                    () = heard.notified() => return,
                    accepted = front.accept() => accepted.expect("the listener accepts"),
                };
                let heard = Arc::clone(&heard);
                connections.spawn(async move {
                    let server = TcpStream::connect(honest).await.expect("the broker is there");
                    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                        (client.into_split(), server.into_split());
                    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                        if bytes[..count].windows(word.len()).any(|part| part == word) {
                            return heard.notify_one();
                        }
                        let _ = to_server.write_all(&bytes[..count]).await;
                    }
                    back.abort();
                });
            }
        });
    });
    receiver.recv().expect("it listens")
}

fn a_server_that_does_not_outlive_a_storm_is_told_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let plan = folder.path().join("small.yaml");
    let text = "title: one message too many\nseed: 7\nactors: { alice: client }\nstorm:\n  lasts: 1s\n  calm: 2s\n  steps:\n    \
                - { at: 0s, alice: { connect: { reconnect: { after: 50ms } } } }\n    \
                - { at: 500ms, alice: { publish: { topic: a, payload: the last straw, qos: 1 } } }\n";
    std::fs::write(&plan, text).expect("a file");
    let (status, report, errors) = storm(until_it_hears(b"the last straw"), &["--plan", at(&plan)], folder.path());
    assert_eq!(status, Some(1), "{report:#} {errors}");
    assert!(report["gone"].as_str().is_some_and(|gone| gone.contains("refused")), "{report:#}");
}

fn where_nobody_listens_one_sentence_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port").local_addr().expect("it is bound");
    let (status, report, errors) = storm(free, &["--seed", "1"], folder.path());
    assert_eq!(status, Some(2));
    assert_eq!(report, Value::Null);
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(errors.contains("refused the connection"), "{errors}");
}
