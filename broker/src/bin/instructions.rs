//! How many instructions the codec and the core take for one packet, counted by callgrind: a measure that a busy machine
//! does not disturb.
//!
//! `instructions check` counts, and compares with the figures in `reports/bench/instructions.txt`: more than 5 % above or
//! below is a failure. It is skipped, and says why, where there is no valgrind, or another compiler, C library or kind of
//! processor than the figures name. `instructions bless` writes the figures. Without an argument the operations are run
//! once, which is what callgrind looks at.

use std::{
    collections::VecDeque,
    fmt::Write,
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use bytes::{Bytes, BytesMut};
use squall_broker::core::{
    HashKey,
    broker::Broker,
    config::Config,
    effect::{AuthenticationOutcome, ConnectionId, Effect, Input, PeerInfo},
};
use squall_codec::{
    packet::{Ack, Connect, Packet, Publish, Subscribe, Subscription, Will},
    property::{Properties, Property},
    qos::Qos,
    reason::Side,
    stream::Decoder,
    time::Now,
    topic::{TopicFilter, TopicName},
    version::Version::{self, V3_1_1, V5_0},
    wire::{PacketId, Text},
};

/// So often that what happens only once does not show.
const TIMES: u64 = 200;
const TOLERANCE_PERCENT: f64 = 5.0;

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        None => {
            operations().into_iter().for_each(|(_, mut operation)| measured(&mut *operation));
            return ExitCode::SUCCESS;
        }
        Some("check") => check(),
        Some("bless") => bless(),
        Some(_) => Err("usage: instructions [check|bless]".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Callgrind counts in here and nowhere else.
#[inline(never)]
fn measured(operation: &mut dyn FnMut()) {
    for _ in 0..TIMES {
        operation();
    }
}

type Operation = (String, Box<dyn FnMut()>);

fn operations() -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    for (name, version, packet) in packets() {
        let mut out = BytesMut::new();
        packet.encode(version, &mut out).expect("a packet of this version");
        let read = Bytes::from(out.repeat(100));
        let whole = read.clone();
        operations.push((format!("codec: decode 100 {name}"), Box::new(move || decode(version, [&whole[..]]))));
        if let Packet::Publish(_) = packet {
            let name = format!("codec: decode 100 {name}, in pieces of 64 B");
            operations.push((name, Box::new(move || decode(version, read.chunks(64)))));
        }
        let mut out = BytesMut::with_capacity(4096);
        operations.push((
            format!("codec: encode {name}"),
            Box::new(move || {
                out.clear();
                black_box(&packet).encode(version, &mut out).expect("a packet of this version");
            }),
        ));
    }
    let message = Publish::new(&TopicName::literal("fleet/7/vehicle/1234/position"), [b'x'; 64]);
    let mut world = World::new(50, Qos::AtMostOnce);
    let fan_out = message.clone();
    operations
        .push(("core: PUBLISH QoS 0 to 50 subscribers".into(), Box::new(move || world.publish(fan_out.clone(), 50))));
    let mut world = World::new(1, Qos::AtLeastOnce);
    let one_to_one = message.at(Qos::AtLeastOnce, Some(PacketId::MIN));
    operations.push((
        "core: PUBLISH QoS 1 to 1 subscriber, acknowledged".into(),
        Box::new(move || world.publish(one_to_one.clone(), 1)),
    ));
    operations
}

/// Five that say most.
fn packets() -> Vec<(&'static str, Version, Packet)> {
    let publish = Publish::new(&TopicName::literal("fleet/7/vehicle/1234/position"), [b'x'; 64]);
    let properties = Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::ContentType(Text::literal("application/json")))
        .with(Property::ResponseTopic(Text::literal("fleet/7/answers")))
        .with(Property::CorrelationData(Bytes::from_static(&[7; 16])))
        .with(Property::UserProperty((Text::literal("trace"), Text::literal("4bf92f3577b34da6"))));
    let mut connect = Connect::new(V5_0, Text::literal("vehicle-1234"));
    connect.set_username(Some(Text::literal("vehicle")));
    connect.set_password(Some(Bytes::from_static(b"secret")));
    connect.set_properties(Properties::new().with(Property::SessionExpiryInterval(3600)));
    connect.set_will(Some(Will {
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: TopicName::literal("fleet/7/vehicle/1234/state"),
        payload: Bytes::from_static(b"offline"),
        properties: Properties::new().with(Property::WillDelayInterval(30)),
    }));
    vec![
        ("PUBLISH 3.1.1", V3_1_1, Packet::Publish(publish.clone())),
        ("PUBLISH 5.0 with 5 properties", V5_0, Packet::Publish(publish.with_properties(&properties))),
        ("CONNECT 5.0 with a will", V5_0, Packet::Connect(connect)),
        ("SUBSCRIBE 5.0 with 8 filters", V5_0, subscribe(8, Qos::AtLeastOnce)),
        ("PUBACK 5.0", V5_0, Packet::Puback(Ack::new(PacketId::MIN))),
    ]
}

fn subscribe(filters: usize, qos: Qos) -> Packet {
    let filters = (0..filters).map(|n| TopicFilter::try_from(&*format!("fleet/{n}/+/position")).expect("a filter"));
    let subscriptions = filters.map(|filter| Subscription::new(filter, qos)).collect();
    Packet::Subscribe(Subscribe::new(PacketId::MIN, subscriptions))
}

fn decode<'a>(version: Version, pieces: impl IntoIterator<Item = &'a [u8]>) {
    let mut decoder = Decoder::new(Side::Client, Some(version), u32::MAX);
    for piece in pieces {
        decoder.extend(piece);
        while let Some(packet) = decoder.next_packet().expect("well-formed") {
            black_box(packet);
        }
    }
}

/// A core whose clients acknowledge at once and whose store keeps at once.
struct World {
    broker: Broker,
    inputs: VecDeque<Input>,
    delivered: usize,
}

const PUBLISHER: ConnectionId = ConnectionId(0);

impl World {
    fn new(subscribers: u64, qos: Qos) -> Self {
        let broker = Broker::new(Now::default(), Config::default(), HashKey([7, 11]));
        let mut world = World { broker, inputs: VecDeque::new(), delivered: 0 };
        world.connect(PUBLISHER);
        let filter = TopicFilter::literal("fleet/7/vehicle/+/position");
        for connection in (1..=subscribers).map(ConnectionId) {
            world.connect(connection);
            let subscription = Subscription::new(filter.clone(), qos);
            world.give(connection, Packet::Subscribe(Subscribe::new(PacketId::MIN, vec![subscription])));
        }
        world
    }

    fn connect(&mut self, connection: ConnectionId) {
        self.inputs.push_back(Input::Opened { connection, peer: PeerInfo::default() });
        let client_id = Text::new(format!("client-{}", connection.0)).expect("a Client Identifier");
        self.give(connection, Packet::Connect(Connect::new(V3_1_1, client_id)));
    }

    fn publish(&mut self, message: Publish, deliveries: usize) {
        self.delivered = 0;
        self.give(PUBLISHER, Packet::Publish(message));
        assert_eq!(self.delivered, deliveries, "each subscriber gets the message");
    }

    /// A packet comes, and all that follows from it happens.
    fn give(&mut self, connection: ConnectionId, packet: Packet) {
        self.inputs.push_back(Input::Packet { connection, packet });
        while let Some(input) = self.inputs.pop_front() {
            for effect in self.broker.handle(Now::default(), input) {
                match effect {
                    Effect::Send { connection, version, packet } => {
                        let bytes = packet.encoded_len(version);
                        self.inputs.push_back(Input::Flushed { connection, bytes });
                        if let Packet::Publish(publish) = packet {
                            self.delivered += 1;
                            let answer = publish.packet_id.map(|id| Packet::Puback(Ack::new(id)));
                            self.inputs.extend(answer.map(|packet| Input::Packet { connection, packet }));
                        }
                    }
                    Effect::Authenticate { connection, .. } => {
                        let outcome = AuthenticationOutcome::Allowed { user: None, data: None };
                        self.inputs.push_back(Input::Authenticated { connection, outcome });
                    }
                    Effect::Persist { seq, .. } => self.inputs.push_back(Input::Persisted { up_to: seq }),
                    Effect::Close { cause, .. } => panic!("nobody is to be closed: {cause}"),
                    Effect::Pause { .. } | Effect::Resume { .. } | Effect::Continue { .. } => {}
                }
            }
        }
    }
}

/// The figures that are committed, and what they were counted with.
fn figures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/bench/instructions.txt")
}

/// What has to be the same for counts to be the same.
fn surroundings() -> Vec<String> {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or("unknown").to_owned()
    };
    vec![
        format!("compiler: {}", said("rustc", "--version")),
        format!("C library: {}", said("ldd", "--version")),
        format!("processor: {}", std::env::consts::ARCH),
    ]
}

type Counts = Vec<(String, f64)>;

fn check() -> Result<(), String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("SKIPPED: instruction counts: there is no valgrind on the PATH");
        return Ok(());
    }
    let text = fs::read_to_string(figures()).map_err(|error| format!("{}: {error}", figures().display()))?;
    let headings: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    if let Some(other) = surroundings().iter().find(|line| !headings.contains(&line.as_str())) {
        println!("SKIPPED: instruction counts: the figures were not counted with this {other}");
        return Ok(());
    }
    let known: Vec<_> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('\t')).collect();
    let mut complaints = Vec::new();
    for (name, count) in count()? {
        let before = known.iter().find(|(_, known)| *known == name).and_then(|(count, _)| count.parse::<f64>().ok());
        let Some(before) = before else {
            complaints.push(format!("{name} has no figure"));
            continue;
        };
        let change = (count / before - 1.0) * 100.0;
        println!("{count:>9.0} instructions, {change:+5.1} %: {name}");
        if change.abs() > TOLERANCE_PERCENT {
            complaints.push(format!("{name}: {count:.0} instructions instead of {before:.0}"));
        }
    }
    match complaints.as_slice() {
        [] => Ok(()),
        _ => Err(format!(
            "{}\nWhat got cheaper or is meant to cost more is written down with `instructions bless`",
            complaints.join("\n")
        )),
    }
}

fn bless() -> Result<(), String> {
    let mut text = String::new();
    for line in surroundings() {
        let _ = writeln!(text, "# {line}");
    }
    for (name, count) in count()? {
        let _ = writeln!(text, "{count:.0}\t{name}");
    }
    fs::write(figures(), text).map_err(|error| format!("{}: {error}", figures().display()))
}

/// Runs this program once under callgrind, which writes its totals each time `measured` ends.
fn count() -> Result<Counts, String> {
    let folder = std::env::temp_dir().join(format!("squall-instructions-{}", std::process::id()));
    let counted = count_in(&folder);
    let _ = fs::remove_dir_all(&folder);
    counted
}

fn count_in(folder: &Path) -> Result<Counts, String> {
    let failed = |error: std::io::Error| format!("callgrind: {error}");
    fs::create_dir_all(folder).map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=instructions::measured", "--dump-after=instructions::measured"])
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(program)
        // One way to copy memory, whatever this processor could do.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-AVX,-AVX512F,-ERMS,-FSRM")
        .output()
        .map_err(failed)?;
    if !output.status.success() {
        return Err(format!("callgrind: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut counts = Vec::new();
    for (index, (name, _)) in operations().into_iter().enumerate() {
        let dump = folder.join(format!("out.{}", index + 1));
        let text = fs::read_to_string(&dump).map_err(|error| format!("{}: {error}", dump.display()))?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<u64>().ok());
        counts.push((name, total.ok_or("callgrind wrote no totals")? as f64 / TIMES as f64));
    }
    Ok(counts)
}
