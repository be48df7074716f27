//! What goes wrong in a storm: when, on whose link, and often at a packet.

use std::time::Duration;

use squall_codec::packet::PacketKind;
use squall_scenarios::{
    fault::{CutEnd, Delay, FaultKind, Moment, Pass, Trigger},
    liar::Direction,
    outage::{DiskState, Outage, Stop},
    plan::{Act, Doing, Step},
    stage::End,
};

use super::{
    generate::NAMES,
    swarm::{Draws, FaultFamily, Swarm},
};

/// The packets at which something goes wrong, with how often each is drawn: messages most of all.
const UP: [PacketKind; 10] = [
    PacketKind::Connect,
    PacketKind::Publish,
    PacketKind::Publish,
    PacketKind::Puback,
    PacketKind::Pubrec,
    PacketKind::Pubrel,
    PacketKind::Pubcomp,
    PacketKind::Subscribe,
    PacketKind::Pingreq,
    PacketKind::Disconnect,
];
const DOWN: [PacketKind; 9] = [
    PacketKind::Connack,
    PacketKind::Publish,
    PacketKind::Publish,
    PacketKind::Puback,
    PacketKind::Pubrec,
    PacketKind::Pubrel,
    PacketKind::Pubcomp,
    PacketKind::Suback,
    PacketKind::Unsuback,
];

/// Of what strikes without a moment of its own, this share in percent waits for one.
const STRIKES_AT_PACKETS: usize = 35;

/// Every packet, with its direction, at which something may go wrong, and how much of it may pass.
fn moments() -> impl Iterator<Item = (PacketKind, Direction, Pass)> {
    let up = UP.iter().map(|packet| (*packet, Direction::ToServer));
    let down = DOWN.iter().map(|packet| (*packet, Direction::ToClient));
    let mut packets: Vec<(PacketKind, Direction)> = up.chain(down).collect();
    packets.dedup();
    let places = [Pass::Before, Pass::Bytes(1), Pass::After];
    packets.into_iter().flat_map(move |(packet, direction)| places.map(|pass| (packet, direction, pass)))
}

/// A packet, and how much of it passes before something goes wrong.
fn moment(draws: &mut Draws) -> (Trigger, Pass) {
    let (packet, direction) = match draws.happens(50) {
        true => (draws.one_of(&UP), Direction::ToServer),
        false => (draws.one_of(&DOWN), Direction::ToClient),
    };
    let pass = match draws.below(4) {
        0 => Pass::Bytes(draws.between(1, 12)),
        1 => Pass::After,
        _ => Pass::Before,
    };
    (Trigger { packet, direction, nth: draws.between(1, 4) as u32 }, pass)
}

/// What goes wrong, and when it is well again.
pub(super) fn faults(seed: u64, swarm: &Swarm, steps: &mut Vec<Step>) {
    for number in 0..swarm.fault_count {
        let mut draws = Draws::new(seed, "fault", number as u64);
        let family = draws.one_of(&swarm.faults);
        let who = draws.below(swarm.clients);
        let at = draws.millis(400, 11_000);
        let on = awaited(Draws::new(seed, "moment", number as u64), who);
        let is_sudden = matches!(family, FaultFamily::Crash | FaultFamily::PowerLoss);
        let told = is_sudden.then(|| told(Draws::new(seed, "told something", number as u64), who));
        let on = told.flatten().or(on);
        // Its moment may be some time to come.
        let patience = if on.is_some() { Duration::from_secs(2) } else { Duration::ZERO };
        let link = |kind: FaultKind| Act::Link(Some(who), kind);
        let heal = FaultKind::Heal { reset: draws.happens(40) };
        let release = FaultKind::Heal { reset: false };
        let mut strike = |act: Act| steps.push(Step { on: on.clone(), ..Step::at(at.min(swarm.lasts), act) });
        let healed = match family {
            FaultFamily::Reset => {
                strike(link(FaultKind::Reset));
                None
            }
            FaultFamily::Close => {
                strike(link(FaultKind::Close));
                None
            }
            FaultFamily::HalfOpen => {
                strike(link(FaultKind::HalfOpen));
                draws.happens(50).then(|| (draws.millis(500, 12_000), heal))
            }
            FaultFamily::Partition => {
                let ways = [None, Some(Direction::ToServer), Some(Direction::ToClient)];
                strike(link(FaultKind::Partition { direction: draws.one_of(&ways) }));
                Some((draws.millis(100, 8_000), heal))
            }
            FaultFamily::Hold => {
                strike(link(FaultKind::Hold));
                Some((draws.millis(5, 900), release))
            }
            FaultFamily::Stall => {
                strike(link(FaultKind::StallReading));
                Some((draws.millis(100, 5_000), release))
            }
            FaultFamily::Cut => {
                steps.push(Step::at(at, link(cut(&mut draws))));
                None
            }
            FaultFamily::Latency => {
                strike(link(latency(&mut draws)));
                None
            }
            FaultFamily::Drop => {
                let probability = draws.one_of(&[0.02, 0.1, 0.3]);
                strike(link(FaultKind::Drop { probability, direction: None }));
                None
            }
            FaultFamily::Split => {
                strike(link(FaultKind::Split { bytes: draws.one_of(&[1, 2, 7, 64]) }));
                None
            }
            FaultFamily::Restart => {
                strike(outage(&mut draws, Stop::Restart));
                None
            }
            FaultFamily::Crash | FaultFamily::PowerLoss => {
                let how = if family == FaultFamily::Crash { Stop::Crash } else { Stop::PowerLoss };
                match on {
                    Some(_) => strike(outage(&mut draws, how)),
                    None => sudden(&mut draws, swarm, how, at, who, steps),
                }
                None
            }
            FaultFamily::Disk => None,
        };
        if let Some((after, kind)) = healed {
            steps.push(Step::at((at + patience + after).min(swarm.lasts), link(kind)));
        }
    }
    disk_fails(seed, swarm, steps);
}

/// The broker's disk is full or broken, and some time later works again. From streams of its own: nothing else depends on it.
fn disk_fails(seed: u64, swarm: &Swarm, steps: &mut Vec<Step>) {
    for number in 0..swarm.disk_fails {
        let mut draws = Draws::new(seed, "failing disk", number as u64);
        let state = draws.one_of(&[DiskState::Full, DiskState::Broken]);
        let at = draws.millis(400, 11_000);
        let who = draws.below(swarm.clients);
        let on = awaited(Draws::new(seed, "failing disk, moment", number as u64), who);
        let patience = if on.is_some() { Duration::from_secs(2) } else { Duration::ZERO };
        let well = at + patience + draws.millis(1, 4_000);
        steps.push(Step { on, ..Step::at(at, Act::Disk(state)) });
        steps.push(Step::at(well.min(swarm.lasts), Act::Disk(DiskState::Well)));
    }
}

/// The packet for which a fault waits, if it does.
fn awaited(mut draws: Draws, who: usize) -> Option<Moment> {
    draws.happens(STRIKES_AT_PACKETS).then(|| {
        let (on, pass) = moment(&mut draws);
        Moment { actor: NAMES[who].to_owned(), on, pass }
    })
}

/// A client has just been told that something is done: it has to be kept by then. One of them, now and then.
fn told(mut draws: Draws, who: usize) -> Option<Moment> {
    use PacketKind::{Connack, Puback, Pubcomp, Pubrec, Suback, Unsuback};
    draws.happens(15).then(|| {
        let packet = draws.one_of(&[Connack, Puback, Pubrec, Pubcomp, Suback, Unsuback]);
        let on = Trigger { packet, direction: Direction::ToClient, nth: draws.between(1, 3) as u32 };
        Moment { actor: NAMES[who].to_owned(), on, pass: Pass::After }
    })
}

/// Slow both ways alike, or one way alone: a client whose acknowledgements are late, or one that hears everything late.
fn latency(draws: &mut Draws) -> FaultKind {
    let direction = draws.one_of(&[None, None, Some(Direction::ToServer), Some(Direction::ToClient)]);
    let most = if direction.is_some() { 700 } else { 80 };
    let min = draws.millis(0, most);
    let max = min + draws.millis(0, 150);
    FaultKind::Latency { time: Delay::Between { min, max }, direction }
}

/// The broker goes down without a word: often just when a message has reached it, and often while a client is not told what it
/// has done. Those are the moments that count.
fn sudden(draws: &mut Draws, swarm: &Swarm, how: Stop, at: Duration, who: usize, steps: &mut Vec<Step>) {
    let published: Vec<(Duration, usize)> = steps
        .iter()
        .filter_map(|step| match step.act {
            Act::Client(who, Doing::Publish(_)) => Some((step.at, who)),
            _ => None,
        })
        .collect();
    let sync = swarm.broker.sync.map_or(1, |sync| sync.as_millis() as u64);
    let (mut at, mut who) = (at, who);
    if draws.happens(70) && !published.is_empty() {
        (at, who) = draws.one_of(&published);
        at += Duration::from_millis(1) + draws.millis(0, 2 * sync + 3);
    }
    let mut push = |at: Duration, act: Act| steps.push(Step::at(at.min(swarm.lasts), act));
    if draws.happens(50) {
        let since = at.saturating_sub(draws.millis(2, 300));
        push(since, Act::Link(Some(who), FaultKind::Partition { direction: Some(Direction::ToClient) }));
        push(at + draws.millis(50, 1_500), Act::Link(Some(who), FaultKind::Heal { reset: true }));
    }
    push(at, outage(draws, how));
}

fn outage(draws: &mut Draws, how: Stop) -> Act {
    Act::Outage(Outage { how, down: draws.millis(0, 3_000) })
}

/// An end at a moment of the protocol: this is what finds most.
fn cut(draws: &mut Draws) -> FaultKind {
    let (on, pass) = moment(draws);
    let ends = [CutEnd::End(End::Fin), CutEnd::End(End::Reset), CutEnd::End(End::Reset), CutEnd::HalfOpen];
    FaultKind::Cut { on, pass, how: draws.one_of(&ends) }
}

/// First bytes of PUBLISH, each of another state of its exchange; the kind of every other packet tells it.
const PUBLISHES: [u8; 5] = [0x30, 0x32, 0x3A, 0x34, 0x3C];

/// The state of the exchange that a packet with this first byte tells of.
fn state(packet: PacketKind, first: u8) -> &'static str {
    match (packet, first & 0b1110) {
        (PacketKind::Publish, 0b0010) => " QoS 1",
        (PacketKind::Publish, 0b1010) => " QoS 1 again",
        (PacketKind::Publish, 0b0100) => " QoS 2",
        (PacketKind::Publish, 0b1100) => " QoS 2 again",
        (PacketKind::Publish, _) => " QoS 0",
        _ => "",
    }
}

/// Places and faults, as a sweep counts them: "PUBLISH QoS 2 again to the server, before: power failures". `first`: the packet's first byte.
pub fn cell(packet: PacketKind, first: u8, direction: Direction, pass: Pass, how: &str) -> String {
    let state = state(packet, first);
    let place = match pass {
        Pass::Before => "before",
        Pass::Bytes(_) => "within",
        Pass::After => "after",
    };
    format!("{packet}{state} {direction}, {place}: {how}")
}

/// What strikes at a packet, in the words of [`cell`]; `None`: a client's doing, or what makes things well.
pub fn how(act: &Act) -> Option<&'static str> {
    let family = match act {
        Act::Outage(Outage { how, .. }) => match how {
            Stop::Crash => FaultFamily::Crash,
            Stop::PowerLoss => FaultFamily::PowerLoss,
            Stop::Restart => FaultFamily::Restart,
        },
        Act::Link(_, kind) => match kind {
            FaultKind::Cut { how, .. } => {
                return Some(match how {
                    CutEnd::End(End::Fin) => "cuts with FIN",
                    CutEnd::End(End::Reset) => "cuts with RST",
                    CutEnd::HalfOpen => "cuts without a sign",
                });
            }
            FaultKind::Reset => FaultFamily::Reset,
            FaultKind::Close => FaultFamily::Close,
            FaultKind::HalfOpen => FaultFamily::HalfOpen,
            FaultKind::Partition { .. } => FaultFamily::Partition,
            FaultKind::Hold => FaultFamily::Hold,
            FaultKind::StallReading => FaultFamily::Stall,
            FaultKind::Latency { .. } => FaultFamily::Latency,
            FaultKind::Drop { .. } => FaultFamily::Drop,
            FaultKind::Split { .. } => FaultFamily::Split,
            FaultKind::Heal { .. } | FaultKind::Bandwidth { .. } | FaultKind::Coalesce { .. } => return None,
        },
        Act::Disk(DiskState::Full | DiskState::Broken) => FaultFamily::Disk,
        Act::Client(..) | Act::Disk(DiskState::Well) => return None,
    };
    Some(family.name())
}

/// All cells to which a seed may come.
pub fn cells() -> impl Iterator<Item = String> {
    let cuts = ["cuts with FIN", "cuts with RST", "cuts without a sign"];
    let strikes = FaultFamily::ALL.iter().filter(|family| **family != FaultFamily::Cut).map(|family| family.name());
    let hows: Vec<&str> = cuts.into_iter().chain(strikes).collect();
    let states = |packet: PacketKind| if packet == PacketKind::Publish { &PUBLISHES[..] } else { &PUBLISHES[..1] };
    let struck = moments().flat_map(move |(packet, direction, pass)| {
        states(packet).iter().map(move |first| (packet, *first, direction, pass))
    });
    struck.flat_map(move |(packet, first, direction, pass)| {
        hows.clone().into_iter().map(move |how| cell(packet, first, direction, pass, how))
    })
}
