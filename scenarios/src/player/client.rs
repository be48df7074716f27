//! A whole client in a story: it connects, keeps alive, acknowledges and reconnects by itself.

use std::{future::Future, rc::Rc, sync::Arc, time::Duration};

use squall_client::{
    core::{
        authentication::Method,
        effect::{DisconnectCause, Event},
    },
    options::{Options, Reconnect as ClientReconnect},
};
use squall_codec::{property::Property, reason::ReasonCode, wire::Text};

use crate::{
    plan::packet_ids,
    player::{proving::Credentials, scene::Scene},
    script::{
        ConnectWords, DisconnectWords, EventWords, Message, PublishWords, ReauthenticateWords, Reconnect,
        SubscribeWords, UnsubscribeWords, Verb,
    },
    stage::ClientActor,
    verdict::Halt,
    words,
};

/// How much longer than the first the longest pause before another try is.
const LONGEST_PAUSE: u32 = 10;

/// A whole client.
pub(super) struct ClientPart {
    name: String,
    actor: Option<Rc<dyn ClientActor>>,
    /// It has been connected before: a session of its own may be there.
    known: bool,
    credentials: Arc<Credentials>,
}

impl ClientPart {
    pub(super) fn new(name: &str) -> Self {
        ClientPart { name: name.to_owned(), actor: None, known: false, credentials: Credentials::new(name) }
    }

    pub(super) async fn act(&mut self, scene: &Scene<'_>, verb: &Verb) -> Result<(), Halt> {
        match verb {
            Verb::Connect(words) => self.connect(scene, words).await,
            Verb::Subscribe(words) => self.subscribe(scene, words).await,
            Verb::Unsubscribe(words) => self.unsubscribe(scene, words).await,
            Verb::Publish(words) => self.publish(scene, words).await,
            Verb::Message(message) => self.message(scene, message).await,
            Verb::Event(event) => self.event(scene, event).await,
            Verb::Reauthenticate(words) => self.reauthenticate(scene, words).await,
            Verb::Disconnect(words) => self.disconnect(words).await,
            Verb::Open(_)
            | Verb::Send(_)
            | Verb::Expect(_)
            | Verb::ExpectAll(_)
            | Verb::Acknowledge(_)
            | Verb::Close(_)
            | Verb::Closed(_)
            | Verb::Knock(_)
            | Verb::Quiet(_) => unreachable!("a script is checked: these are verbs of a peer"),
        }
    }

    fn actor(&self) -> Result<Rc<dyn ClientActor>, Halt> {
        self.actor.clone().ok_or_else(|| {
            Halt::inconclusive(format!("{} has not been started at this point of the story: connect first", self.name))
        })
    }

    fn options(&self, scene: &Scene<'_>, words: &ConnectWords) -> Options {
        let defaults = Options::new(scene.stage.version(), scene.client_id(&self.name, words));
        let clean_start = words.clean_start.unwrap_or(true);
        let (username, password) = scene.credentials(words);
        let value = |number: &crate::script::Placed<u16>| number.value;
        Options {
            clean_start,
            // A client that starts anew knows nothing of its session, and takes one that it was not told of for a fault
            // of the server.
            existing_session: self.known && !clean_start,
            keep_alive: words
                .keep_alive
                .map_or(defaults.keep_alive, |seconds| Duration::from_secs(u64::from(seconds.0))),
            session_expiry_seconds: words.session_expiry.as_ref().map(|expiry| expiry.value.0),
            receive_maximum: words.receive_maximum.as_ref().map(value),
            topic_alias_maximum: words.topic_alias_maximum.as_ref().map_or(0, value),
            maximum_packet_size: words
                .maximum_packet_size
                .as_ref()
                .map_or(defaults.maximum_packet_size, |size| size.value),
            will: words.will.as_ref().map(|will| scene.will(will)),
            username,
            password,
            user_properties: words
                .user_properties
                .iter()
                .flat_map(|placed| placed.value.properties())
                .filter_map(pair)
                .collect(),
            packet_ids: words.packet_ids().map(packet_ids).unwrap_or_default(),
            authentication: words.scram.as_ref().map(|_| Arc::clone(&self.credentials) as Arc<dyn Method>),
            reconnect: match words.reconnect.as_ref().map(|reconnect| reconnect.value) {
                None => defaults.reconnect,
                Some(Reconnect::Never) => ClientReconnect::Never,
                Some(Reconnect::After(first)) => {
                    ClientReconnect::Backoff { first: first.0, max: first.0 * LONGEST_PAUSE }
                }
            },
            // A script says itself what is subscribed to, and when.
            resubscribe: false,
            ..defaults
        }
    }

    async fn connect(&mut self, scene: &Scene<'_>, words: &ConnectWords) -> Result<(), Halt> {
        let wanted = words.reason.as_ref().map_or(ReasonCode::Success, |reason| reason.value.0);
        self.credentials.set(words.scram.as_ref().map(|scram| &scram.value));
        let options = self.options(scene, words);
        let actor = scene.stage.world().client(&self.name, options).await.map_err(Halt::inconclusive)?;
        self.actor = Some(Rc::clone(&actor));
        // Whatever becomes of the first connection: it tries again by itself, and may find a session of its own next time.
        let was_known = std::mem::replace(&mut self.known, true);
        let within = words.within.as_ref().map_or(scene.stage.patience(), |within| within.value.0);
        let expected = format!("expected CONNACK {wanted}");
        match in_time(scene, within, &expected, actor.event()).await? {
            Event::Connected { connack, .. } => {
                let but = |difference: String| Halt::fail(format!("{expected}, but {difference}"));
                scene.compare_connack_reason(wanted, &connack).map_err(but)?;
                let present = words.session_present.as_ref().map(|present| present.value);
                if present.is_some_and(|present| present != connack.session_present) {
                    let seen = u8::from(connack.session_present);
                    return Err(but(format!("its session_present is {seen}")));
                }
                Ok(())
            }
            Event::Refused { reason } if reason == wanted => {
                self.known = was_known;
                Ok(())
            }
            other => Err(Halt::fail(format!("{expected}, but {}", told(&other)))),
        }
    }

    async fn subscribe(&mut self, scene: &Scene<'_>, words: &SubscribeWords) -> Result<(), Halt> {
        let actor = self.actor()?;
        let asked = vec![scene.subscription(words)];
        let answer = actor.subscribe(asked, words.properties());
        let reasons = in_time(scene, scene.stage.patience(), "expected SUBACK", answer).await?;
        let reasons = reasons.map_err(|error| Halt::fail(format!("expected SUBACK, but {error}")))?;
        let as_asked = match words.granted.as_ref().map(|granted| granted.value.0) {
            Some(granted) => scene.compare_reasons(Some(&[crate::script::Reason(granted)]), &reasons),
            None => match reasons.iter().find(|reason| reason.is_failure()) {
                Some(reason) => Err(format!("its reason is {reason}")),
                None => Ok(()),
            },
        };
        as_asked.map_err(|difference| Halt::fail(format!("expected SUBACK, but {difference}")))
    }

    async fn unsubscribe(&mut self, scene: &Scene<'_>, words: &UnsubscribeWords) -> Result<(), Halt> {
        let actor = self.actor()?;
        let filter = words.filter.as_ref().expect("a script is checked: an UNSUBSCRIBE has a filter");
        let answer = actor.unsubscribe(vec![scene.filter(&filter.0)]);
        let reasons = in_time(scene, scene.stage.patience(), "expected UNSUBACK", answer).await?;
        reasons.map(|_| ()).map_err(|error| Halt::fail(format!("expected UNSUBACK, but {error}")))
    }

    async fn publish(&mut self, scene: &Scene<'_>, words: &PublishWords) -> Result<(), Halt> {
        let actor = self.actor()?;
        let message = scene.publish(words, None)?;
        let answer = actor.publish(message);
        match in_time(scene, scene.stage.patience(), "expected the message to be accepted", answer).await? {
            Ok(reason) if !reason.is_failure() => Ok(()),
            Ok(reason) => Err(Halt::fail(format!("expected the message to be accepted, but the reason is {reason}"))),
            Err(error) => Err(Halt::fail(format!("expected the message to be accepted, but {error}"))),
        }
    }

    async fn message(&mut self, scene: &Scene<'_>, message: &Message) -> Result<(), Halt> {
        let actor = self.actor()?;
        let start = scene.stage.now();
        let window = scene.window(message.timing());
        let waited = words::duration(window.closes.saturating_sub(start));
        let Some(publish) = scene.stage.by(window.closes, actor.message()).await else {
            return Err(Halt::fail(format!("expected a message within {waited}, but none came")));
        };
        scene
            .compare_message(message, &publish)
            .map_err(|difference| Halt::fail(format!("expected another message, but {difference}")))?;
        scene.in_time(window, scene.stage.now(), &"the message")
    }

    async fn event(&mut self, scene: &Scene<'_>, expected: &EventWords) -> Result<(), Halt> {
        let actor = self.actor()?;
        let start = scene.stage.now();
        let window = scene.window(expected.timing());
        let waited = words::duration(window.closes.saturating_sub(start));
        let event = loop {
            let Some(event) = scene.stage.by(window.closes, actor.event()).await else {
                return Err(Halt::fail(format!(
                    "expected the client to tell of its connection within {waited}, but it is silent"
                )));
            };
            // How often it tries before it succeeds is its own affair.
            if expected.connected.is_none() || !matches!(event, Event::Disconnected { reconnecting: true, .. }) {
                break event;
            }
        };
        if !as_expected(expected, &event) {
            return Err(Halt::fail(format!("expected another event, but {}", told(&event))));
        }
        scene.in_time(window, scene.stage.now(), &"the event")
    }

    /// Where a refusal is expected, the server says it in DISCONNECT, which the client tells as an event.
    async fn reauthenticate(&mut self, scene: &Scene<'_>, words: &ReauthenticateWords) -> Result<(), Halt> {
        let actor = self.actor()?;
        if let Some(scram) = &words.scram {
            self.credentials.set(Some(scram));
        }
        let wanted = words.reason.as_ref().map(|reason| reason.value.0);
        let expected = match wanted {
            None => "expected the re-authentication to succeed".to_owned(),
            Some(reason) => format!("expected the re-authentication to be refused with {reason}"),
        };
        let outcome = in_time(scene, scene.stage.patience(), &expected, actor.reauthenticate()).await?;
        let Some(wanted) = wanted else {
            return outcome.map_err(|error| Halt::fail(format!("{expected}, but {error}")));
        };
        if outcome.is_ok() {
            return Err(Halt::fail(format!("{expected}, but it succeeded")));
        }
        match in_time(scene, scene.stage.patience(), &expected, actor.event()).await? {
            Event::Disconnected { cause: DisconnectCause::Server { reason, .. }, .. } if reason == wanted => Ok(()),
            other => Err(Halt::fail(format!("{expected}, but {}", told(&other)))),
        }
    }

    async fn disconnect(&mut self, words: &DisconnectWords) -> Result<(), Halt> {
        let reason = words.reason.as_ref().map_or(ReasonCode::NORMAL_DISCONNECTION, |reason| reason.value.0);
        let expiry = words.session_expiry.as_ref().map(|expiry| expiry.value.0);
        self.actor()?.disconnect(reason, expiry).await;
        self.actor = None;
        Ok(())
    }
}

fn pair(property: Property) -> Option<(Text, Text)> {
    match property {
        Property::UserProperty(pair) => Some(pair),
        _ => None,
    }
}

async fn in_time<T>(
    scene: &Scene<'_>,
    within: Duration,
    expected: &str,
    answer: impl Future<Output = T>,
) -> Result<T, Halt> {
    let missed = || Halt::fail(format!("{expected} within {}, but it did not come", words::duration(within)));
    scene.stage.within(within, answer).await.ok_or_else(missed)
}

fn as_expected(expected: &EventWords, event: &Event) -> bool {
    match event {
        Event::Connected { connack, resumed } => expected.connected.is_some_and(|words| {
            words.session_present.is_none_or(|present| present == connack.session_present)
                && words.resumed.is_none_or(|expected| expected == *resumed)
        }),
        Event::Refused { reason } => {
            expected.refused.is_some_and(|words| words.reason.is_none_or(|expected| expected.0 == *reason))
        }
        Event::Resubscribed { .. } => false,
        Event::Disconnected { cause, reconnecting } => expected.disconnected.is_some_and(|words| {
            words.reconnecting.is_none_or(|expected| expected == *reconnecting)
                && words.reason.is_none_or(
                    |expected| matches!(cause, DisconnectCause::Server { reason, .. } if *reason == expected.value.0),
                )
        }),
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Connected { connack, resumed } => format!(
            "the client is connected (session_present {}, {})",
            u8::from(connack.session_present),
            if *resumed { "resumed" } else { "a new session" }
        ),
        Event::Refused { reason } => format!("the server refused with {reason}"),
        Event::Resubscribed { .. } => "the client has renewed subscriptions".to_owned(),
        Event::Disconnected { cause, reconnecting } => {
            format!("{cause}, and the client {}", if *reconnecting { "tries again" } else { "does not try again" })
        }
    }
}
