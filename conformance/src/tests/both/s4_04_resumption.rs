//! 4.4: what a QoS 2 exchange means does not depend on the connection on which it ends.

use squall_codec::{
    packet::{Ack, Packet, Publish},
    qos::Qos,
};
use squall_scenarios::{
    peer::{Peer, Pubcomp, Pubrec},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{lasting_peer, resumed},
    both::s3_03_retain::retained,
    judge::farewell,
    offer,
    watch::{message, name, rest, shown, tidied},
};

/// PUBLISH on one connection, PUBREL on the next: the message has the QoS and the RETAIN that it was given.
pub(crate) async fn a_message_released_on_the_next_connection_is_whole(stage: &Stage) -> Outcome {
    let topic = stage.topic("halved");
    tidied(stage, &["publisher"], &[&topic], async {
        let mut watcher = Peer::connected(stage, "watcher").await?;
        offer::qos(&watcher, Qos::ExactlyOnce)?;
        offer::retain(&watcher)?;
        offer::granted(&watcher.subscribed(&topic, Qos::ExactlyOnce).await?, Qos::ExactlyOnce)?;
        let mut publisher = lasting_peer(stage, "publisher").await?;
        // Some servers keep no session without a subscription; that has a rule of its own.
        publisher.subscribed(&stage.topic("anchor"), Qos::AtMostOnce).await?;
        let id = publisher.fresh_id();
        let mut halved = Publish::new(&name(&topic), "halved").at(Qos::ExactlyOnce, Some(id));
        halved.retain = true;
        publisher.send(Packet::Publish(halved)).await;
        publisher.expect::<Pubrec>().await.prepared()?;
        publisher.close(End::Fin).await;
        farewell(&mut publisher).await;
        let mut publisher = resumed(stage, "publisher").await?;
        publisher.send(Packet::Pubrel(Ack::new(id))).await;
        let pubcomp = publisher.expect::<Pubcomp>().await.prepared()?;
        publisher.disconnect().await;
        let copy = message(&mut watcher, b"halved").await?;
        if copy.qos != Qos::ExactlyOnce {
            return Err(Halt::fail(format!("published and granted at QoS 2, delivered as {}", shown(&copy))).at(&copy));
        }
        let (more, _) = rest(&mut watcher).await.prepared()?;
        if let Some(second) = more.iter().find(|second| second.payload() == b"halved") {
            return Err(Halt::fail(format!("a second copy came: {}", shown(second))).at(second));
        }
        let kept = retained(stage, &[&topic], |seen| !seen.is_empty()).await?;
        match kept.first() {
            Some(kept) => Ok(Evidence::of(&pubcomp).and(&copy).and(kept)),
            None => Err(Halt::fail("published with RETAIN 1, but a later subscriber got nothing").at(&copy)),
        }
    })
    .await
}
