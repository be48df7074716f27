//! 3.1.2.4 Clean Start and Clean Session, and what outlives a connection.

use squall_codec::{
    packet::{Connack, Publish, Subscribe, Subscription},
    property::{Properties, Property},
    qos::Qos,
};
use squall_scenarios::{
    peer::{Peer, Seen},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::tests::{
    asking::{is_v5, lasting, lasting_peer},
    judge::farewell,
    offer,
    watch::{Delivery, collect, filter, message, no_other, rest, shown, tidied},
};

/// The Session Expiry Interval that the tests ask for.
pub(crate) const EXPIRY: u32 = 300;

/// Leaves a session with a QoS 1 subscription to `topic` and the message `waiting` in its queue.
async fn left_behind(stage: &Stage, topic: &str) -> Result<(), Halt> {
    let mut alice = lasting_peer(stage, "alice").await?;
    offer::qos(&alice, Qos::AtLeastOnce)?;
    offer::session_expiry(&alice, EXPIRY)?;
    let mut subscribe = Subscribe::new(alice.fresh_id(), vec![Subscription::new(filter(topic), Qos::AtLeastOnce)]);
    if is_v5(stage) && offer::subscription_identifiers(&alice).is_ok() {
        subscribe.properties = Properties::new().with(Property::SubscriptionIdentifier(9));
    }
    offer::granted(&alice.subscribe_with(subscribe).await.prepared()?, Qos::AtLeastOnce)?;
    alice.disconnect().await;
    publish(stage, topic, Qos::AtLeastOnce, "waiting").await
}

pub(crate) async fn publish(stage: &Stage, topic: &str, qos: Qos, payload: &str) -> Result<(), Halt> {
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(topic, qos, payload.as_bytes(), false).await?;
    publisher.disconnect().await;
    Ok(())
}

pub(crate) fn session_present(connack: &Seen<Connack>, wanted: bool, why: &str) -> Result<(), Halt> {
    if connack.session_present == wanted {
        return Ok(());
    }
    let (wanted, got) = (u8::from(wanted), u8::from(connack.session_present));
    Err(Halt::fail(format!("expected Session Present {wanted} {why}, got {got}")).at(connack))
}

pub(crate) async fn a_session_is_resumed(stage: &Stage) -> Outcome {
    let topic = stage.topic("session");
    tidied(stage, &["alice"], &[], async {
        left_behind(stage, &topic).await?;
        let (mut alice, connack) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&connack, true, "for a session that was kept")?;
        let waiting = message(&mut alice, b"waiting").await?;
        publish(stage, &topic, Qos::AtLeastOnce, "live").await?;
        let live = message(&mut alice, b"live").await?;
        let identified = offer::subscription_identifiers(&alice).is_ok() && is_v5(stage);
        for copy in [&waiting, &live] {
            if identified && copy.subscription_identifiers != [9] {
                let reason = format!("expected Subscription Identifier 9, got {:?}", copy.subscription_identifiers);
                return Err(Halt::fail(reason).at(copy));
            }
        }
        alice.disconnect().await;
        Ok(Evidence::of(&connack).and(&waiting).and(&live))
    })
    .await
}

/// A fresh session asked for where one is kept: nothing of the old shows up, neither now nor later.
pub(crate) async fn a_clean_start_begins_with_nothing(stage: &Stage) -> Outcome {
    let topic = stage.topic("session");
    tidied(stage, &["alice"], &[], async {
        left_behind(stage, &topic).await?;
        let (mut clean, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await.prepared()?;
        session_present(&connack, false, "for a session that was asked to be fresh")?;
        let fresh = stage.topic("fresh");
        clean.subscribed(&fresh, Qos::AtLeastOnce).await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"to the old filter", false).await?;
        publisher.published(&fresh, Qos::AtLeastOnce, b"marker", false).await?;
        let marker = alone(&mut clean, b"marker").await?;
        clean.disconnect().await;
        farewell(&mut clean).await;
        // And it has not come back once the clean one is over.
        let (mut again, second) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&second, false, "after a clean session has ended")?;
        again.subscribed(&fresh, Qos::AtLeastOnce).await?;
        publisher.published(&topic, Qos::AtLeastOnce, b"to the old filter", false).await?;
        publisher.published(&fresh, Qos::AtLeastOnce, b"marker", false).await?;
        let last = alone(&mut again, b"marker").await?;
        Ok(Evidence::of(&connack).and(&marker).and(&second).and(&last))
    })
    .await
}

/// A message with this payload, and no other before it.
async fn alone(peer: &mut Peer, payload: &[u8]) -> Result<Delivery, Halt> {
    super::s3_01_connect::message_alone(peer, payload).await
}

/// A session without a subscription and without a message is a session.
pub(crate) async fn an_empty_session_is_present_as_well(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut alice = lasting_peer(stage, "alice").await?;
        offer::session_expiry(&alice, EXPIRY)?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let (mut alice, connack) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&connack, true, "though the session is empty")?;
        alice.disconnect().await;
        Ok(Evidence::of(&connack))
    })
    .await
}

/// Take-over of a live connection: the session is resumed, or discarded, as the second CONNECT asks.
pub(crate) async fn a_take_over_resumes_or_clears_the_session(stage: &Stage) -> Outcome {
    let topic = stage.topic("taken");
    tidied(stage, &["alice"], &[], async {
        let mut first = lasting_peer(stage, "alice").await?;
        offer::session_expiry(&first, EXPIRY)?;
        first.subscribed(&topic, Qos::AtMostOnce).await?;
        let (mut second, resumed) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&resumed, true, "for a session that was taken over")?;
        farewell(&mut first).await;
        publish(stage, &topic, Qos::AtMostOnce, "to the second").await?;
        let came = message(&mut second, b"to the second").await?;

        let (mut third, cleared) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await.prepared()?;
        session_present(&cleared, false, "for a take-over that asks for a fresh session")?;
        farewell(&mut second).await;
        let marker = stage.topic("marker");
        third.subscribed(&marker, Qos::AtMostOnce).await?;
        publish(stage, &topic, Qos::AtMostOnce, "to nobody").await?;
        publish(stage, &marker, Qos::AtMostOnce, "marker").await?;
        let alone = alone(&mut third, b"marker").await?;
        third.disconnect().await;
        Ok(Evidence::of(&resumed).and(&came).and(&cleared).and(&alone))
    })
    .await
}

/// The publisher's session ends, and what it retained stays.
pub(crate) async fn retained_messages_outlive_the_session(stage: &Stage) -> Outcome {
    let topic = stage.topic("kept");
    tidied(stage, &["alice"], &[&topic], async {
        let mut alice = Peer::connected(stage, "alice").await?;
        offer::qos(&alice, Qos::AtLeastOnce)?;
        offer::retain(&alice)?;
        alice.published(&topic, Qos::AtLeastOnce, b"kept", true).await?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let mut watcher = Peer::connected(stage, "watcher").await?;
        watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
        let first = message(&mut watcher, b"kept").await?;
        watcher.disconnect().await;
        // Also where the session was a lasting one, cleared by its owner.
        let mut alice = lasting_peer(stage, "alice").await?;
        alice.published(&topic, Qos::AtLeastOnce, b"still", true).await?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let mut alice = Peer::connected(stage, "alice").await?;
        alice.disconnect().await;
        let mut watcher = Peer::connected(stage, "watcher").await?;
        watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
        let second = message(&mut watcher, b"still").await?;
        watcher.disconnect().await;
        Ok(Evidence::of(&first).and(&second))
    })
    .await
}

/// Unacknowledged on the old connection, and there again on the one that took over: same identifier, DUP 1.
pub(crate) async fn a_take_over_keeps_what_is_in_flight(stage: &Stage) -> Outcome {
    let topic = stage.topic("inflight");
    tidied(stage, &["alice"], &[], async {
        let mut first = lasting_peer(stage, "alice").await?;
        offer::qos(&first, Qos::AtLeastOnce)?;
        offer::session_expiry(&first, EXPIRY)?;
        offer::granted(&first.subscribed(&topic, Qos::AtLeastOnce).await?, Qos::AtLeastOnce)?;
        publish(stage, &topic, Qos::AtLeastOnce, "in flight").await?;
        let before = first.expect::<Publish>().await.prepared()?;
        if before.qos != Qos::AtLeastOnce {
            return Err(Halt::inconclusive(format!("the message came with QoS {}", before.qos)).at(&before));
        }
        let (mut second, connack) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&connack, true, "for a session that was taken over")?;
        let again = message(&mut second, b"in flight").await?;
        if !again.dup || again.packet_id != before.packet_id {
            let wanted = before.packet_id.map_or(0, |id| id.value());
            let reason = format!(
                "expected packet identifier {wanted} and DUP, got {} with {:?}",
                shown(&again),
                again.packet_id
            );
            return Err(Halt::fail(reason).at(&again));
        }
        second.disconnect().await;
        Ok(Evidence::of(&before).and(&connack).and(&again))
    })
    .await
}

/// Retained messages belong to a SUBSCRIBE: resuming a session that has the subscription brings none.
pub(crate) async fn resuming_brings_no_retained_messages(stage: &Stage) -> Outcome {
    let topic = stage.topic("resumed");
    tidied(stage, &["alice"], &[&topic], async {
        let mut publisher = Peer::connected(stage, "publisher").await?;
        offer::retain(&publisher)?;
        offer::qos(&publisher, Qos::AtLeastOnce)?;
        publisher.published(&topic, Qos::AtLeastOnce, b"retained", true).await?;
        let mut alice = lasting_peer(stage, "alice").await?;
        offer::session_expiry(&alice, EXPIRY)?;
        alice.subscribed(&topic, Qos::AtLeastOnce).await?;
        let first = message(&mut alice, b"retained").await.prepared()?;
        rest(&mut alice).await.prepared()?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let (mut alice, connack) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        if !connack.session_present {
            return Err(Halt::inconclusive("the session was not kept").at(&connack));
        }
        publisher.published(&topic, Qos::AtLeastOnce, b"marker", false).await?;
        let received = collect(&mut alice, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
        alice.disconnect().await;
        match no_other(&received, b"marker") {
            Ok(()) => Ok(Evidence::of(&first).and(&connack).and_all(&received)),
            Err(halt) => Err(Halt { verdict: Verdict::Warn, ..halt }),
        }
    })
    .await
}
