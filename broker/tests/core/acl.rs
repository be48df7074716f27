//! Rules of who may do what: whom they concern, what they cover, what beats what.

use proptest::prelude::*;
use squall_broker::core::acl::{
    Acl, Action, Actions, RULE_LEVELS, Rule, RuleFilter, RuleFilterError, Subject,
    Verdict::{self, Allow, Deny},
    Whom,
};
use squall_codec::{
    topic::{TopicError, matches},
    wire::Text,
};

const EACH: [Action; 3] = [Action::Publish, Action::Subscribe, Action::Receive];

fn text(text: &str) -> Text {
    Text::new(text).expect("a valid string")
}

fn rule(whom: Whom, verdict: Verdict, actions: Actions, filter: &str) -> Rule {
    Rule { whom, verdict, actions, filter: RuleFilter::pattern(filter).expect("a valid filter") }
}

fn everybody(verdict: Verdict, actions: Actions, filter: &str) -> Rule {
    rule(Whom::Everybody, verdict, actions, filter)
}

/// Whether alice, who comes as "phone", may.
fn alice(acl: &Acl, action: Action, topic: &str) -> bool {
    asks(acl, Some("alice"), "phone", action, topic)
}

fn asks(acl: &Acl, user: Option<&str>, client_id: &str, action: Action, topic: &str) -> bool {
    let (user, client_id) = (user.map(text), text(client_id));
    acl.allows(Subject { user: user.as_ref(), client_id: &client_id }, action, topic)
}

/// One rule that allows: which filters may be subscribed to, which not.
#[track_caller]
fn covers(filter: &str, within: &[&str], beyond: &[&str]) {
    let acl = Acl::new([everybody(Allow, Actions::READ, filter)]);
    for filter in within {
        assert!(alice(&acl, Action::Subscribe, filter), "{filter}");
    }
    for filter in beyond {
        assert!(!alice(&acl, Action::Subscribe, filter), "{filter}");
    }
}

#[test]
fn without_rules_everything_is_allowed_and_with_none_that_fits_nothing() {
    for action in EACH {
        assert!(alice(&Acl::default(), action, "a/b"));
        assert!(!alice(&Acl::new([]), action, "a/b"));
    }
    assert!(Acl::default().is_open());
    assert!(!Acl::new([]).is_open());
}

#[test]
fn publish_subscribe_and_receive_are_apart() {
    let alone = [Actions::PUBLISH, Actions::SUBSCRIBE, Actions::RECEIVE];
    for (index, actions) in alone.into_iter().enumerate() {
        let acl = Acl::new([everybody(Allow, actions, "a")]);
        assert_eq!(EACH.map(|action| alice(&acl, action, "a")), [index == 0, index == 1, index == 2]);
    }
    for (actions, expected) in [
        (Actions::READ, [false, true, true]),
        (Actions::WRITE, [true, false, false]),
        (Actions::READ_WRITE, [true, true, true]),
    ] {
        let acl = Acl::new([everybody(Allow, actions, "a")]);
        assert_eq!(EACH.map(|action| alice(&acl, action, "a")), expected);
    }
}

#[test]
fn a_rule_concerns_those_it_names() {
    let acl = Acl::new([
        rule(Whom::User(text("alice")), Allow, Actions::WRITE, "of/alice"),
        rule(Whom::Anonymous, Allow, Actions::WRITE, "of/nobody"),
        rule(Whom::Client(text("phone")), Allow, Actions::WRITE, "of/phone"),
        everybody(Allow, Actions::WRITE, "of/all"),
    ]);
    for (user, client_id, expected) in [
        (Some("alice"), "phone", [true, false, true, true]),
        (Some("alice"), "desk", [true, false, false, true]),
        (Some("bob"), "phone", [false, false, true, true]),
        (None, "phone", [false, true, true, true]),
        (None, "alice", [false, true, false, true]),
    ] {
        let topics = ["of/alice", "of/nobody", "of/phone", "of/all"];
        assert_eq!(topics.map(|topic| asks(&acl, user, client_id, Action::Publish, topic)), expected, "{user:?}");
    }
}

#[test]
fn what_one_rule_denies_no_other_allows() {
    let deny = everybody(Deny, Actions::READ_WRITE, "plant/secret/#");
    let allow = rule(Whom::User(text("alice")), Allow, Actions::READ_WRITE, "plant/#");
    for rules in [[deny.clone(), allow.clone()], [allow, deny]] {
        let acl = Acl::new(rules);
        for action in EACH {
            assert!(alice(&acl, action, "plant/open"));
            assert!(!alice(&acl, action, "plant/secret"));
            assert!(!alice(&acl, action, "plant/secret/key"));
        }
    }
}

#[test]
fn only_the_named_action_is_denied() {
    let acl = Acl::new([
        everybody(Allow, Actions::READ_WRITE, "plant/#"),
        everybody(Deny, Actions::WRITE, "plant/settings/#"),
    ]);
    assert!(!alice(&acl, Action::Publish, "plant/settings/x"));
    assert!(alice(&acl, Action::Subscribe, "plant/settings/x"));
    assert!(alice(&acl, Action::Receive, "plant/settings/x"));
}

#[test]
fn a_subscription_is_covered_as_a_whole_or_refused() {
    covers("a/b", &["a/b"], &["a", "a/b/c", "a/+", "a/#", "#", "+/b", "A/b"]);
    covers("a/+", &["a/b", "a/+", "a/"], &["a", "a/#", "a/+/c", "a/b/#", "+/+"]);
    covers("a/#", &["a", "a/#", "a/b", "a/+", "a/+/c/#"], &["#", "+", "+/#", "b/#", "/a"]);
    covers("+/b", &["a/b", "+/b", "/b"], &["b", "#", "+/+", "$x/b", "a/b/c"]);
    covers("#", &["#", "+", "a", "+/#", "a/b/#", "/"], &["$SYS", "$SYS/#", "$SYS/+"]);
    covers("+/#", &["#", "+", "a", "+/#", "a/b/#", "/"], &["$SYS", "$SYS/#", "$SYS/+"]);
    covers("a/+/#", &["a/b", "a/+", "a/+/#", "a/b/#"], &["a", "a/#", "#"]);
    covers("$SYS/#", &["$SYS", "$SYS/#", "$SYS/+/x"], &["#", "+/#", "SYS"]);
}

#[test]
fn a_shared_subscription_is_judged_by_its_filter() {
    covers("a/+", &["$share/g/a/b", "$share/g/a/+"], &["$share/g/a/#", "$share/g/b", "$share/a/b"]);
}

#[test]
fn the_part_that_is_denied_does_not_refuse_the_subscription_but_is_never_received() {
    let acl = Acl::new([everybody(Allow, Actions::READ, "plant/#"), everybody(Deny, Actions::READ, "plant/+/secret")]);
    assert!(alice(&acl, Action::Subscribe, "plant/#"));
    assert!(alice(&acl, Action::Receive, "plant/1/open"));
    assert!(!alice(&acl, Action::Receive, "plant/1/secret"));
    assert!(!alice(&acl, Action::Subscribe, "plant/+/secret"));
    assert!(!alice(&acl, Action::Subscribe, "plant/1/secret"));
}

#[test]
fn subscribe_may_be_open_while_receive_is_not() {
    let acl = Acl::new([everybody(Allow, Actions::SUBSCRIBE, "#"), everybody(Allow, Actions::RECEIVE, "a/b")]);
    assert!(alice(&acl, Action::Subscribe, "#"));
    assert!(alice(&acl, Action::Receive, "a/b"));
    assert!(!alice(&acl, Action::Receive, "a/c"));
}

#[test]
fn the_clients_names_are_filled_in_also_within_a_level() {
    let acl = Acl::new([
        everybody(Allow, Actions::READ_WRITE, "home/%u/#"),
        everybody(Allow, Actions::WRITE, "dev/v1-%c-of-%u/state"),
        everybody(Allow, Actions::WRITE, "100%/%%c/%x"),
    ]);
    assert!(alice(&acl, Action::Subscribe, "home/alice/#"));
    assert!(alice(&acl, Action::Receive, "home/alice/kitchen"));
    assert!(!alice(&acl, Action::Receive, "home/bob/kitchen"));
    assert!(!alice(&acl, Action::Subscribe, "home/+/#"));
    assert!(!alice(&acl, Action::Subscribe, "home/%u/#"));
    assert!(alice(&acl, Action::Publish, "dev/v1-phone-of-alice/state"));
    assert!(!alice(&acl, Action::Publish, "dev/v1-phone-of-bob/state"));
    assert!(!alice(&acl, Action::Publish, "dev/v1-phone-of-alice2/state"));
    assert!(!alice(&acl, Action::Publish, "dev/v1-phone/state"));
    assert!(alice(&acl, Action::Publish, "100%/%phone/%x"));
    // Without a user name there is nothing to fill in.
    assert!(!asks(&acl, None, "phone", Action::Receive, "home//x"));
    assert!(!asks(&acl, None, "phone", Action::Receive, "home/alice/x"));
}

#[test]
fn a_filter_that_is_meant_literally_fills_nothing_in() {
    let filter = RuleFilter::literal("home/%u").expect("a filter");
    let acl = Acl::new([Rule { whom: Whom::Everybody, verdict: Allow, actions: Actions::READ, filter }]);
    assert!(alice(&acl, Action::Receive, "home/%u"));
    assert!(!alice(&acl, Action::Receive, "home/alice"));
}

#[test]
fn a_name_that_would_widen_a_rule_is_not_filled_in() {
    let acl = Acl::new([
        everybody(Allow, Actions::READ_WRITE, "home/%c/#"),
        everybody(Allow, Actions::READ_WRITE, "x/a%c/y"),
        everybody(Allow, Actions::READ_WRITE, "%c/#"),
    ]);
    for client_id in ["+", "#", "a/b", "/", "a+", "#x", "$SYS", "$share"] {
        for topic in ["home/a/b/c", "home/a/x", "home/a", "home/+/#", "home/#", "x/a+/y", "x/a#", "$SYS/x", "$SYS/#"] {
            let allowed = EACH.map(|action| asks(&acl, Some("u"), client_id, action, topic));
            assert_eq!(allowed, [false; 3], "{client_id} {topic}");
        }
    }
    // Neither is none at all: the level would be empty.
    let acl_of_users = Acl::new([everybody(Allow, Actions::READ_WRITE, "home/%u/#")]);
    assert!(!asks(&acl_of_users, Some(""), "c", Action::Receive, "home//x"));
    // Behind the first level a '$' is a character as any other.
    assert!(asks(&acl, None, "$a", Action::Publish, "home/$a/x"));
    assert!(!asks(&acl, None, "$a", Action::Publish, "$a/x"));
}

#[test]
fn a_name_that_cannot_be_filled_in_does_not_escape_what_is_denied() {
    let acl =
        Acl::new([everybody(Allow, Actions::READ_WRITE, "#"), everybody(Deny, Actions::WRITE, "tools/%c/config/#")]);
    assert!(!asks(&acl, None, "phone", Action::Publish, "tools/phone/config"));
    assert!(asks(&acl, None, "phone", Action::Publish, "tools/desk/config"));
    assert!(asks(&acl, None, "phone", Action::Publish, "tools/phone/state"));
    for client_id in ["a/b", "+", "#"] {
        for topic in ["tools/a/b/config", "tools/x", "tools/x/y/z"] {
            assert!(!asks(&acl, None, client_id, Action::Publish, topic), "{client_id} {topic}");
        }
        assert!(asks(&acl, None, client_id, Action::Publish, "tools"));
        assert!(asks(&acl, None, client_id, Action::Publish, "other/x"));
        assert!(asks(&acl, None, client_id, Action::Receive, "tools/x"));
    }
}

#[test]
fn a_filter_of_a_rule_is_checked() {
    for (filter, error) in [
        ("", RuleFilterError::Topic(TopicError::Empty)),
        ("a/#/b", RuleFilterError::Topic(TopicError::MultiLevel)),
        ("a/b+", RuleFilterError::Topic(TopicError::SingleLevel)),
        ("%c#", RuleFilterError::Topic(TopicError::MultiLevel)),
        ("$share/g/a", RuleFilterError::Shared),
    ] {
        assert_eq!(RuleFilter::pattern(filter), Err(error), "{filter}");
        assert_eq!(RuleFilter::literal(filter), Err(error), "{filter}");
    }
    let deep = vec!["a"; RULE_LEVELS].join("/");
    assert!(RuleFilter::literal(&deep).is_ok());
    assert_eq!(RuleFilter::literal(&format!("{deep}/a")), Err(RuleFilterError::TooDeep));
}

fn level() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "", "$x", "+"])
}

fn filter() -> impl Strategy<Value = String> {
    (prop::collection::vec(level(), 0..4), any::<bool>()).prop_map(|(mut levels, multi)| {
        if multi || levels.is_empty() || levels == [""] {
            levels.push("#");
        }
        levels.join("/")
    })
}

fn name() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "", "$x", "c"]);
    prop::collection::vec(level, 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("a name", |name| !name.is_empty())
}

proptest! {
    #[test]
    fn one_rule_decides_of_a_name_as_its_filter_matches(filter in filter(), name in name()) {
        let acl = Acl::new([everybody(Allow, Actions::RECEIVE, &filter)]);
        prop_assert_eq!(alice(&acl, Action::Receive, &name), matches(&filter, &name));
    }

    #[test]
    fn whatever_a_granted_subscription_brings_is_covered_by_its_rule(
        rule in filter(), subscription in filter(), names in prop::collection::vec(name(), 64),
    ) {
        let acl = Acl::new([everybody(Allow, Actions::READ, &rule)]);
        let granted = alice(&acl, Action::Subscribe, &subscription);
        for name in names.iter().filter(|name| matches(&subscription, name)) {
            prop_assert!(!granted || alice(&acl, Action::Receive, name), "{} {}", subscription, name);
        }
    }

    #[test]
    fn many_rules_decide_as_each_of_them_would(
        filters in prop::collection::vec((filter(), any::<bool>()), 0..12), name in name(),
    ) {
        let verdict = |allowed| if allowed { Allow } else { Deny };
        let acl = Acl::new(filters.iter().map(|(filter, allowed)| everybody(verdict(*allowed), Actions::WRITE, filter)));
        let any = |wanted| filters.iter().any(|(filter, allowed)| *allowed == wanted && matches(filter, &name));
        prop_assert_eq!(alice(&acl, Action::Publish, &name), any(true) && !any(false));
    }
}
