//! 3.14 DISCONNECT.

use squall_codec::{packet::Packet, qos::Qos};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::bytes_of,
    bytes::publish,
    judge::{farewell, offender},
    watch::{rest, shown, tidied},
};

/// DISCONNECT, and the client keeps its side open: the server should close.
pub(crate) async fn the_receiver_of_disconnect_closes(stage: &Stage) -> Outcome {
    let mut peer = offender(stage).await?;
    let sent = peer.send_bytes(&[0xE0, 0x00]).await;
    match farewell(&mut peer).await.end {
        Some(end) => Ok(Evidence::of(&end)),
        None => Err(Halt::warn("the server did not close the connection after DISCONNECT").at(&sent)),
    }
}

/// DISCONNECT and a retained message in one write: the message comes too late.
pub(crate) async fn nothing_after_disconnect_is_processed(stage: &Stage) -> Outcome {
    let topic = stage.topic("late");
    tidied(stage, &[], &[&topic], async {
        let mut watcher = Peer::connected(stage, "watcher").await?;
        watcher.subscribed(&topic, Qos::AtMostOnce).await?;
        let mut peer = offender(stage).await?;
        let disconnect = bytes_of(
            stage,
            &Packet::Disconnect(squall_codec::packet::Disconnect::new(
                squall_codec::reason::ReasonCode::NORMAL_DISCONNECTION,
            )),
        );
        let late = publish(stage.version(), 0x31, topic.as_bytes(), None, &[], b"late");
        peer.send_bytes(&[disconnect, late].concat()).await;
        farewell(&mut peer).await;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publisher.published(&topic, Qos::AtMostOnce, b"marker", false).await?;
        let is_marker =
            |seen: &[crate::tests::watch::Delivery]| seen.last().is_some_and(|last| last.payload() == b"marker");
        let received = crate::tests::watch::collect(&mut watcher, is_marker).await?;
        if let Some(copy) = received.iter().find(|copy| copy.payload() == b"late") {
            return Err(Halt::warn(format!("a message behind DISCONNECT was delivered: {}", shown(copy))).at(copy));
        }
        let mut fresh = Peer::connected(stage, "fresh").await?;
        fresh.subscribed(&topic, Qos::AtMostOnce).await?;
        let (retained, pong) = rest(&mut fresh).await.prepared()?;
        if let Some(copy) = retained.first() {
            return Err(Halt::warn(format!("a message behind DISCONNECT was retained: {}", shown(copy))).at(copy));
        }
        let marker = received.last().ok_or_else(|| Halt::inconclusive("the marker did not come"))?;
        Ok(Evidence::of(marker).and(&pong))
    })
    .await
}
