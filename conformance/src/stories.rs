//! Stories on a real server: the scripts that the simulator plays, in real time, behind the same faulty links.

use std::{io, rc::Rc, time::Duration};

use squall_codec::version::Version;
use squall_scenarios::{
    player::{self, Played},
    script::Script,
    stage::Stage,
    verdict::{Halt, Verdict},
};
use tokio::task::JoinSet;

use crate::{
    launch::{instance::Instance, launcher::Launcher},
    live::Live,
    preflight::Subject,
    report::model::Line,
    run::{base36, run_id},
    setup::Setup,
    test::Isolation,
    tests::{both::s4_01_restart::outlives_a_kill, without_qos_2::evidence},
};

/// Stories at a time: they wait for clocks most of the time.
const AT_A_TIME: usize = 32;

/// One story in one version.
#[derive(Debug)]
pub struct Told {
    /// How it ended.
    pub played: Played,
    /// What went over the wire.
    pub transcript: Vec<Line>,
}

/// Where stories are played.
#[derive(Clone)]
pub enum Place {
    /// At a server that was named.
    Named(Rc<Subject>),
    /// At one that is launched, a fresh one for each story that takes it down.
    Launched(Rc<Launcher>),
}

impl Place {
    async fn world(&self, script: &Script, version: Version) -> Result<(Live, Rc<Subject>), String> {
        match self {
            Place::Named(subject) => {
                subject.speaks(version)?;
                Ok((Live::new(subject.dialer(version).clone()), Rc::clone(subject)))
            }
            Place::Launched(launcher) => {
                let restarts = script.needs().contains(&squall_scenarios::stage::Need::Restart);
                let setup = if restarts { Setup::Persistence } else { Setup::Plain };
                launcher.offers(setup)?;
                // None is started for what none of them speaks.
                let mut instance: Rc<Instance> = launcher.instance(Setup::Plain, Isolation::Shared).await?;
                instance.subject().speaks(version)?;
                if restarts {
                    instance = launcher.instance(setup, Isolation::Own).await?;
                }
                let subject = Rc::new(instance.subject().clone());
                Ok((Live::launched(instance, version), subject))
            }
        }
    }
}

/// Plays all scripts in these versions, and tells each as it ends.
pub async fn play(
    place: &Place,
    scripts: Vec<Rc<Script>>,
    versions: &[Version],
    patience: Duration,
    mut tell: impl FnMut(Told) -> io::Result<()>,
) -> io::Result<()> {
    let run = run_id(u64::from(std::process::id()));
    let plays = scripts.iter().flat_map(|script| {
        let spoken = script.versions().iter().filter(|version| versions.contains(version));
        spoken.map(|version| (Rc::clone(script), *version))
    });
    let mut waiting = plays.enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_A_TIME
            && let Some((number, (script, version))) = waiting.next()
        {
            let place = place.clone();
            let namespace = format!("{run}{}", base36(number as u64, 3));
            running.spawn_local(async move { one(&place, &script, version, &namespace, patience).await });
        }
        let Some(told) = running.join_next().await else { return Ok(()) };
        tell(told.map_err(io::Error::other)?)?;
    }
}

/// What a story needs and the server turns out not to have, in one sentence. It is asked on a stage of its own: the story's
/// transcript begins with the story.
async fn lacks(stage: &Stage, script: &Script) -> Result<Option<String>, Halt> {
    if script.asks_for_qos_2()
        && let Some(without) = evidence(stage).await?
    {
        return Ok(Some(without.reason));
    }
    if script.kills_the_broker() && !outlives_a_kill(stage).await? {
        return Ok(Some("no session outlives a kill of the server, as set up here: Session Present 0".to_owned()));
    }
    Ok(None)
}

async fn one(place: &Place, script: &Script, version: Version, namespace: &str, patience: Duration) -> Told {
    let unplayed = |verdict, reason| Told {
        played: Played {
            file: script.file().to_owned(),
            version,
            verdict,
            reason,
            place: None,
            excerpt: None,
            entry: None,
            steps: Vec::new(),
        },
        transcript: Vec::new(),
    };
    let (world, subject) = match place.world(script, version).await {
        Ok(found) => found,
        Err(reason) => return unplayed(Verdict::Unsupported, reason),
    };
    let at = |world: Live| {
        Stage::new(Rc::new(world), version, namespace, patience)
            .with_credentials(subject.credentials.clone())
            .with_keep_alive(subject.keep_alive)
            .with_topic_root(&subject.topic_root)
    };
    let (asking, stage) = (at(world.anew()), at(world));
    match lacks(&asking, script).await {
        Ok(Some(reason)) => return unplayed(Verdict::Unsupported, reason),
        // It may not be there any more.
        Err(halt) if script.kills_the_broker() => return unplayed(Verdict::Inconclusive, halt.reason),
        // What went wrong goes wrong in the story too, where its packets are shown.
        Ok(None) | Err(_) => {}
    }
    let played = player::play(&stage, script).await;
    Told { played, transcript: stage.transcript().entries().iter().map(Line::from).collect() }
}
