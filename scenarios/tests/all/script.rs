//! The language: every word is read, and what is wrong is shown where it stands.

use std::{fmt::Write as _, path::Path, time::Duration};

use squall_codec::{qos::Qos, version::Version};
use squall_scenarios::{script::Script, settings::Storage, stage::Need};

const HEAD: &str = "title: a test\nactors: { alice: peer, bob: client }\n";

/// A script of these steps, each on a line of its own.
fn script(head: &str, steps: &[&str]) -> String {
    let mut text = format!("{head}steps:\n");
    for step in steps {
        writeln!(text, "  - {step}").expect("a string takes all");
    }
    text
}

fn parse(text: &str) -> Script {
    Script::parse("test.yaml", text).unwrap_or_else(|error| panic!("{error}\n\nin:\n{text}"))
}

fn error(text: &str) -> String {
    match Script::parse("test.yaml", text) {
        Ok(_) => panic!("this is no error:\n{text}"),
        Err(error) => error.to_string(),
    }
}

const EVERY_WORD: &str = r#"
title: every word of the language
about: |
  Nothing to see here but words.
actors: { alice: peer, bob: client }
proves: [5.0/MQTT-4.3.3-10, 5.0/X-CLIENT-RECONNECT-RESEND]
versions: [5.0]
needs: [jump, restart, network, clock]
broker:
  store: disk
  sync: 5ms
  maximum_packet_size: 1000
  receive_maximum: 3
  topic_alias_maximum: 2
  maximum_qos: 1
  retain_available: false
  server_keep_alive: 20s
  maximum_session_expiry: 1h
  connect_timeout: 5s
  connections: 100
  sessions: 10
  subscriptions_per_session: 5
  in_flight: 4
  queued_messages: 2
  queue_policy: drop_oldest
  retained_messages: 7
  topic_levels: 20
  response_information: answers/
  sys_interval: 10s
  anonymous: true
  users:
    alice: { password: secret }
    bob: { scram: pencil }
    "carol k.": { password: "", scram: "two words" }
  acl:
    - topic read public/#
    - user alice
    - topic home/#
    - topic deny-write home/settings/#
    - client boiler
    - topic publish plant/boiler
    - everybody
    - pattern subscribe users/%u/+
    - anonymous
    - 'pattern receive #'
network:
  all: { latency: 10ms }
  alice: { latency: { min: 5ms, max: 20ms }, drop: 10%, split: 1 }
  bob:
    bandwidth: 64kB/s
    coalesce: { bytes: 1000, time: 40ms }
    to_server: { latency: { median: 20ms, p99: 200ms }, bandwidth: 9600bit/s }
    to_client: { latency: 1ms, drop: 1%, coalesce: { bytes: 10, time: 0s }, bandwidth: unlimited }
steps:
  - alice: { open: {} }
  - alice:
      send:
        connect:
          clean_start: false
          keep_alive: 10s
          client_id: alice
          session_expiry: never
          will:
            topic: will/alice
            payload: gone
            qos: 2
            retain: true
            delay: 5s
            message_expiry: 1h
            payload_format_indicator: 1
            content_type: text/plain
            response_topic: answers
            correlation_data: "17"
            user_properties: [{ a: "1" }, { a: "2" }]
          username: alice
          password: secret
          receive_maximum: 10
          maximum_packet_size: 1000
          topic_alias_maximum: 5
          request_response_information: true
          request_problem_information: false
          authentication_method: SCRAM-SHA-256
          authentication_data: data
          user_properties: [{ a: b }]
  - alice:
      expect:
        connack:
          session_present: false
          reason: success
          session_expiry: 1min
          receive_maximum: 20
          maximum_qos: 1
          retain_available: true
          maximum_packet_size: 2000
          assigned_client_identifier: abc
          topic_alias_maximum: 3
          reason_string: welcome
          wildcard_subscription_available: true
          subscription_identifier_available: true
          shared_subscription_available: false
          server_keep_alive: 30s
          response_information: answers/
          server_reference: other
          authentication_method: m
          authentication_data: d
          user_properties: [{ c: d }]
        has: [assigned_client_identifier, user_properties]
        lacks: [topic_alias, message_expiry]
        within: 1.5s
  - alice: { connect: { session_present: true, reason: 0x00, within: 2s } }
  - alice:
      send:
        publish:
          topic: t/1
          payload: hello
          qos: 1
          retain: true
          dup: true
          packet_id: 7
          payload_format_indicator: 0
          message_expiry: 60s
          topic_alias: 2
          response_topic: r
          correlation_data: c
          subscription_identifiers: [1, 2]
          content_type: text
          user_properties: [{ a: b }]
  - alice: { expect: { puback: { packet_id: mine, reason: no_matching_subscribers, reason_string: none, user_properties: [{ a: b }] } } }
  - alice: { expect: { publish: { packet_id: theirs, topic: t/1, payload: "", qos: 2, retain: false, dup: false } } }
  - alice: { send: { puback: { packet_id: theirs } } }
  - alice: { send: { pubrec: { packet_id: theirs, reason: 0x80 } } }
  - alice: { send: { pubrel: { packet_id: 7, reason: packet_identifier_not_found } } }
  - alice: { send: { pubcomp: { packet_id: theirs } } }
  - alice: { expect_all: [{ pubrec: { packet_id: 7 } }, { pubrel: { packet_id: theirs } }, { pubcomp: {} }, { pingresp: {} }] }
  - alice: { send: { subscribe: { packet_id: 8, filter: t/#, qos: 2, no_local: true, retain_as_published: true, retain_handling: send_if_new, subscription_identifier: 4, user_properties: [{ a: b }] } } }
  - alice: { expect: { suback: { packet_id: 8, reasons: [granted_qos_2], reason_string: fine, user_properties: [{ a: b }] } } }
  - alice: { send: { unsubscribe: { packet_id: 9, filter: t/+, user_properties: [{ a: b }] } } }
  - alice: { expect: { unsuback: { packet_id: 9, reasons: [no_subscription_existed] } } }
  - alice: { send: { pingreq: {} } }
  - alice: { send: { auth: { reason: re_authenticate, authentication_method: m, authentication_data: d, reason_string: s, user_properties: [{ a: b }] } } }
  - alice: { expect: { auth: { reason: continue_authentication } } }
  - alice: { send: { disconnect: { reason: disconnect_with_will_message, session_expiry: 0s, reason_string: s, user_properties: [{ a: b }] } } }
  - alice: { send: { bytes: "C0 00" } }
  - alice: { expect: { disconnect: { reason: 0x8E, server_reference: other }, after: 1s, within: 2s, since: bob } }
  - alice: { subscribe: { filter: $share/group/t, qos: 1, granted: granted_qos_1, retain_handling: do_not_send } }
  - alice: { unsubscribe: { filter: t } }
  - alice: { publish: { topic: t, qos: 2, payload: once } }
  - alice: { acknowledge: {} }
  - alice: { quiet: {} }
  - alice: { closed: { reason: keep_alive_timeout, after: 15s, within: 20s, since: alice } }
  - alice: { close: fin }
  - alice: { close: reset }
  - alice: { connect: { username: alice, password: secret, scram: { username: alice, password: secret } } }
  - alice: { reauthenticate: {} }
  - bob: { connect: { scram: { username: bob, password: pencil }, user_properties: [{ a: b }] } }
  - bob: { reauthenticate: { scram: { username: bob, password: wrong }, reason: not_authorized } }
  - alice: { disconnect: { reason: normal_disconnection, session_expiry: 10s } }
  - bob: { connect: { reconnect: never } }
  - bob: { connect: { reconnect: { after: 1s } } }
  - bob: { message: { topic: t, payload: x, qos: 0, retain: true, after: 1s, within: 2s, since: world } }
  - bob: { event: { connected: { session_present: true, resumed: true } } }
  - bob: { event: { disconnected: { reason: session_taken_over, reconnecting: true }, within: 5s } }
  - bob: { event: { refused: { reason: not_authorized } } }
  - world: { wait: 30s }
    at: 1h
    only: 5.0
  - together:
      - world: { latency: { link: all, time: 10ms, to: server } }
      - world: { drop: { link: alice, share: 2.5%, to: client } }
      - world: { split: { link: alice, bytes: 3 } }
      - world: { partition: { link: bob, to: client } }
      - world: { hold: { link: bob } }
      - world: { heal: { link: bob, reset: true } }
      - world: { release: { link: bob } }
      - world: { reset: { link: bob } }
      - world: { close: { link: bob } }
      - world: { half_open: { link: bob } }
      - world: { stall_reading: { link: bob } }
      - world: { cut: { link: alice, on: { packet: pubrec, to: client, nth: 2 }, pass: before, how: fin } }
      - world: { cut: { link: alice, on: { packet: pubrel, to: server }, pass: { bytes: 1 }, how: reset } }
      - world: { cut: { link: alice, on: { packet: publish, to: server }, pass: after, how: half_open } }
  - world: { disk: full }
  - world: { disk: broken }
  - world: { disk: well }
  - world: { latency: { link: all, time: { median: 5ms, p99: 1s }, to: client } }
  - world: { bandwidth: { link: alice, rate: 2Mbit/s, to: server } }
  - world: { coalesce: { link: bob, bytes: 536, time: 200ms, to: server } }
  - world: { clock_jump: { ahead: 1h } }
  - world: { clock_jump: { back: 1min } }
  - world: { hold: { link: alice } }
    on: { first: pubrel, from: alice, pass: before }
  - world: { reset: { link: bob } }
    on: { packet: publish, nth: 3, to: alice, pass: { bytes: 2 } }
  - world: { crash: { down: 1s } }
    on: { packet: puback, to: alice, pass: after }
  - world: { disk: full }
    on: { first: publish, from: bob }
    at: 1h
  - world: { restart: broker }
  - world: { crash: { down: 2s } }
  - world: { power_loss: { down: 1min } }
"#;

#[test]
fn every_word_is_read() {
    let script = parse(EVERY_WORD);
    assert_eq!(script.title(), "every word of the language");
    assert_eq!(script.about(), Some("Nothing to see here but words."));
    assert_eq!(script.actors().collect::<Vec<_>>(), ["alice", "bob"]);
    assert_eq!(script.versions(), [Version::V5_0]);
    let needs =
        [Need::Jump, Need::Restart, Need::Network, Need::Clock, Need::Client, Need::Configuration, Need::PowerLoss];
    assert_eq!(script.needs(), needs);
    let settings = script.settings();
    assert_eq!((settings.store, settings.sync), (Some(Storage::Disk), Some(Duration::from_millis(5))));
    assert_eq!((settings.maximum_qos, settings.server_keep_alive), (Some(Qos::AtLeastOnce), Some(20)));
    assert_eq!((settings.maximum_session_expiry, settings.in_flight), (Some(3600), Some(4)));
    let users: Vec<&str> = settings.users.iter().flat_map(|users| &users.0).map(|user| user.name.as_str()).collect();
    assert_eq!(users, ["alice", "bob", "carol k."]);
    let rules = settings.acl_file("").expect("there are rules");
    assert!(rules.starts_with("topic read squall//public/#\nuser alice\ntopic readwrite squall//home/#\n"), "{rules}");
    let proves: Vec<String> = script.proves().map(ToString::to_string).collect();
    assert_eq!(proves, ["5.0/MQTT-4.3.3-10", "5.0/X-CLIENT-RECONNECT-RESEND"]);
}

#[test]
fn a_script_is_played_in_both_oasis_versions_unless_it_says_otherwise() {
    let text = script("title: t\nactors: { alice: peer }\n", &["alice: { connect: {} }"]);
    assert_eq!(parse(&text).versions(), [Version::V3_1_1, Version::V5_0]);
}

#[test]
fn what_a_script_needs_follows_from_its_steps() {
    let one = "title: t\nactors: { alice: peer }\n";
    let needs = |head: &str, step: &str| {
        let script = parse(&script(&format!("{one}{head}"), &["alice: { connect: {} }", step]));
        (script.needs().to_vec(), script.settings().store)
    };
    assert_eq!(needs("", "world: { wait: 1s }"), (vec![], None));
    assert_eq!(needs("", "world: { restart: broker }"), (vec![Need::Restart], Some(Storage::Disk)));
    assert_eq!(needs("", "together: [ { world: { crash: broker } } ]"), (vec![Need::Restart], Some(Storage::Disk)));
    assert_eq!(needs("", "world: { power_loss: broker }"), (vec![Need::PowerLoss], Some(Storage::Disk)));
    assert_eq!(needs("judge: invariants\n", "world: { wait: 1s }"), (vec![Need::Invariants], None));
    assert_eq!(needs("", "world: { clock_jump: { ahead: 1s } }"), (vec![Need::Clock], None));
    let crash = |moment: &str| needs("", &format!("{{ world: {{ crash: broker }}, on: {moment} }}"));
    let (before, after) =
        (crash("{ first: pubrel, from: alice }"), crash("{ first: pubrel, from: alice, pass: after }"));
    assert_eq!(before.0, [Need::Restart]);
    assert_eq!(after.0, [Need::Restart, Need::Arrival]);
    assert_eq!(needs("needs: [own_broker]\n", "world: { wait: 1s }"), (vec![Need::OwnBroker], None));
    let keeps_nothing = needs("broker: { store: none }\n", "world: { restart: broker }");
    assert_eq!(keeps_nothing, (vec![Need::Configuration, Need::Restart], Some(Storage::None)));
}

#[test]
fn who_asks_for_qos_2_is_seen() {
    let asks = |step: &str| parse(&script("title: t\nactors: { alice: peer }\n", &[step])).asks_for_qos_2();
    for step in [
        "alice: { subscribe: { filter: t, qos: 2 } }",
        "alice: { publish: { topic: t, qos: 2 } }",
        "alice: { connect: { will: { topic: t, payload: gone, qos: 2 } } }",
        "alice: { send: { publish: { topic: t, qos: 2, packet_id: 1 } } }",
        "together: [ { alice: { publish: { topic: t, qos: 2 } } } ]",
    ] {
        assert!(asks(step), "{step}");
    }
    for step in ["alice: { subscribe: { filter: t, qos: 1 } }", "alice: { expect: { publish: { topic: t, qos: 2 } } }"]
    {
        assert!(!asks(step), "{step}");
    }
}

#[test]
fn who_kills_the_broker_is_seen() {
    let head = "title: t\nactors: { alice: peer }\n";
    let kills = |step: &str| parse(&script(head, &["alice: { connect: {} }", step])).kills_the_broker();
    assert!(kills("world: { crash: broker }") && kills("together: [ { world: { crash: { down: 1s } } } ]"));
    assert!(kills("{ world: { crash: broker }, on: { first: pubrel, from: alice } }"));
    assert!(!kills("world: { restart: broker }") && !kills("world: { wait: 1s }"));
}

#[test]
fn every_step_keeps_its_line() {
    let steps = ["alice: { connect: {} }", "bob: { connect: {} }", "alice: { quiet: {} }"];
    for position in 0..steps.len() {
        let mut steps = steps;
        steps[position] = "zoe: { connect: {} }";
        let error = Script::parse("test.yaml", &script(HEAD, &steps)).expect_err("nobody is called so");
        assert_eq!(error.place.map(|place| place.line), Some(4 + position), "{error}");
    }
}

#[test]
fn durations_carry_units() {
    for (text, micros) in
        [("2s", 2_000_000), ("500ms", 500_000), ("1.5s", 1_500_000), ("1h", 3_600_000_000), ("7us", 7)]
    {
        let head = format!("{HEAD}broker: {{ sync: {text} }}\n");
        let script = parse(&script(&head, &["alice: { connect: {} }", "bob: { connect: {} }"]));
        assert_eq!(script.settings().sync, Some(Duration::from_micros(micros)), "{text}");
    }
}

#[test]
fn what_only_5_0_has_may_stand_in_a_step_of_5_0() {
    let text = script(
        "title: t\nactors: { alice: peer }\n",
        &["alice: { connect: {} }", "alice: { expect: { disconnect: { reason: 0x8E } } }\n    only: 5.0"],
    );
    parse(&text);
}

#[test]
fn session_expiry_may_stand_in_both_versions() {
    let text = script(
        "title: t\nactors: { alice: peer }\n",
        &["alice: { connect: { clean_start: false, session_expiry: 1h } }"],
    );
    parse(&text);
}

/// Each way to be wrong, and what is said about it.
#[test]
fn errors_show_line_excerpt_and_the_nearest_word() {
    let step = |step: &str| script(HEAD, &["alice: { connect: {} }", "bob: { connect: {} }", step]);
    let head = |line: &str| script(&format!("{HEAD}{line}\n"), &["alice: { connect: {} }", "bob: { connect: {} }"]);
    let storm = |words: &str| {
        let step = format!("{{ at: 0s, bob: {{ connect: {{ {words} }} }} }}");
        format!("title: a test\nactors: {{ bob: client }}\nstorm:\n  lasts: 1s\n  calm: 1s\n  steps:\n    - {step}\n")
    };
    let cases = [
        ("unknown verb", step("alice: { exepct: { publish: {} } }")),
        ("unknown field", step("alice: { subscribe: { filer: t/# } }")),
        ("unknown field, nothing near", step("alice: { subscribe: { shape: round } }")),
        ("unknown packet", step("alice: { send: { pubrek: { packet_id: 1 } } }")),
        ("unknown fault", step("world: { half-open: { link: alice } }")),
        ("unknown actor", step("alcie: { quiet: {} }")),
        ("unknown actor, nothing near", step("zoe: { quiet: {} }")),
        ("unknown link", step("world: { reset: { link: alcie } }")),
        ("unknown key of the script", head("about_: x")),
        ("unknown need", head("needs: [jmp]")),
        ("wrong unit", step("alice: { expect: { publish: {}, within: 2sec } }")),
        ("no unit", step("alice: { expect: { publish: {}, within: 2 } }")),
        ("longer than life", step("alice: { expect: { publish: {}, within: 40000d } }")),
        ("no whole seconds", step("alice: { connect: { keep_alive: 500ms } }")),
        ("keep alive too long", step("alice: { connect: { keep_alive: 24h } }")),
        ("no percent", step("world: { drop: { link: alice, share: 0.1 } }")),
        ("no qos", step("alice: { publish: { topic: t, qos: 3 } }")),
        ("no number", step("world: { split: { link: alice, bytes: few } }")),
        ("no truth value", step("alice: { connect: { clean_start: maybe } }")),
        ("no bytes", step("alice: { send: { bytes: C0 0 } }")),
        ("no topic", step("alice: { publish: { topic: t/#, payload: x } }")),
        ("no filter", step("alice: { subscribe: { filter: t/#/x } }")),
        ("no reason", step("alice: { connect: { reason: sesion_taken_over } }")),
        ("no reason code", step("alice: { connect: { reason: 0x7F } }")),
        ("no property", step("alice: { expect: { publish: {}, lacks: [topic_alais] } }\n    only: 5.0")),
        ("5.0-only presence", step("alice: { expect: { publish: {}, has: [topic_alias] } }")),
        ("missing field", step("alice: { subscribe: { qos: 1 } }")),
        ("missing field of a fault", step("world: { cut: { link: alice, pass: before, how: fin } }")),
        ("5.0-only field", step("alice: { subscribe: { filter: t, no_local: true } }")),
        ("5.0-only field of a will", step("alice: { connect: { will: { topic: t, delay: 5s } } }")),
        ("5.0-only packet", step("alice: { expect: { disconnect: {} } }")),
        ("5.0-only reason", step("alice: { disconnect: { reason: 0x04 } }")),
        ("clean session that is to last", step("alice: { connect: { session_expiry: 1h } }")),
        ("bad id in proves", head("proves: [5.0/MQTT-4.3.3]")),
        ("no version in proves", head("proves: [MQTT-4.3.3-10]")),
        ("unknown judge", head("judge: expectations")),
        ("version not played", head("versions: [3.1.1]\nproves: [5.0/MQTT-4.3.3-10]")),
        ("unknown version", head("versions: [4.0]")),
        ("step for another version", step("alice: { quiet: {} }\n    only: 3.1")),
        ("wrong actor: peer", step("alice: { message: {} }")),
        ("wrong actor: client", step("bob: { send: { pingreq: {} } }")),
        ("reconnect of a peer", step("alice: { connect: { reconnect: never } }")),
        ("two actors in one step", step("alice: { quiet: {} }\n    bob: { quiet: {} }")),
        ("two verbs in one step", step("alice: { quiet: {}, close: fin }")),
        ("no actor", step("at: 3s")),
        ("two packets expected", step("alice: { expect: { puback: {}, pubrec: {} } }")),
        ("no packet expected", step("alice: { expect: { within: 2s } }")),
        ("no packet_id", step("alice: { send: { publish: { topic: t, qos: 1 } } }")),
        ("packet_id at QoS 0", step("alice: { send: { publish: { topic: t, packet_id: 1 } } }")),
        ("packet_id 0", step("alice: { send: { puback: { packet_id: 0 } } }")),
        ("packet_id not bound", step("alice: { send: { puback: { packet_id: first } } }")),
        ("after later than within", step("alice: { closed: { after: 3s, within: 2s } }")),
        ("too long without jump", step("world: { wait: 1h }")),
        ("together in together", step("together: [ { together: [ { alice: { quiet: {} } } ] } ]")),
        ("somebody else goes down", step("world: { restart: alice }")),
        ("unknown field of an outage", step("world: { crash: { dwon: 5s } }")),
        ("no outage", step("world: { power_loss: 5 }")),
        ("too long away without jump", step("world: { restart: { down: 1h } }")),
        ("no bandwidth", step("world: { bandwidth: { link: alice, rate: 64kB } }")),
        ("no byte in a second", step("world: { bandwidth: { link: alice, rate: 7bit/s } }")),
        ("latency of two kinds", step("world: { latency: { link: alice, time: { min: 1ms, p99: 2ms } } }")),
        ("p99 below the median", step("world: { latency: { link: alice, time: { median: 2ms, p99: 1ms } } }")),
        ("no byte to wait for", step("world: { coalesce: { link: alice, bytes: 0, time: 1s } }")),
        (
            "nothing to wait for from the start",
            head("network:\n  alice: { to_server: { coalesce: { bytes: 0, time: 1s } } }"),
        ),
        ("split one way", head("network:\n  alice: { to_server: { split: 1 } }")),
        ("clock that jumps aside", step("world: { clock_jump: { aside: 1h } }")),
        ("clock that jumps by itself", step("world: { clock_jump: 1h }")),
        ("moment of a wait", step("world: { wait: 1s }\n    on: { first: publish, from: alice }")),
        ("moment of an actor", step("alice: { quiet: {} }\n    on: { first: publish, from: bob }")),
        (
            "moment of a cut",
            step(
                "world: { cut: { link: alice, on: { packet: pubrec, to: client }, pass: after, how: fin } }\n    on: { first: pubrel, from: alice }",
            ),
        ),
        ("moment without a packet", step("world: { hold: { link: alice } }\n    on: { from: alice }")),
        (
            "moment with two packets",
            step("world: { hold: { link: alice } }\n    on: { first: pubrel, packet: pubrec, from: alice }"),
        ),
        (
            "first with a number",
            step("world: { hold: { link: alice } }\n    on: { first: pubrel, nth: 2, from: alice }"),
        ),
        ("moment number 0", step("world: { hold: { link: alice } }\n    on: { packet: pubrel, nth: 0, from: alice }")),
        ("moment on no way", step("world: { hold: { link: alice } }\n    on: { first: pubrel }")),
        (
            "moment on both ways",
            step("world: { hold: { link: alice } }\n    on: { first: pubrel, from: alice, to: bob }"),
        ),
        ("moment of everybody", step("world: { hold: { link: alice } }\n    on: { first: pubrel, from: all }")),
        (
            "unknown packet of a moment",
            step("world: { hold: { link: alice } }\n    on: { first: pubrell, from: alice }"),
        ),
        ("unknown state of a disk", step("world: { disk: ful }")),
        ("unknown setting", head("broker: { recieve_maximum: 3 }")),
        ("wrong unit of a setting", head("broker: { sync: 5 }")),
        ("unknown store", head("broker: { store: tape }")),
        ("unknown way of a user", head("broker:\n  users:\n    alice: { pasword: secret }")),
        ("user without a way", head("broker:\n  users:\n    alice: { password: secret }\n    bob: {}")),
        ("user twice", head("broker:\n  users:\n    alice: { password: a }\n    alice: { password: b }")),
        ("no name of a user", head("broker:\n  users:\n    alice: { password: a }\n    a:b: { password: b }")),
        ("no password for SCRAM", head("broker:\n  users:\n    alice: { password: a }\n    bob: { scram: \"\\a\" }")),
        ("no name for SCRAM", head("broker:\n  users:\n    alice: { password: a }\n    ﬁ: { scram: b }")),
        ("users in a list", head("broker:\n  users: [alice]")),
        ("anonymous by name", head("broker: { anonymous: nobody }")),
        ("unknown word of a rule", head("broker:\n  acl:\n    - user alice\n    - topci home/#")),
        ("unknown access", head("broker:\n  acl:\n    - user alice\n    - topic raed home/#")),
        ("unknown access, nothing near", head("broker:\n  acl:\n    - topic all of/it")),
        ("no filter of a rule", head("broker:\n  acl:\n    - user alice\n    - topic home/#/x")),
        ("rule lost in a comment", head("broker:\n  acl:\n    - user alice\n    - topic read #")),
        ("shared rule", head("broker:\n  acl:\n    - topic read $share/g/t")),
        ("section without a name", head("broker:\n  acl:\n    - user")),
        ("name of a section for all", head("broker:\n  acl:\n    - everybody else")),
        ("rules in one text", head("broker:\n  acl: topic a")),
        ("scram in 3.1.1", step("alice: { connect: { scram: { username: a, password: b } } }")),
        ("re-authentication in 3.1.1", step("alice: { reauthenticate: {} }")),
        ("scram without a password", step("alice: { connect: { scram: { username: a } } }\n    only: 5.0")),
        ("scram with nothing", step("alice: { connect: { scram: { username: a, password: \"\" } } }\n    only: 5.0")),
        (
            "scram in one packet",
            step("alice: { send: { connect: { scram: { username: a, password: b } } } }\n    only: 5.0"),
        ),
        (
            "scram and a method",
            step(
                "alice: { connect: { scram: { username: a, password: b }, authentication_method: m } }\n    only: 5.0",
            ),
        ),
        ("method of a client", step("bob: { connect: { authentication_method: m } }\n    only: 5.0")),
        ("client that asks", step("bob: { connect: { request_response_information: true } }\n    only: 5.0")),
        ("answers in a story", step("bob: { connect: { answers: { after: 1s } } }")),
        ("answers in one packet", step("alice: { send: { connect: { answers: { after: 1s } } } }")),
        ("unknown word of answers", storm("version: \"5.0\", answers: { after: 1s, refuse: 7 }")),
        ("answers without a time", storm("answers: { refuses: 7 }")),
        ("refusal of none", storm("version: \"5.0\", answers: { after: 1s, refuses: 0 }")),
        ("refusal before 5.0", storm("version: \"3.1.1\", answers: { after: 1s, refuses: 7 }")),
        ("packet of a client in a storm", storm("").replace("connect: {  }", "send: { pingreq: {} }")),
        ("several filters in a story", step("alice: { subscribe: { filter: t, also: [{ filter: u }] } }")),
        ("several filters to end in a story", step("bob: { unsubscribe: { filter: t, also: [u] } }")),
        ("unknown word of another filter", step("alice: { subscribe: { filter: t, also: [{ filtre: u }] } }")),
        ("actor without a step", script(HEAD, &["alice: { connect: {} }"])),
        ("reserved name", script("title: t\nactors: { world: peer }\n", &["world: { wait: 1s }"])),
        ("same key twice", step("alice: { subscribe: { filter: t, filter: u } }")),
        ("no YAML", step("alice: { quiet: {}")),
        ("no script", "- 1\n".to_owned()),
        ("nothing", String::new()),
    ];
    let mut shown = String::new();
    for (name, text) in cases {
        writeln!(shown, "## {name}\n{}\n", error(&text)).expect("a string takes all");
    }
    insta::assert_snapshot!(shown.trim_end());
}

#[test]
fn a_file_that_is_not_there_is_one_sentence() {
    let error = Script::load(Path::new("no/such/file.yaml")).expect_err("there is none").to_string();
    assert!(error.starts_with("no/such/file.yaml: failed to read the script: "), "{error}");
}
