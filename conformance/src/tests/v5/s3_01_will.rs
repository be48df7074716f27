//! 3.1.2.5 Wills.

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
    timing::{Due, Punctuality},
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::{
    liars::{documented, s3_01_session},
    test::{Test, test},
    tests::{
        asking::lasting,
        both::s3_01_lasting_wills::{
            a_discarded_will_does_not_come_with_the_next_connection, a_will_of_a_lasting_session_is_published,
        },
        both::s3_01_will::{
            GIVEN_UP, PROMPT, a_will_is_delivered_like_any_message, a_will_is_published_as_it_was_given,
            a_will_is_published_on_take_over, a_will_is_published_once, a_will_is_published_promptly,
            a_will_is_published_when_the_connection_is_cut, a_will_is_published_when_the_server_closes_for_an_error,
            a_will_waits_for_an_absent_client, a_will_with_retain_is_retained, a_will_without_retain_is_not_retained,
            all_due, an_empty_retained_will_clears_its_topic, control_will, due, watcher,
        },
        judge::{farewell, formed},
        offer,
        watch::{message, message_by, no_other, text, tidied, will, with_will},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_will_is_published_when_the_connection_is_cut,
        "A client's connection ends by FIN and by RST without DISCONNECT; its will is published.",
        ["5.0/MQTT-3.1.2-8"],
        s3_01_session::loses_wills
    ),
    test!(
        a_will_is_published_when_the_server_closes_for_an_error,
        "A client breaks the protocol and is disconnected; its will is published.",
        ["5.0/MQTT-3.1.2-8", "5.0/X-WILL-ON-PROTOCOL-ERROR"],
        s3_01_session::loses_wills
    ),
    test!(
        a_will_is_published_promptly,
        "A client with a will is cut off; the will is published within two seconds.",
        ["5.0/X-WILL-PROMPT"],
        s3_01_session::is_slow_with_wills
    )
    .should(),
    test!(
        a_will_is_published_on_take_over,
        "A connection is taken over by another of the same client; the will of the first is published.",
        ["5.0/X-WILL-ON-TAKEOVER"],
        s3_01_session::loses_wills
    )
    .should(),
    test!(
        a_will_is_published_as_it_was_given,
        "A will comes with the topic, the payload, the QoS and the properties that it was given.",
        ["5.0/MQTT-3.1.2-7", "5.0/X-WILL-PROPERTIES"],
        s3_01_session::publishes_wills_at_qos_0
    ),
    test!(
        a_will_is_published_once,
        "A will was published; a later connection of the same client without a will publishes nothing.",
        ["5.0/MQTT-3.1.2-10"],
        s3_01_session::inherits_wills
    ),
    test!(
        a_will_without_retain_is_not_retained,
        "A will without Will Retain is published; a later subscriber does not get it.",
        ["5.0/MQTT-3.1.2-14"],
        s3_01_session::retains_each_will
    ),
    test!(
        a_will_with_retain_is_retained,
        "A will with Will Retain is published; a later subscriber gets it as a retained message.",
        ["5.0/MQTT-3.1.2-15"],
        s3_01_session::retains_no_will
    ),
    test!(
        an_empty_retained_will_clears_its_topic,
        "An empty will with Will Retain is published; what was retained on its topic is gone.",
        ["5.0/X-WILL-RETAIN-EMPTY"],
        s3_01_session::retains_no_will
    ),
    test!(
        a_will_is_delivered_like_any_message,
        "Subscribers with wildcards and a lower QoS get a will as they get any message.",
        ["5.0/X-WILL-AS-PUBLISH"],
        s3_01_session::hides_wills_from_wildcards
    ),
    test!(
        a_will_waits_for_an_absent_client,
        "A will is published while a subscriber with a session is away; it gets it when it is back.",
        ["5.0/X-WILL-TO-OFFLINE"],
        s3_01_session::has_no_queues
    ),
    test!(
        user_properties_of_a_will_keep_their_order,
        "A will has user properties with repeated names; they come in the order in which they were given.",
        ["5.0/MQTT-3.1.3-10"],
        s3_01_session::sorts_the_properties_of_wills
    ),
    test!(
        a_will_waits_for_its_delay,
        "A will has a delay of 2 s; it is not published before that time is over.",
        ["5.0/MQTT-3.1.2-8"],
        s3_01_session::does_not_wait_with_wills
    ),
    test!(
        a_reconnect_within_the_delay_cancels_the_will,
        "A client is back before the delay of its will is over; the will is not published, then or later.",
        ["5.0/MQTT-3.1.3-9", "5.0/X-WILL-NOT-INHERITED"],
        s3_01_session::does_not_wait_with_wills
    ),
    test!(
        the_end_of_the_session_ends_the_delay,
        "The session ends before the delay of the will is over; the will is published then.",
        ["5.0/X-WILL-DELAY-VS-EXPIRY"],
        s3_01_session::waits_beyond_the_session
    ),
    test!(
        a_disconnect_with_a_reason_publishes_the_will,
        "DISCONNECT with an error code leaves the will to be published.",
        ["5.0/X-WILL-DISCONNECT-CODES"],
        s3_01_session::takes_each_disconnect_for_normal
    ),
    test!(
        a_disconnect_with_will_message_publishes_the_will,
        "DISCONNECT with 0x04, Disconnect with Will Message, leaves the will to be published.",
        ["5.0/X-WILL-DISCONNECT-CODES"],
        s3_01_session::takes_the_wish_for_a_will_for_none
    ),
    test!(
        a_will_of_a_lasting_session_is_published,
        "A client with a lasting session and a will is cut off, twice; its will is published each time.",
        ["5.0/MQTT-3.1.2-8"],
        documented::loses_wills_of_lasting_sessions
    ),
    test!(
        a_discarded_will_does_not_come_with_the_next_connection,
        "A client with a lasting session says DISCONNECT and comes back; the will that it discarded does not come.",
        ["5.0/MQTT-3.1.2-10", "5.0/MQTT-3.14.4-3"],
        documented::publishes_a_discarded_will_later
    ),
];

/// 5.0 3.1.3.2.8: with repeated names.
async fn user_properties_of_a_will_keep_their_order(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let pairs = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")];
    let mut last = will(&topic, b"in order");
    last.properties = pairs.iter().map(|(name, value)| Property::UserProperty((text(name), text(value)))).collect();
    let (mut mortal, _) = Peer::connect(stage, "mortal", with_will(stage, "mortal", last)).await.prepared()?;
    mortal.close(End::Fin).await;
    let (came, _) = due(&mut watcher, b"in order", stage.now()).await?;
    let properties = came.forwarded_properties();
    // A server may add some of its own.
    let got: Vec<_> = properties
        .user_properties()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|pair| pairs.contains(pair))
        .collect();
    if got == pairs {
        Ok(Evidence::of(&came))
    } else {
        Err(Halt::fail(format!("expected the user properties {pairs:?} in this order, got {got:?}")).at(&came))
    }
}

/// A CONNECT of 5.0 with a will that waits so many seconds, and a session that lasts so many.
fn delayed(stage: &Stage, actor: &str, topic: &str, payload: &[u8], delay: u32, expiry: u32) -> Connect {
    let mut last = will(topic, payload);
    last.properties.push(Property::WillDelayInterval(delay));
    let mut connect = with_will(stage, actor, last);
    connect.push_property(Property::SessionExpiryInterval(expiry));
    connect
}

/// 5.0: not before its delay is over.
async fn a_will_waits_for_its_delay(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &["mortal"], &[], async {
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        let connect = delayed(stage, "mortal", &topic, b"delayed", 2, 60);
        let (mut mortal, _) = Peer::connect(stage, "mortal", connect).await.prepared()?;
        offer::session_expiry(&mortal, 60)?;
        // Before the end is sent: the delay cannot have begun earlier.
        let since = stage.now();
        mortal.close(End::Fin).await;
        let delay = Duration::from_secs(2);
        let due = Due {
            what: "the will",
            since: "the end of the connection",
            earliest: delay - Duration::from_millis(100),
            due: delay,
            latest: delay + PROMPT + Duration::from_secs(1),
        };
        let given_up = delay + GIVEN_UP + stage.tolerance();
        // Its properties are not all those of a PUBLISH.
        let came = formed(stage, message_by(&mut watcher, b"delayed", since + given_up).await);
        if came.as_ref().is_err_and(|halt| halt.verdict == Verdict::Fail) {
            stage.missed(due, given_up);
        }
        let came = came?;
        let took = came.at.saturating_sub(since);
        let grade = stage.came(due, took);
        // Clocks of whole seconds may round.
        if took + Duration::from_millis(1000) < delay {
            return Err(
                Halt::fail(format!("expected the will after its delay of 2 s, it came after {took:?}")).at(&came)
            );
        }
        // Once, and not again with the next.
        let after = control_will(stage, &mut watcher, &topic).await?;
        no_other(&after, b"control")?;
        let evidence = Evidence::of(&came).and_all(&after);
        Ok(if grade == Punctuality::InTime {
            evidence
        } else {
            evidence.warn(format!("the will came after {took:?}, its delay is 2 s"))
        })
    })
    .await
}

/// 5.0: the client is back in time, with its session.
async fn a_reconnect_within_the_delay_cancels_the_will(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &["mortal"], &[], async {
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        let connect = delayed(stage, "mortal", &topic, b"cancelled", 2, 60);
        let (mut mortal, _) = Peer::connect(stage, "mortal", connect).await.prepared()?;
        offer::session_expiry(&mortal, 60)?;
        mortal.close(End::Fin).await;
        farewell(&mut mortal).await;
        let back = lasting(stage, "mortal");
        let (mut mortal, connack) = Peer::connect(stage, "mortal", back).await.prepared()?;
        if !connack.session_present {
            return Err(Halt::inconclusive("the session was not kept").at(&connack));
        }
        let early = stage.topic("own/early");
        mortal.subscribed(&early, Qos::AtMostOnce).await?;
        // The rule has a clock: its time must be over before silence means anything.
        stage.pass(Duration::from_secs(4)).await;
        let after = control_will(stage, &mut watcher, &topic).await?;
        no_other(&after, b"control")?;
        // The delay that is over is nothing to the client that came back, nor to what it had subscribed to before.
        let late = stage.topic("own/late");
        mortal.subscribed(&late, Qos::AtMostOnce).await?;
        for own in [&early, &late] {
            mortal.published(own, Qos::AtMostOnce, own.as_bytes(), false).await?;
            message(&mut mortal, own.as_bytes()).await.map_err(|halt| Halt {
                reason: format!(
                    "when the delay was over, the client that had come back was not served: {}",
                    halt.reason
                ),
                ..halt
            })?;
        }
        // And a later end without a will publishes nothing either.
        mortal.close(End::Fin).await;
        farewell(&mut mortal).await;
        let last = control_will(stage, &mut watcher, &topic).await?;
        no_other(&last, b"control")?;
        Ok(Evidence::of(&connack).and_all(&after).and_all(&last))
    })
    .await
}

/// 5.0: the session ends before the delay is over.
async fn the_end_of_the_session_ends_the_delay(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &["mortal"], &[], async {
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        let mut payloads = Vec::new();
        for (expiry, payload) in [(0, "no expiry"), (1, "expiry 1")] {
            let connect = delayed(stage, "mortal", &topic, payload.as_bytes(), 3600, expiry);
            let (mut mortal, connack) = Peer::connect(stage, "mortal", connect).await.prepared()?;
            if connack.properties.session_expiry_interval().is_some_and(|given| given != expiry) {
                return Err(Halt::unsupported("the server changes the Session Expiry Interval").at(&connack));
            }
            mortal.close(End::Fin).await;
            farewell(&mut mortal).await;
            payloads.push(payload.to_owned());
        }
        all_due(&mut watcher, &payloads, stage.now() + Duration::from_secs(1)).await?.finish()
    })
    .await
}

/// 5.0: only a normal DISCONNECT discards the will.
async fn a_disconnect_with_a_reason_publishes_the_will(stage: &Stage) -> Outcome {
    let errors = [
        ReasonCode::UnspecifiedError,
        ReasonCode::MalformedPacket,
        ReasonCode::ProtocolError,
        ReasonCode::AdministrativeAction,
    ];
    leaves_the_will(stage, &errors).await
}

/// Servers that know no other code may well know this one.
async fn a_disconnect_with_will_message_publishes_the_will(stage: &Stage) -> Outcome {
    leaves_the_will(stage, &[ReasonCode::DisconnectWithWillMessage]).await
}

/// A client with a will says DISCONNECT for each of these reasons.
async fn leaves_the_will(stage: &Stage, reasons: &[ReasonCode]) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let mut payloads = Vec::new();
    for reason in reasons.iter().copied() {
        let payload = reason.to_string();
        let connect = with_will(stage, "mortal", will(&topic, payload.as_bytes()));
        let (mut mortal, _) = Peer::connect(stage, "mortal", connect).await.prepared()?;
        mortal.send(Packet::Disconnect(Disconnect::new(reason))).await;
        mortal.close(End::Fin).await;
        farewell(&mut mortal).await;
        payloads.push(payload);
    }
    all_due(&mut watcher, &payloads, stage.now()).await?.finish()
}
