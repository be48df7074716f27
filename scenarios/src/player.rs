//! Plays a script on a stage, step by step, and says how it ended and at which line.

mod client;
mod compare;
mod compose;
mod peer;
mod proving;
mod scene;
mod world;

use std::{collections::BTreeMap, fmt, future::poll_fn, task::Poll, time::Duration};

use squall_codec::version::Version;

use crate::{
    fault::FaultKind,
    script::{Act, Kind, Place, Placed, Script, Step, WorldVerb},
    stage::{LocalFuture, Need, Stage},
    transcript::EntryId,
    verdict::{Halt, Verdict},
};
use client::ClientPart;
use peer::PeerPart;
use scene::Scene;

/// How a script ended in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// The script's file.
    pub file: String,
    /// The version that was spoken.
    pub version: Version,
    /// Pass, fail, inconclusive or unsupported.
    pub verdict: Verdict,
    /// Why it is no pass: expected and seen, in one line. Empty for a pass.
    pub reason: String,
    /// The line of the script that was not borne out.
    pub place: Option<Place>,
    /// That line with a caret.
    pub excerpt: Option<String>,
    /// Where in the transcript it showed.
    pub entry: Option<EntryId>,
    /// The steps that were begun, in order.
    pub steps: Vec<Taken>,
}

/// A step that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whose; `None` is the world's.
    pub actor: Option<String>,
    /// Its line in the script.
    pub place: Place,
    /// So many lines the transcript had by then.
    pub entries: usize,
    /// The fault that it put in place, in the words of its `Display`.
    pub fault: Option<String>,
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {} in {}", self.verdict, self.version)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        if let Some(excerpt) = &self.excerpt {
            write!(f, "\n{excerpt}")?;
        }
        Ok(())
    }
}

/// Plays the script once, in the version of the stage.
pub async fn play(stage: &Stage, script: &Script) -> Played {
    let ended = |halt: Halt, place: Option<Place>| {
        let place = place.map(|place| script.word_at(place));
        Played {
            file: script.file().to_owned(),
            version: stage.version(),
            verdict: halt.verdict,
            reason: halt.reason,
            place,
            excerpt: place.map(|place| script.excerpt(place)),
            entry: halt.entry,
            steps: Vec::new(),
        }
    };
    if !script.versions().contains(&stage.version()) {
        return ended(Halt::unsupported("the script is not played in this version"), None);
    }
    if script.plan().is_some() {
        return ended(Halt::unsupported("a storm is played in the virtual worlds, and by conformance storm"), None);
    }
    for need in script.needs() {
        if let Err(reason) = stage.world().offers(*need) {
            return ended(Halt::unsupported(reason), None);
        }
    }
    let alone = script.needs().contains(&Need::WholeTree).then(|| stage.clone().alone());
    let scene = Scene::new(alone.as_ref().unwrap_or(stage), script.is_judged_by_invariants());
    let outcome = perform(&scene, script).await;
    let steps = scene.taken();
    match outcome {
        Ok(()) => Played {
            file: script.file().to_owned(),
            version: stage.version(),
            verdict: Verdict::Pass,
            reason: String::new(),
            place: None,
            excerpt: None,
            entry: None,
            steps,
        },
        Err(Missed { halt, place }) => Played { steps, ..ended(halt, Some(place)) },
    }
}

/// A step that was not borne out.
struct Missed {
    halt: Halt,
    place: Place,
}

/// An actor with the state that the story gives it.
enum Part {
    Peer(Box<PeerPart>),
    Client(ClientPart),
}

async fn perform(scene: &Scene<'_>, script: &Script) -> Result<(), Missed> {
    for (link, conditions) in script.network() {
        world::begin(scene, link, conditions).await?;
    }
    let mut parts: BTreeMap<&str, Part> = script
        .cast()
        .map(|(name, kind)| match kind {
            Kind::Peer => (name, Part::Peer(Box::new(PeerPart::new(name)))),
            Kind::Client => (name, Part::Client(ClientPart::new(name))),
        })
        .collect();
    world::beside(scene, tell(scene, script, &mut parts)).await?;
    if scene.goes_on {
        drop(parts);
        world::calm(scene, script).await;
        return Ok(());
    }
    world::deed_untouched(scene)?;
    // The actors are still there: that their connections end with the story is nothing that it tells.
    let untouched = scene.stage.world().untouched();
    for fault in &untouched {
        if let Some(place) = scene.place_of(fault) {
            let why = scene.stage.world().why_untouched(fault).map_or_else(String::new, |why| format!(": {why}"));
            let halt = Halt::fail(format!("this fault touched nothing: {fault}{why}"));
            return Err(Missed { halt, place });
        }
    }
    Ok(())
}

/// The steps, one after the other.
async fn tell<'a>(scene: &Scene<'_>, script: &'a Script, parts: &mut BTreeMap<&'a str, Part>) -> Result<(), Missed> {
    for step in script.steps() {
        if !step.value.applies(scene.stage.version()) {
            continue;
        }
        match &step.value.act {
            Act::Together(steps) => {
                wait_for(scene, &step.value).await;
                together(scene, parts, steps).await?;
            }
            Act::World(_) => act(scene, None, step).await?,
            Act::Actor(who, _) => act(scene, parts.get_mut(who.value.as_str()), step).await?,
        }
    }
    Ok(())
}

async fn wait_for(scene: &Scene<'_>, step: &Step) {
    if let Some(at) = step.at {
        scene.stage.world().sleep_until(scene.began + at.0).await;
    }
}

/// Steps of one actor keep their order; those of different actors run at once.
async fn together<'a>(
    scene: &Scene<'_>,
    parts: &mut BTreeMap<&'a str, Part>,
    steps: &'a [Placed<Step>],
) -> Result<(), Missed> {
    let mut lanes: Vec<(Option<&'a str>, Vec<&'a Placed<Step>>)> = Vec::new();
    for step in steps.iter().filter(|step| step.value.applies(scene.stage.version())) {
        let who = match &step.value.act {
            Act::Actor(who, _) => Some(who.value.as_str()),
            Act::World(_) | Act::Together(_) => None,
        };
        match lanes.iter_mut().find(|(lane, _)| *lane == who) {
            Some((_, lane)) => lane.push(step),
            None => lanes.push((who, vec![step])),
        }
    }
    let mut running: Vec<LocalFuture<'_, _>> = Vec::new();
    for (who, lane) in lanes {
        let mut part = who.and_then(|who| parts.remove(who));
        running.push(Box::pin(async move {
            for step in lane {
                if let Err(missed) = act(scene, part.as_mut(), step).await {
                    return (who.zip(part), Err(missed));
                }
            }
            (who.zip(part), Ok(()))
        }));
    }
    let mut first = Ok(());
    for (part, outcome) in all(running).await {
        parts.extend(part);
        first = first.and(outcome);
    }
    first
}

/// Runs futures on one task until each is done; the results stand in the order of the futures.
async fn all<T>(futures: Vec<LocalFuture<'_, T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(Some).collect();
    let mut results: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (slot, result) in waiting.iter_mut().zip(&mut results) {
            if let Some(future) = slot
                && let Poll::Ready(value) = future.as_mut().poll(context)
            {
                *result = Some(value);
                *slot = None;
            }
        }
        if waiting.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// One line of the story. Where the history is judged, nothing comes of what an actor expects, nor of a fault for which there is no
/// connection.
async fn act(scene: &Scene<'_>, part: Option<&mut Part>, step: &Placed<Step>) -> Result<(), Missed> {
    wait_for(scene, &step.value).await;
    scene.takes(step);
    let (outcome, may_miss) = match (&step.value.act, part) {
        (Act::World(verb), _) => (world::act(scene, &step.value, verb).await, fault(&verb.value).is_some()),
        (Act::Actor(_, verb), Some(part)) => {
            let outcome = match part {
                Part::Peer(peer) => peer.act(scene, &verb.value).await,
                Part::Client(client) => client.act(scene, &verb.value).await,
            };
            (outcome.map_err(|halt| Missed { halt, place: verb.place }), true)
        }
        (Act::Actor(..) | Act::Together(_), _) => {
            unreachable!("a script is checked: every actor has a part of its own")
        }
    };
    if scene.goes_on && may_miss { Ok(()) } else { outcome }
}

/// What befalls a link, and whose; `None` where it is no link that something befalls.
pub(crate) fn fault(verb: &WorldVerb) -> Option<(&Placed<String>, FaultKind)> {
    verb.fault()
}

/// The moments between which something has to happen.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Not before.
    opens: Option<Duration>,
    /// Not later.
    closes: Duration,
}
