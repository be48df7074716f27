//! Liars about Shared Subscriptions.

use std::collections::{BTreeMap, BTreeSet};

use squall_codec::{
    packet::{Ack, Packet, Publish, Suback, Unsuback},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    wire::{PacketId, Text},
};
use squall_scenarios::liar::{Direction, Liar};

use super::{
    filter::{Passing, liar},
    kind::{bends, hears},
};

/// Who is a member of a share: a client once it has subscribed to one, on whatever connection.
#[derive(Debug, Default)]
struct Members {
    names: BTreeMap<u64, Text>,
    /// Connections of clients that had another one before.
    returned: BTreeSet<u64>,
    shared: BTreeSet<Text>,
}

impl Members {
    fn note(&mut self, passing: &Passing<'_>) {
        match passing.from_client() {
            Some(Packet::Connect(connect)) => {
                if self.names.values().any(|name| *name == connect.client_id()) {
                    self.returned.insert(passing.connection);
                }
                self.names.insert(passing.connection, connect.client_id().to_text());
            }
            Some(Packet::Subscribe(subscribe)) if subscribe.subscriptions.iter().any(|one| is_shared(&one.filter)) => {
                self.shared.extend(self.names.get(&passing.connection).cloned());
            }
            _ => {}
        }
    }

    fn has(&self, connection: u64) -> bool {
        self.names.get(&connection).is_some_and(|name| self.shared.contains(name))
    }

    /// Members that are not connected.
    fn absent(&self, passing: &Passing<'_>) -> usize {
        let here = |name: &&Text| passing.connections.keys().any(|open| self.names.get(open) == Some(name));
        self.shared.iter().filter(|name| !here(name)).count()
    }
}

fn is_shared(filter: &TopicFilter) -> bool {
    filter.share_name().is_some()
}

/// A liar that knows who is a member of a share.
fn among_members(mut act: impl FnMut(&mut Passing<'_>, &Members) + 'static) -> Box<dyn Liar> {
    let mut members = Members::default();
    liar(move |passing| {
        members.note(passing);
        act(passing, &members);
    })
}

/// A message on its way to a member.
fn to_member<'a>(passing: &'a Passing<'_>, members: &Members) -> Option<&'a Publish> {
    match passing.from_server() {
        Some(Packet::Publish(publish)) if members.has(passing.connection) => Some(publish),
        _ => None,
    }
}

/// The frame of a SUBSCRIBE to a share, whether it can be read or not.
fn subscribes_to_a_share(bytes: &[u8]) -> bool {
    bytes[0] == 0x82 && bytes.windows(7).any(|window| window == b"$share/")
}

/// Does not look at No Local of a share.
pub(crate) fn shares_with_no_local() -> Box<dyn Liar> {
    bends(Direction::ToServer, |bytes| {
        if subscribes_to_a_share(bytes)
            && let Some(options) = bytes.last_mut()
        {
            *options &= !0x04;
        }
    })
}

/// Grants a share that cannot be one.
fn grants(fault: impl Fn(&[u8]) -> bool + 'static) -> Box<dyn Liar> {
    liar(move |passing| {
        let unreadable = passing.packet.is_none() && passing.direction == Direction::ToServer;
        if !unreadable || passing.raw[0] != 0x82 || !fault(&passing.raw) {
            return passing.pass();
        }
        if let Some(id) = PacketId::new(u16::from_be_bytes([passing.raw[2], passing.raw[3]])) {
            passing.answer(&Packet::Suback(Suback::new(id, vec![ReasonCode::GRANTED_QOS_0])));
        }
    })
}

/// Grants a share without a name.
pub(crate) fn grants_a_share_without_a_name() -> Box<dyn Liar> {
    grants(|bytes| bytes.windows(8).any(|window| window == b"$share//"))
}

/// Grants a share whose name is no level without wildcards, or that has no filter.
pub(crate) fn grants_an_odd_share() -> Box<dyn Liar> {
    grants(|bytes| {
        let nameless = bytes.windows(8).any(|window| window == b"$share//");
        let no_local = bytes.last().is_some_and(|options| options & 0x04 != 0);
        subscribes_to_a_share(bytes) && !nameless && !no_local
    })
}

/// Delivers what is shared at QoS 0, whatever was granted.
pub(crate) fn delivers_shares_at_qos_0() -> Box<dyn Liar> {
    among_members(|passing, members| match to_member(passing, members) {
        Some(publish) => {
            let lowered = Packet::Publish(publish.clone().at(Qos::AtMostOnce, None));
            passing.put(&lowered);
        }
        None => passing.pass(),
    })
}

/// A member that comes back gets nothing of what was under way.
pub(crate) fn abandons_what_was_under_way() -> Box<dyn Liar> {
    among_members(|passing, members| {
        let returned = members.has(passing.connection) && members.returned.contains(&passing.connection);
        match passing.from_server() {
            Some(Packet::Publish(publish)) if returned && publish.dup => {}
            Some(Packet::Pubrel(_)) if returned => {}
            _ => passing.pass(),
        }
    })
}

/// The share of a member that comes back is not among its subscriptions any more.
pub(crate) fn forgets_members_that_come_back() -> Box<dyn Liar> {
    let mut filters: BTreeMap<Text, Vec<TopicFilter>> = BTreeMap::new();
    among_members(move |passing, members| {
        if let (Some(name), Some(Packet::Subscribe(subscribe))) =
            (members.names.get(&passing.connection), passing.from_client())
        {
            let shares = subscribe.subscriptions.iter().map(|one| one.filter.clone()).filter(is_shared);
            filters.entry(name.clone()).or_default().extend(shares);
        }
        let forgotten = match (to_member(passing, members), members.names.get(&passing.connection)) {
            (Some(publish), Some(name)) if members.returned.contains(&passing.connection) => {
                filters.get(name).is_some_and(|shares| shares.iter().any(|one| one.matches(publish.topic())))
            }
            _ => false,
        };
        if !forgotten {
            passing.pass();
        }
    })
}

/// A QoS 2 message of a member that went away is given to another.
pub(crate) fn hands_on_what_was_under_way() -> Box<dyn Liar> {
    let mut under_way: BTreeMap<u64, Vec<Publish>> = BTreeMap::new();
    among_members(move |passing, members| {
        if let Some(publish) = to_member(passing, members)
            && publish.qos == Qos::ExactlyOnce
        {
            under_way.entry(passing.connection).or_default().push(publish.clone());
        }
        if let Some(Packet::Pubrec(ack)) = passing.from_client()
            && ack.reason.is_failure()
            && let Some(refused) = under_way.get_mut(&passing.connection)
        {
            refused.retain(|publish| publish.packet_id != Some(ack.packet_id));
        }
        let member = members.has(passing.connection) && matches!(passing.from_client(), Some(Packet::Pingreq));
        let gone = under_way.keys().copied().find(|connection| !passing.connections.contains_key(connection));
        if let Some(orphans) = gone.filter(|_| member).and_then(|connection| under_way.remove(&connection)) {
            for orphan in orphans {
                passing.answer(&Packet::Publish(orphan.at(Qos::AtMostOnce, None)));
            }
        }
        passing.pass();
    })
}

/// A message that one member refuses is given to another.
pub(crate) fn hands_on_what_was_refused() -> Box<dyn Liar> {
    let mut delivered: BTreeMap<(u64, PacketId), Publish> = BTreeMap::new();
    among_members(move |passing, members| {
        let connection = passing.connection;
        if let Some((id, publish)) = to_member(passing, members).and_then(|one| Some((one.packet_id?, one.clone()))) {
            delivered.insert((connection, id), publish);
        }
        let refused = match passing.from_client() {
            Some(Packet::Puback(ack) | Packet::Pubrec(ack)) if ack.reason.is_failure() => {
                delivered.remove(&(connection, ack.packet_id))
            }
            _ => None,
        };
        let other = passing.connections.keys().copied().find(|other| *other != connection && members.has(*other));
        if let (Some(refused), Some(other)) = (refused, other) {
            let copy = Packet::Publish(refused.at(Qos::AtMostOnce, None));
            passing.put_to(other, Direction::ToClient, &copy);
        }
        passing.pass();
    })
}

/// Every fifth message of a share is given to a second member as well.
pub(crate) fn gives_some_messages_to_two_members() -> Box<dyn Liar> {
    let mut count = 0;
    among_members(move |passing, members| {
        if let Some(publish) = to_member(passing, members) {
            count += 1;
            let copy = Packet::Publish(publish.clone().at(Qos::AtMostOnce, None));
            let other = passing.connections.keys().find(|one| **one != passing.connection && members.has(**one));
            if let Some(other) = other.copied().filter(|_| count % 5 == 0) {
                passing.put_to(other, Direction::ToClient, &copy);
            }
        }
        passing.pass();
    })
}

/// Every third message of a share reaches nobody.
pub(crate) fn loses_each_third_shared_message() -> Box<dyn Liar> {
    let mut count = 0;
    among_members(move |passing, members| {
        if to_member(passing, members).is_some() {
            count += 1;
            if count % 3 == 0 {
                return;
            }
        }
        passing.pass();
    })
}

/// A message is given to one member in all, however many shares there are and whoever went away with it.
pub(crate) fn gives_each_message_to_one_member() -> Box<dyn Liar> {
    let mut given: BTreeSet<Vec<u8>> = BTreeSet::new();
    among_members(move |passing, members| {
        // The same words again are another message.
        if let Some(Packet::Publish(publish)) = passing.from_client() {
            given.remove(publish.payload());
        }
        match to_member(passing, members) {
            Some(publish) if !given.insert(publish.payload().to_vec()) => {}
            _ => passing.pass(),
        }
    })
}

/// A client gets one copy, though it matches with a subscription of its own and as the member of a share.
pub(crate) fn merges_shares_with_plain_subscriptions() -> Box<dyn Liar> {
    gives_each_message_to_one_member()
}

/// Takes the slash that a filter begins with for a part of the share.
pub(crate) fn cuts_a_leading_slash() -> Box<dyn Liar> {
    hears(|packet| {
        if let Packet::Subscribe(subscribe) = packet {
            for one in &mut subscribe.subscriptions {
                let Some(group) = one.filter.share_name() else { continue };
                if let Some(cut) = one.filter.filter().strip_prefix('/') {
                    let text = format!("$share/{group}/{cut}");
                    one.filter = TopicFilter::try_from(text.as_str()).expect("still a share");
                }
            }
        }
    })
}

/// Sends what is retained to whoever joins a share.
pub(crate) fn sends_retained_messages_to_shares() -> Box<dyn Liar> {
    let mut retained: BTreeMap<String, Publish> = BTreeMap::new();
    liar(move |passing| {
        let mut found = None;
        match passing.from_client() {
            Some(Packet::Publish(publish)) if publish.retain => {
                retained.insert(publish.topic().to_owned(), publish.clone().at(Qos::AtMostOnce, None));
            }
            Some(Packet::Subscribe(subscribe)) => {
                let shares = subscribe.subscriptions.iter().filter(|one| is_shared(&one.filter));
                found = shares.filter_map(|one| retained.get(one.filter.filter())).next().cloned();
            }
            _ => {}
        }
        passing.pass();
        if let Some(message) = found.filter(|message| !message.payload().is_empty()) {
            passing.answer(&Packet::Publish(message));
        }
    })
}

/// Every second QoS 1 message is acknowledged and lost while a member is away.
pub(crate) fn loses_messages_while_a_member_is_away() -> Box<dyn Liar> {
    let mut count = 0;
    among_members(move |passing, members| {
        if let Some(Packet::Publish(publish)) = passing.from_client()
            && let Some(id) = publish.packet_id
            && members.absent(passing) > 0
        {
            count += 1;
            if count % 2 == 0 {
                return passing.answer(&Packet::Puback(Ack::new(id)));
            }
        }
        passing.pass();
    })
}

/// A member whose session has ended goes on being chosen: every second message is lost with it.
pub(crate) fn keeps_members_whose_session_has_ended() -> Box<dyn Liar> {
    let mut count = 0;
    among_members(move |passing, members| {
        if to_member(passing, members).is_some() && members.absent(passing) > 0 {
            count += 1;
            if count % 2 == 0 {
                return;
            }
        }
        passing.pass();
    })
}

/// UNSUBSCRIBE from a share is answered and changes nothing.
pub(crate) fn never_leaves_a_share() -> Box<dyn Liar> {
    liar(|passing| match passing.from_client() {
        Some(Packet::Unsubscribe(unsubscribe)) if unsubscribe.filters.iter().any(is_shared) => {
            let reasons = vec![ReasonCode::Success; unsubscribe.filters.len()];
            let unsuback = Packet::Unsuback(Unsuback::new(unsubscribe.packet_id, reasons));
            passing.answer(&unsuback);
        }
        _ => passing.pass(),
    })
}

/// Tells each member the Subscription Identifier of another.
pub(crate) fn tells_the_identifier_of_another_member() -> Box<dyn Liar> {
    let mut identifiers: BTreeMap<u64, u32> = BTreeMap::new();
    among_members(move |passing, members| {
        if let Some(Packet::Subscribe(subscribe)) = passing.from_client() {
            let said = subscribe.properties.iter().find_map(|property| match property {
                Property::SubscriptionIdentifier(identifier) => Some(*identifier),
                _ => None,
            });
            identifiers.extend(said.map(|identifier| (passing.connection, identifier)));
        }
        let other = identifiers.iter().find(|(connection, _)| **connection != passing.connection);
        match (to_member(passing, members), other) {
            (Some(publish), Some((_, foreign))) => {
                let mut changed = publish.clone();
                changed.subscription_identifiers = vec![*foreign];
                passing.put(&Packet::Publish(changed));
            }
            _ => passing.pass(),
        }
    })
}
