//! 6 WebSocket: the subprotocol, the kind of frames, and packets that need not line up with frames.

use squall_codec::{packet::Packet, qos::Qos};
use squall_scenarios::{
    peer::Peer,
    stage::Stage,
    verdict::{Evidence, Halt, Outcome, Preparing},
};

use crate::tests::{
    asking::{bytes_of, id, publish, subscribe},
    judge::{At, Cases},
    web_socket::{BINARY, CONTINUATION, Came, Handshake, RawSocket, TEXT},
};

/// The status with which a WebSocket is opened.
const SWITCHING_PROTOCOLS: u16 = 101;
/// The only name that a server may choose.
const MQTT: &str = "mqtt";

fn connect(stage: &Stage, actor: &str) -> Vec<u8> {
    bytes_of(stage, &Packet::Connect(Peer::hello(stage, actor)))
}

fn pingreq(stage: &Stage) -> Vec<u8> {
    bytes_of(stage, &Packet::Pingreq)
}

/// A WebSocket that offers MQTT as a client should. `inconclusive` where it is not opened.
async fn opened(stage: &Stage, actor: &str) -> Result<RawSocket, Halt> {
    let (socket, handshake) = RawSocket::open(stage, actor, MQTT).await?;
    if handshake.status != SWITCHING_PROTOCOLS {
        return Err(
            Halt::inconclusive(format!("the handshake was answered with {}", handshake.status)).at(&handshake.at)
        );
    }
    Ok(socket)
}

/// A CONNACK with success.
async fn let_in(socket: &mut RawSocket) -> Result<At, Halt> {
    let (packet, at) = socket.expect(|packet| matches!(packet, Packet::Connack(_)), "CONNACK").await?;
    match packet {
        Packet::Connack(connack) if connack.reason.is_failure() => {
            Err(Halt::inconclusive(format!("the client was not let in: {}", connack.reason)).at(&at))
        }
        _ => Ok(at),
    }
}

/// A client that is connected over a WebSocket, each packet in a binary frame of its own.
async fn connected(stage: &Stage, actor: &str) -> Result<(RawSocket, At), Halt> {
    let mut socket = opened(stage, actor).await?;
    socket.send(BINARY, &connect(stage, actor), "CONNECT").await;
    let at = let_in(&mut socket).await.prepared()?;
    Ok((socket, at))
}

pub(crate) async fn the_server_chooses_the_subprotocol_mqtt(stage: &Stage) -> Outcome {
    let mut cases = Cases::new();
    for (actor, offered) in [("alone", MQTT), ("last", "foo, mqtt")] {
        let (mut socket, handshake) = RawSocket::open(stage, actor, offered).await?;
        let Handshake { status, protocols, at } = handshake;
        let outcome = if status != SWITCHING_PROTOCOLS {
            let reason = format!("the handshake was answered with {status}");
            // Whoever opens no WebSocket has chosen nothing.
            if offered == MQTT { Err(Halt::inconclusive(reason).at(&at)) } else { Ok(Evidence::of(&at).warn(reason)) }
        } else if protocols == [MQTT] {
            socket.send(BINARY, &connect(stage, actor), "CONNECT").await;
            let_in(&mut socket).await.prepared().map(|connack| Evidence::of(&at).and(&connack))
        } else {
            let chosen = if protocols.is_empty() { "none".to_owned() } else { format!("\"{}\"", protocols.join(", ")) };
            Err(Halt::fail(format!("expected the subprotocol \"mqtt\" in the answer, seen {chosen}")).at(&at))
        };
        cases.add(format!("\"{offered}\" offered"), outcome);
        socket.close().await;
    }
    cases.finish()
}

/// What became of MQTT in a text frame.
async fn end_of(stage: &Stage, socket: &mut RawSocket, sent: At) -> Outcome {
    let by = stage.now() + stage.patience();
    loop {
        return match socket.next_by(by).await {
            Came::End(at) => Ok(Evidence::of(&sent).and(&at)),
            // A server may have messages of its own for everybody: they answer nothing.
            Came::Packet(Packet::Publish(_), _) => continue,
            Came::Packet(packet, at) => {
                Err(Halt::fail(format!("expected a text frame to close the connection, but {packet} came")).at(&at))
            }
            Came::Nonsense(_, at) => Err(Halt::inconclusive("the server's data is no MQTT").at(&at)),
            Came::Nothing => {
                Err(Halt::fail("expected a text frame to close the connection, but it is still open").at(&sent))
            }
        };
    }
}

/// Where a binary frame is answered, a text frame with the same bytes closes the connection. All these bytes are UTF-8, so
/// that the WebSocket itself has nothing against them.
pub(crate) async fn a_text_frame_closes_the_connection(stage: &Stage) -> Outcome {
    let (mut control, _) = connected(stage, "control").await?;
    let mut cases = Cases::new();
    let mut socket = opened(stage, "first").await?;
    let sent = socket.send(TEXT, &connect(stage, "first"), "CONNECT").await;
    cases.add("CONNECT", end_of(stage, &mut socket, sent).await);
    let (mut socket, _) = connected(stage, "second").await?;
    let message = Packet::Publish(publish(stage, "t", Qos::AtMostOnce, id(1), "text"));
    let sent = socket.send(TEXT, &bytes_of(stage, &message), "PUBLISH").await;
    cases.add("PUBLISH", end_of(stage, &mut socket, sent).await);
    control.close().await;
    cases.finish()
}

/// The answers to everything that a server answers at once.
pub(crate) async fn the_server_writes_binary_frames(stage: &Stage) -> Outcome {
    let (mut socket, _) = connected(stage, "alice").await?;
    exchange(stage, &mut socket, |packets| packets.to_vec()).await.prepared()?;
    let mut evidence: Option<Evidence> = None;
    let mut begins = true;
    for frame in &socket.data {
        let due = if begins { BINARY } else { CONTINUATION };
        if frame.opcode != due {
            return Err(Halt::fail(format!("expected a binary frame, seen the opcode {}", frame.opcode)).at(&frame.at));
        }
        begins = frame.last;
        evidence = Some(evidence.map_or_else(|| Evidence::of(&frame.at), |before| before.and(&frame.at)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("no data frame came"))
}

/// SUBSCRIBE, a PUBLISH to oneself and PINGREQ, in frames as they are told; all three are answered.
async fn exchange(
    stage: &Stage,
    socket: &mut RawSocket,
    in_frames: impl Fn(&[Vec<u8>]) -> Vec<Vec<u8>>,
) -> Result<Evidence, Halt> {
    let packets = [
        bytes_of(stage, &subscribe(stage, id(1), &[("own", Qos::AtMostOnce)])),
        bytes_of(stage, &Packet::Publish(publish(stage, "own", Qos::AtMostOnce, id(2), "to myself"))),
        pingreq(stage),
    ];
    let frames = in_frames(&packets);
    for (number, frame) in frames.iter().enumerate() {
        let what = format!("part {} of {} of SUBSCRIBE, PUBLISH, PINGREQ", number + 1, frames.len());
        socket.send(BINARY, frame, &what).await;
    }
    let mut evidence: Option<Evidence> = None;
    let (mut suback, mut message, mut pingresp) = (false, false, false);
    while !(suback && message && pingresp) {
        let any = |packet: &Packet| matches!(packet, Packet::Suback(_) | Packet::Publish(_) | Packet::Pingresp);
        let (packet, at) = socket.expect(any, "SUBACK, PUBLISH and PINGRESP").await?;
        match packet {
            Packet::Suback(_) => suback = true,
            Packet::Publish(_) => message = true,
            _ => pingresp = true,
        }
        evidence = Some(evidence.map_or_else(|| Evidence::of(&at), |before| before.and(&at)));
    }
    evidence.ok_or_else(|| Halt::inconclusive("nothing came"))
}

pub(crate) async fn packets_need_not_line_up_with_frames(stage: &Stage) -> Outcome {
    let (mut control, _) = connected(stage, "control").await?;
    exchange(stage, &mut control, |packets| packets.to_vec()).await.prepared()?;
    control.close().await;

    let mut socket = opened(stage, "alice").await?;
    let bytes = connect(stage, "alice");
    let third = bytes.len().div_ceil(3);
    for (number, part) in bytes.chunks(third).enumerate() {
        socket.send(BINARY, part, &format!("part {} of 3 of CONNECT", number + 1)).await;
    }
    let connack = let_in(&mut socket).await?;
    let mut evidence = Evidence::of(&connack);
    evidence = evidence.join(exchange(stage, &mut socket, |packets| vec![packets.concat()]).await?);
    let each_byte = |packets: &[Vec<u8>]| packets.concat().iter().map(|byte| vec![*byte]).collect();
    evidence = evidence.join(exchange(stage, &mut socket, each_byte).await?);

    // A message of the WebSocket in two frames.
    let ping = pingreq(stage);
    socket.send_frame(BINARY, false, &ping[..1], "the first byte of PINGREQ").await;
    socket.send_frame(CONTINUATION, true, &ping[1..], "the second byte of PINGREQ").await;
    let (_, at) = socket.expect(|packet| matches!(packet, Packet::Pingresp), "PINGRESP").await?;
    Ok(evidence.and(&at))
}
