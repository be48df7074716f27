//! Clients that others wrote, against the server: what they ask of it they get, over every transport that they know.
//!
//! A client that is not on this machine gives trials that are ignored, with the reason; `.ci/run` installs them all.

mod mosquitto;
mod scripted;
mod world;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let world = world::World::start();
    let mut trials = mosquitto::trials(&world);
    trials.extend(scripted::trials(&world));
    libtest_mimic::run(&arguments, trials).exit_code()
}
