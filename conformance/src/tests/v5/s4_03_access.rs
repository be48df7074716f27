//! 3.4.2.1, 3.5.2.1 and 4.3.3: messages that a server does not let everybody publish.

use squall_codec::{packet::Packet, qos::Qos};
use squall_scenarios::{
    peer::{Next, Peer, Pubcomp, Pubrec},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::access,
    setup::Setup,
    test::{Test, test},
    tests::{
        asking::{id, publish},
        judge::{Cases, parting},
        watch::{fenced, message},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        an_identifier_is_free_after_a_refusing_pubrec,
        "A QoS 2 message is refused with PUBREC; the next one with the same packet identifier is a new message.",
        ["5.0/MQTT-4.3.3-9"],
        access::remembers_what_it_refused
    )
    .on(Setup::Acl),
    test!(
        a_message_that_may_not_be_published_reaches_nobody,
        "A client publishes where it may not, at QoS 0, 1 and 2; nobody receives it, and a refusal says why.",
        ["5.0/X-PUBLISH-UNAUTHORISED"],
        access::delivers_what_is_forbidden
    )
    .on(Setup::Acl),
];

async fn an_identifier_is_free_after_a_refusing_pubrec(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&stage.topic("open/t"), Qos::AtLeastOnce).await?;
    let mut alice = Peer::connected(stage, "alice").await?;
    alice.send(Packet::Publish(publish(stage, "readonly/t", Qos::ExactlyOnce, id(7), "refused"))).await;
    let refusal = match alice.next().await {
        Next::Packet(packet) => match &*packet {
            Packet::Pubrec(ack) if ack.reason.is_failure() => packet,
            other => {
                return Err(
                    Halt::unsupported(format!("the server refuses no message with PUBREC: {other}")).at(&packet)
                );
            }
        },
        Next::End(end) => return Err(Halt::unsupported("the server refuses a message by closing").at(&end)),
        other => return Err(Halt::inconclusive(format!("expected PUBREC, but {other}"))),
    };
    alice.send(Packet::Publish(publish(stage, "open/t", Qos::ExactlyOnce, id(7), "allowed"))).await;
    let pubrec = alice.expect::<Pubrec>().await?;
    if pubrec.reason.is_failure() {
        let reason = format!("a new message with the packet identifier of a refused one got PUBREC {}", pubrec.reason);
        return Err(Halt::fail(reason).at(&pubrec));
    }
    alice.send(Packet::Pubrel(squall_codec::packet::Ack::new(id(7)))).await;
    let pubcomp = alice.expect::<Pubcomp>().await?;
    let came = message(&mut watcher, b"allowed").await?;
    Ok(Evidence::of(&refusal).and(&pubrec).and(&pubcomp).and(&came))
}

async fn a_message_that_may_not_be_published_reaches_nobody(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    watcher.subscribed(&stage.topic("readonly/t"), Qos::AtLeastOnce).await?;
    let mut cases = Cases::new();
    for (qos, name) in [(Qos::AtMostOnce, "QoS 0"), (Qos::AtLeastOnce, "QoS 1"), (Qos::ExactlyOnce, "QoS 2")] {
        let mut alice = Peer::connected(stage, &stage.fresh("alice")).await?;
        let sent = alice.send(Packet::Publish(publish(stage, "readonly/t", qos, id(7), name))).await;
        let (seen, _) = parting(&mut alice).await;
        let mut evidence = Evidence::of(&sent);
        for packet in &seen.packets {
            evidence = evidence.and(packet);
            if let Packet::Pubrec(ack) = &**packet
                && !ack.reason.is_failure()
            {
                evidence = evidence.warn("PUBREC says that the message was taken, and it is discarded");
            }
        }
        // Whatever was forwarded came before the answer to this.
        let forwarded = fenced(&mut watcher).await.prepared()?;
        cases.add(
            name,
            match forwarded.first() {
                Some(message) => Err(Halt::fail("a message came that nobody was allowed to publish").at(message)),
                None => Ok(evidence),
            },
        );
    }
    cases.finish()
}
