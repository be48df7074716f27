//! 3.1.4 and 3.9.3: who may come in, and what they may subscribe to.

use crate::{
    liars::access,
    setup::Setup,
    test::{Test, test},
    tests::both::{
        s3_01_access::wrong_credentials_end_the_connection,
        s3_08_access::a_denied_filter_is_refused_beside_one_that_is_granted,
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
];
