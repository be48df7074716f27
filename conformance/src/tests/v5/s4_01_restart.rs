//! 4.1 What survives a restart.

use crate::{
    liars::{access, s3_01_session, s3_02_connack},
    setup::Setup,
    test::{Test, test},
    tests::both::s4_01_restart::{
        a_server_that_stops_hangs_up, a_session_survives_a_restart, a_session_that_expired_meanwhile_is_gone,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_session_survives_a_restart,
        "A server that keeps its state is stopped and started again; session, subscription and messages are there.",
        ["5.0/X-PERSISTENCE-RESTART"],
        access::forgets_sessions_over_a_restart
    )
    .should()
    .on(Setup::Persistence)
    .restarting(),
    test!(
        a_session_that_expired_meanwhile_is_gone,
        "A server that keeps its state is down for longer than a session lasts; the session does not come back.",
        ["5.0/X-EXPIRY-ACROSS-RESTART"],
        s3_01_session::says_present
    )
    .should()
    .on(Setup::Persistence)
    .restarting(),
    test!(
        a_server_that_stops_hangs_up,
        "A server is stopped while a client is connected; the connection ends, perhaps after DISCONNECT 0x8B.",
        ["5.0/X-SERVER-SHUTDOWN"],
        s3_02_connack::disconnects_with_an_expiry
    )
    .restarting(),
];
