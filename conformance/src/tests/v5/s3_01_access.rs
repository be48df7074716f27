//! 3.1.4 and 3.9.3: who may come in, and what they may subscribe to.

use crate::{
    liars::{access, documented},
    setup::Setup,
    test::{Test, test},
    tests::both::{
        s3_01_access::{who_is_refused_takes_nobodys_place, wrong_credentials_end_the_connection},
        s3_08_access::{
            a_denied_filter_is_refused_beside_one_that_is_granted, a_refused_filter_brings_nothing_retained,
        },
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        wrong_credentials_end_the_connection,
        "Clients come with a wrong password, an unknown name and none at all; none of them gets in.",
        ["5.0/MQTT-3.1.4-2"],
        access::asks_for_no_password
    )
    .on(Setup::Users),
    test!(
        a_denied_filter_is_refused_beside_one_that_is_granted,
        "A SUBSCRIBE holds a filter that is allowed and one that is not; each has its code, and only one delivers.",
        ["5.0/X-SUBSCRIBE-UNAUTHORISED"],
        access::swaps_the_codes
    )
    .on(Setup::Acl),
    test!(
        who_is_refused_takes_nobodys_place,
        "A client with a wrong password comes with the identifier of one that is connected; that one goes on.",
        ["5.0/MQTT-3.1.4-3"],
        documented::lets_strangers_take_over
    )
    .should()
    .on(Setup::Users),
    test!(
        a_refused_filter_brings_nothing_retained,
        "A client subscribes where it may not read, and where something is retained; it does not get that.",
        ["5.0/X-SUBSCRIBE-UNAUTHORISED"],
        documented::shows_what_is_retained_to_everybody
    )
    .on(Setup::Acl),
];
