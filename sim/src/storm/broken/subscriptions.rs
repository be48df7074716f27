//! Subscriptions, shares, what is retained.

use squall_codec::{
    packet::{Ack, Packet, RetainHandling, Suback, SubscriptionOptions, Unsuback},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
    wire::Text,
};
use squall_scenarios::liar::Direction;

use super::{Out, Passing, broken};

broken! {
    "gives a shared message to all members", [SharedOnce AtMostOnce AtLeastOnce ExactlyOnce AsSubscribed Subscribed Retained], |_, passing| {
        filters(passing, |filter| match filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
            Some((_, rest)) => rest.to_owned(),
            None => filter.to_owned(),
        })
    };
    "takes + for #", [Subscribed SharedOnce AsSubscribed Retained AtMostOnce AtLeastOnce ExactlyOnce], |_, passing| filters(passing, |filter| match filter.split_once("/+") {
        Some((before, _)) => format!("{before}/#"),
        None => filter.to_owned(),
    });
    "takes # for one level", [Progress AtLeastOnce ExactlyOnce Retained SharedOnce Will], |_, passing| filters(passing, |filter| match filter.strip_suffix('#') {
        Some(before) => format!("{before}+"),
        None => filter.to_owned(),
    });
    "gives a topic that begins with $ to # and +", [Subscribed AtMostOnce], |memory, passing| match &passing.packet {
        Packet::Subscribe(subscribe) => {
            if subscribe.subscriptions.iter().any(|asked| asked.filter.as_str().starts_with(['#', '+'])) {
                memory.own.insert((passing.connection, 0));
            }
            passing.on()
        }
        Packet::Publish(publish) if passing.goes_up() && publish.topic().starts_with('$') => {
            let mut copy = publish.clone().at(Qos::AtMostOnce, None);
            (copy.retain, copy.dup, copy.topic_alias) = (false, false, None);
            let to = passing.others.iter().filter(|other| memory.own.contains(&(**other, 0)));
            let copies = to.map(|other| (*other, Direction::ToClient, Packet::Publish(copy.clone())));
            let copies: Vec<Out> = copies.collect();
            passing.on().into_iter().chain(copies).collect()
        }
        _ => passing.on(),
    };
    "does not care for No Local", [Subscribed AtMostOnce AtLeastOnce ExactlyOnce AsSubscribed], |_, passing| options(passing, |options| options.no_local = false);
    "does not care for Retain As Published", [AsSubscribed], |_, passing| options(passing, |options| options.retain_as_published = false);
    "sends what is retained whatever Retain Handling says", [Retained AtMostOnce AtLeastOnce ExactlyOnce AsSubscribed], |_, passing| {
        options(passing, |options| options.retain_handling = RetainHandling::Send)
    };
    "never sends what is retained to 5.0 clients", [Retained Will], |_, passing| {
        options(passing, |options| options.retain_handling = RetainHandling::DoNotSend)
    };
    "grants less than it says", [AsSubscribed AtLeastOnce ExactlyOnce Retained SharedOnce], |_, passing| options(passing, |options| {
        options.qos = Qos::AtMostOnce;
    });
    "unsubscribes nobody", [Subscribed SharedOnce AtMostOnce AtLeastOnce ExactlyOnce AsSubscribed Retained], |_, passing| match &passing.packet {
        Packet::Unsubscribe(unsubscribe) => {
            let count = if passing.version.has_properties() { unsubscribe.filters.len() } else { 0 };
            let answer = Unsuback::new(unsubscribe.packet_id, vec![ReasonCode::Success; count]);
            vec![passing.to_client(Packet::Unsuback(answer))]
        }
        _ => passing.on(),
    };
    "says that it has subscribed and has not", [Progress AtLeastOnce ExactlyOnce Retained SharedOnce Will], |memory, passing| match &passing.packet {
        Packet::Subscribe(subscribe) if memory.now_and_then(3) => {
            let granted = subscribe.subscriptions.iter().map(|asked| asked.options.qos.bits());
            let reasons = granted.filter_map(ReasonCode::from_value).collect();
            vec![passing.to_client(Packet::Suback(Suback::new(subscribe.packet_id, reasons)))]
        }
        _ => passing.on(),
    };
    "refuses a subscription now and then", [Serves], |memory, passing| match &passing.packet {
        Packet::Subscribe(subscribe) if passing.version != Version::V3_1 && memory.now_and_then(3) => {
            let reasons = vec![ReasonCode::UnspecifiedError; subscribe.subscriptions.len()];
            vec![passing.to_client(Packet::Suback(Suback::new(subscribe.packet_id, reasons)))]
        }
        _ => passing.on(),
    };
    "grants what there is no room for", [Serves], |_, passing| match &passing.packet {
        Packet::Suback(suback) if !passing.goes_up() && suback.reasons.contains(&ReasonCode::QuotaExceeded) => {
            let mut other = suback.clone();
            let refused = other.reasons.iter_mut().filter(|reason| **reason == ReasonCode::QuotaExceeded);
            refused.for_each(|reason| *reason = ReasonCode::GRANTED_QOS_0);
            passing.with(Packet::Suback(other))
        }
        _ => passing.on(),
    };
    "grants QoS 1 for QoS 2", [Serves], |_, passing| options(passing, |options| options.qos = options.qos.min(Qos::AtLeastOnce));
    "answers several filters in the wrong order", [Serves AsSubscribed], |_, passing| match &passing.packet {
        Packet::Suback(suback) if suback.reasons.len() > 1 => {
            let mut other = suback.clone();
            other.reasons.reverse();
            passing.with(Packet::Suback(other))
        }
        _ => passing.on(),
    };
    "takes the first of several filters alone", [Answers], |_, passing| match &passing.packet {
        Packet::Subscribe(subscribe) if subscribe.subscriptions.len() > 1 => {
            let mut other = subscribe.clone();
            other.subscriptions.truncate(1);
            passing.with(Packet::Subscribe(other))
        }
        _ => passing.on(),
    };
    "refuses a message now and then", [Serves], |memory, passing| match &passing.packet {
        Packet::Publish(publish) if passing.goes_up() && passing.version.has_properties() && memory.now_and_then(40) => {
            let refused = |id| Ack { reason: ReasonCode::QuotaExceeded, ..Ack::new(id) };
            match (publish.qos, publish.packet_id) {
                (Qos::AtLeastOnce, Some(id)) => vec![passing.to_client(Packet::Puback(refused(id)))],
                _ => passing.on(),
            }
        }
        _ => passing.on(),
    };
    "retains nothing", [Retained AsSubscribed], |_, passing| match &passing.packet {
        Packet::Publish(publish) if passing.goes_up() && publish.retain => {
            let mut other = publish.clone();
            other.retain = false;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "keeps what an empty message takes away", [Retained AsSubscribed], |_, passing| match &passing.packet {
        Packet::Publish(publish) if passing.goes_up() && publish.retain && publish.payload().is_empty() => {
            let mut other = publish.clone();
            other.retain = false;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "retains everything", [Retained AsSubscribed], |_, passing| match &passing.packet {
        Packet::Publish(publish) if passing.goes_up() && !publish.retain => {
            let mut other = publish.clone();
            other.retain = true;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
    "does not know that messages expire", [MessageExpiry], |_, passing| match &passing.packet {
        Packet::Publish(publish) if passing.goes_up() && publish.message_expiry_interval.is_some() => {
            let mut other = publish.clone();
            other.message_expiry_interval = None;
            passing.with(Packet::Publish(other))
        }
        _ => passing.on(),
    };
}

fn filters(passing: Passing, other: impl Fn(&str) -> String) -> Vec<Out> {
    let Packet::Subscribe(subscribe) = &passing.packet else { return passing.on() };
    let mut changed = subscribe.clone();
    for asked in &mut changed.subscriptions {
        if let Some(filter) = Text::new(other(asked.filter.as_str())).ok().and_then(|text| TopicFilter::new(text).ok())
        {
            asked.filter = filter;
        }
    }
    passing.with(Packet::Subscribe(changed))
}

fn options(passing: Passing, change: impl Fn(&mut SubscriptionOptions)) -> Vec<Out> {
    let Packet::Subscribe(subscribe) = &passing.packet else { return passing.on() };
    let mut changed = subscribe.clone();
    changed.subscriptions.iter_mut().for_each(|asked| change(&mut asked.options));
    passing.with(Packet::Subscribe(changed))
}
