//! Enhanced authentication (section 4.12): the exchange of AUTH packets, whatever its method.

use std::{fmt, time::Duration};

use bytes::Bytes;
use squall_codec::{
    packet::{Auth, Connack, Packet},
    property::{Properties, Property},
    reason::ReasonCode,
    wire::Text,
};

use super::{
    client::{Client, Phase},
    effect::{DisconnectCause, Effect, Failure, Outcome, Token},
    redirection::After,
};

/// A way of proving who one is, named by the Authentication Method of CONNECT. Each connection, and each
/// re-authentication, is an exchange of its own.
pub trait Method: fmt::Debug + Send + Sync {
    /// Authentication Method.
    fn name(&self) -> Text;

    /// A new exchange.
    fn begin(&self) -> Box<dyn Exchange>;

    /// Whether an answer may take longer than packets should wait for it: it is then worked out beside everything else.
    fn is_slow(&self) -> bool {
        false
    }
}

/// One exchange. What goes wrong is said in words for people; they must hold no secret.
pub trait Exchange: fmt::Debug + Send {
    /// Authentication Data of CONNECT, or of the AUTH that asks for re-authentication.
    fn first(&mut self) -> Option<Bytes>;

    /// The answer to the Authentication Data of an AUTH of the server.
    ///
    /// # Errors
    /// The exchange cannot go on: the connection ends.
    fn answer(&mut self, data: Option<&[u8]>) -> Result<Option<Bytes>, String>;

    /// The server says that it is convinced. What it sent beside that may have to convince the client.
    ///
    /// # Errors
    /// The server is not who it should be: the connection ends.
    fn finish(&mut self, data: Option<&[u8]>) -> Result<(), String>;
}

/// An exchange between two packets.
#[derive(Debug)]
pub(super) enum Running {
    Here(Box<dyn Exchange>),
    /// Its answer to this question is being worked out.
    Thinking(u64),
}

/// What the server asked of an exchange.
#[derive(Debug)]
pub struct Question {
    number: u64,
    exchange: Box<dyn Exchange>,
    data: Option<Bytes>,
}

/// What the exchange says to it.
#[derive(Debug)]
pub struct Answer {
    number: u64,
    exchange: Box<dyn Exchange>,
    said: Result<Option<Bytes>, String>,
}

impl Question {
    /// Works out the answer. It may take a second.
    pub fn answer(mut self) -> Answer {
        let said = self.exchange.answer(self.data.as_deref());
        Answer { number: self.number, exchange: self.exchange, said }
    }
}

impl Client {
    /// Properties of CONNECT, and the exchange that they begin.
    pub(super) fn begin_authentication(&self) -> (Properties, Option<Running>) {
        match &self.options.authentication {
            Some(method) if self.options.version.has_properties() => {
                let mut exchange = method.begin();
                (data(method.name(), exchange.first()), Some(Running::Here(exchange)))
            }
            _ => (Properties::new(), None),
        }
    }

    /// AUTH came before CONNACK.
    pub(super) fn handle_auth_in_handshake(&mut self, now: Duration, auth: &Auth) {
        let method = self.method_name();
        let Phase::Handshake { exchange, .. } = &mut self.phase else { return };
        let Some(exchange) = exchange else {
            // [MQTT-4.12.0-6]; an X-rule too: no AUTH without an Authentication Method in CONNECT.
            return self.violation(now, ReasonCode::ProtocolError, "AUTH without an Authentication Method in CONNECT");
        };
        // [MQTT-4.12.0-2] Continue Authentication is what a server says here; [MQTT-4.12.0-5] with the same method.
        if auth.reason != ReasonCode::ContinueAuthentication {
            return self.violation(now, ReasonCode::ProtocolError, format!("AUTH with {} before CONNACK", auth.reason));
        }
        if auth.properties.authentication_method() != method.as_ref() {
            return self.violation(now, ReasonCode::ProtocolError, "AUTH with another Authentication Method");
        }
        let number = self.questions;
        let Running::Here(asked) = std::mem::replace(exchange, Running::Thinking(number)) else {
            return self.violation(now, ReasonCode::ProtocolError, "AUTH before the last one was answered");
        };
        self.ask_exchange(now, asked, auth);
    }

    /// The exchange has left its place, under the number of this question.
    fn ask_exchange(&mut self, now: Duration, exchange: Box<dyn Exchange>, auth: &Auth) {
        let number = self.questions;
        self.questions += 1;
        let question = Question { number, exchange, data: auth.properties.authentication_data().cloned() };
        match self.options.authentication.as_ref().is_some_and(|method| method.is_slow()) {
            true => self.effects.push(Effect::Authenticate(question)),
            false => self.handle_answer(now, question.answer()),
        }
    }

    /// An answer is there. One for an exchange that has ended meanwhile is passed over.
    pub(super) fn handle_answer(&mut self, now: Duration, answer: Answer) {
        let Answer { number, exchange, said } = answer;
        let (running, token) = match &mut self.phase {
            Phase::Handshake { exchange: Some(running), .. } => (running, None),
            Phase::Connected(connection) => match &mut connection.reauthentication {
                Some((token, running)) => (running, Some(*token)),
                None => return,
            },
            _ => return,
        };
        if !matches!(running, Running::Thinking(asked) if *asked == number) {
            return;
        }
        match said {
            Ok(data) => {
                *running = Running::Here(exchange);
                self.send_auth(now, ReasonCode::ContinueAuthentication, data);
            }
            Err(detail) => {
                if let Phase::Connected(connection) = &mut self.phase {
                    connection.reauthentication = None;
                }
                self.fail(token, Failure::ConnectionLost);
                self.authentication_failed(now, detail);
            }
        }
    }

    /// CONNACK says success: whether the server has proven itself. If not, the connection has ended.
    pub(super) fn finish_authentication(&mut self, now: Duration, connack: &Connack) -> bool {
        let method = self.method_name();
        let Phase::Handshake { exchange, .. } = &mut self.phase else { return false };
        let said = connack.properties.authentication_method();
        let Some(mut exchange) = exchange.take() else {
            // [MQTT-4.12.0-6] None was asked for.
            if said.is_some() {
                self.violation(
                    now,
                    ReasonCode::ProtocolError,
                    "CONNACK with an Authentication Method nobody asked for",
                );
            }
            return said.is_none();
        };
        // [MQTT-4.12.0-5] The same method in CONNACK. Where it is missing there is no data either, and the method decides.
        if said.is_some() && said != method.as_ref() {
            self.violation(now, ReasonCode::ProtocolError, "CONNACK with another Authentication Method");
            return false;
        }
        let Running::Here(exchange) = &mut exchange else {
            self.authentication_failed(now, "the server is convinced before it was answered".to_owned());
            return false;
        };
        match exchange.finish(connack.properties.authentication_data().map(|data| &data[..])) {
            Ok(()) => true,
            Err(detail) => {
                self.authentication_failed(now, detail);
                false
            }
        }
    }

    /// The application wants to authenticate anew.
    pub(super) fn handle_reauthenticate(&mut self, now: Duration, token: Token) {
        let Some(method) = self.options.authentication.clone().filter(|_| self.options.version.has_properties()) else {
            return self.fail(Some(token), Failure::NoAuthentication { what: "no method" });
        };
        let Phase::Connected(connection) = &mut self.phase else {
            // The next connection authenticates anyway.
            return self.fail(Some(token), Failure::Disconnected);
        };
        if connection.reauthentication.is_some() {
            return self.fail(Some(token), Failure::NoAuthentication { what: "an exchange that is not over" });
        }
        let mut exchange = method.begin();
        let first = exchange.first();
        connection.reauthentication = Some((token, Running::Here(exchange)));
        // [MQTT-4.12.1-1] With the method of CONNECT.
        self.send_auth(now, ReasonCode::ReAuthenticate, first);
    }

    /// AUTH came after CONNACK.
    pub(super) fn handle_auth(&mut self, now: Duration, auth: &Auth) {
        let method = self.method_name();
        let Phase::Connected(connection) = &mut self.phase else { return };
        let Some((token, running)) = connection.reauthentication.take() else {
            // [MQTT-4.12.0-6] Without a method no AUTH comes; with one, none that this client did not begin.
            return self.violation(now, ReasonCode::ProtocolError, "AUTH that belongs to no exchange");
        };
        let said = auth.properties.authentication_method();
        // [MQTT-4.12.0-5] The short form of AUTH, which says success, names no method.
        let short = auth.reason == ReasonCode::Success && auth.properties.is_empty();
        let (Running::Here(mut exchange), true) = (running, said == method.as_ref() || short) else {
            self.fail(Some(token), Failure::ConnectionLost);
            let detail = "AUTH with another Authentication Method, or before the last one was answered";
            return self.violation(now, ReasonCode::ProtocolError, detail);
        };
        let ended = match auth.reason {
            ReasonCode::Success => exchange.finish(auth.properties.authentication_data().map(|data| &data[..])),
            ReasonCode::ContinueAuthentication => {
                connection.reauthentication = Some((token, Running::Thinking(self.questions)));
                return self.ask_exchange(now, exchange, auth);
            }
            // The codec lets nothing else pass from a server.
            _ => Err("an unexpected AUTH".to_owned()),
        };
        match ended {
            Ok(()) => self.done(Some(token), Outcome::Reauthenticated),
            Err(detail) => {
                self.fail(Some(token), Failure::ConnectionLost);
                self.authentication_failed(now, detail);
            }
        }
    }

    /// The server is not believed, or the method cannot go on. Another try would fare no better.
    fn authentication_failed(&mut self, now: Duration, detail: String) {
        if self.is_connected() {
            // [MQTT-4.12.1-2] is what a server does; a client that does not believe says so in the same way.
            let packet = squall_codec::packet::Disconnect::new(ReasonCode::UnspecifiedError);
            self.send(now, Packet::Disconnect(packet));
        }
        self.effects.push(Effect::Close);
        self.end(now, DisconnectCause::Authentication(detail), After::Nothing);
    }

    // [MQTT-4.12.0-7] Without a method no AUTH leaves. [MQTT-3.15.2-2], [MQTT-3.15.2-3] It has neither Reason String nor
    // User Properties.
    // [MQTT-4.12.0-3] AUTH of a client says Continue Authentication, or Re-authenticate at first.
    fn send_auth(&mut self, now: Duration, reason: ReasonCode, answer: Option<Bytes>) {
        let Some(method) = self.method_name() else { return };
        self.send(now, Packet::Auth(Auth { reason, properties: data(method, answer) }));
    }

    fn method_name(&self) -> Option<Text> {
        self.options.authentication.as_ref().map(|method| method.name())
    }
}

fn data(method: Text, data: Option<Bytes>) -> Properties {
    let properties = Properties::new().with(Property::AuthenticationMethod(method));
    match data {
        Some(data) => properties.with(Property::AuthenticationData(data)),
        None => properties,
    }
}
