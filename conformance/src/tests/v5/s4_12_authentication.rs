//! 4.12 Enhanced authentication of 5.0.

use squall_codec::{
    packet::{Auth, Packet},
    property::{Properties, Property},
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome},
};

use crate::{
    liars::exchanges,
    test::{Test, test},
    tests::{
        asking::bytes_of,
        judge::{Unnoticed, closes, offender, refuses},
        watch::text,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        an_unknown_authentication_method_is_refused,
        "A CONNECT with an Authentication Method that no server has is refused.",
        ["5.0/MQTT-4.12.0-1"],
        exchanges::ignores_the_authentication_method
    ),
    test!(
        a_plain_connect_gets_no_authentication_method,
        "A CONNECT without an Authentication Method gets neither AUTH nor a method in CONNACK.",
        ["5.0/MQTT-4.12.0-6"],
        exchanges::names_an_authentication_method
    ),
    test!(
        an_auth_after_a_plain_connect_closes_the_connection,
        "An AUTH after a CONNECT without an Authentication Method ends the connection.",
        ["5.0/MQTT-4.12.0-7"],
        exchanges::ignores_auth
    )
    .should(),
];

async fn an_unknown_authentication_method_is_refused(stage: &Stage) -> Outcome {
    let mut connect = Peer::hello(stage, "offender");
    connect.push_property(Property::AuthenticationMethod(text("X-UNKNOWN-SQUALL")));
    let bytes = bytes_of(stage, &Packet::Connect(connect));
    let codes = [ReasonCode::BadAuthenticationMethod, ReasonCode::NotAuthorized];
    refuses(stage, "a CONNECT with an unknown Authentication Method", &bytes, &codes).await
}

async fn a_plain_connect_gets_no_authentication_method(stage: &Stage) -> Outcome {
    let (mut peer, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await?;
    if let Some(method) = connack.properties.authentication_method() {
        return Err(Halt::fail(format!("expected no Authentication Method in CONNACK, seen '{method}'")).at(&connack));
    }
    let fence = peer.quiet().await?;
    Ok(Evidence::of(&connack).and(&fence))
}

async fn an_auth_after_a_plain_connect_closes_the_connection(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    let mut auth = Auth::new(ReasonCode::ReAuthenticate);
    auth.properties = Properties::new().with(Property::AuthenticationMethod(text("X-UNKNOWN-SQUALL")));
    let bytes = bytes_of(stage, &Packet::Auth(auth));
    let codes = [ReasonCode::ProtocolError, ReasonCode::BadAuthenticationMethod, ReasonCode::NotAuthorized];
    closes(&mut peer, "an AUTH after a CONNECT without an Authentication Method", &bytes, &codes, Unnoticed::Warns)
        .await
}
