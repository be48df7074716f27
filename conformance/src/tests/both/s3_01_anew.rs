//! 3.1.2.4: what a client finds that begins anew under its old name, and one that comes back again and again.

use squall_codec::{
    packet::{Ack, Connect, Packet},
    qos::Qos,
};
use squall_scenarios::{
    peer::{Peer, Pubcomp, Pubrec},
    stage::{End, LocalFuture, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use super::s3_01_session::publish as published_by_another;
use crate::tests::{
    asking::{id, lasting, lasting_peer, publish},
    judge::{Cases, farewell},
    offer,
    rows::together,
    watch::{Delivery, collect, message, no_other, rest, tidied, will_taken, with_will},
    without_qos_2::highest_qos,
};

/// An exchange that was left half done is none of the new session's: its packet identifier is as good as any.
pub(crate) async fn a_fresh_session_knows_no_unfinished_exchange(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut watcher = Peer::connected(stage, "watcher").await?;
        offer::qos(&watcher, Qos::ExactlyOnce)?;
        watcher.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
        let mut cases = Cases::new();
        for (before, first) in [
            ("after a lasting session", lasting(stage, "alice")),
            ("after a clean session", Peer::hello(stage, "alice")),
        ] {
            cases.add(before, begun_anew(stage, &mut watcher, first, before).await);
        }
        cases.finish()
    })
    .await
}

/// PUBLISH and PUBREC on the first connection; on the second, which asks for a fresh session, a message with the same
/// packet identifier.
async fn begun_anew(stage: &Stage, watcher: &mut Peer, first: Connect, payload: &str) -> Outcome {
    let (mut alice, _) = Peer::connect(stage, "alice", first).await.prepared()?;
    alice.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(7), "left half done"))).await;
    let pubrec = alice.expect::<Pubrec>().await.prepared()?;
    if pubrec.reason.is_failure() {
        return Err(Halt::inconclusive(format!("the server refused the message: {}", pubrec.reason)).at(&pubrec));
    }
    alice.close(End::Fin).await;
    farewell(&mut alice).await;
    let (mut alice, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await.prepared()?;
    alice.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(7), payload))).await;
    let again = alice.expect::<Pubrec>().await?;
    if again.reason.is_failure() {
        let reason = format!("the first message of a fresh session was refused with PUBREC {}", again.reason);
        return Err(Halt::fail(reason).at(&again));
    }
    alice.send(Packet::Pubrel(Ack::new(id(7)))).await;
    let pubcomp = alice.expect::<Pubcomp>().await?;
    alice.disconnect().await;
    // What was left half done may have been passed on at its PUBLISH.
    let copy = message(watcher, payload.as_bytes()).await.map_err(|halt| Halt {
        reason: format!("a message of a fresh session was taken for one of the old: {}", halt.reason),
        ..halt
    })?;
    Ok(Evidence::of(&pubrec).and(&connack).and(&again).and(&pubcomp).and(&copy))
}

/// The filter of the session that was cleared, subscribed to anew: what is new comes, and what waited there does not.
pub(crate) async fn a_filter_of_the_old_session_serves_the_fresh_one(stage: &Stage) -> Outcome {
    let topic = stage.topic("same");
    tidied(stage, &["alice"], &[], async {
        let mut alice = lasting_peer(stage, "alice").await?;
        offer::qos(&alice, Qos::AtLeastOnce)?;
        alice.subscribed(&topic, Qos::AtLeastOnce).await?;
        published_by_another(stage, &topic, Qos::AtLeastOnce, "acknowledged").await?;
        message(&mut alice, b"acknowledged").await.prepared()?;
        rest(&mut alice).await.prepared()?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        published_by_another(stage, &topic, Qos::AtLeastOnce, "waiting").await?;
        let mut evidence: Option<Evidence> = None;
        // Twice: the second session follows a clean one.
        for payload in ["first of the new", "first of the next"] {
            let (mut alice, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await.prepared()?;
            alice.subscribed(&topic, Qos::AtLeastOnce).await?;
            published_by_another(stage, &topic, Qos::AtLeastOnce, payload).await?;
            let new = |seen: &[Delivery]| seen.last().is_some_and(|last| last.payload() == payload.as_bytes());
            let received = collect(&mut alice, new).await?;
            no_other(&received, payload.as_bytes())?;
            let Some(copy) = received.into_iter().next() else {
                let reason =
                    format!("the message \"{payload}\" did not come to a fresh session on a filter of the old one");
                return Err(Halt::fail(reason).at(&connack));
            };
            rest(&mut alice).await.prepared()?;
            alice.disconnect().await;
            farewell(&mut alice).await;
            let seen = Evidence::of(&connack).and(&copy);
            evidence = Some(match evidence {
                Some(before) => before.join(seen),
                None => seen,
            });
        }
        evidence.ok_or_else(|| Halt::inconclusive("nobody came back"))
    })
    .await
}

/// More often than a counter of four bits reaches.
const VISITS: usize = 17;

/// With a will and a clean session, and with a lasting one: the last visit is served as the first.
pub(crate) async fn a_client_is_served_however_often_it_comes_back(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    let mut asker = Peer::connected(stage, "asker").await?;
    let mortal = with_will(stage, "mortal", will_taken(&asker, &stage.topic("will"), b"unused"));
    asker.disconnect().await;
    let stayer = lasting(stage, "stayer");
    // Far away each visit takes its seconds: beside each other they take them once.
    let stories: [LocalFuture<'_, Outcome>; 2] = [
        Box::pin(visits(stage, "mortal", &mortal)),
        Box::pin(tidied(stage, &["stayer"], &[], visits(stage, "stayer", &stayer))),
    ];
    for (name, outcome) in ["a clean session with a will", "a lasting session"].into_iter().zip(together(stories).await)
    {
        cases.add(name, outcome);
    }
    cases.finish()
}

async fn visits(stage: &Stage, actor: &str, connect: &Connect) -> Outcome {
    let topic = stage.topic(actor);
    let mut publisher = Peer::connected(stage, &stage.fresh("publisher")).await?;
    let highest = highest_qos(stage, &publisher).await;
    let mut evidence: Option<Evidence> = None;
    for visit in 1..=VISITS {
        let (mut peer, _) = Peer::connect(stage, actor, connect.clone()).await.prepared()?;
        peer.subscribed(&topic, highest).await?;
        let payload = format!("visit {visit}");
        publisher.published(&topic, highest, payload.as_bytes(), false).await?;
        let copy = message(&mut peer, payload.as_bytes()).await;
        // Whoever is never served is not served less and less.
        let copy = if visit == 1 { copy.prepared() } else { copy };
        let copy = copy.map_err(|halt| Halt { reason: format!("on visit {visit}: {}", halt.reason), ..halt })?;
        // The exchange of the message ends before the visit does.
        rest(&mut peer).await.prepared()?;
        peer.disconnect().await;
        farewell(&mut peer).await;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nobody came"))
}
