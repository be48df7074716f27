//! Liars about sessions and wills.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_codec::{
    packet::{Connack, Packet, Will},
    property::{Properties, Property},
    qos::Qos,
    wire::Text,
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::liar,
    kind::{bends, hears, hears_connect, tells},
};

/// Begins a fresh session for everybody.
pub(crate) fn forgets_sessions() -> Box<dyn Liar> {
    hears_connect(|connect| connect.clean_start = true)
}

/// Resumes whatever session there is, and keeps each for ever.
pub(crate) fn never_clears_a_session() -> Box<dyn Liar> {
    hears_connect(|connect| {
        connect.clean_start = false;
        connect.set_properties(expiring(&connect.properties().to_owned(), 3600));
    })
}

/// Keeps sessions that were not asked to last.
pub(crate) fn keeps_sessions_that_end() -> Box<dyn Liar> {
    hears(|packet| match packet {
        Packet::Connect(connect) => connect.set_properties(expiring(&connect.properties().to_owned(), 3600)),
        Packet::Disconnect(disconnect) => {
            disconnect.properties = disconnect.properties.iter().filter(|one| !is_expiry(one)).cloned().collect();
        }
        _ => {}
    })
}

/// The Session Expiry Interval of a session stays what the first CONNECT asked for.
pub(crate) fn keeps_the_first_expiry() -> Box<dyn Liar> {
    let mut first: BTreeMap<Text, u32> = BTreeMap::new();
    hears_connect(move |connect| {
        let asked = connect.properties().session_expiry_interval().unwrap_or(0);
        let kept = *first.entry(connect.client_id().to_text()).or_insert(asked);
        connect.set_properties(expiring(&connect.properties().to_owned(), kept));
    })
}

fn is_expiry(property: &Property) -> bool {
    matches!(property, Property::SessionExpiryInterval(_))
}

fn expiring(properties: &Properties, seconds: u32) -> Properties {
    let others: Properties = properties.iter().filter(|one| !is_expiry(one)).cloned().collect();
    if properties.iter().any(is_expiry) || seconds > 0 {
        others.with(Property::SessionExpiryInterval(seconds))
    } else {
        others
    }
}

/// As `never_clears_a_session`, before 5.0: there is no expiry.
pub(crate) fn never_cleans_a_session() -> Box<dyn Liar> {
    hears_connect(|connect| connect.clean_start = false)
}

/// Says Session Present 1 to everybody who is let in.
pub(crate) fn says_present() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Connack(connack) = packet {
            connack.session_present = !connack.reason.is_failure();
        }
    })
}

/// Says Session Present 0 to everybody.
pub(crate) fn says_absent() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Connack(connack) = packet {
            connack.session_present = false;
        }
    })
}

/// Loses the QoS 2 messages that are published while nobody is there to get them.
pub(crate) fn loses_every_second_message() -> Box<dyn Liar> {
    tells_or_loses(|publish_qos| publish_qos == Qos::ExactlyOnce)
}

fn tells_or_loses(lost: fn(Qos) -> bool) -> Box<dyn Liar> {
    liar(move |passing| match passing.from_server() {
        Some(Packet::Publish(publish)) if lost(publish.qos) => {}
        _ => passing.pass(),
    })
}

/// Sends an old message once more when a session is resumed.
pub(crate) fn repeats_retained_on_resume() -> Box<dyn Liar> {
    let mut retained = None;
    liar(move |passing| {
        passing.pass();
        match passing.from_server() {
            Some(Packet::Publish(publish)) if publish.retain => retained = Some(publish.clone()),
            Some(Packet::Connack(connack)) if connack.session_present => {
                if let Some(copy) = &retained {
                    passing.put(&Packet::Publish(copy.clone()));
                }
            }
            _ => {}
        }
    })
}

/// Sends what is in flight as if for the first time.
pub(crate) fn forgets_what_was_in_flight() -> Box<dyn Liar> {
    tells(|packet| {
        if let Packet::Publish(publish) = packet {
            publish.dup = false;
        }
    })
}

/// Forgets retained messages when their publisher leaves: a client that publishes one takes it back at DISCONNECT.
pub(crate) fn takes_retained_messages_back() -> Box<dyn Liar> {
    let mut theirs: BTreeMap<u64, Packet> = BTreeMap::new();
    liar(move |passing| {
        let connection = passing.connection;
        match passing.from_client() {
            Some(Packet::Publish(publish)) if publish.retain => {
                let mut empty = squall_codec::packet::Publish::new(&publish.topic_name().expect("a full topic"), "");
                empty.retain = true;
                theirs.insert(connection, Packet::Publish(empty));
            }
            Some(Packet::Disconnect(_)) => {
                if let Some(empty) = theirs.remove(&connection) {
                    passing.put(&empty);
                }
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Has no wills.
pub(crate) fn loses_wills() -> Box<dyn Liar> {
    hears_connect(|connect| connect.set_will(None))
}

/// Takes its time with wills.
pub(crate) fn is_slow_with_wills() -> Box<dyn Liar> {
    let mut wills = BTreeSet::new();
    liar(move |passing| {
        match &passing.packet {
            Some(Packet::Connect(connect)) => {
                wills.extend(connect.will().into_iter().map(|will| will.topic.as_str().to_owned()));
            }
            Some(Packet::Publish(publish))
                if passing.direction == Direction::ToClient && wills.contains(publish.topic()) =>
            {
                return passing.pass_at(passing.now + Duration::from_millis(4500));
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Changes wills before they are stored.
fn changes_wills(mut change: impl FnMut(&mut Will) + 'static) -> Box<dyn Liar> {
    hears_connect(move |connect| connect.change_will(&mut change))
}

/// Publishes each will at QoS 0.
pub(crate) fn publishes_wills_at_qos_0() -> Box<dyn Liar> {
    changes_wills(|will| will.qos = Qos::AtMostOnce)
}

/// Retains each will.
pub(crate) fn retains_each_will() -> Box<dyn Liar> {
    changes_wills(|will| will.retain = true)
}

/// Retains no will.
pub(crate) fn retains_no_will() -> Box<dyn Liar> {
    changes_wills(|will| will.retain = false)
}

/// Sorts the User Properties of a will.
pub(crate) fn sorts_the_properties_of_wills() -> Box<dyn Liar> {
    changes_wills(|will| {
        let mut sorted: Vec<_> = will.properties.iter().cloned().collect();
        sorted.sort_by_key(|property| format!("{property:?}"));
        will.properties = sorted.into_iter().collect();
    })
}

/// Publishes a will at once, whatever its delay.
pub(crate) fn does_not_wait_with_wills() -> Box<dyn Liar> {
    changes_wills(|will| will.properties = without_delay(&will.properties))
}

fn without_delay(properties: &Properties) -> Properties {
    properties.iter().filter(|one| !matches!(one, Property::WillDelayInterval(_))).cloned().collect()
}

/// A will that is delayed waits, though its session has ended: it never comes.
pub(crate) fn waits_beyond_the_session() -> Box<dyn Liar> {
    hears_connect(|connect| {
        let delayed = connect.will().is_some_and(|will| will.properties.will_delay_interval().is_some());
        if delayed {
            connect.set_will(None);
        }
    })
}

/// A client's will stays with its identifier, for connections that have none.
pub(crate) fn inherits_wills() -> Box<dyn Liar> {
    let mut wills: BTreeMap<Text, Will> = BTreeMap::new();
    hears_connect(move |connect| match connect.will() {
        Some(will) => drop(wills.insert(connect.client_id().to_text(), will.to_owned())),
        None => connect.set_will(wills.get(connect.client_id().as_str()).cloned()),
    })
}

/// Takes a DISCONNECT for an end without one.
pub(crate) fn publishes_wills_after_disconnect() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Disconnect(_)) => passing.close(),
        _ => passing.pass(),
    })
}

/// Takes each DISCONNECT for a normal one, whatever its reason or its flags.
pub(crate) fn takes_each_disconnect_for_normal() -> Box<dyn Liar> {
    bends(Direction::ToServer, |bytes| {
        if bytes[0] >> 4 == 14 {
            *bytes = vec![0xE0, 0];
        }
    })
}

/// Takes the DISCONNECT that asks for the will to be published for a normal one.
pub(crate) fn takes_the_wish_for_a_will_for_none() -> Box<dyn Liar> {
    bends(Direction::ToServer, |bytes| {
        if bytes[0] == 0xE0 && bytes.get(2) == Some(&0x04) {
            *bytes = vec![0xE0, 0];
        }
    })
}

/// Delivers wills only to those who asked for their topic by name.
pub(crate) fn hides_wills_from_wildcards() -> Box<dyn Liar> {
    let mut wills = BTreeSet::new();
    let mut exact: BTreeSet<(u64, String)> = BTreeSet::new();
    liar(move |passing| {
        let connection = passing.connection;
        match &passing.packet {
            Some(Packet::Connect(connect)) => {
                wills.extend(connect.will().into_iter().map(|will| will.topic.as_str().to_owned()));
            }
            Some(Packet::Subscribe(subscribe)) => {
                exact.extend(subscribe.subscriptions.iter().map(|one| (connection, one.filter.as_str().to_owned())));
            }
            Some(Packet::Publish(publish))
                if passing.direction == Direction::ToClient
                    && wills.contains(publish.topic())
                    && !exact.contains(&(connection, publish.topic().to_owned())) =>
            {
                return;
            }
            _ => {}
        }
        passing.pass();
    })
}

/// Does not queue anything for those who are away: what was published meanwhile never reaches them.
pub(crate) fn has_no_queues() -> Box<dyn Liar> {
    let mut resumed = BTreeSet::new();
    liar(move |passing| match &passing.packet {
        Some(Packet::Connack(connack)) => {
            if connack.session_present {
                resumed.insert(passing.connection);
            }
            passing.pass();
        }
        Some(Packet::Publish(_)) if passing.direction == Direction::ToClient => {
            if !resumed.contains(&passing.connection) {
                passing.pass();
            }
        }
        _ => passing.pass(),
    })
}

/// Answers nobody with a session: for tests that look at the CONNACK alone.
pub(crate) fn flags_its_connack() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[0] == 0x20 {
            bytes[2] |= 0x02;
        }
    })
}

/// Says Session Present 1 where it refuses a version or an authentication method.
pub(crate) fn says_present_in_refusals() -> Box<dyn Liar> {
    bends(Direction::ToClient, |bytes| {
        if bytes[0] == 0x20 && matches!(bytes[3], 0x01 | 0x84 | 0x8C) {
            bytes[2] |= 0x01;
        }
    })
}

/// Sends something before the CONNACK of a session that it resumes.
pub(crate) fn speaks_before_connack() -> Box<dyn Liar> {
    liar(|passing| {
        if matches!(&passing.packet, Some(Packet::Connack(connack)) if connack.session_present) {
            passing.put(&Packet::Pingresp);
        }
        passing.pass();
    })
}

/// Leaves the connection open after it refused it.
pub(crate) fn refuses_and_stays() -> Box<dyn Liar> {
    liar(|passing| {
        if let Some(Packet::Connack(connack)) = &passing.packet {
            let refused: &Connack = connack;
            if refused.reason.is_failure() {
                passing.hide_end();
            }
        }
        passing.pass();
    })
}
