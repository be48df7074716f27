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
    events::{EventsOptions, run},
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

/// The story of a subscriber who gets a QoS 2 message twice.
pub(crate) fn twice(version: Version) -> Trace {
    lied(&script("scenarios/qos/2_delivery_pubrec_lost.yaml"), version, Box::new(ForgetsExchanges::default()))
}
