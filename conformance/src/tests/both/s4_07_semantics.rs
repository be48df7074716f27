//! 4.7.1.2, 4.7.1.3, 4.7.2 and 4.7.3: what wildcards match, topics that begin with `$`, and which names are names.

use squall_codec::{
    packet::{Packet, Publish, Suback},
    qos::Qos,
    reason::{ReasonCode, Side},
    version::Version,
};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::Stage,
    transcript::{EntryId, What},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::is_v5,
    bytes::{self, RawConnect},
    judge::{At, Cases, Served, answer_or_end, farewell, offender, served},
    offer,
    watch::{self, Delivery, filter, message, no_other, rest, shown, up_to_marker},
};

/// The level that only topics of this test have.
fn own_level(stage: &Stage) -> String {
    let topic = stage.topic("");
    topic.rsplit('/').nth(1).unwrap_or_default().to_owned()
}

/// What a subscriber to one filter must get, and what it must not.
struct Matching<'a> {
    filter: String,
    matches: &'a [String],
    others: &'a [String],
}

/// Publishes all names and then a marker: exactly those that match must come.
async fn matching(stage: &Stage, asked: Matching<'_>) -> Outcome {
    let marker = stage.topic("the/end");
    let mut peer = Peer::connected(stage, &stage.fresh("subscriber")).await?;
    if filter(&asked.filter).has_wildcard() {
        offer::wildcards(&peer)?;
    }
    peer.subscribed(&asked.filter, Qos::AtMostOnce).await?;
    peer.subscribed(&marker, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, &stage.fresh("publisher")).await?;
    for topic in asked.matches.iter().chain(asked.others) {
        publisher.published(topic, Qos::AtMostOnce, topic.as_bytes(), false).await?;
    }
    publisher.published(&marker, Qos::AtMostOnce, b"the end", false).await?;
    let received =
        watch::collect(&mut peer, |seen| seen.last().is_some_and(|last| last.payload() == b"the end")).await?;
    let Some(end) = received.last().filter(|last| last.payload() == b"the end") else {
        return Err(Halt::inconclusive("the marker message did not come"));
    };
    for topic in asked.matches {
        if !received.iter().any(|copy| copy.payload() == topic.as_bytes()) {
            let reason = format!("expected '{}' to match '{topic}', but its message did not come", asked.filter);
            return Err(Halt::fail(reason).at(end));
        }
    }
    for copy in &received {
        if asked.others.iter().any(|other| copy.payload() == other.as_bytes()) {
            let reason = format!("expected '{}' not to match {}", asked.filter, shown(copy));
            return Err(Halt::fail(reason).at(copy));
        }
    }
    Ok(Evidence::of(end).and_all(&received))
}

fn below(stage: &Stage, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| stage.topic(name)).collect()
}

pub(crate) async fn a_multi_level_wildcard_matches_its_parent(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    let matches = below(stage, &["p/a", "p/a/b", "p/a/b/c", "p/a/"]);
    let others = below(stage, &["p/ab", "p", "p/b/a"]);
    let asked = Matching { filter: stage.topic("p/a/#"), matches: &matches, others: &others };
    cases.add("a/#", matching(stage, asked).await);
    // Behind a single-level wildcard the parent counts as well.
    let matches = below(stage, &["q/a", "q/b", "q/a/b"]);
    let others = below(stage, &["q", "r/a"]);
    let asked = Matching { filter: stage.topic("q/+/#"), matches: &matches, others: &others };
    cases.add("+/#", matching(stage, asked).await);
    cases.finish()
}

pub(crate) async fn a_single_level_wildcard_matches_one_level(stage: &Stage) -> Outcome {
    let own = own_level(stage);
    let mut cases = Cases::new();
    let matches = below(stage, &["s/a/", "s/a/b"]);
    let others = below(stage, &["s/a", "s/a/b/c", "s/ab"]);
    let asked = Matching { filter: stage.topic("s/a/+"), matches: &matches, others: &others };
    cases.add("a/+", matching(stage, asked).await);
    let matches = below(stage, &["m/x/b", "m//b"]);
    let others = below(stage, &["m/b", "m/x/y/b"]);
    let asked = Matching { filter: stage.topic("m/+/b"), matches: &matches, others: &others };
    cases.add("+/b", matching(stage, asked).await);
    // A topic that begins with '/' has an empty first level.
    let (two_levels, deeper) = (vec![format!("/{own}")], vec![own.clone(), format!("/{own}/x")]);
    for wild in ["+/+", "/+"] {
        let others: Vec<_> = deeper.clone();
        let asked = Matching { filter: wild.to_owned(), matches: &two_levels, others: &others };
        cases.add(wild, matching(stage, asked).await);
    }
    let (one_level, deeper) = (vec![own.clone()], vec![format!("/{own}"), format!("{own}/x")]);
    let asked = Matching { filter: "+".to_owned(), matches: &one_level, others: &deeper };
    cases.add("+", matching(stage, asked).await);
    cases.finish()
}

/// Each name has a subscriber of its own; each message reaches exactly that of its name.
pub(crate) async fn each_name_is_a_topic_of_its_own(stage: &Stage) -> Outcome {
    let own = own_level(stage);
    let names = [
        stage.topic("a b"),
        stage.topic("a  b"),
        stage.topic("A b"),
        stage.topic("a b/"),
        stage.topic("a b//"),
        // Other protocols part their names with dots, and have other wildcards.
        stage.topic("a/b"),
        stage.topic("a.b"),
        stage.topic("a*b"),
        stage.topic("a>"),
        own.clone(),
        format!("/{own}"),
        format!("{own}/"),
        format!("/{own}/"),
        format!("//{own}"),
    ];
    let marker = stage.topic("the/end");
    let mut peers = Vec::new();
    for (number, topic) in names.iter().enumerate() {
        let mut peer = Peer::connected(stage, &format!("of{number}")).await?;
        peer.subscribed(topic, Qos::AtMostOnce).await?;
        peer.subscribed(&marker, Qos::AtMostOnce).await?;
        peers.push(peer);
    }
    let mut publisher = Peer::connected(stage, &stage.fresh("publisher")).await?;
    for topic in &names {
        publisher.published(topic, Qos::AtMostOnce, topic.as_bytes(), false).await?;
    }
    publisher.published(&marker, Qos::AtMostOnce, b"the end", false).await?;
    let mut evidence: Option<Evidence> = None;
    for (topic, peer) in names.iter().zip(&mut peers) {
        let received = up_to_marker(peer, b"the end").await?;
        let Some(end) = received.last().filter(|last| last.payload() == b"the end") else {
            return Err(Halt::inconclusive("the marker message did not come"));
        };
        let Some(copy) = received.iter().find(|copy| copy.payload() == topic.as_bytes()) else {
            return Err(Halt::fail(format!("the message on '{topic}' did not come to its subscriber")).at(end));
        };
        if copy.topic() != topic {
            let reason = format!("a message on '{topic}' came to its subscriber on '{}'", copy.topic());
            return Err(Halt::fail(reason).at(copy));
        }
        let foreign = |other: &&Delivery| other.payload() != topic.as_bytes() && other.payload() != b"the end";
        if let Some(other) = received.iter().find(foreign) {
            return Err(Halt::fail(format!("a subscriber to '{topic}' got {}", shown(other))).at(other));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |evidence| evidence.and(copy)).and(end));
    }
    let evidence = evidence.ok_or_else(|| Halt::inconclusive("nothing was published"))?;
    Ok(evidence.join(nothing_but_slashes(stage).await?))
}

/// `/` and `//` alone: everybody may use them, so that the messages are known by their payload.
async fn nothing_but_slashes(stage: &Stage) -> Outcome {
    let mut peer = Peer::connected(stage, "slashes").await?;
    peer.subscribed("/", Qos::AtMostOnce).await?;
    let marker = stage.topic("the/end");
    peer.subscribed(&marker, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, &stage.fresh("publisher")).await?;
    for topic in ["/", "//"] {
        let payload = format!("{} on {topic}", stage.topic(""));
        publisher.published(topic, Qos::AtMostOnce, payload.as_bytes(), false).await?;
    }
    publisher.published(&marker, Qos::AtMostOnce, b"the end", false).await?;
    let end = message(&mut peer, b"the end").await.prepared()?;
    let own = received_by(stage, "slashes")
        .into_iter()
        .filter(|(_, copy)| copy.payload().starts_with(stage.topic("").as_bytes()));
    let own: Vec<_> = own.collect();
    match &own[..] {
        [] => Err(Halt::fail("the message on '/' did not come to its subscriber").at(&end)),
        [(at, copy)] if copy.topic() == "/" => Ok(Evidence::of(at).and(&end)),
        [.., (at, copy)] => Err(Halt::fail(format!("a subscriber to '/' got {}", shown(copy))).at(at)),
    }
}

/// Every PUBLISH that an actor received, also those that a peer takes for somebody else's.
fn received_by(stage: &Stage, actor: &str) -> Vec<(At, Publish)> {
    let entries = stage.transcript().entries().into_iter().enumerate();
    let publishes = entries.filter_map(|(number, entry)| match entry.what {
        What::Received { bytes, .. } if &*entry.actor == actor => {
            match Packet::decode(stage.version(), Side::Server, bytes) {
                Ok(Packet::Publish(publish)) => Some((At(EntryId(number)), publish)),
                _ => None,
            }
        }
        _ => None,
    });
    publishes.collect()
}

/// How a server took a topic that is deeper or longer than others.
enum Taken {
    Delivered(Evidence),
    Refused(Evidence),
}

/// Subscribes to a topic and publishes on it. Both may be refused, by a code or by the end of the connection; what is
/// taken must arrive as it is.
async fn tried(stage: &Stage, topic: &str, what: &str) -> Result<Taken, Halt> {
    let version = stage.version();
    let mut peer = offender(stage).await?;
    let qos = Qos::AtLeastOnce.min(offer::highest_qos(&peer));
    let subscribe = bytes::subscribe(version, 0x82, 7, &[], &[(topic.as_bytes(), 0)]);
    if subscribe.len() > offer::packet_size(&peer) {
        return Err(Halt::unsupported("the server takes no packet of that size"));
    }
    let sent = peer.send_bytes(&subscribe).await;
    match answer_or_end(&mut peer, |packet| matches!(packet, Packet::Suback(_))).await {
        Next::Packet(packet) => {
            if matches!(&*packet, Packet::Suback(suback) if suback.reasons.iter().any(|reason| reason.is_failure())) {
                return Ok(Taken::Refused(Evidence::of(&packet)));
            }
        }
        Next::End(end) => return Ok(Taken::Refused(Evidence::of(&end))),
        _ => return Err(Halt::fail(format!("a SUBSCRIBE to {what} was neither answered nor refused")).at(&sent)),
    }
    let mut publisher = offender(stage).await?;
    let (first, packet_id) = if qos == Qos::AtMostOnce { (0x30, None) } else { (0x32, Some(9)) };
    let sent = publisher.send_bytes(&bytes::publish(version, first, topic.as_bytes(), packet_id, &[], b"deep")).await;
    if packet_id.is_none() {
        publisher.send(Packet::Pingreq).await;
    }
    match answer_or_end(&mut publisher, |packet| matches!(packet, Packet::Puback(_) | Packet::Pingresp)).await {
        Next::Packet(packet) if matches!(&*packet, Packet::Puback(ack) if ack.reason.is_failure()) => {
            return Ok(Taken::Refused(Evidence::of(&packet)));
        }
        Next::Packet(_) => {}
        Next::End(end) => return Ok(Taken::Refused(Evidence::of(&end))),
        _ => return Err(Halt::fail(format!("a PUBLISH on {what} was neither answered nor refused")).at(&sent)),
    }
    let copy = message(&mut peer, b"deep").await.map_err(|halt| Halt {
        reason: format!("a message on {what} was taken and not delivered: {}", halt.reason),
        ..halt
    })?;
    if copy.topic() != topic {
        let reason = format!("a message on {what} came on another topic, of {} bytes", copy.topic().len());
        return Err(Halt::fail(reason).at(&copy));
    }
    Ok(Taken::Delivered(Evidence::of(&copy)))
}

/// A topic of the test with so many levels.
fn deep(stage: &Stage, levels: usize) -> String {
    stage.topic(&vec!["d"; levels - 2].join("/"))
}

/// A hundred levels must work. What lies beyond may be refused: servers bound it for safety.
pub(crate) async fn a_hundred_levels_are_not_too_many(stage: &Stage) -> Outcome {
    let mut bystander = Peer::connected(stage, "bystander").await?;
    // A server that takes no message of this QoS from anybody does not mind the levels.
    let qos = Qos::AtLeastOnce.min(offer::highest_qos(&bystander));
    bystander.published(&stage.topic("shallow"), qos, b"shallow", false).await?;
    let mut evidence = match tried(stage, &deep(stage, 100), "a topic of 100 levels").await? {
        Taken::Delivered(evidence) => evidence,
        Taken::Refused(evidence) => {
            let at = At(evidence.entries()[0]);
            return Err(Halt::fail("a topic of 100 levels was refused").at(&at));
        }
    };
    for levels in [200, 1000] {
        let what = format!("a topic of {levels} levels");
        evidence = evidence.join(match tried(stage, &deep(stage, levels), &what).await? {
            Taken::Delivered(seen) | Taken::Refused(seen) => seen,
        });
    }
    // As many empty levels as a name can hold.
    let slashes = stage.topic(&"/".repeat(32_767));
    match tried(stage, &slashes, "a topic of 32,767 empty levels").await {
        Err(halt) if halt.verdict == squall_scenarios::verdict::Verdict::Unsupported => {}
        other => {
            evidence = evidence.join(match other? {
                Taken::Delivered(seen) | Taken::Refused(seen) => seen,
            });
        }
    }
    // Whatever became of them: who was there before is served.
    let (_, pong) = bystander.pinged().await.map_err(|halt| Halt {
        reason: format!("after topics of very many levels another client was not served: {}", halt.reason),
        ..halt
    })?;
    Ok(evidence.and(&pong))
}

/// The longest name that can be written: taken as it is, or refused.
pub(crate) async fn the_longest_topic_is_taken_or_refused(stage: &Stage) -> Outcome {
    let root = stage.topic("");
    let topic = format!("{root}{}", "x".repeat(usize::from(u16::MAX) - root.len()));
    let evidence = match tried(stage, &topic, "a topic of 65,535 bytes").await? {
        Taken::Delivered(seen) | Taken::Refused(seen) => seen,
    };
    // Whatever became of it: others are served.
    let mut next = Peer::connected(stage, "next").await?;
    let (_, pong) = next.pinged().await?;
    Ok(evidence.and(&pong))
}

/// A connection ends by an error that no server overlooks: a PUBLISH with QoS 3.
async fn end_by_error(stage: &Stage, peer: &mut Peer) {
    let bytes = bytes::publish(stage.version(), 0x36, stage.topic("error").as_bytes(), Some(1), &[], b"");
    peer.send_bytes(&bytes).await;
    farewell(peer).await;
}

/// Wills on topics with wildcards: turned away with their CONNECT, or never published.
pub(crate) async fn a_will_on_a_wildcard_is_never_published(stage: &Stage) -> Outcome {
    let codes = [ReasonCode::TopicNameInvalid, ReasonCode::MalformedPacket, ReasonCode::ProtocolError];
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::wildcards(&watcher)?;
    watcher.subscribed(&stage.topic("wild/#"), Qos::AtMostOnce).await?;
    let mut cases = Cases::new();
    for below in ["wild/#", "wild/+"] {
        let connect = RawConnect::new(stage, "offender").will(&[], stage.topic(below).as_bytes(), b"wild");
        let mut peer = Peer::open(stage, "offender").await?;
        let sent = peer.send_bytes(&connect.bytes()).await;
        let offence = format!("a will on '{below}'");
        let outcome = match peer.next().await {
            Next::Packet(packet) if matches!(&*packet, Packet::Connack(connack) if !connack.reason.is_failure()) => {
                end_by_error(stage, &mut peer).await;
                Ok(Evidence::of(&packet).warn(format!("{offence} was accepted")))
            }
            Next::Packet(packet) => match &*packet {
                Packet::Connack(connack) if is_v5(stage) && !codes.contains(&connack.reason) => {
                    Ok(Evidence::of(&packet).warn(format!("{offence} was refused with {}", connack.reason)))
                }
                _ => Ok(Evidence::of(&packet)),
            },
            Next::End(end) => Ok(Evidence::of(&end)),
            Next::Malformed(what) => Ok(Evidence::of(&what)),
            Next::Nothing => Ok(Evidence::of(&sent).warn(format!("{offence} was neither accepted nor refused"))),
        };
        cases.add(offence, outcome);
    }
    // A will in order, published in the same way: what comes before it is all that comes.
    let will = watch::will_taken(&watcher, &stage.topic("wild/control"), b"control");
    let connect = watch::with_will(stage, "control", will);
    let (mut control, _) = Peer::connect(stage, "control", connect).await.prepared()?;
    end_by_error(stage, &mut control).await;
    let received = up_to_marker(&mut watcher, b"control").await?;
    no_other(&received, b"control")?;
    let end = received.last().ok_or_else(|| Halt::inconclusive("the will of the control client did not come"))?;
    cases.finish().map(|evidence| evidence.and(end))
}

/// Control characters and noncharacters in a topic: the connection may end, the message may be refused, and it may be
/// delivered as it is.
pub(crate) async fn control_characters_are_refused_or_kept(stage: &Stage) -> Outcome {
    let version = stage.version();
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::wildcards(&watcher)?;
    offer::qos(&watcher, Qos::AtLeastOnce)?;
    watcher.subscribed(&stage.topic("odd/#"), Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let mut cases = Cases::new();
    for odd in ['\u{1}', '\u{85}', '\u{FFFF}', '\u{1FFFE}'] {
        let what = format!("U+{:04X}", u32::from(odd));
        let topic = stage.topic(&format!("odd/a{odd}b"));
        let mut peer = offender(stage).await?;
        let sent =
            peer.send_bytes(&bytes::publish(version, 0x32, topic.as_bytes(), Some(9), &[], what.as_bytes())).await;
        let answer = answer_or_end(&mut peer, |packet| matches!(packet, Packet::Puback(_))).await;
        // Whatever was delivered came before this.
        publisher.published(&stage.topic("odd/marker"), Qos::AtLeastOnce, b"marker", false).await?;
        let mut received =
            watch::collect(&mut watcher, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
        let marker = received.pop().ok_or_else(|| Halt::inconclusive("the marker did not come"))?;
        let outcome = match (received.iter().find(|copy| copy.payload() == what.as_bytes()), answer) {
            (Some(copy), _) if copy.topic() == topic => Ok(Evidence::of(copy)),
            (Some(copy), _) => {
                Err(Halt::fail(format!("expected the topic {topic:?}, got {:?}", copy.topic())).at(copy))
            }
            (None, Next::Packet(packet)) => match &*packet {
                Packet::Puback(ack) if ack.reason.is_failure() => Ok(Evidence::of(&packet).and(&marker)),
                _ => Ok(Evidence::of(&packet).and(&marker).warn(format!("{what}: acknowledged and never delivered"))),
            },
            (None, Next::End(end)) => Ok(Evidence::of(&end).and(&marker)),
            (None, _) => Err(Halt::inconclusive(format!("{what}: neither acknowledged nor refused")).at(&sent)),
        };
        cases.add(what, outcome);
    }
    cases.finish()
}

/// A client publishes below `$SYS`: no other client should get it.
pub(crate) async fn clients_do_not_talk_below_dollar_sys(stage: &Stage) -> Outcome {
    let below_sys = |below: &str| format!("$SYS/{}", stage.topic(below));
    let mut watcher = Peer::connected(stage, "watcher").await?;
    offer::wildcards(&watcher)?;
    let marker = stage.topic("marker");
    watcher.subscribed(&marker, Qos::AtMostOnce).await?;
    let subscribe = squall_codec::packet::Subscribe::new(
        watcher.fresh_id(),
        vec![squall_codec::packet::Subscription::new(filter(&below_sys("#")), Qos::AtMostOnce)],
    );
    watcher.send(Packet::Subscribe(subscribe)).await;
    // Whether it is granted is the server's to say.
    watcher.expect::<Suback>().await.prepared()?;
    let mut peer = offender(stage).await?;
    let bytes = bytes::publish(stage.version(), 0x30, below_sys("x").as_bytes(), None, &[], b"between clients");
    peer.send_bytes(&bytes).await;
    let became = served(&mut peer).await;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&marker, Qos::AtMostOnce, b"marker", false).await?;
    let received =
        watch::collect(&mut watcher, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
    let Some(last) = received.last().filter(|last| last.payload() == b"marker") else {
        return Err(Halt::inconclusive("the marker message did not come"));
    };
    let evidence = Evidence::of(last);
    let evidence = match became {
        Served::Yes(at) | Served::Ended(at) => evidence.and(&at),
        Served::Neither => evidence,
    };
    Ok(match received.iter().find(|copy| copy.payload() == b"between clients") {
        Some(copy) => evidence.and(copy).warn(format!("a client's message below $SYS was delivered: {}", shown(copy))),
        None => evidence,
    })
}

/// How long a server that tells about itself may take: ten seconds between two tellings are common.
const TELLS_WITHIN: std::time::Duration = std::time::Duration::from_secs(12);

/// Filters that begin with `$SYS` get what the server tells of itself; `#` does not.
pub(crate) async fn dollar_sys_is_for_those_who_name_it(stage: &Stage) -> Outcome {
    let mut wild = Peer::connected(stage, "wild").await?;
    offer::wildcards(&wild)?;
    wild.subscribed("#", Qos::AtMostOnce).await?;
    let mut explicit = Peer::connected(stage, "explicit").await?;
    if let Err(halt) = explicit.subscribed("$SYS/#", Qos::AtMostOnce).await {
        return Err(Halt::unsupported(format!("$SYS/# is not granted: {}", halt.reason)));
    }
    let first = watch::collect_by(&mut explicit, stage.now() + TELLS_WITHIN, |seen| !seen.is_empty()).await?;
    let Some(first) = first.into_iter().next() else {
        return Err(Halt::unsupported("the server published nothing below $SYS within 12 s"));
    };
    if !first.topic().starts_with("$SYS") {
        return Err(Halt::fail(format!("$SYS/# does not match {}", shown(&first))).at(&first));
    }
    // The same with a wildcard in the place of its last level.
    let parent = first.topic().rsplit_once('/').map_or("$SYS", |(parent, _)| parent);
    let mut single = Peer::connected(stage, "single").await?;
    single.subscribed(&format!("{parent}/+"), Qos::AtMostOnce).await?;
    let by = stage.now() + TELLS_WITHIN;
    let again =
        watch::collect_by(&mut single, by, |seen| seen.iter().any(|copy| copy.topic() == first.topic())).await?;
    // What is published by a client shows that `#` works.
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&stage.topic("wild"), Qos::AtMostOnce, b"not of the server", false).await?;
    let seen_by_all = message(&mut wild, b"not of the server").await.prepared()?;
    rest(&mut wild).await.prepared()?;
    if let Some((at, copy)) = received_by(stage, "wild").iter().find(|(_, copy)| copy.topic().starts_with('$')) {
        return Err(Halt::fail(format!("'#' matched {}", shown(copy))).at(at));
    }
    let evidence = Evidence::of(&first).and(&seen_by_all);
    Ok(match again.iter().find(|copy| copy.topic() == first.topic()) {
        Some(copy) => evidence.and(copy),
        None => evidence.warn(format!("{parent}/+ got nothing on {} in 12 s", first.topic())),
    })
}

/// `$share/…` before 5.0: an ordinary filter, the shared meaning of 5.0, or a refusal; never a copy for each.
pub(crate) async fn dollar_share_is_no_filter_for_all(stage: &Stage) -> Outcome {
    let topic = stage.topic("shared");
    let shared = format!("$share/group/{topic}");
    let marker = stage.topic("marker");
    let mut members = Vec::new();
    let mut evidence: Option<Evidence> = None;
    for actor in ["one", "two"] {
        let mut peer = Peer::connected(stage, actor).await?;
        peer.subscribed(&marker, Qos::AtMostOnce).await?;
        peer.send_bytes(&bytes::subscribe(Version::V3_1_1, 0x82, 9, &[], &[(shared.as_bytes(), 0)])).await;
        let suback = peer.expect::<Suback>().await.prepared()?;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&suback), |evidence| evidence.and(&suback)));
        members.push(peer);
    }
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, Qos::AtMostOnce, b"to the group", false).await?;
    publisher.published(&marker, Qos::AtMostOnce, b"marker", false).await?;
    let mut copies = Vec::new();
    for member in &mut members {
        let received =
            watch::collect(member, |seen| seen.last().is_some_and(|last| last.payload() == b"marker")).await?;
        match received.last() {
            Some(last) if last.payload() == b"marker" => {}
            _ => return Err(Halt::inconclusive("the marker message did not come")),
        }
        copies.extend(received.into_iter().filter(|copy| copy.payload() == b"to the group"));
    }
    if let [_, second, ..] = &copies[..] {
        let reason =
            format!("{} copies came for two subscriptions to {shared}: neither shared nor ordinary", copies.len());
        return Err(Halt::fail(reason).at(second));
    }
    let evidence = evidence.ok_or_else(|| Halt::inconclusive("nobody subscribed"))?;
    Ok(evidence.and_all(&copies))
}
