//! Connections that never become a client's.

use squall_codec::{
    packet::{Connack, Packet},
    reason::ReasonCode,
};

use super::{Broken, Hides, broken};
use crate::invariants::Invariant;

broken! {
    "hears a message before CONNECT", [NothingInvented Subscribed], |_, passing| match &passing.packet {
        Packet::Publish(_) if passing.goes_up() && passing.is_strangers() => match passing.others.first() {
            Some(other) => vec![(*other, passing.way, passing.packet.clone())],
            None => passing.on(),
        },
        _ => passing.on(),
    };
    "answers who has not said CONNECT", [Admits Answers], |_, passing| match &passing.packet {
        Packet::Pingreq if passing.goes_up() && passing.is_strangers() => vec![passing.to_client(Packet::Pingresp)],
        _ => passing.on(),
    };
    "lets in who has not said CONNECT", [Admits], |_, passing| match &passing.packet {
        Packet::Pingreq if passing.goes_up() && passing.is_strangers() => {
            vec![passing.to_client(Packet::Connack(Box::new(Connack::new(ReasonCode::Success))))]
        }
        _ => passing.on(),
    };
}

/// Never closes a connection without a client.
pub(super) const WAITS: Broken = Broken {
    name: "waits for CONNECT for ever",
    caught_by: &[Invariant::Admits, Invariant::ClosesOnViolation],
    act: |_, passing| passing.on(),
    hides: Hides::EndsOfStrangers,
};
