//! The steps and their verbs: what an actor does or expects.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{self, IgnoredAny, MapAccess, Visitor},
};
use squall_codec::{packet::PacketKind, qos::Qos, version::Version};

use crate::{
    script::{
        packet::{
            AckWords, AuthWords, ConnackWords, ConnectWords, DisconnectWords, Nothing, PublishWords,
            ReauthenticateWords, SubackWords, SubscribeWords, UnsubackWords, UnsubscribeWords,
        },
        place::Placed,
        words::{Hex, PropertyWord, QosWord, Reason, Time, VersionWord},
        world::{MomentWords, WorldVerb},
    },
    stage::End,
};

/// One line of the story: who does what, when, in which version.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) act: Act,
    pub(crate) at: Option<Time>,
    /// The moment of the protocol at which the world does it.
    pub(crate) on: Option<Placed<MomentWords>>,
    pub(crate) only: Option<Placed<VersionWord>>,
}

/// What a step holds.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// `alice: { … }`
    Actor(Placed<String>, Placed<Verb>),
    /// `world: { … }`
    World(Placed<WorldVerb>),
    /// `together: [ … ]`
    Together(Vec<Placed<Step>>),
}

/// What an actor does.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verb {
    Open(Nothing),
    Connect(Box<ConnectWords>),
    Send(Box<Send>),
    Expect(Box<Expect>),
    ExpectAll(Vec<Placed<Expect>>),
    Subscribe(Box<SubscribeWords>),
    Unsubscribe(Box<UnsubscribeWords>),
    Publish(Box<PublishWords>),
    Acknowledge(Nothing),
    Reauthenticate(Box<ReauthenticateWords>),
    Disconnect(Box<DisconnectWords>),
    Close(How),
    Closed(Closed),
    Quiet(Nothing),
    Knock(KnockWords),
    Message(Box<Message>),
    Event(Box<EventWords>),
}

impl Verb {
    /// As the script writes it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Verb::Open(_) => "open",
            Verb::Connect(_) => "connect",
            Verb::Send(_) => "send",
            Verb::Expect(_) => "expect",
            Verb::ExpectAll(_) => "expect_all",
            Verb::Subscribe(_) => "subscribe",
            Verb::Unsubscribe(_) => "unsubscribe",
            Verb::Publish(_) => "publish",
            Verb::Acknowledge(_) => "acknowledge",
            Verb::Reauthenticate(_) => "reauthenticate",
            Verb::Disconnect(_) => "disconnect",
            Verb::Close(_) => "close",
            Verb::Closed(_) => "closed",
            Verb::Quiet(_) => "quiet",
            Verb::Knock(_) => "knock",
            Verb::Message(_) => "message",
            Verb::Event(_) => "event",
        }
    }
}

impl Verb {
    /// Whether somebody asks the server for QoS 2: a subscriber, a publisher or a will.
    pub(crate) fn asks_for_qos_2(&self) -> bool {
        let is_2 = |qos: Option<QosWord>| qos.is_some_and(|qos| qos.0 == Qos::ExactlyOnce);
        let will = |words: &ConnectWords| is_2(words.will.as_ref().and_then(|will| will.qos));
        match self {
            Verb::Connect(words) => will(words),
            Verb::Subscribe(words) => is_2(words.qos),
            Verb::Publish(words) => is_2(words.qos),
            Verb::Send(packet) => match &**packet {
                Send::Connect(words) => will(words),
                Send::Subscribe(words) => is_2(words.qos),
                Send::Publish(words) => is_2(words.qos),
                _ => false,
            },
            _ => false,
        }
    }
}

/// What a raw peer puts on the wire.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Send {
    Connect(Box<ConnectWords>),
    Publish(Box<PublishWords>),
    Puback(AckWords),
    Pubrec(AckWords),
    Pubrel(AckWords),
    Pubcomp(AckWords),
    Subscribe(Box<SubscribeWords>),
    Unsubscribe(UnsubscribeWords),
    Pingreq(Nothing),
    Disconnect(Box<DisconnectWords>),
    Auth(AuthWords),
    Bytes(Hex),
}

/// What is said on a connection that nobody is behind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KnockWords {
    pub(crate) bytes: Option<Hex>,
}

/// The packet that must come next: exactly one is named. When: see [`Timing`].
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Expect {
    pub(crate) connack: Option<Box<ConnackWords>>,
    pub(crate) publish: Option<Box<PublishWords>>,
    pub(crate) puback: Option<AckWords>,
    pub(crate) pubrec: Option<AckWords>,
    pub(crate) pubrel: Option<AckWords>,
    pub(crate) pubcomp: Option<AckWords>,
    pub(crate) suback: Option<SubackWords>,
    pub(crate) unsuback: Option<UnsubackWords>,
    pub(crate) pingresp: Option<Nothing>,
    pub(crate) disconnect: Option<Box<DisconnectWords>>,
    pub(crate) auth: Option<Box<AuthWords>>,
    /// Properties that must be there, whatever their value is.
    pub(crate) has: Option<Placed<Vec<PropertyWord>>>,
    /// Properties that must not be there.
    pub(crate) lacks: Option<Placed<Vec<PropertyWord>>>,
    after: Option<Time>,
    within: Option<Time>,
    since: Option<Placed<String>>,
}

impl Expect {
    /// The packets that are named, in the order of their numbers.
    pub(crate) fn kinds(&self) -> Vec<PacketKind> {
        let named = [
            (PacketKind::Connack, self.connack.is_some()),
            (PacketKind::Publish, self.publish.is_some()),
            (PacketKind::Puback, self.puback.is_some()),
            (PacketKind::Pubrec, self.pubrec.is_some()),
            (PacketKind::Pubrel, self.pubrel.is_some()),
            (PacketKind::Pubcomp, self.pubcomp.is_some()),
            (PacketKind::Suback, self.suback.is_some()),
            (PacketKind::Unsuback, self.unsuback.is_some()),
            (PacketKind::Pingresp, self.pingresp.is_some()),
            (PacketKind::Disconnect, self.disconnect.is_some()),
            (PacketKind::Auth, self.auth.is_some()),
        ];
        named.into_iter().filter(|(_, there)| *there).map(|(kind, _)| kind).collect()
    }
}

/// When something has to happen. Both times count from the start of the step, or from the moment at which the actor
/// named in `since` last sent something or ended a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing<'a> {
    /// Not before.
    pub(crate) after: Option<Time>,
    /// Not later.
    pub(crate) within: Option<Time>,
    /// Whose last act starts the clock.
    pub(crate) since: Option<&'a Placed<String>>,
}

macro_rules! timed {
    ($($name:ident)*) => {$(
        impl $name {
            pub(crate) fn timing(&self) -> Timing<'_> {
                Timing { after: self.after, within: self.within, since: self.since.as_ref() }
            }
        }
    )*};
}

timed! { Expect Closed Message EventWords }

/// How this side ends its connection.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Fin,
    Reset,
}

impl From<How> for End {
    fn from(how: How) -> Self {
        match how {
            How::Fin => End::Fin,
            How::Reset => End::Reset,
        }
    }
}

/// The connection must end from the other side.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Closed {
    /// Of the DISCONNECT that may come first in 5.0.
    pub(crate) reason: Option<Reason>,
    after: Option<Time>,
    within: Option<Time>,
    since: Option<Placed<String>>,
}

/// A message that a whole client hands to its application.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Message {
    pub(crate) topic: Option<crate::script::words::Topic>,
    pub(crate) payload: Option<String>,
    pub(crate) qos: Option<QosWord>,
    pub(crate) retain: Option<bool>,
    after: Option<Time>,
    within: Option<Time>,
    since: Option<Placed<String>>,
}

/// Something that a whole client tells about its connection: exactly one is named.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EventWords {
    pub(crate) connected: Option<ConnectedWords>,
    pub(crate) disconnected: Option<DisconnectedWords>,
    pub(crate) refused: Option<RefusedWords>,
    after: Option<Time>,
    within: Option<Time>,
    since: Option<Placed<String>>,
}

/// CONNACK with success.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConnectedWords {
    pub(crate) session_present: Option<bool>,
    pub(crate) resumed: Option<bool>,
}

/// The connection ended.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DisconnectedWords {
    /// Of the server's DISCONNECT: the end must then have come with one.
    pub(crate) reason: Option<Placed<Reason>>,
    pub(crate) reconnecting: Option<bool>,
}

/// CONNACK without success.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RefusedWords {
    pub(crate) reason: Option<Reason>,
}

impl Step {
    /// Whether it is played in this version.
    pub(crate) fn applies(&self, version: Version) -> bool {
        self.only.as_ref().is_none_or(|only| only.value.0 == version)
    }
}

/// A step is a mapping with one name of its own choosing beside the fixed keys, so no derive can read it.
impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Step;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step: who: { does: what }")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Step, A::Error> {
                let (mut act, mut at, mut on, mut only) = (None, None, None, None);
                while let Some(key) = map.next_key::<Placed<String>>()? {
                    match key.value.as_str() {
                        "at" => at = Some(map.next_value()?),
                        "on" => on = Some(map.next_value()?),
                        "only" => only = Some(map.next_value()?),
                        _ if act.is_some() => {
                            map.next_value::<IgnoredAny>()?;
                            let message = format!("a step has one actor, and '{}' is a second one", key.value);
                            return Err(de::Error::custom(message));
                        }
                        "together" => act = Some(Act::Together(map.next_value()?)),
                        "world" => act = Some(Act::World(map.next_value()?)),
                        _ => act = Some(Act::Actor(key, map.next_value()?)),
                    }
                }
                let act = act.ok_or_else(|| de::Error::custom("a step names who does what: alice: { connect: {} }"))?;
                Ok(Step { act, at, on, only })
            }
        }
        deserializer.deserialize_map(Keys)
    }
}
