//! 3.1.2.4 Clean Session and Clean Start.

use std::time::Duration;

use squall_codec::{
    packet::{Connect, Disconnect, Packet},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::{
    liars::{documented, s3_01_session},
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer, resumed},
        both::s3_01_anew::{
            a_client_is_served_however_often_it_comes_back, a_filter_of_the_old_session_serves_the_fresh_one,
            a_fresh_session_knows_no_unfinished_exchange,
        },
        both::s3_01_session::{
            EXPIRY, a_clean_start_begins_with_nothing, a_session_is_resumed, a_take_over_keeps_what_is_in_flight,
            a_take_over_resumes_or_clears_the_session, an_empty_session_is_present_as_well, publish,
            resuming_brings_no_retained_messages, retained_messages_outlive_the_session, session_present,
        },
        clock::{end_after, end_at_once, gone},
        judge::{At, farewell},
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
        "DISCONNECT sets the expiry of a session to 0, to 2 s or to more; it is gone at once, after 2 s, or kept.",
        ["5.0/X-SESSION-EXPIRY-ON-DISCONNECT"],
        s3_01_session::keeps_sessions_that_end
    ),
    test!(
        the_latest_expiry_counts,
        "A session is resumed with no expiry and ends with that connection; another with a longer one, and is kept.",
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
    test!(
        a_fresh_session_knows_no_unfinished_exchange,
        "A QoS 2 exchange is left half done and a fresh session begun; a message with its packet identifier is delivered.",
        ["5.0/MQTT-3.1.2-4"],
        documented::remembers_unfinished_exchanges
    ),
    test!(
        a_filter_of_the_old_session_serves_the_fresh_one,
        "A fresh session subscribes to a filter of the one that it clears; new messages come, and old ones do not.",
        ["5.0/MQTT-3.1.2-4"],
        documented::blocks_filters_of_old_sessions
    ),
    test!(
        a_client_is_served_however_often_it_comes_back,
        "A client comes twenty times, with a will and with a lasting session; its last visit is served as its first.",
        ["5.0/MQTT-3.1.2-5"],
        documented::serves_ten_visits
    ),
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
        connect.push_property(Property::SessionExpiryInterval(seconds));
    }
    connect
}

/// Who leave together and come back one by one, and when they look whether a session that ended at once is gone.
const LEAVERS: [&str; 3] = ["alice", "bob", "carol"];
const LOOKS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(5)];

/// The same for a session that lasts so many seconds. Clocks of whole seconds may round: at first it is there in any case.
const BRIEF_SECONDS: u32 = 2;
const BRIEF_LEAVERS: [&str; 4] = ["first", "second", "third", "fourth"];
const BRIEF_LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(4), Duration::from_secs(7), Duration::from_secs(12)];

/// Longer than any look.
const LONG_SECONDS: u32 = 60;

/// Whether the session of an actor is there. It is not asked to last.
async fn comes_back(stage: &Stage, actor: &str) -> Result<(bool, At), Halt> {
    let (mut peer, connack) = Peer::connect(stage, actor, expiring(stage, actor, false, None)).await.prepared()?;
    peer.disconnect().await;
    Ok((connack.session_present, At(connack.entry())))
}

/// The client of a session that begins, with this Session Expiry Interval; `unsupported` where the server has another in mind.
async fn begins(stage: &Stage, actor: &str, expiry: Option<u32>) -> Result<Peer, Halt> {
    let (peer, connack) = Peer::connect(stage, actor, expiring(stage, actor, true, expiry)).await.prepared()?;
    match connack.properties.session_expiry_interval() {
        Some(given) if given > expiry.unwrap_or(0) => {
            Err(Halt::unsupported("the server keeps sessions longer than they were asked to last").at(&connack))
        }
        _ => {
            offer::session_expiry(&peer, expiry.unwrap_or(0))?;
            Ok(peer)
        }
    }
}

/// All of them leave by a DISCONNECT that says this, and have seen the end of their connections: they close them, the server need not.
async fn leave_with(peers: &mut [Peer], expiry_seconds: u32) {
    for peer in &mut *peers {
        let mut disconnect = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        disconnect.properties.push(Property::SessionExpiryInterval(expiry_seconds));
        peer.send(Packet::Disconnect(disconnect)).await;
        peer.close(End::Fin).await;
    }
    for peer in peers {
        farewell(peer).await;
    }
}

/// All of them are cut off, and have seen the end of their connections.
async fn cut_off(peers: &mut [Peer]) {
    for peer in &mut *peers {
        peer.close(End::Fin).await;
    }
    for peer in peers {
        farewell(peer).await;
    }
}

/// 5.0: absent and 0 end the session with its connection.
async fn without_an_expiry_the_session_ends_with_its_connection(stage: &Stage) -> Outcome {
    tidied(stage, &LEAVERS, &[], async {
        sessions_are_kept(stage).await?;
        let mut evidence: Option<Evidence> = None;
        for expiry in [None, Some(0)] {
            let mut leavers = Vec::new();
            for actor in LEAVERS {
                let mut peer = begins(stage, actor, expiry).await?;
                peer.subscribed(&stage.topic("t"), Qos::AtMostOnce).await?;
                leavers.push(peer);
            }
            cut_off(&mut leavers).await;
            let due = end_at_once("the end of a session without an expiry", "the end of the connection");
            let look = async |number: usize| comes_back(stage, LEAVERS[number]).await;
            let ended =
                gone(stage, due, stage.now(), &LOOKS, "a session without an expiry is still there", look).await?;
            evidence = Some(match evidence {
                Some(evidence) => evidence.join(ended),
                None => ended,
            });
        }
        evidence.ok_or_else(|| Halt::inconclusive("nothing was sent"))
    })
    .await
}

/// 5.0: what DISCONNECT says of the expiry counts, whatever CONNECT asked for: less, or more.
async fn a_disconnect_can_end_the_session(stage: &Stage) -> Outcome {
    let everybody = [&LEAVERS[..], &BRIEF_LEAVERS, &["stayer"]].concat();
    tidied(stage, &everybody, &[], async {
        sessions_are_kept(stage).await?;
        let (mut at_once, mut brief) = (Vec::new(), Vec::new());
        for actor in LEAVERS {
            at_once.push(begins(stage, actor, Some(EXPIRY)).await?);
        }
        for actor in BRIEF_LEAVERS {
            brief.push(begins(stage, actor, Some(EXPIRY)).await?);
        }
        let mut stayer = [begins(stage, "stayer", Some(BRIEF_SECONDS)).await?];
        leave_with(&mut stayer, LONG_SECONDS).await;
        leave_with(&mut at_once, 0).await;
        let since = stage.now();
        let due = end_at_once("the end of the session", "a DISCONNECT with Session Expiry Interval 0");
        let look = async |number: usize| comes_back(stage, LEAVERS[number]).await;
        let mut evidence = gone(stage, due, since, &LOOKS, "the session is still there", look).await?;

        leave_with(&mut brief, BRIEF_SECONDS).await;
        let since = stage.now();
        let due = end_after("the end of the session", BRIEF_SECONDS, "a DISCONNECT with Session Expiry Interval 2");
        let look = async |number: usize| comes_back(stage, BRIEF_LEAVERS[number]).await;
        evidence = evidence.join(gone(stage, due, since, &BRIEF_LOOKS, "the session is still there", look).await?);

        let (present, at) = comes_back(stage, "stayer").await?;
        if !present {
            let reason =
                format!("a session of {BRIEF_SECONDS} s is gone, though DISCONNECT asked for {LONG_SECONDS} s");
            return Err(Halt::fail(reason).at(&at));
        }
        Ok(evidence.and(&at))
    })
    .await
}

/// 5.0: what the latest CONNECT asks for counts: less, or more.
async fn the_latest_expiry_counts(stage: &Stage) -> Outcome {
    let everybody = [&LEAVERS[..], &["stayer"]].concat();
    tidied(stage, &everybody, &[], async {
        // Taken over, so that its first expiry never begins to count.
        let _first = begins(stage, "stayer", Some(BRIEF_SECONDS)).await?;
        let longer = expiring(stage, "stayer", false, Some(LONG_SECONDS));
        let (stayer, second) = Peer::connect(stage, "stayer", longer).await.prepared()?;
        if !second.session_present {
            return Err(Halt::inconclusive("the session was not taken over").at(&second));
        }
        offer::session_expiry(&stayer, LONG_SECONDS)?;
        cut_off(&mut [stayer]).await;
        let left = stage.now();

        let mut leavers = Vec::new();
        for actor in LEAVERS {
            leavers.push(begins(stage, actor, Some(EXPIRY)).await?);
        }
        cut_off(&mut leavers).await;
        leavers.clear();
        for actor in LEAVERS {
            let (peer, connack) =
                Peer::connect(stage, actor, expiring(stage, actor, false, None)).await.prepared()?;
            if !connack.session_present {
                return Err(Halt::inconclusive("the session was not kept at all").at(&connack));
            }
            if connack.properties.session_expiry_interval().is_some_and(|expiry| expiry > 0) {
                let reason = "the server keeps sessions longer than they were asked to last";
                return Err(Halt::unsupported(reason).at(&connack));
            }
            leavers.push(peer);
        }
        cut_off(&mut leavers).await;
        let due = end_at_once("the end of the session", "the end of a connection that asked for no expiry");
        let look = async |number: usize| comes_back(stage, LEAVERS[number]).await;
        let evidence = gone(stage, due, stage.now(), &LOOKS, "the session is still there", look).await?;

        stage.world().sleep_until(left + BRIEF_LOOKS[1]).await;
        let (present, at) = comes_back(stage, "stayer").await?;
        if !present {
            let reason = format!(
                "a session of {BRIEF_SECONDS} s was taken over with Session Expiry Interval {LONG_SECONDS}, and was gone after {:?}",
                BRIEF_LOOKS[1]
            );
            return Err(Halt::fail(reason).at(&at));
        }
        Ok(evidence.and(&second).and(&at))
    })
    .await
}

/// 5.0: the session is there after a DISCONNECT and after a cut, also with the largest expiry.
async fn a_session_with_an_expiry_is_kept(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut evidence: Option<Evidence> = None;
        for (expiry, cut) in [(60, false), (60, true), (u32::MAX - 3, true), (u32::MAX, true)] {
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
