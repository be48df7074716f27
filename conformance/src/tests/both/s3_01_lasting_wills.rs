//! 3.1.2.5 and 3.14.4: wills of clients whose session lasts, and a DISCONNECT that comes together with other bytes.

use squall_codec::{
    packet::{Disconnect, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use super::s3_01_will::{control_will, due, watcher};
use crate::tests::{
    asking::{bytes_of, lasting, lasting_peer},
    judge::farewell,
    offer,
    watch::{name, no_other, tidied, will, with_will},
};

/// The session stays and the connection is cut: the will is due all the same, now and at the next cut.
pub(crate) async fn a_will_of_a_lasting_session_is_published(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &["mortal"], &[], async {
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        let mut evidence: Option<Evidence> = None;
        for payload in ["of a new session", "of a resumed session"] {
            let mut connect = lasting(stage, "mortal");
            connect.set_will(Some(will(&topic, payload.as_bytes())));
            let (mut mortal, _) = Peer::connect(stage, "mortal", connect).await.prepared()?;
            mortal.subscribed(&stage.topic("anchor"), Qos::AtMostOnce).await?;
            mortal.close(End::Fin).await;
            let (came, _) = due(&mut watcher, payload.as_bytes(), stage.now()).await?;
            farewell(&mut mortal).await;
            evidence = Some(evidence.map_or_else(|| Evidence::of(&came), |evidence| evidence.and(&came)));
        }
        evidence.ok_or_else(|| Halt::inconclusive("nobody came"))
    })
    .await
}

/// DISCONNECT discards the will for good: it comes neither with the next connection nor at its end.
pub(crate) async fn a_discarded_will_does_not_come_with_the_next_connection(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    tidied(stage, &["mortal"], &[], async {
        let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
        let mut connect = lasting(stage, "mortal");
        connect.set_will(Some(will(&topic, b"discarded")));
        let (mut mortal, _) = Peer::connect(stage, "mortal", connect).await.prepared()?;
        offer::session_expiry(&mortal, 300)?;
        mortal.subscribed(&stage.topic("anchor"), Qos::AtMostOnce).await?;
        mortal.disconnect().await;
        farewell(&mut mortal).await;
        let mut back = lasting_peer(stage, "mortal").await?;
        let with_it = control_will(stage, &mut watcher, &topic).await?;
        no_other(&with_it, b"control")?;
        back.close(End::Fin).await;
        farewell(&mut back).await;
        let after_it = control_will(stage, &mut watcher, &topic).await?;
        no_other(&after_it, b"control")?;
        Ok(Evidence::of(&with_it[0]).and_all(&with_it[1..]).and_all(&after_it))
    })
    .await
}

/// A message, DISCONNECT and the end of the connection in one breath: the end is a normal one.
pub(crate) async fn a_disconnect_right_behind_a_message_counts(stage: &Stage) -> Outcome {
    let topic = stage.topic("will");
    let mut watcher = watcher(stage, &topic, Qos::AtLeastOnce).await?;
    let connect = with_will(stage, "brisk", will(&topic, b"discarded"));
    let (mut brisk, _) = Peer::connect(stage, "brisk", connect).await.prepared()?;
    let said = bytes_of(stage, &Packet::Publish(Publish::new(&name(&topic), "last words")));
    let parting = bytes_of(stage, &Packet::Disconnect(Disconnect::new(ReasonCode::NORMAL_DISCONNECTION)));
    brisk.send_bytes(&[said, parting].concat()).await;
    brisk.close(End::Fin).await;
    farewell(&mut brisk).await;
    let after = control_will(stage, &mut watcher, &topic).await?;
    // The message itself has QoS 0: it may come or not.
    match after.iter().find(|copy| copy.payload() == b"discarded") {
        Some(copy) => Err(Halt::fail("the will of a client came that had said DISCONNECT").at(copy)),
        None => Ok(Evidence::of(&after[0]).and_all(&after[1..])),
    }
}
