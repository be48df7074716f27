//! The result as JSON, which is the truth, and as a table drawn from it.

use std::{fmt::Write, process::Command};

use serde_json::{Value, json};

use super::{
    process::{MOSQUITTO_CONFIGURATION, SQUALL_ARGUMENTS},
    rows::{DURABLE, Kind, Row, Sample, UNRELATED, durable, unrelated},
};

/// Ours has to be so many times as fast, or to leave the limit to the generator with this part of the CPU.
const FASTER: f64 = 3.0;
const CPU_PART: f64 = 0.5;
/// Beyond this part of one core it is the server that limits a rate.
const SERVER_LIMITS: f64 = 0.9;
/// What two medians of the same thing may differ by.
const NOISE: f64 = 1.1;
const RESIDENT_BYTES_EACH: f64 = 4096.0;
/// A message costs at most so much more beside many unrelated subscriptions than beside few.
const UNRELATED_COST: f64 = 1.25;
const GROUP_COMMIT: f64 = 5.0;

/// What one row gave.
pub(crate) struct Measured {
    pub(crate) row: Row,
    pub(crate) squall: Vec<Sample>,
    /// Or why there is nothing.
    pub(crate) mosquitto: Result<Vec<Sample>, String>,
}

/// What the whole run was.
pub(crate) struct Run {
    pub(crate) command: String,
    pub(crate) rounds: usize,
    pub(crate) load_seconds: f64,
    pub(crate) squall: String,
    pub(crate) mosquitto: Result<String, String>,
}

fn median(samples: &[Sample], of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
    let mut all: Vec<f64> = samples.iter().filter_map(of).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied()
}

/// The middle of several measurements; a rate with a loss is no rate.
fn middle(samples: &[Sample]) -> Sample {
    let lost = samples.iter().map(|sample| sample.lost).max().unwrap_or(0);
    let valid = |value: Option<f64>| value.filter(|_| lost == 0);
    Sample {
        rate: valid(median(samples, |sample| sample.rate)),
        cpu_us: valid(median(samples, |sample| sample.cpu_us)),
        p50_us: valid(median(samples, |sample| sample.p50_us)),
        p99_us: valid(median(samples, |sample| sample.p99_us)),
        lost,
        expected: samples.iter().map(|sample| sample.expected).max().unwrap_or(0),
        resident_bytes_each: median(samples, |sample| sample.resident_bytes_each),
        server_busy: median(samples, |sample| sample.server_busy),
        generator_busy: median(samples, |sample| sample.generator_busy),
    }
}

fn sample_json(sample: &Sample) -> Value {
    let mut object = serde_json::Map::new();
    for (name, value) in [
        ("per_second", sample.rate),
        ("cpu_us_each", sample.cpu_us),
        ("p50_us", sample.p50_us),
        ("p99_us", sample.p99_us),
        ("resident_bytes_each", sample.resident_bytes_each),
        ("server_busy", sample.server_busy),
        ("generator_busy", sample.generator_busy),
    ] {
        if let Some(value) = value {
            object.insert(name.to_owned(), json!((value * 1000.0).round() / 1000.0));
        }
    }
    object.insert("expected".to_owned(), sample.expected.into());
    object.insert("lost_or_disordered".to_owned(), sample.lost.into());
    Value::Object(object)
}

/// A quotient of what both have.
fn quotient(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    let (one, other) = one.zip(other)?;
    (other > 0.0).then(|| one / other)
}

/// What a row has to reach, and whether it does; `None` where the row only informs.
struct Bar {
    text: String,
    holds: Option<bool>,
}

fn bar(measured: &Measured, all: &[Measured]) -> Bar {
    let ours = middle(&measured.squall);
    if ours.lost > 0 {
        return Bar { text: format!("nothing lost: {} are, or came out of order", ours.lost), holds: Some(false) };
    }
    let beside = |name: &str, of: fn(&Sample) -> Option<f64>| {
        all.iter().find(|other| other.row.name == name).and_then(|other| of(&middle(&other.squall)))
    };
    match measured.row.kind {
        Kind::Idle(_) => Bar {
            text: "≤ 4 kB resident each".into(),
            holds: ours.resident_bytes_each.map(|bytes| bytes <= RESIDENT_BYTES_EACH),
        },
        Kind::Unrelated(count) if count > UNRELATED[0] => {
            let few = beside(&unrelated(UNRELATED[0]), |sample| sample.cpu_us);
            let cost = quotient(ours.cpu_us, few);
            Bar {
                text: cost
                    .map_or("≤ 1.25 × the CPU of few".into(), |cost| format!("{cost:.2} × the CPU of few (≤ 1.25)")),
                holds: cost.map(|cost| cost <= UNRELATED_COST),
            }
        }
        Kind::Durable(window) if window > DURABLE[0] => {
            let gain = quotient(ours.rate, beside(&durable(DURABLE[0]), |sample| sample.rate));
            Bar {
                text: gain
                    .map_or("≥ 5 × one commit each".into(), |gain| format!("{gain:.0} × one commit each (≥ 5)")),
                holds: gain.map(|gain| gain >= GROUP_COMMIT),
            }
        }
        Kind::Durable(_) => Bar { text: "one commit for each message".into(), holds: None },
        Kind::OneInFlight(_) | Kind::Paced(_) => peers_bar(measured, |theirs| {
            let p99 = quotient(ours.p99_us, theirs.p99_us)?;
            Some(("p99 not worse".into(), p99 <= NOISE))
        }),
        // Most of a connection is the system's work, for both.
        Kind::Churn => peers_bar(measured, |theirs| {
            let rate = quotient(ours.rate, theirs.rate)?;
            Some(("not slower".into(), rate * NOISE >= 1.0))
        }),
        _ => peers_bar(measured, |theirs| {
            let rate = quotient(ours.rate, theirs.rate)?;
            let cpu = quotient(ours.cpu_us, theirs.cpu_us)?;
            let quick = rate >= FASTER;
            let frugal = ours.server_busy.is_some_and(|busy| busy < SERVER_LIMITS) && cpu <= CPU_PART;
            let prompt = match measured.row.kind {
                Kind::Load(_) | Kind::Unrelated(_) => {
                    quotient(ours.p99_us, theirs.p99_us).is_none_or(|p99| p99 <= NOISE)
                }
                _ => true,
            };
            let text = match (quick, frugal, prompt) {
                (_, _, false) => "p99 worse",
                (true, _, _) => "≥ 3 ×",
                (false, true, _) => "generator's limit, ≤ half the CPU",
                (false, false, _) => "< 3 ×, and ours is the limit or takes more than half the CPU",
            };
            Some((text.into(), (quick || frugal) && prompt))
        }),
    }
}

fn peers_bar(measured: &Measured, judge: impl Fn(Sample) -> Option<(String, bool)>) -> Bar {
    let theirs = measured.mosquitto.as_ref().ok().map(|samples| middle(samples));
    match theirs {
        Some(theirs) if theirs.lost > 0 => {
            Bar { text: "the peer's rate is void: it lost messages".into(), holds: None }
        }
        Some(theirs) => match judge(theirs) {
            Some((text, holds)) => Bar { text, holds: Some(holds) },
            None => Bar { text: "not measured".into(), holds: None },
        },
        None => Bar { text: "no peer to compare with".into(), holds: None },
    }
}

/// The run as data.
pub(crate) fn json(run: &Run, all: &[Measured]) -> Value {
    let rows: Vec<Value> = all
        .iter()
        .map(|measured| {
            let ours = middle(&measured.squall);
            let theirs = measured.mosquitto.as_ref().ok().map(|samples| middle(samples));
            let theirs_or_nothing = theirs.unwrap_or_default();
            let Bar { text, holds } = bar(measured, all);
            json!({
                "name": measured.row.name,
                "counts": measured.row.about,
                "squall": sample_json(&ours),
                "mosquitto": match &measured.mosquitto {
                    Ok(samples) => sample_json(&middle(samples)),
                    Err(reason) => json!({ "skipped": reason }),
                },
                "ratio": {
                    "per_second": quotient(ours.rate, theirs_or_nothing.rate),
                    "cpu": quotient(ours.cpu_us, theirs_or_nothing.cpu_us),
                    "p99": quotient(ours.p99_us, theirs_or_nothing.p99_us),
                },
                "bar": { "text": text, "holds": holds },
                "samples": {
                    "squall": measured.squall.iter().map(sample_json).collect::<Vec<_>>(),
                    "mosquitto": measured.mosquitto.iter().flatten().map(sample_json).collect::<Vec<_>>(),
                },
            })
        })
        .collect();
    json!({
        "format": 1,
        "command": run.command,
        "commit": commit(),
        "machine": machine(),
        "rounds": run.rounds,
        "load_seconds": run.load_seconds,
        "servers": {
            "squall": { "version": run.squall, "arguments": SQUALL_ARGUMENTS },
            "mosquitto": match &run.mosquitto {
                Ok(version) => json!({ "version": version, "configuration": MOSQUITTO_CONFIGURATION }),
                Err(reason) => json!({ "skipped": reason }),
            },
        },
        "rows": rows,
    })
}

fn first_line(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

fn commit() -> Value {
    let changed =
        first_line("git", &["status", "--porcelain", "--untracked-files=no"]).is_some_and(|line| !line.is_empty());
    first_line("git", &["rev-parse", "--short", "HEAD"])
        .map_or(Value::Null, |commit| if changed { format!("{commit} and changes").into() } else { commit.into() })
}

fn machine() -> Value {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cpu": model.map(str::trim),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "kernel": first_line("uname", &["-sr"]),
        "load_average_at_the_end": load.split_whitespace().next(),
    })
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("—")
}

fn number(value: &Value, pointer: &str, show: impl Fn(f64) -> String) -> String {
    value.pointer(pointer).and_then(Value::as_f64).map_or("—".into(), show)
}

fn thousands(value: f64) -> String {
    if value >= 10_000.0 { format!("{:.0}k", value / 1000.0) } else { format!("{value:.0}") }
}

fn microseconds(value: f64) -> String {
    if value >= 10_000.0 { format!("{:.1} ms", value / 1000.0) } else { format!("{value:.0} µs") }
}

/// The table of a run.
pub(crate) fn markdown(run: &Value) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# Broker under load\n");
    let _ = writeln!(
        out,
        "`{}` on {} ({} cores, {}), commit {}. Medians of {} rounds in turn, of {} s each; every measurement has a server of its own. \
         MQTT 3.1.1 over loopback; the generator shares the machine.\n",
        text(run, "/command"),
        text(run, "/machine/cpu"),
        number(run, "/machine/cores", |cores| format!("{cores:.0}")),
        text(run, "/machine/kernel"),
        text(run, "/commit"),
        number(run, "/rounds", |rounds| format!("{rounds:.0}")),
        number(run, "/load_seconds", |seconds| format!("{seconds}")),
    );
    let peer = run.pointer("/servers/mosquitto/version").and_then(Value::as_str);
    let configuration = run.pointer("/servers/mosquitto/configuration").and_then(Value::as_array);
    let lines: Vec<&str> = configuration.into_iter().flatten().filter_map(Value::as_str).collect();
    match peer {
        Some(peer) => {
            let _ =
                writeln!(out, "{} against {peer} (`{}`).\n", text(run, "/servers/squall/version"), lines.join("; "));
        }
        None => {
            let _ = writeln!(out, "Mosquitto is skipped: {}.\n", text(run, "/servers/mosquitto/skipped"));
        }
    }
    let _ = writeln!(
        out,
        "Each cell is ours / Mosquitto's. CPU is the server's for each message counted; *busy* is its part of one core, and the \
         generator's. Unless said, 20 messages of each publisher are in flight at QoS 1 and 2, and 20 000 deliveries of all at QoS 0. \
         A rate with a loss is void.\n"
    );
    let _ = writeln!(out, "| row | a second | × | CPU µs | × | p50 | p99 | × | busy: server, generator | bar | |");
    let _ = writeln!(out, "|---|--:|--:|--:|--:|--:|--:|--:|--:|---|---|");
    for row in run.pointer("/rows").and_then(Value::as_array).into_iter().flatten() {
        let both = |field: &str, show: fn(f64) -> String| {
            let (ours, theirs) = (format!("/squall/{field}"), format!("/mosquitto/{field}"));
            match (number(row, &ours, show), number(row, &theirs, show)) {
                (ours, theirs) if ours == "—" && theirs == "—" => "—".to_owned(),
                (ours, theirs) => format!("{ours} / {theirs}"),
            }
        };
        let ratio = |field: &str| number(row, &format!("/ratio/{field}"), |ratio| format!("{ratio:.2}"));
        let resident = both("resident_bytes_each", |bytes| format!("{:.1} kB", bytes / 1024.0));
        let (rate, cpu) = match resident.as_str() {
            "—" => (both("per_second", thousands), both("cpu_us_each", |cpu| format!("{cpu:.2}"))),
            _ => (resident, "—".to_owned()),
        };
        let busy = number(row, "/squall/server_busy", |busy| format!("{:.0} %", busy * 100.0))
            + ", "
            + &number(row, "/squall/generator_busy", |busy| format!("{:.0} %", busy * 100.0));
        let mark = match row.pointer("/bar/holds").and_then(Value::as_bool) {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "",
        };
        let _ = writeln!(
            out,
            "| {} | {rate} | {} | {cpu} | {} | {} | {} | {} | {busy} | {} | {mark} |",
            text(row, "/name"),
            ratio("per_second"),
            ratio("cpu"),
            both("p50_us", microseconds),
            both("p99_us", microseconds),
            ratio("p99"),
            text(row, "/bar/text"),
        );
    }
    if !holds(run, ONE_IN_FLIGHT) {
        out.push_str(WHY_ONE_IN_FLIGHT);
    }
    out
}

/// Whether all rows whose names begin so reach their bar.
fn holds(run: &Value, name: &str) -> bool {
    let mut rows = run.pointer("/rows").and_then(Value::as_array).into_iter().flatten();
    rows.all(|row| !text(row, "/name").starts_with(name) || row.pointer("/bar/holds") != Some(&Value::Bool(false)))
}

const ONE_IN_FLIGHT: &str = "latency QoS 1 one in flight";

/// What a profile says about it. Figures of `perf record` and `strace` with Mosquitto 2.0.11 on a virtual machine of two cores.
const WHY_ONE_IN_FLIGHT: &str = "
## What dominates where a bar is missed, and what would be next

**QoS 1 with one message in flight.** Each message wakes a server that sleeps, and that is most of what it takes: of our CPU 81 % is the
kernel's, and nearly half of that is putting the thread to sleep and waking it; of Mosquitto's it is 91 %. Both are woken once for a message.
We make five system calls for one (`epoll_wait`, two `recvfrom`, two `sendto`), Mosquitto more than twenty, so that nothing is left to save
there. In our own code we spend 7 µs a message and Mosquitto 3: from the task of the publisher's connection a packet goes to the core's, and
from there to the subscriber's, each of which the runtime has to find cold behind a sleep. One round differs from the next by more than that
(p99 from 83 to 190 µs). Next would be to write from the core's turn to a socket whose task has nothing else to write. Waiting for a moment
before going to sleep would hide all of it, and take a core from everybody else on the machine.
";
