//! What passes on one connection: who comes in, who is taken over, who is silent for too long, and how it ends.

use std::{collections::BTreeMap, time::Duration};

use squall_codec::{
    packet::{Connect, Packet},
    reason::ReasonCode,
    topic::TopicName,
    version::Version,
};

use super::{
    Model, Offers, Situation,
    answers::Answers,
    bounds::Room,
    keeping::UNSURE_FOR,
    session::{Ghost, Life, Why},
    strangers::Told,
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
    /// When the client has broken a rule, or was refused: the server has to close it.
    pub(super) violated: Option<Duration>,
    /// What was wrong then, in words.
    pub(super) wrong: String,
    /// Why the server may close it.
    pub(super) excuse: Option<&'static str>,
    /// What is said to its client, where it is not to be let in.
    pub(super) to_be_told: Told,
    pub(super) opened: Duration,
    /// There was room for its session when CONNECT came, beyond doubt.
    pub(super) has_room: bool,
    /// What DISCONNECT has said before CONNACK: Session Expiry Interval in seconds.
    pub(super) said_expiry: Option<u32>,
    /// CONNECT is due since then, and that was told.
    pub(super) is_overdue: bool,
    pub(super) last_heard: Duration,
    /// When CONNECT came: what it finds is what there was then, however late CONNACK is.
    pub(super) asked: Duration,
    /// One and a half times the Keep Alive in force.
    pub(super) patience: Option<Duration>,
    /// Another connection has the same Client Identifier since then: this one has to go.
    pub(super) taken_over: Option<Duration>,
    /// CONNECT of 5.0 had no Session Expiry Interval, or 0: DISCONNECT has to leave it at that.
    pub(super) keeps_nothing: bool,
    /// DISCONNECT has been sent to the client.
    pub(super) said_goodbye: Option<ReasonCode>,
    /// When the client has ended it.
    over_since: Option<Duration>,
    /// What the client's Topic Aliases mean, and the server's.
    pub(super) aliases: [BTreeMap<u16, TopicName>; 2],
    pub(super) answers: Answers,
    pub(super) receive_maximum: u16,
    /// As CONNACK has it.
    pub(super) offers: Offers,
    pub(super) alias_maximum: u16,
    /// As CONNACK has it.
    pub(super) server_alias_maximum: u16,
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

    /// Its client has not been heard for as long as it may be silent, but for this slack.
    pub(super) fn is_silent(&self, now: Duration, slack: Duration) -> bool {
        self.patience.is_some_and(|patience| now - self.last_heard + slack >= patience)
    }
}

impl Model {
    pub(super) fn opened(&mut self, connection: usize, client: usize) {
        debug_assert_eq!(connection, self.lines.len(), "connections are numbered in their order");
        let room = self.has_room_for_connection();
        self.lines.push(Line {
            client,
            stage: Stage::Open,
            session: None,
            version: Version::V5_0,
            connect: None,
            violated: None,
            wrong: String::new(),
            excuse: None,
            to_be_told: Told::Perhaps,
            opened: self.now,
            has_room: true,
            said_expiry: None,
            is_overdue: false,
            last_heard: self.now,
            asked: self.now,
            patience: None,
            taken_over: None,
            said_goodbye: None,
            over_since: None,
            keeps_nothing: false,
            aliases: Default::default(),
            answers: Answers::default(),
            receive_maximum: u16::MAX,
            offers: Offers::EVERYTHING,
            alias_maximum: 0,
            server_alias_maximum: 0,
            maximum_packet_size: None,
        });
        self.wake_at(self.now + self.terms.connect_timeout + self.terms.slack);
        if room == Room::None && !self.is_down {
            self.came(Situation::NoRoomForConnection);
            let line = &mut self.lines[connection];
            (line.excuse, line.to_be_told) = (Some("there is no room for a connection"), Told::Nothing);
            self.has_to_close(connection, "there is no room for another connection".to_owned());
        }
    }

    pub(super) fn server_gets(&mut self, at: usize, packet: &Packet) {
        if self.is_down {
            match (packet, self.lines[at].session) {
                (Packet::Connect(connect), None) if self.must_refuse(connect).is_none() => {
                    self.connects_at_farewell(at, connect);
                }
                (_, Some(session)) => self.heard_at_farewell(at, session, packet),
                _ => {}
            }
        }
        let line = &mut self.lines[at];
        if line.stage == Stage::Over || self.is_down {
            return;
        }
        line.last_heard = self.now;
        let (stage, is_broken) = (line.stage, line.violated.is_some());
        if let Some(patience) = line.patience {
            let due = self.now + patience + self.terms.slack;
            self.wake_at(due);
        }
        if is_broken {
            return;
        }
        match packet {
            Packet::Connect(connect) if stage == Stage::Open => {
                if !self.wants_too_much(at, connect) {
                    self.connects(at, connect);
                }
                return;
            }
            // [MQTT-3.1.0-1]
            _ if stage == Stage::Open => {
                return self.is_no_client(at, Told::Nothing, format!("{} comes before CONNECT", packet.kind()));
            }
            _ if self.lines[at].forbids(packet) => {
                if self.lines[at].was_told_otherwise(packet) {
                    self.came(Situation::NotOnOffer);
                }
                let what = match self.lines[at].was_told_otherwise(packet) {
                    true => format!("{} asks for what CONNACK has said is not to be had", packet.kind()),
                    false => format!("no client may send this {} here", packet.kind()),
                };
                return self.breaks_the_rules(at, what);
            }
            _ => {}
        }
        let Some(session) = self.lines[at].session.filter(|_| self.lines[at].stage == Stage::In) else {
            // Section 3.1.4: nobody has to wait for CONNACK; the library does, but to go away.
            if let (Packet::Disconnect(disconnect), Stage::Asked) = (packet, self.lines[at].stage) {
                self.lines[at].excuse = Some("the client has said DISCONNECT");
                self.lines[at].said_expiry = disconnect.properties.session_expiry_interval();
                return;
            }
            return self.breach(Invariant::Answers, format!("a client sent {} before it was let in", packet.kind()));
        };
        match packet {
            Packet::Publish(publish) => match self.has_room_for_exchange(at, session, publish) {
                Room::None => {
                    self.came(Situation::TooManyOpen);
                    let what = "one more message is open than Receive Maximum lets be".to_owned();
                    self.breaks_the_rules(at, what);
                }
                room => {
                    if room == Room::Perhaps {
                        self.lines[at].excuse = Some("its client has perhaps more open than Receive Maximum");
                    }
                    self.published(at, session, publish, room);
                }
            },
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
                    of.shortest = of.shortest.min(expiry);
                }
                // [MQTT-3.14.4-3] Every other reason leaves the will to be published.
                if disconnect.reason == ReasonCode::NORMAL_DISCONNECTION {
                    self.will_is_discarded(session);
                }
            }
            _ => {}
        }
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
            Stage::Open if !self.is_down && self.lines[at].violated.is_some() => return self.turns_away(at, packet),
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
                self.says_why(at, disconnect.reason);
                // Bounds that are reached: the client was told why.
                if matches!(disconnect.reason, ReasonCode::QuotaExceeded | ReasonCode::ServerBusy) {
                    self.lines[at].excuse = Some("a bound was reached");
                }
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
        let is_silent = line.is_silent(self.now, self.terms.slack);
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
                            "its client was heard {:.3} s ago, and may be silent for {:.1} s, 1.5 times the Keep Alive of {} s that holds",
                            silent_for.as_secs_f64(),
                            patience.as_secs_f64(),
                            patience.as_secs_f64() / 1.5
                        ),
                    ),
                    _ => (Invariant::StaysOpen, "nothing was wrong".to_owned()),
                };
                self.breach(invariant, format!("the server closes a connection{why}: {but}"));
            }
        } else if by_server && !self.is_down && line.stage == Stage::Open {
            self.shows_out(at);
        } else if by_server && !self.is_down && line.stage == Stage::Asked && line.connect.is_some() {
            if !is_excused {
                self.closes_unanswered(at);
            }
            // [MQTT-3.1.4-3]
        } else if by_server && line.taken_over.is_some() && line.version.has_properties() && line.stage == Stage::In {
            let told = line.said_goodbye;
            let was_leaving = line.excuse == Some("the client has said DISCONNECT");
            if told != Some(ReasonCode::SessionTakenOver) && !was_leaving && !is_silent {
                let told = told.map_or("nothing".to_owned(), |reason| reason.to_string());
                let detail = format!("a client whose session is taken over is told {told}");
                self.breach(Invariant::TakeOver, detail);
            }
        }
        // Who leaves before may have been refused too: a store that fails keeps answers back.
        if self.is_short() {
            self.perhaps_refuses(at);
        }
        self.leaves_unanswered(at);
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
                Some(connect) => self.perhaps_let_in(at, session, &connect),
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
                let open = of.sending.drain(..).chain(of.perhaps_sending.drain(..));
                let mut sending: Vec<_> = open.chain(lately).collect();
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
            of.ended = Some((now, "ended with its connection, for its Session Expiry Interval was 0,"));
        }
    }

    /// The session is discarded: by Clean Start, or because it has expired.
    pub(super) fn session_ends(&mut self, session: usize) {
        // [MQTT-3.1.2-8] Its will does not wait any longer.
        if let Some(will) = self.sessions[session].will.take() {
            self.will_goes_now(session, will);
        }
        self.share_loses(session, false);
        let of = &mut self.sessions[session];
        of.clear();
        of.life = Life::None;
        of.ended = Some((self.now, "was discarded by Clean Start, or expired,"));
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
        let is_narrow = self.is_narrow();
        for at in 0..self.lines.len() {
            let line = &mut self.lines[at];
            let Some(patience) = line.patience.filter(|_| line.stage == Stage::In) else { continue };
            if line.last_heard + patience + self.terms.slack <= self.now {
                // A publisher is not listened to while those lag for whom its messages are: its silence does not count then.
                if is_narrow {
                    continue;
                }
                line.patience = None;
                let detail =
                    format!("a client is silent for more than {:.1} s and still served", patience.as_secs_f64());
                self.breach(Invariant::KeepAlive, detail);
            }
        }
    }
}
