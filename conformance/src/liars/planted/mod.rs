//! Defects as somebody would plant them in front of a good server, byte by byte: coarse, on every connection, with no test
//! in mind. No defect names the test that has to notice it; some test has to.

mod acknowledgements;
mod deliveries;
mod handshakes;
mod properties;

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
