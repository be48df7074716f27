//! 4.8.2 Shared Subscriptions: which filters are shares, and who gets a message.

use std::collections::BTreeMap;

use squall_codec::{
    packet::{Packet, Unsuback, Unsubscribe},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Peer, Seen},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::{
    liars::{documented, shared},
    test::{Test, test},
    tests::{
        bytes::subscribe,
        granting::{Grades, not_granted},
        judge::{Cases, offender},
        offer,
        sharing::{complete, gather, joins, joins_as, numbered, publishes, shared},
        watch::{Delivery, collect, filter, message, no_other, rest, shown, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        no_local_on_a_share_is_refused,
        "A SUBSCRIBE to a share has No Local 1; the server hangs up.",
        ["5.0/MQTT-3.8.3-4"],
        shared::shares_with_no_local
    ),
    test!(
        a_share_without_a_name_is_refused,
        "A SUBSCRIBE names a share of no characters; it is not granted.",
        ["5.0/MQTT-4.8.2-1"],
        shared::grants_a_share_without_a_name
    )
    .should(),
    test!(
        a_share_name_is_one_level_without_wildcards,
        "A SUBSCRIBE names a share with wildcards, or no filter behind it; it is not granted.",
        ["5.0/MQTT-4.8.2-2"],
        shared::grants_an_odd_share
    )
    .should(),
    test!(
        a_shared_message_goes_to_exactly_one_member,
        "A share has three members; each of sixty messages comes to one of them, and to one only.",
        ["5.0/X-SHARED-ONE-COPY"],
        shared::gives_some_messages_to_two_members
    ),
    test!(
        whoever_is_chosen_a_message_comes_to_a_member,
        "Of two members one is slow to acknowledge; whoever the server chooses, no message is lost.",
        ["5.0/X-SHARED-FAIRNESS"],
        shared::loses_each_third_shared_message
    ),
    test!(
        each_share_gets_its_own_copy,
        "Two shares of one filter, one of another and a plain subscriber: each gets the message once.",
        ["5.0/X-SHARED-GROUPS"],
        shared::gives_each_message_to_one_member
    ),
    test!(
        a_share_and_an_own_subscription_give_two_copies,
        "The only member of a share is subscribed for itself as well; it gets the message twice.",
        ["5.0/X-SHARED-AND-OWN"],
        shared::merges_shares_with_plain_subscriptions
    ),
    test!(
        only_the_name_of_the_share_is_cut_off,
        "The filter of a share begins with a slash or has a wildcard; it matches as it would without the share.",
        ["5.0/X-SHARED-LEADING-SLASH"],
        shared::cuts_a_leading_slash
    ),
    test!(
        no_retained_message_comes_on_joining_a_share,
        "Two clients join a share whose topic has a retained message; it comes to neither.",
        ["5.0/X-SHARED-NO-RETAINED"],
        shared::sends_retained_messages_to_shares
    ),
    test!(
        a_share_is_left_with_its_whole_filter,
        "A member unsubscribes from the topic alone, then from the share; only then the other gets everything.",
        ["5.0/X-SHARED-UNSUBSCRIBE"],
        shared::never_leaves_a_share
    ),
    test!(
        a_plain_subscription_is_not_left_with_a_share,
        "A client that is subscribed for itself unsubscribes from a share on the same topic; its subscription stays.",
        ["5.0/X-SHARED-UNSUBSCRIBE"],
        documented::takes_a_share_for_its_filter
    ),
    test!(
        a_member_is_told_its_own_identifier,
        "Two members have different Subscription Identifiers; each copy has that of its receiver.",
        ["5.0/X-SHARED-SUBID"],
        shared::tells_the_identifier_of_another_member
    ),
];

/// A client that may share: `unsupported` or `inconclusive` where a faultless share is not granted.
async fn sharer(stage: &Stage) -> Result<Peer, Halt> {
    let mut peer = offender(stage).await?;
    joins(&mut peer, &shared(stage, "control", "control"), Qos::AtMostOnce).await?;
    Ok(peer)
}

async fn no_local_on_a_share_is_refused(stage: &Stage) -> Outcome {
    let mut peer = sharer(stage).await?;
    let filter = shared(stage, "group", "t");
    let bytes = subscribe(stage.version(), 0x82, 7, &[], &[(filter.as_bytes(), 0x04)]);
    let grades = Grades { granted: Verdict::Fail, refused: Verdict::Warn };
    not_granted(&mut peer, "No Local on a share", &bytes, &[ReasonCode::ProtocolError], grades).await
}

/// What is no share, one at a time. The rule binds the client: that it is granted is a warning.
async fn odd_shares(stage: &Stage, filters: &[String]) -> Outcome {
    let codes = [ReasonCode::TopicFilterInvalid, ReasonCode::ProtocolError, ReasonCode::MalformedPacket];
    let grades = Grades { granted: Verdict::Warn, refused: Verdict::Pass };
    let mut cases = Cases::new();
    for filter in filters {
        let mut peer = sharer(stage).await?;
        let bytes = subscribe(stage.version(), 0x82, 7, &[], &[(filter.as_bytes(), 0)]);
        cases.add(filter, not_granted(&mut peer, &format!("the filter {filter}"), &bytes, &codes, grades).await);
    }
    cases.finish()
}

async fn a_share_without_a_name_is_refused(stage: &Stage) -> Outcome {
    odd_shares(stage, &[format!("$share//{}", stage.topic("t"))]).await
}

async fn a_share_name_is_one_level_without_wildcards(stage: &Stage) -> Outcome {
    let (group, topic) = (stage.client_id("odd"), stage.topic("t"));
    let filters = [
        format!("$share/{group}"),
        format!("$share/{group}/"),
        format!("$share/{group}+/{topic}"),
        format!("$share/+/{topic}"),
        format!("$share/#/{topic}"),
    ];
    odd_shares(stage, &filters).await
}

/// Members of one share, in order.
async fn members<const N: usize>(stage: &Stage, share: &str, qos: Qos) -> Result<[Peer; N], Halt> {
    let mut members = Vec::new();
    for n in 0..N {
        let mut member = Peer::connected(stage, &format!("member{n}")).await?;
        joins(&mut member, share, qos).await?;
        members.push(member);
    }
    members.try_into().map_err(|_| Halt::inconclusive("not every member was there"))
}

/// Every copy of these.
fn witnesses(got: &[Vec<Delivery>]) -> Result<Evidence, Halt> {
    let mut copies = got.iter().flatten();
    let first = copies.next().ok_or_else(|| Halt::fail("no message came to anybody"))?;
    Ok(Evidence::of(first).and_all(copies))
}

async fn a_shared_message_goes_to_exactly_one_member(stage: &Stage) -> Outcome {
    let [mut one, mut two, mut three] = members(stage, &shared(stage, "group", "t"), Qos::AtLeastOnce).await?;
    let payloads = numbered(60);
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publishes(&mut publisher, &stage.topic("t"), &payloads).await?;
    let got = gather(&mut [&mut one, &mut two, &mut three], payloads.len()).await?;
    complete(&got, &payloads)?;
    let mut seen: BTreeMap<&[u8], &Delivery> = BTreeMap::new();
    for copy in got.iter().flatten() {
        if seen.insert(copy.payload(), copy).is_some() {
            return Err(Halt::fail(format!("a message of the share came twice: {}", shown(copy))).at(copy));
        }
    }
    witnesses(&got)
}

/// The choice is free: a server may wait for the slow one, or pass it over.
async fn whoever_is_chosen_a_message_comes_to_a_member(stage: &Stage) -> Outcome {
    let share = shared(stage, "group", "t");
    let mut connect = Peer::hello(stage, "slow");
    connect.push_property(Property::ReceiveMaximum(1));
    let (mut slow, _) = Peer::connect(stage, "slow", connect).await.prepared()?;
    joins(&mut slow, &share, Qos::AtLeastOnce).await?;
    let [mut other] = members(stage, &share, Qos::AtLeastOnce).await?;
    let payloads = numbered(12);
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publishes(&mut publisher, &stage.topic("t"), &payloads).await?;
    // Only now does anybody acknowledge.
    let got = gather(&mut [&mut other, &mut slow], payloads.len()).await?;
    complete(&got, &payloads)?;
    witnesses(&got)
}

async fn each_share_gets_its_own_copy(stage: &Stage) -> Outcome {
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let wildcard = offer::wildcards(&publisher).is_ok();
    let mut shares = vec![shared(stage, "one", "t"), shared(stage, "two", "t"), stage.topic("t")];
    if wildcard {
        // The same name with another filter is another share.
        shares.push(shared(stage, "one", "+"));
    }
    let mut cases = Vec::new();
    for share in shares {
        let mut peer = Peer::connected(stage, &stage.fresh("group")).await?;
        joins(&mut peer, &share, Qos::AtMostOnce).await?;
        cases.push((share, peer));
    }
    publisher.published(&stage.topic("t"), Qos::AtMostOnce, b"shared", false).await?;
    let mut evidence: Option<Evidence> = None;
    for (share, peer) in &mut cases {
        let copy = message(peer, b"shared")
            .await
            .map_err(|halt| Halt { reason: format!("{share}: {}", halt.reason), ..halt })?;
        let (more, _) = rest(peer).await.prepared()?;
        if let Some(second) = more.first() {
            return Err(Halt::fail(format!("{share}: a second copy came: {}", shown(second))).at(second));
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(&copy), |evidence| evidence.and(&copy)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("there was no share"))
}

async fn a_share_and_an_own_subscription_give_two_copies(stage: &Stage) -> Outcome {
    let [mut member] = members(stage, &shared(stage, "group", "t"), Qos::AtLeastOnce).await?;
    member.subscribed(&stage.topic("t"), Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publishes(&mut publisher, &stage.topic("t"), &["both".to_owned()]).await?;
    let got = gather(&mut [&mut member], 2).await?;
    let evidence = witnesses(&got)?;
    match got[0].len() {
        2 => Ok(evidence),
        count => {
            let reason = format!("expected a copy for the share and one for the subscription, {count} came");
            Err(Halt::fail(reason).at(&got[0][0]))
        }
    }
}

async fn only_the_name_of_the_share_is_cut_off(stage: &Stage) -> Outcome {
    let group = stage.client_id("group");
    let mut slashed = Peer::connected(stage, "slashed").await?;
    joins(&mut slashed, &format!("$share/{group}//{}", stage.topic("t")), Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&stage.topic("t"), Qos::AtMostOnce, b"without", false).await?;
    publisher.published(&format!("/{}", stage.topic("t")), Qos::AtMostOnce, b"with", false).await?;
    let with = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == b"with");
    let mut got = collect(&mut slashed, with).await?;
    got.extend(rest(&mut slashed).await.prepared()?.0);
    no_other(&got, b"with")?;
    let Some(copy) = got.first() else {
        return Err(Halt::fail("expected a message on a topic with a leading slash, but none came"));
    };
    let evidence = Evidence::of(copy);
    if offer::wildcards(&publisher).is_err() {
        return Ok(evidence);
    }
    let mut wild = Peer::connected(stage, "wild").await?;
    joins(&mut wild, &shared(stage, "wild", "+/x"), Qos::AtMostOnce).await?;
    for (topic, payload) in [("a/y", &b"other"[..]), ("a/x", b"wild")] {
        publisher.published(&stage.topic(topic), Qos::AtMostOnce, payload, false).await?;
    }
    let got = collect(&mut wild, |seen| seen.iter().any(|copy| copy.payload() == b"wild")).await?;
    no_other(&got, b"wild")?;
    let copy = got.first().ok_or_else(|| Halt::fail("a wildcard behind the name of a share matched nothing"))?;
    Ok(evidence.and(copy))
}

async fn no_retained_message_comes_on_joining_a_share(stage: &Stage) -> Outcome {
    let topic = stage.topic("retained");
    tidied(stage, &[], &[&topic], async {
        let mut publisher = Peer::connected(stage, "publisher").await?;
        offer::retain(&publisher)?;
        offer::qos(&publisher, Qos::AtLeastOnce)?;
        publisher.published(&topic, Qos::AtLeastOnce, b"retained", true).await?;
        // It is there: a plain subscriber gets it.
        let mut plain = Peer::connected(stage, "plain").await?;
        plain.subscribed(&topic, Qos::AtMostOnce).await?;
        message(&mut plain, b"retained").await.prepared()?;
        let [mut one, mut two] = members(stage, &shared(stage, "group", "retained"), Qos::AtLeastOnce).await?;
        let mut evidence: Option<Evidence> = None;
        for member in [&mut one, &mut two] {
            let (got, pong) = rest(member).await.prepared()?;
            if let Some(copy) = got.first() {
                let reason = format!("a retained message came on joining a share: {}", shown(copy));
                return Err(Halt::fail(reason).at(copy));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(&pong), |evidence| evidence.and(&pong)));
        }
        // The share works: what is live comes, and nothing late before it.
        publishes(&mut publisher, &topic, &["live".to_owned()]).await?;
        let got = gather(&mut [&mut one, &mut two], 1).await?;
        no_other(got.iter().flatten(), b"live")?;
        let live = witnesses(&got).prepared()?;
        evidence.map(|evidence| evidence.join(live)).ok_or_else(|| Halt::inconclusive("nobody joined"))
    })
    .await
}

/// Unsubscribes from one filter; the code.
async fn leaves(peer: &mut Peer, filter_text: &str) -> Result<(ReasonCode, Seen<Unsuback>), Halt> {
    let id = peer.fresh_id();
    peer.send(Packet::Unsubscribe(Unsubscribe::new(id, vec![filter(filter_text)]))).await;
    let unsuback = peer.expect::<Unsuback>().await.prepared()?;
    match unsuback.reasons.first() {
        Some(reason) => Ok((*reason, unsuback)),
        None => Err(Halt::inconclusive("UNSUBACK has no code").at(&unsuback)),
    }
}

async fn a_share_is_left_with_its_whole_filter(stage: &Stage) -> Outcome {
    let (topic, share) = (stage.topic("t"), shared(stage, "group", "t"));
    let [mut leaver] = members(stage, &share, Qos::AtLeastOnce).await?;
    joins(&mut leaver, &share, Qos::AtLeastOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let (code, plain) = leaves(&mut leaver, &topic).await?;
    publishes(&mut publisher, &topic, &["still".to_owned()]).await?;
    let still = message(&mut leaver, b"still")
        .await
        .map_err(|halt| Halt { reason: format!("after UNSUBSCRIBE from the topic alone: {}", halt.reason), ..halt })?;
    let mut other = Peer::connected(stage, "other").await?;
    joins(&mut other, &share, Qos::AtLeastOnce).await?;
    let (left, whole) = leaves(&mut leaver, &share).await?;
    let payloads = numbered(6);
    publishes(&mut publisher, &topic, &payloads).await?;
    let got = gather(&mut [&mut other], payloads.len()).await?;
    complete(&got, &payloads)?;
    let (late, _) = rest(&mut leaver).await.prepared()?;
    if let Some(copy) = late.first() {
        return Err(Halt::fail(format!("a client that left the share got {}", shown(copy))).at(copy));
    }
    // To join a sibling of that share is not to join it again.
    joins(&mut leaver, &shared(stage, "group", "t2"), Qos::AtLeastOnce).await?;
    publishes(&mut publisher, &topic, &payloads).await?;
    let again = gather(&mut [&mut other], payloads.len()).await?;
    complete(&again, &payloads)?;
    let (late, _) = rest(&mut leaver).await.prepared()?;
    if let Some(copy) = late.first() {
        let reason = format!("a client that left the share and joined a sibling got {}", shown(copy));
        return Err(Halt::fail(reason).at(copy));
    }
    let evidence = witnesses(&got)?.and(&plain).and(&still).and(&whole);
    Ok(if code != ReasonCode::NoSubscriptionExisted {
        evidence.warn(format!("expected UNSUBACK 0x11 for the topic alone, got {code}"))
    } else if left != ReasonCode::Success {
        evidence.warn(format!("expected UNSUBACK 0x00 for the share, got {left}"))
    } else {
        evidence
    })
}

/// UNSUBSCRIBE from a share that was never joined, by who is subscribed for itself.
async fn a_plain_subscription_is_not_left_with_a_share(stage: &Stage) -> Outcome {
    let (topic, share) = (stage.topic("t"), shared(stage, "group", "t"));
    let mut peer = sharer(stage).await?;
    peer.subscribed(&topic, Qos::AtMostOnce).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let mut evidence: Option<Evidence> = None;
    // Alone, and beside a member of that share.
    let mut other = Peer::connected(stage, "other").await?;
    for (what, joined) in [("that nobody had joined", false), ("of somebody else", true)] {
        if joined {
            joins(&mut other, &share, Qos::AtMostOnce).await?;
        }
        let id = peer.fresh_id();
        peer.send(Packet::Unsubscribe(Unsubscribe::new(id, vec![filter(&share)]))).await;
        let unsuback = peer.expect::<Unsuback>().await;
        // That an answer comes is another rule; that the connection lives is this one.
        let unsuback = if peer.is_open() { unsuback.prepared()? } else { unsuback? };
        publisher.published(&topic, Qos::AtMostOnce, what.as_bytes(), false).await?;
        let copy = message(&mut peer, what.as_bytes()).await.map_err(|halt| Halt {
            reason: format!("after UNSUBSCRIBE from a share {what}: {}", halt.reason),
            ..halt
        })?;
        let mut seen = Evidence::of(&unsuback).and(&copy);
        if unsuback.reasons.first() != Some(&ReasonCode::NoSubscriptionExisted) {
            seen = seen.warn(format!("expected UNSUBACK 0x11 for a share {what}, got {:?}", unsuback.reasons));
        }
        evidence = Some(match evidence {
            Some(before) => before.join(seen),
            None => seen,
        });
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing was left"))
}

async fn a_member_is_told_its_own_identifier(stage: &Stage) -> Outcome {
    let share = shared(stage, "group", "t");
    let mut members = Vec::new();
    for identifier in [1, 2] {
        let mut member = Peer::connected(stage, &stage.fresh("member")).await?;
        offer::subscription_identifiers(&member)?;
        joins_as(&mut member, &share, Qos::AtLeastOnce, Some(identifier)).await?;
        members.push(member);
    }
    let payloads = numbered(8);
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publishes(&mut publisher, &stage.topic("t"), &payloads).await?;
    let mut all: Vec<&mut Peer> = members.iter_mut().collect();
    let got = gather(&mut all, payloads.len()).await?;
    for (copies, identifier) in got.iter().zip([1, 2]) {
        if let Some(copy) = copies.iter().find(|copy| copy.subscription_identifiers != [identifier]) {
            let came = &copy.subscription_identifiers;
            let reason = format!("expected the Subscription Identifier {identifier} of its member, got {came:?}");
            return Err(Halt::fail(reason).at(copy));
        }
    }
    witnesses(&got).prepared()
}
