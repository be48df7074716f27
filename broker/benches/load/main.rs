//! Our broker and Mosquitto under the same load, in turn. `cargo bench -p squall-broker --bench load`.
//!
//! Behind `--`: parts of names of rows, `--quick`, `--rounds N`, `--out FOLDER`, `--list`; `--draw` writes the table again from the
//! JSON. A run of all rows writes `reports/bench/broker.json` and the table beside it; a part of them is only shown, unless
//! `--out` says where it goes.

#![expect(clippy::disallowed_methods, reason = "a load is measured with a real clock")]

mod mill;
mod process;
mod report;
mod rows;
mod wire;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use process::Server;
use report::{Measured, Run};
use rows::{Pace, Row, Sample};

struct Arguments {
    quick: bool,
    list: bool,
    draw: bool,
    rounds: usize,
    out: Option<PathBuf>,
    filters: Vec<String>,
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut arguments = Arguments { quick: false, list: false, draw: false, rounds: 0, out: None, filters: Vec::new() };
    let mut is_bench = false;
    let mut words = env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            // What cargo says to every bench; `cargo test --benches` does not.
            "--bench" => is_bench = true,
            "--quick" => arguments.quick = true,
            "--list" => arguments.list = true,
            "--draw" => arguments.draw = true,
            "--rounds" => arguments.rounds = value()?.parse().map_err(|_| "--rounds needs a number".to_owned())?,
            "--out" => arguments.out = Some(value()?.into()),
            flag if flag.starts_with('-') => {
                return Err(format!(
                    "{flag} is not known: --quick, --rounds N, --out FOLDER, --list, --draw, or parts of names"
                ));
            }
            filter => arguments.filters.push(filter.to_lowercase()),
        }
    }
    if arguments.rounds == 0 {
        arguments.rounds = if arguments.quick { 1 } else { 3 };
    }
    Ok(is_bench.then_some(arguments))
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    if arguments.draw {
        let folder = arguments.out.as_deref().unwrap_or(rows::reports());
        let json = serde_json::from_str(&fs::read_to_string(folder.join("broker.json"))?)?;
        return fs::write(folder.join("broker.md"), report::markdown(&json));
    }
    let wanted = |row: &Row| {
        let name = row.name.to_lowercase();
        arguments.filters.is_empty() || arguments.filters.iter().any(|filter| name.contains(filter))
    };
    let chosen: Vec<Row> = rows::all().into_iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(io::Error::other("no row has such a name; --list shows them"));
    }
    if arguments.list {
        chosen.iter().for_each(|row| println!("{}", row.name));
        return Ok(());
    }
    let pace = match arguments.quick {
        true => Pace { load: Duration::from_millis(500), churn: 1_000, lookups: 50 },
        false => Pace { load: Duration::from_secs(1), churn: 3_000, lookups: 200 },
    };
    let mosquitto = Server::Mosquitto.version();
    if let Err(reason) = &mosquitto {
        eprintln!("Mosquitto is skipped: {reason}");
    }
    let started = Instant::now();
    let mut all = Vec::new();
    for (number, row) in chosen.iter().enumerate() {
        eprintln!("{:>3}/{} {:>4} s  {}", number + 1, chosen.len(), started.elapsed().as_secs(), row.name);
        all.push(measure(row, &mosquitto, if row.once { 1 } else { arguments.rounds }, pace)?);
    }
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let mut command = "cargo bench -p squall-broker --bench load".to_owned();
    if !words.is_empty() {
        command += &format!(" -- {}", words.join(" "));
    }
    let squall = Server::Squall.version().unwrap_or_default();
    let run = Run { command, rounds: arguments.rounds, load_seconds: pace.load.as_secs_f64(), squall, mosquitto };
    let json = report::json(&run, &all);
    let table = report::markdown(&json);
    println!("{table}");
    let whole = arguments.filters.is_empty() && !arguments.quick;
    match &arguments.out {
        Some(folder) => write(folder, &json, &table),
        None if whole => write(rows::reports(), &json, &table),
        None => Ok(()),
    }
}

/// Both servers in turn, round after round, so that what the machine does meanwhile falls on both.
fn measure(row: &Row, mosquitto: &Result<String, String>, rounds: usize, pace: Pace) -> io::Result<Measured> {
    let mut squall: Vec<Sample> = Vec::new();
    let mut peers = match mosquitto {
        _ if row.ours_alone => Err("Mosquitto has nothing that compares".to_owned()),
        Ok(_) => Ok(Vec::new()),
        Err(reason) => Err(reason.clone()),
    };
    for _ in 0..rounds {
        squall.push(rows::measure(row.kind, Server::Squall, pace)?);
        if let Ok(samples) = &mut peers {
            match rows::measure(row.kind, Server::Mosquitto, pace) {
                Ok(sample) => samples.push(sample),
                // A peer that fails is told of, and ours is measured all the same.
                Err(error) => peers = Err(format!("Mosquitto did not stand it: {error}")),
            }
        }
    }
    Ok(Measured { row: row.clone(), squall, mosquitto: peers })
}

fn write(folder: &Path, json: &serde_json::Value, table: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join("broker.json"), format!("{json:#}\n"))?;
    fs::write(folder.join("broker.md"), table)
}
