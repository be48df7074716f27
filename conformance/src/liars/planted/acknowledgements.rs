//! Defects in what answers a packet.

use std::time::Duration;

use squall_codec::{
    packet::{Ack, Packet, PacketKind},
    reason::ReasonCode,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{BOTH, Planted, V5, planted};
use crate::liars::{
    exchanges,
    filter::liar,
    kind::{bends, hears, tells},
    subscribing,
};

pub(super) const ALL: &[Planted] = &[
    planted("never sends a PUBACK", BOTH, || swallows(PacketKind::Puback)),
    planted("never sends a PUBREC", BOTH, || swallows(PacketKind::Pubrec)),
    planted("never sends a PUBREL", BOTH, || swallows(PacketKind::Pubrel)),
    planted("never sends a PUBCOMP", BOTH, || swallows(PacketKind::Pubcomp)),
    planted("never sends a SUBACK", BOTH, || swallows(PacketKind::Suback)),
    planted("never sends an UNSUBACK", BOTH, || swallows(PacketKind::Unsuback)),
    planted("never sends a PINGRESP", BOTH, || swallows(PacketKind::Pingresp)),
    planted("names the wrong message in PUBACK", BOTH, || numbers(PacketKind::Puback)),
    planted("names the wrong message in PUBREC", BOTH, || numbers(PacketKind::Pubrec)),
    planted("names the wrong message in PUBREL", BOTH, || numbers(PacketKind::Pubrel)),
    planted("names the wrong message in PUBCOMP", BOTH, || numbers(PacketKind::Pubcomp)),
    planted("names the wrong packet in SUBACK", BOTH, subscribing::answers_with_another_subscribe_id),
    planted("names the wrong packet in UNSUBACK", BOTH, subscribing::answers_with_another_unsubscribe_id),
    planted("clears the flags of PUBREL", BOTH, || begins(0x62, 0x60)),
    planted("sets a flag in PUBACK", BOTH, || begins(0x40, 0x42)),
    planted("sets a flag in SUBACK", BOTH, || begins(0x90, 0x92)),
    planted("sets a flag in PINGRESP", BOTH, || begins(0xD0, 0xD1)),
    planted("adds a byte to PINGRESP", BOTH, || {
        bends(Direction::ToClient, |bytes| {
            if bytes[0] == 0xD0 {
                *bytes = vec![0xD0, 1, 0];
            }
        })
    }),
    planted("sends a PUBREL ten minutes late", BOTH, || {
        liar(|passing| match passing.from_server() {
            Some(Packet::Pubrel(_)) => passing.pass_at(passing.now + Duration::from_secs(600)),
            _ => passing.pass(),
        })
    }),
    planted("answers PUBLISH of QoS 2 with PUBACK", BOTH, || {
        tells(|packet| {
            if let Packet::Pubrec(ack) = packet {
                *packet = Packet::Puback(ack.clone());
            }
        })
    }),
    planted("answers PUBLISH of QoS 1 with PUBREC", BOTH, || {
        tells(|packet| {
            if let Packet::Puback(ack) = packet {
                *packet = Packet::Pubrec(ack.clone());
            }
        })
    }),
    planted("answers PUBREC with a second PUBREC", BOTH, || {
        tells(|packet| {
            if let Packet::Pubrel(ack) = packet {
                *packet = Packet::Pubrec(Ack::new(ack.packet_id));
            }
        })
    }),
    planted("reverses the codes of SUBACK", BOTH, subscribing::reverses_suback_codes),
    planted("leaves the last code of SUBACK out", BOTH, subscribing::loses_the_last_suback_code),
    planted("adds a code to SUBACK", BOTH, || {
        tells(|packet| {
            if let Packet::Suback(suback) = packet {
                suback.reasons.push(ReasonCode::GRANTED_QOS_0);
            }
        })
    }),
    planted("grants QoS 0 whatever was asked, and delivers what was asked", BOTH, || {
        tells(|packet| {
            if let Packet::Suback(suback) = packet {
                for reason in suback.reasons.iter_mut().filter(|reason| !reason.is_failure()) {
                    *reason = ReasonCode::GRANTED_QOS_0;
                }
            }
        })
    }),
    planted("grants QoS 2 whatever was asked, and delivers what was asked", BOTH, || {
        tells(|packet| {
            if let Packet::Suback(suback) = packet {
                for reason in suback.reasons.iter_mut().filter(|reason| !reason.is_failure()) {
                    *reason = ReasonCode::GrantedQos2;
                }
            }
        })
    }),
    planted("says in SUBACK that it granted what it refused", BOTH, || {
        tells(|packet| {
            if let Packet::Suback(suback) = packet {
                for reason in suback.reasons.iter_mut().filter(|reason| reason.is_failure()) {
                    *reason = ReasonCode::GRANTED_QOS_0;
                }
            }
        })
    }),
    planted("says in SUBACK a code that has no meaning there", BOTH, || {
        bends(Direction::ToClient, |bytes| {
            if let (0x90, Some(last)) = (bytes[0], bytes.len().checked_sub(1)) {
                bytes[last] = 0x03;
            }
        })
    }),
    planted("reads no more than the first filter of SUBSCRIBE", BOTH, || {
        liar(|passing| match passing.from_client() {
            Some(Packet::Subscribe(subscribe)) => {
                let mut first = subscribe.clone();
                first.subscriptions.truncate(1);
                passing.put(&Packet::Subscribe(first));
            }
            _ => passing.pass(),
        })
    }),
    planted("answers UNSUBSCRIBE and goes on delivering", BOTH, subscribing::never_unsubscribes),
    // Before 5.0 a server may grant less than it is asked for and need not say why; in 5.0 it would announce a Maximum QoS.
    planted("takes each SUBSCRIBE for one of QoS 0", V5, || {
        hears(|packet| {
            if let Packet::Subscribe(subscribe) = packet {
                for one in &mut subscribe.subscriptions {
                    one.options.qos = squall_codec::qos::Qos::AtMostOnce;
                }
            }
        })
    }),
    planted("never sends a PUBREL again", BOTH, exchanges::never_sends_a_pubrel_again),
    planted("sends PUBCOMP at once, without having heard of PUBREL", BOTH, || {
        liar(|passing| {
            passing.pass();
            if let Some(Packet::Pubrec(ack)) = passing.from_server() {
                let early = Packet::Pubcomp(Ack::new(ack.packet_id));
                passing.put(&early);
            }
        })
    }),
    planted("says in UNSUBACK that there was no subscription", V5, || {
        tells(|packet| {
            if let Packet::Unsuback(unsuback) = packet {
                unsuback.reasons.fill(ReasonCode::NoSubscriptionExisted);
            }
        })
    }),
    planted("says in UNSUBACK that there was a subscription", V5, || {
        tells(|packet| {
            if let Packet::Unsuback(unsuback) = packet {
                unsuback.reasons.fill(ReasonCode::Success);
            }
        })
    }),
    planted("leaves the codes of UNSUBACK out", V5, || {
        tells(|packet| {
            if let Packet::Unsuback(unsuback) = packet {
                unsuback.reasons.clear();
            }
        })
    }),
    planted("says in PUBCOMP that the message is not known", V5, || {
        tells(|packet| {
            if let Packet::Pubcomp(ack) = packet {
                ack.reason = ReasonCode::PacketIdentifierNotFound;
            }
        })
    }),
    planted("says a code of others in PUBACK", V5, exchanges::puback_with_a_foreign_code),
    planted("says a code of others in PUBREL", V5, exchanges::pubrel_with_a_foreign_code),
];

fn swallows(kind: PacketKind) -> Box<dyn Liar> {
    liar(move |passing| match passing.from_server() {
        Some(packet) if packet.kind() == kind => {}
        _ => passing.pass(),
    })
}

/// Writes the next packet identifier in the place of the right one.
fn numbers(kind: PacketKind) -> Box<dyn Liar> {
    tells(move |packet| {
        if packet.kind() == kind
            && let Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) = packet
        {
            ack.packet_id = ack.packet_id.next();
        }
    })
}

/// Writes another first byte.
fn begins(right: u8, wrong: u8) -> Box<dyn Liar> {
    bends(Direction::ToClient, move |bytes| {
        if bytes[0] == right {
            bytes[0] = wrong;
        }
    })
}
