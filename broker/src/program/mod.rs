//! The program: settings from the command line, the environment and a file; listeners, logs, metrics, signals.

mod door;
mod fault;
mod file;
mod files;
mod http;
mod logs;
mod metrics;
mod options;
mod passwd;
mod print;
mod serve;
mod settings;
mod signals;
mod start;
mod table;
mod url;
mod value;

pub(crate) use start::main;
