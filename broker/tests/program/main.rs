//! The program from outside, as a user runs it: options, configuration, what it prints, how it ends.
#![cfg(unix)]

mod cli;
mod config;
mod logs;
mod metrics;
mod signals;
mod store;
mod support;
mod users;
