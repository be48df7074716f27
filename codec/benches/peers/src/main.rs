//! Our codec beside the published ones, in one run.
//!
//! `cargo run --release` in this folder writes `reports/bench/codec.json` and the table beside it; `--rounds N` says
//! how often each codec has its turn.

mod allocations;
mod codec;
mod codecs;
mod measure;
mod report;
mod rows;

use measure::{Task, measure};
use report::{Measured, Report};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = match std::env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => 301,
        [option, rounds] if option == "--rounds" => rounds.parse()?,
        _ => return Err("usage: peers [--rounds N]".into()),
    };
    let mut codecs = codecs::all();
    let mut report = Report::new(rounds, &codecs);
    for row in rows::compared() {
        report.decode.push(Measured::new(&row, measure(&mut codecs, &row, Task::Decode, rounds)));
        report.encode.push(Measured::new(&row, measure(&mut codecs, &row, Task::Encode, rounds)));
    }
    for version in [squall_codec::version::Version::V3_1_1, squall_codec::version::Version::V5_0] {
        let mut row = rows::mixed(version);
        let name = row.name.clone();
        for size in rows::PIECES {
            row.name = format!("{name}, in pieces of {size} B");
            report.pieces.push(Measured::new(&row, measure(&mut codecs, &row, Task::Pieces(size), rounds.div_ceil(4))));
        }
    }
    for row in rows::growing() {
        let own = &mut codecs[..2];
        report.growing_decode.push(Measured::new(&row, measure(own, &row, Task::Decode, rounds)));
        report.growing_encode.push(Measured::new(&row, measure(own, &row, Task::Encode, rounds)));
    }
    report.write()?;
    Ok(())
}
