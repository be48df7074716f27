//! The beginning: what was asked, and with what status it ends.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::ArgMatches;

use super::{
    fault::Failure,
    options::{self, Task},
    passwd, print, serve,
};

/// Does what the command line says. Status 0 is well, 2 is that it could not be done.
pub(crate) fn main() -> ExitCode {
    let matches = options::command().get_matches();
    let outcome = match matches.subcommand() {
        Some(("passwd", matches)) => passwd::run(matches),
        _ => run(&matches),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(2)
        }
    }
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    for warning in options::strange_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        warn(&warning);
    }
    let settings = options::settings(matches)?;
    match options::task(matches) {
        Task::Serve => serve::run(&settings),
        Task::CheckConfig => {
            serve::check(&settings)?;
            say("the configuration is fine")
        }
        Task::PrintConfig => say(print::render(&settings).trim_end()),
    }
}

/// One line, or some, on standard output, and at once: programs wait for it.
pub(super) fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let said = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    said.map_err(|error| Failure::to("write to standard output", error))
}

/// One sentence on standard error. Nothing ends because nobody reads it.
pub(super) fn warn(sentence: &str) {
    let _ = writeln!(io::stderr(), "broker: {sentence}");
}
