//! What passes on one connection: who comes in, who is taken over, who is silent for too long, and how it ends.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::{
    packet::{Connack, Connect, Packet},
    qos::Qos,
    reason::ReasonCode,
    topic::TopicName,
    version::Version,
};

use super::{
    Model, Situation,
    answers::Answers,
    keeping::UNSURE_FOR,
    session::{Ghost, Life, Session, Why},
    will::Will,
};
use crate::invariants::Invariant;

/// A connection, at the server's end.
#[derive(Debug)]
pub(super) struct Line {
    /// Whose, by the position among the clients.
    pub(super) client: usize,
    pub(super) stage: Stage,
    pub(super) session: Option<usize>,
    pub(super) version: Version,
    pub(super) connect: Option<Box<Connect>>,
    /// Why the server may close it.
    pub(super) excuse: Option<&'static str>,
    last_heard: Duration,
    /// When CONNECT came: what it finds is what there was then, however late CONNACK is.
    asked: Duration,
    /// One and a half times the Keep Alive in force.
    patience: Option<Duration>,
    /// Another connection has the same Client Identifier since then: this one has to go.
    taken_over: Option<Duration>,
    /// DISCONNECT has been sent to the client.
    pub(super) said_goodbye: Option<ReasonCode>,
    /// When the client has ended it.
    over_since: Option<Duration>,
    /// What the client's Topic Aliases mean, and the server's.
    pub(super) aliases: [BTreeMap<u16, TopicName>; 2],
    pub(super) answers: Answers,
    pub(super) receive_maximum: u16,
    /// As CONNACK has it.
    pub(super) maximum_qos: Qos,
    pub(super) alias_maximum: u16,
    pub(super) maximum_packet_size: Option<u32>,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing has come.
    Open,
    /// CONNECT has come.
    Asked,
    /// CONNACK has left and let it in.
    In,
    /// Nothing counts any more.
    Over,
}

impl Line {
    /// Another has its session, and it was not closed.
    pub(super) fn is_left_open(&self) -> bool {
        self.stage == Stage::In && self.taken_over.is_some()
    }
}

impl Model {
    pub(super) fn opened(&mut self, connection: usize, client: usize) {
        debug_assert_eq!(connection, self.lines.len(), "connections are numbered in their order");
        self.lines.push(Line {
            client,
            stage: Stage::Open,
            session: None,
            version: Version::V5_0,
            connect: None,
            excuse: None,
            last_heard: self.now,
            asked: self.now,
            patience: None,
            taken_over: None,
            said_goodbye: None,
            over_since: None,
            aliases: Default::default(),
            answers: Answers::default(),
            receive_maximum: u16::MAX,
            maximum_qos: Qos::ExactlyOnce,
            alias_maximum: 0,
            maximum_packet_size: None,
        });
    }

    pub(super) fn server_gets(&mut self, at: usize, packet: &Packet) {
        if self.is_down {
            match (packet, self.lines[at].session) {
                (Packet::Connect(connect), None) => self.connects_at_farewell(at, connect),
                (_, Some(session)) => self.heard_at_farewell(at, session, packet),
                _ => {}
            }
        }
        let line = &mut self.lines[at];
        if line.stage == Stage::Over || self.is_down {
            return;
        }
        line.last_heard = self.now;
        if let Some(patience) = line.patience {
            let due = self.now + patience + self.terms.slack;
            self.wake_at(due);
        }
        if let Packet::Connect(connect) = packet {
            return self.connects(at, connect);
        }
        let Some(session) = self.lines[at].session.filter(|_| self.lines[at].stage == Stage::In) else {
            // Section 3.1.4: nobody has to wait for CONNACK; the library does, but to go away.
            if matches!(packet, Packet::Disconnect(_)) && self.lines[at].stage == Stage::Asked {
                self.lines[at].excuse = Some("the client has said DISCONNECT");
                return;
            }
            return self.breach(Invariant::Answers, format!("a client sent {} before it was let in", packet.kind()));
        };
        match packet {
            Packet::Publish(publish) => self.published(at, session, publish),
            Packet::Puback(ack) => self.acknowledged(at, session, ack),
            Packet::Pubrec(ack) => self.received(at, session, ack),
            Packet::Pubcomp(ack) => self.completed(session, ack),
            Packet::Pubrel(ack) => {
                let is_short = self.is_short();
                let session = &mut self.sessions[session];
                let was_received = session.received.remove(&ack.packet_id);
                session.perhaps_received.remove(&ack.packet_id);
                // It may be refused, and then there is no answer.
                if was_received && is_short {
                    session.perhaps_received.insert(ack.packet_id, None);
                }
                session.from_client.pubrel(ack);
                self.lines[at].answers.pubcomp.push_back(ack.packet_id);
            }
            Packet::Subscribe(subscribe) => self.subscribes(at, session, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribes(at, session, unsubscribe),
            Packet::Pingreq => self.lines[at].answers.pings += 1,
            Packet::Disconnect(disconnect) => {
                self.lines[at].excuse = Some("the client has said DISCONNECT");
                if let Some(expiry) = disconnect.properties.session_expiry_interval() {
                    let expiry = expiry.min(self.terms.maximum_session_expiry);
                    let of = &mut self.sessions[session];
                    of.expiry = expiry;
                    of.longest = of.longest.max(expiry);
                }
                // [MQTT-3.14.4-3] Every other reason leaves the will to be published.
                if disconnect.reason == ReasonCode::NORMAL_DISCONNECTION {
                    self.will_is_discarded(session);
                }
            }
            _ => {}
        }
    }

    fn connects(&mut self, at: usize, connect: &Connect) {
        let session = self.asks(at, connect);
        self.may_cancel_wills(session);
        // Who is back in time keeps the session, however late CONNACK is.
        let (now, of) = (self.now, &mut self.sessions[session]);
        if let Life::Until(least, most) = of.life
            && now < most
            && !connect.clean_start
        {
            of.life = Life::Until(least, Duration::MAX);
        }
        self.lines[at].stage = Stage::Asked;
        self.lines[at].connect = Some(Box::new(connect.clone()));
        let older = self.sessions[session].line;
        if let Some(older) = older {
            self.lines[older].excuse = Some("another connection has its Client Identifier");
            self.lines[older].taken_over = Some(self.now);
            self.came(Situation::TakeOver);
            if !self.sessions[session].sending.is_empty() {
                self.came(Situation::TakeOverInFlight);
            }
        }
        for other in 0..self.lines.len() {
            if other != at && self.lines[other].stage == Stage::Asked && self.lines[other].session == Some(session) {
                self.lines[other].excuse = Some("another connection has its Client Identifier");
                self.loosen_session(session);
            }
        }
        // [MQTT-3.1.2-8] The session ends with CONNECT, and so its will need not wait for CONNACK.
        let has_ended =
            older.is_some_and(|older| self.sessions[session].expiry == 0 && self.lines[older].session == Some(session));
        if self.is_short() && (connect.clean_start || older.is_some()) {
            // It may be refused before anything has changed.
            self.loosen_will(session, false);
        } else if (connect.clean_start || has_ended)
            && let Some(will) = self.sessions[session].will.take()
        {
            self.will_goes_now(session, will);
        } else if older.is_some() {
            self.will_without_delay(session);
        }
    }

    /// What CONNECT says of its connection, and whose session it asks for.
    fn asks(&mut self, at: usize, connect: &Connect) -> usize {
        let next = self.sessions.len();
        let session = *self.ids.entry(connect.client_id.clone()).or_insert(next);
        if session == next {
            self.sessions.push(Session::new(connect.client_id.as_str().into()));
        }
        let line = &mut self.lines[at];
        line.asked = self.now;
        line.session = Some(session);
        line.version = connect.version;
        line.receive_maximum = connect.properties.receive_maximum().unwrap_or(u16::MAX);
        line.alias_maximum = connect.properties.topic_alias_maximum().unwrap_or(0);
        line.maximum_packet_size = connect.properties.maximum_packet_size();
        session
    }

    /// A server that says farewell may still let somebody in.
    fn connects_at_farewell(&mut self, at: usize, connect: &Connect) {
        let session = self.asks(at, connect);
        self.perhaps_let_in(session, connect);
    }

    /// This CONNECT will never be answered: whoever sent it may have a session afterwards.
    pub(super) fn perhaps_let_in(&mut self, session: usize, connect: &Connect) {
        self.loosen_session(session);
        let asked = Self::expiry_of(connect);
        let of = &mut self.sessions[session];
        of.longest = of.longest.max(asked);
        // Who is still connected has what was granted.
        if of.line.is_none() || self.is_down {
            of.expiry = of.expiry.max(asked);
        }
        self.will_perhaps(session, connect);
    }

    pub(super) fn server_sends(&mut self, at: usize, packet: &Packet) {
        let line = &self.lines[at];
        // [MQTT-3.1.2-24]
        if let Some(most) = line.maximum_packet_size
            && packet.encoded_len(line.version) > most as usize
        {
            let (kind, size) = (packet.kind(), packet.encoded_len(line.version));
            let detail = format!("{kind} has {size} bytes where Maximum Packet Size is {most}");
            self.breach(Invariant::PacketSize, detail);
        }
        match self.lines[at].stage {
            // What was on its way when the client ended the connection.
            Stage::Over
                if !self.is_down
                    && self.lines[at].over_since.is_some_and(|since| since + UNSURE_FOR >= self.now)
                    && self.lines[at].session.is_some_and(|session| self.sessions[session].line.is_none()) =>
            {
                if let (Packet::Publish(publish), Some(session)) = (packet, self.lines[at].session) {
                    self.sends(at, session, publish);
                }
                return;
            }
            Stage::Over if !self.is_down => return,
            Stage::Open if !self.is_down => {
                return self.breach(Invariant::Answers, format!("{} was sent before CONNECT", packet.kind()));
            }
            // Its farewell.
            _ if self.is_down => {
                if let Some(session) = self.lines[at].session {
                    self.says_at_farewell(at, session, packet);
                }
                return;
            }
            Stage::Open => return,
            Stage::Asked if !matches!(packet, Packet::Connack(_) | Packet::Auth(_)) => {
                return self.breach(Invariant::Answers, format!("{} was sent before CONNACK", packet.kind()));
            }
            Stage::Asked | Stage::In | Stage::Over => {}
        }
        let session = self.lines[at].session.expect("who has asked has a name");
        match packet {
            Packet::Connack(connack) => self.connected(at, session, connack),
            Packet::Publish(publish) => self.sends(at, session, publish),
            Packet::Pubrel(ack) => self.releases(at, session, ack),
            Packet::Puback(ack) => self.answers_puback(at, session, ack),
            Packet::Pubrec(ack) => self.answers_pubrec(at, session, ack),
            Packet::Pubcomp(ack) => self.answers_pubcomp(at, session, ack),
            Packet::Suback(suback) => self.grants(at, session, suback),
            Packet::Unsuback(unsuback) => self.answers_unsuback(at, session, unsuback),
            Packet::Pingresp => match self.lines[at].answers.pings.checked_sub(1) {
                Some(pings) => self.lines[at].answers.pings = pings,
                None => self.breach(Invariant::Answers, "PINGRESP answers no PINGREQ".to_owned()),
            },
            Packet::Disconnect(disconnect) => {
                self.lines[at].said_goodbye = Some(disconnect.reason);
                // Bounds that are reached: the client was told why.
                if matches!(disconnect.reason, ReasonCode::QuotaExceeded | ReasonCode::ServerBusy) {
                    self.lines[at].excuse = Some("a bound was reached");
                }
            }
            _ => {}
        }
    }

    fn connected(&mut self, at: usize, session: usize, connack: &Connack) {
        let Some(connect) = self.lines[at].connect.take() else {
            return self.breach(Invariant::Answers, "CONNACK came twice".to_owned());
        };
        if connack.reason.is_failure() {
            self.lines[at].excuse = Some("CONNACK says no");
            // It was refused before anything had changed: nobody was taken over.
            if self.is_short()
                && let Some(older) = self.sessions[session].line
            {
                self.lines[older].taken_over = None;
            }
            return;
        }
        let version = connect.version;
        let keep_alive = match connack.properties.server_keep_alive() {
            Some(server) => server,
            None => connect.keep_alive,
        };
        let line = &mut self.lines[at];
        line.stage = Stage::In;
        line.maximum_qos = connack.properties.maximum_qos().and_then(Qos::from_bits).unwrap_or(Qos::ExactlyOnce);
        line.patience = (keep_alive > 0).then(|| Duration::from_millis(1500 * u64::from(keep_alive)));
        // It counts from CONNECT, whenever CONNACK leaves.
        if let Some(patience) = line.patience {
            let due = line.last_heard + patience + self.terms.slack;
            self.wake_at(due);
        }
        self.check_session_present(at, session, &connect, connack);

        // 3.1 does not say whether there was one.
        let is_silent = version == Version::V3_1 && !connect.clean_start;
        let was_here = self.sessions[session].is_here(self.lines[at].asked);
        let resumes = if is_silent { was_here != Some(false) } else { connack.session_present };
        if resumes {
            self.came(Situation::SessionResumed);
        } else if !connect.clean_start && matches!(self.sessions[session].life, Life::Until(..)) {
            self.came(Situation::SessionExpired);
        }
        if !resumes {
            self.session_ends(session);
        } else if let Some(will) = self.sessions[session].will.take() {
            // [MQTT-3.1.3-9] Back before its time; at the same moment it is either.
            self.will_is_cancelled(session, will);
        }
        let asked = connack.properties.session_expiry_interval().unwrap_or(Self::expiry_of(&connect));
        let most = connack.properties.receive_maximum().unwrap_or(u16::MAX);
        let keeps = if is_silent { None } else { Some(resumes) };
        let of = &mut self.sessions[session];
        of.life = Life::Here;
        of.line = Some(at);
        of.expiry = asked;
        of.longest = asked;
        of.ghost = None;
        of.from_client.begin(keeps, most);
        if let Some(most) = self.lines[at].maximum_packet_size {
            of.smallest = Some(of.smallest.map_or(most, |smallest| smallest.min(most)));
            for owed in of.owed.iter_mut().filter(|owed| owed.is_due) {
                owed.is_due = owed.fits(&self.messages[owed.message].publish, of.smallest);
            }
        }
        let client = self.lines[at].client;
        let before = of.client.replace(client);
        if before != Some(client) {
            of.was_anothers |= before.is_some();
            of.from_client.forget();
        }
        of.will = connect.will.as_ref().map(|will| Will::armed(will, version, self.now));
        if let Some(will) = &connect.will {
            self.announce_will(session, will);
        }
    }

    /// [MQTT-3.2.2-2] [MQTT-3.2.2-3]
    fn check_session_present(&mut self, at: usize, session: usize, connect: &Connect, connack: &Connack) {
        let present = connack.session_present;
        let was_here = self.sessions[session].is_here(self.lines[at].asked);
        let name = self.sessions[session].name.clone();
        if present && connect.clean_start {
            let detail = format!("Session Present is 1 for {name}, who starts clean");
            return self.breach(Invariant::SessionPresent, detail);
        }
        if connect.clean_start || connect.version == Version::V3_1 {
            return;
        }
        match was_here {
            Some(true) if !present => {
                let detail = format!("Session Present is 0 for {name}, whose session has not expired");
                self.breach(Invariant::SessionPresent, detail);
            }
            Some(false) if present => {
                let detail = format!("Session Present is 1 for {name}, who has no session");
                self.breach(Invariant::SessionPresent, detail);
            }
            _ => {}
        }
    }

    pub(super) fn ended(&mut self, at: usize, by_server: bool) {
        if self.lines[at].stage == Stage::Over {
            return;
        }
        let line = &self.lines[at];
        let silent_for = self.now - line.last_heard;
        let is_silent = line.patience.is_some_and(|patience| silent_for + self.terms.slack >= patience);
        let is_excused = line.excuse.is_some() || self.may_close_for_shortage(line);
        if by_server && !self.is_down && line.stage == Stage::In && !is_excused {
            if !is_silent {
                let patience = line.patience;
                let why = match line.said_goodbye {
                    Some(reason) => format!(" with {reason}"),
                    None => String::new(),
                };
                let (invariant, but) = match patience {
                    Some(patience) if line.said_goodbye == Some(ReasonCode::KeepAliveTimeout) => (
                        Invariant::KeepAlive,
                        format!(
                            "it was heard {:.3} s ago, and the limit is {:.1} s",
                            silent_for.as_secs_f64(),
                            patience.as_secs_f64()
                        ),
                    ),
                    _ => (Invariant::StaysOpen, "nothing was wrong".to_owned()),
                };
                self.breach(invariant, format!("the server closes a connection{why}: {but}"));
            }
            // [MQTT-3.1.4-3]
        } else if by_server && line.taken_over.is_some() && line.version.has_properties() && line.stage == Stage::In {
            let told = line.said_goodbye;
            let was_leaving = line.excuse == Some("the client has said DISCONNECT");
            if told != Some(ReasonCode::SessionTakenOver) && !was_leaving && !is_silent && told.is_none() {
                let detail = "a client whose session is taken over is not told so".to_owned();
                self.breach(Invariant::TakeOver, detail);
            }
        }
        if by_server && self.is_short() {
            self.perhaps_refuses(at);
        }
        let was_in = self.lines[at].stage == Stage::In;
        let is_taken_over = self.lines[at].taken_over.is_some();
        if by_server && is_silent {
            self.came(Situation::KeepAlive);
        }
        let was_asking = self.lines[at].stage == Stage::Asked;
        self.lines[at].stage = Stage::Over;
        self.lines[at].over_since = (!by_server).then_some(self.now);
        if was_asking && let Some(session) = self.lines[at].session {
            // It may have been let in, and has left.
            match self.lines[at].connect.take() {
                Some(connect) => self.perhaps_let_in(session, &connect),
                // Who was refused has no session that was not there before.
                None if self.sessions[session].is_here(self.lines[at].asked) == Some(false) => {}
                None => self.loosen_session(session),
            }
        }
        let Some(session) = self.lines[at].session.filter(|_| was_in) else { return };
        if self.sessions[session].line != Some(at) {
            return;
        }
        self.leaves(session, is_taken_over);
    }

    /// The session has no connection any more.
    pub(super) fn leaves(&mut self, session: usize, is_taken_over: bool) {
        let (now, slack) = (self.now, self.terms.slack);
        let of = &mut self.sessions[session];
        let line = of.line.take();
        // What need not wait is lost with the connection; but for what is retained, which the next one may still ask for.
        of.owed.retain(|owed| owed.only_on.is_none() || owed.only_on != line || owed.why == Why::Retained);
        let waiting = of.owed.iter_mut().chain(&mut of.copies);
        waiting.filter(|owed| owed.may_be_lost()).for_each(|owed| owed.is_due = false);
        let ends = match of.expiry {
            u32::MAX => None,
            seconds => Some(now + Duration::from_secs(u64::from(seconds))),
        };
        of.life = match ends {
            None => Life::Here,
            // Whether it lives until its successor is let in, is a matter of taste.
            Some(ends) if is_taken_over && of.expiry == 0 => Life::Until(ends, ends + Duration::from_secs(1)),
            Some(ends) => Life::Until(ends, ends + slack),
        };
        self.will_is_due(session, ends);
        let keeps = self.sessions[session].lasts();
        self.share_loses(session, keeps);
        if self.sessions[session].expiry == 0 && !is_taken_over {
            let of = &mut self.sessions[session];
            if of.longest > 0 {
                // Those that were completed lately as well: nobody was told that it is known.
                let lately = std::mem::take(&mut of.lately).into_iter().map(|(_, sending)| sending);
                let mut sending: Vec<_> = of.sending.drain(..).chain(lately).collect();
                sending.sort_by_key(|sending| sending.number);
                of.ghost = Some(Ghost {
                    at: now,
                    subscriptions: std::mem::take(&mut of.subscriptions),
                    owed: std::mem::take(&mut of.owed),
                    sending,
                });
            }
            of.clear();
            of.life = Life::None;
        }
    }

    /// Session Expiry Interval in seconds, as CONNECT asks for it: CONNACK says so where another one holds (section 3.2.2.3.2).
    pub(super) fn expiry_of(connect: &Connect) -> u32 {
        match (connect.version.has_properties(), connect.clean_start) {
            (true, _) => connect.properties.session_expiry_interval().unwrap_or(0),
            (false, true) => 0,
            // Before 5.0 nobody can say for how long.
            (false, false) => u32::MAX,
        }
    }

    /// A CONNECT came that was never answered: it may have ended the session, or begun one.
    pub(super) fn loosen_session(&mut self, session: usize) {
        self.share_loses(session, false);
        let now = self.now;
        let of = &mut self.sessions[session];
        if of.line.is_none() {
            of.life = Life::Until(now, Duration::MAX);
        }
        of.owed.iter_mut().chain(&mut of.copies).for_each(|owed| owed.is_due = false);
        of.subscriptions.iter_mut().for_each(|subscribed| subscribed.is_going = true);
        of.perhaps_sending.append(&mut of.sending);
        let received = std::mem::take(&mut of.received);
        of.perhaps_received.extend(received.into_iter().map(|id| (id, None)));
        of.was_cut = true;
        // A will that waits may be cancelled by it, or sent with the end of the session.
        if of.will.as_ref().is_some_and(Will::waits) {
            self.loosen_will(session, false);
        }
    }

    /// The session is discarded: by Clean Start, or because it has expired.
    pub(super) fn session_ends(&mut self, session: usize) {
        // [MQTT-3.1.2-8] Its will does not wait any longer.
        if let Some(will) = self.sessions[session].will.take() {
            self.will_goes_now(session, will);
        }
        self.share_loses(session, false);
        self.sessions[session].clear();
        self.sessions[session].life = Life::None;
    }

    pub(super) fn next_keep_alive(&self) -> Option<Duration> {
        let due = |line: &Line| {
            let patience = line.patience.filter(|_| line.stage == Stage::In)?;
            Some(line.last_heard + patience + self.terms.slack)
        };
        self.lines.iter().filter_map(due).filter(|due| *due > self.now).min()
    }

    /// [MQTT-3.1.2-22]
    pub(super) fn keep_alives_due(&mut self) {
        for at in 0..self.lines.len() {
            let line = &mut self.lines[at];
            let Some(patience) = line.patience.filter(|_| line.stage == Stage::In) else { continue };
            if line.last_heard + patience + self.terms.slack <= self.now {
                line.patience = None;
                let detail =
                    format!("a client is silent for more than {:.1} s and still served", patience.as_secs_f64());
                self.breach(Invariant::KeepAlive, detail);
            }
        }
    }
}
