//! The program `client`: `client pub` and `client sub`.

mod cli;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    cli::run(cli::arguments::Arguments::parse())
}
