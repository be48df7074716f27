//! What the application asks for: PUBLISH, SUBSCRIBE, UNSUBSCRIBE, now or as soon as it may leave.

use std::{collections::VecDeque, time::Duration};

use squall_codec::{
    packet::{Ack, Packet, Publish, Subscribe, Subscription, Unsubscribe},
    property::{Place, Properties, Property, PropertyId, ValueView},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicFilter,
    version::Version,
    wire::{PacketId, VARIABLE_BYTE_INTEGER_MAX},
};

use super::{
    client::{Client, Phase},
    effect::{Failure, Outcome, Token},
    expiry::Timed,
    record::Record,
    session::{Again, Asked},
};

const VARIABLE_BYTE_INTEGER_TOO_LARGE: u32 = VARIABLE_BYTE_INTEGER_MAX + 1;

/// A wish of the application that has not left yet.
#[derive(Debug)]
pub(super) enum Request {
    /// Nobody waits for a message of an earlier run of the connection.
    Publish {
        token: Option<Token>,
        /// In the order in which messages were accepted.
        number: u64,
        message: Timed,
    },
    /// Nobody waits for a subscription that the client renews by itself.
    Subscribe {
        token: Option<Token>,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    },
    Unsubscribe {
        token: Token,
        filters: Vec<TopicFilter>,
    },
}

impl Request {
    /// What belongs to this hop is the core's.
    pub(super) fn publish(token: Token, number: u64, mut timed: Timed) -> Self {
        let message = &mut timed.message;
        // [MQTT-3.3.1-2], [MQTT-4.3.2-2], [MQTT-4.3.3-2] DUP is 0 at first.
        message.dup = false;
        message.packet_id = None;
        // [MQTT-3.3.2-7] An alias is chosen when the message leaves, for that connection alone.
        message.topic_alias = None;
        // [MQTT-3.3.4-6] No Subscription Identifier from a client.
        message.subscription_identifiers.clear();
        Request::Publish { token: Some(token), number, message: timed }
    }

    /// A message that an earlier run accepted.
    pub(super) fn kept(number: u64, message: Timed) -> Self {
        Request::Publish { token: None, number, message }
    }

    pub(super) fn token(&self) -> Option<Token> {
        match self {
            Request::Publish { token, .. } | Request::Subscribe { token, .. } => *token,
            Request::Unsubscribe { token, .. } => Some(*token),
        }
    }

    /// Who is to be told, once.
    pub(super) fn take_token(&mut self) -> Option<Token> {
        match self {
            Request::Publish { token, .. } | Request::Subscribe { token, .. } => token.take(),
            Request::Unsubscribe { token, .. } => Some(*token),
        }
    }

    /// Whether the standard lets a client send this at all.
    fn check(&self, version: Version) -> Result<(), Failure> {
        let what = match self {
            Request::Publish { message, .. } if message.message.topic_bytes().is_empty() => "a message without a topic",
            Request::Publish { message, .. } if version.has_properties() => {
                let mut said = message.message.forwarded_views();
                match said.find(|(id, _)| *id == PropertyId::ResponseTopic) {
                    // [MQTT-3.3.2-14]
                    Some((_, ValueView::Text(topic))) if topic.contains(['+', '#']) => "a wildcard in a Response Topic",
                    _ => return Ok(()),
                }
            }
            // [MQTT-3.8.3-2]; 3.1.1 [MQTT-3.8.3-3]
            Request::Subscribe { subscriptions, .. } if subscriptions.is_empty() => "SUBSCRIBE without a filter",
            Request::Subscribe { subscriptions, .. }
                // [MQTT-3.8.3-4]
                if version.has_properties()
                    && subscriptions.iter().any(|one| one.options.no_local && one.filter.share_name().is_some()) =>
            {
                "No Local on a shared subscription"
            }
            // Section 3.8.2.1.2: one Subscription Identifier, from 1 to 268,435,455.
            Request::Subscribe { properties, .. } if version.has_properties() => {
                let mut identifiers = properties.subscription_identifiers();
                match (identifiers.next(), identifiers.next()) {
                    (_, Some(_)) => "two Subscription Identifiers",
                    (Some(0 | VARIABLE_BYTE_INTEGER_TOO_LARGE..), _) => "a Subscription Identifier out of bounds",
                    _ => return Ok(()),
                }
            }
            // [MQTT-3.10.3-2]
            Request::Unsubscribe { filters, .. } if filters.is_empty() => "UNSUBSCRIBE without a filter",
            _ => return Ok(()),
        };
        Err(Failure::NotAllowed { what })
    }

    /// Whether the server's Receive Maximum may hold it back.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Request::Publish { message, .. } if message.message.qos != Qos::AtMostOnce)
    }
}

impl Client {
    pub(super) fn handle_request(&mut self, now: Duration, request: Request) {
        if let Err(failure) = request.check(self.options.version) {
            return self.fail(request.token(), failure);
        }
        if let Phase::Idle = self.phase {
            return self.fail(request.token(), Failure::Disconnected);
        }
        let starts = self.is_connected() && (self.queue.is_empty() || !request.is_counted());
        if !starts && !self.has_room() {
            return self.fail(request.token(), Failure::QueueFull { limit: self.options.queue_limit });
        }
        if let Request::Publish { number, message, .. } = &request
            && request.is_counted()
        {
            let expires = message.expires().map(|moment| moment.unix);
            self.keep(Record::Accepted { number: *number, message: message.message.clone(), expires });
        }
        let request = match self.phase {
            // [MQTT-3.3.4-8], [MQTT-4.9.0-3] Only QoS 1 and 2 messages wait for the server's Receive Maximum, and for
            // those before them.
            Phase::Connected(_) if self.queue.is_empty() || !request.is_counted() => match self.start(now, request) {
                None => return,
                Some(request) => request,
            },
            _ => request,
        };
        if self.has_room() {
            self.wait_for_turn(request);
        } else {
            self.give_up(&request, Failure::QueueFull { limit: self.options.queue_limit });
        }
    }

    /// Answers a request that cannot be carried out, and keeps nothing of it.
    pub(super) fn give_up(&mut self, request: &Request, failure: Failure) {
        if let Request::Publish { number, .. } = request
            && request.is_counted()
        {
            self.keep(Record::Finished { number: *number });
        }
        self.fail(request.token(), failure);
    }

    /// The connection is new: everything that may leave does, in order.
    pub(super) fn flush_all(&mut self, now: Duration) {
        self.resend(now);
        self.expire(now);
        let mut waiting = VecDeque::new();
        while let Some(request) = self.queue.pop_front() {
            if let Some(request) = self.start(now, request) {
                waiting.push_back(request);
            }
        }
        self.queue = waiting;
    }

    /// An exchange is over: what waited for that may leave.
    pub(super) fn flush(&mut self, now: Duration) {
        self.resend(now);
        self.expire(now);
        while let Some(request) = self.queue.pop_front() {
            if let Some(request) = self.start(now, request) {
                self.queue.push_front(request);
                return;
            }
        }
    }

    /// Sends what was not finished on an earlier connection.
    // [MQTT-4.4.0-1], [MQTT-4.6.0-1]
    fn resend(&mut self, now: Duration) {
        let version = self.options.version;
        while let Phase::Connected(connection) = &self.phase {
            let offer = &connection.offer;
            match self.session.next_resend(offer.receive_maximum) {
                None => return,
                // [MQTT-4.3.3-6] Once PUBREL was sent it is PUBREL that is sent again.
                Some(Again::Pubrel(packet_id)) => self.send(now, Packet::Pubrel(Ack::new(packet_id))),
                Some(Again::Publish(packet_id, qos, message)) => {
                    let mut message = message.leaving(now).at(qos, Some(packet_id));
                    // [MQTT-3.3.1-1]
                    message.dup = true;
                    let taken = offer.takes_publish(&message);
                    let packet = Packet::Publish(message);
                    match taken.and_then(|()| offer.takes_size(version, &packet)) {
                        Ok(()) => self.send(now, packet),
                        Err(failure) => {
                            self.session.withdraw(packet_id, qos);
                            let token = self.finished(packet_id);
                            self.fail(token, failure);
                        }
                    }
                }
            }
        }
    }

    /// Sends the request, or answers it with a failure; gives it back if it has to wait.
    fn start(&mut self, now: Duration, request: Request) -> Option<Request> {
        match request {
            Request::Publish { token, number, message } => self.start_publish(now, token, number, message),
            Request::Subscribe { token, subscriptions, properties } => {
                self.start_subscribe(now, token, subscriptions, properties)
            }
            Request::Unsubscribe { token, filters } => self.start_unsubscribe(now, token, filters),
        }
    }

    fn start_publish(&mut self, now: Duration, token: Option<Token>, number: u64, timed: Timed) -> Option<Request> {
        let version = self.options.version;
        let Phase::Connected(connection) = &mut self.phase else {
            return Some(Request::Publish { token, number, message: timed });
        };
        let mut message = timed.leaving(now);
        let qos = message.qos;
        // Any identifier has the size of all.
        message.packet_id = (qos != Qos::AtMostOnce).then_some(PacketId::MIN);
        let offer = &connection.offer;
        let packet = Packet::Publish(message);
        let taken = offer.takes_publish(&timed.message).and_then(|()| offer.room(version, &packet));
        let room = match taken {
            Ok(room) => room,
            Err(failure) => {
                self.give_up(&Request::Publish { token, number, message: timed }, failure);
                return None;
            }
        };
        let Packet::Publish(mut message) = packet else { return None };
        if qos != Qos::AtMostOnce {
            // [MQTT-4.3.2-3], [MQTT-4.3.3-3] From here on it is unacknowledged, until PUBACK or PUBREC; [MQTT-4.3.3-7] its
            // expiry plays no part any more.
            // [MQTT-3.3.4-7] Receive Maximum. Messages that have still to be sent again take room too, so nothing new
            // leaves before them.
            match self.session.outgoing.publish(qos, timed) {
                Ok(packet_id) => {
                    if let Some(token) = token {
                        self.session.tokens.insert(packet_id, token);
                    }
                    self.session.numbers.insert(packet_id, number);
                    self.keep(Record::Sent { number, packet_id });
                    // [MQTT-2.2.1-3], [MQTT-4.3.2-1], [MQTT-4.3.3-1] An identifier that is not in use.
                    message.packet_id = Some(packet_id);
                    self.send_publish(now, message, room);
                    return None;
                }
                Err(message) => return Some(Request::Publish { token, number, message }),
            }
        }
        // [MQTT-2.2.1-2], [MQTT-4.3.1-1] QoS 0: no identifier, DUP 0.
        self.send_publish(now, message, room);
        self.done(token, Outcome::Published { reason: ReasonCode::Success, properties: Properties::new() });
        None
    }

    /// Sends a PUBLISH for the first time, with an alias where that is shorter.
    fn send_publish(&mut self, now: Duration, message: Publish, room: usize) {
        let Phase::Connected(connection) = &mut self.phase else { return };
        // A client has few topics, so that their length tells most of them apart.
        let hash = message.topic_bytes().len() as u64;
        let message = connection.outgoing_aliases.shorten(hash, message, room);
        self.send(now, Packet::Publish(message));
    }

    fn start_subscribe(
        &mut self,
        now: Duration,
        token: Option<Token>,
        subscriptions: Vec<Subscription>,
        properties: Properties,
    ) -> Option<Request> {
        let Phase::Connected(connection) = &self.phase else {
            return Some(Request::Subscribe { token, subscriptions, properties });
        };
        let identifier = properties.subscription_identifiers().next();
        if let Err(failure) = connection.offer.takes_subscribe(&subscriptions, &properties) {
            self.refuse(Asked::Subscribe { token, subscriptions, identifier }, failure);
            return None;
        }
        // [MQTT-2.2.1-3] One space of identifiers for all three.
        let Some(packet_id) = self.session.outgoing.reserve() else {
            return Some(Request::Subscribe { token, subscriptions, properties });
        };
        let properties = properties.iter().filter(|property| self.may_stand_in_subscribe(property)).cloned().collect();
        let packet = Packet::Subscribe(Subscribe { properties, ..Subscribe::new(packet_id, subscriptions.clone()) });
        self.ask(now, packet_id, packet, Asked::Subscribe { token, subscriptions, identifier });
        None
    }

    fn may_stand_in_subscribe(&self, property: &Property) -> bool {
        self.options.version.has_properties() && property.id().allowed_in(Place::Subscribe)
    }

    fn start_unsubscribe(&mut self, now: Duration, token: Token, filters: Vec<TopicFilter>) -> Option<Request> {
        let Some(packet_id) = self.session.outgoing.reserve() else {
            return Some(Request::Unsubscribe { token, filters });
        };
        let packet = Packet::Unsubscribe(Unsubscribe::new(packet_id, filters.clone()));
        self.ask(now, packet_id, packet, Asked::Unsubscribe { token, filters });
        None
    }

    fn ask(&mut self, now: Duration, packet_id: PacketId, packet: Packet, asked: Asked) {
        let taken = match &self.phase {
            Phase::Connected(connection) => connection.offer.takes_size(self.options.version, &packet),
            _ => Ok(()),
        };
        match taken {
            Ok(()) => {
                self.session.asked.insert(packet_id, asked);
                self.send(now, packet);
            }
            Err(failure) => {
                self.session.outgoing.free(packet_id);
                self.refuse(asked, failure);
            }
        }
    }

    fn refuse(&mut self, asked: Asked, failure: Failure) {
        match asked {
            Asked::Subscribe { token: None, subscriptions, identifier } => {
                self.cannot_renew(subscriptions, identifier, &failure);
            }
            asked => self.fail(asked.token(), failure),
        }
    }
}
