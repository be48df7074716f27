//! Plays a script in a virtual world.

use std::{rc::Rc, time::Duration};

use squall_codec::version::Version;
use squall_scenarios::{
    player::{self, Played},
    script::Script,
    stage::Stage,
};

use crate::{run::Run, subject::Subject, world::VirtualWorld};

/// How long an answer may take: longer than three losses in a row on one link.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody else is in the world, so that client identifiers are the actors' names.
const NAMESPACE: &str = "";

/// What stands before every topic on the wire and is left out where people look.
pub const TOPIC_ROOT: &str = "squall//";

/// Plays once, with the broker as the script wants it.
pub fn play(world: VirtualWorld, script: &Rc<Script>, version: Version, seed: u64) -> Run<Played> {
    let script = Rc::clone(script);
    let subject = Subject::of(script.settings(), NAMESPACE, seed);
    world.run(seed, subject, move |world| {
        Box::pin(async move {
            let stage = Stage::new(world, version, NAMESPACE, PATIENCE);
            player::play(&stage, &script).await
        })
    })
}
