//! The client: from no connection to one and back. What comes in on a connection is in `packets.rs`, what the
//! application asks for in `requests.rs`.

use std::{collections::VecDeque, time::Duration};

use squall_codec::{
    error::DecodeError,
    packet::{Connack, Disconnect, Packet, PacketKind},
    property::{Properties, Property},
    reason::{ReasonCode, Side},
    time::Now,
    version::Version,
    wire::Text,
};

use super::{
    authentication::Running,
    connection::{Connection, Due, KeepAlive},
    effect::{DisconnectCause, Effect, Event, Failure, Input, Outcome, Token},
    expiry::Timed,
    handshake,
    reconnect::Backoff,
    record::{Kept, Record},
    redirection::{After, Route},
    requests::Request,
    session::{Session, Unfinished},
};
use crate::options::{OnSessionLost, Options};

/// A client without I/O: it is told what happened, and says what must be done.
///
/// ```
/// use squall_client::{core::{client::Client, effect::{Effect, Input}}, options::Options};
/// use squall_codec::{time::Now, version::Version, wire::Text};
///
/// let mut client = Client::new(Options::new(Version::V5_0, Text::literal("alice")), 1);
/// let mut effects = client.handle(Now::default(), Input::Connect);
/// assert!(matches!(effects.next(), Some(Effect::Open { .. })));
/// ```
#[derive(Debug)]
pub struct Client {
    pub(super) options: Options,
    pub(super) phase: Phase,
    pub(super) session: Session,
    /// Requests that wait for a connection or for the server's Receive Maximum; at most `Options::queue_limit` are
    /// taken from the application.
    pub(super) queue: VecDeque<Request>,
    /// When the first of them has waited for too long, or earlier.
    pub(super) queue_expires: Option<Duration>,
    pub(super) effects: Vec<Effect>,
    pub(super) route: Route,
    /// Questions of enhanced authentication so far.
    pub(super) questions: u64,
    backoff: Backoff,
}

/// Where the client stands. Times are deadlines on the monotonic clock.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nobody wants a connection.
    Idle,
    /// Between two tries.
    Waiting { until: Duration },
    /// `Effect::Open` was said.
    Opening { until: Duration },
    /// CONNECT was sent.
    Handshake { until: Duration, clean_start: bool, answered: bool, exchange: Option<Running> },
    /// CONNACK said success.
    Connected(Box<Connection>),
}

/// What has to be done, in this order, before the next input.
#[must_use = "effects have to be carried out before the next input"]
#[derive(Debug)]
pub struct Effects<'a>(std::vec::Drain<'a, Effect>);

impl Iterator for Effects<'_> {
    type Item = Effect;

    fn next(&mut self) -> Option<Effect> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl Client {
    /// A client that waits for `Input::Connect`. The seed decides the jitter of the delays between tries.
    pub fn new(options: Options, seed: u64) -> Self {
        let exists = options.existing_session && !options.clean_start;
        Client {
            phase: Phase::Idle,
            session: Session::new(options.client_id.clone(), exists, options.own_receive_maximum(), options.packet_ids),
            queue: VecDeque::new(),
            queue_expires: None,
            effects: Vec::new(),
            route: Route::default(),
            questions: 0,
            backoff: Backoff::new(options.reconnect, seed),
            options,
        }
    }

    /// A client that takes up what an earlier run kept, with its messages in their order: those that were not
    /// acknowledged, and those that had not left.
    pub fn restored(now: Now, options: Options, seed: u64, kept: Kept) -> Self {
        let mut client = Client::new(options, seed);
        let outlives = client.options.session_outlives(client.options.session_expiry_seconds.unwrap_or(0));
        let mut resumes = false;
        if let Some(client_id) = &kept.client_id {
            // Another name in the options is another session: only what waits is taken over.
            let same = client.options.client_id.is_empty() || client.options.client_id == *client_id;
            resumes = outlives && same;
            if resumes {
                client.session.client_id = client_id.clone();
                client.session.exists = true;
            }
        }
        let waiting = client.session.restore(now, kept, resumes);
        waiting.for_each(|(number, message)| client.wait_for_turn(Request::kept(number, message)));
        client
    }

    /// Takes one input. The effects must be carried out before the next input.
    pub fn handle(&mut self, moment: Now, input: Input) -> Effects<'_> {
        self.take_input(moment, input);
        Effects(self.effects.drain(..))
    }

    /// As [`Client::handle`]: the effects are what is in this vector, which was empty, afterwards. For who has many clients.
    pub fn handle_into(&mut self, moment: Now, input: Input, effects: &mut Vec<Effect>) {
        debug_assert!(effects.is_empty(), "effects of the turn before were not carried out");
        std::mem::swap(&mut self.effects, effects);
        self.take_input(moment, input);
        std::mem::swap(&mut self.effects, effects);
    }

    fn take_input(&mut self, moment: Now, input: Input) {
        let now = moment.monotonic;
        match input {
            Input::Connect => {
                if let Phase::Idle = self.phase {
                    self.open(now);
                }
            }
            Input::Opened => self.handle_opened(now),
            Input::Lost { reason } => {
                if self.has_network() {
                    self.end(now, DisconnectCause::Network(reason), After::AnotherTry);
                }
            }
            Input::Packet { packet } => self.handle_packet(now, packet),
            Input::Malformed { error } => self.handle_malformed(now, &error),
            Input::Publish { token, message } => {
                let number = self.session.next_number();
                let message = Timed::new(moment, self.options.version, message);
                self.handle_request(now, Request::publish(token, number, message));
            }
            Input::Subscribe { token, subscriptions, properties } => {
                self.handle_request(now, Request::Subscribe { token: Some(token), subscriptions, properties });
            }
            Input::Unsubscribe { token, filters } => self.handle_request(now, Request::Unsubscribe { token, filters }),
            Input::Reauthenticate { token } => self.handle_reauthenticate(now, token),
            Input::Authenticated(answer) => self.handle_answer(now, answer),
            Input::KeepFailed { reason } => {
                if !self.is_idle() {
                    self.effects.push(Effect::Close);
                    self.end(now, DisconnectCause::Store(reason), After::Nothing);
                }
            }
            Input::Acknowledge { delivery, reason } => {
                self.session.acknowledgements.acknowledge(delivery, self.refusal(reason));
                self.send_acknowledgements(now);
            }
            Input::Disconnect { reason, session_expiry_seconds } => {
                self.handle_disconnect(now, reason, session_expiry_seconds);
            }
            Input::Paused => self.pause(now, true),
            Input::Resumed => self.pause(now, false),
            Input::Tick => self.handle_tick(now),
        }
    }

    /// When `Input::Tick` is due, if no other input comes first.
    pub fn deadline(&self) -> Option<Duration> {
        let phase = match &self.phase {
            Phase::Idle => return None,
            Phase::Waiting { until } | Phase::Opening { until } | Phase::Handshake { until, .. } => Some(*until),
            Phase::Connected(connection) => connection.keep_alive.as_ref().map(|keep_alive| keep_alive.next().0),
        };
        phase.into_iter().chain(self.queue_expires).min()
    }

    /// As they were given.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Whether CONNACK has come and the connection stands.
    pub fn is_connected(&self) -> bool {
        matches!(self.phase, Phase::Connected(_))
    }

    /// Whether no connection stands and none will come by itself.
    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Whether another request would be taken now, if only to wait.
    pub fn has_room(&self) -> bool {
        self.queue.len() < self.options.queue_limit.max(1)
    }

    /// Requests that wait: for a connection, or for the server's Receive Maximum.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// QoS 1 and 2 messages that the server has not acknowledged in full.
    pub fn in_flight(&self) -> usize {
        self.session.outgoing.in_flight()
    }

    /// As CONNECT carries it: of the options, or assigned by the server.
    pub fn client_id(&self) -> &str {
        self.session.client_id.as_str()
    }

    /// Whether an end of the Network Connection is news.
    fn has_network(&self) -> bool {
        matches!(self.phase, Phase::Opening { .. } | Phase::Handshake { .. } | Phase::Connected(_))
    }

    fn open(&mut self, now: Duration) {
        self.phase = Phase::Opening { until: now + self.options.connect_timeout };
        self.effects.push(Effect::Open { server: self.route.next().cloned() });
    }

    fn handle_opened(&mut self, now: Duration) {
        match self.phase {
            Phase::Opening { until } => {
                let (authentication, exchange) = self.begin_authentication();
                let clean_start = handshake::clean_start(&self.options, &self.session.client_id, self.session.exists);
                let connect = handshake::connect(&self.options, &self.session.client_id, clean_start, authentication);
                self.phase = Phase::Handshake { until, clean_start, answered: false, exchange };
                // [MQTT-3.1.2-30] Until CONNACK nothing follows it but AUTH and DISCONNECT.
                // [MQTT-3.1.0-1] CONNECT is the first packet.
                self.send(now, Packet::Connect(connect));
            }
            // It came too late: nobody wants it any more.
            Phase::Idle | Phase::Waiting { .. } => self.effects.push(Effect::Close),
            Phase::Handshake { .. } | Phase::Connected(_) => {}
        }
    }

    /// CONNACK answers the CONNECT that asked for this Clean Start.
    pub(super) fn handle_connack(&mut self, now: Duration, clean_start: bool, connack: Connack) {
        if connack.reason != ReasonCode::Success {
            self.note_answer();
            self.effects.push(Effect::Event(Event::Refused { reason: connack.reason }));
            // [MQTT-4.13.2-1] A refusal ends the connection.
            self.effects.push(Effect::Close);
            let after = self.after(now, connack.reason, &connack.properties);
            return self.end(now, DisconnectCause::server(connack.reason, &connack.properties), after);
        }
        if !self.finish_authentication(now, &connack) {
            return;
        }
        self.note_answer();
        if connack.session_present && clean_start {
            return self.violation(now, ReasonCode::ProtocolError, "Session Present 1 in answer to Clean Start 1");
        }
        // [MQTT-3.2.2-4] Session Present 1, and no session state here. 3.1.1 leaves it to the client, which goes on.
        let is_known = self.session.exists || self.session.in_doubt;
        if connack.session_present && !is_known && self.options.version == Version::V5_0 {
            return self.violation(now, ReasonCode::ProtocolError, "Session Present 1 for a session unknown here");
        }
        let in_doubt = std::mem::take(&mut self.session.in_doubt);
        let resumed = match self.options.version {
            // 3.1 has no Session Present: who kept a session counts on the server's having it too.
            Version::V3_1 => !clean_start && self.session.exists,
            // A session that an unanswered CONNECT of this client may have begun has nothing yet that could go on.
            Version::V3_1_1 | Version::V5_0 => connack.session_present && (self.session.exists || !in_doubt),
        };
        let connection = Connection::new(now, &self.options, &connack);
        let receive_maximum = connection.offer.receive_maximum;
        if let Some(assigned) = connack.properties.assigned_client_identifier() {
            self.session.client_id = assigned.detached();
        }
        self.phase = Phase::Connected(Box::new(connection));
        self.effects.push(Effect::Event(Event::Connected { connack, resumed }));
        if resumed {
            // [MQTT-4.4.0-1] What is not finished is sent again, now and at no other time.
            self.session.resume(receive_maximum, self.options.own_receive_maximum());
            if self.session.is_unnamed() {
                // The server's session alone was known: from here on it is this client's too.
                self.keep(Record::Began { client_id: self.session.client_id.clone() });
            }
            self.session.is_kept = true;
            if in_doubt {
                // The older session is sent on as far as it is unfinished, which a new one survives. But a new one has
                // no subscriptions, and what it has cannot be seen.
                self.session.subscriptions.session_lost();
                self.session.doubtful = self.session.incoming.awaiting_release().collect();
            }
        } else {
            self.session.doubtful.clear();
            self.start_session_over(receive_maximum);
        }
        self.renew_subscriptions();
        self.flush_all(now);
    }

    /// The server has answered CONNECT, so that the client knows what became of it.
    fn note_answer(&mut self) {
        if let Phase::Handshake { answered, .. } = &mut self.phase {
            *answered = true;
        }
    }

    fn start_session_over(&mut self, receive_maximum: u16) {
        let Unfinished { messages, waiting } =
            self.session.restart(receive_maximum, self.options.own_receive_maximum());
        for (token, number, message) in messages.into_iter().rev() {
            match self.options.on_session_lost {
                OnSessionLost::Republish => self.wait_before_others(Request::Publish { token, number, message }),
                OnSessionLost::GiveUp => {
                    self.keep(Record::Finished { number });
                    self.fail(token, Failure::SessionLost);
                }
            }
        }
        for token in waiting {
            self.fail(Some(token), Failure::SessionLost);
        }
        self.keep(Record::Began { client_id: self.session.client_id.clone() });
        self.session.is_kept = true;
        self.session.subscriptions.session_lost();
    }

    fn handle_malformed(&mut self, now: Duration, error: &DecodeError) {
        if matches!(self.phase, Phase::Handshake { .. } | Phase::Connected(_)) {
            self.violation(now, error.reason_code(), error);
        }
    }

    /// Why the application refuses a message, as PUBACK and PUBREC may say it ([MQTT-3.4.2-1], [MQTT-3.5.2-1]); before 5.0 there is no
    /// word for it.
    fn refusal(&self, reason: ReasonCode) -> ReasonCode {
        match reason.is_failure() && self.options.version.has_properties() {
            false => ReasonCode::Success,
            true if reason.allowed_in(PacketKind::Pubrec, Side::Client) => reason,
            true => ReasonCode::UnspecifiedError,
        }
    }

    /// The server did what it must not: it is told where the version can say it, and the connection ends.
    // 3.1.1 [MQTT-4.8.0-1]; 5.0 section 4.13.1
    // [MQTT-3.14.2-3], [MQTT-3.14.2-4] Its DISCONNECT has neither Reason String nor User Properties.
    pub(super) fn violation(&mut self, now: Duration, reason: ReasonCode, detail: impl ToString) {
        if self.options.version.has_properties() {
            // [MQTT-3.14.2-1] Only what a client may say.
            let allowed = reason.is_failure() && reason.allowed_in(PacketKind::Disconnect, Side::Client);
            let reason = if allowed { reason } else { ReasonCode::ProtocolError };
            self.send(now, Packet::Disconnect(Disconnect::new(reason)));
        }
        // [MQTT-3.14.4-1], [MQTT-3.14.4-2] Nothing after DISCONNECT but the end of the connection.
        self.effects.push(Effect::Close);
        self.end(now, DisconnectCause::Violation(detail.to_string()), After::AnotherTry);
    }

    fn handle_disconnect(&mut self, now: Duration, reason: ReasonCode, session_expiry_seconds: Option<u32>) {
        match &mut self.phase {
            Phase::Idle => return,
            Phase::Waiting { .. } => {}
            Phase::Opening { .. } => self.effects.push(Effect::Close),
            Phase::Handshake { .. } | Phase::Connected(_) => {
                if let Some(packet) = self.disconnect_packet(reason, session_expiry_seconds) {
                    self.send(now, packet);
                }
                // [MQTT-3.14.4-2]; 3.1.1 [MQTT-3.14.4-1] Who said DISCONNECT closes.
                self.effects.push(Effect::Close);
            }
        }
        self.end(now, DisconnectCause::Application, After::Nothing);
    }

    /// `None` where the wish is best said by silence.
    fn disconnect_packet(&mut self, reason: ReasonCode, session_expiry_seconds: Option<u32>) -> Option<Packet> {
        let version = self.options.version;
        if !version.has_properties() {
            // Before 5.0 DISCONNECT always discards the will; to have it published the connection just ends.
            let wants_will = reason == ReasonCode::DisconnectWithWillMessage;
            return (!wants_will).then(|| Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)));
        }
        let reason = match reason.allowed_in(PacketKind::Disconnect, Side::Client) {
            true => reason,
            false => ReasonCode::NORMAL_DISCONNECTION,
        };
        let mut disconnect = Disconnect::new(reason);
        let asked = self.options.session_expiry_seconds.unwrap_or(0);
        // Section 3.14.2.2.2: where CONNECT said 0, DISCONNECT must not say more.
        if let Some(seconds) = session_expiry_seconds.filter(|seconds| asked > 0 || *seconds == 0) {
            disconnect.properties = Properties::new().with(Property::SessionExpiryInterval(seconds));
            if let Phase::Connected(connection) = &mut self.phase {
                connection.session_expiry_seconds = seconds;
            }
        }
        let packet = Packet::Disconnect(disconnect);
        match &self.phase {
            Phase::Connected(connection) if connection.offer.takes_size(version, &packet).is_err() => {
                Some(Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)))
            }
            _ => Some(packet),
        }
    }

    fn handle_tick(&mut self, now: Duration) {
        self.expire(now);
        match &mut self.phase {
            Phase::Waiting { until } if *until <= now => self.open(now),
            // No CONNACK in reasonable time.
            Phase::Opening { until } | Phase::Handshake { until, .. } if *until <= now => self.no_answer(now),
            Phase::Connected(connection) => {
                let Some(keep_alive) = &mut connection.keep_alive else { return };
                match keep_alive.next() {
                    (due, _) if due > now => {}
                    (_, Due::NoAnswer) => self.no_answer(now),
                    (_, Due::Ping) => {
                        keep_alive.ping_sent(now);
                        // [MQTT-3.1.2-20] PINGREQ where nothing else was sent.
                        self.send(now, Packet::Pingreq);
                    }
                }
            }
            _ => {}
        }
    }

    /// The other end is not there any more; a DISCONNECT would only discard the will that is now due.
    fn no_answer(&mut self, now: Duration) {
        self.effects.push(Effect::Close);
        self.end(now, DisconnectCause::NoAnswer, After::AnotherTry);
    }

    /// Of the connection that stands, where it is on.
    pub(super) fn keep_alive(&mut self) -> Option<&mut KeepAlive> {
        match &mut self.phase {
            Phase::Connected(connection) => connection.keep_alive.as_mut(),
            _ => None,
        }
    }

    fn pause(&mut self, now: Duration, paused: bool) {
        if let Some(keep_alive) = self.keep_alive() {
            keep_alive.pause(now, paused);
        }
    }

    /// The connection has ended, or the try to have one. Every request is answered, or kept for the next connection.
    pub(super) fn end(&mut self, now: Duration, cause: DisconnectCause, after: After) {
        let mut reauthentication = None;
        let lasted = match &mut self.phase {
            Phase::Connected(connection) => {
                reauthentication = connection.reauthentication.take().map(|(token, _)| token);
                self.session.exists = self.options.session_outlives(connection.session_expiry_seconds);
                Some(now.saturating_sub(connection.since))
            }
            Phase::Handshake { answered: false, .. } => {
                // [MQTT-3.1.3-2] Under an identifier that the server was to assign nobody finds the session again.
                self.session.in_doubt |= !self.session.client_id.is_empty();
                None
            }
            _ => None,
        };
        let delay = match after {
            After::Elsewhere => Some(Duration::ZERO),
            After::AnotherTry => self.backoff.next_delay(lasted),
            After::Nothing => None,
        };
        if after != After::Elsewhere {
            self.route.go_home();
        }
        self.phase = match delay {
            Some(delay) => Phase::Waiting { until: now + delay },
            None => Phase::Idle,
        };
        let failure = match cause {
            DisconnectCause::Application => Failure::Disconnected,
            _ => Failure::ConnectionLost,
        };
        for token in self.session.connection_ended() {
            self.fail(token, failure.clone());
        }
        if let Some(token) = reauthentication {
            self.fail(Some(token), failure.clone());
        }
        if delay.is_none() {
            // The exchanges themselves stay in the session, should the application connect again.
            for token in std::mem::take(&mut self.session.tokens).into_values() {
                self.fail(Some(token), failure.clone());
            }
            for mut request in std::mem::take(&mut self.queue) {
                self.fail(request.take_token(), Failure::Disconnected);
                // What a store has accepted stays accepted, like the exchanges.
                if self.options.durable && request.is_counted() {
                    self.queue.push_back(request);
                }
            }
        }
        self.effects.push(Effect::Event(Event::Disconnected { cause, reconnecting: delay.is_some() }));
    }

    /// Sends a packet on the connection that stands.
    pub(super) fn send(&mut self, now: Duration, packet: Packet) {
        if let Some(keep_alive) = self.keep_alive() {
            keep_alive.sent(now);
        }
        self.effects.push(Effect::Send { version: self.options.version, packet });
    }

    /// Has a change made durable, where there is a store.
    pub(super) fn keep(&mut self, record: Record) {
        if self.options.durable {
            self.effects.push(Effect::Keep(record));
        }
    }

    pub(super) fn done(&mut self, token: Option<Token>, outcome: Outcome) {
        if let Some(token) = token {
            self.effects.push(Effect::Done { token, outcome });
        }
    }

    pub(super) fn fail(&mut self, token: Option<Token>, failure: Failure) {
        self.done(token, Outcome::Failed(failure));
    }
}

impl DisconnectCause {
    /// As the server put it in CONNACK or DISCONNECT.
    pub(super) fn server(reason: ReasonCode, properties: &Properties) -> Self {
        DisconnectCause::Server {
            reason,
            explanation: properties.reason_string().map(Text::detached),
            server_reference: properties.server_reference().map(Text::detached),
        }
    }
}
