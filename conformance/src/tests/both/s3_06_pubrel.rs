//! 3.4 to 3.7: PUBACK, PUBREC, PUBREL, PUBCOMP. And 3.12: PINGREQ.

use squall_codec::{
    packet::{Ack, Packet},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Pubrec},
    stage::Stage,
    verdict::{Evidence, Outcome, Preparing},
};

use crate::tests::{
    asking::{bytes_of, id, publish},
    judge::{Cases, Unnoticed, closes, offender},
    offer,
};

pub(crate) async fn a_pubrel_with_wrong_flags_closes_the_connection(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for first in [0x60, 0x61] {
        let mut peer = offender(stage).await?;
        offer::qos(&peer, Qos::ExactlyOnce)?;
        peer.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(3), "x"))).await;
        peer.expect::<Pubrec>().await.prepared()?;
        let mut bytes = bytes_of(stage, &Packet::Pubrel(Ack::new(id(3))));
        bytes[0] = first;
        let offence = format!("a PUBREL that begins with 0x{first:02X}");
        cases
            .add(&offence, closes(&mut peer, &offence, &bytes, &[ReasonCode::MalformedPacket], Unnoticed::Fails).await);
    }
    cases.finish()
}

pub(crate) async fn a_pingreq_is_answered(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    let (_, first) = peer.pinged().await?;
    let (_, second) = peer.pinged().await?;
    peer.send(Packet::Publish(publish(stage, "t", Qos::AtMostOnce, id(1), "between"))).await;
    let (_, third) = peer.pinged().await?;
    Ok(Evidence::of(&first).and(&second).and(&third))
}
