//! What a client has said and got no answer to.

use squall_codec::{
    packet::{Packet, PacketKind},
    qos::Qos,
    wire::PacketId,
};

use super::model::{Happening, Line};

/// What a client waits for, and the line of the packet that asked for it.
struct Waiting {
    answer: (PacketKind, Option<PacketId>),
    asked: usize,
}

/// The line of the packet to which this node still waits for this answer; where the answer is not known, of the first to which it waits
/// for any. `packets`: what stands in each line, as far as it is a packet.
pub(super) fn unanswered(
    lines: &[Line],
    packets: &[Option<Packet>],
    node: &str,
    answer: Option<(PacketKind, Option<PacketId>)>,
) -> Option<usize> {
    let mut open: Vec<Waiting> = Vec::new();
    for (line, packet) in lines.iter().zip(packets).filter(|(line, _)| line.node == node) {
        match (line.what, packet) {
            // Exchanges of messages outlive a connection.
            (Happening::Opened, _) => {
                open.retain(|waiting| {
                    matches!(waiting.answer.0, PacketKind::Puback | PacketKind::Pubrec | PacketKind::Pubcomp)
                });
            }
            (Happening::Sent, Some(packet)) => {
                if let Some(answer) = answer_to(packet) {
                    let asked = line.seq;
                    // Who repeats a packet, or goes on with PUBREL, waits since the first.
                    let is_known = |waiting: &Waiting| waiting.answer == answer && answer.1.is_some();
                    if !open.iter().any(is_known) {
                        open.push(Waiting { answer, asked });
                    }
                }
            }
            (Happening::Received, Some(packet)) => got(&mut open, packet),
            _ => {}
        }
    }
    let mut open = open.iter();
    let found = match answer {
        Some(_) => open.rfind(|waiting| Some(waiting.answer) == answer),
        None => open.next(),
    };
    found.map(|waiting| waiting.asked)
}

/// The answer that a client's packet asks for.
fn answer_to(packet: &Packet) -> Option<(PacketKind, Option<PacketId>)> {
    Some(match packet {
        Packet::Connect(_) => (PacketKind::Connack, None),
        Packet::Publish(publish) => match publish.qos {
            Qos::AtMostOnce => return None,
            Qos::AtLeastOnce => (PacketKind::Puback, publish.packet_id),
            Qos::ExactlyOnce => (PacketKind::Pubrec, publish.packet_id),
        },
        Packet::Pubrel(ack) => (PacketKind::Pubcomp, Some(ack.packet_id)),
        Packet::Subscribe(subscribe) => (PacketKind::Suback, Some(subscribe.packet_id)),
        Packet::Unsubscribe(unsubscribe) => (PacketKind::Unsuback, Some(unsubscribe.packet_id)),
        Packet::Pingreq => (PacketKind::Pingresp, None),
        _ => return None,
    })
}

fn got(open: &mut Vec<Waiting>, packet: &Packet) {
    let answer = match packet {
        Packet::Connack(_) => (PacketKind::Connack, None),
        Packet::Puback(ack) => (PacketKind::Puback, Some(ack.packet_id)),
        // A QoS 2 exchange goes on to its PUBCOMP.
        Packet::Pubrec(ack) if !ack.reason.is_failure() => {
            let (recorded, id) = ((PacketKind::Pubrec, Some(ack.packet_id)), Some(ack.packet_id));
            if let Some(waiting) = open.iter_mut().find(|waiting| waiting.answer == recorded) {
                waiting.answer = (PacketKind::Pubcomp, id);
            }
            return;
        }
        Packet::Pubrec(ack) => (PacketKind::Pubrec, Some(ack.packet_id)),
        Packet::Pubcomp(ack) => (PacketKind::Pubcomp, Some(ack.packet_id)),
        Packet::Suback(suback) => (PacketKind::Suback, Some(suback.packet_id)),
        Packet::Unsuback(unsuback) => (PacketKind::Unsuback, Some(unsuback.packet_id)),
        Packet::Pingresp => (PacketKind::Pingresp, None),
        _ => return,
    };
    if let Some(position) = open.iter().position(|waiting| waiting.answer == answer) {
        open.remove(position);
    }
}
