//! The player: what a story that is not borne out looks like, and how its steps follow each other.

use std::{fmt::Write as _, time::Duration};

use crate::fake::{Answer, Fake, Server, polite, say};
use squall_codec::{
    packet::{Ack, Disconnect, Packet, Publish, Suback},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicName,
    version::Version,
};
use squall_scenarios::{
    player::{Played, play},
    script::Script,
    stage::End,
    verdict::Verdict,
};

const HEAD: &str = "title: a test\nversions: [3.1, 5.0]\nactors: { alice: peer, bob: peer }\n";

/// Grants every subscription, and answers a PUBLISH at once with a PUBACK and after 5 s with a message of its own.
fn server() -> Server {
    polite(|packet| match packet {
        Packet::Subscribe(subscribe) => {
            let suback = Suback::new(subscribe.packet_id, vec![ReasonCode::GrantedQos1]);
            vec![say(Packet::Suback(suback))]
        }
        Packet::Publish(publish) => {
            let echo = Publish::new(&TopicName::literal("squall/t1/echo"), publish.payload());
            let mut answers: Vec<Answer> =
                publish.packet_id.map(|id| say(Packet::Puback(Ack::new(id)))).into_iter().collect();
            answers.push(Answer::Say(Duration::from_secs(5), Packet::Publish(echo)));
            answers
        }
        Packet::Pubrec(_) => vec![Answer::Bytes(Duration::ZERO, vec![0x00, 0x00])],
        Packet::Pubcomp(_) => vec![Answer::End(Duration::from_millis(100), End::Reset)],
        Packet::Pubrel(_) => vec![
            say(Packet::Disconnect(Disconnect::new(ReasonCode::ServerBusy))),
            Answer::End(Duration::ZERO, End::Fin),
        ],
        _ => Vec::new(),
    })
}

fn script(head: &str, steps: &[&str]) -> Script {
    let mut text = format!("{head}steps:\n");
    for step in steps {
        writeln!(text, "  - {step}").expect("a string takes all");
    }
    Script::parse("story.yaml", &text).unwrap_or_else(|error| panic!("{error}"))
}

/// Plays these steps after alice and bob have connected, and tells how long it took.
fn played(version: Version, steps: &[&str]) -> (Played, Duration) {
    let all: Vec<&str> = ["alice: { connect: {} }", "bob: { connect: {} }"].iter().chain(steps).copied().collect();
    played_script(&Fake::new(version, Some(server())), &script(HEAD, &all))
}

fn played_script(fake: &Fake, script: &Script) -> (Played, Duration) {
    let stage = fake.stage();
    fake.play(async {
        let played = play(&stage, script).await;
        (played, stage.now())
    })
}

fn passes(version: Version, steps: &[&str]) -> Duration {
    let (played, took) = played(version, steps);
    assert_eq!(played.verdict, Verdict::Pass, "{played}");
    took
}

#[test]
fn a_story_that_is_not_borne_out_shows_its_line_and_what_was_seen() {
    let publish = "alice: { send: { publish: { topic: t, payload: hello, qos: 1, packet_id: 7 } } }";
    let stories: [(&str, &[&str]); 17] = [
        ("another packet", &[publish, "alice: { expect: { pubrec: {} } }"]),
        ("another field", &[publish, "alice: { expect: { puback: { packet_id: 8 } } }"]),
        (
            "another payload",
            &[
                publish,
                "alice: { expect: { puback: {} } }",
                "alice: { expect: { publish: { topic: echo, payload: holla }, within: 6s } }",
            ],
        ),
        (
            "another topic",
            &[publish, "alice: { expect: { puback: {} } }", "alice: { expect: { publish: { topic: t }, within: 6s } }"],
        ),
        ("nothing", &["alice: { expect: { publish: { topic: t, payload: hello }, within: 1.5s } }"]),
        (
            "too early",
            &[
                publish,
                "alice: { expect: { puback: {} } }",
                "alice: { expect: { publish: {}, after: 5.1s, within: 6s, since: alice } }",
            ],
        ),
        ("not quiet", &[publish, "alice: { quiet: {} }"]),
        ("not closed", &["alice: { closed: {} }"]),
        (
            "closed with another reason",
            &["alice: { send: { pubrel: { packet_id: 1 } } }", "alice: { closed: { reason: server_shutting_down } }"],
        ),
        (
            "closed too early",
            &["alice: { send: { pubcomp: { packet_id: 1 } } }", "alice: { closed: { after: 200ms } }"],
        ),
        (
            "closed, not answered",
            &["alice: { send: { pubcomp: { packet_id: 1 } } }", "alice: { expect: { pubrec: {} } }"],
        ),
        ("no packet at all", &["alice: { send: { pubrec: { packet_id: 1 } } }", "alice: { expect: { pubrel: {} } }"]),
        ("none of several", &[publish, "alice: { expect_all: [{ pubrec: {} }, { publish: {} }] }"]),
        ("granted otherwise", &["alice: { subscribe: { filter: t, qos: 2 } }"]),
        ("a verb without an answer", &["alice: { unsubscribe: { filter: t } }"]),
        ("a fault that touched nothing", &["world: { hold: { link: bob } }", "world: { release: { link: bob } }"]),
        ("no connection", &["alice: { close: fin }", "alice: { quiet: {} }"]),
    ];
    let mut shown = String::new();
    for (name, steps) in stories {
        let (played, _) = played(Version::V5_0, steps);
        assert_ne!(played.verdict, Verdict::Pass, "{name}");
        writeln!(shown, "## {name}\n{played}\n").expect("a string takes all");
    }
    insta::assert_snapshot!(shown.trim_end());
}

#[test]
fn what_the_world_does_not_offer_is_unsupported() {
    let fake = Fake::new(Version::V5_0, Some(server()));
    let script = script(&format!("{HEAD}needs: [restart]\n"), &["alice: { connect: {} }", "bob: { connect: {} }"]);
    let (played, _) = played_script(&fake, &script);
    assert_eq!((played.verdict, played.reason.as_str()), (Verdict::Unsupported, "nothing beyond links here"));
}

#[test]
fn a_version_that_the_story_is_not_for_is_unsupported() {
    let fake = Fake::new(Version::V3_1_1, Some(server()));
    let (played, _) = played_script(&fake, &script(HEAD, &["alice: { connect: {} }", "bob: { connect: {} }"]));
    assert_eq!(played.verdict, Verdict::Unsupported, "{played}");
}

#[test]
fn a_server_that_cannot_be_reached_is_inconclusive() {
    let fake = Fake::new(Version::V5_0, None);
    let (played, _) = played_script(&fake, &script(HEAD, &["alice: { connect: {} }", "bob: { connect: {} }"]));
    assert_eq!(played.verdict, Verdict::Inconclusive, "{played}");
    assert_eq!(played.place.map(|place| place.line), Some(5), "{played}");
}

#[test]
fn a_step_for_one_version_is_left_out_in_the_other() {
    let steps =
        ["alice: { send: { pubrel: { packet_id: 1 } } }\n    only: 5.0", "alice: { closed: {} }\n    only: 5.0"];
    passes(Version::V5_0, &steps);
    passes(Version::V3_1, &steps);
}

#[test]
fn the_steps_of_together_run_at_once_and_those_of_one_actor_in_order() {
    let message = |who: &str, payload: &str| {
        let publish = format!("{who}: {{ send: {{ publish: {{ topic: t, payload: {payload} }} }} }}");
        let expect = format!("{who}: {{ expect: {{ publish: {{ payload: {payload} }}, within: 6s }} }}");
        format!("      - {publish}\n      - {expect}\n")
    };
    let together = format!("together:\n{}{}", message("alice", "hello"), message("bob", "hallo"));
    assert_eq!(passes(Version::V5_0, &[together.trim_end()]), Duration::from_secs(5));
}

#[test]
fn a_step_waits_for_its_time() {
    let took = passes(Version::V5_0, &["alice: { quiet: {} }\n    at: 3s", "world: { wait: 1s }"]);
    assert_eq!(took, Duration::from_secs(4));
}

#[test]
fn times_count_from_what_an_actor_did_last_or_from_the_last_fault() {
    passes(
        Version::V5_0,
        &[
            "alice: { send: { publish: { topic: t, payload: hello } } }",
            "world: { wait: 2s }",
            "alice: { expect: { publish: {}, after: 5s, within: 5s, since: alice } }",
        ],
    );
    passes(
        Version::V5_0,
        &[
            "alice: { send: { publish: { topic: t, payload: hello } } }",
            "world: { wait: 2s }",
            "world: { latency: { link: alice, time: 10ms } }",
            "world: { wait: 1s }",
            "alice: { expect: { publish: {}, after: 3s, within: 3.1s, since: world } }",
        ],
    );
}

#[test]
fn a_name_binds_the_identifier_that_the_server_chose() {
    let fake = Fake::new(
        Version::V5_0,
        Some(polite(|packet| match packet {
            Packet::Publish(publish) => {
                let id = publish.packet_id;
                vec![say(Packet::Publish(
                    Publish::new(&TopicName::literal("squall/t1/echo"), "x").at(Qos::AtLeastOnce, id),
                ))]
            }
            _ => Vec::new(),
        })),
    );
    let send = |id: u16| format!("alice: {{ send: {{ publish: {{ topic: t, qos: 1, packet_id: {id} }} }} }}");
    let expect = "alice: { expect: { publish: { packet_id: first } } }";
    let steps =
        ["alice: { connect: {} }", "bob: { connect: {} }", &send(7), expect, &send(7), expect, &send(8), expect];
    let (played, _) = played_script(&fake, &script(HEAD, &steps));
    assert_eq!(played.verdict, Verdict::Fail);
    assert_eq!(played.place.map(|place| place.line), Some(12), "{played}");
}

#[test]
fn disconnect_says_goodbye_before_it_hangs_up_and_close_does_not() {
    let fake = Fake::new(Version::V5_0, Some(server()));
    let steps =
        ["alice: { connect: {} }", "bob: { connect: {} }", "alice: { disconnect: {} }", "bob: { close: reset }"];
    let (played, _) = played_script(&fake, &script(HEAD, &steps));
    assert_eq!(played.verdict, Verdict::Pass, "{played}");
    assert_eq!(fake.heard(), [End::Fin, End::Reset]);
    let goodbyes = fake.stage().transcript().render().matches("DISCONNECT").count();
    assert_eq!(goodbyes, 1);
}
