//! 3.3.2.3.4 Topic Alias: what it stands for, on which connection and in which direction.

use std::collections::BTreeMap;

use squall_codec::{property::Property, qos::Qos, reason::ReasonCode};
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::conversation as liar,
    test::{Test, test},
    tests::{
        asking::lasting,
        bytes::publish,
        judge::{Cases, Unnoticed, closes, farewell, offender},
        offer,
        sharing::{numbered, publishes},
        watch::{Delivery, burst, collect, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        an_alias_that_stands_for_nothing_closes_the_connection,
        "A message has no topic, and an alias that was not set, or none; the server hangs up.",
        ["5.0/X-ALIAS-UNKNOWN"],
        liar::acknowledges_messages_without_a_topic
    ),
    test!(
        aliases_are_not_forwarded,
        "A publisher uses an alias; a subscriber that takes none gets the whole topic and no alias.",
        ["5.0/X-ALIAS-SCOPE"],
        liar::forwards_aliases
    ),
    test!(
        a_message_that_is_sent_again_has_its_topic,
        "Messages by alias stay unacknowledged over reconnects; they come again with a topic that the client knows.",
        ["5.0/X-ALIAS-RESEND-FULL-TOPIC"],
        liar::sends_again_by_an_old_alias
    ),
];

async fn an_alias_that_stands_for_nothing_closes_the_connection(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::ProtocolError, ReasonCode::TopicAliasInvalid, ReasonCode::MalformedPacket];
    let mut cases = Cases::new();
    for (offence, content) in [("an alias that was not set", &[0x23, 0, 1][..]), ("no topic and no alias", &[])] {
        let mut peer = offender(stage).await?;
        offer::qos(&peer, Qos::AtLeastOnce)?;
        if !content.is_empty() && offer::topic_aliases(&peer).is_err() {
            continue;
        }
        let bytes = publish(stage.version(), 0x32, b"", Some(9), content, b"x");
        cases.add(offence, closes(&mut peer, offence, &bytes, &codes, Unnoticed::FailsIfAnswered).await);
    }
    cases.finish()
}

/// A message by alias, with its topic or without.
fn by_alias(stage: &Stage, topic: &str, alias: u16, payload: &str) -> Vec<u8> {
    let [high, low] = alias.to_be_bytes();
    publish(stage.version(), 0x30, topic.as_bytes(), None, &[0x23, high, low], payload.as_bytes())
}

/// What each message is about: by its topic, or by an alias that was set on this connection.
fn topics(copies: &[Delivery], maximum: u16) -> Result<Vec<String>, Halt> {
    let mut known: BTreeMap<u16, String> = BTreeMap::new();
    let mut topics = Vec::new();
    for copy in copies {
        match copy.topic_alias {
            Some(alias) if alias == 0 || alias > maximum => {
                return Err(Halt::fail(format!("the alias {alias} came, Topic Alias Maximum is {maximum}")).at(copy));
            }
            Some(alias) if !copy.topic().is_empty() => drop(known.insert(alias, copy.topic().to_owned())),
            _ => {}
        }
        let by_alias = copy.topic_alias.and_then(|alias| known.get(&alias).cloned());
        match Some(copy.topic().to_owned()).filter(|topic| !topic.is_empty()).or(by_alias) {
            Some(topic) => topics.push(topic),
            None => return Err(Halt::fail("a message came with no topic and no alias that was set").at(copy)),
        }
    }
    Ok(topics)
}

async fn aliases_are_not_forwarded(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for maximum in [None, Some(0), Some(5)] {
        cases.add(format!("Topic Alias Maximum {maximum:?}"), forwarded(stage, maximum).await);
    }
    cases.finish()
}

async fn forwarded(stage: &Stage, maximum: Option<u16>) -> Outcome {
    let (topic, own) = (stage.topic(&stage.fresh("aliased")), stage.topic("own"));
    let actor = stage.fresh("reader");
    let mut connect = Peer::hello(stage, &actor);
    if let Some(maximum) = maximum {
        connect.properties.push(Property::TopicAliasMaximum(maximum));
    }
    let (mut reader, _) = Peer::connect(stage, &actor, connect).await.prepared()?;
    offer::topic_aliases(&reader)?;
    reader.subscribed(&topic, Qos::AtMostOnce).await?;
    // The same alias in the other direction stands for something else.
    reader.send_bytes(&by_alias(stage, &own, 1, "own")).await;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    for (named, payload) in [(topic.as_str(), "set"), ("", "used"), ("", "used again")] {
        publisher.send_bytes(&by_alias(stage, named, 1, payload)).await;
    }
    publisher.fence().await.prepared()?;
    let copies = collect(&mut reader, |seen| seen.len() == 3).await?;
    if copies.len() < 3 {
        return Err(Halt::inconclusive(format!("only {} of three messages came", copies.len())));
    }
    if let Some(other) = topics(&copies, maximum.unwrap_or(0))?.iter().find(|came| **came != topic) {
        return Err(Halt::fail(format!("expected the topic {topic}, got {other}")).at(&copies[0]));
    }
    for peer in [&mut reader, &mut publisher] {
        peer.disconnect().await;
        farewell(peer).await;
    }
    Ok(Evidence::of(&copies[0]).and_all(&copies[1..]))
}

async fn a_message_that_is_sent_again_has_its_topic(stage: &Stage) -> Outcome {
    const MESSAGES: usize = 3;
    let topic = stage.topic("again");
    tidied(stage, &["alice"], &[], async {
        let with = |maximum| {
            let mut connect = lasting(stage, "alice");
            connect.properties.push(Property::TopicAliasMaximum(maximum));
            connect
        };
        let (mut alice, _) = Peer::connect(stage, "alice", with(5)).await.prepared()?;
        offer::session_expiry(&alice, 300)?;
        alice.subscribed(&topic, Qos::AtLeastOnce).await?;
        let mut publisher = Peer::connected(stage, "bob").await?;
        publishes(&mut publisher, &topic, &numbered(MESSAGES)).await?;
        let mut first = burst(&mut alice).await?;
        while first.len() < MESSAGES {
            match burst(&mut alice).await {
                Ok(more) => first.extend(more),
                // It keeps fewer in flight: those are the question.
                Err(_) if alice.is_open() => break,
                Err(halt) => return Err(halt),
            }
        }
        topics(&first, 5).prepared()?;
        let mut evidence = Evidence::of(&first[0]);
        for maximum in [5, 0] {
            alice.close(End::Fin).await;
            farewell(&mut alice).await;
            let (peer, connack) = Peer::connect(stage, "alice", with(maximum)).await.prepared()?;
            alice = peer;
            if !connack.session_present {
                return Err(Halt::inconclusive("the server did not keep the session (Session Present 0)").at(&connack));
            }
            let again = burst(&mut alice).await?;
            if let Some(other) = topics(&again, maximum)?.iter().find(|came| **came != topic) {
                return Err(Halt::fail(format!("expected the topic {topic}, got {other}")).at(&again[0]));
            }
            evidence = evidence.and_all(&again);
        }
        alice.disconnect().await;
        Ok(evidence)
    })
    .await
}
