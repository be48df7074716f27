//! The live world: a real address over TCP, real time. Each actor's connection goes through a link of our own.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use squall_scenarios::{
    fault::Fault,
    faulty_stream::{FaultyStream, StreamWire},
    links::Links,
    stage::{ClientActor, ClientOptions, LocalFuture, Need, Wire, World},
    transcript::Transcript,
};
use tokio::{
    net::TcpStream,
    task::spawn_local,
    time::{Instant, sleep_until},
};

use crate::target::connect;

/// A real address. It must be used inside a `LocalSet`.
#[derive(Clone, Debug)]
pub struct Live {
    address: SocketAddr,
    started: Instant,
    links: Links,
    transcript: Transcript,
}

impl Live {
    /// A stage at this address that begins now.
    pub fn new(address: SocketAddr) -> Self {
        let (links, transcript) = (Links::new(0), Transcript::new());
        let book = links.clone();
        transcript.pull_from(move || book.take_notes());
        Live { address, started: Instant::now(), links, transcript }
    }
}

/// Ends a connection with RST.
fn abort(stream: TcpStream) {
    // Without it the socket is dropped, which is FIN where nothing is unread: the nearest that can then be had.
    let _ = stream.set_zero_linger();
}

impl World for Live {
    fn connect(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let actor = actor.to_owned();
        Box::pin(async move {
            let socket =
                connect(self.address).await.map_err(|error| format!("cannot connect to {}: {error}", self.address))?;
            let link = self.links.open(self.now(), &actor);
            let (stream, pump) = FaultyStream::new(socket, link, self.started, abort);
            spawn_local(pump);
            Ok(Box::new(StreamWire::new(stream, FaultyStream::abort)) as Box<dyn Wire>)
        })
    }

    fn client(&self, _actor: &str, _options: ClientOptions) -> LocalFuture<'_, Result<Rc<dyn ClientActor>, String>> {
        let refused = self.offers(Need::Client);
        Box::pin(std::future::ready(Err(refused.err().unwrap_or_default())))
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep_until(&self, at: Duration) -> LocalFuture<'_, ()> {
        Box::pin(sleep_until(self.started + at))
    }

    fn offers(&self, need: Need) -> Result<(), String> {
        match need {
            Need::Jump => Err("real time cannot be skipped".to_owned()),
            Need::Restart => Err("a server that was not started here cannot be restarted".to_owned()),
            Need::PowerLoss => Err("the power of a server that was not started here cannot be cut".to_owned()),
            Need::Configuration => Err("a server that was not started here is set up as it is".to_owned()),
            Need::Client => Err("whole clients do not play at a real address yet".to_owned()),
            Need::Network => Err("the network between here and a real address cannot be changed".to_owned()),
        }
    }

    fn apply(&self, fault: &Fault) -> LocalFuture<'_, Result<(), String>> {
        let applied = self.links.apply(self.now(), fault);
        Box::pin(std::future::ready(applied))
    }

    fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    fn untouched(&self) -> Vec<String> {
        self.links.unhit()
    }
}
