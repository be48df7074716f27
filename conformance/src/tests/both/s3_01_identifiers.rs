//! 3.1.3 CONNECT Payload: client identifiers beyond what every server must take, empty user names, and clients of two
//! versions on one server.

use squall_codec::{
    packet::{Connack, Connect, Packet, Publish},
    property::{Properties, Property, PropertyId},
    qos::Qos,
    reason::ReasonCode,
    version::Version,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing, Verdict},
};

use crate::tests::{
    asking::{is_v5, lasting},
    bytes::{RawConnect, flag},
    judge::{At, Cases, farewell},
    offer,
    watch::{is_policy, message, name, text, tidied},
};

/// What a server made of an identifier that it need not take.
enum Taken {
    In(Box<Peer>, At),
    Refused(Evidence),
}

async fn identified(stage: &Stage, client_id: &str, what: &str) -> Result<Taken, Halt> {
    let mut peer = Peer::open(stage, &stage.fresh("named")).await?;
    let sent = peer.send(Packet::Connect(Connect::new(stage.version(), text(client_id)))).await;
    let (connack, at) = match peer.next().await {
        Next::Packet(packet) => match &*packet {
            Packet::Connack(connack) => (connack.reason, At(squall_scenarios::verdict::Witness::entry(&packet))),
            other => return Err(Halt::inconclusive(format!("{what}: {} came for CONNACK", other.kind())).at(&packet)),
        },
        // 5.0 lets a server close instead; 3.1.1 has a code for it.
        Next::End(end) if is_v5(stage) => return Ok(Taken::Refused(Evidence::of(&end))),
        Next::End(end) => {
            return Ok(Taken::Refused(Evidence::of(&end).warn(format!("{what}: closed without CONNACK 0x02"))));
        }
        other => return Err(Halt::fail(format!("{what}: expected CONNACK, but {other}")).at(&sent)),
    };
    match connack {
        ReasonCode::Success => Ok(Taken::In(Box::new(peer), at)),
        ReasonCode::ClientIdentifierNotValid => Ok(Taken::Refused(Evidence::of(&at))),
        other if is_policy(other) => Ok(Taken::Refused(Evidence::of(&at))),
        other => Ok(Taken::Refused(Evidence::of(&at).warn(format!("{what}: refused with {other}")))),
    }
}

/// Identifiers that are long, or hold other characters than letters and digits: taken as they are, or refused.
pub(crate) async fn unusual_identifiers_are_taken_as_they_are(stage: &Stage) -> Outcome {
    let own = stage.client_id("").as_str().to_owned();
    // The first 23 bytes are the same, and in the last pair all but the case.
    let long = |end: &str, length: usize| format!("{own}{}{end}", "x".repeat(length - own.len() - end.len()));
    let pairs = [
        ("24 bytes", long("a", 24), long("b", 24)),
        ("200 bytes", long("a", 200), long("b", 200)),
        ("65,535 bytes", long("a", 65_535), long("b", 65_535)),
        ("letters of UTF-8", format!("{own}caf\u{e9}"), format!("{own}cafe\u{301}")),
        ("a space", format!("{own} a"), format!("{own}a")),
        ("the characters of filters", format!("{own}/#"), format!("{own}/+")),
        ("another case", format!("{own}name"), format!("{own}NAME")),
    ];
    // Whoever turns everybody away refuses no identifier.
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut cases = Cases::new();
    for (what, one, two) in pairs {
        cases.add(what, told_apart(stage, &one, &two, what).await);
    }
    cases.finish()
}

/// If both are taken, they are two clients: the second does not take the first one's place.
async fn told_apart(stage: &Stage, one: &str, two: &str, what: &str) -> Outcome {
    let (mut first, at) = match identified(stage, one, what).await? {
        Taken::In(peer, at) => (peer, at),
        Taken::Refused(evidence) => return Ok(evidence),
    };
    let (mut second, other) = match identified(stage, two, what).await? {
        Taken::In(peer, at) => (peer, at),
        Taken::Refused(evidence) => return Ok(evidence),
    };
    second.fence().await.prepared()?;
    let (_, pong) = first.fence().await.map_err(|halt| Halt {
        reason: format!("two identifiers with {what} were taken for one: {}", halt.reason),
        ..halt
    })?;
    first.disconnect().await;
    second.disconnect().await;
    Ok(Evidence::of(&at).and(&other).and(&pong))
}

/// A user name and a password without a letter are well-formed: they may be refused as credentials only.
pub(crate) async fn empty_credentials_are_no_error_of_form(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let connect = RawConnect::new(stage, "empty").flagged(flag::USER_NAME | flag::PASSWORD).field(b"").field(b"");
    let mut peer = Peer::open(stage, "empty").await?;
    let sent = peer.send_bytes(&connect.bytes()).await;
    let seen = match peer.next().await {
        Next::Packet(packet) => packet,
        Next::End(end) if is_v5(stage) => return Ok(Evidence::of(&end)),
        Next::End(end) => return Ok(Evidence::of(&end).warn("closed without a CONNACK that says why")),
        other => return Err(Halt::fail(format!("expected an answer to empty credentials, but {other}")).at(&sent)),
    };
    let Packet::Connack(connack) = &*seen else {
        return Err(Halt::inconclusive(format!("{} came for CONNACK", seen.kind())).at(&seen));
    };
    let reason = connack.reason;
    let evidence = Evidence::of(&seen);
    match reason {
        ReasonCode::Success | ReasonCode::BadUserNameOrPassword | ReasonCode::NotAuthorized => Ok(evidence),
        ReasonCode::MalformedPacket | ReasonCode::ProtocolError => {
            Err(Halt::fail(format!("empty credentials are well-formed, and were refused with {reason}")).at(&seen))
        }
        other if is_policy(other) => Ok(evidence),
        other => Ok(evidence.warn(format!("empty credentials were refused with {other}"))),
    }
}

pub(crate) fn other_version(stage: &Stage) -> Stage {
    stage.speaking(if is_v5(stage) { Version::V3_1_1 } else { Version::V5_0 })
}

/// `unsupported` where the server does not speak the other version.
pub(crate) async fn speaks_both(other: &Stage) -> Result<(), Halt> {
    let mut peer = Peer::connected(other, "interpreter").await.map_err(|halt| Halt {
        verdict: Verdict::Unsupported,
        reason: format!("the server does not take clients of {} here: {}", other.version(), halt.reason),
        ..halt
    })?;
    peer.disconnect().await;
    Ok(())
}

/// Messages pass between clients of 3.1.1 and of 5.0; properties end where they are not known.
pub(crate) async fn messages_pass_between_the_versions(stage: &Stage) -> Outcome {
    let other = other_version(stage);
    speaks_both(&other).await?;
    let (old, new) = if is_v5(stage) { (&other, stage) } else { (stage, &other) };
    let mut old_peer = Peer::connected(old, "old").await?;
    let mut new_peer = Peer::connected(new, "new").await?;
    let (to_old, to_new) = (stage.topic("to/old"), stage.topic("to/new"));
    old_peer.subscribed(&to_old, Qos::AtMostOnce).await?;
    new_peer.subscribed(&to_new, Qos::AtMostOnce).await?;
    let properties = Properties::new()
        .with(Property::PayloadFormatIndicator(1))
        .with(Property::ContentType(text("text/plain")))
        .with(Property::UserProperty((text("name"), text("value"))));
    let rich = Publish::new(&name(&to_old), "with properties").with_properties(&properties);
    new_peer.send(Packet::Publish(rich)).await;
    let plain = message(&mut old_peer, b"with properties").await?;
    old_peer.send(Packet::Publish(Publish::new(&name(&to_new), "without properties"))).await;
    let bare = message(&mut new_peer, b"without properties").await?;
    let came = bare.properties();
    // A server may add User Properties of its own.
    if came.iter().any(|property| property.id() != PropertyId::UserProperty) {
        return Err(Halt::fail(format!("expected no properties on a message of 3.1.1, got {came:?}")).at(&bare));
    }
    Ok(Evidence::of(&plain).and(&bare))
}

/// A session of one version, asked for in the other. Whether it is kept is not said; Session Present has to be true.
pub(crate) async fn session_present_is_true_across_versions(stage: &Stage) -> Outcome {
    let before = other_version(stage);
    speaks_both(&before).await?;
    tidied(stage, &["alice"], &[], async {
        let topic = stage.topic("kept");
        let (mut first, _) = Peer::connect(&before, "alice", lasting(&before, "alice")).await.prepared()?;
        offer::session_expiry(&first, 300)?;
        first.subscribed(&topic, Qos::AtMostOnce).await?;
        first.disconnect().await;
        farewell(&mut first).await;
        let mut second = Peer::open(stage, "alice").await?;
        second.send(Packet::Connect(lasting(stage, "alice"))).await;
        let connack: Seen<Connack> = second.expect::<Connack>().await.prepared()?;
        if connack.reason.is_failure() {
            return Err(Halt::inconclusive(format!("the server refused: {}", connack.reason)).at(&connack));
        }
        let marker = stage.topic("marker");
        second.subscribed(&marker, Qos::AtMostOnce).await?;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        publisher.published(&topic, Qos::AtMostOnce, b"to the old filter", false).await?;
        publisher.published(&marker, Qos::AtMostOnce, b"marker", false).await?;
        let received = crate::tests::watch::collect(&mut second, |seen| {
            seen.last().is_some_and(|last| last.payload() == b"marker")
        })
        .await?;
        let Some(last) = received.last().filter(|last| last.payload() == b"marker") else {
            return Err(Halt::inconclusive("the marker message did not come"));
        };
        let alive = received.iter().any(|copy| copy.payload() == b"to the old filter");
        let evidence = Evidence::of(&connack).and(last);
        Ok(match (connack.session_present, alive) {
            (true, false) => evidence.warn("Session Present 1, and the subscription is gone"),
            (false, true) => evidence.warn("Session Present 0, and the subscription is alive"),
            _ => evidence,
        })
    })
    .await
}
