//! Traces to look at: of scripts, of brokers that break a rule, and of people who mean harm.

use std::{path::PathBuf, rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use squall_codec::version::Version;
use squall_scenarios::{
    liar::{Direction, Liar, Lie},
    player,
    script::Script,
    stage::Stage,
};
use squall_sim::{
    events::{
        EventsOptions, run,
        storm::{self, StormOptions},
    },
    story,
    subject::Subject,
    trace::model::Trace,
    world::VirtualWorld,
};

/// A script of this project; its name does not say where this machine has it.
pub(crate) fn script(name: &str) -> Rc<Script> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let text = std::fs::read_to_string(&file).expect("the script is there");
    Rc::new(Script::parse(name, &text).expect("it is a script"))
}

/// What happens on an honest broker.
pub(crate) fn played(script: &Rc<Script>, version: Version) -> Trace {
    let run = story::play(VirtualWorld::Events, script, version, 1);
    Trace::of(script, VirtualWorld::Events, version, 1, &run)
}

/// What happens when this stands before the broker.
pub(crate) fn lied(script: &Rc<Script>, version: Version, liar: Box<dyn Liar>) -> Trace {
    let subject = Subject::of(script.settings(), "", 1);
    let options = EventsOptions { subject, liar: Some(liar), ..EventsOptions::new(1) };
    let story = Rc::clone(script);
    let run = run(options, |world| {
        Box::pin(async move {
            let stage = Stage::new(world, version, "", story::PATIENCE);
            player::play(&stage, &story).await
        })
    });
    Trace::of(script, VirtualWorld::Events, version, 1, &run)
}

/// A broker that forgets over a lost connection which QoS 2 message it has sent: it sends the message as if it were new.
#[derive(Default)]
pub(crate) struct ForgetsExchanges {
    /// Connections on which identifiers are shifted.
    shifted: Vec<u64>,
}

const SHIFT: u16 = 40;

impl Liar for ForgetsExchanges {
    fn frame(&mut self, _: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        let mut frame = BytesMut::from(&raw[..]);
        let is_repeat = direction == Direction::ToClient && frame[0] & 0xFC == 0x3C;
        if is_repeat {
            self.shifted.push(connection);
            frame[0] &= !0x08;
            let topic = usize::from(u16::from_be_bytes([frame[2], frame[3]]));
            shift(&mut frame[4 + topic..], SHIFT);
        } else if self.shifted.contains(&connection) && (0x50..0x80).contains(&frame[0]) {
            let by = if direction == Direction::ToClient { SHIFT } else { 0u16.wrapping_sub(SHIFT) };
            shift(&mut frame[2..], by);
        }
        out.push(Lie::Frame(connection, direction, frame.freeze()));
    }
}

fn shift(bytes: &mut [u8], by: u16) {
    let id = u16::from_be_bytes([bytes[0], bytes[1]]).wrapping_add(by);
    bytes[..2].copy_from_slice(&id.to_be_bytes());
}

/// A storm in which the broker acknowledges a message and never passes it on; the link of the one it is for was cut before.
pub(crate) fn never_came() -> Trace {
    let text = r#"
title: a message that never comes
proves: [5.0/MQTT-4.5.0-1]
seed: 1
actors: { alice: client, bob: client }
storm:
  lasts: 3s
  calm: 5s
  steps:
    - { at: 0s, alice: { connect: { version: "5.0", clean_start: false, session_expiry: 300s, reconnect: { after: 100ms } } } }
    - { at: 0s, bob: { connect: { version: "5.0", reconnect: never } } }
    - { at: 100ms, alice: { subscribe: { filter: "a/+", qos: 1 } } }
    - { at: 100ms, bob: { subscribe: { filter: "else", qos: 1 } } }
    - { at: 1s, world: { reset: { link: alice } } }
    - { at: 2s, bob: { publish: { topic: "a/b", payload: "lost", qos: 1 } } }
"#;
    let script = Script::parse("never_came.yaml", text).unwrap_or_else(|error| panic!("{error}"));
    let plan = script.plan().expect("it is a storm");
    let run = storm::play(plan, StormOptions { liar: Some(Box::new(Loses)), ..StormOptions::default() });
    let run = story::judged(&script, Version::V5_0, run);
    Trace::of(&script, VirtualWorld::Events, Version::V5_0, 1, &run)
}

/// A broker that passes no message on.
struct Loses;

impl Liar for Loses {
    fn frame(&mut self, _: Duration, connection: u64, direction: Direction, raw: Bytes, out: &mut Vec<Lie>) {
        if direction == Direction::ToServer || raw[0] >> 4 != 3 {
            out.push(Lie::Frame(connection, direction, raw));
        }
    }
}

/// The story of a subscriber who gets a QoS 2 message twice.
pub(crate) fn twice(version: Version) -> Trace {
    lied(&script("scenarios/qos/2_delivery_pubrec_lost.yaml"), version, Box::new(ForgetsExchanges::default()))
}
