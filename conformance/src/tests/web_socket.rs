//! A raw WebSocket: the handshake and the frames by their bytes, and MQTT within. It answers nothing by itself.

use std::{collections::VecDeque, rc::Rc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use squall_codec::{packet::Packet, reason::Side};
use squall_scenarios::{
    frames::FrameSplitter,
    stage::{Arrival, End, Stage, Wire},
    transcript::What,
    verdict::Halt,
};

use super::judge::At;
use crate::web_socket_frame::{MASKED, extent};

/// What a frame is, of those that matter here (RFC 6455, section 5.2).
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
/// Bit 7 of a frame's first byte: nothing of the message follows.
const FIN: u8 = 0x80;
/// A mask need not be secret for a test.
const MASK: [u8; 4] = [0x53, 0x71, 0x75, 0x61];
/// Sixteen bytes in base 64.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// How the handshake was answered.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    /// 101 where a WebSocket was opened.
    pub(crate) status: u16,
    /// Each value of `Sec-WebSocket-Protocol`.
    pub(crate) protocols: Vec<String>,
    pub(crate) at: At,
}

/// What came next.
#[derive(Clone, Debug)]
pub(crate) enum Came {
    Packet(Packet, At),
    /// A close frame, or the end of the connection.
    End(At),
    /// Data that is no MQTT packet.
    Nonsense(String, At),
    Nothing,
}

/// A data frame that came: its opcode, and whether the message ends with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DataFrame {
    pub(crate) opcode: u8,
    pub(crate) last: bool,
    pub(crate) at: At,
}

/// One connection to the WebSocket of the subject.
pub(crate) struct RawSocket {
    stage: Stage,
    actor: Rc<str>,
    connection: u32,
    wire: Box<dyn Wire>,
    unread: BytesMut,
    splitter: FrameSplitter,
    backlog: VecDeque<Came>,
    ended: Option<At>,
    /// Every data frame so far.
    pub(crate) data: Vec<DataFrame>,
}

impl RawSocket {
    /// Connects and offers these subprotocols. `unsupported` where there is no WebSocket, `inconclusive` where the
    /// handshake is not answered.
    pub(crate) async fn open(stage: &Stage, actor: &str, offered: &str) -> Result<(RawSocket, Handshake), Halt> {
        let uri = stage.world().web_socket().map_err(Halt::unsupported)?;
        let address = uri.split_once("://").map_or(uri.as_str(), |(_, address)| address);
        let (host, path) = address.split_once('/').unwrap_or((address, ""));
        let wire = match stage.within(stage.patience(), stage.world().connect_below(actor)).await {
            Some(wire) => wire.map_err(Halt::inconclusive)?,
            None => return Err(Halt::inconclusive(format!("no connection for {actor} in time"))),
        };
        let transcript = stage.transcript();
        let connection = transcript.next_connection(actor);
        let mut socket = RawSocket {
            stage: stage.clone(),
            actor: Rc::from(actor),
            connection,
            wire,
            unread: BytesMut::new(),
            splitter: FrameSplitter::default(),
            backlog: VecDeque::new(),
            ended: None,
            data: Vec::new(),
        };
        socket.record(What::Opened);
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {offered}\r\n\r\n"
        );
        socket.hand_over(format!("WebSocket handshake that offers \"{offered}\""), request.into()).await;
        let handshake = socket.answer_to_handshake().await?;
        Ok((socket, handshake))
    }

    async fn answer_to_handshake(&mut self) -> Result<Handshake, Halt> {
        const END: &[u8] = b"\r\n\r\n";
        let by = self.stage.now() + self.stage.patience();
        loop {
            if let Some(at) = self.unread.windows(END.len()).position(|window| window == END) {
                let head = self.unread.split_to(at + END.len()).freeze();
                let text = String::from_utf8_lossy(&head).into_owned();
                let mut lines = text.lines();
                let first = lines.next().unwrap_or_default().to_owned();
                let at = self.record(What::Received { summary: first.clone(), bytes: head });
                let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
                let fields = lines.filter_map(|line| line.split_once(':'));
                let protocols = fields.filter(|(name, _)| name.trim().eq_ignore_ascii_case("sec-websocket-protocol"));
                let protocols = protocols.map(|(_, value)| value.trim().to_owned()).collect();
                return Ok(Handshake { status, protocols, at });
            }
            match self.stage.clone().by(by, self.wire.receive()).await {
                Some(Arrival::Bytes(bytes)) => self.unread.extend_from_slice(&bytes),
                Some(Arrival::End(how)) => {
                    let at = self.record(What::Ended { how: how.name() });
                    return Err(
                        Halt::inconclusive("the connection ended instead of an answer to the handshake").at(&at)
                    );
                }
                None => return Err(Halt::inconclusive("the WebSocket handshake was not answered")),
            }
        }
    }

    /// One frame that is a whole message.
    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8], what: &str) -> At {
        self.send_frame(opcode, true, payload, what).await
    }

    /// One frame of a message; more follow where it is not the last.
    pub(crate) async fn send_frame(&mut self, opcode: u8, last: bool, payload: &[u8], what: &str) -> At {
        let mut frame = vec![opcode | if last { FIN } else { 0 }];
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => frame.push(MASKED | length),
            _ => {
                let length = u16::try_from(payload.len()).expect("a frame of a test is short");
                frame.push(MASKED | 126);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        let kind = match opcode {
            CONTINUATION => "continuation frame",
            TEXT => "text frame",
            BINARY => "binary frame",
            CLOSE => "close frame",
            _ => "frame",
        };
        self.hand_over(format!("{kind}: {what}"), frame.into()).await
    }

    async fn hand_over(&mut self, summary: String, bytes: Bytes) -> At {
        let at = self.record(What::Sent { summary, bytes: bytes.clone() });
        let stage = self.stage.clone();
        // A subject that reads nothing must not hang the run; what it does not take shows in what it does not answer.
        let _ = stage.within(stage.patience(), self.wire.send(bytes)).await;
        at
    }

    /// Whatever of MQTT comes next, by this time of the stage.
    pub(crate) async fn next_by(&mut self, by: Duration) -> Came {
        loop {
            if let Some(came) = self.backlog.pop_front() {
                return came;
            }
            if let Some(at) = self.ended {
                return Came::End(at);
            }
            if self.take_frame() {
                continue;
            }
            match self.stage.clone().by(by, self.wire.receive()).await {
                None => return Came::Nothing,
                Some(Arrival::Bytes(bytes)) => self.unread.extend_from_slice(&bytes),
                Some(Arrival::End(how)) => self.ended = Some(self.record(What::Ended { how: how.name() })),
            }
        }
    }

    /// Takes a whole frame, if there is one.
    fn take_frame(&mut self) -> bool {
        let Some((header, length)) = extent(&self.unread) else { return false };
        if self.unread.len() < header + length {
            return false;
        }
        let mut frame = self.unread.split_to(header + length).freeze();
        let (opcode, last) = (frame[0] & 0x0F, frame[0] & FIN != 0);
        let bytes = frame.clone();
        frame.advance(header);
        match opcode {
            CLOSE => {
                let code = frame.get(..2).map(|code| u16::from_be_bytes([code[0], code[1]]));
                let code = code.map(|code| format!(" {code}")).unwrap_or_default();
                self.ended = Some(self.record(What::Received { summary: format!("close frame{code}"), bytes }));
            }
            CONTINUATION | TEXT | BINARY => self.take_data((opcode, last), &frame, bytes),
            _ => {
                self.record(What::Received { summary: format!("frame with the opcode {opcode}"), bytes });
            }
        }
        true
    }

    fn take_data(&mut self, (opcode, last): (u8, bool), payload: &[u8], bytes: Bytes) {
        self.splitter.extend(payload);
        let mut packets = Vec::new();
        while let Some(packet) = self.splitter.next_frame() {
            packets.push(Packet::decode(self.stage.version(), Side::Server, packet).map_err(|error| error.to_string()));
        }
        let kind = match opcode {
            TEXT => "text frame",
            BINARY => "binary frame",
            _ => "continuation frame",
        };
        let told = packets.iter().map(|packet| match packet {
            Ok(packet) => packet.to_string(),
            Err(error) => format!("malformed: {error}"),
        });
        let told = told.collect::<Vec<_>>().join(", ");
        let at = self.record(What::Received { summary: format!("{kind}: {told}"), bytes });
        self.data.push(DataFrame { opcode, last, at });
        self.backlog.extend(packets.into_iter().map(|packet| match packet {
            Ok(packet) => Came::Packet(packet, at),
            Err(error) => Came::Nonsense(error, at),
        }));
    }

    /// The first packet of this kind; what comes before is passed over. `fail` where it does not come.
    pub(crate) async fn expect(&mut self, wanted: impl Fn(&Packet) -> bool, what: &str) -> Result<(Packet, At), Halt> {
        let by = self.stage.now() + self.stage.patience();
        loop {
            match self.next_by(by).await {
                Came::Packet(packet, at) if wanted(&packet) => return Ok((packet, at)),
                Came::Packet(..) => {}
                Came::Nonsense(error, at) => {
                    return Err(Halt::fail(format!("expected {what}, but what came is no packet: {error}")).at(&at));
                }
                Came::End(at) => {
                    return Err(Halt::fail(format!("expected {what}, but the WebSocket was closed")).at(&at));
                }
                Came::Nothing => return Err(Halt::fail(format!("expected {what}, but nothing came"))),
            }
        }
    }

    /// Ends the connection.
    pub(crate) async fn close(&mut self) {
        self.record(What::Closed { how: End::Fin.name() });
        let stage = self.stage.clone();
        let _ = stage.within(stage.patience(), self.wire.close(End::Fin)).await;
    }

    fn record(&self, what: What) -> At {
        At(self.stage.transcript().record(self.stage.now(), &self.actor, self.connection, what))
    }
}
