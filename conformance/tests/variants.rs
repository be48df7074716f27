//! No false accusation: our own broker, set up into each behaviour that the standard allows, is failed by no test, and none is
//! left undecided: what the broker does not offer is unsupported, with the packet that says so.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use bytes::{Bytes, BytesMut};
use libtest_mimic::{Arguments, Failed, Trial};
use squall_broker::core::config::Config;
use squall_codec::{
    packet::Packet,
    property::{Properties, Property, PropertyId},
    qos::Qos,
    reason::Side,
    version::Version,
    wire::Text,
};
use squall_conformance::{
    own,
    report::human::transcript_line,
    run::keep_panics_of_tests_quiet,
    select::{Planned, all},
    setup::Setup,
};
use squall_scenarios::{
    liar::{Direction, Liar, Lie},
    verdict::Verdict,
};

/// A lawful behaviour: how the broker is set up, and what becomes of what it says.
struct Variant {
    name: &'static str,
    change: fn(&mut Config),
    habit: Option<fn() -> Box<dyn Liar>>,
    /// The versions in which it is lawful.
    since: Version,
}

const fn variant(name: &'static str, change: fn(&mut Config)) -> Variant {
    Variant { name, change, habit: None, since: Version::V3_1 }
}

/// Something that only CONNACK of 5.0 can lawfully deny.
const fn denial(name: &'static str, change: fn(&mut Config)) -> Variant {
    Variant { since: Version::V5_0, ..variant(name, change) }
}

const fn habit(name: &'static str, since: Version, habit: fn() -> Box<dyn Liar>) -> Variant {
    Variant { habit: Some(habit), since, ..variant(name, |_| {}) }
}

const VARIANTS: &[Variant] = &[
    variant("as it is", |_| {}),
    variant("Maximum QoS 0", |config| config.maximum_qos = Qos::AtMostOnce),
    variant("Maximum QoS 1", |config| config.maximum_qos = Qos::AtLeastOnce),
    denial("nothing is retained", |config| config.retain_available = false),
    turning_away(
        "nothing is retained, and who wants it in 3.1.1 is turned away",
        |config| config.retain_available = false,
        || TurnsAway::who_wants(|retain, _| retain),
    ),
    turning_away(
        "Maximum QoS 0, and who wants more in 3.1.1 is turned away",
        |config| config.maximum_qos = Qos::AtMostOnce,
        || TurnsAway::who_wants(|_, qos| qos > Qos::AtMostOnce),
    ),
    turning_away(
        "Maximum QoS 1, and who wants more in 3.1.1 is turned away",
        |config| config.maximum_qos = Qos::AtLeastOnce,
        || TurnsAway::who_wants(|_, qos| qos > Qos::AtLeastOnce),
    ),
    variant("packets of 300 bytes", |config| config.limits.maximum_packet_size = 300),
    denial("no wildcards", |config| config.wildcard_subscription_available = false),
    variant("no Subscription Identifiers", |config| config.subscription_identifiers_available = false),
    variant("no shared subscriptions", |config| config.shared_subscription_available = false),
    variant("no client without an identifier", |config| config.allow_empty_client_id = false),
    variant("no Topic Aliases", |config| config.limits.topic_alias_maximum = 0),
    variant("no Topic Aliases to clients", |config| config.limits.topic_aliases_to_client = 0),
    variant("Receive Maximum 1", |config| config.limits.receive_maximum = 1),
    variant("one message in flight to a client", |config| config.limits.in_flight = 1),
    variant("sessions end with their connection", |config| config.maximum_session_expiry = 0),
    variant("sessions live a minute at most", |config| config.maximum_session_expiry = 60),
    variant("a Server Keep Alive of an hour", |config| config.server_keep_alive = Some(3600)),
    variant("packets of 1 KiB", |config| config.limits.maximum_packet_size = 1024),
    variant("Response Information", |config| {
        config.response_information = Some(squall_codec::wire::Text::literal("answers/"));
    }),
    variant("figures every second", |config| config.sys_interval = Some(Duration::from_secs(1))),
    denial("everything that can be left out is left out", |config| {
        config.maximum_qos = Qos::AtMostOnce;
        config.retain_available = false;
        config.wildcard_subscription_available = false;
        config.subscription_identifiers_available = false;
        config.shared_subscription_available = false;
        config.allow_empty_client_id = false;
        config.limits.topic_alias_maximum = 0;
        config.maximum_session_expiry = 0;
    }),
    habit("closes without DISCONNECT", Version::V3_1, || {
        Box::new(Silence(|packet| matches!(packet, Packet::Disconnect(_))))
    }),
    // 3.1.1 [MQTT-3.1.2-2] [MQTT-3.1.3-8] There it has to come.
    habit("refuses without CONNACK", Version::V5_0, || {
        Box::new(Silence(|packet| matches!(packet, Packet::Connack(connack) if connack.reason.is_failure())))
    }),
    habit("signs what it delivers", Version::V3_1, || Box::new(Signature::default())),
    habit("leaves the closing to who says DISCONNECT", Version::V3_1, || Box::new(Patience::default())),
];

/// Does not close the connection of a client that has said DISCONNECT: the client has to, and the server only SHOULD.
#[derive(Default)]
struct Patience {
    let_in: BTreeSet<u64>,
    leaving: BTreeSet<u64>,
}

impl Liar for Patience {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let sender = if direction == Direction::ToServer { Side::Client } else { Side::Server };
        let decoded = Packet::decode(Version::V5_0, sender, raw.clone())
            .or_else(|_| Packet::decode(Version::V3_1_1, sender, raw.clone()));
        match (direction, decoded) {
            (Direction::ToClient, Ok(Packet::Connack(_))) => drop(self.let_in.insert(connection)),
            (Direction::ToServer, Ok(Packet::Disconnect(_))) if self.let_in.contains(&connection) => {
                self.leaving.insert(connection);
            }
            // It was none that counts.
            (Direction::ToClient, Ok(Packet::Disconnect(_))) => drop(self.leaving.remove(&connection)),
            _ => {}
        }
        out.push(Lie::Frame(connection, direction, raw));
    }

    fn ended(&mut self, _now: Duration, connection: u64, direction: Direction, out: &mut Vec<Lie>) -> bool {
        if !self.leaving.contains(&connection) {
            return true;
        }
        if direction == Direction::ToServer {
            out.push(Lie::Close(connection));
        }
        false
    }
}

/// Writes a User Property of its own before those of each message, and the kinds of properties in another order. Who takes only
/// packets up to some size gets them as they are.
#[derive(Default)]
struct Signature {
    signed: BTreeSet<u64>,
}

impl Liar for Signature {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let raw = match direction {
            Direction::ToServer => {
                if let Ok(Packet::Connect(connect)) = Packet::decode(Version::V5_0, Side::Client, raw.clone())
                    && raw.windows(5).any(|bytes| bytes == b"MQTT\x05")
                    && connect.properties().maximum_packet_size().is_none()
                {
                    self.signed.insert(connection);
                }
                raw
            }
            Direction::ToClient if self.signed.contains(&connection) => signed(raw),
            Direction::ToClient => raw,
        };
        out.push(Lie::Frame(connection, direction, raw));
    }
}

fn signed(raw: Bytes) -> Bytes {
    let Ok(Packet::Publish(publish)) = Packet::decode(Version::V5_0, Side::Server, raw.clone()) else { return raw };
    let own = Property::UserProperty((Text::literal("passed"), Text::literal("here")));
    let properties = publish.properties();
    let (pairs, mut others): (Vec<_>, Vec<_>) =
        properties.iter().cloned().partition(|property| property.id() == PropertyId::UserProperty);
    others.reverse();
    let all: Properties = [own].into_iter().chain(pairs).chain(others).collect();
    let mut bytes = BytesMut::new();
    let packet = Packet::Publish(publish.with_properties(&all));
    packet.encode(Version::V5_0, &mut bytes).expect("it was a packet of 5.0 before");
    bytes.freeze()
}

/// Ends the connection of a client of 3.1.1 that publishes what this says, or would have it published.
struct TurnsAway {
    denies: fn(bool, Qos) -> bool,
    older: BTreeSet<u64>,
}

/// Such a habit of a broker that says in CONNACK of 5.0 what it denies.
const fn turning_away(name: &'static str, change: fn(&mut Config), habit: fn() -> Box<dyn Liar>) -> Variant {
    Variant { change, habit: Some(habit), since: Version::V3_1_1, ..variant(name, |_| {}) }
}

impl TurnsAway {
    fn who_wants(denies: fn(bool, Qos) -> bool) -> Box<dyn Liar> {
        Box::new(TurnsAway { denies, older: BTreeSet::new() })
    }
}

impl Liar for TurnsAway {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let is_older = self.older.contains(&connection);
        let denied = match Packet::decode(Version::V3_1_1, Side::Client, raw.clone()) {
            _ if direction == Direction::ToClient => false,
            Ok(Packet::Connect(connect)) if connect.version() == Version::V3_1_1 => {
                self.older.insert(connection);
                connect.will().is_some_and(|will| (self.denies)(will.retain, will.qos))
            }
            Ok(Packet::Publish(publish)) if is_older => (self.denies)(publish.retain, publish.qos),
            _ => false,
        };
        out.push(if denied { Lie::Close(connection) } else { Lie::Frame(connection, direction, raw) });
    }
}

/// Leaves packets of the server out that it need not send.
struct Silence(fn(&Packet) -> bool);

impl Liar for Silence {
    fn frame(&mut self, _now: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let said = Packet::decode(Version::V5_0, Side::Server, raw.clone())
            .or_else(|_| Packet::decode(Version::V3_1_1, Side::Server, raw.clone()));
        if direction == Direction::ToClient && said.is_ok_and(|packet| (self.0)(&packet)) {
            return;
        }
        out.push(Lie::Frame(connection, direction, raw));
    }
}

fn main() -> ExitCode {
    keep_panics_of_tests_quiet();
    let trials = VARIANTS.iter().map(|variant| Trial::test(variant.name, || accuses_nobody(variant))).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn accuses_nobody(variant: &Variant) -> Result<(), Failed> {
    // What has a setup of its own is about that alone.
    let concerned = |planned: &Planned| planned.test.setup == Setup::Plain && planned.version >= variant.since;
    let tests = all().into_iter().filter(concerned);
    let wrong: Vec<String> = tests.filter_map(|planned| accused(variant, &planned)).collect();
    if wrong.is_empty() { Ok(()) } else { Err(format!("{} accusations:\n{}", wrong.len(), wrong.join("\n")).into()) }
}

fn accused(variant: &Variant, planned: &Planned) -> Option<String> {
    let mut subject = own::subject(Setup::Plain);
    (variant.change)(&mut subject.config);
    let entry = own::in_events_on(subject, planned, variant.habit.map(|habit| habit()));
    if !matches!(entry.verdict, Verdict::Fail | Verdict::Inconclusive) {
        return None;
    }
    let lines: Vec<_> = entry.transcript.iter().map(|line| format!("\n{}", transcript_line(line))).collect();
    let shown = if std::env::var_os("SQUALL_VERBOSE").is_some() { lines.concat() } else { String::new() };
    Some(format!("{} {}: {}: {}{shown}", entry.version, entry.name, entry.verdict, entry.reason.unwrap_or_default()))
}
