//! A script: a story about actors, told in steps, each *who: { does: what }*, with its lines kept for every error.
//!
//! The words are the standard's packet and field names; the cookbook beside the scripts explains them one by one.

mod check;
mod packet;
mod place;
mod storm;
mod verb;
mod words;
mod world;

use std::path::Path;

use serde::Deserialize;
use squall_codec::version::Version;

pub use place::{Place, ScriptError};
pub use words::Statement;

pub(crate) use packet::{
    AckWords, AuthWords, ConnackWords, ConnectWords, DisconnectWords, PublishWords, ReauthenticateWords, Reconnect,
    ScramWords, SubscribeWords, UnsubscribeWords, WillWords,
};
pub(crate) use place::{Placed, unknown};
pub(crate) use verb::{Act, Closed, EventWords, Expect, Message, Send, Step, Timing, Verb};
pub(crate) use words::{
    Expiry, Filter, KeepAlive, Latency, PacketIdWord, PropertyWord, QosWord, Reason, ScramWord, TextWord, Time,
};
pub(crate) use world::WorldVerb;

use crate::{
    fault::FaultKind,
    liar::Direction,
    plan::Plan,
    settings::{Settings, Storage},
    stage::Need,
    yaml,
};
use storm::StormWords;
use words::{Pairs, Percent, Rate, VersionWord};

/// A story that any stage can play.
#[derive(Clone, Debug)]
pub struct Script {
    file: String,
    text: String,
    source: Source,
    versions: Vec<Version>,
    needs: Vec<Need>,
    settings: Settings,
    plan: Option<Plan>,
}

/// The file as it stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    title: String,
    about: Option<String>,
    actors: Pairs<Kind>,
    #[serde(default)]
    proves: Vec<Placed<Statement>>,
    versions: Option<Vec<Placed<VersionWord>>>,
    #[serde(default)]
    needs: Vec<Need>,
    /// Who judges, if it is not each step for itself.
    judge: Option<Judge>,
    broker: Option<Settings>,
    #[serde(default)]
    network: Pairs<Conditions>,
    seed: Option<u64>,
    #[serde(default)]
    steps: Vec<Placed<Step>>,
    storm: Option<StormWords>,
}

/// What an actor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Raw packets; it answers nothing by itself.
    Peer,
    /// The whole client library.
    Client,
}

/// Who judges a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Judge {
    /// What must hold in every history. Steps are carried out as far as they can be, and nothing comes of what they expect.
    Invariants,
}

/// How a link is from the start, both ways or each way in its own manner.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Conditions {
    pub(crate) latency: Option<Latency>,
    pub(crate) bandwidth: Option<Rate>,
    pub(crate) drop: Option<Percent>,
    pub(crate) split: Option<usize>,
    pub(crate) coalesce: Option<Gather>,
    pub(crate) to_server: Option<OneWayConditions>,
    pub(crate) to_client: Option<OneWayConditions>,
}

/// How one direction of a link is from the start.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OneWayConditions {
    pub(crate) latency: Option<Latency>,
    pub(crate) bandwidth: Option<Rate>,
    pub(crate) drop: Option<Percent>,
    pub(crate) coalesce: Option<Gather>,
}

/// Segments wait for this many bytes, or for so long.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gather {
    pub(crate) bytes: usize,
    pub(crate) time: Time,
}

impl Conditions {
    /// The faults that make a link so.
    pub(crate) fn faults(&self) -> Vec<FaultKind> {
        let Conditions { latency, bandwidth, drop, split, coalesce, to_server, to_client } = *self;
        let both = OneWayConditions { latency, bandwidth, drop, coalesce };
        let mut faults = both.faults(None);
        faults.extend(split.map(|bytes| FaultKind::Split { bytes }));
        for (way, direction) in [(to_server, Direction::ToServer), (to_client, Direction::ToClient)] {
            faults.extend(way.into_iter().flat_map(|way| way.faults(Some(direction))));
        }
        faults
    }

    /// All that is said about waiting for more.
    pub(crate) fn gathers(&self) -> impl Iterator<Item = Gather> {
        let ways = [self.to_server, self.to_client];
        self.coalesce.into_iter().chain(ways.into_iter().flatten().filter_map(|way| way.coalesce))
    }
}

impl OneWayConditions {
    fn faults(&self, direction: Option<Direction>) -> Vec<FaultKind> {
        let latency = self.latency.map(|latency| FaultKind::Latency { time: latency.0, direction });
        let bandwidth = self.bandwidth.map(|rate| FaultKind::Bandwidth { bytes_per_second: rate.0, direction });
        let drop = self.drop.map(|drop| FaultKind::Drop { probability: drop.0, direction });
        let coalesce =
            self.coalesce.map(|Gather { bytes, time }| FaultKind::Coalesce { bytes, time: time.0, direction });
        [latency, bandwidth, drop, coalesce].into_iter().flatten().collect()
    }
}

impl Script {
    /// Reads a script from a file.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no script: see [`Script::parse`].
    pub fn load(path: &Path) -> Result<Script, ScriptError> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ScriptError::unreadable(&name, &error))?;
        Script::parse(&name, &text)
    }

    /// Reads a script from its text; `name` is what errors call the file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line.
    pub fn parse(name: &str, text: &str) -> Result<Script, ScriptError> {
        let source: Source = yaml::read(text).map_err(|fault| ScriptError::from_yaml(name, text, fault))?;
        let versions = match &source.versions {
            Some(versions) => versions.iter().map(|version| version.value.0).collect(),
            // In a storm each client has its own.
            None if source.storm.is_some() => vec![Version::V5_0],
            None => vec![Version::V3_1_1, Version::V5_0],
        };
        let needs = needs_of(&source);
        let mut settings = source.broker.clone().unwrap_or_default();
        // Who restarts a broker asks what it has kept, unless the story is about one that keeps nothing.
        if settings.store.is_none() && needs.iter().any(|need| matches!(need, Need::Restart | Need::PowerLoss)) {
            settings.store = Some(Storage::Disk);
        }
        let (file, text) = (name.to_owned(), text.to_owned());
        let mut script = Script { file, text, source, versions, needs, settings, plan: None };
        let checked = match &script.source.storm {
            Some(storm) => storm::plan_of(&script, storm).map(Some),
            None => check::fault_of(&script).map_or(Ok(None), Err),
        };
        match checked {
            Ok(plan) => {
                script.plan = plan;
                Ok(script)
            }
            Err((place, message)) => Err(ScriptError::at(name, &script.text, place, message)),
        }
    }

    /// The file's name as it was given.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// What the story is, in one sentence.
    pub fn title(&self) -> &str {
        &self.source.title
    }

    /// What a learner should see.
    pub fn about(&self) -> Option<&str> {
        self.source.about.as_deref().map(str::trim)
    }

    /// The actors, in the order in which the script introduces them.
    pub fn actors(&self) -> impl Iterator<Item = &str> {
        self.source.actors.0.iter().map(|(name, _)| name.value.as_str())
    }

    /// The statements that a pass bears out.
    pub fn proves(&self) -> impl Iterator<Item = &Statement> {
        self.source.proves.iter().map(|placed| &placed.value)
    }

    /// The versions in which it is played, once each.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// What a world has to offer.
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// How the broker is to be set up.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether the history is judged, and not each step.
    pub fn is_judged_by_invariants(&self) -> bool {
        self.source.judge == Some(Judge::Invariants)
    }

    /// The whole clients.
    pub fn clients(&self) -> impl Iterator<Item = &str> {
        self.cast().filter(|(_, kind)| *kind == Kind::Client).map(|(name, _)| name)
    }

    /// The whole clients that connect again by themselves, each time they connect.
    pub fn reconnecting_clients(&self) -> impl Iterator<Item = &str> {
        let gives_up = |name: &str| {
            let mut connects = self.connects().filter(|(who, _)| *who == name);
            connects.any(|(_, words)| {
                words.reconnect.as_ref().is_some_and(|reconnect| matches!(reconnect.value, Reconnect::Never))
            })
        };
        self.clients().filter(move |name| !gives_up(name))
    }

    /// The longest Keep Alive of the whole clients, in seconds: nobody notices sooner that a link is dead.
    pub(crate) fn longest_keep_alive(&self) -> u16 {
        /// The library's own.
        const USUAL: u16 = 60;
        let clients: Vec<&str> = self.clients().collect();
        let of_clients = self.connects().filter(|(who, _)| clients.contains(who));
        of_clients.map(|(_, words)| words.keep_alive.map_or(USUAL, |seconds| seconds.0)).max().unwrap_or(0)
    }

    fn connects(&self) -> impl Iterator<Item = (&str, &ConnectWords)> {
        let steps = self.source.steps.iter().flat_map(|step| match &step.value.act {
            Act::Together(steps) => steps.as_slice(),
            _ => std::slice::from_ref(step),
        });
        steps.filter_map(|step| match &step.value.act {
            Act::Actor(who, verb) => match &verb.value {
                Verb::Connect(words) => Some((who.value.as_str(), &**words)),
                _ => None,
            },
            _ => None,
        })
    }

    /// The seed that it is meant to be played with.
    pub fn seed(&self) -> Option<u64> {
        self.source.seed
    }

    /// The plan of a script that is a storm.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// Whether the broker's process is killed.
    pub fn kills_the_broker(&self) -> bool {
        let together = self.source.steps.iter().flat_map(|step| match &step.value.act {
            Act::Together(steps) => steps.as_slice(),
            _ => &[],
        });
        let is_kill = |step: &Placed<Step>| matches!(&step.value.act, Act::World(verb) if matches!(verb.value, WorldVerb::Crash(_)));
        self.source.steps.iter().chain(together).any(is_kill)
    }

    /// Whether an actor asks the server for QoS 2.
    pub fn asks_for_qos_2(&self) -> bool {
        self.source.steps.iter().any(|step| match &step.value.act {
            Act::Actor(_, verb) => verb.value.asks_for_qos_2(),
            Act::Together(steps) => {
                steps.iter().any(|step| matches!(&step.value.act, Act::Actor(_, verb) if verb.value.asks_for_qos_2()))
            }
            Act::World(_) => false,
        })
    }

    /// The line with a caret under the place.
    pub fn excerpt(&self, place: Place) -> String {
        place.excerpt(&self.text)
    }

    /// A line of the file as it stands there, without the spaces around it; from 1.
    pub fn line(&self, number: usize) -> &str {
        self.text.lines().nth(number.saturating_sub(1)).unwrap_or_default().trim()
    }

    pub(crate) fn word_at(&self, place: Place) -> Place {
        place.word(&self.text)
    }

    pub(crate) fn cast(&self) -> impl Iterator<Item = (&str, Kind)> {
        self.source.actors.0.iter().map(|(name, kind)| (name.value.as_str(), *kind))
    }

    pub(crate) fn network(&self) -> impl Iterator<Item = (&Placed<String>, &Conditions)> {
        self.source.network.0.iter().map(|(link, conditions)| (link, conditions))
    }

    pub(crate) fn steps(&self) -> &[Placed<Step>] {
        &self.source.steps
    }
}

/// What is asked for by name, and what follows from the actors, the settings and the steps.
fn needs_of(source: &Source) -> Vec<Need> {
    let mut needs = source.needs.clone();
    let follows = |needs: &mut Vec<Need>, need: Need| {
        if !needs.contains(&need) {
            needs.push(need);
        }
    };
    if source.actors.0.iter().any(|(_, kind)| *kind == Kind::Client) {
        follows(&mut needs, Need::Client);
    }
    if source.judge == Some(Judge::Invariants) {
        follows(&mut needs, Need::Invariants);
    }
    if source.broker.is_some() {
        follows(&mut needs, Need::Configuration);
    }
    let together = source.steps.iter().flat_map(|step| match &step.value.act {
        Act::Together(steps) => steps.as_slice(),
        _ => &[],
    });
    let storm = source.storm.iter().flat_map(|storm| &storm.steps);
    for step in source.steps.iter().chain(together).chain(storm) {
        if let Act::World(verb) = &step.value.act
            && let Some(need) = verb.value.need()
        {
            follows(&mut needs, need);
            if step.value.on.as_ref().is_some_and(|on| on.value.is_arrival()) && verb.value.fault().is_none() {
                follows(&mut needs, Need::Arrival);
            }
        }
    }
    needs
}
