//! Who is let in, and what becomes of the session that CONNECT asks for.

use std::time::Duration;

use squall_codec::{
    packet::{Connack, Connect},
    version::Version,
    wire::Text,
};

use super::{
    Model, Situation,
    bounds::Room,
    connection::Stage,
    session::{Life, Session},
    strangers::in_3_1,
    will::Will,
};
use crate::invariants::Invariant;

impl Model {
    pub(super) fn connects(&mut self, at: usize, connect: &Connect) {
        self.lines[at].has_room = self.has_room_for_session(connect) == Room::Enough;
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
        if (self.is_short() || !self.lines[at].has_room) && (connect.clean_start || older.is_some()) {
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
        let (next, id) = (self.sessions.len(), connect.client_id().to_text());
        // [MQTT-3.1.3-6] Who has no name has a session of its own, whoever else has none.
        let session = if id.is_empty() { next } else { *self.ids.entry(id).or_insert(next) };
        if session == next {
            let name = connect.client_id();
            let name = if name.as_str().is_empty() { "a client without a name" } else { name.as_str() };
            self.sessions.push(Session::new(name.into()));
        }
        let line = &mut self.lines[at];
        line.asked = self.now;
        line.session = Some(session);
        line.version = connect.version();
        let expiry = connect.properties().session_expiry_interval();
        line.keeps_nothing = line.version.has_properties() && expiry.unwrap_or(0) == 0;
        line.receive_maximum = connect.properties().receive_maximum().unwrap_or(u16::MAX);
        line.alias_maximum = connect.properties().topic_alias_maximum().unwrap_or(0);
        line.maximum_packet_size = connect.properties().maximum_packet_size();
        session
    }

    /// A server that says farewell may still let somebody in.
    pub(super) fn connects_at_farewell(&mut self, at: usize, connect: &Connect) {
        let session = self.asks(at, connect);
        self.perhaps_let_in(at, session, connect);
    }

    /// This CONNECT will never be answered: whoever sent it may have a session afterwards.
    pub(super) fn perhaps_let_in(&mut self, at: usize, session: usize, connect: &Connect) {
        self.loosen_session(session);
        let asked = Self::expiry_of(connect);
        // Section 3.1.4: the DISCONNECT that came behind it counts as one on a connection that was let in. Section 3.14.2.2.2: not where
        // the session was to end with the connection.
        let said = self.lines[at].said_expiry.filter(|_| asked > 0).unwrap_or(0);
        let asked = asked.max(said.min(self.terms.maximum_session_expiry));
        let of = &mut self.sessions[session];
        of.longest = of.longest.max(asked);
        // Who is still connected has what was granted.
        if of.line.is_none() || self.is_down {
            of.expiry = of.expiry.max(asked);
        }
        self.will_perhaps(session, connect);
    }

    pub(super) fn connected(&mut self, at: usize, session: usize, connack: &Connack) {
        let Some(connect) = self.lines[at].connect.take() else {
            return self.breach(Invariant::Answers, "CONNACK came twice".to_owned());
        };
        if connack.reason.is_failure() {
            self.lines[at].excuse = Some("CONNACK says no");
            // [MQTT-3.2.2-7]; 3.1.1 [MQTT-3.2.2-5]
            self.has_to_close(at, "CONNACK has said no".to_owned());
            // [MQTT-3.2.2-6]; 3.1.1 [MQTT-3.2.2-4]
            if connack.session_present {
                self.breach(Invariant::SessionPresent, "Session Present is 1 where CONNACK says no".to_owned());
            }
            if self.lines[at].has_room {
                match self.lines[at].version.has_properties() {
                    true => self.says_no("CONNECT", &connack.reason),
                    false => self.says_no("CONNECT", &in_3_1(connack.reason)),
                }
            }
            // It was refused before anything had changed: nobody was taken over.
            if self.is_short()
                && let Some(older) = self.sessions[session].line
            {
                self.lines[older].taken_over = None;
            }
            return;
        }
        let version = connect.version();
        let keep_alive = match connack.properties.server_keep_alive() {
            Some(server) => server,
            None => connect.keep_alive,
        };
        let line = &mut self.lines[at];
        line.stage = Stage::In;
        line.server_alias_maximum = connack.properties.topic_alias_maximum().unwrap_or(0);
        line.patience = (keep_alive > 0).then(|| Duration::from_millis(1500 * u64::from(keep_alive)));
        // It counts from CONNECT, whenever CONNACK leaves.
        if let Some(patience) = line.patience {
            let due = line.last_heard + patience + self.terms.slack;
            self.wake_at(due);
        }
        self.offers(at, connack);
        self.check_session_present(at, session, &connect, connack);
        self.learn_name(session, &connect, connack);

        // 3.1 does not say whether there was one.
        let is_silent = version == Version::V3_1 && !connect.clean_start;
        let was_here = self.sessions[session].is_here(self.lines[at].asked);
        let resumes = if is_silent { was_here != Some(false) } else { connack.session_present };
        if is_silent && was_here.is_none() {
            self.loosen_session(session);
        }
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
        (of.longest, of.shortest) = (asked, asked);
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
        let will = connect.will().map(|will| will.to_owned());
        of.will = will.as_ref().map(|will| Will::armed(will, version, self.now));
        if let Some(will) = &will {
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
        if connect.clean_start || connect.version() == Version::V3_1 {
            return;
        }
        match was_here {
            Some(true) if !present => {
                let since = self.sessions[session].said_of_its_end();
                let detail = format!("Session Present is 0 for {name}, whose session has not expired{since}");
                self.breach(Invariant::SessionPresent, detail);
            }
            Some(false) if present => {
                let since = self.sessions[session].said_of_its_end();
                let detail = format!("Session Present is 1 for {name}, who has no session{since}");
                self.breach(Invariant::SessionPresent, detail);
            }
            _ => {}
        }
    }

    /// [MQTT-3.1.3-7] [MQTT-3.2.2-16] Only 5.0 has words for it.
    fn learn_name(&mut self, session: usize, connect: &Connect, connack: &Connack) {
        let is_asked_for = connect.client_id().as_str().is_empty() && connect.version().has_properties();
        match connack.properties.assigned_client_identifier() {
            Some(name) if is_asked_for && !name.is_empty() => self.is_named(session, name),
            _ if is_asked_for => {
                self.breach(Invariant::AssignedIdentifier, "a client without a name is told none".to_owned());
            }
            Some(name) => {
                let detail = format!("{name} is assigned to a client that has not asked for a name");
                self.breach(Invariant::AssignedIdentifier, detail);
            }
            None => {}
        }
    }

    fn is_named(&mut self, session: usize, name: &Text) {
        let other = self.ids.insert(name.clone(), session);
        if other.is_some_and(|other| self.sessions[other].is_here(self.now) == Some(true)) {
            let detail = format!("{name} is assigned, and is the name of another session");
            self.breach(Invariant::AssignedIdentifier, detail);
        }
        self.sessions[session].name = name.as_str().into();
    }

    /// A client without a name may be told one while the server says farewell, and has it from then on.
    pub(super) fn learn_name_at_farewell(&mut self, session: usize, connack: &Connack) {
        let is_named = self.ids.values().any(|named| *named == session);
        if let Some(name) = connack.properties.assigned_client_identifier().filter(|_| !is_named) {
            self.is_named(session, name);
        }
    }

    /// Session Expiry Interval in seconds, as CONNECT asks for it: CONNACK says so where another one holds (section 3.2.2.3.2).
    pub(super) fn expiry_of(connect: &Connect) -> u32 {
        match (connect.version().has_properties(), connect.clean_start) {
            (true, _) => connect.properties().session_expiry_interval().unwrap_or(0),
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
}
