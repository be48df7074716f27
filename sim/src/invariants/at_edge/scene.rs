//! What the judges look at: connections with their ends, sessions, subscriptions, messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use squall_codec::{
    packet::{Connack, Connect, Disconnect, Packet, Publish, Subscribe, Subscription, SubscriptionOptions},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
    wire::PacketId,
};

use super::Allowance;
use crate::{
    history::{Away, ConnectionName, Event, Happened, History, Short},
    invariants::{
        Breach, Invariant,
        exchanges::Key,
        walk::{Delivered, Published, Walked},
    },
};

/// Where something stands in the history, and when it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) position: usize,
    pub(super) at: Duration,
}

/// How a connection ended first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Over {
    pub(super) mark: Mark,
    pub(super) by_server: bool,
    pub(super) is_reset: bool,
}

/// One connection on which a client has said CONNECT.
#[derive(Debug)]
pub(super) struct Line<'h> {
    pub(super) name: &'h ConnectionName,
    pub(super) connect: &'h Connect,
    pub(super) asked: Mark,
    /// CONNACK let it in.
    pub(super) granted: Option<(Mark, &'h Connack)>,
    /// CONNACK came, whatever it said.
    pub(super) is_answered: bool,
    /// The client has said DISCONNECT.
    pub(super) leaves: Option<(Mark, &'h Disconnect)>,
    /// The server has said DISCONNECT.
    pub(super) sent_away: Option<ReasonCode>,
    pub(super) over: Option<Over>,
    /// When a packet of the client came last, and one of the server.
    pub(super) heard: Duration,
    /// The longest time between two packets of the client.
    pub(super) silence: Duration,
    pub(super) spoke: Duration,
    /// A fault has befallen its link.
    pub(super) is_hindered: bool,
    /// The server went down while it stood, or so soon behind its end that nobody knows what the server had met.
    pub(super) fell: bool,
    /// What the server has sent, in bytes.
    pub(super) sent_bytes: usize,
    /// Which of its client's sessions it has, from 1; 0: none.
    pub(super) session: usize,
}

/// A filter that was asked for.
#[derive(Debug)]
pub(super) struct Sub<'h> {
    pub(super) client: &'h str,
    pub(super) session: usize,
    pub(super) line: usize,
    pub(super) filter: &'h TopicFilter,
    pub(super) options: SubscriptionOptions,
    pub(super) identifier: Option<u32>,
    pub(super) asked: Mark,
    pub(super) granted: Option<(Mark, Qos)>,
    /// UNSUBSCRIBE was sent for it.
    pub(super) leaves: Option<Mark>,
    /// And answered.
    pub(super) left: Option<Mark>,
    /// The session has asked for the same filter again.
    pub(super) is_replaced: bool,
}

/// All of it.
pub(super) struct Scene<'h> {
    pub(super) history: &'h History,
    pub(super) walked: &'h Walked,
    pub(super) lines: Vec<Line<'h>>,
    pub(super) subs: Vec<Sub<'h>>,
    pub(super) until: Duration,
    pub(super) allowance: Allowance,
    /// Client Identifiers that more than one actor has, or whose sessions nobody can tell apart.
    pub(super) shared: BTreeSet<&'h str>,
    /// Packets on connections that have not said CONNECT.
    pub(super) early: Vec<usize>,
    /// Payloads that their publishers have sent more than once: at QoS 1 the server may take each for a new message.
    pub(super) resent: BTreeSet<bytes::Bytes>,
    of: BTreeMap<&'h ConnectionName, usize>,
    published: BTreeMap<&'h Key, Vec<&'h Published>>,
    delivered: BTreeMap<(&'h str, &'h Key), Vec<&'h Delivered>>,
}

/// More than this may be stuck in front of a client who does not read.
const STUCK_BYTES: usize = 32 * 1024;

impl<'h> Scene<'h> {
    pub(super) fn of(history: &'h History, walked: &'h Walked, until: Duration, allowance: Allowance) -> Self {
        let mut published: BTreeMap<&Key, Vec<&Published>> = BTreeMap::new();
        for message in &walked.published {
            published.entry(&message.key).or_default().push(message);
        }
        let mut delivered: BTreeMap<(&str, &Key), Vec<&Delivered>> = BTreeMap::new();
        for one in &walked.delivered {
            delivered.entry((&one.client, &one.key)).or_default().push(one);
        }
        let mut scene = Scene {
            history,
            walked,
            lines: Vec::new(),
            subs: Vec::new(),
            until,
            allowance,
            shared: BTreeSet::new(),
            early: Vec::new(),
            resent: BTreeSet::new(),
            of: BTreeMap::new(),
            published,
            delivered,
        };
        scene.read();
        scene
    }

    fn read(&mut self) {
        let mut sessions: BTreeMap<&str, usize> = BTreeMap::new();
        let mut actors: BTreeMap<&str, &str> = BTreeMap::new();
        let mut asked: BTreeMap<(usize, PacketId), Vec<usize>> = BTreeMap::new();
        let mut leaving: BTreeMap<(usize, PacketId), Vec<usize>> = BTreeMap::new();
        for (position, event) in self.history.events.iter().enumerate() {
            let mark = Mark { position, at: event.at };
            if let Happened::Sent(Packet::Connect(connect)) = &event.what {
                let client = connect.client_id().as_str();
                if *actors.entry(client).or_insert(&event.connection.actor) != &*event.connection.actor
                    || client.is_empty()
                    || connect.version() == Version::V3_1
                {
                    self.shared.insert(client);
                }
                self.of.entry(&event.connection).or_insert(self.lines.len());
                self.lines.push(Line::new(event, connect, mark));
                continue;
            }
            let Some(&at) = self.of.get(&event.connection) else {
                if matches!(event.what, Happened::Received(_)) {
                    self.early.push(position);
                }
                continue;
            };
            let line = &mut self.lines[at];
            match &event.what {
                Happened::Sent(packet) => {
                    line.silence = line.silence.max(event.at - line.heard);
                    line.heard = event.at;
                    let (client, session) = (line.connect.client_id().as_str(), line.session);
                    match packet {
                        Packet::Publish(publish) if publish.dup => drop(self.resent.insert(publish.payload_bytes())),
                        Packet::Disconnect(disconnect) => line.leaves = Some((mark, disconnect)),
                        Packet::Subscribe(subscribe) => {
                            for sub in &mut self.subs {
                                let is_same = |again: &Subscription| again.filter == *sub.filter;
                                sub.is_replaced |= sub.client == client
                                    && sub.session == session
                                    && subscribe.subscriptions.iter().any(is_same);
                            }
                            let new = self.subs.len()..self.subs.len() + subscribe.subscriptions.len();
                            asked.insert((at, subscribe.packet_id), new.collect());
                            self.subs.extend(subs_of(subscribe, client, session, at, mark));
                        }
                        Packet::Unsubscribe(unsubscribe) => {
                            let mut ended = Vec::new();
                            for (place, sub) in self.subs.iter_mut().enumerate() {
                                let is_meant = sub.client == client
                                    && sub.session == session
                                    && sub.leaves.is_none()
                                    && unsubscribe.filters.contains(sub.filter);
                                if is_meant {
                                    sub.leaves = Some(mark);
                                    ended.push(place);
                                }
                            }
                            leaving.insert((at, unsubscribe.packet_id), ended);
                        }
                        _ => {}
                    }
                }
                Happened::Received(packet) => {
                    line.spoke = event.at;
                    line.sent_bytes += packet.encoded_len(line.connect.version());
                    match packet {
                        Packet::Connack(connack) if !line.is_answered => {
                            line.is_answered = true;
                            if !connack.reason.is_failure() {
                                line.granted = Some((mark, connack));
                                let client = line.connect.client_id().as_str();
                                if connack.session_present && self.may_be_another_session(at) {
                                    self.shared.insert(client);
                                }
                                let line = &mut self.lines[at];
                                let session = sessions.entry(client).or_default();
                                *session += usize::from(!connack.session_present || *session == 0);
                                line.session = *session;
                            }
                        }
                        Packet::Disconnect(disconnect) => line.sent_away = Some(disconnect.reason),
                        Packet::Suback(suback) => {
                            let subs = asked.remove(&(at, suback.packet_id)).into_iter().flatten();
                            for (sub, reason) in subs.zip(&suback.reasons) {
                                let qos = Qos::from_bits(reason.value()).filter(|_| !reason.is_failure());
                                self.subs[sub].granted = qos.map(|qos| (mark, qos));
                            }
                        }
                        Packet::Unsuback(unsuback) => {
                            for sub in leaving.remove(&(at, unsuback.packet_id)).into_iter().flatten() {
                                // Of several filters nobody asks which was refused.
                                let is_sure = !unsuback.reasons.iter().any(|reason| reason.is_failure());
                                self.subs[sub].left = is_sure.then_some(mark);
                            }
                        }
                        _ => {}
                    }
                }
                Happened::Ended { by_server, is_reset } => {
                    line.over.get_or_insert(Over { mark, by_server: *by_server, is_reset: *is_reset });
                }
                Happened::Hindered => line.is_hindered = true,
            }
        }
        for line in &mut self.lines {
            let history = self.history;
            for away in history.outages.iter().filter(|away| away.is_dark) {
                line.goes_dark(history, away);
            }
            line.fell =
                history.outages.iter().any(|away| line.falls(away, unsure_from(history, away, &self.allowance)));
        }
    }

    /// Whether the server could not keep anything then, or had to make up for what it could not.
    pub(super) fn is_short(&self, moment: Duration) -> bool {
        is_short(self.history, moment, &self.allowance)
    }

    /// When the server came back for the last time, of its outages between two moments.
    pub(super) fn back_between(&self, since: Duration, moment: Duration) -> Option<Duration> {
        let last = self.history.outages.iter().rfind(|away| away.from <= moment)?;
        Some(last.until.unwrap_or(Duration::MAX)).filter(|back| *back >= since)
    }

    /// Whether the session that this line has found may have begun with a CONNECT that was never answered, and not where its client
    /// was let in last: that one may have been over by then.
    fn may_be_another_session(&self, at: usize) -> bool {
        let client = self.lines[at].client();
        let earlier = || self.lines[..at].iter().filter(|line| line.client() == client);
        let Some(last) = earlier().rfind(|line| line.granted.is_some()) else { return false };
        let Some(over) = last.over else { return false };
        let ends = over.mark.at + last.expiry().0;
        earlier().any(|line| {
            let is_behind = !line.is_answered && line.asked.position > last.asked.position;
            is_behind && (line.connect.clean_start || ends <= line.asked.at + self.allowance.answer)
        })
    }

    pub(super) fn breach(&self, invariant: Invariant, position: usize, detail: String) -> Breach {
        let event = &self.history.events[position];
        let version = self.line_of(&event.connection).map(|line| self.lines[line].connect.version());
        Breach { version, ..Breach::new(invariant, event, detail) }
    }

    pub(super) fn line_of(&self, connection: &ConnectionName) -> Option<usize> {
        self.of.get(connection).copied()
    }

    /// Every message that has this topic and payload.
    pub(super) fn published(&self, key: &Key) -> &[&'h Published] {
        self.published.get(key).map_or(&[], Vec::as_slice)
    }

    /// The one message that has this topic and payload, if it is one and no will.
    pub(super) fn only(&self, key: &Key) -> Option<&'h Published> {
        match self.published(key) {
            [message] if !message.is_will && !key.1.is_empty() => Some(message),
            _ => None,
        }
    }

    /// The packet that was published or delivered there.
    pub(super) fn publish(&self, position: usize) -> Option<&'h Publish> {
        match &self.history.events[position].what {
            Happened::Sent(Packet::Publish(publish)) | Happened::Received(Packet::Publish(publish)) => Some(publish),
            _ => None,
        }
    }

    /// Subscriptions of a session that match a topic and were asked for before.
    pub(super) fn matching<'s>(
        &'s self,
        client: &'s str,
        session: usize,
        topic: &'s str,
        before: usize,
    ) -> impl Iterator<Item = &'s Sub<'h>> {
        self.subs.iter().filter(move |sub| {
            sub.client == client && sub.session == session && sub.asked.position < before && sub.filter.matches(topic)
        })
    }

    /// Where the server has said that a message is its own. Of those who share an identifier nobody knows whom it answered.
    pub(super) fn settled(&self, message: &Published) -> Option<Mark> {
        let position = message.settled.filter(|_| !self.shared.contains(message.publisher.as_str()))?;
        Some(Mark { position, at: self.history.events[position].at })
    }

    /// The newest line of each client, if it stands at the end.
    pub(super) fn is_present(&self, client: &str) -> bool {
        self.walked.present.contains(client)
    }

    /// Its newest session.
    pub(super) fn session_at_the_end(&self, client: &str) -> usize {
        let of_client = self.lines.iter().filter(|line| line.connect.client_id().as_str() == client);
        of_client.map(|line| line.session).max().unwrap_or(0)
    }

    /// Whether some packet may have been too large for one of its connections.
    pub(super) fn takes_all_sizes(&self, client: &str) -> bool {
        let mut of_client = self.lines.iter().filter(|line| line.connect.client_id().as_str() == client);
        of_client.all(|line| line.connect.properties().maximum_packet_size().is_none())
    }

    /// Deliveries of a message to a client behind a position.
    pub(super) fn deliveries<'s>(
        &'s self,
        client: &'s str,
        key: &'s Key,
        behind: usize,
    ) -> impl Iterator<Item = &'h Delivered> {
        let all = self.delivered.get(&(client, key)).into_iter().flatten().copied();
        all.filter(move |delivered| delivered.position > behind)
    }

    /// Whether another connection with the same Client Identifier may have taken this one over before `position`: one that asked later,
    /// or whose answer came only when this one had asked. Of two that ask at once nobody knows which is served first.
    pub(super) fn may_be_taken_over(&self, at: usize, position: usize) -> bool {
        let line = &self.lines[at];
        self.lines.iter().enumerate().any(|(other, one)| {
            other != at
                && one.connect.client_id() == line.connect.client_id()
                && one.asked.position < position
                && (one.asked.position > line.asked.position
                    || one.granted.is_some_and(|(granted, _)| granted.position > line.asked.position)
                    || (!one.is_answered && one.asked.at + self.allowance.answer > line.asked.at))
        })
    }
}

impl<'h> Line<'h> {
    fn new(event: &'h Event, connect: &'h Connect, mark: Mark) -> Self {
        Line {
            name: &event.connection,
            connect,
            asked: mark,
            granted: None,
            is_answered: false,
            leaves: None,
            sent_away: None,
            over: None,
            heard: event.at,
            silence: Duration::ZERO,
            spoke: event.at,
            is_hindered: false,
            fell: false,
            sent_bytes: 0,
            session: 0,
        }
    }

    pub(super) fn client(&self) -> &'h str {
        self.connect.client_id().as_str()
    }

    /// It ends with the server's power, and no packet says so.
    fn goes_dark(&mut self, history: &History, away: &Away) {
        let stands = self.asked.at <= away.from && self.over.is_none_or(|over| over.mark.at > away.from);
        if stands {
            let position = history.events.partition_point(|event| event.entry < away.entry);
            let mark = Mark { position, at: away.from };
            self.over = Some(Over { mark, by_server: true, is_reset: true });
        }
    }

    /// Whether it stood when the server went down, or had ended only just before.
    fn falls(&self, away: &Away, unsure_from: Duration) -> bool {
        let has_begun = away.until.is_none_or(|back| self.asked.at <= back);
        has_begun && self.over.is_none_or(|over| over.mark.at >= unsure_from)
    }

    /// In seconds, as the server has it.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        let (_, connack) = self.granted?;
        let seconds = connack.properties.server_keep_alive().unwrap_or(self.connect.keep_alive);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// What the server says may not be read: too much may wait behind a client who reads nothing.
    pub(super) fn may_be_stuck(&self) -> bool {
        self.is_hindered && self.sent_bytes > STUCK_BYTES
    }

    /// How long the session lives without a connection, at least and at most; DISCONNECT may have changed it.
    pub(super) fn expiry(&self) -> (Duration, Duration) {
        let forever = Duration::from_secs(u64::from(u32::MAX));
        let of = |seconds: u32| if seconds == u32::MAX { forever } else { Duration::from_secs(seconds.into()) };
        let own = match (self.connect.version().has_properties(), self.granted) {
            (false, _) if self.connect.clean_start => Duration::ZERO,
            (false, _) => forever,
            (true, granted) => {
                let said = granted.and_then(|(_, connack)| connack.properties.session_expiry_interval());
                of(said.or(self.connect.properties().session_expiry_interval()).unwrap_or(0))
            }
        };
        let changed = self.leaves.and_then(|(_, disconnect)| disconnect.properties.session_expiry_interval()).map(of);
        let changed = changed.unwrap_or(own);
        (own.min(changed), own.max(changed))
    }
}

/// From when on the server may not have kept, when it went down, what it had not answered.
fn unsure_from(history: &History, away: &Away, allowance: &Allowance) -> Duration {
    let usual = away.from.saturating_sub(allowance.answer);
    if !is_short(history, away.from, allowance) {
        return usual;
    }
    // What was not made up for since the last time waits on.
    let mut from = usual;
    for short in history.short.iter().rev().filter(|short| short.from <= away.from) {
        if short.until.is_some_and(|until| until + 2 * allowance.answer < from) {
            break;
        }
        from = from.min(short.from.saturating_sub(allowance.answer));
    }
    from
}

fn is_short(history: &History, moment: Duration, allowance: &Allowance) -> bool {
    let lasts = |short: &Short| short.until.is_none_or(|until| moment <= until + 2 * allowance.answer);
    history.short.iter().any(|short| short.from <= moment && lasts(short))
}

fn subs_of<'h>(
    subscribe: &'h Subscribe,
    client: &'h str,
    session: usize,
    line: usize,
    asked: Mark,
) -> impl Iterator<Item = Sub<'h>> {
    let identifier = subscribe.properties.subscription_identifiers().next();
    let is_asked_for_behind = |place: usize, filter: &TopicFilter| {
        subscribe.subscriptions[place + 1..].iter().any(|again| again.filter == *filter)
    };
    subscribe.subscriptions.iter().enumerate().map(move |(place, subscription)| Sub {
        client,
        session,
        line,
        filter: &subscription.filter,
        options: subscription.options,
        identifier,
        asked,
        granted: None,
        leaves: None,
        left: None,
        is_replaced: is_asked_for_behind(place, &subscription.filter),
    })
}
