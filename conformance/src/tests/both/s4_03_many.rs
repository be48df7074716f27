//! 4.3 and 4.5, with more exchanges open than a server may have reckoned with.

use std::collections::BTreeSet;

use squall_codec::{
    packet::{Ack, Packet},
    qos::Qos,
    wire::PacketId,
};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{id, publish},
    offer,
    watch::{Delivery, collect, message},
};

/// Messages that a client sends before it releases the first: more than the 20 or 100 that servers are known to have room for.
const OPEN: u16 = 150;

/// A client sends many QoS 2 messages, and one of QoS 1, and then releases them: whatever is acknowledged comes. Before 5.0 nothing
/// bounds how many may be open; in 5.0 the server's Receive Maximum does.
pub(crate) async fn acknowledged_messages_come_however_many_are_open(stage: &Stage) -> Outcome {
    let mut alice = Peer::connected(stage, "alice").await?;
    let mut bob = Peer::connected(stage, "bob").await?;
    offer::qos(&bob, Qos::ExactlyOnce)?;
    alice.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await.prepared()?;
    // One alone goes through, or QoS 2 is not there at all.
    bob.published(&stage.topic("t"), Qos::ExactlyOnce, b"alone", false).await.prepared()?;
    message(&mut alice, b"alone").await.prepared()?;
    let most = bob.connack().and_then(|connack| connack.properties.receive_maximum()).unwrap_or(u16::MAX);
    let count = OPEN.min(most);
    for number in 1..=count {
        let qos = if number == count { Qos::AtLeastOnce } else { Qos::ExactlyOnce };
        bob.send(Packet::Publish(publish(stage, "t", qos, id(number), &number.to_string()))).await;
    }
    let received = answered(&mut bob, count, count).await?;
    let (ended, mut taken): (Vec<PacketId>, Vec<PacketId>) =
        received.into_iter().partition(|packet_id| packet_id.value() == count);
    for packet_id in &taken {
        bob.send(Packet::Pubrel(Ack::new(*packet_id))).await;
    }
    let released = u16::try_from(taken.len()).unwrap_or(u16::MAX);
    let completed = answered(&mut bob, released, count).await?;
    taken.retain(|packet_id| completed.contains(packet_id));
    let due: BTreeSet<String> = taken.iter().chain(&ended).map(ToString::to_string).collect();
    if due.len() < usize::from(count) {
        let reason = format!("of {count} messages that were open at once {} were acknowledged to the end", due.len());
        return Err(Halt::inconclusive(reason));
    }
    let words = |copy: &Delivery| String::from_utf8_lossy(copy.payload()).into_owned();
    let came = |seen: &[Delivery]| seen.iter().map(words).collect::<BTreeSet<String>>();
    let copies = collect(&mut alice, |seen| due.is_subset(&came(seen))).await?;
    let seen = came(&copies);
    let lost: Vec<&str> = due.difference(&seen).map(String::as_str).collect();
    match (lost.iter().min_by_key(|words| (words.len(), **words)), copies.first()) {
        (None, Some(copy)) => Ok(Evidence::of(copy).and_all(&copies[1..])),
        (Some(first), _) => Err(Halt::fail(format!(
            "{count} messages were open at once and acknowledged to the end; {} of them never came, \"{first}\" for one",
            lost.len()
        ))),
        (None, None) => Err(Halt::inconclusive("nothing was acknowledged")),
    }
}

/// Of so many acknowledgements, those that do not refuse, of identifiers up to `most`.
async fn answered(peer: &mut Peer, count: u16, most: u16) -> Result<BTreeSet<PacketId>, Halt> {
    let mut answers = BTreeSet::new();
    let by = peer.stage().now() + peer.stage().patience();
    let mut left = count;
    while left > 0 {
        match peer.next_by(by).await {
            Next::Packet(packet) => {
                if let Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubcomp(ack) = &*packet {
                    left -= 1;
                    // Another identifier is the matter of another test.
                    if !ack.reason.is_failure() && ack.packet_id.value() <= most {
                        answers.insert(ack.packet_id);
                    }
                }
            }
            Next::Malformed(what) => {
                return Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what));
            }
            // Without a Receive Maximum a server that has no room can say so in no other way.
            Next::End(end) => {
                let reason = format!("the server ends the connection of a client that has {count} messages open");
                return Err(Halt::unsupported(reason).at(&end));
            }
            Next::Nothing => break,
        }
    }
    Ok(answers)
}
