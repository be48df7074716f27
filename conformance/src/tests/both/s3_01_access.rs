//! 3.1.4 Who may come in, on a server that asks for names and passwords.

use squall_codec::{
    packet::{Connect, Packet},
    reason::ReasonCode,
    wire::Text,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome},
};

use crate::{
    setup::USERNAME,
    tests::judge::{Cases, Farewell, Served, farewell, judge_refusal, served},
};

/// The reasons for which a client with wrong credentials is turned away.
const CODES: [ReasonCode; 2] = [ReasonCode::BadUserNameOrPassword, ReasonCode::NotAuthorized];

/// Credentials that are not right, in words.
fn strangers(stage: &Stage) -> [(&'static str, Connect); 3] {
    let with = |username: Option<&'static str>, password: Option<&'static str>| {
        let mut connect = Peer::hello(stage, "stranger");
        connect.set_username(username.map(Text::literal));
        connect.set_password(password.map(Into::into));
        connect
    };
    [
        ("a wrong password", with(Some(USERNAME), Some("calm-7"))),
        ("an unknown user name", with(Some("nobody"), Some("storm-7"))),
        ("no user name", with(None, None)),
    ]
}

/// How a CONNECT with these credentials was answered.
async fn tried(stage: &Stage, connect: Connect) -> Result<Farewell, Halt> {
    let mut peer = Peer::open(stage, "stranger").await?;
    peer.send(Packet::Connect(connect)).await;
    Ok(farewell(&mut peer).await)
}

/// The right ones come in, and all others end in a closed connection.
pub(crate) async fn wrong_credentials_end_the_connection(stage: &Stage) -> Outcome {
    Peer::connected(stage, "known").await?.disconnect().await;
    let mut cases = Cases::new();
    for (what, connect) in strangers(stage) {
        let seen = tried(stage, connect).await?;
        cases.add(what, judge_refusal(stage, &format!("a CONNECT with {what}"), &CODES, &seen));
    }
    cases.finish()
}

/// A code that says why.
pub(crate) async fn wrong_credentials_are_told(stage: &Stage) -> Outcome {
    Peer::connected(stage, "known").await?.disconnect().await;
    let mut cases = Cases::new();
    for (what, connect) in strangers(stage) {
        let seen = tried(stage, connect).await?;
        let outcome = match (seen.connack(), &seen.end) {
            (Some((connack, at)), _) if CODES.contains(&connack.reason) => Ok(Evidence::of(at)),
            (Some((connack, at)), _) if connack.reason.is_failure() => {
                Ok(Evidence::of(at).warn(format!("expected return code 0x04 or 0x05, got {}", connack.reason)))
            }
            (Some((_, at)), _) => Err(Halt::inconclusive("it was accepted").at(at)),
            (None, Some(end)) => {
                Ok(Evidence::of(end).warn("the connection was closed without a CONNACK that says why"))
            }
            (None, None) => Err(Halt::inconclusive("it was not answered")),
        };
        cases.add(what, outcome);
    }
    cases.finish()
}

/// A connected client, and one that comes with its identifier and without its password: the first goes on.
pub(crate) async fn who_is_refused_takes_nobodys_place(stage: &Stage) -> Outcome {
    let mut known = Peer::connected(stage, "known").await?;
    let connect = Peer::hello(stage, "known").with_username(Text::literal(USERNAME)).with_password("calm-7".into());
    let seen = tried(stage, connect).await?;
    if let Some((connack, at)) = seen.connack().filter(|(connack, _)| !connack.reason.is_failure()) {
        return Err(Halt::inconclusive(format!("it was accepted: {}", connack.reason)).at(at));
    }
    let Some(refused) = &seen.end else {
        return Err(Halt::inconclusive("the connection of the client that should be refused did not end"));
    };
    match served(&mut known).await {
        Served::Yes(pong) => {
            known.disconnect().await;
            Ok(Evidence::of(refused).and(&pong))
        }
        Served::Ended(end) => {
            Ok(Evidence::of(&end).warn("a client that was refused ended the connection of the one whose name it had"))
        }
        Served::Neither => Err(Halt::inconclusive("the connected client got no PINGRESP")),
    }
}
