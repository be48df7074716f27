//! Plays a script in a virtual world, and judges its history where the script asks for that.

use std::{rc::Rc, time::Duration};

use squall_codec::{packet::Packet, version::Version};
use squall_scenarios::{
    plan::Plan,
    player::{self, Played},
    script::Script,
    stage::{LocalFuture, Stage, World},
    transcript::Transcript,
    verdict::Verdict,
};

use crate::{
    events::storm::{self, StormOptions},
    history::{Happened, History},
    invariants::{self, Breach},
    run::Run,
    storm::run::StormRun,
    subject::Subject,
    turmoil,
    world::VirtualWorld,
};

/// How long an answer may take: longer than three losses in a row on one link.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody else is in the world, so that client identifiers are the actors' names.
pub(crate) const NAMESPACE: &str = "";

/// What stands before every topic on the wire and is left out where people look.
pub const TOPIC_ROOT: &str = "squall//";

/// Plays once, with the broker as the script wants it.
pub fn play(world: VirtualWorld, script: &Rc<Script>, version: Version, seed: u64) -> Run<Played> {
    if let Some(plan) = script.plan() {
        return play_storm(world, script, plan, version);
    }
    let told = Rc::clone(script);
    let subject = Subject::of(script.settings(), NAMESPACE, seed);
    let mut run = world.run(seed, subject, move |world| tell(world, &told, version));
    if let Ok(played) = &mut run.outcome
        && played.verdict == Verdict::Pass
        && script.is_judged_by_invariants()
        && let Some(first) = breaches(script, &run.transcript).into_iter().next()
    {
        played.verdict = Verdict::Fail;
        played.reason = first.to_string();
        played.entry = Some(first.entry);
    }
    run
}

/// A storm has its own seed; it is judged by what a model of the server has noticed, or by what has passed the edge of one that
/// nobody stands beside.
fn play_storm(world: VirtualWorld, script: &Script, plan: &Plan, version: Version) -> Run<Played> {
    let run = match world {
        VirtualWorld::Events => storm::play(plan, StormOptions::default()),
        VirtualWorld::Turmoil => turmoil::storm::play(plan),
    };
    judged(script, version, run)
}

/// What a storm comes to, as a script's play does.
pub fn judged(script: &Script, version: Version, run: StormRun) -> Run<Played> {
    let run = run.into_run();
    let first = run.noticed.first();
    let played = Played {
        file: script.file().to_owned(),
        version,
        verdict: if first.is_some() { Verdict::Fail } else { Verdict::Pass },
        reason: first.map_or_else(String::new, ToString::to_string),
        place: None,
        excerpt: None,
        entry: first.map(|breach| breach.entry),
        steps: Vec::new(),
    };
    run.map(|()| played)
}

/// The script on a stage in this world.
pub(crate) fn tell(world: Rc<dyn World>, script: &Rc<Script>, version: Version) -> LocalFuture<'static, Played> {
    let script = Rc::clone(script);
    Box::pin(async move {
        let stage = Stage::new(world, version, NAMESPACE, PATIENCE);
        player::play(&stage, &script).await
    })
}

/// What does not hold in a history that has come to rest: in the order of the history.
pub fn breaches(script: &Script, transcript: &Transcript) -> Vec<Breach> {
    let history = History::of(transcript);
    let clients: Vec<&str> = script.clients().collect();
    // Who shares an identifier cannot know whose session it is that the server has for it.
    let alone: Vec<&str> = clients.iter().copied().filter(|client| !shares_its_identifier(&history, client)).collect();
    let mut breaches = invariants::of_the_server(&history);
    breaches.extend(invariants::of_clients(&history, &alone));
    breaches.extend(invariants::outstanding(&history));
    breaches.extend(invariants::unfinished(&history, &clients));
    // Two who share an identifier throw each other out.
    let reconnecting: Vec<&str> = script.reconnecting_clients().filter(|client| alone.contains(client)).collect();
    breaches.extend(invariants::absent(&history, &reconnecting));
    breaches.sort_by_key(|breach| breach.entry);
    breaches
}

/// Whether another actor connects with the Client Identifier of this one.
fn shares_its_identifier(history: &History, actor: &str) -> bool {
    let connects = || {
        history.events.iter().filter_map(|event| match &event.what {
            Happened::Sent(Packet::Connect(connect)) => Some((&*event.connection.actor, connect.client_id())),
            _ => None,
        })
    };
    let own: Vec<_> = connects().filter(|(who, _)| *who == actor).map(|(_, id)| id).collect();
    connects().any(|(who, id)| who != actor && own.contains(&id))
}
