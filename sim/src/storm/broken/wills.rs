//! Wills.

use squall_codec::{
    packet::{Disconnect, Packet, Publish},
    property::PropertyId,
    reason::ReasonCode,
};

use super::{Memory, broken, once_more, own_answers, swallow, swallowed_release, without};

broken! {
    "publishes no will", [Will SharedOnce], |memory, passing| {
        if let Some(done) = swallowed_release(memory, &passing) {
            return done;
        }
        match &passing.packet {
            Packet::Publish(publish) if !passing.goes_up() && is_will(memory, publish) => swallow(memory, &passing, publish),
            _ => passing.on(),
        }
    };
    "publishes a will twice", [AtMostOnce AtLeastOnce ExactlyOnce SharedOnce], |memory, passing| {
        if let Some(done) = own_answers(memory, &passing) {
            return done;
        }
        match &passing.packet {
            Packet::Publish(publish) if !passing.goes_up() && is_will(memory, publish) && !publish.dup => {
                let again = once_more(memory, &passing, publish);
                let mut out = passing.on();
                out.push(again);
                out
            }
            _ => passing.on(),
        }
    };
    "publishes the will of those who say DISCONNECT", [Will], |_, passing| match &passing.packet {
        Packet::Disconnect(_) if passing.goes_up() => match passing.version.has_properties() {
            true => passing.with(Packet::Disconnect(Disconnect::new(ReasonCode::DisconnectWithWillMessage))),
            false => Vec::new(),
        },
        _ => passing.on(),
    };
    "does not let wills wait", [Will], |_, passing| match &passing.packet {
        Packet::Connect(connect) => {
            let mut other = connect.clone();
            other.change_will(|will| will.properties = without(&will.properties, PropertyId::WillDelayInterval));
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "forgets wills", [Will SharedOnce], |_, passing| match &passing.packet {
        Packet::Connect(connect) => {
            let mut other = connect.clone();
            other.set_will(None);
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "retains no wills", [Retained Will AsSubscribed], |_, passing| match &passing.packet {
        Packet::Connect(connect) => {
            let mut other = connect.clone();
            other.change_will(|will| will.retain = false);
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
}

fn is_will(memory: &Memory, publish: &Publish) -> bool {
    memory.wills.iter().any(|(_, payload)| *payload == publish.payload())
}
