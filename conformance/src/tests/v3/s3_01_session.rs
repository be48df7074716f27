//! 3.1.2.4 Clean Session and Clean Start.

use squall_codec::qos::Qos;
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{documented, s3_01_session},
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer},
        both::s3_01_anew::{
            a_client_is_served_however_often_it_comes_back, a_filter_of_the_old_session_serves_the_fresh_one,
            a_fresh_session_knows_no_unfinished_exchange,
        },
        both::s3_01_session::{
            EXPIRY, a_clean_start_begins_with_nothing, a_session_is_resumed, a_take_over_keeps_what_is_in_flight,
            a_take_over_resumes_or_clears_the_session, an_empty_session_is_present_as_well,
            resuming_brings_no_retained_messages, retained_messages_outlive_the_session, session_present,
        },
        judge::farewell,
        offer,
        watch::{Delivery, collect, rest, tidied},
        without_qos_2::highest_qos,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_session_is_resumed,
        "A client comes back to its session; the subscription is there and so is the message that waited.",
        ["3.1.1/MQTT-3.1.2-4"],
        s3_01_session::forgets_sessions
    ),
    test!(
        messages_wait_for_an_absent_client,
        "Messages of QoS 1 and 2 are published while a client with a session is away; all of them reach it when it is back.",
        ["3.1.1/MQTT-3.1.2-5"],
        s3_01_session::loses_every_second_message
    ).also_3_1(),
    test!(
        a_clean_start_begins_with_nothing,
        "A client asks for a fresh session; nothing of the old one shows up, and it does not come back later.",
        ["3.1.1/MQTT-3.1.2-6"],
        s3_01_session::never_cleans_a_session
    ),
    test!(
        retained_messages_outlive_the_session,
        "A publisher's session ends; what it retained is still there.",
        ["3.1.1/MQTT-3.1.2-7", "3.1.1/X-RETAIN-KEPT"],
        s3_01_session::takes_retained_messages_back
    ).also_3_1(),
    test!(
        no_session_is_not_present,
        "A new client, and one whose session has ended, ask for a session; CONNACK says that none is present.",
        ["3.1.1/MQTT-3.2.2-3"],
        s3_01_session::says_present
    ),
    test!(
        an_empty_session_is_present_as_well,
        "A session without subscriptions and messages is kept; CONNACK says that it is there.",
        ["3.1.1/MQTT-3.2.2-2", "3.1.1/X-SESSION-EMPTY-EXISTS"],
        s3_01_session::says_absent
    ),
    test!(
        a_take_over_resumes_or_clears_the_session,
        "A second connection of a client takes over; it finds the session, or a fresh one, as it asks.",
        ["3.1.1/MQTT-3.1.4-3"],
        s3_01_session::forgets_sessions
    ),
    test!(
        a_take_over_keeps_what_is_in_flight,
        "A connection is taken over with a message unacknowledged; the new one gets it again with DUP.",
        ["3.1.1/X-SESSION-TAKEOVER-STATE"],
        s3_01_session::forgets_what_was_in_flight
    ),
    test!(
        resuming_brings_no_retained_messages,
        "A session with a subscription is resumed; no retained message is sent for that.",
        ["3.1.1/X-RETAIN-NOT-ON-RESUME"],
        s3_01_session::repeats_retained_on_resume
    )
    .should(),
    test!(
        a_fresh_session_knows_no_unfinished_exchange,
        "A QoS 2 exchange is left half done and a fresh session begun; a message with its packet identifier is delivered.",
        ["3.1.1/MQTT-3.1.2-6"],
        documented::remembers_unfinished_exchanges
    ),
    test!(
        a_filter_of_the_old_session_serves_the_fresh_one,
        "A fresh session subscribes to a filter of the one that it clears; new messages come, and old ones do not.",
        ["3.1.1/MQTT-3.1.2-6"],
        documented::blocks_filters_of_old_sessions
    ),
    test!(
        a_client_is_served_however_often_it_comes_back,
        "A client comes twenty times, with a will and with a lasting session; its last visit is served as its first.",
        ["3.1.1/MQTT-3.1.2-4"],
        documented::serves_ten_visits
    ),
];

/// Once by DISCONNECT, once by a cut: every QoS 1 and QoS 2 message waits. Order counts only within a QoS.
async fn messages_wait_for_an_absent_client(stage: &Stage) -> Outcome {
    let topic = stage.topic("queue");
    tidied(stage, &["alice"], &[], async {
        let mut evidence: Option<Evidence> = None;
        for way in ["DISCONNECT", "FIN"] {
            let mut alice = lasting_peer(stage, "alice").await?;
            offer::session_expiry(&alice, EXPIRY)?;
            let highest = highest_qos(stage, &alice).await;
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
                let qos = if n % 2 == 0 { Qos::AtLeastOnce } else { highest };
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

/// Session Present of a fresh identifier, and of one whose session ended with its connection.
async fn no_session_is_not_present(stage: &Stage) -> Outcome {
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
