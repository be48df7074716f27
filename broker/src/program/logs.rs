//! Where the lines of `tracing` go: standard error, for people or as JSON.

use std::io::{self, IsTerminal};

use squall_broker::net::journal::PACKETS;
use tracing_subscriber::EnvFilter;

use super::{fault::Failure, settings::Log};

/// Begins to log. Called once.
///
/// # Errors
/// A level that is none.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(log)?).with_writer(io::stderr);
    // A standard error that nobody reads any more would be told of itself, with a panic.
    let builder = builder.log_internal_errors(false);
    match log.json {
        true => builder.json().flatten_event(true).with_current_span(false).init(),
        false => builder.with_ansi(io::stderr().is_terminal()).init(),
    }
    Ok(())
}

/// What is logged.
///
/// # Errors
/// A level that is none.
pub(super) fn filter(log: &Log) -> Result<EnvFilter, Failure> {
    let level = &log.level;
    let wrong = |error| Failure::Sentence(format!("log level '{level}' is no level and no filter: {error}"));
    let filter = EnvFilter::try_new(level).map_err(wrong)?;
    // Packets are many: they are told when they are asked for, whatever the level is.
    let packets = if log.packets { "debug" } else { "off" };
    let directive = format!("{PACKETS}={packets}");
    match level.contains(PACKETS) {
        true => Ok(filter),
        false => Ok(filter.add_directive(directive.parse().map_err(wrong)?)),
    }
}
