//! What the server does not have, and what it says of that.

use squall_codec::{
    packet::{Packet, Publish, Suback},
    property::{Property, PropertyId},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
    wire::PacketId,
};

use super::{broken, without};

broken! {
    "does not say what it does not have", [AsOffered], |_, passing| match &passing.packet {
        Packet::Connack(connack) if passing.version.has_properties() => {
            let mut other = connack.clone();
            for denial in [
                PropertyId::MaximumQos,
                PropertyId::RetainAvailable,
                PropertyId::WildcardSubscriptionAvailable,
                PropertyId::SubscriptionIdentifierAvailable,
                PropertyId::SharedSubscriptionAvailable,
            ] {
                other.properties = without(&other.properties, denial);
            }
            passing.with(Packet::Connack(other))
        }
        _ => passing.on(),
    };
    "says that it does not have what it has", [AsOffered], |_, passing| match &passing.packet {
        Packet::Connack(connack) if passing.version.has_properties() && !connack.reason.is_failure() => {
            let mut other = connack.clone();
            other.properties = without(&connack.properties, PropertyId::SharedSubscriptionAvailable);
            other.properties.push(Property::SharedSubscriptionAvailable(0));
            passing.with(Packet::Connack(other))
        }
        _ => passing.on(),
    };
    "lets in whose will it cannot have", [Admits], |_, passing| match &passing.packet {
        Packet::Connect(connect) if passing.version.has_properties() => {
            let mut other = connect.clone();
            let mut will = connect.will().map(|will| will.to_owned());
            if let Some(will) = &mut will {
                (will.qos, will.retain) = (Qos::AtMostOnce, false);
            }
            other.set_will(will);
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "takes RETAIN where it says that it retains nothing", [ClosesOnViolation], |memory, passing| match &passing.packet {
        Packet::Connack(connack) if connack.properties.retain_available() == Some(0) => {
            memory.own.insert((passing.connection, 0));
            passing.on()
        }
        Packet::Publish(publish) if passing.goes_up() && memory.own.contains(&(passing.connection, 0)) => {
            let mut other = publish.clone();
            other.retain = false;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "grants an older client what it does not have", [AsOffered], |_, passing| match &passing.packet {
        Packet::Suback(suback) if passing.version == Version::V3_1_1 => {
            let granted = suback.reasons.iter().map(|reason| match reason.is_failure() {
                true => ReasonCode::GRANTED_QOS_0,
                false => *reason,
            });
            passing.with(Packet::Suback(Suback::new(suback.packet_id, granted.collect())))
        }
        _ => passing.on(),
    };
    "retains what it says that it retains nothing of", [Retained NothingInvented AtMostOnce AtLeastOnce ExactlyOnce AsSubscribed], |memory, passing| match &passing.packet {
        // What an older client wants retained comes once more to who subscribes.
        Packet::Publish(publish) if passing.goes_up() && passing.version == Version::V3_1_1 && publish.retain => {
            memory.held.insert(0, passing.packet.clone());
            passing.on()
        }
        Packet::Connack(connack) if connack.properties.retain_available() == Some(0) => {
            memory.own.insert((0, 0));
            passing.on()
        }
        Packet::Suback(_) if !passing.goes_up() && memory.own.contains(&(0, 0)) => {
            let mut all = vec![(passing.connection, passing.way, passing.packet.clone())];
            if let Some(Packet::Publish(kept)) = memory.held.get(&0) {
                let mut kept = kept.clone().at(Qos::AtMostOnce, None);
                (kept.retain, kept.dup) = (true, false);
                all.push(passing.to_client(Packet::Publish(kept)));
            }
            all
        }
        _ => passing.on(),
    };
    "takes no notice of what is above its Receive Maximum", [ClosesOnViolation], |memory, passing| {
        let at = |id: PacketId| (passing.connection, id.value());
        match &passing.packet {
            Packet::Connack(connack) => {
                if let Some(most) = connack.properties.receive_maximum() {
                    memory.instead.insert((passing.connection, 0), most);
                }
                passing.on()
            }
            Packet::Publish(Publish { packet_id: Some(id), .. }) if passing.goes_up() => {
                let open = memory.own.range(at(PacketId::MIN)..=at(PacketId::MAX)).count();
                let most = memory.instead.get(&(passing.connection, 0)).copied().unwrap_or(u16::MAX);
                if open >= usize::from(most) && !memory.own.contains(&at(*id)) {
                    return Vec::new();
                }
                memory.own.insert(at(*id));
                passing.on()
            }
            Packet::Puback(ack) | Packet::Pubcomp(ack) if !passing.goes_up() => {
                memory.own.remove(&at(ack.packet_id));
                passing.on()
            }
            Packet::Pubrec(ack) if !passing.goes_up() && ack.reason.is_failure() => {
                memory.own.remove(&at(ack.packet_id));
                passing.on()
            }
            _ => passing.on(),
        }
    };
}
