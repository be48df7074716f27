//! 3.1.2.4 Clean Session and Clean Start.

use squall_codec::{
    packet::{Connect, Disconnect, Packet},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::s3_01_session,
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer, resumed},
        both::s3_01_session::{
            EXPIRY, a_clean_start_begins_with_nothing, a_session_is_resumed, a_take_over_keeps_what_is_in_flight,
            a_take_over_resumes_or_clears_the_session, an_empty_session_is_present_as_well, publish,
            resuming_brings_no_retained_messages, retained_messages_outlive_the_session, session_present,
        },
        judge::farewell,
        offer,
        watch::{message, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_session_is_resumed,
        "A client comes back to its session; the subscription is there and so is the message that waited.",
        ["5.0/MQTT-3.1.2-5"],
        s3_01_session::forgets_sessions
    ),
    test!(
        a_clean_start_begins_with_nothing,
        "A client asks for a fresh session; nothing of the old one shows up, and it does not come back later.",
        ["5.0/MQTT-3.1.2-4"],
        s3_01_session::never_clears_a_session
    ),
    test!(
        retained_messages_outlive_the_session,
        "A publisher's session ends; what it retained is still there.",
        ["5.0/X-RETAIN-SURVIVES-SESSION"],
        s3_01_session::takes_retained_messages_back
    ),
    test!(
        a_session_that_is_not_there_is_created,
        "A client asks to resume a session that does not exist; one is created and is there the next time.",
        ["5.0/MQTT-3.1.2-6"],
        s3_01_session::forgets_sessions
    ),
    test!(
        a_session_with_an_expiry_is_kept,
        "A session is asked to outlive its connection; it is there after a DISCONNECT and after a cut.",
        ["5.0/MQTT-3.1.2-23"],
        s3_01_session::forgets_sessions
    ),
    test!(
        session_present_tells_whether_there_is_one,
        "CONNACK tells whether a session was there: for a new client, for a kept one, for one that ended.",
        ["5.0/MQTT-3.2.2-3"],
        s3_01_session::says_present
    ),
    test!(
        an_empty_session_is_present_as_well,
        "A session without subscriptions and messages is kept; CONNACK says that it is there.",
        ["5.0/X-SESSION-EMPTY-EXISTS"],
        s3_01_session::says_absent
    ),
    test!(
        a_take_over_resumes_or_clears_the_session,
        "A second connection of a client takes over; it finds the session, or a fresh one, as it asks.",
        ["5.0/MQTT-3.1.4-4"],
        s3_01_session::forgets_sessions
    ),
    test!(
        a_take_over_keeps_what_is_in_flight,
        "A connection is taken over with a message unacknowledged; the new one gets it again with DUP.",
        ["5.0/X-SESSION-TAKEOVER-STATE"],
        s3_01_session::forgets_what_was_in_flight
    ),
    test!(
        without_an_expiry_the_session_ends_with_its_connection,
        "A session has no expiry, or 0; it is gone when its connection is.",
        ["5.0/X-SESSION-EXPIRY-ABSENT"],
        s3_01_session::keeps_sessions_that_end
    ),
    test!(
        a_disconnect_can_end_the_session,
        "DISCONNECT sets the expiry of the session to 0; it is gone at once.",
        ["5.0/X-SESSION-EXPIRY-ON-DISCONNECT"],
        s3_01_session::keeps_sessions_that_end
    ),
    test!(
        the_latest_expiry_counts,
        "A session is resumed by a client that asks for no expiry; it ends with that connection.",
        ["5.0/X-SESSION-EXPIRY-LATEST"],
        s3_01_session::keeps_the_first_expiry
    ),
    test!(
        resuming_brings_no_retained_messages,
        "A session with a subscription is resumed; no retained message is sent for that.",
        ["5.0/X-RETAIN-NOT-ON-RESUME"],
        s3_01_session::repeats_retained_on_resume
    )
    .should(),
];

/// No session is there, and none was asked to be cleared: one begins, serves, and is there the next time.
async fn a_session_that_is_not_there_is_created(stage: &Stage) -> Outcome {
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

/// Session Present of a fresh identifier, of a kept session, and of one that ended with its connection.
async fn session_present_tells_whether_there_is_one(stage: &Stage) -> Outcome {
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
async fn without_an_expiry_the_session_ends_with_its_connection(stage: &Stage) -> Outcome {
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
async fn a_disconnect_can_end_the_session(stage: &Stage) -> Outcome {
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
async fn the_latest_expiry_counts(stage: &Stage) -> Outcome {
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
async fn a_session_with_an_expiry_is_kept(stage: &Stage) -> Outcome {
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
