//! What a line came from: the step of the script, the packet that it answers, the fault that ended a connection.

use std::collections::BTreeMap;

use squall_codec::{packet::PacketKind, version::Version};
use squall_scenarios::{dissect, player::Taken, script::Script};

use super::model::{Happening, Line, versions_of};
use crate::told;

/// Writes the causes into lines that stand in the order of the transcript.
pub(super) fn find(lines: &mut [Line], version: Version, steps: &[Taken], script: &Script) {
    by_steps(lines, steps, script);
    let versions = versions_of(lines, version);
    by_packets(lines, &versions);
    by_faults(lines);
}

/// As `find`, where the steps wrote nothing down.
pub(super) fn of_storm(lines: &mut [Line]) {
    let versions = versions_of(lines, Version::V5_0);
    by_packets(lines, &versions);
    by_faults(lines);
}

/// What a peer does is what its step says; a whole client does much by itself, but what it opens and asks is its step's too.
fn by_steps(lines: &mut [Line], steps: &[Taken], script: &Script) {
    let own = |line: &Line| {
        let is_own = |step: &&Taken| step.entries <= line.seq && step.actor.as_deref() == Some(&*line.node);
        steps.iter().rev().find(is_own)
    };
    for line in lines {
        let before = |step: &&Taken| step.entries <= line.seq;
        let step = match line.what {
            Happening::Sent if is_an_answer(line) => own(line).filter(|step| names(script, step, line)),
            Happening::Opened | Happening::Sent | Happening::Closed => own(line),
            Happening::Fault if line.node == told::BROKER => {
                steps.iter().rev().filter(before).find(|step| step.actor.is_none())
            }
            Happening::Fault => {
                let fits =
                    |step: &&Taken, nearly| step.fault.as_deref().is_some_and(|fault| is_of(fault, line, nearly));
                let find = |nearly| steps.iter().rev().filter(before).find(|step| fits(step, nearly));
                find(false).or_else(|| find(true))
            }
            Happening::Received | Happening::Ended | Happening::Told => None,
        };
        if let Some(step) = step {
            let number = step.place.line;
            let cause = line.cause.get_or_insert_default();
            cause.line = Some(number);
            cause.step = Some(script.line(number).trim_start_matches("- ").to_owned());
        }
    }
}

/// "alice: cut before PUBREC 1 to the client (RST)" is what the link of alice says when it does that. Others say the same less
/// exactly: only their first word is the fault's.
fn is_of(fault: &str, line: &Line, nearly: bool) -> bool {
    let Some((actor, words)) = fault.split_once(": ") else { return false };
    let words = if nearly { words.split(' ').next().unwrap_or_default() } else { words };
    (actor == line.node || actor == "all") && line.text.starts_with(words)
}

/// A whole client answers by itself; a peer answers where its step says so.
fn names(script: &Script, step: &Taken, line: &Line) -> bool {
    let kind = dissect::kind(&line.bytes).map(|kind| kind.name().to_lowercase());
    kind.is_some_and(|kind| script.line(step.place.line).contains(&kind))
}

fn is_an_answer(line: &Line) -> bool {
    use PacketKind as Kind;
    matches!(dissect::kind(&line.bytes), Some(Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp))
}

/// An acknowledgement answers the packet with its identifier; a delivery passes on what somebody published.
fn by_packets(lines: &mut [Line], versions: &[Version]) {
    // By actor, connection, the way it went, what is waited for, and packet identifier.
    let mut waiting: BTreeMap<(String, u32, bool, Kinds, Option<u16>), usize> = BTreeMap::new();
    let mut published: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (line, version) in lines.iter_mut().zip(versions).filter(|(line, _)| line.is_frame()) {
        let Some(frame) = Frame::of(line, *version) else { continue };
        let by_client = line.what == Happening::Sent;
        let (node, connection) = (line.node.clone(), line.connection);
        let key = |by_client: bool, kinds: Kinds, id: Option<u16>| (node.clone(), connection, by_client, kinds, id);
        if let Some(asked) = Kinds::answered_by(frame.kind)
            && let Some(seq) = waiting.get(&key(!by_client, asked, frame.packet_id))
        {
            line.cause.get_or_insert_default().answers = Some(*seq);
        }
        waiting.insert(key(by_client, Kinds::of(frame.kind), frame.packet_id), line.seq);
        let Some(message) = frame.message else { continue };
        if by_client {
            published.entry(message).or_insert(line.seq);
        } else if let Some(seq) = published.get(&message) {
            line.cause.get_or_insert_default().answers = Some(*seq);
        }
    }
}

/// What tells whether one packet answers another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kinds(u8);

impl Kinds {
    fn of(kind: PacketKind) -> Kinds {
        Kinds(kind.number())
    }

    fn answered_by(kind: PacketKind) -> Option<Kinds> {
        let asked = match kind {
            PacketKind::Connack => PacketKind::Connect,
            PacketKind::Puback | PacketKind::Pubrec => PacketKind::Publish,
            PacketKind::Pubrel => PacketKind::Pubrec,
            PacketKind::Pubcomp => PacketKind::Pubrel,
            PacketKind::Suback => PacketKind::Subscribe,
            PacketKind::Unsuback => PacketKind::Unsubscribe,
            PacketKind::Pingresp => PacketKind::Pingreq,
            _ => return None,
        };
        Some(Kinds::of(asked))
    }
}

/// What decides about answers.
struct Frame {
    kind: PacketKind,
    packet_id: Option<u16>,
    message: Option<(String, String)>,
}

impl Frame {
    fn of(line: &Line, version: Version) -> Option<Frame> {
        let kind = dissect::kind(&line.bytes)?;
        let fields = dissect::fields(&line.bytes, version);
        let find = |name: &str| fields.iter().find(|field| field.name == name);
        let packet_id = match find("Packet Identifier").map(|field| &field.value) {
            Some(dissect::Value::Number(id)) => u16::try_from(*id).ok(),
            _ => None,
        };
        let topic = find("Topic Name").map(|field| field.value.to_string()).filter(|topic| !topic.is_empty());
        let message = topic.filter(|_| kind == PacketKind::Publish).map(|topic| {
            let payload = find("Payload").map(|field| field.value.to_string());
            (topic, payload.unwrap_or_default())
        });
        Some(Frame { kind, packet_id, message })
    }
}

/// A connection that ends when a fault has just struck it ends because of it.
fn by_faults(lines: &mut [Line]) {
    let mut struck: BTreeMap<(String, u32), (usize, u64)> = BTreeMap::new();
    let mut outage: Option<(usize, u64)> = None;
    for line in lines {
        let connection = (line.node.clone(), line.connection);
        match line.what {
            Happening::Fault if line.node == told::BROKER => outage = Some((line.seq, line.at_us)),
            Happening::Fault => drop(struck.insert(connection, (line.seq, line.at_us))),
            Happening::Ended => {
                let fault = struck.get(&connection).copied().or(outage);
                if let Some((seq, at_us)) = fault
                    && at_us <= line.at_us
                    && line.at_us - at_us <= 1_000_000
                {
                    line.cause.get_or_insert_default().fault = Some(seq);
                }
            }
            _ => {}
        }
    }
}
