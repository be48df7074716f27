//! A world small enough to hold in the head: one thread, virtual time, a server that answers as the test says.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    future::Future,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_codec::{
    packet::{Connack, Packet},
    reason::{ReasonCode, Side},
    version::Version,
};
use squall_scenarios::{
    fault::Fault,
    frames::FrameSplitter,
    liar::Direction,
    links::Links,
    shared_link::SharedLink,
    stage::{Arrival, ClientActor, ClientOptions, End, LocalFuture, Need, Stage, Wire, World},
    transcript::Transcript,
};

/// What the server does, and how long after it was asked.
pub(crate) enum Answer {
    Say(Duration, Packet),
    Bytes(Duration, Vec<u8>),
    End(Duration, End),
}

/// Says this at once.
pub(crate) fn say(packet: Packet) -> Answer {
    Answer::Say(Duration::ZERO, packet)
}

/// CONNACK with success to CONNECT, PINGRESP to PINGREQ; everything else is the test's.
pub(crate) fn polite(mut other: impl FnMut(&Packet) -> Vec<Answer> + 'static) -> Server {
    Box::new(move |packet| match packet {
        Packet::Connect(_) => vec![say(Packet::Connack(Box::new(Connack::new(ReasonCode::Success))))],
        Packet::Pingreq => vec![say(Packet::Pingresp)],
        other_packet => other(other_packet),
    })
}

pub(crate) type Server = Box<dyn FnMut(&Packet) -> Vec<Answer>>;

struct Connection {
    link: SharedLink,
    splitter: FrameSplitter,
    answers: Vec<(Duration, Arrival)>,
}

struct State {
    now: Duration,
    version: Version,
    links: Links,
    transcript: Transcript,
    server: Option<Server>,
    connections: Vec<Connection>,
    sleepers: BTreeSet<Duration>,
    /// What the server has seen end.
    heard: Vec<End>,
}

#[derive(Clone)]
pub(crate) struct Fake(Rc<RefCell<State>>);

impl Fake {
    /// A server for every connection; `None` refuses them.
    pub(crate) fn new(version: Version, server: Option<Server>) -> Self {
        let links = Links::new(7);
        let transcript = links.transcript();
        Fake(Rc::new(RefCell::new(State {
            now: Duration::ZERO,
            version,
            links,
            transcript,
            server,
            connections: Vec::new(),
            sleepers: BTreeSet::new(),
            heard: Vec::new(),
        })))
    }

    pub(crate) fn stage(&self) -> Stage {
        let version = self.0.borrow().version;
        Stage::new(Rc::new(self.clone()), version, "t1", Duration::from_secs(2))
    }

    /// How each connection ended that the server has seen the end of.
    pub(crate) fn heard(&self) -> Vec<End> {
        self.settle();
        self.0.borrow().heard.clone()
    }

    /// Plays to the end. Time jumps to the next thing that happens.
    pub(crate) fn play<T>(&self, story: impl Future<Output = T>) -> T {
        let mut story = std::pin::pin!(story);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            self.settle();
            if let Poll::Ready(value) = story.as_mut().poll(&mut context) {
                return value;
            }
            if self.settle() {
                continue;
            }
            let mut state = self.0.borrow_mut();
            let links = state.connections.iter().filter_map(|connection| connection.link.with(|link| link.deadline()));
            let answers = state.connections.iter().flat_map(|connection| connection.answers.iter().map(|(at, _)| *at));
            let next = links.chain(answers).chain(state.sleepers.iter().copied()).min();
            let next = next.expect("the story waits for something that never comes");
            assert!(next > state.now, "something is due at {next:?} and nobody takes it");
            state.now = next;
            state.sleepers.retain(|at| *at > next);
        }
    }

    /// The server's turn; whether anything moved.
    fn settle(&self) -> bool {
        let mut state = self.0.borrow_mut();
        let State { now, version, server, connections, heard, .. } = &mut *state;
        let Some(server) = server else { return false };
        let mut moved = false;
        for connection in connections {
            while let Some(arrival) = connection.link.with(|link| link.read(*now, Direction::ToServer)) {
                moved = true;
                match arrival {
                    Arrival::Bytes(bytes) => connection.splitter.extend(&bytes),
                    Arrival::End(how) => heard.push(how),
                }
            }
            while let Some(frame) = connection.splitter.next_frame() {
                let packet = Packet::decode(*version, Side::Client, frame).expect("the peer sends what can be read");
                for answer in server(&packet) {
                    let (after, arrival) = match answer {
                        Answer::Say(after, packet) => {
                            let mut bytes = BytesMut::new();
                            packet.encode(*version, &mut bytes).expect("the server says what can be said");
                            (after, Arrival::Bytes(bytes.freeze()))
                        }
                        Answer::Bytes(after, bytes) => (after, Arrival::Bytes(Bytes::from(bytes))),
                        Answer::End(after, how) => (after, Arrival::End(how)),
                    };
                    connection.answers.push((*now + after, arrival));
                }
            }
            let due: Vec<_> = connection.answers.extract_if(.., |(at, _)| *at <= *now).collect();
            for (_, arrival) in due {
                moved = true;
                connection.link.with(|link| match arrival {
                    Arrival::Bytes(bytes) => link.write(*now, Direction::ToClient, bytes),
                    Arrival::End(how) => link.end(*now, Direction::ToClient, how),
                });
            }
        }
        moved
    }
}

impl World for Fake {
    fn connect(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let actor = actor.to_owned();
        Box::pin(async move {
            let mut state = self.0.borrow_mut();
            if state.server.is_none() {
                return Err("connection refused".to_owned());
            }
            let link = state.links.open(state.now, &actor);
            state.connections.push(Connection {
                link: link.clone(),
                splitter: FrameSplitter::default(),
                answers: Vec::new(),
            });
            Ok(Box::new(FakeWire { world: self.clone(), link, ended: None }) as Box<dyn Wire>)
        })
    }

    fn client(&self, _: &str, _: ClientOptions) -> LocalFuture<'_, Result<Rc<dyn ClientActor>, String>> {
        Box::pin(async { Err("no whole clients here".to_owned()) })
    }

    fn now(&self) -> Duration {
        self.0.borrow().now
    }

    fn sleep_until(&self, at: Duration) -> LocalFuture<'_, ()> {
        Box::pin(std::future::poll_fn(move |_| {
            let mut state = self.0.borrow_mut();
            if state.now >= at {
                return Poll::Ready(());
            }
            state.sleepers.insert(at);
            Poll::Pending
        }))
    }

    fn offers(&self, _: Need) -> Result<(), String> {
        Err("nothing beyond links here".to_owned())
    }

    fn apply(&self, fault: &Fault) -> LocalFuture<'_, Result<(), String>> {
        let state = self.0.borrow();
        let applied = state.links.apply(state.now, fault);
        Box::pin(async { applied })
    }

    fn transcript(&self) -> Transcript {
        self.0.borrow().transcript.clone()
    }

    fn untouched(&self) -> Vec<String> {
        self.0.borrow().links.unhit()
    }
}

struct FakeWire {
    world: Fake,
    link: SharedLink,
    ended: Option<End>,
}

impl Wire for FakeWire {
    fn send(&mut self, bytes: Bytes) -> LocalFuture<'_, ()> {
        let mut bytes = Some(bytes);
        Box::pin(std::future::poll_fn(move |_| {
            if self.link.with(|link| link.room(Direction::ToServer)) == 0 {
                return Poll::Pending;
            }
            let now = self.world.now();
            if let Some(bytes) = bytes.take() {
                self.link.with(|link| link.write(now, Direction::ToServer, bytes));
            }
            Poll::Ready(())
        }))
    }

    fn receive(&mut self) -> LocalFuture<'_, Arrival> {
        Box::pin(std::future::poll_fn(|_| {
            if let Some(how) = self.ended {
                return Poll::Ready(Arrival::End(how));
            }
            let now = self.world.now();
            let Some(arrival) = self.link.with(|link| link.read(now, Direction::ToClient)) else {
                return Poll::Pending;
            };
            if let Arrival::End(how) = arrival {
                self.ended = Some(how);
            }
            Poll::Ready(arrival)
        }))
    }

    fn close(&mut self, how: End) -> LocalFuture<'_, ()> {
        let now = self.world.now();
        self.link.with(|link| link.end(now, Direction::ToServer, how));
        Box::pin(async {})
    }
}

impl Drop for FakeWire {
    fn drop(&mut self) {
        let now = self.world.now();
        self.link.with(|link| {
            link.end(now, Direction::ToServer, End::Fin);
            link.abandon(Direction::ToClient);
        });
    }
}
