//! 4.7 Topic Names and Topic Filters of 3.1.1.

use crate::{
    liars::{faults, subscribing},
    test::{Test, test},
    tests::both::s4_07_topics::{
        a_leading_wildcard_does_not_match_dollar_topics, a_misplaced_multi_level_wildcard_is_refused,
        a_misplaced_single_level_wildcard_is_refused, an_empty_filter_is_refused, an_empty_topic_closes_the_connection,
        names_are_compared_byte_by_byte,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_misplaced_multi_level_wildcard_is_refused,
        "Filters with '#' where it must not stand are refused.",
        ["3.1.1/MQTT-4.7.1-2"],
        faults::overlooks_misplaced_multi_level_wildcards
    ),
    test!(
        a_misplaced_single_level_wildcard_is_refused,
        "Filters with '+' where it must not stand are refused.",
        ["3.1.1/MQTT-4.7.1-3"],
        faults::overlooks_misplaced_single_level_wildcards
    ),
    test!(
        a_leading_wildcard_does_not_match_dollar_topics,
        "A filter that begins with a wildcard gets nothing that is published below '$'.",
        ["3.1.1/MQTT-4.7.2-1"],
        subscribing::lets_a_leading_wildcard_match_dollar_topics
    ),
    test!(
        an_empty_filter_is_refused,
        "A SUBSCRIBE to an empty filter is refused.",
        ["3.1.1/MQTT-4.7.3-1"],
        faults::overlooks_empty_filters
    ),
    test!(
        an_empty_topic_closes_the_connection,
        "A PUBLISH with an empty topic ends the connection.",
        ["3.1.1/MQTT-4.7.3-1"],
        faults::acknowledges_empty_topics
    ),
    test!(
        names_are_compared_byte_by_byte,
        "Names that differ in case, in composition or by an empty level do not match each other.",
        ["3.1.1/MQTT-4.7.3-4"],
        subscribing::ignores_the_case_of_topics
    ),
];
