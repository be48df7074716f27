//! What went over the wire as pcapng, for Wireshark and tshark: a flow for each connection, with headers made up.
//!
//! The bytes and their times are real; addresses, sequence numbers and segment borders are not. Clients stand in 10/8,
//! an address for each test; the broker always listens on port 1883 of 192.0.2.1, where dissectors look for MQTT. The
//! first packet of a flow carries a comment with the test and its verdict, each packet that decided one with the reason.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::Ipv4Addr,
};

use bytes::Bytes;

use crate::{
    event::{Event, Listener},
    report::model::{Direction, Line, TestEntry},
};

const BROKER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const BROKER_PORT: u16 = 1883;
/// The first connection of a test.
const FIRST_PORT: u16 = 40_000;
/// As much of a frame as a segment takes.
const SEGMENT: usize = 1460;
/// The link of raw IP packets.
const LINKTYPE_RAW: u16 = 101;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

/// Collects while a run goes on, and writes at its end, in the order of time.
pub struct Capture<W: Write> {
    out: W,
    started_us: u64,
    tests: u16,
    packets: Vec<(u64, Packet)>,
}

struct Packet {
    bytes: Vec<u8>,
    comment: Option<String>,
}

/// One side of a flow.
#[derive(Clone, Copy)]
struct End {
    address: Ipv4Addr,
    port: u16,
    /// The sequence number of its next byte.
    next: u32,
}

struct Flow {
    client: End,
    broker: End,
    /// Ended by RST, or by FIN of both sides.
    over: bool,
}

impl<W: Write> Capture<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Capture { out, started_us: 0, tests: 0, packets: Vec::new() }
    }

    fn take(&mut self, test: &TestEntry) {
        self.tests = self.tests.wrapping_add(1);
        let [high, low] = self.tests.to_be_bytes();
        let address = Ipv4Addr::new(10, high, low, 1);
        let begun = self.started_us + test.started_us;
        let mut flows: BTreeMap<(&str, u32), Flow> = BTreeMap::new();
        // A transcript is in the order in which actors looked; on the wire things have the order of their times.
        let mut lines: Vec<_> = test.transcript.iter().enumerate().collect();
        lines.sort_by_key(|(_, line)| line.at_us);
        for (position, line) in lines {
            let at = begun + line.at_us;
            let reason = test.reason.as_deref().unwrap_or(&test.about);
            let decided = test.evidence.contains(&position);
            let mut comment = decided.then(|| format!("{}: {reason}", test.verdict));
            let known = flows.len();
            let key = (line.actor.as_str(), line.connection);
            let port = FIRST_PORT.wrapping_add(u16::try_from(known).unwrap_or_default());
            let is_new = !flows.contains_key(&key);
            let flow = flows.entry(key).or_insert_with(|| Flow::new(address, port));
            if is_new {
                let told = format!("MQTT {} {} ({}), {}", test.version, test.name, test.verdict, line.actor);
                flow.open(at, told, &mut self.packets);
            }
            flow.line(at, line, &mut comment, &mut self.packets);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.packets.sort_by_key(|(at, _)| *at);
        self.out.write_all(&section_header())?;
        self.out.write_all(&interface())?;
        for (at, packet) in &self.packets {
            self.out.write_all(&enhanced_packet(*at, packet))?;
        }
        self.out.flush()
    }
}

impl<W: Write> Listener for Capture<W> {
    fn hear(&mut self, event: Event<'_>) -> io::Result<()> {
        match event {
            Event::RunStarted(header, _) => {
                self.started_us = header.started_unix * 1_000_000;
                Ok(())
            }
            Event::TestStarted(_) => Ok(()),
            Event::TestFinished(entry) => {
                self.take(entry);
                Ok(())
            }
            Event::RunFinished(_) => self.write(),
        }
    }
}

impl Flow {
    fn new(address: Ipv4Addr, port: u16) -> Self {
        Flow {
            client: End { address, port, next: 1000 },
            broker: End { address: BROKER, port: BROKER_PORT, next: 5000 },
            over: false,
        }
    }

    fn open(&mut self, at: u64, comment: String, out: &mut Vec<(u64, Packet)>) {
        self.segment(at, true, SYN, &[], Some(comment), out);
        self.segment(at, false, SYN | ACK, &[], None, out);
        self.segment(at, true, ACK, &[], None, out);
    }

    fn line(&mut self, at: u64, line: &Line, comment: &mut Option<String>, out: &mut Vec<(u64, Packet)>) {
        let from_client = matches!(line.direction, Direction::Sent | Direction::Closed);
        match line.direction {
            Direction::Sent | Direction::Received => {
                let frame = line.frame.as_ref().map_or(&[][..], Bytes::as_ref);
                for segment in frame.chunks(SEGMENT) {
                    self.segment(at, from_client, PSH | ACK, segment, comment.take(), out);
                }
            }
            Direction::Closed | Direction::Ended if !self.over => {
                let flag = if line.summary == "RST" { RST } else { FIN };
                self.segment(at, from_client, flag | ACK, &[], comment.take(), out);
                self.over = flag == RST;
            }
            Direction::Closed | Direction::Ended | Direction::Opened | Direction::Fault | Direction::Told => {}
        }
    }

    fn segment(
        &mut self,
        at: u64,
        from_client: bool,
        flags: u8,
        payload: &[u8],
        comment: Option<String>,
        out: &mut Vec<(u64, Packet)>,
    ) {
        let (from, to) = if from_client { (self.client, self.broker) } else { (self.broker, self.client) };
        out.push((at, Packet { bytes: ip_packet(from, to, flags, payload), comment }));
        let sender = if from_client { &mut self.client } else { &mut self.broker };
        let counted = u32::from(flags & (SYN | FIN) != 0) + u32::try_from(payload.len()).unwrap_or_default();
        sender.next = sender.next.wrapping_add(counted);
    }
}

/// An IPv4 packet with a TCP segment in it.
fn ip_packet(from: End, to: End, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut tcp = Vec::with_capacity(20 + payload.len());
    tcp.extend(from.port.to_be_bytes());
    tcp.extend(to.port.to_be_bytes());
    tcp.extend(from.next.to_be_bytes());
    tcp.extend(if flags & ACK == 0 { 0 } else { to.next }.to_be_bytes());
    // Five words of header, and a window as large as it can be without scaling.
    tcp.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    tcp.extend(payload);
    let mut pseudo = Vec::with_capacity(12 + tcp.len());
    pseudo.extend(from.address.octets());
    pseudo.extend(to.address.octets());
    let length = u16::try_from(tcp.len()).expect("a segment is short");
    pseudo.extend([0, 6]);
    pseudo.extend(length.to_be_bytes());
    pseudo.extend(&tcp);
    tcp[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());

    let mut packet = vec![0x45, 0];
    packet.extend((20 + length).to_be_bytes());
    // Not fragmented, 64 hops, TCP.
    packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    packet.extend(from.address.octets());
    packet.extend(to.address.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(tcp);
    packet
}

/// The one's complement of the one's complement sum of 16-bit words.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("it was folded")
}

/// A block: its type, its length before and after what is in it.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(12 + body.len()).expect("a block is short");
    let mut block = Vec::with_capacity(12 + body.len());
    block.extend(kind.to_le_bytes());
    block.extend(length.to_le_bytes());
    block.extend(body);
    block.extend(length.to_le_bytes());
    block
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    padded
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let value = &value[..value.len().min(usize::from(u16::MAX) - 3)];
    let mut option = code.to_le_bytes().to_vec();
    option.extend(u16::try_from(value.len()).expect("it was cut").to_le_bytes());
    option.extend(padded(value));
    option
}

const END_OF_OPTIONS: [u8; 4] = [0; 4];

fn section_header() -> Vec<u8> {
    let mut body = 0x1A2B_3C4D_u32.to_le_bytes().to_vec();
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    // The length of the section is not known.
    body.extend((-1_i64).to_le_bytes());
    body.extend(option(4, b"conformance: real bytes and times, headers made up"));
    body.extend(END_OF_OPTIONS);
    block(0x0A0D_0D0A, &body)
}

fn interface() -> Vec<u8> {
    let mut body = LINKTYPE_RAW.to_le_bytes().to_vec();
    body.extend([0, 0]);
    // Packets of any length, times in microseconds: both are what is meant where nothing is said.
    body.extend(0_u32.to_le_bytes());
    block(1, &body)
}

fn enhanced_packet(at_us: u64, packet: &Packet) -> Vec<u8> {
    let length = u32::try_from(packet.bytes.len()).expect("a packet is short");
    let mut body = 0_u32.to_le_bytes().to_vec();
    body.extend(u32::try_from(at_us >> 32).unwrap_or(u32::MAX).to_le_bytes());
    body.extend(u32::try_from(at_us & 0xffff_ffff).expect("32 bits").to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(padded(&packet.bytes));
    if let Some(comment) = &packet.comment {
        body.extend(option(1, comment.as_bytes()));
        body.extend(END_OF_OPTIONS);
    }
    block(6, &body)
}
