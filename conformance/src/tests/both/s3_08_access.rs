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
    watch::{filter, message},
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
