//! The command line: what was asked for, and who is told about it.

mod access;
mod accuse;
mod audit;
mod choice;
mod compare;
mod output;
mod probe;
mod scenarios;
#[cfg(feature = "own-broker")]
mod self_test;
mod server;
mod signals;
#[cfg(feature = "own-broker")]
mod storm;
mod subject;
mod trouble;
mod words;

pub(crate) use audit::run;
pub(crate) use trouble::Trouble;
pub(crate) use words::Cli;
