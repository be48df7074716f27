//! The connection is cut after every byte of the QoS 1 and QoS 2 exchanges, in both directions, with the client's process
//! surviving and not: each QoS 2 message arrives once, each QoS 1 message at least once, on both sides.

use std::{collections::BTreeSet, time::Duration};

use bytes::BytesMut;
use squall_client::{
    core::{
        client::Client,
        effect::{Effect, Input, Token},
        record::Kept,
    },
    options::{Acknowledge, Options},
};
use squall_codec::{
    packet::{Ack, Connack, Packet},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    time::Now,
    version::Version,
    wire::PacketId,
};

use crate::support::{dup, message, publish};

/// A server with one session, which keeps it.
#[derive(Default)]
struct Server {
    has_session: bool,
    /// What is still to be done for its own two messages.
    one: Option<Packet>,
    two: Option<Packet>,
    /// QoS 2 identifiers of the client.
    received: BTreeSet<PacketId>,
    delivered: Vec<String>,
}

impl Server {
    fn handle(&mut self, packet: Packet) -> Vec<Packet> {
        match packet {
            Packet::Connect(_) => {
                let connack = Connack { session_present: self.has_session, ..Connack::new(ReasonCode::Success) };
                let mut answers = vec![Packet::Connack(Box::new(connack))];
                match self.has_session {
                    true => answers.extend(self.one.iter().chain(&self.two).cloned().map(again)),
                    false => {
                        self.one = Some(publish(Qos::AtLeastOnce, 1, "in 1"));
                        self.two = Some(publish(Qos::ExactlyOnce, 2, "in 2"));
                        answers.extend(self.one.iter().chain(&self.two).cloned());
                    }
                }
                self.has_session = true;
                answers
            }
            Packet::Publish(publish) => {
                let packet_id = publish.packet_id.expect("only QoS 1 and 2 are published");
                let payload = String::from_utf8_lossy(publish.payload()).into_owned();
                match publish.qos {
                    Qos::ExactlyOnce => {
                        if self.received.insert(packet_id) {
                            self.delivered.push(payload);
                        }
                        vec![Packet::Pubrec(Ack::new(packet_id))]
                    }
                    _ => {
                        self.delivered.push(payload);
                        vec![Packet::Puback(Ack::new(packet_id))]
                    }
                }
            }
            Packet::Pubrel(ack) => {
                self.received.remove(&ack.packet_id);
                vec![Packet::Pubcomp(Ack::new(ack.packet_id))]
            }
            Packet::Puback(_) => {
                self.one = None;
                vec![]
            }
            Packet::Pubrec(ack) => {
                let pubrel = Packet::Pubrel(Ack::new(ack.packet_id));
                self.two = Some(pubrel.clone());
                vec![pubrel]
            }
            Packet::Pubcomp(_) => {
                self.two = None;
                vec![]
            }
            other => panic!("nothing in this story sends {other}"),
        }
    }
}

fn again(packet: Packet) -> Packet {
    if matches!(packet, Packet::Publish(_)) { dup(packet) } else { packet }
}

/// Where the first connection ends: after so many bytes to the server, or to the client.
#[derive(Clone, Copy, Debug)]
struct Cut {
    to_server: usize,
    to_client: usize,
}

const NEVER: Cut = Cut { to_server: usize::MAX, to_client: usize::MAX };

/// Everything that is there on both sides at the end, and how many bytes the first connection carried.
struct Story {
    client: Client,
    options: Options,
    now: Duration,
    kept: Kept,
    server: Server,
    delivered: Vec<String>,
    answered: BTreeSet<Token>,
    carried: Cut,
    opened: u32,
    ended: bool,
}

impl Story {
    fn new(options: Options) -> Self {
        Story {
            client: Client::new(options.clone(), 1),
            options,
            now: Duration::ZERO,
            kept: Kept::default(),
            server: Server::default(),
            delivered: Vec::new(),
            answered: BTreeSet::new(),
            carried: Cut { to_server: 0, to_client: 0 },
            opened: 0,
            ended: false,
        }
    }

    /// Gives what the client writes.
    fn tell(&mut self, input: Input) -> BytesMut {
        let mut written = BytesMut::new();
        let mut deliveries = Vec::new();
        for effect in self.client.handle(Now::simulated(self.now), input) {
            match effect {
                Effect::Open { .. } => self.opened += 1,
                Effect::Send { version, packet } => packet.encode(version, &mut written).expect("it can be written"),
                Effect::Keep(record) => self.kept.apply(record),
                Effect::Message { message, delivery } => {
                    self.delivered.push(String::from_utf8_lossy(message.payload()).into_owned());
                    deliveries.extend(delivery);
                }
                Effect::Done { token, .. } => drop(self.answered.insert(token)),
                Effect::Close => self.ended = true,
                Effect::Authenticate(question) => panic!("{question:?} without a method"),
                Effect::Event(_) => {}
            }
        }
        for delivery in deliveries {
            written.extend(self.tell(Input::Acknowledge { delivery, reason: ReasonCode::Success }));
        }
        written
    }

    /// One connection, until nothing moves any more or it is cut. Gives whether it was cut.
    fn connection(&mut self, cut: Cut, publishes: bool) -> bool {
        let mut to_server = self.tell(Input::Opened);
        let mut to_client = BytesMut::new();
        let mut from_client = Decoder::new(Side::Client, None, u32::MAX);
        let mut from_server = Decoder::new(Side::Server, Some(self.options.version), u32::MAX);
        let mut left = cut;
        let mut has_published = !publishes;
        loop {
            if to_server.is_empty() && to_client.is_empty() && !has_published {
                has_published = true;
                for (token, qos, payload) in [(1, Qos::AtLeastOnce, "out 1"), (2, Qos::ExactlyOnce, "out 2")] {
                    let input = Input::Publish { token: Token(token), message: message(qos, payload) };
                    to_server.extend(self.tell(input));
                }
            }
            if to_server.is_empty() && to_client.is_empty() {
                return false;
            }
            let bytes = to_server.split_to(to_server.len().min(left.to_server));
            left.to_server -= bytes.len();
            self.carried.to_server += bytes.len();
            from_client.extend(&bytes);
            while let Some(packet) = from_client.next_packet().expect("the client writes packets") {
                for answer in self.server.handle(packet) {
                    answer.encode(self.options.version, &mut to_client).expect("it can be written");
                }
            }
            let bytes = to_client.split_to(to_client.len().min(left.to_client));
            left.to_client -= bytes.len();
            self.carried.to_client += bytes.len();
            from_server.extend(&bytes);
            while let Some(packet) = from_server.next_packet().expect("the server writes packets") {
                to_server.extend(self.tell(Input::Packet { packet }));
            }
            let is_cut = left.to_server == 0 && !to_server.is_empty() || left.to_client == 0 && !to_client.is_empty();
            if is_cut {
                return true;
            }
        }
    }

    fn lose(&mut self, process_too: bool) {
        if process_too {
            self.client = Client::restored(Now::simulated(self.now), self.options.clone(), 1, self.kept.clone());
            let _ = self.tell(Input::Connect);
            return;
        }
        let _ = self.tell(Input::Lost { reason: "cut".to_owned() });
        while let Some(deadline) = self.client.deadline() {
            self.now = deadline;
            let opened = self.opened;
            let _ = self.tell(Input::Tick);
            if self.opened > opened {
                break;
            }
        }
    }

    fn count(messages: &[String], payload: &str) -> usize {
        messages.iter().filter(|message| *message == payload).count()
    }
}

fn play(options: &Options, cut: Cut, process_too: bool) -> Story {
    let mut story = Story::new(options.clone());
    let _ = story.tell(Input::Connect);
    // What was published is known to the store at once; before that a process that ends takes it along.
    let was_cut = story.connection(cut, true);
    if was_cut {
        let accepted = Story::count(&story.server.delivered, "out 1") > 0 || story.client.in_flight() > 0;
        story.lose(process_too);
        let again = story.connection(NEVER, !accepted && !story.answered.contains(&Token(1)));
        assert!(!again, "nothing cuts the second connection");
    }
    story
}

#[test]
fn no_cut_loses_or_doubles_a_message() {
    for version in Version::ALL {
        for acknowledge in [Acknowledge::Automatic, Acknowledge::ByHand] {
            for process_too in [false, true] {
                let options = Options {
                    acknowledge,
                    durable: true,
                    clean_start: false,
                    existing_session: true,
                    session_expiry_seconds: Some(3600),
                    ..crate::support::options(version)
                };
                if process_too && version == Version::V3_1 {
                    // 3.1 has no Session Present: nobody can tell whether the first CONNECT reached the server.
                    continue;
                }
                check_every_cut(&options, process_too);
            }
        }
    }
}

fn check_every_cut(options: &Options, process_too: bool) {
    let whole = play(options, NEVER, false).carried;
    let to_server = (1..whole.to_server).map(|bytes| Cut { to_server: bytes, ..NEVER });
    let to_client = (1..whole.to_client).map(|bytes| Cut { to_client: bytes, ..NEVER });
    let mut cuts = 0;
    for cut in to_server.chain(to_client) {
        let story = play(options, cut, process_too);
        let place = format!("{:?}, {cut:?}, process ended: {process_too}", options.version);
        for (messages, name) in [(&story.server.delivered, "out"), (&story.delivered, "in")] {
            let at_least = Story::count(messages, &format!("{name} 1"));
            let exactly = Story::count(messages, &format!("{name} 2"));
            assert!(at_least >= 1, "{place}: '{name} 1' is lost: {messages:?}");
            assert_eq!(exactly, 1, "{place}: '{name} 2': {messages:?}");
        }
        assert_eq!(story.client.in_flight(), 0, "{place}: an exchange is open");
        assert!(story.kept.outgoing.is_empty() && story.kept.received.is_empty(), "{place}: {:?}", story.kept);
        assert!(story.server.one.is_none() && story.server.two.is_none(), "{place}: the server waits");
        if !process_too {
            let both = BTreeSet::from([Token(1), Token(2)]);
            assert_eq!(story.answered, both, "{place}: the application waits");
        }
        cuts += 1;
    }
    assert!(cuts > 60, "the exchanges have more bytes than {cuts}");
}
