//! `conformance`: audits any MQTT broker against the standard.

mod cli;
mod tell;

use std::process::ExitCode;

use clap::Parser;
use squall_conformance::run::keep_panics_of_tests_quiet;

fn main() -> ExitCode {
    keep_panics_of_tests_quiet();
    match cli::run(cli::Cli::parse()) {
        Ok(status) => ExitCode::from(status),
        Err(trouble) => {
            if let Some(sentence) = trouble.sentence() {
                eprintln!("conformance: {sentence}");
            }
            ExitCode::from(trouble.status())
        }
    }
}
