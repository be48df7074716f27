//! 3.3.1.3 RETAIN: whom a retained message comes to, and that its delivery is one like any other.

use squall_codec::{
    packet::{Ack, Packet},
    qos::Qos,
};
use squall_scenarios::{
    peer::{Peer, Pubrel},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{lasting_peer, resumed},
    both::s3_03_retain::{on, publisher, retained},
    judge::{Cases, farewell},
    offer,
    watch::{Delivery, burst, collect_strictly, shown, tidied},
    without_qos_2::highest_qos,
};

/// Filters that begin with a wildcard, have it inside or end with it: each finds what is retained below the test's root.
fn wild(stage: &Stage) -> [String; 5] {
    let below = stage.topic("#");
    let rest = below.split_once('/').map_or("#", |(_, rest)| rest);
    let above =
        stage.topic("").trim_end_matches('/').rsplit_once('/').map_or_else(String::new, |(above, _)| above.to_owned());
    ["#".to_owned(), "+/#".to_owned(), format!("+/{rest}"), format!("{above}/+/found/#"), below.clone()]
}

/// It comes for every filter that matches, and at no more than the QoS that was granted.
pub(crate) async fn every_wildcard_finds_what_is_retained(stage: &Stage) -> Outcome {
    let (parent, child) = (stage.topic("found"), stage.topic("found/below"));
    tidied(stage, &[], &[&parent, &child], async {
        let mut publisher = publisher(stage).await?;
        offer::wildcards(&publisher)?;
        for topic in [&parent, &child] {
            publisher.published(topic, Qos::AtLeastOnce, topic.as_bytes(), true).await?;
        }
        let both = |seen: &[Delivery]| [&parent, &child].iter().all(|topic| on(seen, topic).is_some());
        if !both(&retained(stage, &[&parent, &child], both).await?) {
            return Err(Halt::inconclusive("the messages were not retained"));
        }
        let mut evidence: Option<Evidence> = None;
        for filter in wild(stage) {
            let mut late = Peer::connected(stage, &stage.fresh("late")).await?;
            late.subscribed(&filter, Qos::AtMostOnce).await?;
            let received = collect_strictly(&mut late, both).await?;
            late.disconnect().await;
            farewell(&mut late).await;
            for topic in [&parent, &child] {
                match on(&received, topic) {
                    None => {
                        return Err(Halt::fail(format!("a subscription to '{filter}' brought nothing of '{topic}'")));
                    }
                    Some(copy) if copy.qos > Qos::AtMostOnce => {
                        let reason = format!("'{filter}' was granted QoS 0, but {} came", shown(copy));
                        return Err(Halt::fail(reason).at(copy));
                    }
                    Some(copy) => {
                        evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |before| before.and(copy)));
                    }
                }
            }
        }
        evidence.ok_or_else(|| Halt::inconclusive("nobody subscribed"))
    })
    .await
}

/// What is retained is delivered to a lasting session and cut before the acknowledgement: the delivery goes on.
pub(crate) async fn the_delivery_of_a_retained_message_goes_on(stage: &Stage) -> Outcome {
    let publisher = publisher(stage).await?;
    let highest = highest_qos(stage, &publisher).await;
    let mut cases = Cases::new();
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce].into_iter().filter(|qos| *qos <= highest) {
        cases.add(format!("QoS {qos}"), goes_on(stage, qos).await);
    }
    cases.finish()
}

async fn goes_on(stage: &Stage, qos: Qos) -> Outcome {
    let (topic, actor) = (stage.topic(&format!("kept/{qos}")), format!("alice{qos}"));
    tidied(stage, &[&actor], &[&topic], async {
        let mut publisher = publisher(stage).await?;
        publisher.published(&topic, qos, b"kept", true).await?;
        if retained(stage, &[&topic], |seen| !seen.is_empty()).await?.is_empty() {
            return Err(Halt::inconclusive("the message was not retained"));
        }
        let mut alice = lasting_peer(stage, &actor).await?;
        alice.subscribed(&topic, qos).await?;
        let first = burst(&mut alice).await?;
        let Some((held, id)) = first.first().and_then(|copy| Some((copy, copy.packet_id?))) else {
            return Err(Halt::inconclusive("the retained message came at QoS 0"));
        };
        alice.close(End::Fin).await;
        farewell(&mut alice).await;
        let mut alice = resumed(stage, &actor).await?;
        let missing = || Halt::fail(format!("the delivery of {} did not go on: nothing came again", shown(held)));
        let again = match burst(&mut alice).await {
            Ok(copies) => copies,
            Err(_) if alice.is_open() => return Err(missing().at(held)),
            Err(halt) => return Err(halt),
        };
        let copy = again.iter().find(|copy| copy.packet_id == Some(id)).ok_or_else(|| missing().at(&again[0]))?;
        let evidence = Evidence::of(held).and(copy);
        if copy.qos == Qos::AtLeastOnce {
            alice.send(Packet::Puback(Ack::new(id))).await;
            alice.disconnect().await;
            return Ok(evidence);
        }
        alice.send(Packet::Pubrec(Ack::new(id))).await;
        let pubrel = alice.expect::<Pubrel>().await?;
        alice.send(Packet::Pubcomp(Ack::new(id))).await;
        let (_, pong) = alice.fence().await.prepared()?;
        alice.disconnect().await;
        Ok(evidence.and(&pubrel).and(&pong))
    })
    .await
}
