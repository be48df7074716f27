//! Acknowledgements, identifiers, repeats.

use squall_codec::{
    packet::{Ack, Packet},
    qos::Qos,
};

use super::{broken, id};

broken! {
    "repeats without DUP", [DupOnRepeats], |_, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.dup => {
            let mut other = publish.clone();
            other.dup = false;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "sets DUP on what is sent for the first time", [DupOnRepeats], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.qos > Qos::AtMostOnce && memory.now_and_then(9) => {
            let mut other = publish.clone();
            other.dup = true;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "uses an identifier for two messages", [PacketIdInUse DupOnRepeats], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.qos == Qos::AtLeastOnce => {
            let Some(own) = publish.packet_id else { return passing.on() };
            let first = memory.open.iter().find(|(client, _)| *client == passing.client).map(|(_, first)| *first);
            match first {
                Some(first) if first != own.value() => {
                    memory.instead.insert((passing.connection, first), own.value());
                    let other = publish.clone().at(Qos::AtLeastOnce, Some(id(first)));
                    passing.with(Packet::Publish(other))
                }
                _ => {
                    memory.open.insert((passing.client.clone(), own.value()));
                    passing.on()
                }
            }
        }
        Packet::Puback(ack) if passing.goes_up() => {
            let first = ack.packet_id.value();
            memory.open.remove(&(passing.client.clone(), first));
            let second = memory.instead.remove(&(passing.connection, first));
            let mut out = vec![passing.to_server(passing.packet.clone())];
            out.extend(second.map(|second| passing.to_server(Packet::Puback(Ack::new(id(second))))));
            out
        }
        _ => passing.on(),
    };
    "does not care for Receive Maximum", [ReceiveMaximum], |_, passing| match &passing.packet {
        Packet::Connect(connect) => {
            let mut other = connect.clone();
            other.set_properties(super::without(&connect.properties().to_owned(), squall_codec::property::PropertyId::ReceiveMaximum));
            passing.with(Packet::Connect(other))
        }
        _ => passing.on(),
    };
    "acknowledges QoS 1 twice", [Answers], |memory, passing| match &passing.packet {
        Packet::Puback(_) if !passing.goes_up() && memory.now_and_then(9) => {
            let again = passing.to_client(passing.packet.clone());
            let mut out = passing.on();
            out.push(again);
            out
        }
        _ => passing.on(),
    };
    "never acknowledges a QoS 1 message now and then", [Answers Progress], |memory, passing| match &passing.packet {
        Packet::Puback(_) if !passing.goes_up() && memory.now_and_then(9) => Vec::new(),
        _ => passing.on(),
    };
    "acknowledges in another order", [Answers], |memory, passing| match &passing.packet {
        Packet::Puback(_) if !passing.goes_up() => match memory.held.remove(&passing.connection) {
            Some(held) => {
                let held = passing.to_client(held);
                let mut out = passing.on();
                out.push(held);
                out
            }
            None if memory.now_and_then(5) => {
                memory.held.insert(passing.connection, passing.packet);
                Vec::new()
            }
            None => passing.on(),
        },
        _ => passing.on(),
    };
    "forgets PUBREC now and then", [Answers Progress], |memory, passing| match &passing.packet {
        Packet::Pubrec(_) if !passing.goes_up() && memory.now_and_then(9) => Vec::new(),
        _ => passing.on(),
    };
    "forgets PUBCOMP now and then", [Answers Progress], |memory, passing| match &passing.packet {
        Packet::Pubcomp(_) if !passing.goes_up() && memory.now_and_then(9) => Vec::new(),
        _ => passing.on(),
    };
    "forgets PUBREL now and then", [Progress], |memory, passing| match &passing.packet {
        Packet::Pubrel(_) if !passing.goes_up() && memory.now_and_then(9) => Vec::new(),
        _ => passing.on(),
    };
    "publishes a repeated QoS 2 message again", [ExactlyOnce AtMostOnce AtLeastOnce SharedOnce Answers Order], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if passing.goes_up() && publish.qos == Qos::ExactlyOnce && publish.dup => {
            let Some(own) = publish.packet_id else { return passing.on() };
            memory.own.insert((passing.connection, own.value()));
            vec![passing.to_server(Packet::Pubrel(Ack::new(own))), (passing.connection, passing.way, passing.packet)]
        }
        Packet::Pubcomp(ack) if !passing.goes_up() && memory.own.remove(&(passing.connection, ack.packet_id.value())) => {
            Vec::new()
        }
        _ => passing.on(),
    };
    "sends a message again after PUBREC", [ExactlyOnce Progress], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.qos == Qos::ExactlyOnce => {
            let connection = passing.connection;
            memory.held.insert(connection, passing.packet.clone());
            passing.on()
        }
        Packet::Pubrel(ack) if !passing.goes_up() => match memory.held.remove(&passing.connection) {
            Some(Packet::Publish(mut held)) if held.packet_id == Some(ack.packet_id) && held.topic_alias.is_none() => {
                held.dup = true;
                let held = passing.to_client(Packet::Publish(held));
                let mut out = vec![held];
                out.extend(passing.on());
                out
            }
            _ => passing.on(),
        },
        _ => passing.on(),
    };
    "releases a message that was refused", [Answers], |_, passing| match &passing.packet {
        Packet::Pubrec(ack) if passing.goes_up() && ack.reason.is_failure() => {
            let release = passing.to_client(Packet::Pubrel(Ack::new(ack.packet_id)));
            let mut out = passing.on();
            out.push(release);
            out
        }
        _ => passing.on(),
    };
    "goes on with a message that was refused", [DupOnRepeats AtLeastOnce ExactlyOnce PacketIdInUse ReceiveMaximum Progress], |_, passing| match &passing.packet {
        Packet::Puback(ack) | Packet::Pubrec(ack) if passing.goes_up() && ack.reason.is_failure() => Vec::new(),
        _ => passing.on(),
    };
    "says nothing to a ping now and then", [Answers Progress], |memory, passing| match &passing.packet {
        Packet::Pingresp if memory.now_and_then(5) => Vec::new(),
        _ => passing.on(),
    };
}
