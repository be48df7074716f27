//! 4.7 of 5.0, beyond the form of names and filters: what they mean.

use crate::{
    liars::{s4_07_semantics as liar, subscribing},
    test::{Test, test},
    tests::both::s4_07_semantics::{
        a_hundred_levels_are_not_too_many, a_multi_level_wildcard_matches_its_parent,
        a_single_level_wildcard_matches_one_level, a_will_on_a_wildcard_is_never_published,
        clients_do_not_talk_below_dollar_sys, control_characters_are_refused_or_kept,
        dollar_sys_is_for_those_who_name_it, each_name_is_a_topic_of_its_own, the_longest_topic_is_taken_or_refused,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_will_on_a_wildcard_is_never_published,
        "Wills have topics with wildcards; the server turns them away, and publishes none.",
        ["5.0/MQTT-4.7.0-1"],
        liar::publishes_wills_on_wildcards
    ),
    test!(
        a_multi_level_wildcard_matches_its_parent,
        "A filter 'a/#' gets what is published to 'a', 'a/b' and 'a/b/c', and not to 'ab'.",
        ["5.0/X-WILDCARD-PARENT"],
        liar::misses_the_parent
    ),
    test!(
        a_single_level_wildcard_matches_one_level,
        "A filter 'a/+' gets what is published to 'a/' and 'a/b', and not to 'a' or 'a/b/c'.",
        ["5.0/X-WILDCARD-PLUS-ONE-LEVEL"],
        liar::lets_plus_match_more_levels
    ),
    test!(
        each_name_is_a_topic_of_its_own,
        "Names that differ by case, spaces and empty levels, and '/' alone; each message reaches the subscriber of its name.",
        ["5.0/X-TOPIC-CASE-SPACE-SLASH"],
        liar::ignores_trailing_slashes
    ),
    test!(
        a_hundred_levels_are_not_too_many,
        "A message goes through a topic of 100 levels; deeper ones are taken or refused.",
        ["5.0/X-TOPIC-DEPTH"],
        liar::reads_fifty_levels
    ),
    test!(
        the_longest_topic_is_taken_or_refused,
        "A topic has 65,535 bytes; it is taken as it is, or refused.",
        ["5.0/MQTT-4.7.3-3"],
        liar::shortens_topics
    ),
    test!(
        control_characters_are_refused_or_kept,
        "Topics hold control characters and noncharacters; they are refused, or delivered as they are.",
        ["5.0/X-DISALLOWED-CODE-POINTS"],
        liar::replaces_control_characters
    ),
    test!(
        clients_do_not_talk_below_dollar_sys,
        "A client publishes below '$SYS'; no other client gets it.",
        ["5.0/X-SYS-PUBLISH-PREVENTED"],
        subscribing::lets_clients_talk_below_dollar_sys
    )
    .should(),
    test!(
        dollar_sys_is_for_those_who_name_it,
        "Filters that begin with '$SYS' get what the server tells of itself; '#' does not.",
        ["5.0/X-SYS-EXPLICIT"],
        liar::lets_hash_match_dollar_sys
    )
    .exclusive()
    .slow(),
];
