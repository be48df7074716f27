//! Our codec beside the published ones, in one run.
//!
//! `cargo run --release` in this folder writes `reports/bench/codec.json` and the table beside it. `--rounds N` says
//! how often each codec has its turn; `--only TEXT` measures the rows with that text in their names and writes nothing
//! but to the standard output.

mod allocations;
mod codec;
mod codecs;
mod malformed;
mod measure;
mod report;
mod rows;

use measure::{Task, measure};
use report::{Measured, Report};
use rows::Row;
use squall_codec::version::Version;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut rounds, mut only) = (301, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(option) = arguments.next() {
        match (option.as_str(), arguments.next()) {
            ("--rounds", Some(number)) => rounds = number.parse()?,
            ("--only", Some(text)) => only = Some(text),
            _ => return Err("usage: peers [--rounds N] [--only TEXT]".into()),
        }
    }
    let wanted = |row: &Row| only.as_ref().is_none_or(|text| row.name.contains(text));
    let mut codecs = codecs::all();
    let mut report = Report::new(rounds, &codecs);
    for row in rows::compared().into_iter().filter(wanted) {
        report.decode.push(Measured::new(&row, measure(&mut codecs, &row, Task::Decode, rounds)));
        report.encode.push(Measured::new(&row, measure(&mut codecs, &row, Task::Encode, rounds)));
    }
    for mut row in [Version::V3_1_1, Version::V5_0].map(rows::mixed) {
        let name = row.name.clone();
        for size in rows::PIECES {
            row.name = format!("{name}, in pieces of {size} B");
            if wanted(&row) {
                let rounds = rounds.div_ceil(4);
                report.pieces.push(Measured::new(&row, measure(&mut codecs, &row, Task::Pieces(size), rounds)));
            }
        }
    }
    for row in rows::growing().into_iter().filter(wanted) {
        let own = &mut codecs[..2];
        report.growing_decode.push(Measured::new(&row, measure(own, &row, Task::Decode, rounds)));
        report.growing_encode.push(Measured::new(&row, measure(own, &row, Task::Encode, rounds)));
    }
    report.malformed = malformed::judge(&mut codecs);
    match only {
        None => report.write()?,
        Some(_) => print!("{}", report.markdown()),
    }
    Ok(())
}
