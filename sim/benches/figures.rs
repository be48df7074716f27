//! What the events world costs: storms a second on one core, an idle hour, fleets of ten to ten thousand clients.
//!
//! `cargo bench -p squall-sim --bench figures -- --write` writes `reports/bench/sim.json` and `sim.md`; without `--write`
//! the table is only printed. `--storms FROM..TO` plays storms and prints what they were, for a profiler, and `--talk N` lets a fleet
//! of so many talk.

use std::{
    env,
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use squall_sim::{
    events::fleet::Fleet,
    storm::{generate, sweep::play_quietly},
};

const STORMS: u64 = 4_000;
const FLEETS: [usize; 4] = [10, 100, 1_000, 10_000];
/// What a fleet says while its instructions are counted: of ten clients, and of ten thousand.
const COUNTED_MESSAGES: usize = 30_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let after = |name: &str| arguments.iter().skip_while(|word| *word != name).nth(1);
    if let Some(range) = after("--storms") {
        let (from, to) = range.split_once("..").expect("a range as 0..100");
        storms_alone(from.parse().expect("a number"), to.parse().expect("a number"));
    } else if let Some(clients) = after("--talk") {
        let clients: usize = clients.parse().expect("a number of clients");
        let mut fleet = Fleet::connected(clients, 1);
        println!("{} happenings", fleet.talk(Duration::from_secs((COUNTED_MESSAGES / clients) as u64)).events);
    } else if let Some(clients) = after("--fleet") {
        println!("{}", fleet(clients.parse().expect("a number of clients")));
    } else if arguments.iter().any(|word| word == "--bench") {
        let figures = measure();
        let table = table(&figures);
        print!("{table}");
        if arguments.iter().any(|word| word == "--write") {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/bench");
            fs::create_dir_all(&folder).expect("the folder of reports can be made");
            let json = serde_json::to_string_pretty(&figures).expect("figures are JSON") + "\n";
            fs::write(folder.join("sim.json"), json).expect("the report can be written");
            fs::write(folder.join("sim.md"), table).expect("the report can be written");
        }
    } else {
        // As a test: that it works, and not how fast.
        storms_alone(0, 3);
        println!("{}", fleet(10));
    }
    ExitCode::SUCCESS
}

/// One line for each storm.
fn storms_alone(from: u64, to: u64) {
    let (mut packets, mut events) = (0, 0);
    for seed in from..to {
        let run = play_quietly(&generate::plan(seed), None);
        packets += run.tally.received + run.tally.sent;
        events += run.events;
        println!("storm {seed}: {:016x}, {} happenings", run.digest, run.events);
    }
    println!("{} storms, {packets} packets, {events} happenings", to - from);
}

fn measure() -> Value {
    let storms = storms();
    let swept = swept().map_or(Value::Null, |rate| json!(rate));
    let idle = idle_hour();
    let fleets: Vec<Value> = FLEETS.into_iter().map(fleet_alone).collect();
    let profile = profile();
    let talks: Vec<Value> = [FLEETS[0], FLEETS[3]].into_iter().filter_map(talk_counted).collect();
    let of = |clients: usize, name: &str| {
        let fleet = fleets.iter().find(|fleet| fleet["clients"] == json!(clients)).expect("it was measured");
        fleet[name].as_f64().expect("a number")
    };
    let growth = of(10_000, "ns_per_happening") / of(10, "ns_per_happening");
    let linear = of(10_000, "bytes_per_client") / of(1_000, "bytes_per_client");
    let rows = json!([
        row("storms a second on one core, built for sweeps", &swept, "at least", 2_000.0),
        row("clients in the median storm", &storms["median_clients"], "at least", 5.0),
        row("PUBLISH accepted in the median storm", &storms["median_accepted"], "at least", 200.0),
        row("faults that hit in the median storm", &storms["median_hits"], "at least", 3.0),
        row("an idle hour of 5 clients, in µs", &idle["micros"], "below", 1_000.0),
        row(
            "virtual seconds in one real second, 10 000 clients",
            &json!(of(10_000, "seconds_per_second")),
            "at least",
            1.0
        ),
        row("time of a happening with 10 000 clients, by that with 10", &json!(growth), "at most", 2.0),
        row("bytes of a client among 10 000, by those among 1 000", &json!(linear), "at most", 1.1),
    ]);
    json!({
        "what": "the events world of the simulator",
        "command": "cargo bench -p squall-sim --bench figures -- --write",
        "machine": machine(),
        "squall": env!("CARGO_PKG_VERSION"),
        "commit": told_by("git", &["rev-parse", "--short", "HEAD"]),
        "rustc": told_by("rustc", &["--version"]),
        "rows": rows,
        "storms": storms,
        "storms_a_second_of_a_sweep": swept,
        "idle_hour": idle,
        "fleets": fleets,
        "profile": profile,
        "talks": talks,
    })
}

fn row(what: &str, value: &Value, how: &str, bar: f64) -> Value {
    let number = value.as_f64().unwrap_or(f64::NAN);
    let holds = match how {
        "at least" => number >= bar,
        "at most" => number <= bar,
        _ => number < bar,
    };
    json!({ "what": what, "value": value.as_f64().map(round), "bar": format!("{how} {bar}"), "holds": holds })
}

/// Three figures are as many as a measurement is good for.
fn round(number: f64) -> f64 {
    let digits = 2 - number.abs().max(1e-9).log10().floor() as i32;
    let factor = 10f64.powi(digits.max(0));
    (number * factor).round() / factor
}

/// The time that this thread has been on a core, where the system tells: others on the machine do not count.
fn on_core() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// How long it takes: on the clock on the wall, and on the core.
#[expect(clippy::disallowed_methods, reason = "a bench says how long it took")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration, Duration) {
    let (wall, core) = (Instant::now(), on_core());
    let value = work();
    let wall = wall.elapsed();
    let core = on_core().zip(core).map_or(wall, |(after, before)| after - before);
    (value, wall, core)
}

/// Storms a second on one core of the program that `docs/sweep.md` builds for long sweeps, which is optimised as a whole. `None`: it could
/// not be built.
fn swept() -> Option<f64> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    told_by(&cargo, &["build", "--quiet", "--profile", "sweep", "--package", "squall-sim", "--bin", "sim"])?;
    let targets = Path::new(env!("CARGO_BIN_EXE_sim")).ancestors().nth(2)?;
    let program = targets.join("sweep").join("sim");
    let text = told_by(&program.to_string_lossy(), &["sweep", "--seeds", &format!("0..{STORMS}"), "--jobs", "1"])?;
    text.lines().find_map(|line| line.trim().strip_suffix(" storms a second with 1 threads")?.parse().ok())
}

/// Plan, play and judgement of each seed, digest and invariants on, one after the other.
fn storms() -> Value {
    (0..200).for_each(|seed| drop(play_quietly(&generate::plan(seed), None)));
    let (mut accepted, mut hits, mut times, mut clients) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut packets, mut happenings, mut violations) = (0, 0, 0u64);
    let ((), wall, core) = timed(|| {
        for seed in 0..STORMS {
            // A kernel counts what a thread had of a core in steps that are longer than a storm.
            let ((plan, run), time, _) = timed(|| {
                let plan = generate::plan(seed);
                let run = play_quietly(&plan, None);
                (plan, run)
            });
            times.push(time);
            clients.push(plan.actors.len());
            accepted.push(run.tally.accepted.iter().sum::<u64>());
            hits.push(run.faults.0);
            packets += run.tally.received + run.tally.sent;
            happenings += run.events;
            violations += u64::from(!run.breaches.is_empty() || run.error.is_some());
        }
    });
    accepted.sort_unstable();
    hits.sort_unstable();
    times.sort_unstable();
    clients.sort_unstable();
    let middle = accepted.len() / 2;
    json!({
        "seeds": STORMS,
        "per_second": STORMS as f64 / wall.as_secs_f64(),
        "per_second_of_core": STORMS as f64 / core.as_secs_f64(),
        "median_accepted": accepted[middle],
        "median_hits": hits[middle],
        "median_clients": clients[middle],
        "median_micros": times[middle].as_micros() as u64,
        "p99_micros": times[times.len() * 99 / 100].as_micros() as u64,
        "packets_per_storm": packets as f64 / STORMS as f64,
        "happenings_per_storm": happenings as f64 / STORMS as f64,
        "ns_per_packet": core.as_nanos() as f64 / packets as f64,
        "violations": violations,
    })
}

/// Five clients, each asking once a minute whether the server is there.
fn idle_hour() -> Value {
    let mut best = Duration::MAX;
    let mut happenings = 0;
    for seed in 0..20 {
        let mut fleet = Fleet::connected(5, seed);
        let (hour, wall, _) = timed(|| fleet.run(Duration::from_secs(3_600)));
        best = best.min(wall);
        happenings = hour.events;
    }
    json!({ "clients": 5, "micros": best.as_nanos() as f64 / 1e3, "happenings": happenings })
}

/// A fleet in a process of its own, whose memory is then all its own.
fn fleet_alone(clients: usize) -> Value {
    let this = env::current_exe().expect("this program has a file");
    let output = Command::new(this).args(["--fleet", &clients.to_string()]).output().expect("it runs again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("it prints JSON")
}

/// One message a second from each client.
fn fleet(clients: usize) -> Value {
    let before = resident_bytes();
    let (mut fleet, connecting, _) = timed(|| Fleet::connected(clients, 1));
    fleet.talk(Duration::from_secs(2));
    let bytes = resident_bytes().saturating_sub(before);
    // As many messages in each, so that they are measured as well.
    let seconds = (400_000 / clients as u64).clamp(20, 4_000);
    let (talk, wall, core) = timed(|| fleet.talk(Duration::from_secs(seconds)));
    json!({
        "clients": clients,
        "virtual_seconds": seconds,
        "messages": talk.published,
        "happenings": talk.events,
        "connecting_ms": connecting.as_millis() as u64,
        "seconds_per_second": seconds as f64 / wall.as_secs_f64(),
        "ns_per_message": core.as_nanos() as f64 / talk.published as f64,
        "ns_per_happening": core.as_nanos() as f64 / talk.events as f64,
        "bytes_per_client": bytes as f64 / clients as f64,
    })
}

/// What the figures mean where a bar is missed.
const NEXT: &str = "
## What dominates, and what would be next

- **Storms a second.** No part stands out: with the model gone, or with both cores gone, the bar would still be far. The largest is the loop: each packet
  is six happenings (it enters a link, is cut and delayed there, arrives, is read, is answered, is flushed), each with its place in the calendar.
  What a packet does is ten thousand instructions, nearly each of them once: with caches like those of the machine it misses the first cache for
  instructions 360 times, and the data's 100 times. So less code on the way would help, and little else does: optimised for size it is 22 % slower, with
  a profile of its own run 6 % faster than as a whole, with another allocator 1 % (pairs of runs beside each other, on two cores with other work).
  Next would be to let what happens at one instant on one connection be one happening, and to have the model look at a packet once, where it now walks
  sessions, shares and what is owed one after the other.
- **Fleets.** What a happening takes beyond that of a small fleet is memory, not work: the table of instructions and misses says so. A client is two
  cores, two buffers and a link. Next would be clients whose parts that are seldom used are allocated when they are.
";

/// The parts of a storm that lie in no other part, by the functions that hold them.
const PARTS: [(&str, &[&str]); 7] = [
    ("the broker's core", &["squall_broker::core::broker::Broker::handle"]),
    ("the clients' cores", &["squall_client::core::client::Client::handle"]),
    ("the model, invariants and digest", &["squall_sim::model::Model as squall_sim::edge::Witness>::passes"]),
    (
        "the codec: encode, decode, find frames",
        &[
            "squall_codec::packet::Packet>::encode",
            "squall_codec::packet::Packet>::decode",
            "squall_codec::stream::Decoder::next_frame",
            "squall_codec::stream::Decoder::extend",
        ],
    ),
    (
        "the links with their faults",
        &[
            "squall_scenarios::shared_link::SharedLink::drive",
            "squall_scenarios::shared_link::SharedLink::with_quietly",
        ],
    ),
    ("from the seed to the plan", &["squall_sim::storm::generate::plan"]),
    ("commits to the store", &["squall_sim::events::broker::BrokerHost::commit"]),
];

/// Where the instructions of forty storms go, as callgrind counts them; nothing where there is no valgrind.
fn profile() -> Option<Value> {
    const COUNTED: u64 = 40;
    let file = env::temp_dir().join(format!("squall-figures-{}.callgrind", std::process::id()));
    let this = env::current_exe().ok()?;
    let run = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(this)
        .args(["--storms", &format!("0..{COUNTED}")])
        .output();
    let packets = run.ok().filter(|run| run.status.success()).and_then(|run| {
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        let line = said.lines().rev().find(|line| line.contains("packets"))?.to_owned();
        line.split(", ").find_map(|part| part.strip_suffix(" packets")?.parse::<f64>().ok())
    });
    let text = Command::new("callgrind_annotate").args(["--inclusive=yes", "--threshold=100"]).arg(&file).output();
    // The file may not be there.
    let _ = fs::remove_file(&file);
    let (packets, text) = (packets?, String::from_utf8_lossy(&text.ok()?.stdout).into_owned());
    // The highest line of a function is the function, the others are pieces that were inlined elsewhere.
    let of = |name: &str| text.lines().filter(|line| line.contains(name)).filter_map(count).fold(0.0, f64::max);
    let total = of("PROGRAM TOTALS");
    let parts: Vec<Value> = PARTS
        .iter()
        .map(|(part, names)| (part, names.iter().map(|name| of(name)).sum::<f64>()))
        .map(|(part, sum)| json!({ "part": part, "per_packet": sum / packets, "percent": sum * 100.0 / total }))
        .collect();
    Some(json!({
        "storms": COUNTED,
        "instructions_per_storm": total / COUNTED as f64,
        "instructions_per_packet": total / packets,
        "parts": parts,
    }))
}

/// What a happening costs in a fleet, as callgrind counts it with caches like those of this machine; nothing where there is no valgrind.
fn talk_counted(clients: usize) -> Option<Value> {
    let file = env::temp_dir().join(format!("squall-talk-{}.callgrind", std::process::id()));
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--cache-sim=yes", "--toggle-collect=*Fleet::talk*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(env::current_exe().ok()?)
        .args(["--talk", &clients.to_string()])
        .output();
    let text = fs::read_to_string(&file);
    // The file may not be there.
    let _ = fs::remove_file(&file);
    let (run, text) = (run.ok().filter(|run| run.status.success())?, text.ok()?);
    let happenings: f64 =
        String::from_utf8_lossy(&run.stdout).lines().find_map(|line| line.strip_suffix(" happenings")?.parse().ok())?;
    let words = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
    };
    let (events, totals) = (words("events:")?, words("totals:")?);
    let of = |wanted: &[&str]| -> f64 {
        let counted = events.iter().zip(&totals).filter(|(event, _)| wanted.contains(&event.as_str()));
        counted.filter_map(|(_, total)| total.parse::<f64>().ok()).sum::<f64>() / happenings
    };
    Some(json!({
        "clients": clients,
        "instructions": of(&["Ir"]),
        "first_level_misses": of(&["D1mr", "D1mw"]),
        "last_level_misses": of(&["DLmr", "DLmw"]),
    }))
}

/// "1,234 ( 5.6%)  file:function": 1234.
fn count(line: &str) -> Option<f64> {
    line.split_whitespace().next()?.replace(',', "").parse().ok()
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kilobytes| kilobytes * 1024)
}

fn machine() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({ "processor": model, "cores": cores, "system": told_by("uname", &["-sr"]) })
}

fn told_by(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The JSON as a page.
fn table(figures: &Value) -> String {
    let mut page = String::new();
    let words = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "unknown".to_owned(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| round(number).to_string()),
        other => other.to_string(),
    };
    let mut line = |text: String| writeln!(page, "{text}").expect("a string takes everything");
    line("# The events world of the simulator".to_owned());
    line(String::new());
    let machine = &figures["machine"];
    line(format!(
        "{}, {} cores, {}; {}; squall {} at {}. `{}`",
        words(&machine["processor"]),
        words(&machine["cores"]),
        words(&machine["system"]),
        words(&figures["rustc"]),
        words(&figures["squall"]),
        words(&figures["commit"]),
        words(&figures["command"]),
    ));
    line(String::new());
    line("| what | measured | bar | |\n|---|---|---|---|".to_owned());
    for row in figures["rows"].as_array().into_iter().flatten() {
        let mark = if row["holds"] == json!(true) { "✓" } else { "✗" };
        line(format!("| {} | {} | {} | {mark} |", words(&row["what"]), words(&row["value"]), words(&row["bar"])));
    }
    let storms = &figures["storms"];
    line(format!(
        "\nA storm is a plan from its seed, a broker, three to five clients, twelve seconds of faults and forty of calm, judged by \
         the model, digest on. {} of them, as `cargo bench` builds them: {} packets and {} happenings each, {} ns of the core a packet, on \
         the wall {} µs in the median and one of a hundred above {} µs, {} a second of the core's own time; {} with a violation.",
        words(&storms["seeds"]),
        words(&storms["packets_per_storm"]),
        words(&storms["happenings_per_storm"]),
        words(&storms["ns_per_packet"]),
        words(&storms["median_micros"]),
        words(&storms["p99_micros"]),
        words(&storms["per_second_of_core"]),
        words(&storms["violations"]),
    ));
    line("\n| clients, one message a second each | virtual seconds a second | ns a message | ns a happening | bytes a client |".to_owned());
    line("|---|---|---|---|---|".to_owned());
    for fleet in figures["fleets"].as_array().into_iter().flatten() {
        let of = |name: &str| words(&fleet[name]);
        line(format!(
            "| {} | {} | {} | {} | {} |",
            of("clients"),
            of("seconds_per_second"),
            of("ns_per_message"),
            of("ns_per_happening"),
            of("bytes_per_client"),
        ));
    }
    let profile = &figures["profile"];
    if !profile.is_null() {
        line(format!(
            "\nA storm takes {} thousand instructions, {} a packet, as callgrind counts them over {} storms:\n",
            words(&json!(profile["instructions_per_storm"].as_f64().unwrap_or(0.0) / 1e3)),
            words(&profile["instructions_per_packet"]),
            words(&profile["storms"]),
        ));
        line("| part | instructions a packet | percent |\n|---|---|---|".to_owned());
        for part in profile["parts"].as_array().into_iter().flatten() {
            line(format!(
                "| {} | {} | {} |",
                words(&part["part"]),
                words(&part["per_packet"]),
                words(&part["percent"])
            ));
        }
        line("\nThe rest is the loop itself: cables, the calendar, and what is allocated on the way.".to_owned());
    }
    let talks = figures["talks"].as_array().filter(|talks| !talks.is_empty());
    if let Some(talks) = talks {
        line("\nA happening in a fleet, as callgrind counts it with caches like those of the machine:\n".to_owned());
        line(
            "| clients | instructions | misses of the first cache | misses of the last |\n|---|---|---|---|".to_owned(),
        );
        for talk in talks {
            let of = |name: &str| words(&talk[name]);
            let (clients, instructions) = (of("clients"), of("instructions"));
            let misses = [of("first_level_misses"), of("last_level_misses")];
            line(format!("| {clients} | {instructions} | {} | {} |", misses[0], misses[1]));
        }
    }
    line(NEXT.trim_end().to_owned());
    page
}
