//! 3.1.2.4 Clean Start and Clean Session, and what outlives a connection.

use squall_codec::{
    packet::{Connack, Connect, Disconnect, Packet, Publish, Subscribe, Subscription},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Seen},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::tests::{
    asking::{is_v5, lasting, lasting_peer, resumed},
    judge::farewell,
    offer,
    watch::{Delivery, collect, filter, message, no_other, rest, shown, tidied},
};

/// The Session Expiry Interval that the tests ask for.
const EXPIRY: u32 = 300;

/// Leaves a session with a QoS 1 subscription to `topic` and the message `waiting` in its queue.
async fn left_behind(stage: &Stage, topic: &str) -> Result<(), Halt> {
    let mut alice = lasting_peer(stage, "alice").await?;
    offer::qos(&alice, Qos::AtLeastOnce)?;
    offer::session_expiry(&alice, EXPIRY)?;
    let mut subscribe = Subscribe::new(alice.fresh_id(), vec![Subscription::new(filter(topic), Qos::AtLeastOnce)]);
    if is_v5(stage) && offer::subscription_identifiers(&alice).is_ok() {
        subscribe.properties = Properties::new().with(Property::SubscriptionIdentifier(9));
    }
    alice.subscribe_with(subscribe).await.prepared()?;
    alice.disconnect().await;
    publish(stage, topic, Qos::AtLeastOnce, "waiting").await
}

async fn publish(stage: &Stage, topic: &str, qos: Qos, payload: &str) -> Result<(), Halt> {
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(topic, qos, payload.as_bytes(), false).await?;
    publisher.disconnect().await;
    Ok(())
}

fn session_present(connack: &Seen<Connack>, wanted: bool, why: &str) -> Result<(), Halt> {
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

/// Once by DISCONNECT, once by a cut: every QoS 1 and QoS 2 message waits. Order counts only within a QoS.
pub(crate) async fn messages_wait_for_an_absent_client(stage: &Stage) -> Outcome {
    let topic = stage.topic("queue");
    tidied(stage, &["alice"], &[], async {
        let mut evidence: Option<Evidence> = None;
        for way in ["DISCONNECT", "FIN"] {
            let mut alice = lasting_peer(stage, "alice").await?;
            offer::qos(&alice, Qos::ExactlyOnce)?;
            offer::session_expiry(&alice, EXPIRY)?;
            alice.subscribed(&topic, Qos::ExactlyOnce).await?;
            if way == "DISCONNECT" {
                alice.disconnect().await;
            } else {
                alice.close(End::Fin).await;
            }
            // The server has seen the end before anything is published.
            farewell(&mut alice).await;
            let mut publisher = Peer::connected(stage, "publisher").await?;
            let mut wanted = Vec::new();
            for n in 0..6 {
                let qos = if n % 2 == 0 { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
                let payload = format!("{way} {n}").into_bytes();
                publisher.published(&topic, qos, &payload, false).await?;
                wanted.push(payload);
            }
            publisher.disconnect().await;
            let (mut alice, connack) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
            let all = |seen: &[Delivery]| wanted.iter().all(|one| seen.iter().any(|copy| copy.payload() == *one));
            let received = collect(&mut alice, all).await?;
            rest(&mut alice).await.prepared()?;
            if let Some(lost) = wanted.iter().find(|one| !received.iter().any(|copy| copy.payload() == **one)) {
                let reason = format!("after {way} the message \"{}\" was lost", String::from_utf8_lossy(lost));
                return Err(Halt::fail(reason).at(&connack));
            }
            let seen = evidence.map_or_else(|| Evidence::of(&connack), |evidence| evidence.and(&connack));
            evidence = Some(seen.and_all(&received));
            alice.disconnect().await;
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
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

/// No session is there, and none was asked to be cleared: one begins, serves, and is there the next time.
pub(crate) async fn a_session_that_is_not_there_is_created(stage: &Stage) -> Outcome {
    let topic = stage.topic("created");
    tidied(stage, &["newcomer"], &[], async {
        let (mut first, connack) = Peer::connect(stage, "newcomer", lasting(stage, "newcomer")).await?;
        session_present(&connack, false, "for an identifier that was never used")?;
        offer::session_expiry(&first, EXPIRY)?;
        first.subscribed(&topic, Qos::AtMostOnce).await?;
        publish(stage, &topic, Qos::AtMostOnce, "served").await?;
        let served = message(&mut first, b"served").await?;
        first.disconnect().await;
        let (mut second, again) = Peer::connect(stage, "newcomer", lasting(stage, "newcomer")).await.prepared()?;
        session_present(&again, true, "for the session that had been created")?;
        second.disconnect().await;
        Ok(Evidence::of(&connack).and(&served).and(&again))
    })
    .await
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

/// Session Present of a fresh identifier, and of one whose session ended with its connection.
pub(crate) async fn no_session_is_not_present(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let (mut alice, fresh) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&fresh, false, "for an identifier that was never used")?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let (mut alice, _) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await.prepared()?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let (mut alice, ended) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&ended, false, "after a session that ended with its connection")?;
        alice.disconnect().await;
        Ok(Evidence::of(&fresh).and(&ended))
    })
    .await
}

/// Session Present of a fresh identifier, of a kept session, and of one that ended with its connection.
pub(crate) async fn session_present_tells_whether_there_is_one(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let (mut alice, fresh) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&fresh, false, "for an identifier that was never used")?;
        offer::session_expiry(&alice, EXPIRY)?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let (mut alice, kept) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&kept, true, "for a session that was kept")?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        // This one lasts no longer than its connection.
        let (mut alice, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await.prepared()?;
        if connack.properties.session_expiry_interval().is_some_and(|expiry| expiry > 0) {
            return Err(Halt::unsupported("the server keeps sessions longer than they were asked to last").at(&connack));
        }
        alice.disconnect().await;
        farewell(&mut alice).await;
        let (mut alice, ended) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        session_present(&ended, false, "after a session that ended with its connection")?;
        alice.disconnect().await;
        Ok(Evidence::of(&fresh).and(&kept).and(&ended))
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
        first.subscribed(&topic, Qos::AtLeastOnce).await?;
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

/// Shows that sessions are kept at all: else their absence says nothing.
async fn sessions_are_kept(stage: &Stage) -> Result<(), Halt> {
    let mut alice = lasting_peer(stage, "alice").await?;
    offer::session_expiry(&alice, EXPIRY)?;
    alice.disconnect().await;
    farewell(&mut alice).await;
    let mut alice = resumed(stage, "alice").await?;
    alice.disconnect().await;
    farewell(&mut alice).await;
    Ok(())
}

/// A CONNECT of 5.0 with this Session Expiry Interval.
pub(crate) fn expiring(stage: &Stage, actor: &str, clean_start: bool, seconds: Option<u32>) -> Connect {
    let mut connect = Peer::hello(stage, actor);
    connect.clean_start = clean_start;
    if let Some(seconds) = seconds {
        connect.properties.push(Property::SessionExpiryInterval(seconds));
    }
    connect
}

/// 5.0: absent and 0 end the session with its connection.
pub(crate) async fn without_an_expiry_the_session_ends_with_its_connection(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        sessions_are_kept(stage).await?;
        let mut evidence: Option<Evidence> = None;
        for expiry in [None, Some(0)] {
            let (mut alice, first) =
                Peer::connect(stage, "alice", expiring(stage, "alice", true, expiry)).await.prepared()?;
            if first.properties.session_expiry_interval().is_some_and(|expiry| expiry > 0) {
                return Err(
                    Halt::unsupported("the server keeps sessions longer than they were asked to last").at(&first)
                );
            }
            alice.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
            alice.close(End::Fin).await;
            farewell(&mut alice).await;
            let (mut alice, second) =
                Peer::connect(stage, "alice", expiring(stage, "alice", false, None)).await.prepared()?;
            session_present(&second, false, "after a session without an expiry")?;
            alice.disconnect().await;
            evidence = Some(evidence.map_or_else(|| Evidence::of(&second), |evidence| evidence.and(&second)));
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
    })
    .await
}

/// 5.0: DISCONNECT with Session Expiry Interval 0 ends the session, whatever CONNECT asked for.
pub(crate) async fn a_disconnect_can_end_the_session(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        sessions_are_kept(stage).await?;
        let (mut alice, first) =
            Peer::connect(stage, "alice", expiring(stage, "alice", true, Some(EXPIRY))).await.prepared()?;
        offer::session_expiry(&alice, EXPIRY)?;
        let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        disconnect.properties.push(Property::SessionExpiryInterval(0));
        alice.send(Packet::Disconnect(disconnect)).await;
        farewell(&mut alice).await;
        let (mut alice, second) =
            Peer::connect(stage, "alice", expiring(stage, "alice", false, None)).await.prepared()?;
        session_present(&second, false, "after a DISCONNECT with Session Expiry Interval 0")?;
        alice.disconnect().await;
        Ok(Evidence::of(&first).and(&second))
    })
    .await
}

/// 5.0: what the latest CONNECT asks for counts.
pub(crate) async fn the_latest_expiry_counts(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let (mut alice, _) =
            Peer::connect(stage, "alice", expiring(stage, "alice", true, Some(EXPIRY))).await.prepared()?;
        offer::session_expiry(&alice, EXPIRY)?;
        alice.close(End::Fin).await;
        farewell(&mut alice).await;
        let (mut alice, second) =
            Peer::connect(stage, "alice", expiring(stage, "alice", false, None)).await.prepared()?;
        if !second.session_present {
            return Err(Halt::inconclusive("the session was not kept at all").at(&second));
        }
        if second.properties.session_expiry_interval().is_some_and(|expiry| expiry > 0) {
            return Err(Halt::unsupported("the server keeps sessions longer than they were asked to last").at(&second));
        }
        alice.close(End::Fin).await;
        farewell(&mut alice).await;
        let (mut alice, third) =
            Peer::connect(stage, "alice", expiring(stage, "alice", false, None)).await.prepared()?;
        session_present(&third, false, "after a connection that asked for no expiry")?;
        alice.disconnect().await;
        Ok(Evidence::of(&second).and(&third))
    })
    .await
}

/// 5.0: the session is there after a DISCONNECT and after a cut, also with the largest expiry.
pub(crate) async fn a_session_with_an_expiry_is_kept(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut evidence: Option<Evidence> = None;
        for (expiry, cut) in [(60, false), (60, true), (u32::MAX, true)] {
            let (mut alice, _) =
                Peer::connect(stage, "alice", expiring(stage, "alice", true, Some(expiry))).await.prepared()?;
            // A server may shorten it: what is left must be long enough to come back.
            if alice.connack().and_then(|connack| connack.properties.session_expiry_interval()) == Some(0) {
                return Err(Halt::unsupported("the server keeps no sessions"));
            }
            alice.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
            if cut {
                alice.close(End::Fin).await;
            } else {
                alice.disconnect().await;
            }
            farewell(&mut alice).await;
            let (mut alice, connack) =
                Peer::connect(stage, "alice", expiring(stage, "alice", false, Some(expiry))).await.prepared()?;
            session_present(&connack, true, &format!("with Session Expiry Interval {expiry}"))?;
            publish(stage, &stage.topic("t"), Qos::AtMostOnce, "still subscribed").await?;
            let came = message(&mut alice, b"still subscribed").await?;
            alice.disconnect().await;
            evidence =
                Some(evidence.map_or_else(|| Evidence::of(&connack), |evidence| evidence.and(&connack)).and(&came));
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
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
