//! 4.13 Handling errors of 5.0.

use squall_codec::{packet::Packet, property::Property};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome},
};

use crate::{
    liars::{faults, s3_01_session},
    test::{Test, test},
    tests::{both::s4_07_topics::a_malformed_packet_ends_its_own_connection_only, judge::farewell, watch::text},
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_malformed_packet_ends_its_own_connection_only,
        "Frames that no version allows end the connection that they came on, and no other.",
        ["5.0/MQTT-4.13.1-1"],
        faults::overlooks_long_pings
    )
    .should(),
    test!(
        a_failure_in_connack_is_followed_by_the_end,
        "A CONNACK with a failure is followed by the end of the connection.",
        ["5.0/MQTT-4.13.2-1"],
        s3_01_session::refuses_and_stays
    ),
];

async fn a_failure_in_connack_is_followed_by_the_end(stage: &Stage) -> Outcome {
    // A server that turns everybody away follows no rule by it.
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut connect = Peer::hello(stage, "alice");
    connect.push_property(Property::AuthenticationMethod(text("X-UNKNOWN-SQUALL")));
    let mut peer = Peer::open(stage, "alice").await?;
    peer.send(Packet::Connect(connect)).await;
    let seen = farewell(&mut peer).await;
    match (seen.connack(), &seen.end) {
        (Some((connack, at)), _) if !connack.reason.is_failure() => {
            Err(Halt::inconclusive(format!("the server let the client in: {}", connack.reason)).at(at))
        }
        (Some((_, at)), Some(end)) => Ok(Evidence::of(at).and(end)),
        (Some((connack, at)), None) => {
            let reason = format!("expected the end after CONNACK {}, but the connection stayed open", connack.reason);
            Err(Halt::fail(reason).at(at))
        }
        // A bare close is lawful, and there is no reason code to judge.
        (None, Some(end)) => Ok(Evidence::of(end)),
        (None, None) => Err(Halt::inconclusive("the server said nothing to the CONNECT")),
    }
}
