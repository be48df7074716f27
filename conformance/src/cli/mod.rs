//! The command line: what was asked for, and who is told about it.

mod audit;
mod choice;
mod output;
mod subject;
mod trouble;
mod words;

pub(crate) use audit::run;
pub(crate) use trouble::Trouble;
pub(crate) use words::Cli;
