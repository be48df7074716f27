//! What is measured, and how: one row for each question.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use squall_codec::{
    packet::{Disconnect, Packet, Subscribe, Subscription, Unsubscribe},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    wire::PacketId,
};

use super::{
    mill::{self, Load, histogram},
    process::{Running, Server, own_cpu},
    wire::{self, Frame, Stamp, Template, acknowledgement, encoded, frame},
};

/// Payload bytes where nothing else is said.
const SMALL: usize = 64;
/// Subscriptions that one client holds.
const FILTERS_EACH: usize = 5_000;
/// Topics below one prefix of the retained messages.
const BELOW_EACH_PREFIX: usize = 1_000;
/// Connections of the churn that are open at once.
const AT_ONCE: usize = 8;
/// Connections that are held before the idle ones are counted: they pay for what all share.
const FIRST: usize = 100;

/// How long one measurement takes, where that is a matter of choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) load: Duration,
    pub(crate) churn: usize,
    pub(crate) lookups: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Messages as fast as they go.
    Load(Load),
    /// A load at a rate that both bear: only its latency is of interest.
    Paced(Load),
    /// The next message leaves when the last has come.
    OneInFlight(Qos),
    /// Connections that come and go.
    Churn,
    /// Connections that say nothing.
    Idle(usize),
    /// Messages that match two of so many wildcard subscriptions of another client.
    Wildcards(usize),
    /// A load beside so many subscriptions that match nothing of it.
    Unrelated(usize),
    /// So many topics are retained.
    RetainedLoad(usize),
    /// One prefix of so many topics is asked for.
    RetainedLookup(usize),
    /// QoS 1 between sessions in a store on disk, with so many messages in flight.
    Durable(usize),
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    /// Mosquitto has nothing that compares.
    pub(crate) ours_alone: bool,
    /// Measured once: what it counts does not vary, and it takes its time.
    pub(crate) once: bool,
}

/// What one measurement gave; `None` where the row does not ask.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Messages (or connections, or lookups) a second.
    pub(crate) rate: Option<f64>,
    /// CPU of the server for each of them.
    pub(crate) cpu_us: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    /// Messages that should have come and did not, or not in order: the rate is void.
    pub(crate) lost: u64,
    pub(crate) expected: u64,
    pub(crate) resident_bytes_each: Option<f64>,
    /// Parts of one core.
    pub(crate) server_busy: Option<f64>,
    pub(crate) generator_busy: Option<f64>,
}

fn load(publishers: usize, subscribers: usize, qos: Qos, size: usize, window: usize) -> Load {
    let duration = Duration::from_secs(1);
    Load { publishers, subscribers, qos, size, window, rate: None, keeps_sessions: false, duration }
}

/// All rows, in the order of the report.
pub(crate) fn all() -> Vec<Row> {
    let row = |name: String, about, kind| Row { name, about, kind, ours_alone: false, once: false };
    let mut rows = Vec::new();
    let all_qos = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
    for (publishers, subscribers) in [(1, 1), (1, 50), (50, 1)] {
        for qos in all_qos {
            for (size, label) in [(SMALL, "64 B"), (1024, "1 KiB")] {
                let name = format!("{publishers}:{subscribers} QoS {} {label}", qos.bits());
                rows.push(row(name, "deliveries", Kind::Load(load(publishers, subscribers, qos, size, 20))));
            }
        }
    }
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let name = format!("1:1 QoS {} 64 B, 1000 in flight", qos.bits());
        rows.push(row(name, "deliveries", Kind::Load(load(1, 1, qos, SMALL, 1000))));
    }
    for qos in all_qos {
        let name = format!("latency QoS {} one in flight", qos.bits());
        rows.push(row(name, "round trips", Kind::OneInFlight(qos)));
    }
    for qos in all_qos {
        let load = Load { rate: Some(5_000), ..load(1, 1, qos, SMALL, 1000) };
        rows.push(row(format!("latency QoS {} at 5000/s", qos.bits()), "deliveries", Kind::Paced(load)));
    }
    rows.push(row("churn".into(), "connections (CONNECT, CONNACK, DISCONNECT)", Kind::Churn));
    for count in [1_000, 5_000] {
        let row = row(format!("idle {count}"), "connections that say nothing", Kind::Idle(count));
        rows.push(Row { once: true, ..row });
    }
    rows.push(row("wildcards 10000".into(), "deliveries of two filters each", Kind::Wildcards(10_000)));
    for count in UNRELATED {
        rows.push(row(unrelated(count), "deliveries of 1:1 QoS 0 64 B", Kind::Unrelated(count)));
    }
    rows.push(row("retained 100000 load".into(), "retained messages, QoS 1", Kind::RetainedLoad(100_000)));
    rows.push(row(
        "retained 100000 lookup".into(),
        "retained messages by `retained/n/#`, 1000 each",
        Kind::RetainedLookup(100_000),
    ));
    for window in DURABLE {
        let row = row(durable(window), "deliveries of QoS 1, both sessions on disk", Kind::Durable(window));
        rows.push(Row { ours_alone: true, ..row });
    }
    rows
}

/// Subscriptions that a load has nothing to do with: the fewest and the most are compared.
pub(crate) const UNRELATED: [usize; 3] = [10, 1_000, 100_000];

pub(crate) fn unrelated(count: usize) -> String {
    format!("unrelated {count}")
}

/// One message in flight is one commit for each; a window shares them.
pub(crate) const DURABLE: [usize; 2] = [1, 1000];

pub(crate) fn durable(window: usize) -> String {
    format!("durable QoS 1, {window} in flight")
}

/// Measures one row on a server of its own.
pub(crate) fn measure(kind: Kind, server: Server, pace: Pace) -> io::Result<Sample> {
    let folder = tempfile::tempdir()?;
    let data = matches!(kind, Kind::Durable(_)).then_some(folder.path());
    let running = server.start(folder.path(), data)?;
    match kind {
        Kind::Load(load) => through(Load { duration: pace.load, ..load }, &running),
        Kind::Paced(load) => {
            let sample = through(Load { duration: pace.load, ..load }, &running)?;
            Ok(Sample { rate: None, ..sample })
        }
        Kind::OneInFlight(qos) => one_in_flight(qos, pace.load, &running),
        Kind::Churn => churn(pace.churn, &running),
        Kind::Idle(count) => idle(count, &running),
        Kind::Wildcards(count) => wildcards(count, pace.load, &running),
        Kind::Unrelated(count) => {
            let _holders = hold_subscriptions(count, running.address)?;
            through(Load { duration: pace.load, ..load(1, 1, Qos::AtMostOnce, SMALL, 1) }, &running)
        }
        Kind::RetainedLoad(count) => retain(count, &running),
        Kind::RetainedLookup(count) => {
            retain(count, &running)?;
            look_up(count, pace.lookups, &running)
        }
        Kind::Durable(window) => {
            let load = load(1, 1, Qos::AtLeastOnce, SMALL, window);
            through(Load { keeps_sessions: true, duration: pace.load, ..load }, &running)
        }
    }
}

/// CPU from here to there, for each of so many.
struct Meter<'a> {
    server: &'a Running,
    started: Instant,
    server_cpu: Duration,
    own_cpu: Duration,
}

impl<'a> Meter<'a> {
    fn start(server: &'a Running) -> io::Result<Self> {
        Ok(Meter { server, server_cpu: server.cpu()?, own_cpu: own_cpu()?, started: Instant::now() })
    }

    fn stop(self, count: u64) -> io::Result<Sample> {
        let lasted = self.started.elapsed();
        let (server_cpu, own_cpu) = (self.server.cpu()? - self.server_cpu, own_cpu()? - self.own_cpu);
        Ok(sample(count, lasted, server_cpu, own_cpu))
    }
}

fn sample(count: u64, lasted: Duration, server_cpu: Duration, own_cpu: Duration) -> Sample {
    let seconds = lasted.as_secs_f64().max(1e-9);
    Sample {
        rate: Some(count as f64 / seconds),
        cpu_us: Some(server_cpu.as_secs_f64() * 1e6 / count.max(1) as f64),
        expected: count,
        server_busy: Some(server_cpu.as_secs_f64() / seconds),
        generator_busy: Some(own_cpu.as_secs_f64() / seconds),
        ..Sample::default()
    }
}

fn with_latency(sample: Sample, latency: &Histogram<u64>) -> Sample {
    let at = |percentile| Some(latency.value_at_percentile(percentile) as f64 / 1000.0);
    Sample { p50_us: at(50.0), p99_us: at(99.0), ..sample }
}

fn through(load: Load, server: &Running) -> io::Result<Sample> {
    let outcome = mill::run(load, server)?;
    let sample = sample(outcome.delivered, outcome.lasted, outcome.server_cpu, outcome.own_cpu);
    let lost = outcome.expected.abs_diff(outcome.delivered).max(outcome.disordered);
    Ok(Sample { lost, expected: outcome.expected, ..with_latency(sample, &outcome.latency) })
}

/// Reads up to the first frame that is wanted.
fn await_frame(stream: &mut TcpStream, held: &mut Vec<u8>, mut each: impl FnMut(Frame) -> bool) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let mut at = 0;
        while let Some((frame, length)) = frame(&held[at..]) {
            at += length;
            if each(frame) {
                held.drain(..at);
                return Ok(());
            }
        }
        held.drain(..at);
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => held.extend_from_slice(&buffer[..count]),
        }
    }
}

fn is_publish(frame: Frame) -> Option<u16> {
    match frame {
        Frame::Publish { packet_id, .. } => Some(packet_id),
        Frame::Other { .. } => None,
    }
}

/// From the first byte of a PUBLISH to its delivery; the acknowledgements of both ends are not in the latency, and the next
/// message waits for them.
fn one_in_flight(qos: Qos, duration: Duration, server: &Running) -> io::Result<Sample> {
    let mut reader = wire::connect(server.address, "reader", true)?;
    wire::subscribe(&mut reader, std::iter::once("load/+".to_owned()), qos)?;
    let mut writer = wire::connect(server.address, "writer", true)?;
    let template = Template::new("load/0", qos, SMALL, false);
    let (mut read, mut acknowledged) = (Vec::new(), Vec::new());
    let mut latency = histogram();
    let (mut out, mut count) = (Vec::new(), 0);
    let meter = Meter::start(server)?;
    while meter.started.elapsed() < duration {
        out.clear();
        let id = (count % 60_000) as u16 + 1;
        template.write(id, Stamp { publisher: 0, number: count, sent: 0 }, &mut out);
        let is = |wanted: u8| move |frame: Frame| matches!(frame, Frame::Other { first, .. } if first == wanted);
        let sent = Instant::now();
        writer.write_all(&out)?;
        if qos == Qos::ExactlyOnce {
            // A server may hold the message back until it is released.
            await_frame(&mut writer, &mut acknowledged, is(wire::PUBREC))?;
            writer.write_all(&acknowledgement(wire::PUBREL, id))?;
        }
        let mut received = 0;
        await_frame(&mut reader, &mut read, |frame| is_publish(frame).map(|id| received = id).is_some())?;
        let took = u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX);
        latency.saturating_record(took.max(1));
        count += 1;
        match qos {
            Qos::AtMostOnce => {}
            Qos::AtLeastOnce => {
                reader.write_all(&acknowledgement(wire::PUBACK, received))?;
                await_frame(&mut writer, &mut acknowledged, is(wire::PUBACK))?;
            }
            Qos::ExactlyOnce => {
                reader.write_all(&acknowledgement(wire::PUBREC, received))?;
                await_frame(&mut reader, &mut read, is(wire::PUBREL))?;
                reader.write_all(&acknowledgement(wire::PUBCOMP, received))?;
                await_frame(&mut writer, &mut acknowledged, is(wire::PUBCOMP))?;
            }
        }
    }
    Ok(with_latency(meter.stop(count.into())?, &latency))
}

/// A few connections at a time: connected, said goodbye, closed by the server.
fn churn(count: usize, server: &Running) -> io::Result<Sample> {
    let disconnect = encoded(&Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)));
    let mut latency = histogram();
    let meter = Meter::start(server)?;
    for first in (0..count).step_by(AT_ONCE) {
        let mut open = Vec::new();
        for number in first..(first + AT_ONCE).min(count) {
            let before = Instant::now();
            open.push(wire::connect(server.address, &format!("guest-{number}"), true)?);
            latency.saturating_record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1));
        }
        for stream in &mut open {
            stream.write_all(&disconnect)?;
        }
        for stream in &mut open {
            match stream.read(&mut [0; 16]) {
                Ok(0) => {}
                Ok(_) => return Err(io::Error::other("the server says something after DISCONNECT")),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(with_latency(meter.stop(count as u64)?, &latency))
}

fn idle(count: usize, server: &Running) -> io::Result<Sample> {
    // Two open files for each: one here, one there, and those of the server count for the server.
    let room = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(0);
    if room < (count + FIRST + 100) as u64 {
        return Err(io::Error::other(format!("only {room} open files are allowed")));
    }
    let connect = |number: usize| wire::connect(server.address, &format!("idle-{number}"), true);
    let mut streams: Vec<TcpStream> = (0..FIRST).map(connect).collect::<io::Result<_>>()?;
    let before = server.resident()?;
    for number in FIRST..FIRST + count {
        streams.push(connect(number)?);
    }
    let each = server.resident()?.saturating_sub(before) as f64 / count as f64;
    // They are all there.
    for stream in &mut streams {
        stream.write_all(&encoded(&Packet::Pingreq))?;
        stream.read_exact(&mut [0; 2])?;
    }
    Ok(Sample { resident_bytes_each: Some(each), expected: count as u64, ..Sample::default() })
}

/// Filters that nothing of a load matches, held by clients that stay.
fn hold_subscriptions(count: usize, address: SocketAddr) -> io::Result<Vec<TcpStream>> {
    let filter = |number: usize| match number % 3 {
        0 => format!("plant/{number}/+/temperature"),
        1 => format!("plant/{number}/#"),
        _ => format!("plant/+/{number}"),
    };
    (0..count.div_ceil(FILTERS_EACH))
        .map(|holder| {
            let mut stream = wire::connect(address, &format!("holder-{holder}"), true)?;
            let range = holder * FILTERS_EACH..((holder + 1) * FILTERS_EACH).min(count);
            wire::subscribe(&mut stream, range.map(filter), Qos::AtMostOnce)?;
            Ok(stream)
        })
        .collect()
}

/// Half of the filters end in `#`, half hold a `+`; every message matches one of each. QoS 1, a window at a time.
fn wildcards(count: usize, duration: Duration, server: &Running) -> io::Result<Sample> {
    const BATCH: u32 = 20;
    let topics = count / 2;
    let mut readers = Vec::new();
    for (index, ending) in ["#", "+/celsius"].iter().enumerate() {
        let mut reader = wire::connect(server.address, &format!("reader-{index}"), true)?;
        let filters = (0..topics).map(|topic| format!("room/{topic}/{ending}"));
        wire::subscribe(&mut reader, filters, Qos::AtMostOnce)?;
        readers.push((reader, Vec::new()));
    }
    let mut writer = wire::connect(server.address, "writer", true)?;
    let templates: Vec<Template> = (0..topics)
        .map(|topic| Template::new(&format!("room/{topic}/air/celsius"), Qos::AtMostOnce, SMALL, false))
        .collect();
    let (mut out, mut number) = (Vec::new(), 0u32);
    let meter = Meter::start(server)?;
    while meter.started.elapsed() < duration {
        out.clear();
        for _ in 0..BATCH {
            // A stride that shares no factor with the number of topics visits them all.
            let template = &templates[(number as usize * 7) % topics];
            template.write(0, Stamp { publisher: 0, number, sent: 0 }, &mut out);
            number += 1;
        }
        writer.write_all(&out)?;
        for (reader, held) in &mut readers {
            let mut left = BATCH;
            await_frame(reader, held, |frame| {
                left -= u32::from(is_publish(frame).is_some());
                left == 0
            })?;
        }
    }
    meter.stop(u64::from(number) * 2)
}

/// Retains messages on so many topics, and waits until each is acknowledged.
fn retain(count: usize, server: &Running) -> io::Result<Sample> {
    const WINDOW: usize = 500;
    let mut writer = wire::connect(server.address, "keeper", true)?;
    let templates: Vec<Template> = (0..count)
        .map(|number| (number / BELOW_EACH_PREFIX, number % BELOW_EACH_PREFIX))
        .map(|(prefix, rest)| Template::new(&format!("retained/{prefix}/{rest}"), Qos::AtLeastOnce, SMALL, true))
        .collect();
    let (mut out, mut held) = (Vec::new(), Vec::new());
    let meter = Meter::start(server)?;
    for window in templates.chunks(WINDOW) {
        out.clear();
        for (id, template) in (1..).zip(window) {
            template.write(id, Stamp { publisher: 0, number: 0, sent: 0 }, &mut out);
        }
        writer.write_all(&out)?;
        let mut left = window.len();
        await_frame(&mut writer, &mut held, |frame| {
            left -= usize::from(matches!(frame, Frame::Other { first: wire::PUBACK, .. }));
            left == 0
        })?;
    }
    meter.stop(count as u64)
}

/// Asks for one prefix after the other: every message below it comes.
fn look_up(count: usize, lookups: usize, server: &Running) -> io::Result<Sample> {
    let prefixes = count / BELOW_EACH_PREFIX;
    let mut reader = wire::connect(server.address, "curious", true)?;
    let mut held = Vec::new();
    let mut latency = histogram();
    let meter = Meter::start(server)?;
    for lookup in 0..lookups {
        let filter = format!("retained/{}/#", lookup * 7 % prefixes);
        let filter = TopicFilter::try_from(filter.as_str()).map_err(io::Error::other)?;
        let subscription = Subscription::new(filter.clone(), Qos::AtMostOnce);
        let before = Instant::now();
        reader.write_all(&encoded(&Packet::Subscribe(Subscribe::new(PacketId::MIN, vec![subscription]))))?;
        let mut left = BELOW_EACH_PREFIX;
        await_frame(&mut reader, &mut held, |frame| {
            left -= usize::from(is_publish(frame).is_some());
            left == 0
        })?;
        latency.saturating_record(u64::try_from(before.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1));
        reader.write_all(&encoded(&Packet::Unsubscribe(Unsubscribe::new(PacketId::MIN, vec![filter]))))?;
        await_frame(&mut reader, &mut held, |frame| matches!(frame, Frame::Other { first: 0xB0, .. }))?;
    }
    Ok(with_latency(meter.stop((lookups * BELOW_EACH_PREFIX) as u64)?, &latency))
}

/// Where the folder of the report is.
pub(crate) fn reports() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../reports/bench"))
}
