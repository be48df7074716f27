//! 3.3.2.3.4 Topic Alias: what it stands for, on which connection and in which direction.

use std::collections::BTreeMap;

use squall_codec::{property::Property, qos::Qos, reason::ReasonCode};
use squall_scenarios::{
    peer::Peer,
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use super::s3_03_properties::not_handed_on;
use crate::{
    liars::{conversation as liar, faults, s3_03_publish},
    test::{Test, test},
    tests::{
        asking::{lasting, lasting_peer},
        bytes::publish,
        judge::{Cases, Unnoticed, closes, farewell, offender},
        offer,
        sharing::{numbered, publishes},
        watch::{Delivery, burst, collect, message, no_other, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        an_alias_ends_with_its_connection,
        "A client uses a Topic Alias of its former connection; nobody gets the message.",
        ["5.0/MQTT-3.3.2-7"],
        s3_03_publish::remembers_aliases
    ),
    test!(
        a_topic_alias_of_zero_is_not_handed_on,
        "A message has the Topic Alias 0; the server hangs up and nobody gets it.",
        ["5.0/MQTT-3.3.2-8"],
        faults::relays_the_alias_0
    ),
    test!(
        a_topic_alias_beyond_the_maximum_is_not_handed_on,
        "A message has a Topic Alias beyond what the server takes; it hangs up and nobody gets it.",
        ["5.0/MQTT-3.3.2-9"],
        faults::relays_large_aliases
    ),
    test!(
        every_alias_up_to_the_maximum_is_taken,
        "A client sets, uses and sets anew the least and the greatest Topic Alias; each message comes on its topic.",
        ["5.0/MQTT-3.3.2-12", "5.0/X-ALIAS-REMAP"],
        s3_03_publish::never_maps_an_alias_anew
    ),
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
        connect.push_property(Property::TopicAliasMaximum(maximum));
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
            connect.push_property(Property::TopicAliasMaximum(maximum));
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

async fn a_topic_alias_of_zero_is_not_handed_on(stage: &Stage) -> Outcome {
    let topic = stage.topic("alias");
    let bytes = publish(stage.version(), 0x30, topic.as_bytes(), None, &[0x23, 0, 0], b"bad");
    let codes = [ReasonCode::TopicAliasInvalid, ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    not_handed_on(stage, vec![("Topic Alias 0", bytes)], &topic, &codes).await
}

async fn a_topic_alias_beyond_the_maximum_is_not_handed_on(stage: &Stage) -> Outcome {
    let control = Peer::connected(stage, "control").await?;
    let maximum = control.connack().and_then(|connack| connack.properties.topic_alias_maximum()).unwrap_or(0);
    let Some(beyond) = maximum.checked_add(1) else {
        return Err(Halt::unsupported("the server takes every Topic Alias"));
    };
    let topic = stage.topic("alias");
    let [high, low] = beyond.to_be_bytes();
    let bytes = publish(stage.version(), 0x30, topic.as_bytes(), None, &[0x23, high, low], b"bad");
    let codes = [ReasonCode::TopicAliasInvalid, ReasonCode::ProtocolError];
    not_handed_on(stage, vec![("a Topic Alias beyond the maximum", bytes)], &topic, &codes).await
}

/// The least and the greatest alias that the server takes: set, used, and set anew.
async fn every_alias_up_to_the_maximum_is_taken(stage: &Stage) -> Outcome {
    let mut watcher = Peer::connected(stage, "watcher").await?;
    let mut peer = Peer::connected(stage, "aliased").await?;
    let maximum = offer::topic_aliases(&peer)?;
    let (one, two) = (stage.topic("one"), stage.topic("two"));
    for topic in [&one, &two] {
        watcher.subscribed(topic, Qos::AtMostOnce).await?;
    }
    let mut evidence: Option<Evidence> = None;
    for alias in [1, maximum] {
        for (topic, payload, wanted) in
            [(one.as_str(), "set", &one), ("", "used", &one), (two.as_str(), "set anew", &two), ("", "used anew", &two)]
        {
            peer.send_bytes(&by_alias(stage, topic, alias, payload)).await;
            let copy = message(&mut watcher, payload.as_bytes()).await?;
            if copy.topic() != wanted.as_str() {
                let reason = format!("alias {alias}, {payload}: expected the topic {wanted}, got {}", copy.topic());
                return Err(Halt::fail(reason).at(&copy));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))
}

/// An alias ends with its connection: on the next one it stands for nothing.
async fn an_alias_ends_with_its_connection(stage: &Stage) -> Outcome {
    let topic = stage.topic("aliased");
    tidied(stage, &["aliased"], &[], async {
        let mut watcher = Peer::connected(stage, "watcher").await?;
        watcher.subscribed(&topic, Qos::AtMostOnce).await?;
        let mut peer = lasting_peer(stage, "aliased").await?;
        offer::topic_aliases(&peer)?;
        peer.send_bytes(&by_alias(stage, &topic, 1, "set")).await;
        let set = message(&mut watcher, b"set").await.prepared()?;
        peer.close(End::Fin).await;
        farewell(&mut peer).await;
        let (mut peer, _) = Peer::connect(stage, "aliased", lasting(stage, "aliased")).await.prepared()?;
        let codes = [ReasonCode::ProtocolError, ReasonCode::TopicAliasInvalid];
        let offence = "an alias of a former connection";
        let closed =
            closes(&mut peer, offence, &by_alias(stage, "", 1, "carried over"), &codes, Unnoticed::Warns).await;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publisher.published(&topic, Qos::AtMostOnce, b"marker", false).await?;
        let received =
            collect(&mut watcher, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
        no_other(&received, b"marker")?;
        closed.map(|evidence| evidence.and(&set).and_all(&received))
    })
    .await
}
