//! The words that are understood.

use clap::{Args, Parser, Subcommand};

use super::{
    accuse::IssueArgs,
    choice::ChoiceArgs,
    compare::{DiffArgs, MatrixArgs},
    output::OutputArgs,
    probe::ProbeArgs,
    scenarios::ScenariosArgs,
    subject::SubjectArgs,
};
#[cfg(feature = "own-broker")]
use super::{self_test::SelfTestArgs, storm::StormArgs};

const EXAMPLES: &str = "\
Examples:
  conformance                                        audit our own broker in virtual time
  conformance --target localhost:1883                audit a broker over TCP, MQTT 3.1.1 and 5.0
  conformance --target broker:1883 --mqtt 5.0        one version
  conformance --target broker:1883 MQTT-3.3          the statements of PUBLISH
  conformance --target broker:1883 5.0/MQTT-3.1.2-24 one statement
  conformance --target broker:1883 \"will\"            tests with this word
  conformance --target broker:1883 --report json=report.json --report markdown=report.md
  conformance --target broker:1883 --baseline known.toml --report junit=junit.xml
  conformance --target wss://broker/mqtt --username ann --password secret
  conformance --launch mosquitto                     start Mosquitto as each test wants it, and audit it
  conformance probe --target broker:1883             what it offers
  conformance scenarios scenarios/will --target broker:1883   play stories on it
  conformance storm --target broker:1883 --seeds 0..50        storms, fifty at a time
  conformance --list MQTT-3.1                        what would run
  conformance explain MQTT-3.1.0-2                   the rule, and the tests that prove it
  conformance coverage                               what is tested, and what could be
  conformance issue 5.0/MQTT-3.12.4-1 --target broker:1883     a failure for the tracker of the broker
  conformance diff before.json after.json            what newly fails, what is fixed
  conformance report reports/*.json                  brokers side by side
  conformance self-test                              every test against every liar

Exit status: 0 no rule is broken, 1 a rule is broken (that no baseline accepts), 2 the audit could not run
or most of its questions were not reached, 130 it was interrupted: what is known by then is reported.";

/// Audits any MQTT broker against the numbered statements of the standard.
#[derive(Debug, Parser)]
#[command(name = "conformance", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) audit: AuditArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Tell a statement in plain words, and the tests that prove it
    Explain {
        /// As in the standard, with or without a version: MQTT-3.1.0-2, 5.0/MQTT-3.1.0-2
        id: String,
    },
    /// Tell what a server offers: what it says, and what works
    Probe(ProbeArgs),
    /// Play stories (YAML) at a server, through a link that delays, cuts and splits
    Scenarios(ScenariosArgs),
    /// Count what is tested, what could be observed at a server, and all there is
    Coverage,
    /// Compare two reports (JSON): what newly fails or is open, what is fixed
    ///
    /// Exit status 1 if something fails that did not, or if something that passed or only warned is
    /// inconclusive now: nobody knows any more whether it holds. What is unsupported now (the server
    /// says so) or untested (not asked for) is told, and leaves the status 0.
    Diff(DiffArgs),
    /// Draw the statements on which brokers differ as Markdown, from their reports (JSON)
    Report(MatrixArgs),
    /// Write a broken statement as Markdown for the maintainer of a broker, with a script that shows it again
    Issue(IssueArgs),
    /// Prove the tests themselves: each on the honest broker, on its own liar, on the liars of all others
    #[cfg(feature = "own-broker")]
    SelfTest(SelfTestArgs),
    /// Play storms at a server: many clients, bad links, and whether everything that is owed still arrives
    #[cfg(feature = "own-broker")]
    Storm(StormArgs),
}

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    #[command(flatten)]
    pub(super) subject: SubjectArgs,
    #[command(flatten)]
    pub(super) choice: ChoiceArgs,
    /// List the tests that would run, and run none
    #[arg(long)]
    pub(super) list: bool,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}
