//! 3.8.4 Subscriptions on a server that does not let everybody subscribe to everything.

use squall_codec::{
    packet::{Packet, Suback, Subscribe, Subscription},
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::id,
    both::s3_03_retain::publisher,
    watch::{Delivery, collect, filter, message, rest, tidied},
};

/// One filter that may be subscribed to and one that may not, in one packet: each has its code, and only one delivers.
pub(crate) async fn a_denied_filter_is_refused_beside_one_that_is_granted(stage: &Stage) -> Outcome {
    let (open, closed) = (stage.topic("open/a"), stage.topic("writeonly/b"));
    let mut alice = Peer::connected(stage, "alice").await?;
    let both = [&open, &closed].map(|text| Subscription::new(filter(text), Qos::AtLeastOnce));
    alice.send(Packet::Subscribe(Subscribe::new(id(1), both.into()))).await;
    let suback = alice.expect::<Suback>().await.prepared()?;
    let [first, second] = suback.reasons[..] else {
        return Err(Halt::fail(format!("expected 2 codes in SUBACK, got {}", suback.reasons.len())).at(&suback));
    };
    if first.is_failure() {
        let reason = format!("expected the allowed filter, the first, to be granted, got {first} and {second}");
        return Err(Halt::fail(reason).at(&suback));
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&closed, Qos::AtLeastOnce, b"secret", false).await?;
    publisher.published(&open, Qos::AtLeastOnce, b"public", false).await?;
    let mut evidence = Evidence::of(&suback);
    // The secret one was published before.
    let by = stage.now() + stage.patience();
    let received = crate::tests::watch::collect_by(&mut alice, by, |seen| {
        seen.last().is_some_and(|last| last.payload() == b"public")
    });
    let received = received.await?;
    if let Some(secret) = received.iter().find(|one| one.payload() == b"secret") {
        return Err(Halt::fail("a message came that this client may not read").at(secret));
    }
    let Some(public) = received.last() else {
        return Err(Halt::fail("the filter that was granted delivers nothing").at(&suback));
    };
    evidence = evidence.and(public);
    if !second.is_failure() {
        evidence = evidence.warn(format!("the denied filter was granted with {second}, and nothing comes of it"));
    }
    // It goes on.
    publisher.published(&open, Qos::AtLeastOnce, b"more", false).await?;
    let more = message(&mut alice, b"more").await?;
    Ok(evidence.and(&more))
}

/// What is retained where a client may not read stays there, whatever SUBACK says.
pub(crate) async fn a_refused_filter_brings_nothing_retained(stage: &Stage) -> Outcome {
    let (open, closed) = (stage.topic("open/kept"), stage.topic("writeonly/kept"));
    tidied(stage, &[], &[&open, &closed], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&closed, Qos::AtLeastOnce, b"secret", true).await?;
        publisher.published(&open, Qos::AtLeastOnce, b"public", true).await?;
        let mut alice = Peer::connected(stage, "alice").await?;
        let asked = |alice: &mut Peer, text: &str| {
            let subscription = Subscription::new(filter(text), Qos::AtLeastOnce);
            Packet::Subscribe(Subscribe::new(alice.fresh_id(), vec![subscription]))
        };
        let question = asked(&mut alice, &closed);
        alice.send(question).await;
        let refusal = alice.expect::<Suback>().await.prepared()?;
        // What is retained and may be read comes: the other had its time.
        let question = asked(&mut alice, &open);
        alice.send(question).await;
        let public = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"public");
        let mut received = collect(&mut alice, public).await?;
        received.extend(rest(&mut alice).await.prepared()?.0);
        if let Some(secret) = received.iter().find(|copy| copy.payload() == b"secret") {
            return Err(Halt::fail("a retained message came that this client may not read").at(secret));
        }
        match received.iter().find(|copy| copy.payload() == b"public") {
            Some(public) => Ok(Evidence::of(&refusal).and(public)),
            None => Err(Halt::inconclusive("not even the retained message that may be read came")),
        }
    })
    .await
}
