//! 4.12 Enhanced authentication, on a server that knows SCRAM-SHA-256: the exchange, and doing it again.

use squall_client::{
    core::authentication::{Exchange, Method},
    scram::ScramSha256,
};
use squall_codec::{
    packet::{Auth, Connack, Connect, Packet},
    property::{Properties, Property},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Next, Peer, Puback, Seen},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{enhanced, limits},
    setup::{PASSWORD, Setup, USERNAME},
    test::{Test, test},
    tests::{
        asking::{bytes_of, id, publish},
        judge::{Unnoticed, closes, farewell, judge_refusal},
        watch::text,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        an_auth_of_the_server_says_that_it_goes_on,
        "A client authenticates in several steps; each AUTH of the server before CONNACK says Continue authentication.",
        ["5.0/MQTT-4.12.0-2", "5.0/MQTT-3.15.2-1"],
        enhanced::says_success_too_early
    )
    .on(Setup::Enhanced),
    test!(
        auth_and_connack_repeat_the_method,
        "A client authenticates in several steps; every AUTH and the CONNACK name the method of its CONNECT.",
        ["5.0/MQTT-4.12.0-5"],
        enhanced::names_another_method
    )
    .on(Setup::Enhanced),
    test!(
        an_exchange_that_fails_ends_the_connection,
        "A client proves that it does not know the password; it is not let in.",
        ["5.0/MQTT-4.12.0-4"],
        limits::stays_after_a_refusal
    )
    .on(Setup::Enhanced),
    test!(
        auth_keeps_to_the_maximum_packet_size,
        "A client takes only small packets; the server explains nothing in AUTH that would make it larger.",
        ["5.0/MQTT-3.15.2-2", "5.0/MQTT-3.15.2-3"],
        enhanced::is_talkative_in_auth
    )
    .on(Setup::Enhanced),
    test!(
        an_auth_without_a_method_does_not_go_on,
        "A client's AUTH has no Authentication Method; the exchange does not go on.",
        ["5.0/X-AUTH-WITHOUT-METHOD-PROP"],
        enhanced::does_not_miss_the_method
    )
    .on(Setup::Enhanced),
    test!(
        another_method_cannot_be_used_to_authenticate_again,
        "A connected client authenticates again with another method than before; the connection is closed.",
        ["5.0/MQTT-4.12.1-1"],
        enhanced::does_not_look_at_the_method
    )
    .on(Setup::Enhanced),
    test!(
        a_renewal_that_fails_ends_the_connection,
        "A connected client authenticates again with data that proves nothing; the connection is closed.",
        ["5.0/MQTT-4.12.1-2"],
        enhanced::overlooks_renewals
    )
    .on(Setup::Enhanced),
    test!(
        other_packets_go_on_while_a_client_authenticates_again,
        "A client authenticates again, and publishes before that is over; it is served.",
        ["5.0/X-REAUTH-OTHER-PACKETS"],
        enhanced::bears_nothing_beside_a_renewal
    )
    .should()
    .on(Setup::Enhanced),
];

pub(super) const METHOD: &str = "SCRAM-SHA-256";

/// One side of an exchange with this password.
pub(super) fn exchange(stage: &Stage, password: &str) -> Box<dyn Exchange> {
    let mut nonce = [b'n'; 18];
    let name = stage.fresh(&stage.topic(""));
    nonce.iter_mut().zip(name.bytes().rev()).for_each(|(to, from)| *to = from);
    ScramSha256::with_nonces(USERNAME, password, move || nonce).expect("SASLprep allows them").begin()
}

fn auth(reason: ReasonCode, method: Option<&str>, data: Option<bytes::Bytes>) -> Auth {
    let method = method.map(|method| Property::AuthenticationMethod(text(method)));
    let properties: Properties = method.into_iter().chain(data.map(Property::AuthenticationData)).collect();
    Auth { properties, ..Auth::new(reason) }
}

/// A CONNECT that begins an exchange.
fn beginning(stage: &Stage, actor: &str, exchange: &mut dyn Exchange) -> Connect {
    let mut connect = Peer::hello(stage, actor);
    connect.push_property(Property::AuthenticationMethod(text(METHOD)));
    if let Some(data) = exchange.first() {
        connect.push_property(Property::AuthenticationData(data));
    }
    connect
}

/// The server's first AUTH of an exchange.
pub(super) async fn begun(stage: &Stage, actor: &str, exchange: &mut dyn Exchange) -> Result<(Peer, Seen<Auth>), Halt> {
    let mut peer = Peer::open(stage, actor).await?;
    peer.send(Packet::Connect(beginning(stage, actor, exchange))).await;
    let auth = peer.expect::<Auth>().await.prepared()?;
    Ok((peer, auth))
}

/// Goes on with what the server said. It may ask for millions of hashes.
pub(super) async fn answered(
    stage: &Stage,
    mut exchange: Box<dyn Exchange>,
    auth: &Seen<Auth>,
) -> Result<Option<bytes::Bytes>, Halt> {
    let data = auth.properties.authentication_data().cloned();
    let answer = stage.computed(move || exchange.answer(data.as_deref())).await;
    let answer = answer.unwrap_or_else(|| Err("the answer could not be worked out".to_owned()));
    answer.map_err(|error| Halt::inconclusive(error).at(auth))
}

/// A client that came in by an exchange: all that the server said on the way.
pub(super) async fn authenticated(stage: &Stage, actor: &str) -> Result<(Peer, Seen<Auth>, Seen<Connack>), Halt> {
    let mut exchange = exchange(stage, PASSWORD);
    let (mut peer, first) = begun(stage, actor, &mut *exchange).await?;
    let data = answered(stage, exchange, &first).await?;
    peer.send(Packet::Auth(auth(ReasonCode::ContinueAuthentication, Some(METHOD), data))).await;
    let connack = peer.expect::<Connack>().await.prepared()?;
    if connack.reason.is_failure() {
        return Err(Halt::inconclusive(format!("the exchange ended with CONNACK {}", connack.reason)).at(&connack));
    }
    Ok((peer, first, connack))
}

async fn an_auth_of_the_server_says_that_it_goes_on(stage: &Stage) -> Outcome {
    let mut exchange = exchange(stage, PASSWORD);
    let (mut peer, first) = begun(stage, "alice", &mut *exchange).await?;
    if first.reason != ReasonCode::ContinueAuthentication {
        return Err(Halt::fail(format!("expected AUTH 0x18 before CONNACK, got {}", first.reason)).at(&first));
    }
    let data = answered(stage, exchange, &first).await?;
    peer.send(Packet::Auth(auth(ReasonCode::ContinueAuthentication, Some(METHOD), data))).await;
    let connack = peer.expect::<Connack>().await.prepared()?;
    Ok(Evidence::of(&first).and(&connack))
}

async fn auth_and_connack_repeat_the_method(stage: &Stage) -> Outcome {
    let (_, first, connack) = authenticated(stage, "alice").await?;
    for (what, properties, at) in
        [("AUTH", &first.properties, Evidence::of(&first)), ("CONNACK", &connack.properties, Evidence::of(&connack))]
    {
        let said = properties.authentication_method();
        if said.is_none_or(|said| said.as_str() != METHOD) {
            let entry = at.entries().first().copied();
            let said = said.map_or("none".to_owned(), |said| format!("'{said}'"));
            return Err(Halt { entry, ..Halt::fail(format!("expected the method '{METHOD}' in {what}, got {said}")) });
        }
    }
    Ok(Evidence::of(&first).and(&connack))
}

async fn an_exchange_that_fails_ends_the_connection(stage: &Stage) -> Outcome {
    authenticated(stage, "control").await?.0.disconnect().await;
    let mut exchange = exchange(stage, "calm-7");
    let (mut peer, first) = begun(stage, "stranger", &mut *exchange).await?;
    let data = answered(stage, exchange, &first).await?;
    peer.send(Packet::Auth(auth(ReasonCode::ContinueAuthentication, Some(METHOD), data))).await;
    let codes = [ReasonCode::NotAuthorized, ReasonCode::BadUserNameOrPassword, ReasonCode::BadAuthenticationMethod];
    judge_refusal(stage, "a wrong proof", &codes, &farewell(&mut peer).await)
}

/// Bytes: more than the exchange needs, and less than the server might have to tell.
const SMALL: u32 = 256;

async fn auth_keeps_to_the_maximum_packet_size(stage: &Stage) -> Outcome {
    let mut exchange = exchange(stage, PASSWORD);
    let mut connect = beginning(stage, "alice", &mut *exchange);
    connect.push_property(Property::MaximumPacketSize(SMALL));
    let mut peer = Peer::open(stage, "alice").await?;
    peer.send(Packet::Connect(connect)).await;
    let first = peer.expect::<Auth>().await.prepared()?;
    let size = bytes_of(stage, &Packet::Auth((*first).clone())).len();
    if size > SMALL as usize {
        return Err(Halt::fail(format!("an AUTH of {size} bytes came to a client that takes {SMALL}")).at(&first));
    }
    Ok(Evidence::of(&first))
}

async fn an_auth_without_a_method_does_not_go_on(stage: &Stage) -> Outcome {
    let mut exchange = exchange(stage, PASSWORD);
    let (mut peer, first) = begun(stage, "alice", &mut *exchange).await?;
    let data = answered(stage, exchange, &first).await?;
    peer.send(Packet::Auth(auth(ReasonCode::ContinueAuthentication, None, data))).await;
    let codes = [ReasonCode::ProtocolError, ReasonCode::MalformedPacket, ReasonCode::BadAuthenticationMethod];
    judge_refusal(stage, "an AUTH without an Authentication Method", &codes, &farewell(&mut peer).await)
}

async fn another_method_cannot_be_used_to_authenticate_again(stage: &Stage) -> Outcome {
    let (mut peer, ..) = authenticated(stage, "alice").await?;
    let data = exchange(stage, PASSWORD).first();
    let bytes = bytes_of(stage, &Packet::Auth(auth(ReasonCode::ReAuthenticate, Some("SCRAM-SHA-1"), data)));
    let codes = [ReasonCode::ProtocolError, ReasonCode::BadAuthenticationMethod, ReasonCode::NotAuthorized];
    closes(&mut peer, "an AUTH 0x19 with another method", &bytes, &codes, Unnoticed::Fails).await
}

async fn a_renewal_that_fails_ends_the_connection(stage: &Stage) -> Outcome {
    let (mut peer, ..) = authenticated(stage, "alice").await?;
    let data = Some(bytes::Bytes::from_static(b"nonsense"));
    let bytes = bytes_of(stage, &Packet::Auth(auth(ReasonCode::ReAuthenticate, Some(METHOD), data)));
    let codes = [
        ReasonCode::NotAuthorized,
        ReasonCode::BadAuthenticationMethod,
        ReasonCode::ProtocolError,
        ReasonCode::ImplementationSpecificError,
        ReasonCode::UnspecifiedError,
    ];
    closes(&mut peer, "an AUTH 0x19 with wrong data", &bytes, &codes, Unnoticed::Fails).await
}

async fn other_packets_go_on_while_a_client_authenticates_again(stage: &Stage) -> Outcome {
    let (mut peer, ..) = authenticated(stage, "alice").await?;
    let mut again = exchange(stage, PASSWORD);
    peer.send(Packet::Auth(auth(ReasonCode::ReAuthenticate, Some(METHOD), again.first()))).await;
    let first = peer.expect::<Auth>().await.prepared()?;
    let sent = peer.send(Packet::Publish(publish(stage, "t", Qos::AtLeastOnce, id(3), "meanwhile"))).await;
    let evidence = Evidence::of(&first);
    match peer.next_by(stage.now() + stage.patience()).await {
        Next::End(end) => Ok(evidence.and(&end).warn("a PUBLISH before the end of it closed the connection")),
        Next::Packet(packet) if matches!(*packet, Packet::Puback(_)) => Ok(evidence.and(&packet)),
        // It may be answered when the exchange is over.
        _ => {
            let data = answered(stage, again, &first).await?;
            peer.send(Packet::Auth(auth(ReasonCode::ContinueAuthentication, Some(METHOD), data))).await;
            let puback = peer.expect::<Puback>().await;
            Ok(match puback {
                Ok(puback) => evidence.and(&puback),
                Err(halt) => evidence.and(&sent).warn(format!("a PUBLISH before the end of it: {}", halt.reason)),
            })
        }
    }
}
