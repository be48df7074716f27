//! 4.7 of 3.1.1, beyond the form of names and filters: what they mean.

use crate::{
    liars::{s4_07_semantics as liar, subscribing},
    test::{Test, test},
    tests::both::s4_07_semantics::{
        a_hundred_levels_are_not_too_many, a_multi_level_wildcard_matches_its_parent,
        a_single_level_wildcard_matches_one_level, a_will_on_a_wildcard_is_never_published,
        clients_do_not_talk_below_dollar_sys, control_characters_are_refused_or_kept,
        dollar_share_is_no_filter_for_all, dollar_sys_is_for_those_who_name_it, each_name_is_a_topic_of_its_own,
        the_longest_topic_is_taken_or_refused,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_will_on_a_wildcard_is_never_published,
        "Wills have topics with wildcards; the server turns them away, and publishes none.",
        ["3.1.1/MQTT-4.7.1-1"],
        liar::publishes_wills_on_wildcards
    ),
    test!(
        a_multi_level_wildcard_matches_its_parent,
        "A filter 'a/#' gets what is published to 'a', 'a/b' and 'a/b/c', and not to 'ab'.",
        ["3.1.1/X-WILDCARD-PARENT"],
        liar::misses_the_parent
    ),
    test!(
        a_single_level_wildcard_matches_one_level,
        "A filter 'a/+' gets what is published to 'a/' and 'a/b', and not to 'a' or 'a/b/c'.",
        ["3.1.1/X-WILDCARD-PLUS-ONE-LEVEL"],
        liar::lets_plus_match_more_levels
    ),
    test!(
        each_name_is_a_topic_of_its_own,
        "Names that differ by case, spaces and empty levels, and '/' alone; each message reaches the subscriber of its name.",
        ["3.1.1/X-TOPIC-CASE-SPACE-SLASH"],
        liar::ignores_trailing_slashes
    ),
    test!(
        a_hundred_levels_are_not_too_many,
        "A message goes through a topic of 100 levels; deeper ones are taken or refused.",
        ["3.1.1/X-TOPIC-DEPTH"],
        liar::reads_fifty_levels
    ),
    test!(
        the_longest_topic_is_taken_or_refused,
        "A topic has 65,535 bytes; it is taken as it is, or refused.",
        ["3.1.1/MQTT-4.7.3-3"],
        liar::shortens_topics
    ),
    test!(
        control_characters_are_refused_or_kept,
        "Topics hold control characters and noncharacters; they are refused, or delivered as they are.",
        ["3.1.1/X-DISALLOWED-CODE-POINTS"],
        liar::replaces_control_characters
    ),
    test!(
        clients_do_not_talk_below_dollar_sys,
        "A client publishes below '$SYS'; no other client gets it.",
        ["3.1.1/X-SYS-PUBLISH-PREVENTED"],
        subscribing::lets_clients_talk_below_dollar_sys
    )
    .should(),
    test!(
        dollar_sys_is_for_those_who_name_it,
        "Filters that begin with '$SYS' get what the server tells of itself; '#' does not.",
        ["3.1.1/X-SYS-EXPLICIT"],
        liar::lets_hash_match_dollar_sys
    )
    .exclusive()
    .slow(),
    test!(
        dollar_share_is_no_filter_for_all,
        "Two clients subscribe to one '$share' filter, which 3.1.1 does not know; at most one of them gets the message.",
        ["3.1.1/X-SHARED-IN-311"],
        subscribing::delivers_to_each_member
    ),
];
