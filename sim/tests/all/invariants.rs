//! The invariants hold in every story, and each of them notices a history that is made to break it.

use std::{path::Path, rc::Rc, time::Duration};

use bytes::BytesMut;
use squall_codec::{
    packet::{Ack, Connack, Connect, Disconnect, Packet, Publish, Suback, Subscribe, Subscription},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};
use squall_scenarios::{
    files,
    script::Script,
    transcript::{Transcript, What},
};
use squall_sim::{
    history::History,
    invariants::{
        self, Breach, Invariant,
        at_edge::{self, Allowance},
    },
    story,
    world::VirtualWorld,
};

const V5: Version = Version::V5_0;
const V3: Version = Version::V3_1_1;

#[test]
fn no_story_shows_the_broker_in_breach() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let mut events = 0;
    let mut found = String::new();
    for file in files::find(&folder).expect("the folder of scripts can be read") {
        let script = Rc::new(Script::load(&file).expect("it is a script"));
        for version in script.versions() {
            let run = story::play(VirtualWorld::Events, &script, *version, 1);
            let history = History::of(&run.transcript);
            events += history.events.len();
            for breach in invariants::of_the_server(&history) {
                found += &format!("{} in {version}: {breach}\n", file.display());
            }
        }
    }
    assert!(found.is_empty(), "\n{found}");
    assert!(events > 5000, "{events} events are not all of the stories");
}

/// A history that is made by hand, a millisecond a line.
struct Made {
    version: Version,
    transcript: Transcript,
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("not 0")
}

fn message(topic: &'static str, payload: &str, qos: Qos, packet_id: u16) -> Publish {
    Publish::new(&TopicName::literal(topic), payload).at(qos, (qos > Qos::AtMostOnce).then(|| id(packet_id)))
}

fn again(mut publish: Publish) -> Packet {
    publish.dup = true;
    Packet::Publish(publish)
}

fn puback(packet_id: u16) -> Packet {
    Packet::Puback(Ack::new(id(packet_id)))
}

fn pubrec(packet_id: u16) -> Packet {
    Packet::Pubrec(Ack::new(id(packet_id)))
}

fn pubrel(packet_id: u16) -> Packet {
    Packet::Pubrel(Ack::new(id(packet_id)))
}

fn pubcomp(packet_id: u16) -> Packet {
    Packet::Pubcomp(Ack::new(id(packet_id)))
}

impl Made {
    fn new(version: Version) -> Self {
        Made { version, transcript: Transcript::new() }
    }

    fn line(&self, actor: &str, what: What) {
        let at = Duration::from_millis(self.transcript.len() as u64);
        let opened = u32::from(matches!(what, What::Opened));
        let connection = self.transcript.next_connection(actor) - 1 + opened;
        self.transcript.record(at, &Rc::from(actor), connection, what);
    }

    fn sends(&self, actor: &str, packet: impl Into<Packet>) -> &Self {
        let (summary, bytes) = self.frame(packet.into());
        self.line(actor, What::Sent { summary, bytes });
        self
    }

    fn gets(&self, actor: &str, packet: impl Into<Packet>) -> &Self {
        let (summary, bytes) = self.frame(packet.into());
        self.line(actor, What::Received { summary, bytes });
        self
    }

    fn frame(&self, packet: Packet) -> (String, bytes::Bytes) {
        let mut frame = BytesMut::new();
        packet.encode(self.version, &mut frame).expect("a packet of this version");
        (packet.to_string(), frame.freeze())
    }

    /// A connection of the actor, which is its own Client Identifier.
    fn connects(&self, actor: &str, session_present: bool, set: impl FnOnce(&mut Connect, &mut Connack)) -> &Self {
        let mut connect = Connect::new(self.version, Text::new(actor).expect("a name"));
        connect.clean_start = !session_present;
        let mut connack = Connack::new(ReasonCode::Success);
        connack.session_present = session_present;
        set(&mut connect, &mut connack);
        self.line(actor, What::Opened);
        self.sends(actor, Packet::Connect(connect));
        self.gets(actor, Packet::Connack(Box::new(connack)))
    }

    fn comes(&self, actor: &str) -> &Self {
        self.connects(actor, false, |_, _| {})
    }

    fn comes_back(&self, actor: &str) -> &Self {
        self.line(actor, What::Ended { how: "RST" });
        self.connects(actor, true, |_, _| {})
    }

    fn subscribes(&self, actor: &str, filter: &'static str, qos: Qos) -> &Self {
        let subscription = Subscription::new(TopicFilter::literal(filter), qos);
        self.sends(actor, Packet::Subscribe(Subscribe::new(id(1000), vec![subscription])));
        let granted = ReasonCode::from_value(qos.bits()).expect("a granted QoS");
        self.gets(actor, Packet::Suback(Suback::new(id(1000), vec![granted])))
    }

    /// alice publishes, and is told that it was accepted.
    fn published(&self, publish: Publish) -> &Self {
        let Some(packet_id) = publish.packet_id.map(PacketId::value) else {
            return self.sends("alice", Packet::Publish(publish));
        };
        let qos = publish.qos;
        self.sends("alice", Packet::Publish(publish));
        if qos == Qos::AtLeastOnce {
            return self.gets("alice", puback(packet_id));
        }
        self.gets("alice", pubrec(packet_id)).sends("alice", pubrel(packet_id)).gets("alice", pubcomp(packet_id))
    }

    /// alice and bob, who subscribes to everything.
    fn two(version: Version, qos: Qos) -> Self {
        let made = Made::new(version);
        made.comes("bob").subscribes("bob", "#", qos).comes("alice");
        made
    }

    fn history(&self) -> History {
        History::of(&self.transcript)
    }
}

fn found(breaches: &[Breach]) -> Vec<Invariant> {
    breaches.iter().map(|breach| breach.invariant).collect()
}

#[track_caller]
fn server(made: &Made, expected: &[Invariant]) {
    let breaches = invariants::of_the_server(&made.history());
    assert_eq!(found(&breaches), expected, "{breaches:#?}\n{}", made.transcript.render());
}

#[track_caller]
fn owed(made: &Made, expected: &[Invariant]) {
    let breaches = invariants::outstanding(&made.history());
    assert_eq!(found(&breaches), expected, "{breaches:#?}\n{}", made.transcript.render());
}

#[track_caller]
fn alice(made: &Made, expected: &[Invariant]) {
    let breaches = invariants::of_clients(&made.history(), &["alice"]);
    assert_eq!(found(&breaches), expected, "{breaches:#?}\n{}", made.transcript.render());
    assert!(invariants::of_clients(&made.history(), &["bob"]).is_empty());
}

const Q0: Qos = Qos::AtMostOnce;
const Q1: Qos = Qos::AtLeastOnce;
const Q2: Qos = Qos::ExactlyOnce;

#[test]
fn a_story_of_cuts_and_repeats_is_no_breach() {
    for version in [V3, V5] {
        let made = Made::two(version, Q2);
        let (one, two) = (message("t", "one", Q2, 7), message("t", "two", Q1, 8));
        // The publisher's PUBREC is lost, and so is the subscriber's.
        made.sends("alice", Packet::Publish(one.clone())).comes_back("alice").sends("alice", again(one.clone()));
        made.gets("alice", pubrec(7)).sends("alice", pubrel(7)).gets("alice", pubcomp(7)).published(two);
        let (first, second) = (message("t", "one", Q2, 1), message("t", "two", Q1, 2));
        made.gets("bob", Packet::Publish(first.clone())).sends("bob", pubrec(1)).comes_back("bob");
        made.gets("bob", again(first)).gets("bob", Packet::Publish(second.clone())).sends("bob", pubrec(1));
        made.gets("bob", pubrel(1)).sends("bob", pubcomp(1)).sends("bob", puback(2)).comes_back("bob");
        // His PUBACK was lost: QoS 1 comes again.
        made.gets("bob", again(second)).sends("bob", puback(2));
        server(&made, &[]);
        alice(&made, &[]);
        owed(&made, &[]);
    }
}

#[test]
fn an_identifier_that_is_not_done_stands_for_nothing_else() {
    let made = Made::two(V5, Q1);
    made.published(message("t", "one", Q1, 1)).published(message("t", "two", Q1, 1));
    made.gets("bob", Packet::Publish(message("t", "one", Q1, 5))).sends("bob", puback(5));
    made.gets("bob", Packet::Publish(message("t", "two", Q1, 5)));
    server(&made, &[]);
    made.published(message("t", "three", Q1, 1)).gets("bob", Packet::Publish(message("t", "three", Q1, 5)));
    server(&made, &[Invariant::PacketIdInUse]);
    // A QoS 2 exchange is over with PUBCOMP and not before.
    let made = Made::two(V5, Q2);
    made.published(message("t", "one", Q2, 1)).published(message("t", "two", Q2, 1));
    made.gets("bob", Packet::Publish(message("t", "one", Q2, 5))).sends("bob", pubrec(5)).gets("bob", pubrel(5));
    made.gets("bob", Packet::Publish(message("t", "two", Q2, 5)));
    server(&made, &[Invariant::PacketIdInUse]);
}

#[test]
fn a_connect_without_an_answer_may_have_begun_another_session() {
    let (one, two) = (message("t", "one", Q2, 5), message("t", "two", Q2, 5));
    for may_be_another in [one.clone(), two.clone()] {
        for repeats in [false, true] {
            let made = Made::two(V5, Q2);
            for message in ["one", "one", "two"] {
                made.published(self::message("t", message, Q2, 1));
            }
            made.gets("bob", Packet::Publish(one.clone()));
            let tries = |made: &Made| {
                made.line("bob", What::Ended { how: "RST" });
                made.line("bob", What::Opened);
                made.sends("bob", Packet::Connect(Connect::new(V5, Text::new("bob").expect("a name"))));
            };
            let delivers = |made: &Made| {
                made.comes_back("bob");
                match repeats {
                    true => made.gets("bob", again(may_be_another.clone())),
                    false => made.gets("bob", Packet::Publish(may_be_another.clone())),
                };
            };
            tries(&made);
            delivers(&made);
            server(&made, &[]);
            // Once it has been answered the session is the one of that connection.
            delivers(&made);
            assert_eq!(invariants::of_the_server(&made.history()).is_empty(), repeats, "{}", made.transcript.render());
        }
    }
}

/// Of two connections with one Client Identifier, which of them the server serves first can be told only where one was answered
/// before the other asked.
#[test]
fn of_two_who_ask_at_once_either_may_be_taken_over() {
    for waits in [true, false] {
        let made = Made::new(V3);
        let asks = |actor: &str| {
            made.line(actor, What::Opened);
            made.sends(actor, Packet::Connect(Connect::new(V3, Text::literal("shared"))));
        };
        let is_let_in = |actor: &str| {
            made.gets(actor, Packet::Connack(Box::new(Connack::new(ReasonCode::Success))));
        };
        asks("anna");
        if waits {
            is_let_in("anna");
            asks("bela");
            is_let_in("bela");
        } else {
            asks("bela");
            is_let_in("bela");
            is_let_in("anna");
        }
        made.line("bela", What::Ended { how: "FIN" });
        let judged = at_edge::judge(&made.history(), Duration::from_secs(1), &Allowance::default()).at_the_end();
        let is_accused = found(&judged).contains(&Invariant::StaysOpen);
        assert_eq!(is_accused, waits, "{}", made.transcript.render());
    }
}

#[test]
fn a_repeat_has_dup_and_nothing_else_has() {
    let one = || message("t", "one", Q1, 5);
    let begun = |version| {
        let made = Made::two(version, Q1);
        made.published(one()).gets("bob", Packet::Publish(one()));
        made
    };
    let made = begun(V5);
    made.comes_back("bob").gets("bob", Packet::Publish(one()));
    server(&made, &[Invariant::DupOnRepeats]);
    let made = begun(V5);
    made.gets("bob", again(one()));
    server(&made, &[Invariant::DupOnRepeats]);
    // 3.1.1 leaves it open to repeat on the same connection.
    let made = begun(V3);
    made.gets("bob", again(one()));
    server(&made, &[]);
    for version in [V3, V5] {
        let made = Made::two(version, Q1);
        made.published(one()).gets("bob", again(one()));
        server(&made, &[Invariant::DupOnRepeats]);
        // In a session from before it may be a repeat of what was lost on the way.
        let made = Made::two(version, Q1);
        made.published(one()).comes_back("bob").gets("bob", again(one()));
        server(&made, &[]);
    }
}

#[test]
fn receive_maximum_is_kept_on_each_connection() {
    let made = Made::new(V5);
    let one_at_a_time = |connect: &mut Connect, _: &mut Connack| connect.push_property(Property::ReceiveMaximum(1));
    made.connects("bob", false, one_at_a_time).subscribes("bob", "#", Q2).comes("alice");
    for payload in ["one", "two", "three"] {
        made.published(message("t", payload, Q2, 1));
    }
    made.gets("bob", Packet::Publish(message("t", "one", Q2, 1))).sends("bob", pubrec(1)).gets("bob", pubrel(1));
    made.sends("bob", pubcomp(1)).gets("bob", Packet::Publish(message("t", "two", Q2, 2)));
    server(&made, &[]);
    made.gets("bob", Packet::Publish(message("t", "three", Q2, 3)));
    server(&made, &[Invariant::ReceiveMaximum]);
}

#[test]
fn qos_0_comes_as_often_as_it_was_published() {
    let made = Made::two(V5, Q0);
    let one = || Packet::Publish(message("t", "one", Q0, 0));
    made.sends("alice", one()).sends("alice", one()).gets("bob", one()).gets("bob", one());
    server(&made, &[]);
    made.gets("bob", one());
    server(&made, &[Invariant::AtMostOnce]);
}

#[test]
fn overlapping_filters_and_retained_messages_may_bring_more() {
    let made = Made::two(V5, Q0);
    let one = || Packet::Publish(message("t", "one", Q0, 0));
    made.subscribes("bob", "+", Q0).sends("alice", one()).gets("bob", one()).gets("bob", one());
    server(&made, &[]);
    let made = Made::two(V5, Q0);
    let mut kept = message("t", "one", Q0, 0);
    kept.retain = true;
    made.sends("alice", Packet::Publish(kept)).gets("bob", one()).subscribes("bob", "#", Q0).gets("bob", one());
    server(&made, &[]);
}

#[test]
fn qos_2_comes_exactly_once() {
    let made = Made::two(V5, Q2);
    made.published(message("t", "one", Q2, 1));
    owed(&made, &[Invariant::ExactlyOnce]);
    made.gets("bob", Packet::Publish(message("t", "one", Q2, 1))).sends("bob", pubrec(1)).gets("bob", pubrel(1));
    made.sends("bob", pubcomp(1));
    owed(&made, &[]);
    server(&made, &[]);
    made.gets("bob", Packet::Publish(message("t", "one", Q2, 2)));
    server(&made, &[Invariant::ExactlyOnce]);
}

#[test]
fn what_was_acknowledged_is_owed_to_those_who_asked_for_it_before() {
    let made = Made::two(V5, Q1);
    made.sends("alice", Packet::Publish(message("t", "never acknowledged", Q1, 1)));
    made.published(message("t", "one", Q1, 2));
    owed(&made, &[Invariant::AtLeastOnce]);
    made.gets("bob", Packet::Publish(message("t", "one", Q1, 1)));
    owed(&made, &[]);
    // carol came too late, and dave is not there.
    made.comes("dave").subscribes("dave", "#", Q1);
    made.published(message("t", "two", Q1, 2)).comes("carol").subscribes("carol", "#", Q1);
    made.gets("bob", Packet::Publish(message("t", "two", Q1, 2)));
    owed(&made, &[Invariant::AtLeastOnce]);
    made.line("dave", What::Closed { how: "RST" });
    owed(&made, &[]);
}

#[test]
fn messages_of_one_publisher_keep_their_order() {
    let made = Made::two(V5, Q1);
    for payload in ["one", "two", "three"] {
        made.published(message("t", payload, Q1, 1));
    }
    let came = |payload: &str, packet_id| Packet::Publish(message("t", payload, Q1, packet_id));
    made.gets("bob", came("one", 1)).gets("bob", came("three", 2));
    server(&made, &[]);
    made.gets("bob", came("two", 3));
    server(&made, &[Invariant::Order]);
}

#[test]
fn nobody_is_sent_what_nobody_said() {
    let made = Made::two(V5, Q0);
    made.published(message("t", "one", Q0, 0)).gets("bob", Packet::Publish(message("t", "two", Q0, 0)));
    server(&made, &[Invariant::NothingInvented]);
    // The server may speak for itself.
    let made = Made::two(V5, Q0);
    made.gets("bob", Packet::Publish(message("$SYS/x", "1", Q0, 0)));
    server(&made, &[]);
}

#[test]
fn clients_are_judged_by_the_same_rules() {
    let made = Made::two(V5, Q1);
    made.sends("alice", Packet::Publish(message("t", "one", Q1, 1)));
    made.sends("alice", Packet::Publish(message("t", "two", Q1, 1)));
    alice(&made, &[Invariant::PacketIdInUse]);
    let made = Made::two(V5, Q1);
    made.comes_back("alice").sends("alice", again(message("t", "one", Q1, 1)));
    alice(&made, &[Invariant::DupOnRepeats]);
    let made = Made::new(V5);
    let one_at_a_time = |_: &mut Connect, connack: &mut Connack| connack.properties.push(Property::ReceiveMaximum(1));
    made.connects("alice", false, one_at_a_time).published(message("t", "one", Q2, 1));
    made.sends("alice", Packet::Publish(message("t", "two", Q1, 2)));
    alice(&made, &[]);
    made.sends("alice", Packet::Publish(message("t", "three", Q1, 3)));
    alice(&made, &[Invariant::ReceiveMaximum]);
}

#[test]
fn who_tries_to_connect_is_there_in_the_end() {
    // Something comes after each end: a world that is taken down ends all at its last moment.
    let absent = |made: &Made, expected: &[Invariant]| {
        made.sends("alice", Packet::Pingreq);
        let breaches = invariants::absent(&made.history(), &["bob"]);
        assert_eq!(found(&breaches), expected, "{breaches:#?}\n{}", made.transcript.render());
    };
    let goodbye = |reason| Packet::Disconnect(Disconnect::new(reason));
    let made = Made::two(V5, Q1);
    absent(&made, &[]);
    made.line("bob", What::Ended { how: "RST" });
    absent(&made, &[Invariant::ComesThrough]);
    made.connects("bob", true, |_, _| {});
    absent(&made, &[]);
    // It blames the server and tries again, for ever.
    made.sends("bob", goodbye(ReasonCode::ProtocolError)).line("bob", What::Closed { how: "FIN" });
    absent(&made, &[Invariant::ComesThrough]);
    // It says goodbye, or is sent away, or turned down.
    made.comes("bob").sends("bob", goodbye(ReasonCode::NORMAL_DISCONNECTION)).line("bob", What::Closed { how: "FIN" });
    absent(&made, &[]);
    made.comes("bob").gets("bob", goodbye(ReasonCode::SessionTakenOver)).line("bob", What::Ended { how: "FIN" });
    absent(&made, &[]);
    made.connects("bob", false, |_, connack| connack.reason = ReasonCode::Banned)
        .line("bob", What::Ended { how: "FIN" });
    absent(&made, &[]);
}
