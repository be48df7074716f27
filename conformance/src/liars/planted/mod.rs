//! Defects as somebody would plant them in front of a good server, byte by byte: coarse, on every connection, with no test
//! in mind. No defect names the test that has to notice it; some test has to.

mod acknowledgements;
mod deliveries;
mod documented;
mod handshakes;
mod plain;
mod properties;
mod stopping;

use squall_codec::version::Version;
use squall_scenarios::liar::Liar;

/// A defect.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// What it does, the end of a sentence that begins with "the server".
    pub name: &'static str,
    /// The versions in which it is one.
    pub versions: &'static [Version],
    /// The proxy that has it.
    pub liar: fn() -> Box<dyn Liar>,
}

const BOTH: &[Version] = &[Version::V3_1_1, Version::V5_0];
const V5: &[Version] = &[Version::V5_0];

const fn planted(name: &'static str, versions: &'static [Version], liar: fn() -> Box<dyn Liar>) -> Planted {
    Planted { name, versions, liar }
}

/// All of them.
pub fn all() -> impl Iterator<Item = Planted> {
    [deliveries::ALL, acknowledgements::ALL, handshakes::ALL, properties::ALL].concat().into_iter()
}

/// Defects that real servers had, as their change logs and issue trackers describe them. Here each has the test that has to
/// notice it: the collection `documented_bugs.tsv` names both.
pub fn documented() -> impl Iterator<Item = Planted> {
    [documented::ALL, plain::ALL, stopping::ALL].concat().into_iter()
}
