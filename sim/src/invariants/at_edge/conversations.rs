//! One connection for itself: whether each request is answered, and nothing is answered that was not asked.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Packet, PacketKind, Publish},
    qos::Qos,
    wire::PacketId,
};

use super::{
    Found,
    scene::{Line, Mark, Scene},
};
use crate::{history::Happened, invariants::Invariant};

/// Requests that wait for their answers.
#[derive(Default)]
struct Asked {
    waiting: BTreeMap<(PacketKind, PacketId), (Mark, usize)>,
    pings: Vec<Mark>,
    /// Messages of QoS 2 that the client would not have.
    refused: BTreeSet<PacketId>,
    /// Exchanges of an older connection may go on here.
    is_resumed: bool,
}

pub(super) fn judge(scene: &Scene<'_>, found: &mut Found) {
    for position in &scene.early {
        let detail = "a packet was sent before CONNECT".to_owned();
        found.broken.push(scene.breach(Invariant::Answers, *position, detail));
    }
    let mut talks: Vec<Asked> = scene.lines.iter().map(|_| Asked::default()).collect();
    for (position, event) in scene.history.events.iter().enumerate() {
        let Some(at) = scene.line_of(&event.connection) else { continue };
        let (line, talk) = (&scene.lines[at], &mut talks[at]);
        let mark = Mark { position, at: event.at };
        let wrong = match &event.what {
            Happened::Sent(packet) => {
                talk.asks(packet, mark);
                None
            }
            Happened::Received(packet) => talk.answers(line, packet, position).or_else(|| size(line, packet)),
            _ => None,
        };
        if let Some((invariant, detail)) = wrong {
            found.broken.push(scene.breach(invariant, position, detail));
        }
    }
    for (line, talk) in scene.lines.iter().zip(talks) {
        missing(scene, line, talk, found);
    }
}

impl Asked {
    fn asks(&mut self, packet: &Packet, mark: Mark) {
        let (kind, id, count) = match packet {
            Packet::Pingreq => return self.pings.push(mark),
            Packet::Publish(Publish { qos: Qos::AtLeastOnce, packet_id: Some(id), .. }) => (PacketKind::Puback, *id, 1),
            Packet::Publish(Publish { qos: Qos::ExactlyOnce, packet_id: Some(id), .. }) => (PacketKind::Pubrec, *id, 1),
            Packet::Pubrel(ack) => (PacketKind::Pubcomp, ack.packet_id, 1),
            // [MQTT-4.3.3-5]
            Packet::Pubrec(ack) if !ack.reason.is_failure() => (PacketKind::Pubrel, ack.packet_id, 1),
            Packet::Pubrec(ack) => {
                self.refused.insert(ack.packet_id);
                return;
            }
            Packet::Subscribe(subscribe) => (PacketKind::Suback, subscribe.packet_id, subscribe.subscriptions.len()),
            Packet::Unsubscribe(unsubscribe) => {
                (PacketKind::Unsuback, unsubscribe.packet_id, unsubscribe.filters.len())
            }
            _ => return,
        };
        self.waiting.insert((kind, id), (mark, count));
    }

    /// What is wrong with a packet of the server as an answer.
    fn answers(&mut self, line: &Line<'_>, packet: &Packet, position: usize) -> Option<(Invariant, String)> {
        let answers = |detail: String| Some((Invariant::Answers, detail));
        match packet {
            Packet::Connack(connack) => {
                // 3.1 does not say whether there was a session.
                self.is_resumed =
                    connack.session_present || line.connect.version() < squall_codec::version::Version::V3_1_1;
                let is_first = line.granted.is_none_or(|(mark, _)| mark.position == position);
                if !is_first {
                    return answers("CONNACK came twice".to_owned());
                }
                None
            }
            // [MQTT-3.2.0-1]
            packet if !line.is_answered && !matches!(packet, Packet::Auth(_)) => {
                answers(format!("{} was sent before CONNACK", packet.kind()))
            }
            _ if line.granted.is_some_and(|(mark, _)| position < mark.position)
                && !matches!(packet, Packet::Auth(_)) =>
            {
                answers(format!("{} was sent before CONNACK", packet.kind()))
            }
            Packet::Pingresp => match self.pings.is_empty() {
                true => answers("PINGRESP answers no PINGREQ".to_owned()),
                false => {
                    self.pings.remove(0);
                    None
                }
            },
            Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack) => {
                let known = self.waiting.remove(&(packet.kind(), ack.packet_id));
                let is_loose = self.is_resumed && !matches!(packet, Packet::Puback(_));
                if known.is_none() && !is_loose {
                    return answers(format!("{} {} answers nothing", packet.kind(), ack.packet_id));
                }
                None
            }
            Packet::Pubrel(ack) => {
                self.waiting.remove(&(PacketKind::Pubrel, ack.packet_id));
                // [MQTT-4.3.3-4] Only a PUBREC that takes the message is answered.
                match self.refused.contains(&ack.packet_id) {
                    true => answers(format!("PUBREL {} comes for a message that was refused", ack.packet_id)),
                    false => None,
                }
            }
            Packet::Suback(suback) => self.counted(packet.kind(), suback.packet_id, Some(suback.reasons.len())),
            Packet::Unsuback(unsuback) => {
                let count = line.connect.version().has_properties().then_some(unsuback.reasons.len());
                self.counted(packet.kind(), unsuback.packet_id, count)
            }
            // [MQTT-3.3.2-8] [MQTT-3.1.2-26]
            Packet::Publish(publish) => {
                if let Some(id) = publish.packet_id {
                    self.refused.remove(&id);
                }
                let most = line.connect.properties().topic_alias_maximum().unwrap_or(0);
                match publish.topic_alias {
                    Some(alias) if alias == 0 || alias > most => Some((
                        Invariant::TopicAlias,
                        format!("Topic Alias {alias} where Topic Alias Maximum is {most}"),
                    )),
                    Some(alias) if publish.topic().is_empty() => {
                        Some((Invariant::TopicAlias, format!("Topic Alias {alias} was not set on this connection")))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn counted(&mut self, kind: PacketKind, id: PacketId, count: Option<usize>) -> Option<(Invariant, String)> {
        let detail = match self.waiting.remove(&(kind, id)) {
            None => format!("{kind} {id} answers nothing"),
            Some((_, asked)) if count.is_some_and(|count| count != asked) => {
                format!("{kind} {id} has {} reasons for {asked} filters", count.unwrap_or(0))
            }
            Some(_) => return None,
        };
        Some((Invariant::Answers, detail))
    }
}

/// [MQTT-3.1.2-24]
fn size(line: &Line<'_>, packet: &Packet) -> Option<(Invariant, String)> {
    let most = line.connect.properties().maximum_packet_size()?;
    // A history has the topic in the place of its alias.
    if matches!(packet, Packet::Publish(publish) if publish.topic_alias.is_some()) {
        return None;
    }
    let size = packet.encoded_len(line.connect.version());
    let detail = format!("{} has {size} bytes where Maximum Packet Size is {most}", packet.kind());
    (size > most as usize).then_some((Invariant::PacketSize, detail))
}

/// Requests on a connection that still stands, to which no answer came though there was time.
fn missing(scene: &Scene<'_>, line: &Line<'_>, talk: Asked, found: &mut Found) {
    if line.over.is_some() || line.sent_away.is_some() || line.may_be_stuck() || line.fell {
        return;
    }
    let mut wait = |mark: Mark, detail: String| {
        let due = mark.at + scene.allowance.answer;
        if due <= scene.until {
            found.missing.push(scene.breach(Invariant::Answers, mark.position, detail));
        } else {
            found.runs_until = found.runs_until.max(due);
        }
    };
    if !line.is_answered {
        return wait(line.asked, "CONNECT was never answered".to_owned());
    }
    if line.granted.is_none() || line.leaves.is_some() {
        return;
    }
    for ((kind, id), (mark, _)) in talk.waiting {
        wait(mark, format!("{kind} {id} never came"));
    }
    if let Some(mark) = talk.pings.first() {
        wait(*mark, "PINGRESP never came".to_owned());
    }
}
