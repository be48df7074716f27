//! 3.1.2.11.2 Session Expiry Interval: the greatest, the one that CONNACK says, and the one that DISCONNECT must not say.

use std::time::Duration;

use squall_codec::{
    packet::{Disconnect, Packet},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::conversation as liar,
    test::{Test, test},
    tests::{
        asking::lasting,
        judge::farewell,
        watch::{message, tidied, will_taken, with_will},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        the_greatest_session_expiry_is_no_overflow,
        "A client asks for a session that never expires; it is there after three seconds.",
        ["5.0/X-SESSION-EXPIRY-MAX"],
        liar::overflows_the_greatest_expiry
    ),
    test!(
        the_session_expiry_of_connack_counts,
        "A client asks for 300 s; the session lives as long as CONNACK says, or else as was asked.",
        ["5.0/X-SESSION-EXPIRY-OVERRIDE"],
        liar::keeps_sessions_for_a_second
    ),
    test!(
        a_disconnect_cannot_begin_a_session_expiry,
        "A client with Session Expiry Interval 0 asks for another in DISCONNECT; its will is sent, its session is gone.",
        ["5.0/X-SESSION-EXPIRY-ZERO-TO-NONZERO"],
        liar::takes_any_expiry_at_disconnect
    ),
];

/// The clock of the rule.
const A_WHILE: Duration = Duration::from_secs(3);

/// A session with this expiry, left without a word; whether it is there after a while, and what CONNACK said of it.
async fn after_a_while(stage: &Stage, actor: &str, asked: u32) -> Result<(bool, Option<u32>, Evidence), Halt> {
    let with = || {
        let mut connect = Peer::hello(stage, actor);
        connect.clean_start = false;
        connect.push_property(Property::SessionExpiryInterval(asked));
        connect
    };
    let (mut peer, connack) = Peer::connect(stage, actor, with()).await.prepared()?;
    let given = connack.properties.session_expiry_interval();
    peer.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    peer.close(End::Fin).await;
    farewell(&mut peer).await;
    let brief = given.filter(|given| *given <= 2).map(|given| Duration::from_secs(u64::from(given) + 1));
    stage.pass(brief.unwrap_or(A_WHILE)).await;
    let (mut back, again) = Peer::connect(stage, actor, with()).await.prepared()?;
    back.disconnect().await;
    farewell(&mut back).await;
    Ok((again.session_present, given, Evidence::of(&connack).and(&again)))
}

async fn the_greatest_session_expiry_is_no_overflow(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let (present, given, evidence) = after_a_while(stage, "alice", u32::MAX).await?;
        match given {
            Some(given) if given < 10 => {
                Err(Halt::unsupported(format!("the server lowers the Session Expiry Interval to {given}")))
            }
            _ if present => Ok(evidence),
            _ => Err(Halt {
                entry: evidence.entries().last().copied(),
                ..Halt::fail("a session that never expires was gone after 3 s")
            }),
        }
    })
    .await
}

async fn the_session_expiry_of_connack_counts(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let (present, given, evidence) = after_a_while(stage, "alice", 300).await?;
        let wanted = given.is_none_or(|given| given > 2);
        if present == wanted {
            return Ok(evidence);
        }
        let said = given.map_or_else(
            || "300 was asked for and nothing else said".to_owned(),
            |given| format!("CONNACK said {given}"),
        );
        let came = if present { "was still there" } else { "was gone" };
        Err(Halt { entry: evidence.entries().last().copied(), ..Halt::fail(format!("{said}, and the session {came}")) })
    })
    .await
}

async fn a_disconnect_cannot_begin_a_session_expiry(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &["alice"], &[], async {
        let mut watcher = Peer::connected(stage, "watcher").await?;
        watcher.subscribed(&topic, Qos::AtLeastOnce).await?;
        let connect = with_will(stage, "alice", will_taken(&watcher, &topic, b"will"));
        let (mut alice, connack) = Peer::connect(stage, "alice", connect).await.prepared()?;
        if connack.properties.session_expiry_interval().is_some_and(|given| given > 0) {
            return Err(Halt::unsupported("the server lets a session live longer than was asked").at(&connack));
        }
        let mut leave = Disconnect::new(ReasonCode::NORMAL_DISCONNECTION);
        leave.properties.push(Property::SessionExpiryInterval(60));
        alice.send(Packet::Disconnect(leave)).await;
        let parting = farewell(&mut alice).await;
        let Some(end) = &parting.end else {
            return Err(Halt::fail("expected the end of the connection after DISCONNECT, but it is still open"));
        };
        let mut evidence = Evidence::of(end);
        match parting.disconnect() {
            Some((ReasonCode::ProtocolError | ReasonCode::MalformedPacket, at)) => evidence = evidence.and(at),
            Some((other, at)) => {
                evidence = evidence.and(at).warn(format!("expected DISCONNECT 0x82, got {other}"));
            }
            None => {}
        }
        let testament = message(&mut watcher, b"will").await.map_err(|halt| Halt {
            reason: format!("the DISCONNECT was taken for a valid one: {}", halt.reason),
            ..halt
        })?;
        let (_, again) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
        if again.session_present {
            return Err(Halt::fail("the DISCONNECT gave a session a life that CONNECT had not").at(&again));
        }
        Ok(evidence.and(&testament).and(&again))
    })
    .await
}
