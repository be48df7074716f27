//! Connections that never become a client's: nothing comes on them, or no CONNECT, or one that must not be let in. The server closes them,
//! says no at most, and does nothing else for them (sections 3.1 and 3.1.4).

use std::time::Duration;

use squall_codec::{
    error::DecodeError,
    packet::{Connect, Packet},
    reason::ReasonCode,
    version::Version,
};

use super::{
    Model, Situation,
    bounds::Room,
    connection::{Line, Stage},
};
use crate::invariants::Invariant;

/// What is said to somebody who is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Not a word.
    Nothing,
    /// A CONNACK that says no, perhaps.
    Perhaps,
    /// The same, and if so for this reason.
    PerhapsThat(ReasonCode),
    /// A CONNACK that says no, for this reason.
    That(ReasonCode),
}

impl Told {
    /// Where the first packet is none, as far as that is known.
    fn behind(version: Option<Version>, error: Option<&DecodeError>) -> Self {
        match (version, error) {
            // [MQTT-3.1.2-1] [MQTT-3.1.2-2]
            (_, Some(DecodeError::ProtocolName { .. } | DecodeError::UnsupportedVersion { .. })) => {
                Told::PerhapsThat(ReasonCode::UnsupportedProtocolVersion)
            }
            // 3.1.1 [MQTT-3.1.3-8], and section 3.1 of 3.1: later versions have nothing against it.
            (_, Some(DecodeError::EmptyClientId)) => Told::That(ReasonCode::ClientIdentifierNotValid),
            // Section 3.2: CONNACK answers CONNECT. 3.1.1 [MQTT-3.1.4-1]
            (_, Some(DecodeError::NotConnect { .. })) | (Some(Version::V3_1 | Version::V3_1_1), Some(_)) => {
                Told::Nothing
            }
            _ => Told::Perhaps,
        }
    }
}

/// What is wrong with bytes that are no packet.
fn malformed(error: Option<&DecodeError>) -> String {
    let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
    format!("bytes come that are no packet{why}")
}

impl Model {
    /// CONNECT came, and must not be let in, whatever else holds: as if nobody had come, but that its client may be told so.
    pub(super) fn wants_too_much(&mut self, at: usize, connect: &Connect) -> bool {
        let Some(told) = self.must_refuse(connect) else { return false };
        let what = self.why_refused(connect);
        if told == Told::Perhaps {
            let is_for_its_will = self.terms.offers.refuse(connect);
            self.came(if is_for_its_will { Situation::WillRefused } else { Situation::NoRoomForSession });
        }
        let line = &mut self.lines[at];
        line.version = connect.version();
        line.maximum_packet_size = connect.properties().maximum_packet_size();
        self.is_no_client(at, told, what);
        true
    }

    /// What is said to this client, if it must not be let in.
    pub(super) fn must_refuse(&self, connect: &Connect) -> Option<Told> {
        // Section 3.1 of 3.1: "If the Client Identifier contains more than 23 characters" …
        if connect.version() == Version::V3_1 && connect.client_id().chars().count() > 23 {
            return Some(Told::That(ReasonCode::ClientIdentifierNotValid));
        }
        let is_refused = self.terms.offers.refuse(connect) || self.has_room_for_session(connect) == Room::None;
        is_refused.then_some(Told::Perhaps)
    }

    /// The same in words.
    fn why_refused(&self, connect: &Connect) -> String {
        let letters = connect.client_id().chars().count();
        if connect.version() == Version::V3_1 && letters > 23 {
            format!("a Client Identifier of {letters} letters, where MQTT 3.1 allows 23")
        } else if self.terms.offers.refuse(connect) {
            "a CONNECT whose will the server does not offer to publish".to_owned()
        } else {
            format!("a CONNECT for one more session than the server has room for, {}", self.terms.sessions)
        }
    }

    /// Bytes came that are no packet.
    pub(super) fn malformed(&mut self, at: usize, version: Option<Version>, error: Option<&DecodeError>) {
        match self.lines[at].stage {
            Stage::Open => self.is_no_client(at, Told::behind(version, error), malformed(error)),
            _ => self.breaks_the_rules(at, malformed(error)),
        }
    }

    /// [MQTT-3.1.0-1] The first packet is not one that lets a client in.
    pub(super) fn is_no_client(&mut self, at: usize, told: Told, what: String) {
        if self.lines[at].violated.is_none() && !self.is_down {
            self.came(Situation::NoClient);
            self.lines[at].to_be_told = told;
        }
        self.breaks_the_rules(at, what);
    }

    /// What is said to somebody who is not to be let in: at most a CONNACK that says no ([MQTT-3.2.0-1], [MQTT-3.2.2-6], [MQTT-3.14.0-1]).
    pub(super) fn turns_away(&mut self, at: usize, packet: &Packet) {
        let line = &mut self.lines[at];
        let detail = match (packet, line.to_be_told) {
            (Packet::Connack(connack), _) if !connack.reason.is_failure() => {
                format!("{}: it has to be refused, and is let in", line.wrong)
            }
            (Packet::Connack(connack), _) if connack.session_present => {
                "Session Present is 1 where CONNACK says no".to_owned()
            }
            (Packet::Connack(connack), Told::PerhapsThat(reason) | Told::That(reason)) if connack.reason != reason => {
                format!("CONNACK says {}, and {reason} is why", connack.reason)
            }
            (Packet::Connack(connack), Told::Perhaps | Told::PerhapsThat(_) | Told::That(_))
                if line.said_goodbye.is_none() =>
            {
                line.said_goodbye = Some(connack.reason);
                return;
            }
            (packet, _) => format!("{} is sent to somebody who was not let in", packet.kind()),
        };
        self.breach(Invariant::Admits, detail);
    }

    /// The server closes a connection on which no client was let in.
    pub(super) fn shows_out(&mut self, at: usize) {
        let line = &self.lines[at];
        let detail = match (line.violated, line.to_be_told) {
            (Some(_), Told::That(reason)) if line.said_goodbye.is_none() => {
                // Before 5.0 the codes were others.
                let said = if line.version.has_properties() { reason.to_string() } else { in_3_1(reason) };
                format!("{}: CONNACK has to say {said}, and the connection is closed without", line.wrong)
            }
            (None, _) if self.now + self.terms.slack < line.opened + self.terms.connect_timeout => {
                "the server closes a connection whose client may still say CONNECT".to_owned()
            }
            (None, _) => return self.came(Situation::NeverConnected),
            _ => return,
        };
        let since = line.violated.unwrap_or(self.now);
        self.breach_on(Invariant::Admits, detail, at, since);
    }

    /// Section 3.1.4: until then CONNECT has to come.
    pub(super) fn connect_due(&self, line: &Line) -> Option<Duration> {
        let waits = line.stage == Stage::Open && line.violated.is_none() && !line.is_overdue;
        waits.then(|| line.opened + self.terms.connect_timeout + self.terms.slack)
    }

    pub(super) fn next_connect(&self) -> Option<Duration> {
        self.lines.iter().filter_map(|line| self.connect_due(line)).filter(|due| *due > self.now).min()
    }

    /// Whoever has not said CONNECT by now has to be gone.
    pub(super) fn connects_due(&mut self) {
        for at in 0..self.lines.len() {
            if self.connect_due(&self.lines[at]).is_some_and(|due| due <= self.now) {
                self.lines[at].is_overdue = true;
                let timeout = self.terms.connect_timeout.as_secs_f64();
                let detail = format!("a connection on which no CONNECT came for {timeout:.1} s is still open");
                self.breach_on(Invariant::Admits, detail, at, self.now);
            }
        }
    }
}

/// A reason as CONNACK of 3.1 and 3.1.1 has it.
pub(super) fn in_3_1(reason: ReasonCode) -> String {
    match reason.connack_return_code() {
        Some(code) => format!("return code {code:#04x}"),
        None => reason.to_string(),
    }
}
