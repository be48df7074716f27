//! 3.1.3.1, 3.1.4 and 3.9.3: who may come in, and what they may subscribe to.

use squall_codec::{packet::Packet, reason::ReasonCode, wire::Text};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome},
};

use crate::{
    liars::{access, documented, limits},
    setup::Setup,
    test::{Test, test},
    tests::{
        both::{
            s3_01_access::{
                who_is_refused_takes_nobodys_place, wrong_credentials_are_told, wrong_credentials_end_the_connection,
            },
            s3_08_access::{
                a_denied_filter_is_refused_beside_one_that_is_granted, a_refused_filter_brings_nothing_retained,
            },
        },
        judge::farewell,
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_client_identifier_that_is_rejected_gets_return_code_2,
        "A server takes no client without an identifier; such a CONNECT gets CONNACK 0x02 and a closed connection.",
        ["3.1.1/MQTT-3.1.3-9"],
        limits::stays_after_a_refusal
    )
    .on(Setup::Named),
    test!(
        wrong_credentials_end_the_connection,
        "Clients come with a wrong password, an unknown name and none at all; none of them gets in.",
        ["3.1.1/X-311-AUTH-CHECK-CLOSE"],
        access::asks_for_no_password
    )
    .on(Setup::Users),
    test!(
        wrong_credentials_are_told,
        "Clients come with wrong credentials; a return code tells them so.",
        ["3.1.1/X-311-REFUSAL-CODE"],
        access::refuses_without_a_code
    )
    .should()
    .on(Setup::Users),
    test!(
        a_denied_filter_is_refused_beside_one_that_is_granted,
        "A SUBSCRIBE holds a filter that is allowed and one that is not; each has its code, and only one delivers.",
        ["3.1.1/X-SUBSCRIBE-UNAUTHORISED"],
        access::swaps_the_codes
    )
    .on(Setup::Acl),
    test!(
        who_is_refused_takes_nobodys_place,
        "A client with a wrong password comes with the identifier of one that is connected; that one goes on.",
        ["3.1.1/MQTT-3.1.4-2"],
        documented::lets_strangers_take_over
    )
    .should()
    .on(Setup::Users),
    test!(
        a_refused_filter_brings_nothing_retained,
        "A client subscribes where it may not read, and where something is retained; it does not get that.",
        ["3.1.1/X-SUBSCRIBE-UNAUTHORISED"],
        documented::shows_what_is_retained_to_everybody
    )
    .on(Setup::Acl),
];

async fn a_client_identifier_that_is_rejected_gets_return_code_2(stage: &Stage) -> Outcome {
    Peer::connected(stage, "control").await?.disconnect().await;
    let mut peer = Peer::open(stage, "offender").await?;
    let connect = Peer::hello(stage, "offender").with_client_id(Text::literal(""));
    peer.send(Packet::Connect(connect)).await;
    let seen = farewell(&mut peer).await;
    let Some((connack, at)) = seen.connack() else {
        let reason = "no CONNACK came, so that nobody can tell why the client was refused";
        return Err(match &seen.end {
            Some(end) => Halt::inconclusive(reason).at(end),
            None => Halt::inconclusive(reason),
        });
    };
    match (connack.reason, &seen.end) {
        (reason, _) if !reason.is_failure() => {
            Err(Halt::unsupported(format!("needs a server {}", Setup::Named.wanted())).at(at))
        }
        (ReasonCode::ClientIdentifierNotValid, Some(end)) => Ok(Evidence::of(at).and(end)),
        (ReasonCode::ClientIdentifierNotValid, None) => {
            Err(Halt::fail("CONNACK 0x02 came, and the connection stayed open").at(at))
        }
        // It says that something else than the identifier is in the way: a server may want identifiers that begin in its own way.
        (ReasonCode::NotAuthorized | ReasonCode::BadUserNameOrPassword | ReasonCode::ServerUnavailable, Some(_)) => {
            let reason = format!("the client is refused for another reason than its identifier: {}", connack.reason);
            Err(Halt::unsupported(reason).at(at))
        }
        (reason, _) => Err(Halt::fail(format!("expected CONNACK 0x02 for a rejected identifier, got {reason}")).at(at)),
    }
}
