//! What a conformance test is: a function, the statements it proves, and the liar that it must catch.

use squall_codec::version::Version;
use squall_scenarios::{
    liar::Liar,
    stage::{LocalFuture, Need, Stage},
    verdict::Outcome,
};

use crate::setup::Setup;

/// Which part of the subject a test needs for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Isolation {
    /// Runs beside any other: its names are its own.
    Shared,
    /// Runs alone: it looks at something that all clients share.
    Exclusive,
    /// Has a broker of its own: it takes it down.
    Own,
}

/// A test.
#[derive(Clone, Copy)]
pub struct Test {
    /// The function's name: a sentence.
    pub name: &'static str,
    /// The first line of its documentation: what it does and what must come of it.
    pub about: &'static str,
    /// `5.0/MQTT-3.1.0-2`: the statements that it decides, the one it is made for first.
    pub statements: &'static [&'static str],
    /// The test itself.
    pub run: for<'a> fn(&'a Stage) -> LocalFuture<'a, Outcome>,
    /// Breaks just the rule that this test is about. What it makes of the test: `Fail`, or `Warn` for a SHOULD.
    pub liar: fn() -> Box<dyn Liar>,
    /// Its rule is a SHOULD: the liar makes it warn.
    pub should: bool,
    /// What it must have for itself.
    pub isolation: Isolation,
    /// Needs more than 5 s on a healthy broker: runs only when asked for.
    pub slow: bool,
    /// How it wants the subject set up.
    pub setup: Setup,
    /// What the world must offer.
    pub needs: &'static [Need],
    /// It holds for MQTT 3.1 as well: it then also runs on a stage of 3.1, for information.
    pub also_3_1: bool,
    /// Where the liar stands, as the compiler says it: see `liar_name`.
    pub liar_path: fn() -> &'static str,
}

impl Test {
    /// The name of its liar: `exchanges::delivers_nothing`. Tests whose liar has the same name have the same liar.
    pub fn liar_name(&self) -> &'static str {
        let path = (self.liar_path)();
        path.split_once("liars::").map_or(path, |(_, name)| name)
    }

    /// Its rule is a SHOULD.
    pub(crate) const fn should(mut self) -> Self {
        self.should = true;
        self
    }

    /// It looks at something that all clients share.
    pub(crate) const fn exclusive(mut self) -> Self {
        self.isolation = Isolation::Exclusive;
        self
    }

    /// It wants the subject set up so.
    pub(crate) const fn on(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    /// It stops the subject, or kills it, and starts it again.
    pub(crate) const fn restarting(mut self) -> Self {
        self.isolation = Isolation::Own;
        self.needs = &[Need::Restart];
        self
    }

    /// A healthy broker needs more than 5 s for it.
    pub(crate) const fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    /// It holds for MQTT 3.1 as well.
    pub(crate) const fn also_3_1(mut self) -> Self {
        self.also_3_1 = true;
        self
    }
}

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Test").field("name", &self.name).field("statements", &self.statements).finish_non_exhaustive()
    }
}

/// The tests of one section of one version of the standard.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Of the protocol.
    pub version: Version,
    /// As in the standard: "3.1".
    pub number: &'static str,
    /// As in the standard: "CONNECT".
    pub title: &'static str,
    /// In the order of the file.
    pub tests: &'static [Test],
}

/// A row of a section's table: the function, what it is about in one sentence, the statements, the liar.
macro_rules! test {
    ($function:ident, $about:literal, [$($statement:literal),+ $(,)?], $liar:expr) => {
        $crate::test::Test {
            name: stringify!($function),
            about: $about,
            statements: &[$($statement),+],
            run: |stage| Box::pin($function(stage)),
            liar: $liar,
            should: false,
            isolation: $crate::test::Isolation::Shared,
            slow: false,
            setup: $crate::setup::Setup::Plain,
            needs: &[],
            also_3_1: false,
            liar_path: || std::any::type_name_of_val(&$liar),
        }
    };
}
pub(crate) use test;
