//! 3.1.2.10 Keep Alive: what restarts its clock, what does not, and its values 0 and 65535. And 3.1.4: a connection
//! without CONNECT.

use std::time::Duration;

use squall_codec::{
    packet::{Ack, Connack, Packet, Publish},
    qos::Qos,
    reason::ReasonCode,
};
use squall_scenarios::{
    peer::{Next, Peer, Seen},
    stage::{End, Stage},
    timing::Due,
    verdict::{Evidence, Halt, Outcome, Preparing, Witness},
};

use crate::tests::{
    asking::{bytes_of, is_v5},
    clock::{close_after_silence, graded},
    judge::At,
    offer,
    watch::name,
};

/// A connected client with this Keep Alive.
async fn alive_for(stage: &Stage, actor: &str, seconds: u16) -> Result<(Peer, Seen<Connack>), Halt> {
    let mut connect = Peer::hello(stage, actor);
    connect.keep_alive = seconds;
    Peer::connect(stage, actor, connect).await.prepared()
}

/// `unsupported` where the server replaces the keep alive by one that the test cannot use.
fn keep_alive_is(connack: &Seen<Connack>, usable: impl Fn(u16) -> bool) -> Result<(), Halt> {
    match connack.properties.server_keep_alive() {
        Some(seconds) if !usable(seconds) => {
            Err(Halt::unsupported(format!("the server sets the keep alive to {seconds} s")).at(connack))
        }
        _ => Ok(()),
    }
}

/// How a connection ended, and the DISCONNECT that came before.
struct Ended {
    end: Seen<End>,
    disconnect: Option<(ReasonCode, At)>,
}

/// Waits until this time of the stage for the end of a connection on which nothing is sent. What comes is counted.
async fn end_by(peer: &mut Peer, at: Duration, came: &mut Vec<Seen<Packet>>) -> Option<Ended> {
    loop {
        match peer.next_by(at).await {
            Next::End(end) => {
                let disconnect = came.iter().find_map(|packet| match &**packet {
                    Packet::Disconnect(disconnect) => Some((disconnect.reason, At(packet.entry()))),
                    _ => None,
                });
                return Some(Ended { end, disconnect });
            }
            Next::Packet(packet) => came.push(packet),
            Next::Malformed(_) => {}
            Next::Nothing => return None,
        }
    }
}

/// How long a client without Keep Alive says nothing.
const IDLE: Duration = Duration::from_secs(10);

/// 3.1.1 lets a server end a connection at any time; 5.0 knows no limit of the keep alive here.
pub(crate) async fn keep_alive_0_is_no_limit(stage: &Stage) -> Outcome {
    let (mut peer, connack) = alive_for(stage, "idle", 0).await?;
    keep_alive_is(&connack, |seconds| u64::from(seconds) > IDLE.as_secs())?;
    let mut came = Vec::new();
    match end_by(&mut peer, connack.at() + IDLE, &mut came).await {
        None => {
            let (_, pong) = peer.pinged().await?;
            Ok(Evidence::of(&connack).and(&pong))
        }
        Some(Ended { disconnect: Some((ReasonCode::KeepAliveTimeout, at)), .. }) => {
            Err(Halt::fail("a client with Keep Alive 0 was disconnected for its keep alive").at(&at))
        }
        Some(Ended { end, .. }) if is_v5(stage) => {
            Ok(Evidence::of(&end).warn("the connection of a client with Keep Alive 0 was ended while it was idle"))
        }
        Some(Ended { end, .. }) => Ok(Evidence::of(&connack).and(&end)),
    }
}

/// Codes that call a CONNECT wrong, where others only turn its client away.
fn calls_it_wrong(reason: ReasonCode) -> bool {
    matches!(reason, ReasonCode::MalformedPacket | ReasonCode::ProtocolError | ReasonCode::UnsupportedProtocolVersion)
}

/// Who has no Keep Alive is let in and served like one who has. A server may have a policy: then CONNACK says so.
pub(crate) async fn who_has_no_keep_alive_is_let_in(stage: &Stage) -> Outcome {
    let (mut control, _) = alive_for(stage, "before", 60).await?;
    control.disconnect().await;
    let mut connect = Peer::hello(stage, "free");
    connect.keep_alive = 0;
    let mut peer = Peer::open(stage, "free").await?;
    let sent = peer.send(Packet::Connect(connect)).await;
    let answer = peer.next().await;
    let refused = match answer {
        Next::Packet(packet) => match &*packet {
            Packet::Connack(connack) if !connack.reason.is_failure() => {
                let (_, pong) = peer.fence().await?;
                return Ok(Evidence::of(&packet).and(&pong));
            }
            Packet::Connack(connack) if !calls_it_wrong(connack.reason) => {
                let reason = format!("a client with Keep Alive 0 was turned away with {}", connack.reason);
                return Ok(Evidence::of(&packet).warn(reason));
            }
            other => {
                Halt::fail(format!("expected a client with Keep Alive 0 to be let in, but {other} came")).at(&packet)
            }
        },
        Next::End(end) => {
            Halt::fail("expected a client with Keep Alive 0 to be let in, but its connection ended").at(&end)
        }
        other => Halt::fail(format!("expected a client with Keep Alive 0 to be let in, but {other}")).at(&sent),
    };
    // Whoever is turned away now with a Keep Alive shows that this was not the reason.
    alive_for(stage, "after", 60).await?;
    Err(refused)
}

/// Between two packets of a client with Keep Alive 2: less than the 3 s that end its connection.
const STEP: Duration = Duration::from_millis(1500);

/// One client only publishes, another only acknowledges what it receives; neither pings.
pub(crate) async fn any_packet_restarts_the_keep_alive(stage: &Stage) -> Outcome {
    let mut feeder = Peer::connected(stage, "feeder").await?;
    let (mut busy, connack) = alive_for(stage, "busy", 2).await?;
    keep_alive_is(&connack, |seconds| seconds == 0 || seconds >= 2)?;
    // A server that is far away sees a client that waits for another one as silent.
    busy.send(Packet::Pingreq).await;
    let (mut receiver, _) = alive_for(stage, "receiver", 2).await?;
    busy.send(Packet::Pingreq).await;
    offer::qos(&receiver, Qos::AtLeastOnce)?;
    let (topic, busy_topic) = (stage.topic("fed"), name(&stage.topic("busy")));
    receiver.subscribed(&topic, Qos::AtLeastOnce).await?;
    let left =
        |who: &str, end: &Seen<End>| Halt::fail(format!("{who} each 1.5 s did not stay with Keep Alive 2")).at(end);
    let begun = stage.now();
    for number in 0..6 {
        stage.world().sleep_until(begun + number * STEP).await;
        busy.send(Packet::Publish(Publish::new(&busy_topic, "still here"))).await;
        feeder.published(&topic, Qos::AtLeastOnce, format!("{number}").as_bytes(), false).await?;
        match receiver.next().await {
            Next::Packet(packet) => match &*packet {
                Packet::Publish(Publish { packet_id: Some(id), .. }) => {
                    receiver.send(Packet::Puback(Ack::new(*id))).await
                }
                other => {
                    return Err(Halt::inconclusive(format!("expected a message at QoS 1, seen {other}")).at(&packet));
                }
            },
            Next::End(end) => return Err(left("a client that acknowledges", &end)),
            other => return Err(Halt::inconclusive(format!("expected a message at QoS 1, but {other}"))),
        };
    }
    let mut evidence = Evidence::of(&connack);
    for (peer, who) in [(&mut busy, "a client that publishes"), (&mut receiver, "a client that acknowledges")] {
        let mut came = Vec::new();
        if let Some(ended) = end_by(peer, stage.now(), &mut came).await {
            return Err(left(who, &ended.end));
        }
        let (_, pong) = peer.fence().await?;
        evidence = evidence.and(&pong);
    }
    Ok(evidence)
}

/// After so long a silent client with Keep Alive 1 must be gone: timers with steps of 5 s are common.
const LONG_GONE: Duration = Duration::from_secs(12);

/// One client with Keep Alive 1 receives and sends nothing. Another neither receives nor sends: where that one stays too,
/// it is another rule that is broken.
pub(crate) async fn what_the_server_sends_is_no_sign_of_the_client(stage: &Stage) -> Outcome {
    let topic = stage.topic("stream");
    let mut publisher = Peer::connected(stage, "publisher").await?;
    let (mut control, _) = alive_for(stage, "control", 1).await?;
    let (mut receiver, connack) = alive_for(stage, "receiver", 1).await?;
    keep_alive_is(&connack, |seconds| (1..=3).contains(&seconds))?;
    receiver.subscribed(&topic, Qos::AtMostOnce).await?;
    let due = close_after_silence(connack.properties.server_keep_alive().unwrap_or(1), "its last packet");
    // Its SUBSCRIBE was on its way before this moment.
    let since = stage.now();
    let mut came = Vec::new();
    let ended = loop {
        publisher.published(&topic, Qos::AtMostOnce, b"tick", false).await?;
        let next = (stage.now() + Duration::from_millis(400)).min(since + LONG_GONE);
        if let Some(ended) = end_by(&mut receiver, next, &mut came).await {
            break Some(ended);
        }
        if stage.now() >= since + LONG_GONE {
            break None;
        }
    };
    let Some(message) = came.iter().rfind(|packet| matches!(***packet, Packet::Publish(_))) else {
        return Err(Halt::inconclusive("no message came: nothing was there that could be taken for a sign"));
    };
    match ended {
        Some(ended) => {
            let took = ended.end.at().saturating_sub(since);
            Ok(graded(stage, due, took, Evidence::of(message).and(&ended.end)))
        }
        None if end_by(&mut control, stage.now(), &mut Vec::new()).await.is_none() => {
            Err(Halt::inconclusive("a client that receives nothing is not closed either").at(message))
        }
        None => {
            stage.missed(due, LONG_GONE);
            let reason = format!("a client with Keep Alive 1 that sent nothing is still served after {LONG_GONE:?}");
            Err(Halt::fail(reason).at(message))
        }
    }
}

/// The Keep Alive in seconds of a client that is late by less than half of it.
const PROMISED: u16 = 4;

/// A clock of whole seconds may make 5 of its 6 s, and a moment is lost on the way.
const ROUNDED: Duration = Duration::from_millis(1_100);

/// It says nothing for longer than its Keep Alive, and not for one and a half times as long.
pub(crate) async fn a_client_that_is_a_little_late_is_still_served(stage: &Stage) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    let asked = stage.now();
    control.pinged().await.prepared()?;
    let way = stage.now().saturating_sub(asked);
    // Who is far away promises less, so that its PINGREQ comes in time.
    let far = way.as_millis().saturating_add(700) / 1000;
    let keep_alive = PROMISED.saturating_mul(u16::try_from(far + 1).unwrap_or(u16::MAX));
    let (mut peer, connack) = alive_for(stage, "late", keep_alive).await?;
    keep_alive_is(&connack, |seconds| seconds == 0 || seconds >= keep_alive)?;
    let due = Duration::from_secs(keep_alive.into()) * 3 / 2;
    let early = |ended: &Seen<End>| {
        let after = ended.at().saturating_sub(connack.at());
        if after >= due {
            return Err(Halt::inconclusive(format!("the client did not speak in time: it was {after:?}")).at(ended));
        }
        let reason = format!(
            "early: a client with Keep Alive {keep_alive} lost its connection {after:?} after CONNACK, due after {due:?}"
        );
        Ok(Evidence::of(&connack).and(ended).warn(reason))
    };
    let mut came = Vec::new();
    if let Some(ended) = end_by(&mut peer, connack.at() + due.saturating_sub(ROUNDED + way), &mut came).await {
        return early(&ended.end);
    }
    peer.send(Packet::Pingreq).await;
    loop {
        match peer.next().await {
            Next::Packet(pong) if matches!(*pong, Packet::Pingresp) => return Ok(Evidence::of(&connack).and(&pong)),
            Next::Packet(_) => {}
            Next::End(end) => return early(&end),
            other => return Err(Halt::inconclusive(format!("expected PINGRESP, but {other}")).at(&connack)),
        }
    }
}

/// One and a half times these is no number of 16 bits.
const LARGE: [u16; 2] = [u16::MAX, 43_691];

pub(crate) async fn a_large_keep_alive_closes_nobody_early(stage: &Stage) -> Outcome {
    let mut peers = Vec::new();
    for seconds in LARGE {
        let (peer, connack) = alive_for(stage, &format!("for{seconds}"), seconds).await?;
        keep_alive_is(&connack, |given| given == 0 || given > 5)?;
        peers.push((seconds, peer, connack));
    }
    let until = stage.now() + Duration::from_secs(5);
    let mut evidence: Option<Evidence> = None;
    for (seconds, mut peer, connack) in peers {
        if let Some(ended) = end_by(&mut peer, until, &mut Vec::new()).await {
            return Err(Halt::fail(format!("a client with Keep Alive {seconds} was closed within 5 s")).at(&ended.end));
        }
        let (_, pong) = peer.pinged().await?;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&connack), |before| before.and(&connack)).and(&pong));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nobody was connected"))
}

/// 5.0: with DISCONNECT 0x8D or without a word.
pub(crate) async fn a_keep_alive_that_runs_out_has_one_reason(stage: &Stage) -> Outcome {
    let (mut peer, connack) = alive_for(stage, "silent", 1).await?;
    keep_alive_is(&connack, |seconds| (1..=3).contains(&seconds))?;
    let due = close_after_silence(connack.properties.server_keep_alive().unwrap_or(1), "CONNACK");
    let Some(ended) = end_by(&mut peer, connack.at() + LONG_GONE, &mut Vec::new()).await else {
        stage.missed(due, LONG_GONE);
        return Err(Halt::inconclusive("the silent client was not closed").at(&connack));
    };
    // How punctual it was is written down; its verdict belongs to the rule of the keep alive itself.
    stage.came(due, ended.end.at().saturating_sub(connack.at()));
    let evidence = Evidence::of(&connack).and(&ended.end);
    Ok(match ended.disconnect {
        None => evidence,
        Some((ReasonCode::KeepAliveTimeout, at)) => evidence.and(&at),
        Some((other, at)) => {
            evidence.and(&at).warn(format!("expected DISCONNECT {} or none, got {other}", ReasonCode::KeepAliveTimeout))
        }
    })
}

/// What time is reasonable is not said: servers take 5 to 90 s.
const REASONABLE: Duration = Duration::from_secs(118);

/// One connection says nothing, another breaks off in its CONNECT.
pub(crate) async fn a_connection_without_connect_is_closed(stage: &Stage) -> Outcome {
    let (_, connack) = Peer::connect(stage, "control", Peer::hello(stage, "control")).await.prepared()?;
    let mut silent = Peer::open(stage, "silent").await?;
    let mut half = Peer::open(stage, "half").await?;
    let connect = bytes_of(stage, &Packet::Connect(Peer::hello(stage, "half")));
    half.send_bytes(&connect[..connect.len() / 2]).await;
    let since = stage.now();
    let until = since + REASONABLE;
    let due = Due {
        what: "the close",
        since: "the opening of the connection",
        earliest: Duration::ZERO,
        due: REASONABLE,
        latest: REASONABLE,
    };
    let mut evidence = Evidence::of(&connack);
    for (peer, what) in [(&mut silent, "that says nothing"), (&mut half, "that breaks off in its CONNECT")] {
        match end_by(peer, until, &mut Vec::new()).await {
            Some(ended) => {
                let took = ended.end.at().saturating_sub(since);
                evidence = graded(stage, due, took, evidence.and(&ended.end));
            }
            None => {
                stage.missed(due, REASONABLE);
                evidence = evidence.warn(format!("a connection {what} is still open after {REASONABLE:?}"));
            }
        }
    }
    Ok(evidence)
}
