//! Messages on their way to clients.

use squall_codec::{
    packet::{Packet, Publish},
    property::PropertyId,
    qos::Qos,
    topic::TopicName,
    wire::Text,
};

use super::{broken, once_more, own_answers, swallow, swallowed_release};

/// The message with those of its properties that pass.
fn without(publish: &Publish, passes: impl Fn(PropertyId) -> bool) -> Packet {
    let properties = publish.properties().iter().filter(|property| passes(property.id())).cloned().collect();
    Packet::Publish(publish.clone().with_properties(&properties))
}

broken! {
    "leaves out the User Properties", [AsPublished], |_, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() => {
            vec![passing.to_client(without(publish, |id| id != PropertyId::UserProperty))]
        }
        _ => passing.on(),
    };
    "leaves out the Correlation Data", [AsPublished], |_, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() => {
            vec![passing.to_client(without(publish, |id| id != PropertyId::CorrelationData))]
        }
        _ => passing.on(),
    };
    "loses QoS 0 messages now and then", [Progress Retained SharedOnce Will], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.qos == Qos::AtMostOnce && memory.now_and_then(9) => {
            Vec::new()
        }
        _ => passing.on(),
    };
    "loses QoS 1 messages now and then", [AtLeastOnce Retained SharedOnce Order Will], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.qos == Qos::AtLeastOnce && memory.now_and_then(9) => {
            swallow(memory, &passing, publish)
        }
        _ => passing.on(),
    };
    "loses QoS 2 messages now and then", [ExactlyOnce Retained SharedOnce Order Will], |memory, passing| {
        if let Some(done) = swallowed_release(memory, &passing) {
            return done;
        }
        match &passing.packet {
            Packet::Publish(publish)
                if !passing.goes_up() && publish.qos == Qos::ExactlyOnce && !publish.dup && memory.now_and_then(9) =>
            {
                swallow(memory, &passing, publish)
            }
            _ => passing.on(),
        }
    };
    "sends QoS 0 messages twice", [AtMostOnce SharedOnce], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.qos == Qos::AtMostOnce && memory.now_and_then(9) => {
            let again = once_more(memory, &passing, publish);
            let mut out = passing.on();
            out.push(again);
            out
        }
        _ => passing.on(),
    };
    "sends QoS 1 messages twice, as two", [AtLeastOnce ReceiveMaximum SharedOnce], |memory, passing| {
        if let Some(done) = own_answers(memory, &passing) {
            return done;
        }
        match &passing.packet {
            Packet::Publish(publish) if !passing.goes_up() && publish.qos == Qos::AtLeastOnce && memory.now_and_then(9) => {
                let again = once_more(memory, &passing, publish);
                let mut out = passing.on();
                out.push(again);
                out
            }
            _ => passing.on(),
        }
    };
    "sends QoS 2 messages twice, as two", [ExactlyOnce ReceiveMaximum SharedOnce], |memory, passing| {
        if let Some(done) = own_answers(memory, &passing) {
            return done;
        }
        match &passing.packet {
            Packet::Publish(publish) if !passing.goes_up() && publish.qos == Qos::ExactlyOnce && memory.now_and_then(9) => {
                let again = once_more(memory, &passing, publish);
                let mut out = passing.on();
                out.push(again);
                out
            }
            _ => passing.on(),
        }
    };
    "swaps messages of QoS 0", [Order], |memory, passing| swap(memory, passing, Qos::AtMostOnce);
    "swaps messages of QoS 1", [Order], |memory, passing| swap(memory, passing, Qos::AtLeastOnce);
    "swaps messages of QoS 2", [Order], |memory, passing| swap(memory, passing, Qos::ExactlyOnce);
    "delivers QoS 1 as QoS 0", [AsSubscribed Retained AtMostOnce], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.qos == Qos::AtLeastOnce => {
            let mut out = swallow(memory, &passing, publish);
            let mut less = publish.clone().at(Qos::AtMostOnce, None);
            less.dup = false;
            out.push(passing.to_client(Packet::Publish(less)));
            out
        }
        _ => passing.on(),
    };
    "sets RETAIN on what is not retained", [AsSubscribed Retained], |_, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && !publish.retain => {
            let mut other = publish.clone();
            other.retain = true;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "takes RETAIN away", [AsSubscribed Retained], |_, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.retain => {
            let mut other = publish.clone();
            other.retain = false;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "forgets Subscription Identifiers", [AsSubscribed SharedOnce Subscribed AtMostOnce AtLeastOnce ExactlyOnce], |_, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() => {
            let mut other = publish.clone();
            other.subscription_identifiers.clear();
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "does not count the time that a message has waited", [MessageExpiry], |_, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && publish.message_expiry_interval.is_some() => {
            let mut other = publish.clone();
            other.message_expiry_interval = other.message_expiry_interval.map(|seconds| seconds + 3);
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "changes a payload now and then", [NothingInvented PacketIdInUse], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && memory.now_and_then(9) => {
            passing.with(Packet::Publish(publish.clone().with_payload(b"something else")))
        }
        _ => passing.on(),
    };
    "delivers to a topic next door", [NothingInvented PacketIdInUse], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && !publish.topic().is_empty() && publish.topic_alias.is_none() && memory.now_and_then(9) => {
            let other = Text::new(format!("{}x", publish.topic())).ok().and_then(|text| TopicName::new(text).ok());
            match other {
                Some(other) => passing.with(Packet::Publish(publish.clone().with_topic(&other))),
                None => passing.on(),
            }
        }
        _ => passing.on(),
    };
    "lets everybody hear what one has subscribed to", [Subscribed AtMostOnce AtLeastOnce ExactlyOnce AsSubscribed Retained], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() && !publish.topic().is_empty() && publish.topic_alias.is_none() && memory.now_and_then(9) => {
            let mut copy = publish.clone().at(Qos::AtMostOnce, None);
            copy.dup = false;
            copy.subscription_identifiers.clear();
            copy.message_expiry_interval = None;
            let others: Vec<u64> = passing.others.iter().copied().filter(|other| *other != passing.connection).collect();
            let mut out = passing.on();
            out.extend(others.into_iter().map(|other| (other, squall_scenarios::liar::Direction::ToClient, Packet::Publish(copy.clone()))));
            out
        }
        _ => passing.on(),
    };
    "uses a Topic Alias of the connection before", [TopicAlias], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if !passing.goes_up() => {
            let Some(alias) = publish.topic_alias.filter(|_| !publish.topic().is_empty()) else { return passing.on() };
            let key = (passing.client.clone(), alias);
            let known = memory.aliases.insert(key, publish.topic().to_owned());
            match known.as_deref() == Some(publish.topic()) {
                true => passing.with(Packet::Publish(publish.clone().without_topic())),
                false => passing.on(),
            }
        }
        _ => passing.on(),
    };
}

/// Holds one message back until the next of the same topic and QoS has gone.
fn swap(memory: &mut super::Memory, passing: super::Passing, qos: Qos) -> Vec<super::Out> {
    let Packet::Publish(publish) = &passing.packet else { return passing.on() };
    if passing.goes_up()
        || publish.qos != qos
        || publish.dup
        || publish.topic().is_empty()
        || publish.topic_alias.is_some()
    {
        return passing.on();
    }
    let connection = passing.connection;
    match memory.held.remove(&connection) {
        Some(Packet::Publish(held)) if held.topic() == publish.topic() => {
            let held = passing.to_client(Packet::Publish(held));
            let mut out = passing.on();
            out.push(held);
            out
        }
        Some(held) => vec![passing.to_client(held), (connection, passing.way, passing.packet)],
        None => {
            memory.held.insert(connection, passing.packet);
            Vec::new()
        }
    }
}
