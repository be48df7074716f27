//! 4.1 What survives a restart.

use crate::{
    liars::access,
    setup::Setup,
    test::{Test, test},
    tests::both::s4_01_restart::a_session_survives_a_restart,
};

pub(crate) const TESTS: &[Test] = &[test!(
    a_session_survives_a_restart,
    "A server that keeps its state is stopped and started again; session, subscription and messages are there.",
    ["3.1.1/X-PERSISTENCE-RESTART"],
    access::forgets_sessions_over_a_restart
)
.should()
.on(Setup::Persistence)
.restarting()];
