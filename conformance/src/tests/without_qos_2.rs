//! A server without QoS 2. Before 5.0 it has no way to say so: it shows when it is asked.

use squall_codec::{
    packet::{Packet, Publish, Subscribe, Subscription},
    qos::Qos,
};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::Stage,
    verdict::{Halt, Verdict},
};

use super::{
    offer,
    watch::{filter, name},
};

/// What became of a test. One that waited for a PUBREC in vain, while it only led up to its question, is `unsupported` at a
/// server without QoS 2. What was the question itself, and what a server that grants QoS 2 owes, stays as it is.
pub(crate) async fn excused(stage: &Stage, halt: Halt) -> Halt {
    let may_be = !stage.version().has_properties() && halt.verdict == Verdict::Inconclusive;
    if !may_be || halt.missed != Some("PUBREC") {
        return halt;
    }
    match evidence(stage).await {
        Ok(Some(without)) => without,
        Ok(None) | Err(_) => halt,
    }
}

/// The highest QoS that may be published: as CONNACK says and, where it has no way to, as the server shows.
pub(crate) async fn highest_qos(stage: &Stage, peer: &Peer) -> Qos {
    let announced = offer::highest_qos(peer);
    if stage.version().has_properties() {
        return announced;
    }
    match evidence(stage).await {
        Ok(Some(_)) => Qos::AtLeastOnce,
        // Whoever cannot be asked is taken at his word.
        Ok(None) | Err(_) => announced,
    }
}

/// Asks for QoS 2. It is not there where CONNACK says so; else only where the server grants less to a subscriber and also
/// answers no publisher with PUBREC. `Some` is the verdict that this gives, at the packets that show it.
///
/// # Errors
/// It could not be asked.
pub(crate) async fn evidence(stage: &Stage) -> Result<Option<Halt>, Halt> {
    let topic = stage.topic(&stage.fresh("qos2"));
    let mut peer = Peer::connected(stage, &stage.fresh("q")).await?;
    if let Err(announced) = offer::qos(&peer, Qos::ExactlyOnce) {
        return Ok(Some(announced));
    }
    let subscription = Subscription::new(filter(&topic), Qos::ExactlyOnce);
    let subscribe = Subscribe::new(peer.fresh_id(), vec![subscription]);
    let suback = peer.subscribe_with(subscribe).await?;
    let Some(granted) = suback.reasons.first().filter(|granted| granted.value() < 2) else { return Ok(None) };
    let id = peer.fresh_id();
    peer.send(Packet::Publish(Publish::new(&name(&topic), "twice").at(Qos::ExactlyOnce, Some(id)))).await;
    let by = stage.now() + stage.patience();
    let answer = loop {
        match peer.next_by(by).await {
            Next::Packet(packet) => match &*packet {
                Packet::Pubrec(_) => return Ok(None),
                // It is subscribed to this, and the message may overtake the answer.
                Packet::Publish(_) => {}
                other => break format!("was answered with {}", other.kind().name()),
            },
            Next::End(_) => break "ended the connection".to_owned(),
            Next::Malformed(_) => break "was answered with bytes that are no packet".to_owned(),
            Next::Nothing => break format!("was not answered within {:?}", stage.patience()),
        }
    };
    let reason =
        format!("no QoS 2: SUBACK granted {granted} where QoS 2 was asked for, and a PUBLISH of QoS 2 {answer}");
    Ok(Some(Halt::unsupported(reason).at(&suback)))
}
