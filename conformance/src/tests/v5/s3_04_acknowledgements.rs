//! 3.4 PUBACK to 3.7 PUBCOMP of 5.0.

use squall_codec::{
    packet::{Ack, Packet},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Puback, Pubcomp, Pubrec, Pubrel},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::{exchanges, faults},
    test::{Test, test},
    tests::{
        asking::{id, publish},
        both::s3_06_pubrel::a_pubrel_with_wrong_flags_closes_the_connection,
        judge::formed,
        offer,
    },
};

pub(crate) const PUBACK: &[Test] = &[test!(
    a_puback_carries_one_of_its_reason_codes,
    "A QoS 1 PUBLISH is answered; the code is one that PUBACK may carry.",
    ["5.0/MQTT-3.4.2-1"],
    exchanges::puback_with_a_foreign_code
)];

pub(crate) const PUBREC: &[Test] = &[test!(
    a_pubrec_carries_one_of_its_reason_codes,
    "A QoS 2 PUBLISH is answered; the code is one that PUBREC may carry.",
    ["5.0/MQTT-3.5.2-1"],
    exchanges::pubrec_with_a_foreign_code
)];

pub(crate) const PUBREL: &[Test] = &[
    test!(
        a_pubrel_carries_one_of_its_reason_codes,
        "A QoS 2 delivery is acknowledged; the code of the PUBREL is one that it may carry.",
        ["5.0/MQTT-3.6.2-1"],
        exchanges::pubrel_with_a_foreign_code
    ),
    test!(
        a_pubrel_with_wrong_flags_closes_the_connection,
        "A PUBREL whose flags are not 0010 ends the connection.",
        ["5.0/MQTT-3.6.1-1"],
        faults::forgives_flags_of_pubrel
    ),
];

pub(crate) const PUBCOMP: &[Test] = &[test!(
    a_pubcomp_carries_one_of_its_reason_codes,
    "A QoS 2 exchange is finished; the code is one that PUBCOMP may carry.",
    ["5.0/MQTT-3.7.2-1"],
    exchanges::pubcomp_with_a_foreign_code
)];

// A code that the packet may not carry does not decode: what came is then no such packet, and `formed` fails.

async fn a_puback_carries_one_of_its_reason_codes(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::qos(&peer, Qos::AtLeastOnce)?;
    peer.send(Packet::Publish(publish(stage, "t", Qos::AtLeastOnce, id(4), "x"))).await;
    Ok(Evidence::of(&formed(stage, peer.expect::<Puback>().await)?))
}

async fn a_pubrec_carries_one_of_its_reason_codes(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    peer.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(4), "x"))).await;
    Ok(Evidence::of(&formed(stage, peer.expect::<Pubrec>().await)?))
}

async fn a_pubcomp_carries_one_of_its_reason_codes(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    peer.send(Packet::Publish(publish(stage, "t", Qos::ExactlyOnce, id(4), "x"))).await;
    peer.expect::<Pubrec>().await.prepared()?;
    peer.send(Packet::Pubrel(Ack::new(id(4)))).await;
    let known = formed(stage, peer.expect::<Pubcomp>().await)?;
    if known.reason == ReasonCode::PacketIdentifierNotFound {
        let reason = format!("expected PUBCOMP with success for an exchange that was begun, got {}", known.reason);
        return Err(Halt::fail(reason).at(&known));
    }
    // The same for an identifier that the server does not know: 0x92 or 0x00.
    peer.send(Packet::Pubrel(Ack::new(id(5)))).await;
    let unknown = formed(stage, peer.expect::<Pubcomp>().await)?;
    Ok(Evidence::of(&known).and(&unknown))
}

async fn a_pubrel_carries_one_of_its_reason_codes(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "alice").await?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    peer.subscribed(&stage.topic("t"), Qos::ExactlyOnce).await?;
    let mut publisher = Peer::connected(stage, "bob").await?;
    publisher.published(&stage.topic("t"), Qos::ExactlyOnce, b"x", false).await?;
    let message = peer.expect_message(b"x").await.prepared()?;
    let (Qos::ExactlyOnce, Some(packet_id)) = (message.qos, message.packet_id) else {
        return Err(Halt::unsupported(format!("the server delivers at QoS {}, the question needs QoS 2", message.qos)));
    };
    peer.send(Packet::Pubrec(Ack::new(packet_id))).await;
    let pubrel = formed(stage, peer.expect::<Pubrel>().await)?;
    peer.send(Packet::Pubcomp(Ack::new(packet_id))).await;
    Ok(Evidence::of(&pubrel))
}
