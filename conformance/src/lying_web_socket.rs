//! A world whose WebSocket lies: a liar sits below it, and sees heads of handshakes and frames of WebSockets in the place of
//! packets. Feature `own-broker`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::pending,
    rc::Rc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use squall_scenarios::{
    fault::Fault,
    liar::{Direction, Liar, Lie},
    outage::{DiskState, Outage},
    stage::{Arrival, ClientActor, ClientOptions, End, LocalFuture, Need, Wire, World},
    transcript::Transcript,
};

use crate::web_socket_frame::extent;

/// Another world with a liar below its WebSocket. A liar here speaks on the connection that it listens to, and at once:
/// lies on other connections and for later are not told.
pub(crate) struct LyingWebSocket {
    world: Rc<dyn World>,
    liar: Rc<RefCell<Box<dyn Liar>>>,
    connections: Cell<u64>,
}

impl LyingWebSocket {
    pub(crate) fn new(world: Rc<dyn World>, liar: Box<dyn Liar>) -> Self {
        LyingWebSocket { world, liar: Rc::new(RefCell::new(liar)), connections: Cell::new(0) }
    }
}

impl World for LyingWebSocket {
    fn connect(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        self.world.connect(actor)
    }

    fn web_socket(&self) -> Result<String, String> {
        self.world.web_socket()
    }

    fn connect_below(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let number = self.connections.get();
        self.connections.set(number + 1);
        let actor = actor.to_owned();
        Box::pin(async move {
            let wire = self.world.connect_below(&actor).await?;
            let lying = LyingWire {
                world: Rc::clone(&self.world),
                liar: Rc::clone(&self.liar),
                wire,
                number,
                to_server: Units::default(),
                to_client: Units::default(),
                inbox: VecDeque::new(),
            };
            Ok(Box::new(lying) as Box<dyn Wire>)
        })
    }

    fn client(&self, actor: &str, options: ClientOptions) -> LocalFuture<'_, Result<Rc<dyn ClientActor>, String>> {
        self.world.client(actor, options)
    }

    fn now(&self) -> Duration {
        self.world.now()
    }

    fn sleep_until(&self, at: Duration) -> LocalFuture<'_, ()> {
        self.world.sleep_until(at)
    }

    fn offers(&self, need: Need) -> Result<(), String> {
        self.world.offers(need)
    }

    fn apply(&self, fault: &Fault) -> LocalFuture<'_, Result<(), String>> {
        self.world.apply(fault)
    }

    fn outage(&self, outage: Outage) -> LocalFuture<'_, Result<(), String>> {
        self.world.outage(outage)
    }

    fn set_disk(&self, state: DiskState) -> Result<(), String> {
        self.world.set_disk(state)
    }

    fn transcript(&self) -> Transcript {
        self.world.transcript()
    }

    fn untouched(&self) -> Vec<String> {
        self.world.untouched()
    }
}

/// One direction, cut into the head of the handshake and frames.
#[derive(Default)]
struct Units {
    unread: BytesMut,
    has_head: bool,
}

impl Units {
    fn extend(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Bytes> {
        const END: &[u8] = b"\r\n\r\n";
        let length = if self.has_head {
            let (header, payload) = extent(&self.unread)?;
            header + payload
        } else {
            self.unread.windows(END.len()).position(|window| window == END)? + END.len()
        };
        if self.unread.len() < length {
            return None;
        }
        self.has_head = true;
        Some(self.unread.split_to(length).freeze())
    }
}

struct LyingWire {
    world: Rc<dyn World>,
    liar: Rc<RefCell<Box<dyn Liar>>>,
    wire: Box<dyn Wire>,
    number: u64,
    to_server: Units,
    to_client: Units,
    inbox: VecDeque<Arrival>,
}

impl LyingWire {
    /// Shows one unit to the liar, and tells what it makes of it.
    async fn lie(&mut self, direction: Direction, unit: Bytes) {
        let mut lies = Vec::new();
        self.liar.borrow_mut().frame(self.world.now(), self.number, direction, unit, &mut lies);
        for lie in lies {
            match lie {
                Lie::Frame(number, Direction::ToServer, bytes) if number == self.number => self.wire.send(bytes).await,
                Lie::Frame(number, Direction::ToClient, bytes) if number == self.number => {
                    self.inbox.push_back(Arrival::Bytes(bytes));
                }
                Lie::Close(number) if number == self.number => {
                    self.wire.close(End::Fin).await;
                    self.inbox.push_back(Arrival::End(End::Fin));
                }
                Lie::Frame(..) | Lie::Close(_) => {}
            }
        }
    }
}

impl Wire for LyingWire {
    fn send(&mut self, bytes: Bytes) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            self.to_server.extend(&bytes);
            while let Some(unit) = self.to_server.next() {
                self.lie(Direction::ToServer, unit).await;
            }
        })
    }

    fn receive(&mut self) -> LocalFuture<'_, Arrival> {
        Box::pin(async move {
            loop {
                match self.inbox.front() {
                    // An end stays at that.
                    Some(Arrival::End(how)) => return Arrival::End(*how),
                    Some(Arrival::Bytes(_)) => return self.inbox.pop_front().expect("it was just seen"),
                    None => {}
                }
                match self.wire.receive().await {
                    Arrival::Bytes(bytes) => {
                        self.to_client.extend(&bytes);
                        while let Some(unit) = self.to_client.next() {
                            self.lie(Direction::ToClient, unit).await;
                        }
                    }
                    Arrival::End(how) => {
                        let mut lies = Vec::new();
                        let (now, number) = (self.world.now(), self.number);
                        if !self.liar.borrow_mut().ended(now, number, Direction::ToClient, &mut lies) {
                            return pending().await;
                        }
                        self.inbox.push_back(Arrival::End(how));
                    }
                }
            }
        })
    }

    fn close(&mut self, how: End) -> LocalFuture<'_, ()> {
        self.wire.close(how)
    }
}
