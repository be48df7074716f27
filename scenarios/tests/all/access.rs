//! Lines of rules go where the stage stands.

use serde::{
    Deserialize,
    de::{
        IntoDeserializer,
        value::{Error, StrDeserializer},
    },
};
use squall_scenarios::settings::access::{AclLine, RULE_LEVELS};

fn acl_line(text: &str) -> Result<AclLine, Error> {
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    AclLine::deserialize(text)
}

#[track_caller]
fn check(line: &str, placed: &str) {
    let read = acl_line(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(read.placed("n1"), placed);
}

#[test]
fn filters_go_below_the_root_and_dollar_topics_stay() {
    check("topic home/#", "topic readwrite squall/n1/home/#");
    check("topic read #", "topic read squall/n1/#");
    check("topic  deny-write \t a b/c ", "topic deny-write squall/n1/a b/c");
    check("topic read $SYS/#", "topic read $SYS/#");
    check("pattern publish of/%u/%c", "pattern publish squall/n1/of/%u/%c");
}

#[test]
fn a_topic_may_be_called_as_an_access_is() {
    check("topic readwrite read", "topic readwrite squall/n1/read");
    check("topic reading", "topic readwrite squall/n1/reading");
}

#[test]
fn client_sections_name_actors_and_users_stay_as_they_are() {
    check("client old_phone", "client n1oldphone");
    check("user old_phone", "user old_phone");
    check("user two words", "user two words");
    check("everybody", "everybody");
    check("anonymous", "anonymous");
}

#[test]
fn what_no_broker_takes_is_no_rule() {
    let deep = format!("topic {}", "a/".repeat(RULE_LEVELS));
    for line in ["", "topic", "topic read", "topic a/#/b", "topic read $share/g/t", "user", "everybody else", &deep] {
        assert!(acl_line(line).is_err(), "{line}");
    }
    assert!(acl_line("topic a\ntopic b").is_err());
}
