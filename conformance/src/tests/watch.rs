//! Watching what is delivered: a watcher acknowledges everything, so that nothing waits for it.

use std::{future::Future, ops::Deref, time::Duration};

use squall_codec::{
    packet::{Ack, Connect, Packet, Publish, Will},
    property::{Properties, Property, PropertyId},
    qos::Qos,
    reason::ReasonCode,
    topic::{TopicFilter, TopicName},
    wire::Text,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    stage::{End, Stage},
    transcript::EntryId,
    verdict::{Halt, Outcome, Preparing, Verdict, Witness},
};

use crate::tests::offer;

/// A PUBLISH that was received.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    publish: Publish,
    entry: EntryId,
    /// When, since the stage began.
    pub(crate) at: Duration,
}

impl Deref for Delivery {
    type Target = Publish;
    fn deref(&self) -> &Publish {
        &self.publish
    }
}

impl Witness for Delivery {
    fn entry(&self) -> EntryId {
        self.entry
    }
}

/// A Topic Name of a test.
pub(crate) fn name(topic: &str) -> TopicName {
    TopicName::try_from(topic).expect("a test publishes to a valid Topic Name")
}

/// A Topic Filter of a test.
pub(crate) fn filter(filter: &str) -> TopicFilter {
    TopicFilter::try_from(filter).expect("a test subscribes to a valid Topic Filter")
}

/// A string of a test.
pub(crate) fn text(text: &str) -> Text {
    Text::try_from(text).expect("a test writes valid strings")
}

/// A CONNECT of a clean session with this will.
pub(crate) fn with_will(stage: &Stage, actor: &str, will: Will) -> Connect {
    let mut connect = Peer::hello(stage, actor);
    connect.set_will(Some(will));
    connect
}

/// A will of QoS 1 that is not retained and has no properties.
pub(crate) fn will(topic: &str, payload: &[u8]) -> Will {
    Will {
        qos: Qos::AtLeastOnce,
        retain: false,
        topic: name(topic),
        payload: payload.to_vec().into(),
        properties: Properties::new(),
    }
}

/// As `will`, with a QoS that the server of this peer takes.
pub(crate) fn will_taken(peer: &Peer, topic: &str, payload: &[u8]) -> Will {
    Will { qos: Qos::AtLeastOnce.min(offer::highest_qos(peer)), ..will(topic, payload) }
}

/// Acknowledges a packet as a client that is always at hand.
async fn acknowledge(peer: &mut Peer, packet: &Packet) {
    let answer = match packet {
        Packet::Publish(publish) => match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => Some(Packet::Puback(Ack::new(id))),
            (Qos::ExactlyOnce, Some(id)) => Some(Packet::Pubrec(Ack::new(id))),
            _ => None,
        },
        Packet::Pubrel(ack) => Some(Packet::Pubcomp(Ack::new(ack.packet_id))),
        _ => None,
    };
    if let Some(answer) = answer {
        peer.send(answer).await;
    }
}

/// What it means that the server writes bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nonsense {
    /// Another rule is broken: this question was not reached.
    Undecided,
    /// That is what the test is about.
    Fails,
}

/// Receives and acknowledges messages until `enough` is satisfied or the time has come; what came is judged by the
/// caller. `inconclusive` if the connection ends or the server writes nonsense: that is not what was asked.
pub(crate) async fn collect_by(
    peer: &mut Peer,
    by: Duration,
    enough: impl Fn(&[Delivery]) -> bool,
) -> Result<Vec<Delivery>, Halt> {
    collect_with(peer, by, enough, Nonsense::Undecided).await
}

/// As `collect`, where a message that is no packet is what must not come: `fail`.
pub(crate) async fn collect_strictly(
    peer: &mut Peer,
    enough: impl Fn(&[Delivery]) -> bool,
) -> Result<Vec<Delivery>, Halt> {
    let by = peer.stage().now() + peer.stage().patience();
    collect_with(peer, by, enough, Nonsense::Fails).await
}

/// Up to a message with this payload, where a message that is no packet is what must not come: `fail`.
pub(crate) async fn up_to_marker(peer: &mut Peer, payload: &[u8]) -> Result<Vec<Delivery>, Halt> {
    collect_strictly(peer, |seen| seen.last().is_some_and(|last| last.payload() == payload)).await
}

fn no_packet(peer: &Peer, what: &Seen<String>) -> Halt {
    Halt::inconclusive(format!("{} received what is no packet: {}", peer.actor(), **what)).at(what)
}

fn ended(peer: &Peer, end: &Seen<End>) -> Halt {
    Halt::inconclusive(format!("the connection of {} ended", peer.actor())).at(end)
}

async fn collect_with(
    peer: &mut Peer,
    by: Duration,
    enough: impl Fn(&[Delivery]) -> bool,
    nonsense: Nonsense,
) -> Result<Vec<Delivery>, Halt> {
    let mut messages = Vec::new();
    while !enough(&messages) {
        match peer.next_by(by).await {
            Next::Packet(packet) => {
                acknowledge(peer, &packet).await;
                messages.extend(as_delivery(packet));
            }
            Next::Malformed(what) if nonsense == Nonsense::Fails => {
                return Err(Halt { verdict: Verdict::Fail, ..no_packet(peer, &what) });
            }
            Next::Malformed(what) => return Err(no_packet(peer, &what)),
            Next::End(end) => return Err(ended(peer, &end)),
            Next::Nothing => break,
        }
    }
    Ok(messages)
}

/// As `collect_by`, in the stage's patience.
pub(crate) async fn collect(peer: &mut Peer, enough: impl Fn(&[Delivery]) -> bool) -> Result<Vec<Delivery>, Halt> {
    let by = peer.stage().now() + peer.stage().patience();
    collect_by(peer, by, enough).await
}

/// What comes before the answer to a PINGREQ, acknowledged by nobody. Waits for at least one message.
pub(crate) async fn unacknowledged(peer: &mut Peer, wanted: usize) -> Result<Vec<Delivery>, Halt> {
    let by = peer.stage().now() + peer.stage().patience();
    let mut messages = Vec::new();
    let mut fenced = false;
    while messages.len() < wanted {
        match peer.next_by(by).await {
            Next::Packet(packet) => {
                if *packet == Packet::Pingresp {
                    return Ok(messages);
                }
                messages.extend(as_delivery(packet));
                if !fenced {
                    peer.send(Packet::Pingreq).await;
                    fenced = true;
                }
            }
            Next::Malformed(what) => return Err(Halt::fail(format!("no packet came: {}", *what)).at(&what)),
            Next::End(end) => return Err(Halt::fail("the connection ended").at(&end)),
            Next::Nothing => break,
        }
    }
    Ok(messages)
}

/// Waits for a message, and has what comes with it up to a fence, acknowledged by nobody. `inconclusive` if none comes.
pub(crate) async fn burst(peer: &mut Peer) -> Result<Vec<Delivery>, Halt> {
    let by = peer.stage().now() + peer.stage().patience();
    loop {
        match peer.next_by(by).await {
            Next::Packet(packet) => {
                let Some(first) = as_delivery(packet) else { continue };
                let mut messages = vec![first];
                messages.extend(fenced(peer).await.prepared()?);
                return Ok(messages);
            }
            Next::Malformed(what) => return Err(no_packet(peer, &what)),
            Next::End(end) => return Err(ended(peer, &end)),
            Next::Nothing => return Err(Halt::inconclusive(format!("{} received no message", peer.actor()))),
        }
    }
}

/// The messages that come before the answer to a PINGREQ, acknowledged by nobody.
pub(crate) async fn fenced(peer: &mut Peer) -> Result<Vec<Delivery>, Halt> {
    let (before, _) = peer.fence().await?;
    Ok(before.into_iter().filter_map(as_delivery).collect())
}

/// The messages that come before the answer to a PINGREQ, acknowledged; and that answer.
pub(crate) async fn rest(peer: &mut Peer) -> Result<(Vec<Delivery>, Seen<Packet>), Halt> {
    peer.send(Packet::Pingreq).await;
    let by = peer.stage().now() + peer.stage().patience();
    let mut messages = Vec::new();
    loop {
        match peer.next_by(by).await {
            Next::Packet(packet) if matches!(*packet, Packet::Pingresp) => return Ok((messages, packet)),
            Next::Packet(packet) => {
                acknowledge(peer, &packet).await;
                messages.extend(as_delivery(packet));
            }
            Next::Malformed(what) => return Err(no_packet(peer, &what)),
            Next::End(end) => return Err(ended(peer, &end)),
            Next::Nothing => return Err(Halt::inconclusive(format!("{} got no PINGRESP", peer.actor()))),
        }
    }
}

/// The next message with this payload, and what came before it. `fail` if it does not come in the stage's patience.
pub(crate) async fn message(peer: &mut Peer, payload: &[u8]) -> Result<Delivery, Halt> {
    let by = peer.stage().now() + peer.stage().patience();
    message_by(peer, payload, by).await
}

/// As `message`, by this time of the stage.
pub(crate) async fn message_by(peer: &mut Peer, payload: &[u8], by: Duration) -> Result<Delivery, Halt> {
    let mut messages = collect_by(peer, by, |seen| seen.last().is_some_and(|last| last.payload() == payload)).await?;
    match messages.pop() {
        Some(last) if last.payload() == payload => Ok(last),
        other => {
            let came = if other.is_some() { "others came" } else { "none came" };
            let wanted = in_short(payload);
            Err(Halt::fail(format!("expected {} to receive the message \"{wanted}\", but {came}", peer.actor())))
        }
    }
}

/// Nothing but messages with this payload may have come.
pub(crate) fn no_other<'a>(messages: impl IntoIterator<Item = &'a Delivery>, payload: &[u8]) -> Result<(), Halt> {
    match messages.into_iter().find(|message| message.payload() != payload) {
        None => Ok(()),
        Some(other) => Err(Halt::fail(format!("a message came that must not: {}", shown(other))).at(other)),
    }
}

/// Whether a message came with the properties that it was given. Their kinds may stand in any order, and a server may add User
/// Properties of its own.
pub(crate) fn carries(came: &Properties, given: &Properties) -> bool {
    let counts = |one: &&Property| one.id() != PropertyId::UserProperty || given.iter().any(|other| other == *one);
    // The order of User Properties among themselves is kept.
    let by_kind = |properties: &Properties| {
        let mut properties: Vec<Property> = properties.iter().filter(counts).cloned().collect();
        properties.sort_by_key(Property::id);
        properties
    };
    by_kind(came) == by_kind(given)
}

/// The beginning of a payload.
fn in_short(payload: &[u8]) -> String {
    const LETTERS: usize = 40;
    let text = String::from_utf8_lossy(payload);
    match text.char_indices().nth(LETTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

/// A message in few words.
pub(crate) fn shown(message: &Publish) -> String {
    let payload = in_short(message.payload());
    format!(
        "{} \"{payload}\" (QoS {}{}{})",
        message.topic(),
        message.qos,
        if message.retain { ", RETAIN" } else { "" },
        if message.dup { ", DUP" } else { "" },
    )
}

/// A PUBLISH, and no other packet.
pub(crate) fn as_delivery(packet: Seen<Packet>) -> Option<Delivery> {
    let (entry, at) = (packet.entry(), packet.at());
    match packet.into_inner() {
        Packet::Publish(publish) => Some(Delivery { publish, entry, at }),
        _ => None,
    }
}

/// Runs a test, and then removes what it left: the sessions of these actors, and what is retained on these topics.
pub(crate) async fn tidied(
    stage: &Stage,
    sessions: &[&str],
    topics: &[&str],
    play: impl Future<Output = Outcome>,
) -> Outcome {
    let outcome = play.await;
    for actor in sessions {
        if let Ok(mut peer) = Peer::connected(stage, actor).await {
            peer.disconnect().await;
        }
    }
    if !topics.is_empty()
        && let Ok(mut sweeper) = Peer::connected(stage, "sweeper").await
    {
        for topic in topics {
            // What could not be removed is no verdict on the rule.
            let _ = sweeper.published(topic, Qos::AtLeastOnce, b"", true).await;
        }
        sweeper.disconnect().await;
    }
    outcome
}

/// Codes that turn a client away for what it may do, not for what it said.
pub(crate) fn is_policy(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::UnspecifiedError
            | ReasonCode::ImplementationSpecificError
            | ReasonCode::NotAuthorized
            | ReasonCode::ServerBusy
            | ReasonCode::QuotaExceeded
            | ReasonCode::MessageRateTooHigh
            | ReasonCode::ConnectionRateExceeded
            | ReasonCode::AdministrativeAction
    )
}
