//! The live world: a real address, real time. Each actor's connection goes through a link of our own, above TLS and
//! WebSocket where there are such.

use std::{rc::Rc, time::Duration};

use squall_codec::version::Version;
use squall_scenarios::{
    armed::Armed,
    fault::{Fault, Moment, Triggered},
    faulty_stream::{FaultyStream, StreamWire},
    links::Links,
    outage::Outage,
    stage::{ClientActor, ClientOptions, LocalFuture, Need, Wire, World},
    transcript::{Transcript, What},
};
use tokio::{
    task::{spawn_blocking, spawn_local},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    dial::{Dialer, Socket},
    launch::instance::{ASK, Instance},
    preflight::Subject,
};

/// A real address. It must be used inside a `LocalSet`.
#[derive(Clone, Debug)]
pub struct Live {
    dialer: Dialer,
    /// Where another version is spoken, if that is not the same place.
    elsewhere: Vec<(Version, Dialer)>,
    /// Where it was started here.
    instance: Option<Rc<Instance>>,
    started: Instant,
    links: Links,
    transcript: Transcript,
}

impl Live {
    /// A stage at this address that begins now.
    pub fn new(dialer: Dialer) -> Self {
        let links = Links::new(0);
        let transcript = links.transcript();
        Live { dialer, elsewhere: Vec::new(), instance: None, started: Instant::now(), links, transcript }
    }

    /// A stage where the subject speaks this version. Who speaks another one is sent where that is spoken.
    pub fn at(subject: &Subject, version: Version) -> Self {
        let elsewhere = subject.spoken.iter().map(|(other, _)| (*other, subject.dialer(*other).clone())).collect();
        Live { elsewhere, ..Live::new(subject.dialer(version).clone()) }
    }

    /// A stage at a broker that was started here, where it speaks this version, and that can be taken down.
    pub fn launched(instance: Rc<Instance>, version: Version) -> Self {
        let live = Live::at(instance.subject(), version);
        Live { instance: Some(instance), ..live }
    }

    /// What was started here for it.
    pub(crate) fn instance(&self) -> Option<&Rc<Instance>> {
        self.instance.as_ref()
    }

    /// The same place with a record of its own.
    pub(crate) fn anew(&self) -> Self {
        Live { instance: self.instance.clone(), ..Live::new(self.dialer.clone()) }
    }

    /// A connection behind the actor's link.
    fn linked(&self, socket: Socket, actor: &str) -> Box<dyn Wire> {
        let link = self.links.open(self.now(), actor);
        let (stream, pump) = FaultyStream::new(socket, link, self.started, Socket::abort);
        spawn_local(pump);
        Box::new(StreamWire::new(stream, FaultyStream::abort))
    }

    /// What happens to the broker itself.
    fn strike(&self, summary: String) {
        self.transcript.record(self.now(), &Rc::from("broker"), 0, What::Fault { summary });
    }
}

impl World for Live {
    fn connect(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let actor = actor.to_owned();
        Box::pin(async move {
            let address = self.dialer.address();
            let socket = loop {
                let is_away = self.instance.as_ref().is_some_and(|instance| instance.is_away());
                match self.dialer.dial().await {
                    // One that was taken down is on its way back, or whoever took it down says that it is not.
                    Err(_) if is_away => sleep(ASK).await,
                    dialed => break dialed.map_err(|error| format!("cannot connect to {address}: {error}"))?,
                }
            };
            Ok(self.linked(socket, &actor))
        })
    }

    fn speaking(&self, version: Version) -> Option<Rc<dyn World>> {
        let (_, dialer) = self.elsewhere.iter().find(|(other, _)| *other == version)?;
        Some(Rc::new(Live { dialer: dialer.clone(), ..self.clone() }))
    }

    fn web_socket(&self) -> Result<String, String> {
        let uri = self.dialer.web_socket().map(str::to_owned);
        uri.ok_or_else(|| "MQTT is not reached over a WebSocket here: the target is no ws:// or wss://".to_owned())
    }

    fn connect_below(&self, actor: &str) -> LocalFuture<'_, Result<Box<dyn Wire>, String>> {
        let actor = actor.to_owned();
        Box::pin(async move {
            let address = self.dialer.address();
            let socket = self.dialer.dial_below().await;
            let socket = socket.map_err(|error| format!("cannot connect to {address}: {error}"))?;
            Ok(self.linked(socket, &actor))
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

    fn compute(&self, work: Box<dyn FnOnce() + Send>) -> LocalFuture<'static, ()> {
        // Whoever asked finds nothing where it panicked.
        Box::pin(async { drop(spawn_blocking(work).await) })
    }

    fn offers(&self, need: Need) -> Result<(), String> {
        match need {
            Need::Jump => Err("real time cannot be skipped".to_owned()),
            Need::Restart if self.instance.is_some() => Ok(()),
            Need::Restart => Err("a server that was not started here cannot be restarted".to_owned()),
            Need::PowerLoss => Err("the power of a server that was not started here cannot be cut".to_owned()),
            Need::Invariants => Err("a story at a real address is judged by its own expectations".to_owned()),
            Need::Clock => Err("the clock of a real server's machine cannot be set".to_owned()),
            Need::Configuration => {
                Err("the settings of a story are those of our own broker in a virtual world".to_owned())
            }
            Need::Arrival => {
                Err("nobody sees when a packet has reached a real server: name what it answers instead".to_owned())
            }
            Need::OwnBroker => {
                Err("the standard leaves this to the server, and the story tells what our own broker does".to_owned())
            }
            Need::WholeTree => {
                Err("others may use this server, and the topics of the story are everybody's".to_owned())
            }
            Need::Client => Err("whole clients do not play at a real address yet".to_owned()),
            Need::Network => Err("the network between here and a real address cannot be changed".to_owned()),
        }
    }

    fn apply(&self, fault: &Fault) -> LocalFuture<'_, Result<(), String>> {
        let applied = self.links.apply(self.now(), fault);
        Box::pin(std::future::ready(applied))
    }

    fn arm(&self, moment: &Moment, what: Triggered) -> Result<Armed, String> {
        self.links.arm(moment, what)
    }

    fn outage(&self, outage: Outage) -> LocalFuture<'_, Result<(), String>> {
        Box::pin(async move {
            let instance = self.instance.as_ref().ok_or("a server that was not started here cannot be restarted")?;
            self.strike(outage.to_string());
            instance.outage(outage).await?;
            self.strike("the broker runs again".to_owned());
            Ok(())
        })
    }

    fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    fn untouched(&self) -> Vec<String> {
        self.links.unhit()
    }

    fn why_untouched(&self, fault: &str) -> Option<String> {
        self.links.why_unhit(fault)
    }
}
