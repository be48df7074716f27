//! How long an audit takes, on the wall: of Mosquitto and of our own broker over TCP, and of our own in virtual time.
//!
//! `cargo bench -p squall-conformance --bench audit -- --write` writes `reports/bench/audit.json` and `audit.md`; without `--write` the
//! table is only printed. `--rounds N`: each so often, in turn. Who is not there is skipped, and the reason told.

use std::{
    env,
    fmt::Write as _,
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

const ROUNDS: usize = 5;
/// 3.1.1 and 5.0 against Mosquitto, on two cores.
const BAR_SECONDS: f64 = 8.0;
/// So many tests that take longest are named.
const NAMED: usize = 5;
/// A server that starts is there by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to audit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Subject {
    Mosquitto,
    Own,
    Virtual,
}

/// What is measured: whom, in which versions, and the longest that it may take.
const ROWS: [(&str, Subject, &[&str], Option<f64>); 5] = [
    ("Mosquitto over TCP", Subject::Mosquitto, &["3.1.1", "5.0"], Some(BAR_SECONDS)),
    ("Mosquitto over TCP", Subject::Mosquitto, &["3.1.1"], None),
    ("Mosquitto over TCP", Subject::Mosquitto, &["5.0"], None),
    ("our broker over TCP", Subject::Own, &["3.1.1", "5.0"], None),
    ("our broker in virtual time", Subject::Virtual, &["3.1.1", "5.0"], None),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if !arguments.iter().any(|word| word == "--bench") {
        return ExitCode::SUCCESS;
    }
    let rounds = arguments.iter().skip_while(|word| *word != "--rounds").nth(1);
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().expect("a number of rounds"));
    let figures = measure(rounds.max(1));
    let table = table(&figures);
    print!("{table}");
    if arguments.iter().any(|word| word == "--write") {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/bench");
        fs::create_dir_all(&folder).expect("the folder of reports can be made");
        let text = serde_json::to_string_pretty(&figures).expect("JSON") + "\n";
        fs::write(folder.join("audit.json"), text).expect("the report can be written");
        fs::write(folder.join("audit.md"), table).expect("the report can be written");
    }
    ExitCode::SUCCESS
}

fn measure(rounds: usize) -> Value {
    let mut rows: Vec<Vec<Result<Value, String>>> = vec![Vec::new(); ROWS.len()];
    for round in 0..rounds {
        for (row, (name, subject, versions, _)) in rows.iter_mut().zip(ROWS) {
            eprintln!("{} of {rounds}: {name}, {}", round + 1, versions.join(" and "));
            row.push(audited(subject, versions));
        }
    }
    let rows = rows.iter().zip(ROWS).map(|(rounds, (name, _, versions, bar))| {
        let mut row = json!({ "name": name, "mqtt": versions, "bar_seconds": bar });
        match rounds.iter().cloned().collect::<Result<Vec<Value>, String>>() {
            Err(reason) => row["skipped"] = json!(reason),
            Ok(mut rounds) => {
                rounds.sort_by(|one, other| seconds(one).total_cmp(&seconds(other)));
                row["rounds"] = rounds.iter().map(|round| round["seconds"].clone()).collect();
                row["median"] = rounds.swap_remove(rounds.len() / 2);
            }
        }
        row
    });
    json!({
        "format": "squall-audit-bench/1",
        "command": format!("cargo bench -p squall-conformance --bench audit -- --rounds {rounds}"),
        "commit": said("git", &["rev-parse", "--short", "HEAD"]),
        "machine": machine(),
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn seconds(round: &Value) -> f64 {
    round["seconds"].as_f64().unwrap_or(f64::NAN)
}

/// One audit: how long it took, and what took longest in it.
fn audited(subject: Subject, versions: &[&str]) -> Result<Value, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let server = match subject {
        Subject::Virtual => None,
        Subject::Mosquitto | Subject::Own => Some(Server::start(subject, folder.path())?),
    };
    let report = folder.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_conformance"));
    command.arg("--report").arg(format!("json={}", report.display()));
    for version in versions {
        command.args(["--mqtt", version]);
    }
    if let Some(server) = &server {
        command.args(["--target", &server.address]);
    }
    let started = Instant::now();
    // Its exit status tells of the server, and not whether it could be audited: the report does.
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().map_err(|error| error.to_string())?;
    let seconds = started.elapsed().as_secs_f64();
    let text = fs::read_to_string(&report).map_err(|error| format!("there is no report: {error}"))?;
    let report: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let tests = report["tests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut longest: Vec<&Value> = tests.iter().collect();
    longest.sort_by_key(|test| std::cmp::Reverse(test["duration_us"].as_u64()));
    let named = |test: &&Value| json!({ "version": test["version"], "test": test["name"], "us": test["duration_us"] });
    Ok(json!({
        "seconds": seconds,
        "subject": report["run"]["subject"],
        "tests": tests.len(),
        "inconclusive": tests.iter().filter(|test| test["verdict"] == "inconclusive").count(),
        "longest": longest.iter().take(NAMED).map(named).collect::<Vec<_>>(),
    }))
}

/// A server that ends with this.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(subject: Subject, folder: &Path) -> Result<Server, String> {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).map_err(|error| error.to_string())?;
        let address = port.to_string();
        let mut command = match subject {
            Subject::Mosquitto => {
                let file = folder.join("mosquitto.conf");
                let text = format!("listener {} 127.0.0.1\nallow_anonymous true\n", port.port());
                fs::write(&file, text).map_err(|error| error.to_string())?;
                let mut command = Command::new(found("mosquitto")?);
                command.arg("-c").arg(file);
                command
            }
            Subject::Own | Subject::Virtual => {
                let program = Path::new(env!("CARGO_BIN_EXE_conformance")).with_file_name("broker");
                if !program.is_file() {
                    return Err("its program is not built: cargo build --release --bin broker".to_owned());
                }
                let mut command = Command::new(program);
                command.args(["--listen", &format!("mqtt://{address}")]);
                command
            }
        };
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|error| error.to_string())?;
        let server = Server { process, address };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&server.address).is_err() {
            if Instant::now() > deadline {
                return Err(format!("it was not there within {} s", PATIENCE.as_secs()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A program on the PATH, or where Debian keeps servers.
fn found(program: &str) -> Result<PathBuf, String> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let mut all = env::split_paths(&folders).chain(["/usr/sbin".into()]).map(|folder| folder.join(program));
    all.find(|file| file.is_file()).ok_or_else(|| format!("'{program}' is not on the PATH"))
}

fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn machine() -> Value {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    json!({
        "cpu": model,
        "cores": thread::available_parallelism().map_or(0, usize::from),
        "system": said("uname", &["-sr"]),
        "compiler": said("rustc", &["--version"]),
    })
}

fn table(figures: &Value) -> String {
    let text = |pointer: &str| figures.pointer(pointer).and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let mut out = format!(
        "# How long an audit takes\n\n`{}` on {} ({} cores, {}), {}; commit {}. Every audit has a server of its own; the median round, and \
         the shortest and the longest.\n\n| what | MQTT | tests | seconds | from, to | bar | |\n|---|---|--:|--:|--:|---|---|\n",
        text("/command"),
        text("/machine/cpu"),
        figures.pointer("/machine/cores").unwrap_or(&Value::Null),
        text("/machine/system"),
        text("/machine/compiler"),
        text("/commit"),
    );
    let rows = figures["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    for row in rows {
        let name = row["name"].as_str().unwrap_or_default();
        let versions: Vec<_> = row["mqtt"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let versions = versions.join(", ");
        if let Some(reason) = row["skipped"].as_str() {
            let _ = writeln!(out, "| {name} | {versions} | skipped: {reason} | | | | |");
            continue;
        }
        let all: Vec<f64> = row["rounds"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let median = seconds(&row["median"]);
        let (bar, mark) = match row["bar_seconds"].as_f64() {
            None => (String::new(), ""),
            Some(bar) => (format!("at most {bar:.0}"), if median <= bar { "✓" } else { "✗" }),
        };
        let (from, to) = (all.first().copied().unwrap_or(median), all.last().copied().unwrap_or(median));
        let tests = &row["median"]["tests"];
        let _ = writeln!(out, "| {name} | {versions} | {tests} | {median:.2} | {from:.2}, {to:.2} | {bar} | {mark} |");
    }
    let Some(first) = rows.first().filter(|row| row.get("median").is_some()) else { return out };
    let subject = first.pointer("/median/subject").and_then(Value::as_str).unwrap_or("Mosquitto");
    let _ = write!(
        out,
        "\nWhat took longest in the first row ({subject}), beside all others: these wait for clocks of the standard, or see that \
         nothing comes.\n\n| test | MQTT | seconds |\n|---|---|--:|\n"
    );
    for test in first.pointer("/median/longest").and_then(Value::as_array).into_iter().flatten() {
        let (name, version) = (test["test"].as_str().unwrap_or_default(), test["version"].as_str().unwrap_or_default());
        let _ = writeln!(out, "| `{name}` | {version} | {:.2} |", test["us"].as_f64().unwrap_or(f64::NAN) / 1e6);
    }
    out
}
