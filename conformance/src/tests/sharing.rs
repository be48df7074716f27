//! Shared Subscriptions: joining a share, filling it, and who got what.

use std::time::Duration;

use squall_codec::{
    packet::{Packet, Publish, Suback, Subscribe, Subscription},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Puback, Seen},
    stage::Stage,
    verdict::{Halt, Preparing},
};

use crate::tests::{
    offer,
    watch::{Delivery, collect_by, filter, name, rest},
};

/// The filter of a share on a topic below the test's own root. The share's name is the test's own as well.
pub(crate) fn shared(stage: &Stage, group: &str, below: &str) -> String {
    format!("$share/{}/{}", stage.client_id(group), stage.topic(below))
}

/// Makes a client a member of a share: `unsupported` where the server says that it has none, `inconclusive` where it
/// refuses for reasons of its own.
pub(crate) async fn joins(peer: &mut Peer, share: &str, qos: Qos) -> Result<Seen<Suback>, Halt> {
    joins_as(peer, share, qos, None).await
}

/// As `joins`, with this Subscription Identifier.
pub(crate) async fn joins_as(
    peer: &mut Peer,
    share: &str,
    qos: Qos,
    identifier: Option<u32>,
) -> Result<Seen<Suback>, Halt> {
    offer::shared_subscriptions(peer)?;
    let mut subscribe = Subscribe::new(peer.fresh_id(), vec![Subscription::new(filter(share), qos)]);
    if let Some(identifier) = identifier {
        subscribe.properties.push(Property::SubscriptionIdentifier(identifier));
    }
    peer.send(Packet::Subscribe(subscribe)).await;
    let suback = peer.expect::<Suback>().await.prepared()?;
    match suback.reasons.first() {
        Some(ReasonCode::SharedSubscriptionsNotSupported) => {
            Err(Halt::unsupported("SUBACK says that Shared Subscriptions are not supported").at(&suback))
        }
        Some(reason) if reason.is_failure() => {
            Err(Halt::inconclusive(format!("the share was refused: {reason}")).at(&suback))
        }
        _ => Ok(suback),
    }
}

/// How many messages are sent before their acknowledgements are awaited, where the server takes so many.
const WINDOW: usize = 20;

/// Publishes at QoS 1, many at a time; `inconclusive` if one is not accepted.
pub(crate) async fn publishes(peer: &mut Peer, topic: &str, payloads: &[String]) -> Result<(), Halt> {
    offer::qos(peer, Qos::AtLeastOnce)?;
    let taken = peer.connack().and_then(|connack| connack.properties.receive_maximum()).unwrap_or(u16::MAX);
    for group in payloads.chunks(WINDOW.min(usize::from(taken))) {
        for payload in group {
            let id = peer.fresh_id();
            let message = Publish::new(&name(topic), payload).at(Qos::AtLeastOnce, Some(id));
            peer.send(Packet::Publish(message)).await;
        }
        for _ in group {
            let puback = peer.expect::<Puback>().await.prepared()?;
            if puback.reason.is_failure() {
                return Err(Halt::inconclusive(format!("a message was refused: {}", puback.reason)).at(&puback));
            }
        }
    }
    Ok(())
}

/// Payloads that are told apart.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("number {n}")).collect()
}

/// How long one of several is listened to before the next: whoever was chosen may be any of them.
const TURN: Duration = Duration::from_millis(20);

/// What each of these gets until there are `total` messages in all, or patience runs out; then up to a fence at each.
pub(crate) async fn gather(peers: &mut [&mut Peer], total: usize) -> Result<Vec<Vec<Delivery>>, Halt> {
    let Some(stage) = peers.first().map(|peer| peer.stage().clone()) else { return Ok(Vec::new()) };
    let by = stage.now() + stage.patience();
    let mut got: Vec<Vec<Delivery>> = vec![Vec::new(); peers.len()];
    loop {
        for n in 0..peers.len() {
            let missing = total.saturating_sub(got.iter().map(Vec::len).sum());
            let until = stage.now() + TURN;
            got[n].extend(collect_by(peers[n], until, |seen| seen.len() >= missing).await?);
        }
        if got.iter().map(Vec::len).sum::<usize>() >= total || stage.now() >= by {
            break;
        }
    }
    for (peer, got) in peers.iter_mut().zip(&mut got) {
        let (more, _) = rest(peer).await.prepared()?;
        got.extend(more);
    }
    Ok(got)
}

/// Every payload came to somebody: `fail` with those that did not.
pub(crate) fn complete(got: &[Vec<Delivery>], wanted: &[String]) -> Result<(), Halt> {
    let came = |payload: &str| got.iter().flatten().any(|copy| copy.payload() == payload.as_bytes());
    let missing: Vec<_> = wanted.iter().filter(|payload| !came(payload)).cloned().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let reason =
        format!("expected {} messages, {} came to nobody: {}", wanted.len(), missing.len(), missing.join(", "));
    Err(Halt::fail(reason))
}
