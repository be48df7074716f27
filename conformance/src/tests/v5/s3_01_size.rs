//! 3.1.2.11.4 Maximum Packet Size: what a client does not take.

use squall_codec::{property::Property, qos::Qos};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    transcript::What,
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::{
    liars::s3_02_connack,
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer, resumed},
        judge::{At, farewell},
        offer,
        watch::{Delivery, collect, message, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        no_packet_exceeds_the_maximum_of_the_client,
        "Messages are published that are just too large for a subscriber; nothing larger than it allows reaches it.",
        ["5.0/MQTT-3.1.2-24"],
        s3_02_connack::sends_packets_of_any_size
    ),
    test!(
        a_packet_too_large_for_the_client_is_dropped,
        "A message is too large for a subscriber; it is dropped, and what follows arrives.",
        ["5.0/MQTT-3.1.2-25"],
        s3_02_connack::waits_for_what_it_dropped
    ),
    test!(
        others_get_what_is_too_large_for_one,
        "A message is too large for one subscriber; another gets it, and the first stays connected.",
        ["5.0/X-MAXPACKET-OTHERS"],
        s3_02_connack::drops_large_messages_for_all
    ),
    test!(
        what_waited_and_is_too_large_is_dropped,
        "A client comes back and takes less than one of its waiting messages; that is dropped, and what follows arrives.",
        ["5.0/MQTT-3.1.2-25"],
        s3_02_connack::waits_for_what_it_dropped_on_return
    ),
];

/// A payload that makes a PUBLISH of QoS 1 without properties so many bytes long, fixed header included.
fn payload_for(topic: &str, size: usize) -> Vec<u8> {
    let length = if size > 129 { 2 } else { 1 };
    vec![b'x'; size - 1 - length - 2 - topic.len() - 2 - 1]
}

/// Every frame that this actor received: where, and how long.
fn sizes(stage: &Stage, actor: &str) -> Vec<(At, usize)> {
    let entries = stage.transcript().entries();
    let received = entries.iter().enumerate().filter_map(|(n, entry)| match &entry.what {
        What::Received { bytes, .. } if &*entry.actor == actor => {
            Some((At(squall_scenarios::transcript::EntryId(n)), bytes.len()))
        }
        _ => None,
    });
    received.collect()
}

/// Messages just below and above the limit of the subscriber: no packet to it exceeds that.
async fn no_packet_exceeds_the_maximum_of_the_client(stage: &Stage) -> Outcome {
    const LIMIT: usize = 100;
    let topic = stage.topic("size");
    let mut connect = Peer::hello(stage, "small");
    connect.push_property(Property::MaximumPacketSize(LIMIT as u32));
    let (mut small, connack) = Peer::connect(stage, "small", connect).await.prepared()?;
    offer::qos(&small, Qos::AtLeastOnce)?;
    small.subscribed(&topic, Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let taken = offer::packet_size(&publisher);
    for size in [LIMIT - 1, LIMIT, LIMIT + 1, 5000].into_iter().filter(|size| *size <= taken) {
        publisher.published(&topic, Qos::AtLeastOnce, &payload_for(&topic, size), false).await?;
    }
    publisher.published(&topic, Qos::AtLeastOnce, b"marker", false).await?;
    let received =
        collect(&mut small, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await.prepared()?;
    if let Some((at, size)) = sizes(stage, "small").into_iter().find(|(_, size)| *size > LIMIT) {
        return Err(Halt::fail(format!("a packet of {size} bytes came, Maximum Packet Size is {LIMIT}")).at(&at));
    }
    let marker = received.last().ok_or_else(|| Halt::inconclusive("no message came at all").at(&connack))?;
    let evidence = Evidence::of(marker).and_all(&received);
    // A server may add properties, and then they are too large.
    Ok(if received.len() < 3 { evidence.warn("a message that would have fitted did not come") } else { evidence })
}

/// A message that is too large is dropped as if it had been sent: what follows arrives, also with a window of one.
async fn a_packet_too_large_for_the_client_is_dropped(stage: &Stage) -> Outcome {
    let topic = stage.topic("dropped");
    tidied(stage, &["small"], &[], async {
        let mut connect = lasting(stage, "small");
        connect.push_property(Property::MaximumPacketSize(100));
        connect.push_property(Property::ReceiveMaximum(1));
        let (mut small, _) = Peer::connect(stage, "small", connect).await.prepared()?;
        offer::qos(&small, Qos::AtLeastOnce)?;
        small.subscribed(&topic, Qos::AtLeastOnce).await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        // Little more than that: a server may take only small packets itself.
        let large = vec![b'L'; 200];
        publisher.published(&topic, Qos::AtLeastOnce, b"first", false).await?;
        let first = message(&mut small, b"first").await.prepared()?;
        for payload in [&large[..], b"second"] {
            publisher.published(&topic, Qos::AtLeastOnce, payload, false).await?;
        }
        let second = behind_the_large(&mut small, b"second").await?;
        small.disconnect().await;
        crate::tests::judge::farewell(&mut small).await;
        // With room for it, the dropped one does not come back.
        let (mut roomy, connack) = Peer::connect(stage, "small", lasting(stage, "small")).await.prepared()?;
        publisher.published(&topic, Qos::AtLeastOnce, b"marker", false).await?;
        let received = collect(&mut roomy, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
        roomy.disconnect().await;
        if let Some(copy) = received.iter().find(|copy| copy.payload() == large) {
            return Err(Halt::fail("the message that was too large came on a later connection").at(copy));
        }
        Ok(Evidence::of(&first).and(&second).and(&connack).and_all(&received))
    })
    .await
}

/// Two subscribers, one of them limited: the other gets the large message, and the limited one stays.
async fn others_get_what_is_too_large_for_one(stage: &Stage) -> Outcome {
    let topic = stage.topic("large");
    let mut connect = Peer::hello(stage, "small");
    connect.push_property(Property::MaximumPacketSize(100));
    let (mut small, _) = Peer::connect(stage, "small", connect).await.prepared()?;
    small.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut roomy = Peer::connected(stage, "roomy").await?;
    roomy.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    // Little more than the small one takes: a server may take only small packets itself.
    let large = vec![b'L'; 200];
    publisher.published(&topic, Qos::AtMostOnce, &large, false).await?;
    publisher.published(&topic, Qos::AtMostOnce, b"after", false).await?;
    let got = match message(&mut roomy, &large).await {
        Ok(got) => got,
        Err(halt) => {
            passes_where_nobody_is_small(stage, &large).await.prepared()?;
            return Err(halt);
        }
    };
    let after = behind_the_large(&mut small, b"after").await?;
    Ok(Evidence::of(&got).and(&after))
}

/// What follows a message that was too large. Whoever ends the connection there has not gone on as if it had been sent.
async fn behind_the_large(small: &mut Peer, payload: &[u8]) -> Result<Delivery, Halt> {
    let message = message(small, payload).await;
    message.map_err(|halt| match small.is_open() {
        true => halt,
        false => {
            let reason = format!("the connection of {} ended at a message that is too large for it", small.actor());
            Halt { verdict: Verdict::Fail, reason, ..halt }
        }
    })
}

/// The control: the message comes to a reader who is alone on its topic.
async fn passes_where_nobody_is_small(stage: &Stage, payload: &[u8]) -> Result<(), Halt> {
    let topic = stage.topic("large/alone");
    let mut reader = Peer::connected(stage, "reader").await?;
    reader.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut writer = Peer::connected(stage, "writer").await?;
    writer.published(&topic, Qos::AtMostOnce, payload, false).await?;
    message(&mut reader, payload).await.map(drop)
}

/// The session was made by a client with room, and the one that comes back to it has less: what does not fit stands in nobody's
/// way, also with a window of one.
async fn what_waited_and_is_too_large_is_dropped(stage: &Stage) -> Outcome {
    tidied(stage, &["small", "roomy"], &[], async {
        let topic = stage.topic("waiting");
        let large = vec![b'L'; 200];
        for actor in ["small", "roomy"] {
            let mut peer = lasting_peer(stage, actor).await?;
            offer::qos(&peer, Qos::AtLeastOnce)?;
            peer.subscribed(&topic, Qos::AtLeastOnce).await?;
            peer.disconnect().await;
            farewell(&mut peer).await;
        }
        let mut publisher = Peer::connected(stage, "publisher").await?;
        for payload in [&large[..], b"second"] {
            publisher.published(&topic, Qos::AtLeastOnce, payload, false).await?;
        }
        // Both wait, and come to who has room for them.
        let mut roomy = resumed(stage, "roomy").await?;
        message(&mut roomy, &large).await.prepared()?;
        let control = message(&mut roomy, b"second").await.prepared()?;
        roomy.disconnect().await;

        let mut connect = lasting(stage, "small");
        connect.push_property(Property::MaximumPacketSize(100));
        connect.push_property(Property::ReceiveMaximum(1));
        let (mut small, connack) = Peer::connect(stage, "small", connect).await.prepared()?;
        if !connack.session_present {
            return Err(Halt::inconclusive("the server did not keep the session (Session Present 0)").at(&connack));
        }
        let second = behind_the_large(&mut small, b"second").await?;
        small.disconnect().await;
        Ok(Evidence::of(&control).and(&connack).and(&second))
    })
    .await
}
