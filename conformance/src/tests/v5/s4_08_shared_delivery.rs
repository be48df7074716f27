//! 4.8.2 Shared Subscriptions: what becomes of a delivery whose member goes away, refuses or stays away.

use std::time::Duration;

use squall_codec::{
    packet::{Ack, Connect, Packet, Publish},
    property::Property,
    qos::Qos,
    reason::ReasonCode,
    wire::PacketId,
};
use squall_scenarios::{
    peer::{Next, Peer, Pubrel, Seen},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::{
    liars::shared,
    test::{Test, test},
    tests::{
        asking::{lasting, resumed},
        judge::{Cases, farewell},
        offer,
        sharing::{complete, gather, joins, numbered, publishes, shared},
        watch::{Delivery, collect, collect_by, message, rest, shown, tidied},
    },
};

pub(crate) const TESTS: &[Test] = &[
    test!(
        a_shared_message_comes_at_the_granted_qos_of_its_member,
        "Two members were granted QoS 0 and 1; each QoS 2 message comes at what was granted to its receiver.",
        ["5.0/MQTT-4.8.2-3"],
        shared::delivers_shares_at_qos_0
    ),
    test!(
        a_qos_2_delivery_that_was_cut_goes_on_with_its_member,
        "A member drops before or after its PUBREC and comes back; the delivery goes on with it and with nobody else.",
        ["5.0/MQTT-4.8.2-4"],
        shared::abandons_what_was_under_way
    ),
    test!(
        a_qos_2_message_of_an_ended_session_goes_to_nobody,
        "The session of a member ends amid a QoS 2 delivery; no other member gets the message.",
        ["5.0/MQTT-4.8.2-5"],
        shared::hands_on_what_was_under_way
    ),
    test!(
        what_a_member_refuses_goes_to_nobody,
        "A member refuses a message in PUBACK or PUBREC; no other member gets it.",
        ["5.0/MQTT-4.8.2-6"],
        shared::hands_on_what_was_refused
    ),
    test!(
        a_qos_1_message_of_an_ended_session_goes_to_another_member,
        "The session of a member ends before its PUBACK; another member gets the message.",
        ["5.0/X-SHARED-QOS1-REDELIVER"],
        shared::gives_each_message_to_one_member
    )
    .should(),
    test!(
        no_message_is_lost_while_a_member_is_away,
        "One of two members is away and comes back; every message has come to one of them.",
        ["5.0/X-SHARED-OFFLINE-MEMBER"],
        shared::loses_messages_while_a_member_is_away
    ),
    test!(
        a_session_that_ends_leaves_its_shares,
        "One of two members ends its session; the other gets every later message.",
        ["5.0/X-SHARED-DETACH-ON-SESSION-END"],
        shared::keeps_members_whose_session_has_ended
    ),
    test!(
        who_comes_back_is_still_a_member_of_its_share,
        "The only member of a share comes back to its session; what is published then comes to it.",
        ["5.0/MQTT-3.1.2-5"],
        shared::forgets_members_that_come_back
    ),
];

async fn a_shared_message_comes_at_the_granted_qos_of_its_member(stage: &Stage) -> Outcome {
    let share = shared(stage, "group", "t");
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let published = offer::highest_qos(&publisher);
    offer::qos(&publisher, Qos::AtLeastOnce)?;
    let mut members = Vec::new();
    let mut granted = Vec::new();
    for asked in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut member = Peer::connected(stage, &stage.fresh("member")).await?;
        let suback = joins(&mut member, &share, asked).await?;
        granted.extend(suback.reasons.first().and_then(|reason| Qos::from_bits(reason.value())));
        members.push(member);
    }
    let payloads = numbered(10);
    for payload in &payloads {
        publisher.published(&stage.topic("t"), published, payload.as_bytes(), false).await?;
    }
    let mut all: Vec<&mut Peer> = members.iter_mut().collect();
    let got = gather(&mut all, payloads.len()).await?;
    let mut evidence: Option<Evidence> = None;
    for (copies, granted) in got.iter().zip(granted) {
        let due = published.min(granted);
        for copy in copies {
            if copy.qos != due {
                let reason = format!("a member was granted {granted}, and {} came", shown(copy));
                return Err(Halt::fail(reason).at(copy));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(copy), |evidence| evidence.and(copy)));
        }
    }
    evidence.ok_or_else(|| Halt::inconclusive("no message came to any member"))
}

/// A member that alone was sent a message and has not answered it, and another that joined since.
struct Chosen {
    member: Peer,
    message: Seen<Publish>,
    id: PacketId,
    other: Peer,
    topic: String,
}

/// `case` is a short word: topic, payload and actors have it in their names.
async fn chosen(stage: &Stage, connect: Connect, case: &str, qos: Qos) -> Result<Chosen, Halt> {
    let (topic, share) = (stage.topic(case), shared(stage, "group", case));
    let (mut member, _) = Peer::connect(stage, &chosen_name(case), connect).await.prepared()?;
    offer::qos(&member, qos)?;
    joins(&mut member, &share, qos).await?;
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publisher.published(&topic, qos, case.as_bytes(), false).await?;
    publisher.disconnect().await;
    farewell(&mut publisher).await;
    let message = member.expect_message(case.as_bytes()).await.prepared()?;
    let Some(id) = message.packet_id.filter(|_| message.qos == qos) else {
        let reason = format!("the message came at QoS {}, the question needs QoS {qos}", message.qos);
        return Err(Halt::inconclusive(reason).at(&message));
    };
    let mut other = Peer::connected(stage, &format!("other{case}")).await?;
    joins(&mut other, &share, qos).await?;
    Ok(Chosen { member, message, id, other, topic })
}

fn chosen_name(case: &str) -> String {
    format!("chosen{case}")
}

impl Chosen {
    /// The member says PUBREC and has its PUBREL.
    async fn receives(&mut self) -> Result<(), Halt> {
        self.member.send(Packet::Pubrec(Ack::new(self.id))).await;
        self.member.expect::<Pubrel>().await.prepared().map(drop)
    }

    /// The network of the member is cut.
    async fn is_cut(&mut self) {
        self.member.close(End::Fin).await;
        farewell(&mut self.member).await;
    }
}

async fn a_qos_2_delivery_that_was_cut_goes_on_with_its_member(stage: &Stage) -> Outcome {
    let sessions = ["early", "late"].map(chosen_name);
    let sessions = sessions.each_ref().map(String::as_str);
    tidied(stage, &sessions, &[], async {
        let mut cases = Cases::new();
        cases.add("cut before PUBREC", goes_on(stage, "early", false).await);
        cases.add("cut after PUBREC", goes_on(stage, "late", true).await);
        cases.finish()
    })
    .await
}

async fn goes_on(stage: &Stage, case: &str, received: bool) -> Outcome {
    let mut chosen = chosen(stage, lasting(stage, &chosen_name(case)), case, Qos::ExactlyOnce).await?;
    offer::session_expiry(&chosen.member, 300)?;
    if received {
        chosen.receives().await?;
    }
    chosen.is_cut().await;
    let mut back = resumed(stage, &chosen_name(case)).await?;
    let next = back.next().await;
    let packet = match &next {
        Next::Packet(packet) => packet,
        other => {
            return Err(Halt {
                entry: other.entry(),
                ..Halt::fail(format!("expected the delivery to go on, but {other}"))
            });
        }
    };
    let goes_on = match &**packet {
        Packet::Publish(again) => !received && again.packet_id == Some(chosen.id) && again.payload() == case.as_bytes(),
        Packet::Pubrel(ack) => received && ack.packet_id == chosen.id,
        _ => false,
    };
    if !goes_on {
        let due = if received { "PUBREL" } else { "PUBLISH" };
        return Err(Halt::fail(format!("expected {due} {} again, but {} came", chosen.id, **packet)).at(packet));
    }
    if !received {
        back.send(Packet::Pubrec(Ack::new(chosen.id))).await;
        back.expect::<Pubrel>().await.prepared()?;
    }
    back.send(Packet::Pubcomp(Ack::new(chosen.id))).await;
    back.fence().await.prepared()?;
    let (others, _) = rest(&mut chosen.other).await.prepared()?;
    if let Some(copy) = others.first() {
        return Err(Halt::fail(format!("another member got {}", shown(copy))).at(copy));
    }
    back.disconnect().await;
    Ok(Evidence::of(&chosen.message).and(packet))
}

/// What a share goes on to deliver to the member that is left, once a marker has come; it is the whole answer.
async fn what_is_left(stage: &Stage, topic: &str, other: &mut Peer) -> Result<Vec<Delivery>, Halt> {
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publishes(&mut publisher, topic, &["marker".to_owned()]).await?;
    publisher.disconnect().await;
    farewell(&mut publisher).await;
    let is_marker = |copy: &Delivery| copy.payload() == b"marker";
    let mut got = collect(other, |seen| seen.iter().any(is_marker)).await?;
    got.extend(rest(other).await.prepared()?.0);
    if got.iter().any(is_marker) {
        return Ok(got);
    }
    Err(Halt::inconclusive("the member that is left gets nothing any more"))
}

/// The clock of the rule: a session that lives one second.
async fn a_qos_2_message_of_an_ended_session_goes_to_nobody(stage: &Stage) -> Outcome {
    let mut cut = Vec::new();
    for (case, received, expiry) in [("a", false, 0), ("b", true, 0), ("c", false, 1), ("d", true, 1)] {
        let mut connect = Peer::hello(stage, &chosen_name(case));
        if expiry > 0 {
            connect.push_property(Property::SessionExpiryInterval(expiry));
        }
        let mut chosen = chosen(stage, connect, case, Qos::ExactlyOnce).await?;
        let given = chosen.member.connack().and_then(|connack| connack.properties.session_expiry_interval());
        if received {
            chosen.receives().await?;
        }
        chosen.is_cut().await;
        // A server may let it live longer: then it has not ended yet.
        if given.is_none_or(|given| given <= expiry) {
            cut.push((case, chosen));
        }
    }
    stage.pass(Duration::from_secs(3)).await;
    let mut cases = Cases::new();
    for (case, mut chosen) in cut {
        let outcome = match what_is_left(stage, &chosen.topic, &mut chosen.other).await {
            Err(halt) => Err(halt),
            Ok(got) => match got.iter().find(|copy| copy.payload() == case.as_bytes()) {
                Some(copy) => {
                    let reason =
                        format!("a QoS 2 message of a member whose session ended came to another: {}", shown(copy));
                    Err(Halt::fail(reason).at(copy))
                }
                None => Ok(Evidence::of(&chosen.message).and_all(&got)),
            },
        };
        cases.add(case, outcome);
    }
    cases.finish()
}

async fn what_a_member_refuses_goes_to_nobody(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    cases.add("PUBACK 0x80", refused(stage, "one", Qos::AtLeastOnce).await);
    cases.add("PUBREC 0x80", refused(stage, "two", Qos::ExactlyOnce).await);
    cases.finish()
}

async fn refused(stage: &Stage, case: &str, qos: Qos) -> Outcome {
    let mut chosen = chosen(stage, Peer::hello(stage, &chosen_name(case)), case, qos).await?;
    let refusal = Ack::with_reason(chosen.id, ReasonCode::UnspecifiedError);
    let refusal = if qos == Qos::AtLeastOnce { Packet::Puback(refusal) } else { Packet::Pubrec(refusal) };
    let said = chosen.member.send(refusal).await;
    chosen.member.fence().await.prepared()?;
    let (mut got, _) = rest(&mut chosen.other).await.prepared()?;
    // Nor when the one that refused it has gone.
    chosen.member.disconnect().await;
    farewell(&mut chosen.member).await;
    got.extend(what_is_left(stage, &chosen.topic, &mut chosen.other).await?);
    match got.iter().find(|copy| copy.payload() == case.as_bytes()) {
        Some(copy) => {
            Err(Halt::fail(format!("a message that one member refused came to another: {}", shown(copy))).at(copy))
        }
        None => Ok(Evidence::of(&said).and_all(&got)),
    }
}

/// How long a server may take to notice that a member has gone, and to choose anew.
const GIVEN_ON_WITHIN: Duration = Duration::from_secs(3);

async fn a_qos_1_message_of_an_ended_session_goes_to_another_member(stage: &Stage) -> Outcome {
    let case = "x";
    let mut chosen = chosen(stage, Peer::hello(stage, &chosen_name(case)), case, Qos::AtLeastOnce).await?;
    chosen.is_cut().await;
    let by = stage.now() + GIVEN_ON_WITHIN;
    let came = |seen: &[Delivery]| seen.iter().any(|copy| copy.payload() == case.as_bytes());
    let mut got = collect_by(&mut chosen.other, by, came).await?;
    if !came(&got) {
        let left = what_is_left(stage, &chosen.topic, &mut chosen.other).await?;
        got.extend(left);
    }
    let evidence = Evidence::of(&chosen.message).and_all(&got);
    Ok(if came(&got) { evidence } else { evidence.warn("a QoS 1 message was lost with the session of its member") })
}

async fn no_message_is_lost_while_a_member_is_away(stage: &Stage) -> Outcome {
    tidied(stage, &["away"], &[], async {
        let share = shared(stage, "group", "t");
        let mut here = Peer::connected(stage, "here").await?;
        joins(&mut here, &share, Qos::AtLeastOnce).await?;
        let (mut away, _) = Peer::connect(stage, "away", lasting(stage, "away")).await.prepared()?;
        offer::session_expiry(&away, 300)?;
        joins(&mut away, &share, Qos::AtLeastOnce).await?;
        away.disconnect().await;
        farewell(&mut away).await;
        let payloads = numbered(10);
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publishes(&mut publisher, &stage.topic("t"), &payloads).await?;
        let mut back = resumed(stage, "away").await?;
        let got = gather(&mut [&mut here, &mut back], payloads.len()).await?;
        back.disconnect().await;
        complete(&got, &payloads)?;
        let mut copies = got.iter().flatten();
        let first = copies.next().ok_or_else(|| Halt::inconclusive("no message came"))?;
        Ok(Evidence::of(first).and_all(copies))
    })
    .await
}

async fn who_comes_back_is_still_a_member_of_its_share(stage: &Stage) -> Outcome {
    tidied(stage, &["away"], &[], async {
        let (mut away, _) = Peer::connect(stage, "away", lasting(stage, "away")).await.prepared()?;
        offer::session_expiry(&away, 300)?;
        joins(&mut away, &shared(stage, "group", "t"), Qos::AtLeastOnce).await?;
        away.subscribed(&stage.topic("own"), Qos::AtLeastOnce).await?;
        away.disconnect().await;
        farewell(&mut away).await;
        let mut back = resumed(stage, "away").await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        // The session is there with its other subscription.
        publishes(&mut publisher, &stage.topic("own"), &["own".to_owned()]).await?;
        let own = message(&mut back, b"own").await.prepared()?;
        let payloads = numbered(3);
        publishes(&mut publisher, &stage.topic("t"), &payloads).await?;
        let got = gather(&mut [&mut back], payloads.len()).await?;
        back.disconnect().await;
        complete(&got, &payloads)?;
        Ok(Evidence::of(&own).and_all(got.iter().flatten()))
    })
    .await
}

/// The clock of the rule: a second for the server to see that the session has ended.
async fn a_session_that_ends_leaves_its_shares(stage: &Stage) -> Outcome {
    let share = shared(stage, "group", "t");
    let mut here = Peer::connected(stage, "here").await?;
    joins(&mut here, &share, Qos::AtLeastOnce).await?;
    let mut gone = Peer::connected(stage, "gone").await?;
    if gone.connack().and_then(|connack| connack.properties.session_expiry_interval()).is_some_and(|given| given > 0) {
        return Err(Halt::unsupported("the server lets a session live longer than was asked"));
    }
    joins(&mut gone, &share, Qos::AtLeastOnce).await?;
    gone.close(End::Fin).await;
    farewell(&mut gone).await;
    stage.pass(Duration::from_secs(1)).await;
    let payloads = numbered(10);
    let mut publisher = Peer::connected(stage, "publisher").await?;
    publishes(&mut publisher, &stage.topic("t"), &payloads).await?;
    let got = gather(&mut [&mut here], payloads.len()).await?;
    complete(&got, &payloads)?;
    let (first, others) = got[0].split_first().ok_or_else(|| Halt::inconclusive("no message came"))?;
    Ok(Evidence::of(first).and_all(others))
}
