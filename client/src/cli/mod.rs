//! The command line. Exit status 0: done; 1: the server refused or was lost, or what was waited for did not come;
//! 2: no connection, or wrong arguments.

pub(crate) mod arguments;
mod bench;
mod connection;
mod format;
mod json;
mod properties;
mod publish;
mod request;
mod session;
mod subscribe;

use std::{fmt::Display, io::Write, process::ExitCode};

use arguments::{Arguments, Command};
use owo_colors::OwoColorize;
use squall_client::net::driver::PACKETS;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Why the program ends with an error: one sentence, and the exit status.
#[derive(Debug)]
pub(crate) struct Trouble {
    status: u8,
    sentence: String,
}

impl Trouble {
    /// The server said no, or went away.
    fn refused(sentence: impl Into<String>) -> Self {
        Trouble { status: 1, sentence: sentence.into() }
    }

    /// It never came to a connection, or the arguments make no sense.
    fn unable(sentence: impl Into<String>) -> Self {
        Trouble { status: 2, sentence: sentence.into() }
    }
}

/// A line for a person. One that nobody can read any more is no reason to stop.
fn tell(line: impl Display) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// Runs the program to its exit status.
pub(crate) fn run(arguments: Arguments) -> ExitCode {
    let (debug, quiet) = (arguments.command.connection().debug, arguments.command.connection().quiet);
    if debug {
        let lines = fmt::layer().with_writer(std::io::stderr).without_time().with_target(false).with_level(false);
        tracing_subscriber::registry().with(EnvFilter::new(format!("{PACKETS}=debug"))).with(lines).init();
    }
    // One thread is enough but for a load of thousands.
    let mut runtime = match &arguments.command {
        Command::Bench(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return end(Err(Trouble::unable(format!("cannot start: {error}"))), quiet),
    };
    let ended = runtime.block_on(async {
        match arguments.command {
            Command::Pub(publish) => publish::run(*publish).await,
            Command::Sub(subscribe) => subscribe::run(*subscribe).await,
            Command::Request(request) => request::run(*request).await,
            Command::Bench(bench) => bench::run(*bench).await,
        }
    });
    // A thread may still wait for standard input; nobody waits for it.
    runtime.shutdown_background();
    end(ended, quiet)
}

fn end(ended: Result<(), Trouble>, quiet: bool) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            if !quiet {
                tell(format_args!("{} {}", "error:".red().bold(), trouble.sentence));
            }
            ExitCode::from(trouble.status)
        }
    }
}
