//! 3.2 CONNACK.

use squall_codec::{packet::Packet, qos::Qos};
use squall_scenarios::{
    peer::{Next, Peer},
    stage::{End, Stage},
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{bytes_of, is_v5, lasting, lasting_peer, resumed},
    bytes::{publish, subscribe},
    judge::{At, farewell, formed},
    offer,
    watch::{message, tidied},
};

/// A session with waiting messages is resumed, and packets come right behind the CONNECT: CONNACK is first.
pub(crate) async fn connack_comes_first(stage: &Stage) -> Outcome {
    let topic = stage.topic("first");
    tidied(stage, &["alice"], &[], async {
        let mut alice = lasting_peer(stage, "alice").await?;
        offer::qos(&alice, Qos::AtLeastOnce)?;
        alice.subscribed(&topic, Qos::AtLeastOnce).await?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let mut publisher = Peer::connected(stage, "publisher").await?;
        for n in 0..3 {
            publisher.published(&topic, Qos::AtLeastOnce, format!("{n}").as_bytes(), false).await?;
        }
        let mut alice = Peer::open(stage, "alice").await?;
        let bytes = [
            bytes_of(stage, &Packet::Connect(lasting(stage, "alice"))),
            subscribe(stage.version(), 0x82, 1, &[], &[(topic.as_bytes(), 1)]),
            publish(stage.version(), 0x32, stage.topic("own").as_bytes(), Some(2), &[], b"x"),
            vec![0xC0, 0],
        ];
        alice.send_bytes(&bytes.concat()).await;
        match alice.next().await {
            Next::Packet(packet) if matches!(*packet, Packet::Connack(_)) => {
                // Something was waiting to come first.
                let waiting = message(&mut alice, b"0").await.prepared()?;
                Ok(Evidence::of(&packet).and(&waiting))
            }
            Next::Packet(packet) => {
                Err(Halt::fail(format!("expected CONNACK first, got {}", packet.kind())).at(&packet))
            }
            Next::Malformed(what) => Err(Halt::inconclusive(format!("no packet came: {}", *what)).at(&what)),
            Next::End(end) => Err(Halt::inconclusive("the server closed without an answer").at(&end)),
            Next::Nothing => Err(Halt::inconclusive("the server did not answer")),
        }
    })
    .await
}

/// A session is stored, and a clean one is asked for: Session Present 0.
pub(crate) async fn a_clean_session_has_session_present_0(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut alice = lasting_peer(stage, "alice").await?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let mut alice = resumed(stage, "alice").await?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let (mut alice, connack) = Peer::connect(stage, "alice", Peer::hello(stage, "alice")).await.prepared()?;
        alice.disconnect().await;
        if connack.session_present {
            return Err(Halt::fail("expected Session Present 0 for a clean session, got 1").at(&connack));
        }
        Ok(Evidence::of(&connack))
    })
    .await
}

/// The bytes of every CONNACK of this stage.
pub(crate) fn connacks(stage: &Stage) -> Vec<(At, bytes::Bytes)> {
    super::s2_packet_format::frames_of_the_server(stage)
        .into_iter()
        .filter(|(_, bytes)| bytes[0] >> 4 == 2)
        .map(|(entry, bytes)| (At(entry), bytes))
        .collect()
}

/// CONNACKs of several kinds: accepted clean, accepted lasting, resumed.
async fn some_connacks(stage: &Stage) -> Result<(), Halt> {
    let mut peer = Peer::connected(stage, "plain").await?;
    peer.close(End::Fin).await;
    let mut peer = lasting_peer(stage, "alice").await?;
    peer.disconnect().await;
    farewell(&mut peer).await;
    let (mut peer, _) = Peer::connect(stage, "alice", lasting(stage, "alice")).await.prepared()?;
    peer.disconnect().await;
    Ok(())
}

/// Bits 7 to 1 of the acknowledge flags.
pub(crate) async fn connack_flags_have_no_reserved_bit(stage: &Stage) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let played = some_connacks(stage).await;
        let mut evidence: Option<Evidence> = None;
        for (at, bytes) in connacks(stage) {
            if bytes.get(2).is_some_and(|flags| flags & 0xFE != 0) {
                return Err(Halt::fail(format!("expected the flags 00 or 01, got {:02X}", bytes[2])).at(&at));
            }
            evidence = Some(evidence.map_or_else(|| Evidence::of(&at), |evidence| evidence.and(&at)));
        }
        played?;
        evidence.ok_or_else(|| Halt::inconclusive("no CONNACK came"))
    })
    .await
}

/// A refusal, in the words of the version: what came, and that the connection ended.
pub(crate) async fn refused_connack(stage: &Stage, bytes: &[u8]) -> Outcome {
    let mut control = Peer::connected(stage, "control").await?;
    control.disconnect().await;
    let mut peer = Peer::open(stage, "offender").await?;
    peer.send_bytes(bytes).await;
    let seen = farewell(&mut peer).await;
    let Some((connack, at)) = seen.connack() else {
        return Err(match &seen.end {
            Some(end) => Halt::unsupported("the server refuses without a CONNACK").at(end),
            None => Halt::inconclusive("the CONNECT was not refused"),
        });
    };
    if !connack.reason.is_failure() {
        return Err(Halt::inconclusive("the CONNECT was not refused").at(at));
    }
    match &seen.end {
        Some(end) => Ok(Evidence::of(at).and(end)),
        None => {
            let reason = format!("CONNACK {} came and the connection stayed open", connack.reason);
            Err(Halt::fail(reason).at(at))
        }
    }
}

/// A session is stored for the identifier, and a CONNECT with it is refused: Session Present 0.
pub(crate) async fn a_refusal_has_session_present_0(stage: &Stage, refused: Vec<u8>) -> Outcome {
    tidied(stage, &["alice"], &[], async {
        let mut alice = lasting_peer(stage, "alice").await?;
        alice.disconnect().await;
        farewell(&mut alice).await;
        let mut peer = Peer::open(stage, "alice").await?;
        peer.send_bytes(&refused).await;
        let seen = farewell(&mut peer).await;
        // By its bytes: a decoder may call a CONNACK that is both refused and present malformed.
        let last = connacks(stage).pop().filter(|_| seen.connack().is_some() || seen.malformed.is_some());
        let Some((at, bytes)) = last else {
            return Err(Halt::unsupported("the server refuses without a CONNACK"));
        };
        match (bytes.get(2), bytes.get(3)) {
            (_, None | Some(0)) => Err(Halt::inconclusive("the CONNECT was not refused").at(&at)),
            (Some(0), _) => Ok(Evidence::of(&at)),
            (flags, Some(code)) => {
                let reason = format!("a CONNACK with the code 0x{code:02X} has the flags {flags:02X?}");
                Err(Halt::fail(reason).at(&at))
            }
        }
    })
    .await
}

/// Each format to its own version: no Property Length before 5.0, and one in 5.0.
pub(crate) async fn connack_is_in_the_format_of_its_version(stage: &Stage) -> Outcome {
    let played = Peer::connected(stage, "alice").await;
    let (at, bytes) = connacks(stage).pop().ok_or_else(|| Halt::inconclusive("no CONNACK came"))?;
    let fits = if is_v5(stage) { bytes.len() >= 5 } else { bytes.len() == 4 };
    if !fits {
        return Err(
            Halt::fail(format!("the CONNACK is not in the format of {}: {bytes:02X?}", stage.version())).at(&at)
        );
    }
    formed(stage, played).map(|_| Evidence::of(&at))
}
