//! 3.3.4 and 3.8.4: a message for several subscribers is a copy for each, as its own subscription asks.

use squall_codec::{
    packet::{Subscribe, Subscription},
    property::Property,
    qos::Qos,
};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::is_v5,
    offer,
    watch::{filter, message, rest, shown},
    without_qos_2::highest_qos,
};

/// Subscribers of one topic with each QoS, in both orders; what one gets says nothing about another's copy.
pub(crate) async fn each_subscriber_gets_a_copy_of_its_own(stage: &Stage) -> Outcome {
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let highest = highest_qos(stage, &publisher).await;
    let mut evidence: Option<Evidence> = None;
    for (round, order) in [Qos::ALL, [Qos::ExactlyOnce, Qos::AtLeastOnce, Qos::AtMostOnce]].into_iter().enumerate() {
        let topic = stage.topic(&format!("copies/{round}"));
        let mut subscribers = Vec::new();
        for (number, qos) in (1..).zip(order) {
            let mut peer = Peer::connected(stage, &stage.fresh("subscriber")).await?;
            let mut subscribe = Subscribe::new(peer.fresh_id(), vec![Subscription::new(filter(&topic), qos)]);
            let identified = is_v5(stage) && number > 1 && offer::subscription_identifiers(&peer).is_ok();
            let identifiers = if identified { vec![number] } else { Vec::new() };
            for identifier in &identifiers {
                subscribe.properties.push(Property::SubscriptionIdentifier(*identifier));
            }
            let suback = peer.subscribe_with(subscribe).await.prepared()?;
            subscribers.push((peer, offer::granted_qos(&suback), identifiers));
        }
        for sent in [Qos::ExactlyOnce, Qos::AtMostOnce, Qos::AtLeastOnce].into_iter().filter(|qos| *qos <= highest) {
            let payload = format!("at QoS {sent}");
            publisher.published(&topic, sent, payload.as_bytes(), false).await?;
            for (peer, granted, identifiers) in &mut subscribers {
                let copy = message(peer, payload.as_bytes()).await?;
                let wanted = sent.min(*granted);
                if copy.qos != wanted {
                    let reason = format!(
                        "published at QoS {sent}, granted QoS {granted}: expected a copy at QoS {wanted}, got {}",
                        shown(&copy)
                    );
                    return Err(Halt::fail(reason).at(&copy));
                }
                if copy.subscription_identifiers != *identifiers {
                    let came = &copy.subscription_identifiers;
                    let reason = format!("expected the Subscription Identifiers {identifiers:?}, got {came:?}");
                    return Err(Halt::fail(reason).at(&copy));
                }
                evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |before| before.and(&copy)));
            }
        }
        for (mut peer, _, _) in subscribers {
            rest(&mut peer).await.prepared()?;
            peer.disconnect().await;
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))
}
