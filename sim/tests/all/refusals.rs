//! Small storms in which the broker refuses something: what it does not have, what there is no room for, whom it must not let in. What it
//! refuses reaches nobody, and nobody else is touched.

use std::time::Duration;

use squall_codec::{qos::Qos, version::Version};
use squall_scenarios::{
    plan::{Act, Connecting, Doing, Message, Plan, Step, Subscribing, Wanted},
    script::Script,
    settings::Settings,
};
use squall_sim::{
    events::storm::{StormOptions, play},
    model::Situation,
    storm::{run::StormRun, strangers::strangers, violations::not_on_offer},
};

use crate::storms::{message, of_alice};

#[test]
fn whoever_never_becomes_a_client_is_shown_out_and_nobody_hears_of_it() {
    let all = strangers();
    for (what, bytes) in &all {
        let at = |millis, who, doing| Step::at(Duration::from_millis(millis), Act::Client(who, doing));
        let mut steps: Vec<Step> = [Version::V5_0, Version::V3_1_1]
            .into_iter()
            .enumerate()
            .flat_map(|(who, version)| {
                [
                    at(0, who, Doing::Connect(Box::new(Connecting::new(version)))),
                    at(10, who, Doing::Subscribe(Subscribing::to(Wanted::new("#", Qos::ExactlyOnce)))),
                ]
            })
            .collect();
        steps.sort_by_key(|step| step.at);
        steps.push(at(20, 2, Doing::Knock(bytes.clone())));
        let plan = Plan {
            title: (*what).to_owned(),
            about: None,
            proves: Vec::new(),
            seed: 1,
            broker: Settings { connect_timeout: Some(Duration::from_millis(700)), ..Settings::default() },
            // One of them has the name that the stranger would have.
            actors: ["alice", "anna", "otto"].map(str::to_owned).to_vec(),
            steps,
            lasts: Duration::from_secs(1),
            calm: Duration::from_secs(1),
        };
        let script = Script::parse("storm.yaml", &plan.to_script()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(script.plan(), Some(&plan), "{what}");
        let run = play(&plan, StormOptions::default());
        assert_eq!((run.error, run.breaches), (None, Vec::new()), "{what}");
        let came = [Situation::NoClient, Situation::NeverConnected].map(|came| run.tally.situations[came as usize]);
        let halves = ["nothing", "a first byte", "the beginning", "a CONNECT without"];
        let is_whole = !halves.iter().any(|half| what.starts_with(half));
        assert_eq!(came, if is_whole { [1, 0] } else { [0, 1] }, "{what}");
        let told = run.transcript.entries().into_iter().filter_map(of_alice);
        assert_eq!(told.count(), 0, "{what}");
    }
    assert!(all.len() >= 40, "{} strangers", all.len());
}

/// A broker that has nothing of what it need not have, but for QoS 1.
fn bare() -> Settings {
    Settings {
        maximum_qos: Some(Qos::AtLeastOnce),
        retain_available: Some(false),
        wildcard_subscription_available: Some(false),
        subscription_identifiers_available: Some(false),
        shared_subscription_available: Some(false),
        ..Settings::default()
    }
}

/// Two clients of a broker that has little: what alice hears, who has subscribed to `a` and `gone`, and how often what is not there was
/// asked for, or has kept bob out.
fn at_a_bare_broker(version: Version, will: Message, doing: &[Doing]) -> (Vec<String>, [u32; 2]) {
    let bob = Connecting { will: Some((will, 0)), ..Connecting::new(version) };
    let at = |millis, who, doing| Step::at(Duration::from_millis(millis), Act::Client(who, doing));
    let wanted = ["a", "gone"].map(|filter| Wanted::new(filter, Qos::AtLeastOnce)).to_vec();
    let mut steps = vec![
        at(0, 0, Doing::Connect(Box::new(Connecting::new(Version::V5_0)))),
        at(10, 0, Doing::Subscribe(Subscribing { wanted, identifier: None })),
        at(20, 1, Doing::Connect(Box::new(bob))),
    ];
    steps.extend(doing.iter().map(|doing| at(50, 1, doing.clone())));
    let plan = Plan {
        title: "what is not there".to_owned(),
        about: None,
        proves: Vec::new(),
        seed: 1,
        broker: bare(),
        actors: ["alice", "bob"].map(str::to_owned).to_vec(),
        steps,
        lasts: Duration::from_secs(1),
        calm: Duration::from_secs(1),
    };
    let run = play(&plan, StormOptions::default());
    assert_eq!((run.error, run.breaches), (None, Vec::new()), "{version}: {doing:?}");
    let came = [Situation::NotOnOffer, Situation::WillRefused].map(|came| run.tally.situations[came as usize]);
    (run.transcript.entries().into_iter().filter_map(of_alice).collect(), came)
}

#[test]
fn whoever_asks_for_what_connack_denies_is_shown_out() {
    let all = not_on_offer(&bare());
    assert_eq!(all.len(), 8);
    for (what, bytes) in all {
        let told = at_a_bare_broker(Version::V5_0, message("gone", "rude"), &[Doing::Send(bytes)]);
        assert_eq!(told, (vec!["message squall//gone \"rude\"".to_owned()], [1, 0]), "{what}");
    }
}

#[test]
fn whose_will_the_broker_cannot_have_is_nobody_and_an_older_client_is_told_nothing() {
    let retained = Message { retain: true, ..message("gone", "bob") };
    let high = Message { qos: Qos::ExactlyOnce, ..message("gone", "bob") };
    let doing = [Doing::Publish(message("a", "of bob"))];
    for will in [retained, high] {
        // Once more when all is calm, and everybody comes back.
        assert_eq!(at_a_bare_broker(Version::V5_0, will.clone(), &doing), (Vec::new(), [0, 2]));
        let told = at_a_bare_broker(Version::V3_1_1, will, &doing);
        assert_eq!(told, (vec!["message squall//a \"of bob\"".to_owned()], [0, 0]));
    }
    let wildcard = [Doing::Subscribe(Subscribing::to(Wanted::new("#", Qos::AtLeastOnce)))];
    for version in [Version::V3_1, Version::V3_1_1] {
        assert_eq!(at_a_bare_broker(version, message("gone", "bob"), &wildcard), (Vec::new(), [1, 0]), "{version}");
    }
}

/// Clients of such a broker, who come one after the other, and what they do, each when the last is done. Nothing is wrong with any of it.
fn beside_each_other(broker: Settings, version: Version, clients: &[&str], doing: &[(usize, Doing)]) -> StormRun {
    let connecting = |_| Doing::Connect(Box::new(Connecting::new(version)));
    let all = (0..clients.len()).map(|who| (who, connecting(who))).chain(doing.iter().cloned());
    let steps = (0..).map(|number| Duration::from_millis(10 * number)).zip(all);
    let plan = Plan {
        title: "little room".to_owned(),
        about: None,
        proves: Vec::new(),
        seed: 1,
        broker,
        actors: clients.iter().map(|name| (*name).to_owned()).collect(),
        steps: steps.map(|(at, (who, doing))| Step::at(at, Act::Client(who, doing))).collect(),
        lasts: Duration::from_secs(1),
        calm: Duration::from_secs(1),
    };
    let run = play(&plan, StormOptions::default());
    assert_eq!((run.error.as_ref(), run.breaches.as_slice()), (None, &[][..]), "{version}");
    run
}

#[test]
fn a_session_has_no_more_subscriptions_than_its_bound_and_keeps_those_that_it_has() {
    let to = |filters: &[&str]| {
        let wanted = filters.iter().map(|filter| Wanted::new(*filter, Qos::AtLeastOnce)).collect();
        Doing::Subscribe(Subscribing { wanted, identifier: None })
    };
    for version in [Version::V3_1, Version::V3_1_1, Version::V5_0] {
        let publish = |topic: &str| (1, Doing::Publish(message(topic, "hi")));
        let doing = [
            (0, to(&["a", "b", "c"])),
            (0, to(&["a"])),
            publish("a"),
            publish("b"),
            publish("c"),
            (0, Doing::Unsubscribe(vec!["a".to_owned()])),
            (0, to(&["c", "c"])),
            publish("a"),
            publish("c"),
        ];
        let broker = Settings { subscriptions_per_session: Some(2), ..Settings::default() };
        let run = beside_each_other(broker, version, &["alice", "bob"], &doing);
        // 3.1 grants what comes to nothing.
        let refused = u32::from(version != Version::V3_1);
        assert_eq!(run.tally.situations[Situation::NoRoom as usize], refused, "{version}");
        let told: Vec<String> = run.transcript.entries().into_iter().filter_map(of_alice).collect();
        assert_eq!(told, ["a", "b", "c"].map(|topic| format!("message squall//{topic} \"hi\"")), "{version}");
    }
}

#[test]
fn there_are_no_more_sessions_and_connections_than_their_bounds() {
    let bounds = [
        (Settings { sessions: Some(2), ..Settings::default() }, Situation::NoRoomForSession),
        (Settings { connections: Some(2), ..Settings::default() }, Situation::NoRoomForConnection),
    ];
    for (broker, situation) in bounds {
        for version in [Version::V3_1, Version::V3_1_1, Version::V5_0] {
            let goes = Doing::Disconnect { with_will: false, session_expiry: None };
            let comes = Doing::Connect(Box::new(Connecting::new(version)));
            let doing = [
                (0, Doing::Subscribe(Subscribing::to(Wanted::new("a", Qos::AtLeastOnce)))),
                (2, Doing::Publish(message("a", "not there"))),
                (1, goes),
                (2, comes),
                (2, Doing::Publish(message("a", "there"))),
            ];
            let run = beside_each_other(broker.clone(), version, &["alice", "bob", "carol"], &doing);
            // Carol at first, and bob when all is calm, and everybody comes back.
            assert_eq!(run.tally.situations[situation as usize], 2, "{version}");
            let told: Vec<String> = run.transcript.entries().into_iter().filter_map(of_alice).collect();
            assert_eq!(told, ["message squall//a \"there\""], "{version}");
        }
    }
}
