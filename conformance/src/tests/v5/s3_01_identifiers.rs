//! 3.1.3 CONNECT Payload of 5.0, and clients of two versions on one server.

use crate::{
    liars::{exchanges, s3_01_identifiers as liar},
    test::{Test, test},
    tests::both::s3_01_identifiers::{
        empty_credentials_are_no_error_of_form, messages_pass_between_the_versions,
        session_present_is_true_across_versions, unusual_identifiers_are_taken_as_they_are,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        unusual_identifiers_are_taken_as_they_are,
        "Client identifiers of up to 65,535 bytes and with other characters; they are refused, or told apart to their last byte.",
        ["5.0/X-CLIENTID-LONG"],
        liar::reads_23_letters_of_identifiers
    ),
    test!(
        empty_credentials_are_no_error_of_form,
        "A user name and a password of no bytes; they are taken, or refused as credentials.",
        ["5.0/X-USERNAME-PASSWORD-EMPTY"],
        liar::calls_empty_credentials_malformed
    ),
    test!(
        messages_pass_between_the_versions,
        "Clients of 3.1.1 and of 5.0 exchange messages; properties do not leak to the old one, nor appear from nowhere.",
        ["5.0/X-CROSS-VERSION-DELIVERY"],
        liar::leaks_properties_to_old_clients
    ),
    test!(
        session_present_is_true_across_versions,
        "A session of the other version is asked for; Session Present tells whether its subscription is alive.",
        ["5.0/X-SESSION-CROSS-VERSION"],
        exchanges::denies_the_session
    )
    .should(),
];
