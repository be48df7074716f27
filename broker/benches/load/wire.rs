//! MQTT 3.1.1 as the load needs it: handshakes made with the codec, and frames taken apart with as little work as can be, so
//! that a rate is the server's and not ours.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Connect, Packet, Publish, Subscribe, Subscription},
    property::Properties,
    qos::Qos,
    stream::Decoder,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

const VERSION: Version = Version::V3_1_1;
/// A server that says nothing for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const PUBLISH: u8 = 0x30;
pub(crate) const PUBACK: u8 = 0x40;
pub(crate) const PUBREC: u8 = 0x50;
pub(crate) const PUBREL: u8 = 0x62;
pub(crate) const PUBCOMP: u8 = 0x70;

/// Bytes at the beginning of each payload: who, the how-manieth, and when, in nanoseconds of the load's clock.
pub(crate) const STAMP: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) publisher: u32,
    pub(crate) number: u32,
    pub(crate) sent: u64,
}

impl Stamp {
    fn write(self, payload: &mut [u8]) {
        payload[..4].copy_from_slice(&self.publisher.to_be_bytes());
        payload[4..8].copy_from_slice(&self.number.to_be_bytes());
        payload[8..STAMP].copy_from_slice(&self.sent.to_be_bytes());
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let sent = rest.first_chunk()?;
        Some(Stamp {
            publisher: u32::from_be_bytes(*publisher),
            number: u32::from_be_bytes(*number),
            sent: u64::from_be_bytes(*sent),
        })
    }
}

/// A PUBLISH whose identifier and stamp are filled in each time.
pub(crate) struct Template {
    frame: Bytes,
    packet_id: Option<usize>,
    payload: usize,
}

impl Template {
    pub(crate) fn new(topic: &str, qos: Qos, size: usize, retain: bool) -> Self {
        let name = TopicName::try_from(topic).expect("a topic name of ours");
        let packet_id = (qos != Qos::AtMostOnce).then_some(PacketId::MIN);
        let mut publish = Publish::new(&name, vec![b'x'; size.max(STAMP)]).at(qos, packet_id);
        publish.retain = retain;
        let frame = encoded(&Packet::Publish(publish));
        let payload = frame.len() - size.max(STAMP);
        Template { frame, packet_id: packet_id.map(|_| payload - 2), payload }
    }

    pub(crate) fn write(&self, packet_id: u16, stamp: Stamp, out: &mut Vec<u8>) {
        let at = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[at..];
        if let Some(place) = self.packet_id {
            frame[place..place + 2].copy_from_slice(&packet_id.to_be_bytes());
        }
        stamp.write(&mut frame[self.payload..]);
    }
}

/// What a frame says, as far as a load has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Publish {
        qos: u8,
        packet_id: u16,
        stamp: Option<Stamp>,
    },
    /// Any other, with its first byte and the two behind its length.
    Other {
        first: u8,
        packet_id: u16,
    },
}

/// The first whole frame, and its length; `None` when it is not all there.
pub(crate) fn frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let first = *bytes.first()?;
    let (mut length, mut at) = (0usize, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 || at == 5 {
            break;
        }
    }
    let body = bytes.get(at..at + length)?;
    let number = |at: usize| body.get(at..at + 2).map_or(0, |two| u16::from_be_bytes([two[0], two[1]]));
    if first & 0xF0 != PUBLISH {
        return Some((Frame::Other { first, packet_id: number(0) }, at + length));
    }
    let qos = first >> 1 & 3;
    let behind_topic = 2 + usize::from(number(0));
    let (packet_id, payload) = if qos == 0 { (0, behind_topic) } else { (number(behind_topic), behind_topic + 2) };
    let stamp = body.get(payload..).and_then(Stamp::read);
    Some((Frame::Publish { qos, packet_id, stamp }, at + length))
}

pub(crate) fn acknowledgement(first: u8, packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [first, 2, high, low]
}

pub(crate) fn encoded(packet: &Packet) -> Bytes {
    let mut out = BytesMut::new();
    packet.encode(VERSION, &mut out).expect("a packet of ours");
    out.freeze()
}

/// Connects: the stream, with CONNACK read.
pub(crate) fn connect(address: SocketAddr, client_id: &str, clean: bool) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut connect = Connect::new(VERSION, Text::new(client_id.to_owned()).map_err(io::Error::other)?);
    connect.clean_start = clean;
    stream.write_all(&encoded(&Packet::Connect(connect)))?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack)?;
    match connack {
        [0x20, 2, _, 0] => Ok(stream),
        _ => Err(io::Error::other(format!("CONNACK {connack:02X?}"))),
    }
}

/// Subscribes to all these, some hundreds with each packet.
pub(crate) fn subscribe(stream: &mut TcpStream, filters: impl Iterator<Item = String>, qos: Qos) -> io::Result<()> {
    const AT_ONCE: usize = 200;
    let mut filters = filters.peekable();
    let mut decoder = Decoder::new(squall_codec::reason::Side::Server, Some(VERSION), u32::MAX);
    let mut buffer = vec![0; 4096];
    while filters.peek().is_some() {
        let subscriptions: Result<Vec<_>, _> = filters
            .by_ref()
            .take(AT_ONCE)
            .map(|filter| {
                Ok::<_, io::Error>(Subscription::new(
                    TopicFilter::try_from(filter.as_str()).map_err(io::Error::other)?,
                    qos,
                ))
            })
            .collect();
        let subscribe =
            Subscribe { packet_id: PacketId::MIN, properties: Properties::new(), subscriptions: subscriptions? };
        stream.write_all(&encoded(&Packet::Subscribe(subscribe)))?;
        loop {
            match decoder.next_packet().map_err(io::Error::other)? {
                Some(Packet::Suback(suback)) if suback.reasons.iter().any(|reason| reason.is_failure()) => {
                    return Err(io::Error::other("a subscription is refused"));
                }
                Some(Packet::Suback(_)) => break,
                Some(_) => {}
                None => match stream.read(&mut buffer)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    count => decoder.extend(&buffer[..count]),
                },
            }
        }
    }
    Ok(())
}
