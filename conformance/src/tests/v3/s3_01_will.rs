//! 3.1.2.5 Wills.

use squall_codec::qos::Qos;
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    verdict::{Evidence, Outcome, Preparing},
};

use crate::{
    liars::{documented, s3_01_session},
    test::{Test, test},
    tests::{
        both::s3_01_lasting_wills::{
            a_discarded_will_does_not_come_with_the_next_connection, a_will_of_a_lasting_session_is_published,
        },
        both::s3_01_will::{
            a_will_is_delivered_like_any_message, a_will_is_published_as_it_was_given,
            a_will_is_published_on_take_over, a_will_is_published_once, a_will_is_published_promptly,
            a_will_is_published_when_the_connection_is_cut, a_will_is_published_when_the_server_closes_for_an_error,
            a_will_waits_for_an_absent_client, a_will_with_retain_is_retained, a_will_without_retain_is_not_retained,
            an_empty_retained_will_clears_its_topic, control_will, watcher,
        },
        judge::farewell,
        watch::{no_other, will, with_will},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_will_is_published_when_the_connection_is_cut,
        "A client's connection ends by FIN and by RST without DISCONNECT; its will is published.",
        ["3.1.1/MQTT-3.1.2-8"],
        s3_01_session::loses_wills
    )
    .also_3_1(),
    test!(
        a_will_is_published_when_the_server_closes_for_an_error,
        "A client breaks the protocol and is disconnected; its will is published.",
        ["3.1.1/MQTT-3.1.2-8", "3.1.1/X-WILL-ON-PROTOCOL-ERROR"],
        s3_01_session::loses_wills
    ),
    test!(
        a_will_is_published_promptly,
        "A client with a will is cut off; the will is published within two seconds.",
        ["3.1.1/X-WILL-PROMPT"],
        s3_01_session::is_slow_with_wills
    )
    .should(),
    test!(
        a_will_is_published_on_take_over,
        "A connection is taken over by another of the same client; the will of the first is published.",
        ["3.1.1/MQTT-3.1.2-8"],
        s3_01_session::loses_wills
    ),
    test!(
        a_will_is_published_as_it_was_given,
        "A will comes with the topic, the payload, the QoS and the properties that it was given.",
        ["3.1.1/MQTT-3.1.2-9"],
        s3_01_session::publishes_wills_at_qos_0
    )
    .also_3_1(),
    test!(
        a_will_is_published_once,
        "A will was published; a later connection of the same client without a will publishes nothing.",
        ["3.1.1/MQTT-3.1.2-10"],
        s3_01_session::inherits_wills
    )
    .also_3_1(),
    test!(
        without_a_will_flag_nothing_is_published,
        "A client without a will is cut off, though its earlier connection had one; nothing is published.",
        ["3.1.1/MQTT-3.1.2-12"],
        s3_01_session::inherits_wills
    )
    .also_3_1(),
    test!(
        a_will_without_retain_is_not_retained,
        "A will without Will Retain is published; a later subscriber does not get it.",
        ["3.1.1/MQTT-3.1.2-16"],
        s3_01_session::retains_each_will
    )
    .also_3_1(),
    test!(
        a_will_with_retain_is_retained,
        "A will with Will Retain is published; a later subscriber gets it as a retained message.",
        ["3.1.1/MQTT-3.1.2-17"],
        s3_01_session::retains_no_will
    )
    .also_3_1(),
    test!(
        an_empty_retained_will_clears_its_topic,
        "An empty will with Will Retain is published; what was retained on its topic is gone.",
        ["3.1.1/X-WILL-RETAIN-EMPTY"],
        s3_01_session::retains_no_will
    ),
    test!(
        a_will_is_delivered_like_any_message,
        "Subscribers with wildcards and a lower QoS get a will as they get any message.",
        ["3.1.1/X-WILL-AS-PUBLISH"],
        s3_01_session::hides_wills_from_wildcards
    )
    .also_3_1(),
    test!(
        a_will_waits_for_an_absent_client,
        "A will is published while a subscriber with a session is away; it gets it when it is back.",
        ["3.1.1/X-WILL-TO-OFFLINE"],
        s3_01_session::has_no_queues
    ),
    test!(
        a_will_of_a_lasting_session_is_published,
        "A client with a lasting session and a will is cut off, twice; its will is published each time.",
        ["3.1.1/MQTT-3.1.2-8"],
        documented::loses_wills_of_lasting_sessions
    ),
    test!(
        a_discarded_will_does_not_come_with_the_next_connection,
        "A client with a lasting session says DISCONNECT and comes back; the will that it discarded does not come.",
        ["3.1.1/MQTT-3.1.2-10", "3.1.1/MQTT-3.14.4-3"],
        documented::publishes_a_discarded_will_later
    ),
];

async fn without_a_will_flag_nothing_is_published(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    // The identifier had a will once, and took leave.
    let (mut mortal, _) =
        Peer::connect(stage, "mortal", with_will(stage, "mortal", will(&topic, b"of before"))).await.prepared()?;
    mortal.disconnect().await;
    farewell(&mut mortal).await;
    let mut plain = Peer::connected(stage, "mortal").await?;
    plain.close(End::Fin).await;
    farewell(&mut plain).await;
    let after = control_will(stage, &mut watcher, &topic).await?;
    no_other(&after, b"control")?;
    Ok(Evidence::of(&after[0]).and_all(&after[1..]))
}
