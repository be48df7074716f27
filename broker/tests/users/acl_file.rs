//! The lines of a file of rules, and what is said of those that are wrong.

use std::path::Path;

use proptest::prelude::*;
use squall_broker::{
    core::acl::{Acl, Action, Subject},
    users::acl_file,
};

use crate::support::text;

fn parse(lines: &str) -> Result<Acl, String> {
    acl_file::parse(Path::new("/etc/acl"), lines.as_bytes()).map_err(|error| error.to_string())
}

/// What somebody may do with a topic, as `psr`: publish, subscribe, receive.
fn may(acl: &Acl, user: Option<&str>, client_id: &str, topic: &str) -> String {
    let (user, client_id) = (user.map(text), text(client_id));
    let subject = Subject { user: user.as_ref(), client_id: &client_id };
    [(Action::Publish, 'p'), (Action::Subscribe, 's'), (Action::Receive, 'r')]
        .into_iter()
        .map(|(action, letter)| if acl.allows(subject, action, topic) { letter } else { '-' })
        .collect()
}

#[test]
fn a_file_of_mosquitto_means_what_it_means_there() {
    let acl = parse(
        "# This affects access control for clients with no username.\n\
         topic read $SYS/#\n\
         topic hello\n\
         \n\
         # This only affects clients with username \"roger\".\n\
         user roger\n\
         topic foo/bar\n\
         topic  readwrite  with space/#\n\
         topic deny foo/bar/secret\n\
         topic foo/#\n\
         \n\
         user van der Berg\n\
         topic write measurements\n\
         # This affects all clients.\n\
         pattern write $SYS/broker/connection/%c/state\n\
         pattern read devices/%u/%c\n\
         topic literally/%c\n",
    )
    .expect("a valid file");
    for (user, topic, expected) in [
        (None, "$SYS/broker/uptime", "-sr"),
        (None, "hello", "psr"),
        (None, "foo/bar", "---"),
        (Some("roger"), "hello", "---"),
        (Some("roger"), "$SYS/broker/uptime", "---"),
        (Some("roger"), "foo/bar", "psr"),
        (Some("roger"), "foo/x", "psr"),
        (Some("roger"), "foo/bar/secret", "---"),
        (Some("roger"), "with space/x", "psr"),
        (Some("roger"), "measurements", "---"),
        (Some("roger"), "devices/roger/phone", "-sr"),
        (Some("roger"), "devices/roger/desk", "---"),
        (Some("van der Berg"), "measurements", "p--"),
        (Some("van der Berg"), "literally/%c", "psr"),
        (Some("van der Berg"), "literally/phone", "---"),
        (Some("nobody"), "$SYS/broker/connection/phone/state", "p--"),
    ] {
        assert_eq!(may(&acl, user, "phone", topic), expected, "{user:?} {topic}");
    }
}

#[test]
fn sections_and_words_of_our_own() {
    let acl = parse(
        "client boiler-7\n topic publish plant/boiler/7\n\ttopic\tsubscribe\tplant/#\n topic receive plant/orders\n\
         everybody\n topic read public/#\n topic write inbox\n topic deny-write inbox/locked\n topic write inbox/+\n\
         topic readwrite all/#\n topic deny-read all/r\n topic deny-publish all/p\n topic deny-subscribe all/s\n\
         topic deny-receive all/v\n\
         anonymous\n topic lobby\n",
    )
    .expect("a valid file");
    for (user, client_id, topic, expected) in [
        (Some("x"), "boiler-7", "plant/boiler/7", "ps-"),
        (None, "boiler-7", "plant/orders", "-sr"),
        (None, "boiler-8", "plant/orders", "---"),
        (None, "a", "public/x", "-sr"),
        (Some("x"), "a", "inbox", "p--"),
        (Some("x"), "a", "inbox/open", "p--"),
        (Some("x"), "a", "inbox/locked", "---"),
        (None, "a", "all/r", "p--"),
        (None, "a", "all/p", "-sr"),
        (None, "a", "all/s", "p-r"),
        (None, "a", "all/v", "ps-"),
        (None, "a", "lobby", "psr"),
        (Some("x"), "a", "lobby", "---"),
    ] {
        assert_eq!(may(&acl, user, client_id, topic), expected, "{user:?} {client_id} {topic}");
    }
}

#[test]
fn one_line_makes_subscribing_open_as_mosquitto_has_it() {
    let acl = parse("pattern read home/%u/#\npattern subscribe #\n").expect("a valid file");
    assert_eq!(may(&acl, Some("u"), "c", "#"), "-s-");
    assert_eq!(may(&acl, Some("u"), "c", "home/u/x"), "-sr");
    assert_eq!(may(&acl, Some("u"), "c", "home/v/x"), "-s-");
}

#[test]
fn a_file_without_rules_allows_nothing() {
    let acl = parse("# later\n").expect("a valid file");
    assert!(!acl.is_open());
    assert_eq!(may(&acl, Some("u"), "c", "a"), "---");
}

#[track_caller]
fn refused(lines: &str, expected: &str) {
    assert_eq!(parse(lines).expect_err("a wrong line"), expected);
}

#[test]
fn a_wrong_line_is_shown_with_the_word_that_was_probably_meant() {
    refused(
        "user alice\n  topic raed a/b\n",
        "/etc/acl:2: 'raed' is no access; did you mean 'read'?\n  2 | topic raed a/b\n    |       ^^^^",
    );
    refused(
        "topics read a\n",
        "/etc/acl:1: unknown word 'topics'; did you mean 'topic'?\n  1 | topics read a\n    | ^^^^^^",
    );
    refused(
        "allow all\n",
        "/etc/acl:1: unknown word 'allow'; expected one of topic, pattern, user, client, anonymous, everybody\
         \n  1 | allow all\n    | ^^^^^",
    );
    refused(
        "topic my topic\n",
        "/etc/acl:1: 'my' is no access; expected one of read, write, readwrite, publish, subscribe, receive, deny, \
         deny-read, deny-write, deny-publish, deny-subscribe, deny-receive, which only a topic without spaces can do \
         without\n  1 | topic my topic\n    |       ^^",
    );
    refused(
        "topic read\n",
        "/etc/acl:1: no topic behind 'read'; where 'read' is the topic, write 'readwrite read'\
         \n  1 | topic read\n    |       ^^^^",
    );
    refused("pattern\n", "/etc/acl:1: no topic\n  1 | pattern\n    | ^^^^^^^");
    refused("user\n", "/etc/acl:1: no name behind 'user'\n  1 | user\n    | ^^^^");
    refused(
        "everybody else\n",
        "/etc/acl:1: 'everybody' stands alone on its line\n  1 | everybody else\n    |           ^^^^",
    );
    refused(
        "topic read a/#/b\n",
        "/etc/acl:1: the topic has a '#' that is not alone in the last level\n  1 | topic read a/#/b\n    |            ^^^^^",
    );
    refused(
        "topic read a/b # all of it\n",
        "/etc/acl:1: the topic has a '#' that is not alone in the last level; a comment has a line of its own\
         \n  1 | topic read a/b # all of it\n    |            ^^^^^^^^^^^^^^^",
    );
    refused(
        "\n\n\n\n\n\n\n\n\npattern %c+/x\n",
        "/etc/acl:10: the topic has a '+' that is not alone in its level\n  10 | pattern %c+/x\n     |         ^^^^^",
    );
    refused(
        "topic read $share/g/a\n",
        "/etc/acl:1: the topic is a shared subscription, which is judged by the filter behind '$share/{ShareName}/'\
         \n  1 | topic read $share/g/a\n    |            ^^^^^^^^^^",
    );
}

#[test]
fn a_long_line_is_shown_around_the_mark() {
    let error = parse(&format!("topic {} x/#/y", "é".repeat(500))).expect_err("a wrong line");
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 3, "{error}");
    assert!(lines.iter().all(|line| line.chars().count() < 400), "{error}");
    let (shown, marks) = (lines[1].chars().count(), lines[2].chars().count());
    assert!(shown <= 110 && marks <= shown, "{error}");
}

proptest! {
    #[test]
    fn no_file_makes_reading_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        lines in prop::collection::vec("(topic|pattern|user|client|anonymous|tpoic)?[ \t]?(read|deny|raed)?[ \t]?[a-z+#/%é\u{1}]{0,8}", 0..5),
    ) {
        let _ = acl_file::parse(Path::new("acl"), &bytes);
        let _ = acl_file::parse(Path::new("acl"), lines.join("\n").as_bytes());
    }
}
