//! What a broker says while its store cannot keep anything.

use squall_codec::{
    packet::{Ack, Packet},
    reason::ReasonCode,
};

use super::broken;

broken! {
    "acknowledges what its store cannot keep", [AtLeastOnce ExactlyOnce], |_, passing| match &passing.packet {
        Packet::Puback(ack) if ack.reason == ReasonCode::QuotaExceeded => {
            passing.with(Packet::Puback(Ack::new(ack.packet_id)))
        }
        Packet::Pubrec(ack) if ack.reason == ReasonCode::QuotaExceeded => {
            passing.with(Packet::Pubrec(Ack::new(ack.packet_id)))
        }
        _ => passing.on(),
    };
    "grants a subscription that its store cannot keep", [Progress], |_, passing| match &passing.packet {
        Packet::Suback(suback) if suback.reasons.contains(&ReasonCode::QuotaExceeded) => {
            let mut other = suback.clone();
            other.reasons.fill(ReasonCode::GRANTED_QOS_0);
            passing.with(Packet::Suback(other))
        }
        _ => passing.on(),
    };
}
