//! What makes a well-formed script a playable one: known actors, verbs that fit them, fields that the versions have.

use std::{collections::BTreeSet, time::Duration};

use squall_codec::{packet::PacketKind, reason::ReasonCode, version::Version};

use crate::{
    fault::Moment,
    script::{
        Kind, Script,
        packet::{AckWords, ConnectWords, DisconnectWords, PublishWords, SubscribeWords, UnsubscribeWords},
        place::{Place, Placed, unknown},
        verb::{Act, Expect, Send, Step, Timing, Verb},
        words::{PacketIdWord, Time},
        world::{MomentWords, WorldVerb},
    },
    stage::Need,
};

type Wrong = (Place, String);
type Checked = Result<(), Wrong>;

/// Longer than this, and a world that lives through every millisecond is not asked to play it.
const LONGEST_WITHOUT_JUMP: Duration = Duration::from_secs(120);

const ONE_FILTER: &str = "'also' is for storms: elsewhere each packet has one filter";

const RESERVED: [&str; 7] = ["world", "all", "together", "at", "on", "only", "broker"];

/// The first thing that is wrong, with its place.
pub(super) fn fault_of(script: &Script) -> Option<Wrong> {
    Check { script, bound: BTreeSet::new(), appeared: BTreeSet::new(), waited: Duration::ZERO }.run().err()
}

struct Check<'a> {
    script: &'a Script,
    /// Names of packet identifiers that an expectation has bound.
    bound: BTreeSet<String>,
    appeared: BTreeSet<&'a str>,
    waited: Duration,
}

fn wrong<T>(place: Place, message: impl Into<String>) -> Result<T, Wrong> {
    Err((place, message.into()))
}

/// When a step of the world happens that waits for a packet.
pub(super) fn moment_of(script: &Script, on: &Placed<MomentWords>, verb: &WorldVerb) -> Result<Moment, Wrong> {
    let MomentWords { first, packet, nth, from, to, pass: _ } = &on.value;
    match verb {
        WorldVerb::Wait(_) => return wrong(on.place, "'wait' is no fault: nothing happens 'on' a packet"),
        WorldVerb::Cut(_) => return wrong(on.place, "'cut' names its packet itself: one 'on' is enough"),
        _ => {}
    }
    if first.is_some() == packet.is_some() {
        return wrong(on.place, "a moment names its packet: first: pubrel, or packet: pubrel and nth: 2");
    }
    match nth {
        Some(_) if first.is_some() => {
            return wrong(on.place, "'first' is a number already: packet and nth, or first");
        }
        Some(0) => return wrong(on.place, "the first packet is nth: 1"),
        _ => {}
    }
    let actor = match (from, to) {
        (Some(actor), None) | (None, Some(actor)) => actor,
        _ => return wrong(on.place, "a packet goes from an actor or to one: from: alice, or to: alice"),
    };
    if !script.cast().any(|(known, _)| known == actor.value) {
        return wrong(actor.place, unknown("actor", &actor.value, script.actors()));
    }
    on.value.moment().ok_or_else(|| (on.place, "this is no moment".to_owned()))
}

impl<'a> Check<'a> {
    fn run(mut self) -> Checked {
        let script = self.script;
        let source = &script.source;
        for (name, _) in &source.actors.0 {
            if RESERVED.contains(&name.value.as_str()) {
                return wrong(name.place, format!("'{}' has a meaning of its own and names no actor", name.value));
            }
        }
        if source.actors.0.is_empty() || source.steps.is_empty() {
            return wrong(Place::FIRST, "a script has at least one actor and one step");
        }
        for (position, version) in source.versions.iter().flatten().enumerate() {
            if script.versions[..position].contains(&version.value.0) {
                return wrong(version.place, format!("version {} is named twice", version.value.0));
            }
        }
        if let Some([]) = source.versions.as_deref() {
            return wrong(Place::FIRST, "a script is played in at least one version");
        }
        for proves in &source.proves {
            if !script.versions.contains(&proves.value.version) {
                let message = format!(
                    "'{}' is proven in version {}, and the script is not played in it",
                    proves.value, proves.value.version
                );
                return wrong(proves.place, message);
            }
        }
        for (link, conditions) in &source.network.0 {
            self.link(link)?;
            if conditions.split == Some(0) {
                return wrong(link.place, "a segment has at least 1 byte");
            }
            if conditions.gathers().any(|gather| gather.bytes == 0) {
                return wrong(link.place, "a segment has at least 1 byte");
            }
        }
        for step in &source.steps {
            self.step(step, false)?;
        }
        if let Some((name, _)) = source.actors.0.iter().find(|(name, _)| !self.appeared.contains(name.value.as_str())) {
            return wrong(name.place, format!("'{}' never does anything", name.value));
        }
        Ok(())
    }

    fn versions_of(&self, step: &Step) -> Vec<Version> {
        self.script.versions.iter().copied().filter(|version| step.applies(*version)).collect()
    }

    fn kind(&self, name: &str) -> Option<Kind> {
        self.script.cast().find(|(actor, _)| *actor == name).map(|(_, kind)| kind)
    }

    fn link(&self, link: &Placed<String>) -> Checked {
        if link.value == "all" || self.kind(&link.value).is_some() {
            return Ok(());
        }
        wrong(link.place, unknown("actor", &link.value, self.script.actors()))
    }

    /// Adds up what the story waits at least.
    fn wait(&mut self, time: Duration, place: Place) -> Checked {
        self.waited += time;
        if self.waited > LONGEST_WITHOUT_JUMP && !self.script.needs.contains(&Need::Jump) {
            let message = format!(
                "by this line the story has waited {} s, and more than {} s needs a world that jumps: needs: [jump]",
                self.waited.as_secs(),
                LONGEST_WITHOUT_JUMP.as_secs()
            );
            return wrong(place, message);
        }
        Ok(())
    }

    fn step(&mut self, step: &'a Placed<Step>, nested: bool) -> Checked {
        let versions = self.versions_of(&step.value);
        if let (Some(only), true) = (&step.value.only, versions.is_empty()) {
            return wrong(only.place, format!("the script is not played in version {}", only.value.0));
        }
        if let Some(Time(at)) = step.value.at {
            let more = at.saturating_sub(self.waited);
            self.wait(more, step.place)?;
        }
        if let Some(on) = &step.value.on {
            match &step.value.act {
                Act::World(verb) => drop(moment_of(self.script, on, &verb.value)?),
                Act::Actor(..) | Act::Together(_) => {
                    return wrong(on.place, "'on' is for what the world does: actors wait with 'expect'");
                }
            }
        }
        match &step.value.act {
            Act::Together(_) if nested => wrong(step.place, "'together' does not stand inside 'together'"),
            Act::Together(steps) if steps.is_empty() => wrong(step.place, "'together' holds at least one step"),
            Act::Together(steps) => steps.iter().try_for_each(|step| self.step(step, true)),
            Act::World(verb) => self.world(verb),
            Act::Actor(who, verb) => {
                let Some(kind) = self.kind(&who.value) else {
                    return wrong(who.place, unknown("actor", &who.value, self.script.actors()));
                };
                let old = versions.iter().find(|version| !version.has_properties()).copied();
                self.appeared.insert(&who.value);
                self.fits(kind, verb)?;
                self.verb(verb, kind, old)
            }
        }
    }

    /// A raw peer sends and expects packets; a whole client does that by itself.
    #[expect(clippy::unused_self, reason = "one rule beside the others")]
    fn fits(&self, kind: Kind, verb: &Placed<Verb>) -> Checked {
        const BOTH: [&str; 6] = ["connect", "subscribe", "unsubscribe", "publish", "reauthenticate", "disconnect"];
        const PEER: [&str; 8] = ["open", "send", "expect", "expect_all", "acknowledge", "close", "closed", "quiet"];
        const CLIENT: [&str; 2] = ["message", "event"];
        let name = verb.value.name();
        let (own, what) = match kind {
            Kind::Peer => (&PEER[..], "peer"),
            Kind::Client => (&CLIENT[..], "client"),
        };
        if BOTH.contains(&name) || own.contains(&name) {
            return Ok(());
        }
        let known: Vec<&str> = BOTH.iter().chain(own).copied().collect();
        wrong(verb.place, format!("a {what} has no verb '{name}', it knows {}", known.join(", ")))
    }

    fn verb(&mut self, verb: &'a Placed<Verb>, kind: Kind, old: Option<Version>) -> Checked {
        let place = verb.place;
        match &verb.value {
            Verb::Open(_) | Verb::Acknowledge(_) | Verb::Close(_) | Verb::Quiet(_) | Verb::Knock(_) => Ok(()),
            Verb::Connect(words) => {
                if let Some(version) = &words.version {
                    return wrong(
                        version.place,
                        "all speak the version in which the story is played: 'version' is for storms",
                    );
                }
                if let Some(answers) = &words.answers {
                    return wrong(
                        answers.place,
                        "who answers late or refuses is a client of a storm: 'answers' is for storms",
                    );
                }
                if let (Some((field, place)), Kind::Peer) = (words.only_client(), kind) {
                    return wrong(place, format!("a peer does nothing by itself: '{field}' is for a client"));
                }
                if let (Some((field, place)), Kind::Client) = (words.only_peer(), kind) {
                    return wrong(place, format!("a client has no say in this: '{field}' is for a peer"));
                }
                if let (Some((field, place)), true) = (words.authentication(), words.scram.is_some()) {
                    return wrong(
                        place,
                        format!("'scram' is a method with data of its own: '{field}' is one too many"),
                    );
                }
                self.connect(words, place, old)
            }
            Verb::Reauthenticate(_) => only_5(Some(("reauthenticate", place)), old),
            Verb::Send(packet) => self.send(packet, place, old),
            Verb::Expect(expect) => {
                self.timing(expect.timing(), place)?;
                self.expect(expect, place, old)
            }
            Verb::ExpectAll(all) => {
                for expect in all {
                    let Timing { after, within, since } = expect.value.timing();
                    if after.is_some() || within.is_some() || since.is_some() {
                        return wrong(expect.place, "times stand in 'expect', not in the list of 'expect_all'");
                    }
                    self.expect(&expect.value, expect.place, old)?;
                }
                Ok(())
            }
            Verb::Subscribe(words) => {
                no_packet_id(words.packet_id.as_ref(), "subscribe")?;
                self.subscribe(words, place, old)
            }
            Verb::Unsubscribe(words) => {
                no_packet_id(words.packet_id.as_ref(), "unsubscribe")?;
                self.unsubscribe(words, place, old)
            }
            Verb::Publish(words) => {
                if words.packet_id.is_some() || words.dup.is_some() {
                    return wrong(
                        place,
                        "'publish' runs the whole exchange by itself: packet_id and dup are for 'send'",
                    );
                }
                published(words, place)?;
                only_5(words.only_5(), old)
            }
            Verb::Disconnect(words) => disconnect(words, old),
            Verb::Closed(closed) => self.timing(closed.timing(), place),
            Verb::Message(message) => self.timing(message.timing(), place),
            Verb::Event(event) => {
                let named = [event.connected.is_some(), event.disconnected.is_some(), event.refused.is_some()];
                if named.iter().filter(|named| **named).count() != 1 {
                    return wrong(place, "'event' names one of connected, disconnected, refused");
                }
                if let (Some(reason), Some(old)) = (event.disconnected.and_then(|words| words.reason), old) {
                    return wrong(reason.place, absent("reason", old));
                }
                self.timing(event.timing(), place)
            }
        }
    }

    fn timing(&mut self, timing: Timing<'_>, place: Place) -> Checked {
        if let Some(since) = timing.since
            && since.value != "world"
            && self.kind(&since.value).is_none()
        {
            return wrong(since.place, unknown("actor", &since.value, self.script.actors().chain(["world"])));
        }
        if let (Some(Time(after)), Some(Time(within))) = (timing.after, timing.within)
            && after > within
        {
            return wrong(place, "'after' is later than 'within': nothing can come between them");
        }
        self.wait(timing.after.map_or(Duration::ZERO, |after| after.0), place)
    }

    #[expect(clippy::unused_self, reason = "one rule beside the others")]
    fn connect(&self, words: &ConnectWords, place: Place, old: Option<Version>) -> Checked {
        only_5(words.only_5(), old)?;
        if let Some(will) = &words.will {
            if will.topic.as_ref().is_none_or(|topic| topic.0.is_empty()) {
                return wrong(place, "the will has no topic");
            }
            only_5(will.only_5(), old)?;
        }
        if let (Some(expiry), Some(old), true) = (&words.session_expiry, old, words.clean_start.unwrap_or(true))
            && expiry.value.0 > 0
        {
            let message =
                format!("in {old} a clean session ends with its connection: use clean_start: false, or only: 5.0");
            return wrong(expiry.place, message);
        }
        Ok(())
    }

    fn send(&mut self, packet: &'a Send, place: Place, old: Option<Version>) -> Checked {
        match packet {
            Send::Connect(words) => {
                let expected = words.session_present.as_ref().map(|placed| (placed.place, "session_present"));
                let expected = expected.or(words.reason.as_ref().map(|placed| (placed.place, "reason")));
                let expected = expected.or(words.within.as_ref().map(|placed| (placed.place, "within")));
                let expected = expected.or(words.only_client().map(|(field, place)| (place, field)));
                let expected = expected.or(words.version.as_ref().map(|placed| (placed.place, "version")));
                let expected = expected.or(words.answers.as_ref().map(|placed| (placed.place, "answers")));
                let expected = expected.or(words.scram.as_ref().map(|placed| (placed.place, "scram")));
                if let Some((place, field)) = expected {
                    return wrong(place, format!("'{field}' is for the verb 'connect', which also has the answer"));
                }
                self.connect(words, place, old)
            }
            Send::Publish(words) => {
                published(words, place)?;
                let qos_above_0 = words.qos.is_some_and(|qos| qos.0.bits() > 0);
                if qos_above_0 != words.packet_id.is_some() {
                    return wrong(place, "a PUBLISH has a packet_id if and only if its qos is above 0");
                }
                self.uses(words.packet_id.as_ref(), place)?;
                only_5(words.only_5(), old)
            }
            Send::Puback(words) | Send::Pubrec(words) | Send::Pubrel(words) | Send::Pubcomp(words) => {
                if words.packet_id.is_none() {
                    return wrong(place, "packet_id is missing");
                }
                self.uses(words.packet_id.as_ref(), place)?;
                acknowledged(words, old)
            }
            Send::Subscribe(words) => {
                if let Some(granted) = &words.granted {
                    return wrong(granted.place, "'granted' is for the verb 'subscribe', which also has the answer");
                }
                self.numbered(words.packet_id.as_ref(), place)?;
                self.subscribe(words, place, old)
            }
            Send::Unsubscribe(words) => {
                self.numbered(words.packet_id.as_ref(), place)?;
                self.unsubscribe(words, place, old)
            }
            Send::Pingreq(_) | Send::Bytes(_) => Ok(()),
            Send::Disconnect(words) => disconnect(words, old),
            Send::Auth(words) => only_5(words.only_5().or(Some(("auth", place))), old),
        }
    }

    fn expect(&mut self, expect: &'a Expect, place: Place, old: Option<Version>) -> Checked {
        let kinds = expect.kinds();
        let [kind] = kinds[..] else {
            return wrong(place, "an expectation names one packet, such as publish or puback");
        };
        if let (Some(old), PacketKind::Disconnect | PacketKind::Auth) = (old, kind) {
            return wrong(place, format!("a server sends no {kind} in {old}: say only: 5.0"));
        }
        for (name, properties) in [("has", &expect.has), ("lacks", &expect.lacks)] {
            only_5(properties.as_ref().map(|placed| (name, placed.place)), old)?;
        }
        let mut id = None;
        if let Some(words) = &expect.connack {
            only_5(words.only_5(), old)?;
        }
        if let Some(words) = &expect.publish {
            only_5(words.only_5(), old)?;
            id = words.packet_id.as_ref();
        }
        for words in [&expect.puback, &expect.pubrec, &expect.pubrel, &expect.pubcomp].into_iter().flatten() {
            acknowledged(words, old)?;
            id = words.packet_id.as_ref();
        }
        if let Some(words) = &expect.suback {
            only_5(words.only_5(), old)?;
            id = words.packet_id.as_ref();
        }
        if let Some(words) = &expect.unsuback {
            only_5(words.only_5(), old)?;
            id = words.packet_id.as_ref();
        }
        if let Some(PacketIdWord::Name(name)) = id {
            self.bound.insert(name.clone());
        }
        Ok(())
    }

    fn uses(&self, id: Option<&PacketIdWord>, place: Place) -> Checked {
        match id {
            Some(PacketIdWord::Name(name)) if !self.bound.contains(name) => {
                wrong(place, format!("packet_id '{name}' is a name that no expectation before this line has bound"))
            }
            _ => Ok(()),
        }
    }

    fn numbered(&self, id: Option<&Placed<PacketIdWord>>, place: Place) -> Checked {
        match id {
            Some(id) => self.uses(Some(&id.value), id.place),
            None => wrong(place, "packet_id is missing"),
        }
    }

    #[expect(clippy::unused_self, reason = "one rule beside the others")]
    fn subscribe(&self, words: &SubscribeWords, place: Place, old: Option<Version>) -> Checked {
        if words.filter.is_none() {
            return wrong(place, "filter is missing");
        }
        if let Some(also) = &words.also {
            return wrong(also.place, ONE_FILTER);
        }
        only_5(words.only_5(), old)
    }

    #[expect(clippy::unused_self, reason = "one rule beside the others")]
    fn unsubscribe(&self, words: &UnsubscribeWords, place: Place, old: Option<Version>) -> Checked {
        if words.filter.is_none() {
            return wrong(place, "filter is missing");
        }
        if let Some(also) = &words.also {
            return wrong(also.place, ONE_FILTER);
        }
        only_5(words.only_5(), old)
    }

    fn world(&mut self, verb: &'a Placed<WorldVerb>) -> Checked {
        let link = match &verb.value {
            WorldVerb::Wait(Time(time)) => return self.wait(*time, verb.place),
            WorldVerb::Restart(words) | WorldVerb::Crash(words) | WorldVerb::PowerLoss(words) => {
                return self.wait(words.down.0, verb.place);
            }
            WorldVerb::Disk(_) | WorldVerb::ClockJump(_) => return Ok(()),
            WorldVerb::Coalesce(words) if words.bytes == 0 => {
                return wrong(verb.place, "a segment has at least 1 byte");
            }
            WorldVerb::Split(words) if words.bytes == 0 => {
                return wrong(verb.place, "a segment has at least 1 byte");
            }
            WorldVerb::Cut(words) if words.on.nth == Some(0) => {
                return wrong(verb.place, "the first packet is nth: 1");
            }
            WorldVerb::Latency(words) => &words.link,
            WorldVerb::Bandwidth(words) => &words.link,
            WorldVerb::Coalesce(words) => &words.link,
            WorldVerb::Drop(words) => &words.link,
            WorldVerb::Split(words) => &words.link,
            WorldVerb::Partition(words) => &words.link,
            WorldVerb::Heal(words) => &words.link,
            WorldVerb::Cut(words) => &words.link,
            WorldVerb::Hold(words)
            | WorldVerb::Release(words)
            | WorldVerb::Reset(words)
            | WorldVerb::Close(words)
            | WorldVerb::HalfOpen(words)
            | WorldVerb::StallReading(words) => &words.link,
        };
        self.link(link)
    }
}

fn absent(field: &str, old: Version) -> String {
    format!("'{field}' does not exist in {old}: give the step only: 5.0, or the script versions: [5.0]")
}

fn only_5(field: Option<(&'static str, Place)>, old: Option<Version>) -> Checked {
    match (field, old) {
        (Some((field, place)), Some(old)) => wrong(place, absent(field, old)),
        _ => Ok(()),
    }
}

/// A success without a reason string says in 5.0 what every acknowledgement says in 3.1.1.
fn acknowledged(words: &AckWords, old: Option<Version>) -> Checked {
    match &words.reason {
        Some(reason) if reason.value.0 == ReasonCode::Success => {
            only_5(AckWords { reason: None, ..words.clone() }.only_5(), old)
        }
        _ => only_5(words.only_5(), old),
    }
}

fn disconnect(words: &DisconnectWords, old: Option<Version>) -> Checked {
    match &words.reason {
        Some(reason) if reason.value.0 == ReasonCode::NORMAL_DISCONNECTION => {
            only_5(DisconnectWords { reason: None, ..words.clone() }.only_5(), old)
        }
        _ => only_5(words.only_5(), old),
    }
}

fn no_packet_id(id: Option<&Placed<PacketIdWord>>, verb: &str) -> Checked {
    match id {
        Some(id) => wrong(id.place, format!("'{verb}' takes an identifier by itself: packet_id is for 'send'")),
        None => Ok(()),
    }
}

fn published(words: &PublishWords, place: Place) -> Checked {
    if words.topic.as_ref().is_some_and(|topic| topic.0.is_empty()) {
        return wrong(place, "'' is no topic name: it is empty");
    }
    match (&words.topic, &words.topic_alias) {
        (None, None) => wrong(place, "topic is missing"),
        _ => Ok(()),
    }
}
