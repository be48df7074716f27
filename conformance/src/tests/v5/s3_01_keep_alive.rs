//! 3.1.2.10 Keep Alive of 5.0, and a connection without CONNECT.

use crate::{
    liars::{exchanges, s3_01_keep_alive as liar},
    test::{Test, test},
    tests::both::s3_01_keep_alive::{
        a_client_that_is_a_little_late_is_still_served, a_connection_without_connect_is_closed,
        a_keep_alive_that_runs_out_has_one_reason, a_large_keep_alive_closes_nobody_early,
        any_packet_restarts_the_keep_alive, keep_alive_0_is_no_limit, what_the_server_sends_is_no_sign_of_the_client,
        who_has_no_keep_alive_is_let_in,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        keep_alive_0_is_no_limit,
        "A client with Keep Alive 0 says nothing for 10 s; it is still served.",
        ["5.0/X-KEEPALIVE-ZERO"],
        liar::ends_those_without_keep_alive
    )
    .slow(),
    test!(
        who_has_no_keep_alive_is_let_in,
        "A client with Keep Alive 0 is let in and served, as one with Keep Alive 60 is.",
        ["5.0/X-KEEPALIVE-ZERO", "5.0/MQTT-3.1.4-5"],
        liar::turns_away_who_has_no_keep_alive
    ),
    test!(
        any_packet_restarts_the_keep_alive,
        "One client only publishes and one only acknowledges; both stay connected beyond their keep alive.",
        ["5.0/X-KEEPALIVE-ANY-PACKET"],
        liar::counts_only_pings
    )
    .slow(),
    test!(
        what_the_server_sends_is_no_sign_of_the_client,
        "A client with Keep Alive 1 receives messages and sends nothing; its connection is ended.",
        ["5.0/X-KEEPALIVE-INBOUND-ONLY"],
        liar::counts_its_own_packets
    ),
    test!(
        a_large_keep_alive_closes_nobody_early,
        "Clients with Keep Alive 65535 and 43691 say nothing for 5 s; they are still served.",
        ["5.0/X-KEEPALIVE-MAX"],
        liar::counts_in_16_bits
    ),
    test!(
        a_keep_alive_that_runs_out_has_one_reason,
        "A client with Keep Alive 1 says nothing; its connection is ended with DISCONNECT 0x8D or without a word.",
        ["5.0/X-KEEPALIVE-TIMEOUT-DISCONNECT"],
        liar::ends_the_silent_for_another_reason
    )
    .should(),
    test!(
        a_client_that_is_a_little_late_is_still_served,
        "A client with Keep Alive 4 says nothing for nearly 5 s, which is less than 6; it is still served.",
        ["5.0/MQTT-3.1.2-22"],
        liar::grants_no_grace
    )
    .should(),
    test!(
        a_connection_without_connect_is_closed,
        "One connection says nothing and another sends half a CONNECT; the server ends both.",
        ["5.0/X-CONNECT-TIMEOUT"],
        exchanges::waits_for_strangers
    )
    .should()
    .slow(),
];
