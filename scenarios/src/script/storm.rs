//! `storm:` of a script: read in the words of its steps, and kept as a plan.

use std::num::NonZeroU32;

use serde::Deserialize;
use squall_codec::{
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
};

use super::{
    Kind, Script,
    check::moment_of,
    packet::{ConnectWords, DisconnectWords, PublishWords, Reconnect, SubscribeWords, UnsubscribeWords, WillWords},
    place::{Place, Placed, unknown},
    verb::{self, Send, Step, Verb},
    words::Time,
    world::WorldVerb,
};
use crate::{
    outage::{Outage, Stop},
    plan::{Act, Answering, Connecting, Doing, Message, Plan, Subscribing, Wanted},
};

type Wrong = (Place, String);

/// As it stands in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StormWords {
    lasts: Time,
    calm: Time,
    pub(super) steps: Vec<Placed<Step>>,
}

fn wrong<T>(place: Place, message: impl Into<String>) -> Result<T, Wrong> {
    Err((place, message.into()))
}

/// The plan of a script that has a storm.
pub(super) fn plan_of(script: &Script, storm: &StormWords) -> Result<Plan, Wrong> {
    let source = &script.source;
    for (name, kind) in &source.actors.0 {
        if *kind != Kind::Client {
            return wrong(name.place, "the actors of a storm are whole clients");
        }
    }
    if !source.steps.is_empty() {
        return wrong(source.steps[0].place, "a script has steps or a storm, and not both");
    }
    if let Some((link, _)) = source.network.0.first() {
        return wrong(link.place, "in a storm the network is changed by steps: { at: 0s, world: { latency: … } }");
    }
    if script.settings.users.is_some() || script.settings.acl.is_some() {
        return wrong(Place::FIRST, "a storm has no users and no rules");
    }
    let actors: Vec<String> = source.actors.0.iter().map(|(name, _)| name.value.clone()).collect();
    let reader = Reader { actors: &actors, version: script.versions[0] };
    let mut steps = Vec::new();
    for step in &storm.steps {
        let at = step.value.at.map(|at| at.0);
        let Some(at) = at else { return wrong(step.place, "a step of a storm says when: at: 2s") };
        let on = match (&step.value.on, &step.value.act) {
            (None, _) => None,
            (Some(on), verb::Act::World(verb)) => Some(moment_of(script, on, &verb.value)?),
            (Some(on), _) => return wrong(on.place, "only what befalls a link or the broker waits for a packet"),
        };
        if at > storm.lasts.0 {
            return wrong(step.place, "this is later than the storm lasts");
        }
        steps.push(crate::plan::Step { at, on, act: reader.act(step)? });
    }
    // Steps of the same time keep their order.
    steps.sort_by_key(|step| step.at);
    Ok(Plan {
        title: source.title.clone(),
        about: source.about.as_deref().map(|about| about.trim().to_owned()),
        proves: script.proves().cloned().collect(),
        seed: source.seed.unwrap_or(1),
        broker: script.settings.clone(),
        actors,
        steps,
        lasts: storm.lasts.0,
        calm: storm.calm.0,
    })
}

struct Reader<'a> {
    actors: &'a [String],
    version: Version,
}

impl Reader<'_> {
    fn act(&self, step: &Placed<Step>) -> Result<Act, Wrong> {
        match &step.value.act {
            verb::Act::Actor(who, verb) => Ok(Act::Client(self.actor(who)?, self.doing(verb)?)),
            verb::Act::World(verb) => self.world(verb),
            verb::Act::Together(_) => wrong(step.place, "the steps of a storm stand side by side, each with its time"),
        }
    }

    fn actor(&self, who: &Placed<String>) -> Result<usize, Wrong> {
        let known = self.actors.iter().map(String::as_str);
        let found = self.actors.iter().position(|actor| *actor == who.value);
        found.ok_or_else(|| (who.place, unknown("actor", &who.value, known)))
    }

    fn world(&self, verb: &Placed<WorldVerb>) -> Result<Act, Wrong> {
        Ok(match &verb.value {
            WorldVerb::Wait(_) => return wrong(verb.place, "a storm does not wait: each step says when"),
            WorldVerb::Restart(words) => Act::Outage(Outage { how: Stop::Restart, down: words.down.0 }),
            WorldVerb::Crash(words) => Act::Outage(Outage { how: Stop::Crash, down: words.down.0 }),
            WorldVerb::PowerLoss(words) => Act::Outage(Outage { how: Stop::PowerLoss, down: words.down.0 }),
            WorldVerb::Disk(state) => Act::Disk((*state).into()),
            other => {
                let Some((link, kind)) = other.fault() else {
                    return wrong(verb.place, "this has no place in a storm");
                };
                let who = if link.value == "all" { None } else { Some(self.actor(link)?) };
                Act::Link(who, kind)
            }
        })
    }

    fn doing(&self, verb: &Placed<Verb>) -> Result<Doing, Wrong> {
        Ok(match &verb.value {
            Verb::Connect(words) => Doing::Connect(Box::new(self.connecting(words, verb.place)?)),
            Verb::Publish(words) => Doing::Publish(message(words, verb.place)?),
            Verb::Subscribe(words) => Doing::Subscribe(subscribing(words, verb.place)?),
            Verb::Unsubscribe(words) => Doing::Unsubscribe(unsubscribing(words, verb.place)?),
            Verb::Disconnect(words) => disconnect(words),
            Verb::Send(packet) => match &**packet {
                Send::Bytes(bytes) => Doing::Send(bytes.0.clone()),
                _ => {
                    return wrong(
                        verb.place,
                        "a client sends its packets by itself; beside them it sends bytes: send: { bytes: … }",
                    );
                }
            },
            Verb::Knock(words) => Doing::Knock(words.bytes.clone().map(|bytes| bytes.0).unwrap_or_default()),
            other => return wrong(verb.place, format!("nobody {} in a storm: it has no expectations", other.name())),
        })
    }

    fn connecting(&self, words: &ConnectWords, place: Place) -> Result<Connecting, Wrong> {
        let other = words.session_present.as_ref().map(|field| ("session_present", field.place));
        let other = other
            .or(words.reason.as_ref().map(|field| ("reason", field.place)))
            .or(words.within.as_ref().map(|field| ("within", field.place)))
            .or(words.username.as_ref().map(|_| ("username", place)))
            .or(words.password.as_ref().map(|_| ("password", place)))
            .or(words.scram.as_ref().map(|field| ("scram", field.place)))
            .or(words.user_properties.as_ref().map(|field| ("user_properties", field.place)))
            .or(words.only_peer());
        if let Some((field, place)) = other {
            return wrong(place, format!("'{field}' has no place in a storm"));
        }
        let reconnect = match words.reconnect.as_ref().map(|reconnect| reconnect.value) {
            None | Some(Reconnect::Never) => None,
            Some(Reconnect::After(first)) => Some(first.0),
        };
        let version = words.version.as_ref().map_or(self.version, |version| version.value.0);
        let refuses = words.answers.as_ref().filter(|answers| answers.value.refuses.is_some());
        if let (Some(answers), false) = (refuses, version.has_properties()) {
            return wrong(answers.place, "before 5.0 no client can say that it refuses a message");
        }
        let will = words.will.as_ref().map(|will| will_of(will, place)).transpose()?;
        Ok(Connecting {
            client_id: words.client_id.clone(),
            clean_start: words.clean_start.unwrap_or(true),
            keep_alive: words.keep_alive.map_or(60, |seconds| seconds.0),
            session_expiry: words.session_expiry.as_ref().map(|expiry| expiry.value.0),
            receive_maximum: words.receive_maximum.as_ref().map(|most| most.value),
            topic_alias_maximum: words.topic_alias_maximum.as_ref().map_or(0, |most| most.value),
            maximum_packet_size: words.maximum_packet_size.as_ref().map(|most| most.value),
            will,
            packet_ids: words.packet_ids(),
            reconnect,
            answers: words.answers.as_ref().map(|words| Answering {
                after: words.value.after.0,
                refuses: words.value.refuses.map(NonZeroU32::get),
            }),
            ..Connecting::new(version)
        })
    }
}

fn will_of(words: &WillWords, place: Place) -> Result<(Message, u32), Wrong> {
    let Some(topic) = &words.topic else { return wrong(place, "a will has a topic") };
    let message = Message {
        topic: topic.0.clone(),
        payload: words.payload.clone().unwrap_or_default(),
        qos: words.qos.map_or(Qos::AtMostOnce, |qos| qos.0),
        retain: words.retain.unwrap_or(false),
        expiry: words.message_expiry.as_ref().map(|expiry| expiry.value.0),
        properties: passed_on(&words.properties()),
    };
    Ok((message, words.delay.as_ref().map_or(0, |delay| delay.value.0)))
}

fn message(words: &PublishWords, place: Place) -> Result<Message, Wrong> {
    let Some(topic) = &words.topic else { return wrong(place, "a message has a topic") };
    Ok(Message {
        topic: topic.0.clone(),
        payload: words.payload.clone().unwrap_or_default(),
        qos: words.qos.map_or(Qos::AtMostOnce, |qos| qos.0),
        retain: words.retain.unwrap_or(false),
        expiry: words.message_expiry.as_ref().map(|expiry| expiry.value.0),
        properties: passed_on(&words.properties()),
    })
}

/// What goes with a message all the way, in the order of the property identifiers.
fn passed_on(properties: &Properties) -> Properties {
    let is_passed_on = |property: &&Property| {
        matches!(
            property,
            Property::PayloadFormatIndicator(_)
                | Property::ContentType(_)
                | Property::ResponseTopic(_)
                | Property::CorrelationData(_)
                | Property::UserProperty(_)
        )
    };
    let mut passed_on: Vec<Property> = properties.iter().filter(is_passed_on).cloned().collect();
    // User Properties keep their order, as the last ones.
    passed_on.sort_by_key(|property| property.id() as u8);
    passed_on.into_iter().collect()
}

fn subscribing(words: &SubscribeWords, place: Place) -> Result<Subscribing, Wrong> {
    let Some(filter) = &words.filter else { return wrong(place, "field 'filter' is missing") };
    let first = Wanted {
        no_local: words.no_local.as_ref().is_some_and(|yes| yes.value),
        retain_as_published: words.retain_as_published.as_ref().is_some_and(|yes| yes.value),
        retain_handling: words.retain_handling.as_ref().map(|word| word.value.into()).unwrap_or_default(),
        ..Wanted::new(filter.0.clone(), words.qos.map_or(Qos::AtMostOnce, |qos| qos.0))
    };
    let also = words.also.iter().flat_map(|also| &also.value).map(|words| Wanted {
        no_local: words.no_local.unwrap_or_default(),
        retain_as_published: words.retain_as_published.unwrap_or_default(),
        retain_handling: words.retain_handling.map(Into::into).unwrap_or_default(),
        ..Wanted::new(words.filter.0.clone(), words.qos.map_or(Qos::AtMostOnce, |qos| qos.0))
    });
    Ok(Subscribing {
        wanted: std::iter::once(first).chain(also).collect(),
        identifier: words.subscription_identifier.as_ref().map(|identifier| identifier.value),
    })
}

fn unsubscribing(words: &UnsubscribeWords, place: Place) -> Result<Vec<String>, Wrong> {
    let Some(filter) = &words.filter else { return wrong(place, "field 'filter' is missing") };
    let also = words.also.iter().flat_map(|also| &also.value);
    Ok(std::iter::once(filter).chain(also).map(|filter| filter.0.clone()).collect())
}

fn disconnect(words: &DisconnectWords) -> Doing {
    let reason = words.reason.as_ref().map(|reason| reason.value.0);
    Doing::Disconnect {
        with_will: reason == Some(ReasonCode::DisconnectWithWillMessage),
        session_expiry: words.session_expiry.as_ref().map(|expiry| expiry.value.0),
    }
}
