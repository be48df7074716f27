//! 4.1 What a server that keeps its state has after it was stopped and started again.

use std::time::Duration;

use squall_codec::{packet::Connect, property::Property, qos::Qos};
use squall_scenarios::{
    outage::{Outage, Stop},
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict, Witness},
};

use crate::tests::{
    asking::{lasting, lasting_peer, resumed},
    clock::{end_at_once, gone},
    judge::{At, farewell},
    offer,
    watch::{collect, message, rest, tidied},
};

/// The subject goes down as this says, and comes back. What fails then is no rule of MQTT.
pub(crate) async fn restarted(stage: &Stage, down: Duration) -> Result<(), Halt> {
    let outage = Outage { how: Stop::Restart, down };
    stage.world().outage(outage).await.map_err(Halt::inconclusive)
}

/// Whether a session is there after the server was killed. The standard lets a failure take it.
pub(crate) async fn outlives_a_kill(stage: &Stage) -> Result<bool, Halt> {
    let mut alice = lasting_peer(stage, "outliving").await?;
    alice.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    alice.disconnect().await;
    farewell(&mut alice).await;
    let kill = Outage { how: Stop::Crash, down: Duration::ZERO };
    stage.world().outage(kill).await.map_err(Halt::inconclusive)?;
    let (mut alice, connack) = Peer::connect(stage, "outliving", clean(stage, "outliving", false)).await.prepared()?;
    alice.disconnect().await;
    farewell(&mut alice).await;
    // It leaves nothing behind.
    let (mut alice, _) = Peer::connect(stage, "outliving", clean(stage, "outliving", true)).await.prepared()?;
    alice.disconnect().await;
    Ok(connack.session_present)
}

fn clean(stage: &Stage, actor: &str, clean_start: bool) -> Connect {
    let mut connect = Peer::hello(stage, actor);
    connect.clean_start = clean_start;
    connect
}

/// A session, its subscription, messages that wait for it and a retained message, over a restart.
pub(crate) async fn a_session_survives_a_restart(stage: &Stage) -> Outcome {
    let topic = stage.topic("kept");
    let mut alice = lasting_peer(stage, "alice").await?;
    alice.subscribed(&topic, Qos::AtLeastOnce).await?;
    alice.disconnect().await;
    farewell(&mut alice).await;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    for payload in [b"one", b"two"] {
        publisher.published(&topic, Qos::AtLeastOnce, payload, false).await?;
    }
    let retains = offer::retain(&publisher).is_ok();
    if retains {
        publisher.published(&stage.topic("retained"), Qos::AtLeastOnce, b"kept", true).await?;
    }
    publisher.disconnect().await;
    restarted(stage, Duration::ZERO).await?;

    let (mut alice, connack) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
    let mut evidence = Evidence::of(&connack);
    if !connack.session_present {
        return Ok(evidence.warn("the session did not survive the restart"));
    }
    let waiting = collect(&mut alice, |seen| seen.len() >= 2).await?;
    let (more, _) = rest(&mut alice).await.prepared()?;
    evidence = evidence.and_all(&waiting);
    for payload in [b"one", b"two"] {
        if !waiting.iter().chain(&more).any(|one| one.payload() == payload) {
            let lost = String::from_utf8_lossy(payload);
            evidence = evidence.warn(format!("the session survived the restart, and the message \"{lost}\" did not"));
        }
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtLeastOnce, b"after", false).await?;
    match message(&mut alice, b"after").await {
        Ok(after) => evidence = evidence.and(&after),
        Err(_) => evidence = evidence.warn("the session survived the restart, and its subscription did not"),
    }
    if retains {
        publisher.subscribed(&stage.topic("retained"), Qos::AtLeastOnce).await?;
        match message(&mut publisher, b"kept").await {
            Ok(kept) => evidence = evidence.and(&kept),
            Err(_) => evidence = evidence.warn("the retained message did not survive the restart"),
        }
    }
    Ok(evidence)
}

/// Who leave together and come back one by one after the restart, and when.
const LEAVERS: [&str; 3] = ["alice", "carol", "dave"];
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(4), Duration::from_secs(8)];

/// Sessions that would have ended while the server was down. The text lets the clock stand meanwhile, and the session end late.
pub(crate) async fn a_session_that_expired_meanwhile_is_gone(stage: &Stage) -> Outcome {
    let short = |actor: &str| {
        let mut connect = clean(stage, actor, false);
        connect.push_property(Property::SessionExpiryInterval(2));
        connect
    };
    tidied(stage, &["bob"], &[], async {
        // One that lasts is kept: else that the others are gone says nothing.
        let mut bob = lasting_peer(stage, "bob").await?;
        bob.disconnect().await;
        farewell(&mut bob).await;
        for actor in LEAVERS {
            let (mut leaver, _) = Peer::connect(stage, actor, short(actor)).await.prepared()?;
            leaver.disconnect().await;
            farewell(&mut leaver).await;
        }
        restarted(stage, Duration::from_secs(4)).await?;
        resumed(stage, "bob").await?.disconnect().await;
        let since = stage.now();
        let due = end_at_once("the end of a session of 2 s", "a server that had been down for 4 s was back");
        let look = async |number: usize| {
            let (mut leaver, connack) =
                Peer::connect(stage, LEAVERS[number], short(LEAVERS[number])).await.prepared()?;
            leaver.disconnect().await;
            Ok((connack.session_present, At(connack.entry())))
        };
        let gone = gone(stage, due, since, &LOOKS, "a session that expired meanwhile is still there", look).await;
        gone.map_err(|halt| match halt.verdict {
            Verdict::Fail => Halt { verdict: Verdict::Warn, ..halt },
            _ => halt,
        })
    })
    .await
}

/// Somebody is connected when the server is stopped.
pub(crate) async fn a_server_that_stops_hangs_up(stage: &Stage) -> Outcome {
    let mut alice = Peer::connected(stage, "alice").await?;
    alice.fence().await.prepared()?;
    restarted(stage, Duration::ZERO).await?;
    let seen = farewell(&mut alice).await;
    if let Some(what) = &seen.malformed {
        return Err(Halt::fail(format!("what a server that stops says is no packet: {}", **what)).at(what));
    }
    let Some(end) = &seen.end else {
        return Err(Halt::fail("the server was stopped, and the connection is still open"));
    };
    let mut evidence = Evidence::of(end);
    if let Some((reason, at)) = seen.disconnect() {
        evidence = evidence.and(at);
        if reason != squall_codec::reason::ReasonCode::ServerShuttingDown {
            evidence = evidence.warn(format!("a server that stops says DISCONNECT {reason}"));
        }
    }
    Ok(evidence)
}
