//! The program and real sockets: what waits for a network or for a process, many beside each other.

macro_rules! tests {
    ($($name:ident,)*) => { &[$((stringify!($name), $name),)*] };
}

mod cli;
mod first_failure;
mod launch;
#[path = "../served/mod.rs"]
mod served;
mod storm;
mod stubs;
mod topics;
mod transports;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// Its name and what it does. A function that stands in no table does not compile.
type Test = (&'static str, fn());

/// They hardly compute, and wait for seconds.
const TRIALS_AT_A_TIME: usize = 12;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TRIALS_AT_A_TIME);
    let tests = [
        // They begin in this order: first what takes longest.
        trials("storm", storm::TESTS),
        trials("launch", launch::TESTS),
        trials("cli", cli::TESTS),
        trials("transports", transports::TESTS),
        trials("topics", topics::TESTS),
        trials("first_failure", first_failure::TESTS),
    ];
    libtest_mimic::run(&arguments, tests.into_iter().flatten().collect()).exit_code()
}

fn trials(module: &'static str, tests: &'static [Test]) -> impl Iterator<Item = Trial> {
    tests.iter().map(move |(name, run)| {
        Trial::test(format!("{module}::{name}"), || {
            run();
            Ok(())
        })
    })
}
