//! 4.11 Server redirection: a server that takes no clients and says where to go.

use squall_codec::{
    packet::{Connack, Packet},
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::limits,
    setup::Setup,
    test::{Test, test},
};

pub(crate) const TESTS: &[Test] = &[test!(
    a_server_reference_comes_with_a_code_of_redirection,
    "A server sends its clients elsewhere; CONNACK says Use another server or Server moved.",
    ["5.0/X-SERVER-REFERENCE"],
    limits::redirects_with_another_code
)
.should()
.on(Setup::Redirects)];

async fn a_server_reference_comes_with_a_code_of_redirection(stage: &Stage) -> Outcome {
    let mut peer = Peer::open(stage, "alice").await?;
    peer.send(Packet::Connect(Peer::hello(stage, "alice"))).await;
    let connack = peer.expect::<Connack>().await.prepared()?;
    let redirects = matches!(connack.reason, ReasonCode::UseAnotherServer | ReasonCode::ServerMoved);
    match connack.properties.server_reference() {
        Some(reference) if !redirects => {
            let reason = format!("the Server Reference '{reference}' came with CONNACK {}", connack.reason);
            return Ok(Evidence::of(&connack).warn(reason));
        }
        None if !connack.reason.is_failure() => {
            return Err(Halt::unsupported("the server sends nobody elsewhere").at(&connack));
        }
        None if !redirects => {
            return Err(Halt::inconclusive(format!("the client was refused with {}", connack.reason)).at(&connack));
        }
        _ => {}
    }
    let end = peer.expect_end().await.prepared()?;
    Ok(Evidence::of(&connack).and(&end))
}
