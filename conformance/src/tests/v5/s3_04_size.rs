//! 3.4 PUBACK to 3.11 UNSUBACK: what they explain must not make them larger than the client takes.

use squall_codec::{
    packet::{Ack, Packet, PacketKind, Publish},
    property::{Properties, Property},
    qos::Qos,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    stage::Stage,
    transcript::What,
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::{
    liars::conversation as liar,
    test::{Test, test},
    tests::{
        asking::{id, subscribe, unsubscribe},
        judge::farewell,
        offer,
        watch::name,
    },
};

/// One test for the Reason String and one for the User Properties of each kind of answer.
macro_rules! sizes {
    ($($kind:ident $reason:ident $about_reason:literal $reason_id:literal $reason_liar:ident
       $pair:ident $about_pair:literal $pair_id:literal $pair_liar:ident;)*) => {
        pub(crate) const TESTS: &[Test] = &[$(
            test!($reason, $about_reason, [$reason_id], liar::$reason_liar),
            test!($pair, $about_pair, [$pair_id], liar::$pair_liar),
        )*];

        $(
            async fn $reason(stage: &Stage) -> Outcome {
                answers_fit(stage, PacketKind::$kind, Part::ReasonString).await
            }
            async fn $pair(stage: &Stage) -> Outcome {
                answers_fit(stage, PacketKind::$kind, Part::UserProperty).await
            }
        )*
    };
}

sizes! {
    Puback
        no_reason_string_makes_a_puback_too_large
        "A client takes small packets only; no PUBACK outgrows them by its Reason String."
        "5.0/MQTT-3.4.2-2" explains_puback
        no_user_property_makes_a_puback_too_large
        "A client takes small packets only; no PUBACK outgrows them by its User Properties."
        "5.0/MQTT-3.4.2-3" adds_to_puback;
    Pubrec
        no_reason_string_makes_a_pubrec_too_large
        "A client takes small packets only; no PUBREC outgrows them by its Reason String."
        "5.0/MQTT-3.5.2-2" explains_pubrec
        no_user_property_makes_a_pubrec_too_large
        "A client takes small packets only; no PUBREC outgrows them by its User Properties."
        "5.0/MQTT-3.5.2-3" adds_to_pubrec;
    Pubrel
        no_reason_string_makes_a_pubrel_too_large
        "A client takes small packets only; no PUBREL outgrows them by its Reason String."
        "5.0/MQTT-3.6.2-2" explains_pubrel
        no_user_property_makes_a_pubrel_too_large
        "A client takes small packets only; no PUBREL outgrows them by its User Properties."
        "5.0/MQTT-3.6.2-3" adds_to_pubrel;
    Pubcomp
        no_reason_string_makes_a_pubcomp_too_large
        "A client takes small packets only; no PUBCOMP outgrows them by its Reason String."
        "5.0/MQTT-3.7.2-2" explains_pubcomp
        no_user_property_makes_a_pubcomp_too_large
        "A client takes small packets only; no PUBCOMP outgrows them by its User Properties."
        "5.0/MQTT-3.7.2-3" adds_to_pubcomp;
    Suback
        no_reason_string_makes_a_suback_too_large
        "A client takes small packets only; no SUBACK outgrows them by its Reason String."
        "5.0/MQTT-3.9.2-1" explains_suback
        no_user_property_makes_a_suback_too_large
        "A client takes small packets only; no SUBACK outgrows them by its User Properties."
        "5.0/MQTT-3.9.2-2" adds_to_suback;
    Unsuback
        no_reason_string_makes_an_unsuback_too_large
        "A client takes small packets only; no UNSUBACK outgrows them by its Reason String."
        "5.0/MQTT-3.11.2-1" explains_unsuback
        no_user_property_makes_an_unsuback_too_large
        "A client takes small packets only; no UNSUBACK outgrows them by its User Properties."
        "5.0/MQTT-3.11.2-2" adds_to_unsuback;
}

/// Which explanation is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    ReasonString,
    UserProperty,
}

impl Part {
    fn is_in(self, properties: &Properties) -> bool {
        match self {
            Part::ReasonString => properties.reason_string().is_some(),
            Part::UserProperty => properties.user_properties().next().is_some(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Part::ReasonString => "its Reason String",
            Part::UserProperty => "its User Properties",
        }
    }
}

/// The bytes of a frame that was received.
fn size_of(stage: &Stage, witness: &impl Witness) -> usize {
    match stage.transcript().entries().get(witness.entry().0).map(|entry| &entry.what) {
        Some(What::Received { bytes, .. }) => bytes.len(),
        _ => 0,
    }
}

/// A client that takes packets of the size of its CONNACK, and hardly more: less a server could not even say welcome. Some leave
/// themselves a little room.
async fn frugal(stage: &Stage) -> Result<(Peer, usize), Halt> {
    /// The largest answer that explains nothing: SUBACK with one code.
    const LEAST: usize = 6;
    /// What is tried beside that, in bytes.
    const ROOM: [usize; 3] = [2, 4, 8];
    let mut connect = Peer::hello(stage, "frugal");
    connect.push_property(Property::RequestProblemInformation(1));
    let (mut measured, connack) = Peer::connect(stage, "frugal", connect.clone()).await.prepared()?;
    let least = size_of(stage, &connack).max(LEAST);
    measured.disconnect().await;
    farewell(&mut measured).await;
    let mut refused = Halt::inconclusive("no limit was tried");
    for limit in ROOM.map(|room| least + room) {
        let mut connect = connect.clone();
        connect.push_property(Property::MaximumPacketSize(u32::try_from(limit).unwrap_or(u32::MAX)));
        match Peer::connect(stage, "frugal", connect).await.prepared() {
            Ok((peer, _)) => return Ok((peer, limit)),
            Err(halt) => refused = halt,
        }
    }
    Err(refused)
}

/// What brings answers of this kind, plain ones and such as have something to explain.
async fn provoke(stage: &Stage, peer: &mut Peer, kind: PacketKind) -> Result<(), Halt> {
    let topic = name(&stage.topic("nobody"));
    let packet = match kind {
        PacketKind::Puback => {
            offer::qos(peer, Qos::AtLeastOnce)?;
            Packet::Publish(Publish::new(&topic, "x").at(Qos::AtLeastOnce, Some(id(1))))
        }
        PacketKind::Pubrec => {
            offer::qos(peer, Qos::ExactlyOnce)?;
            Packet::Publish(Publish::new(&topic, "x").at(Qos::ExactlyOnce, Some(id(1))))
        }
        // No such message was ever sent: the answer has something to explain.
        PacketKind::Pubrel => Packet::Pubrec(Ack::new(id(900))),
        PacketKind::Pubcomp => {
            offer::qos(peer, Qos::ExactlyOnce)?;
            Packet::Pubrel(Ack::new(id(901)))
        }
        PacketKind::Suback => subscribe(stage, id(1), &[("s", Qos::AtMostOnce)]),
        // Nothing is subscribed: so has this.
        _ => unsubscribe(stage, id(1), &["never"]),
    };
    peer.send(packet).await;
    Ok(())
}

fn properties_of(packet: &Packet) -> Option<&Properties> {
    match packet {
        Packet::Puback(ack) | Packet::Pubrec(ack) | Packet::Pubrel(ack) | Packet::Pubcomp(ack) => Some(&ack.properties),
        Packet::Suback(suback) => Some(&suback.properties),
        Packet::Unsuback(unsuback) => Some(&unsuback.properties),
        _ => None,
    }
}

/// The answers that come, up to a fence. A server may close on an exchange that it does not know.
async fn answers(peer: &mut Peer, kind: PacketKind) -> Result<Vec<Seen<Packet>>, Halt> {
    peer.send(Packet::Pingreq).await;
    let mut answers = Vec::new();
    loop {
        match peer.next().await {
            Next::Packet(packet) if *packet == Packet::Pingresp => return Ok(answers),
            Next::Packet(packet) if packet.kind() == kind => answers.push(packet),
            Next::Packet(_) => {}
            Next::Malformed(what) => return Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what)),
            Next::End(_) | Next::Nothing => return Ok(answers),
        }
    }
}

async fn answers_fit(stage: &Stage, kind: PacketKind, part: Part) -> Outcome {
    let (mut peer, limit) = frugal(stage).await?;
    provoke(stage, &mut peer, kind).await?;
    let mut seen = answers(&mut peer, kind).await?;
    if kind == PacketKind::Pubrel {
        // A server need not answer the PUBREC of no exchange: a real one brings a PUBREL for certain. Who adds to its messages
        // has none that is small enough for that.
        match delivered(stage, limit).await {
            Ok(more) => seen.extend(more),
            Err(halt) if seen.is_empty() => return Err(halt),
            Err(_) => {}
        }
    }
    let mut evidence: Option<Evidence> = None;
    for answer in &seen {
        let size = size_of(stage, answer);
        if size > limit && properties_of(answer).is_some_and(|properties| part.is_in(properties)) {
            let reason = format!("{kind} has {size} bytes with {}, Maximum Packet Size is {limit}", part.name());
            return Err(Halt::fail(reason).at(answer));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(answer), |evidence| evidence.and(answer)));
    }
    evidence.ok_or_else(|| Halt::inconclusive(format!("no {kind} came")))
}

/// The PUBREL of a message for a client that takes packets of this size.
async fn delivered(stage: &Stage, limit: usize) -> Result<Vec<Seen<Packet>>, Halt> {
    let topic = stage.topic("d");
    // Room for the message; its PUBREL is to be small.
    let limit = limit.max(topic.len() + 20);
    let mut connect = Peer::hello(stage, "receiver");
    connect.push_property(Property::MaximumPacketSize(u32::try_from(limit).unwrap_or(u32::MAX)));
    let (mut peer, _) = Peer::connect(stage, "receiver", connect).await.prepared()?;
    offer::qos(&peer, Qos::ExactlyOnce)?;
    peer.subscribed(&topic, Qos::ExactlyOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::ExactlyOnce, b"x", false).await?;
    let message = peer.expect_message(b"x").await.prepared()?;
    let Some(id) = message.packet_id else {
        return Err(Halt::inconclusive("the message came at QoS 0").at(&message));
    };
    peer.send(Packet::Pubrec(Ack::new(id))).await;
    answers(&mut peer, PacketKind::Pubrel).await
}
