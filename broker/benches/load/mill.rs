//! The load: publishers and subscribers on one thread, each with a buffer in and a buffer out.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use squall_codec::qos::Qos;
use tokio::{
    io::Interest,
    net::TcpStream,
    sync::Notify,
    task::{JoinHandle, LocalSet, spawn_local},
    time::{sleep_until, timeout},
};

use super::{
    process::{Running, own_cpu},
    wire::{self, Frame, Stamp, Template, acknowledgement, frame},
};

/// Bytes written at once where nothing else bounds them.
const WRITE: usize = 16 * 1024;
/// At QoS 0 nothing is acknowledged: publishers wait while so many deliveries are under way, else a rate would tell how much
/// a server buffers.
const UNDER_WAY: u64 = 20_000;
const READ: usize = 64 * 1024;
/// Nothing came for so long: what is missing is lost.
const SILENCE: Duration = Duration::from_secs(3);
/// A publisher at a rate writes so often.
const BEAT: Duration = Duration::from_millis(1);

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) publishers: usize,
    pub(crate) subscribers: usize,
    pub(crate) qos: Qos,
    pub(crate) size: usize,
    /// QoS 1 and 2 messages of each publisher that may wait for their last acknowledgement.
    pub(crate) window: usize,
    /// Messages a second of each publisher; `None`: as fast as it goes.
    pub(crate) rate: Option<u32>,
    /// Sessions that outlive their connections.
    pub(crate) keeps_sessions: bool,
    pub(crate) duration: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    pub(crate) disordered: u64,
    /// From the first message to the last that came.
    pub(crate) lasted: Duration,
    /// In nanoseconds.
    pub(crate) latency: Histogram<u64>,
    pub(crate) server_cpu: Duration,
    pub(crate) own_cpu: Duration,
}

/// What all clients share.
struct Floor {
    load: Load,
    start: Instant,
    stopping: Cell<bool>,
    published: Cell<u64>,
    delivered: Cell<u64>,
    disordered: Cell<u64>,
    last: Cell<u64>,
    latency: RefCell<Histogram<u64>>,
    /// Something came, or it is time to stop.
    news: Notify,
}

impl Floor {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn has_room(&self) -> bool {
        let due = self.published.get() * self.load.subscribers as u64;
        self.load.qos != Qos::AtMostOnce || due.saturating_sub(self.delivered.get()) < UNDER_WAY
    }
}

/// In nanoseconds, up to ten minutes.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000_000, 3).expect("the bounds are in order")
}

/// Connects everyone, publishes for the time of the load, and waits for what is under way.
pub(crate) fn run(load: Load, server: &Running) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, play(load, server))
}

async fn play(load: Load, server: &Running) -> io::Result<Outcome> {
    let mut receiving = Vec::new();
    for index in 0..load.subscribers {
        let mut stream = wire::connect(server.address, &format!("reader-{index}"), !load.keeps_sessions)?;
        wire::subscribe(&mut stream, std::iter::once("load/+".to_owned()), load.qos)?;
        receiving.push(Line::new(stream)?);
    }
    let sending: io::Result<Vec<Line>> = (0..load.publishers).map(|index| join(server.address, index, &load)).collect();
    let (server_before, own_before) = (server.cpu()?, own_cpu()?);
    let floor = Rc::new(Floor {
        load,
        start: Instant::now(),
        stopping: Cell::default(),
        published: Cell::default(),
        delivered: Cell::default(),
        disordered: Cell::default(),
        last: Cell::default(),
        latency: RefCell::new(histogram()),
        news: Notify::new(),
    });
    let receivers: Vec<JoinHandle<io::Result<()>>> =
        receiving.into_iter().map(|line| spawn_local(receive(line, Rc::clone(&floor)))).collect();
    let mut senders = Vec::new();
    for (index, line) in (0..).zip(sending?) {
        senders.push(spawn_local(send(line, index, Rc::clone(&floor))));
    }
    tokio::time::sleep(load.duration).await;
    floor.stopping.set(true);
    floor.news.notify_waiters();
    for sender in senders {
        // Who waits for an acknowledgement that never comes is told from one who is slow.
        timeout(wire::PATIENCE, sender).await.map_err(|_| io::Error::other("a publisher is never done"))???;
    }
    let expected = floor.published.get() * load.subscribers as u64;
    let mut before = u64::MAX;
    while floor.delivered.get() < expected && floor.delivered.get() != before {
        before = floor.delivered.get();
        // Whoever still receives is not silent.
        let _ = timeout(SILENCE, floor.news.notified()).await;
    }
    let (server_cpu, own_cpu) = (server.cpu()? - server_before, own_cpu()? - own_before);
    for receiver in receivers {
        match receiver.is_finished() {
            true => receiver.await??,
            false => receiver.abort(),
        }
    }
    Ok(Outcome {
        expected,
        delivered: floor.delivered.get(),
        disordered: floor.disordered.get(),
        lasted: Duration::from_nanos(floor.last.get()),
        latency: floor.latency.borrow().clone(),
        server_cpu,
        own_cpu,
    })
}

fn join(address: SocketAddr, index: usize, load: &Load) -> io::Result<Line> {
    Line::new(wire::connect(address, &format!("writer-{index}"), !load.keeps_sessions)?)
}

/// One connection.
struct Line {
    stream: TcpStream,
    incoming: Vec<u8>,
    /// Bytes of `incoming` that hold something.
    filled: usize,
    out: Vec<u8>,
    written: usize,
}

impl Line {
    fn new(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let stream = TcpStream::from_std(stream)?;
        Ok(Line { stream, incoming: vec![0; READ], filled: 0, out: Vec::new(), written: 0 })
    }

    /// Writes what the system takes.
    fn write(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.try_write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// Reads once, and hands over every whole frame with room for what is to be answered.
    fn read(&mut self, mut each: impl FnMut(Frame, &mut Vec<u8>)) -> io::Result<()> {
        match self.stream.try_read(&mut self.incoming[self.filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
        let mut at = 0;
        while let Some((frame, length)) = frame(&self.incoming[at..self.filled]) {
            each(frame, &mut self.out);
            at += length;
        }
        self.incoming.copy_within(at..self.filled, 0);
        self.filled -= at;
        Ok(())
    }

    async fn ready(&self) -> io::Result<()> {
        let wanted = match self.out.is_empty() {
            true => Interest::READABLE,
            false => Interest::READABLE | Interest::WRITABLE,
        };
        self.stream.ready(wanted).await.map(drop)
    }
}

async fn send(mut line: Line, publisher: u32, floor: Rc<Floor>) -> io::Result<()> {
    let Load { qos, size, window, rate, .. } = floor.load;
    let template = Template::new(&format!("load/{publisher}"), qos, size, false);
    let (mut number, mut open, mut packet_id) = (0u32, 0usize, 0u16);
    loop {
        if !floor.stopping.get() {
            let now = floor.now();
            let due = rate.map_or(u64::MAX, |rate| now * u64::from(rate) / 1_000_000_000);
            let bound = if qos == Qos::AtMostOnce { usize::MAX } else { window };
            while line.out.len() < WRITE && open < bound && u64::from(number) < due && floor.has_room() {
                packet_id = packet_id % u16::MAX + 1;
                template.write(packet_id, Stamp { publisher, number, sent: now }, &mut line.out);
                number += 1;
                open += usize::from(qos != Qos::AtMostOnce);
                floor.published.set(floor.published.get() + 1);
            }
        } else if open == 0 && line.out.is_empty() {
            return Ok(());
        }
        line.write()?;
        if qos == Qos::AtMostOnce && rate.is_none() && line.out.is_empty() {
            // Nobody answers: the others have their turn, and there is more to be written.
            match floor.stopping.get() || floor.has_room() {
                true => tokio::task::yield_now().await,
                false => floor.news.notified().await,
            }
            continue;
        }
        let beat = async {
            match rate {
                Some(_) if !floor.stopping.get() => sleep_until((Instant::now() + BEAT).into()).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            ready = line.ready() => ready?,
            () = beat => {}
        }
        line.read(|frame, out| match frame {
            Frame::Other { first: wire::PUBACK | wire::PUBCOMP, .. } => open -= 1,
            Frame::Other { first: wire::PUBREC, packet_id } => {
                out.extend_from_slice(&acknowledgement(wire::PUBREL, packet_id));
            }
            _ => {}
        })?;
    }
}

async fn receive(mut line: Line, floor: Rc<Floor>) -> io::Result<()> {
    let mut next = vec![0; floor.load.publishers];
    loop {
        line.ready().await?;
        let now = floor.now();
        let mut latency = floor.latency.borrow_mut();
        let mut delivered = 0;
        line.read(|frame, out| match frame {
            Frame::Publish { qos, packet_id, stamp } => {
                match qos {
                    0 => {}
                    1 => out.extend_from_slice(&acknowledgement(wire::PUBACK, packet_id)),
                    _ => out.extend_from_slice(&acknowledgement(wire::PUBREC, packet_id)),
                }
                let Some(Stamp { publisher, number, sent }) = stamp else { return };
                let Some(next) = next.get_mut(publisher as usize) else { return };
                // A message that came before counts once; one that was passed over counts as disorder.
                if number != *next {
                    floor.disordered.set(floor.disordered.get() + 1);
                }
                if number >= *next {
                    delivered += 1;
                    *next = number + 1;
                    latency.saturating_record(now.saturating_sub(sent).max(1));
                }
            }
            Frame::Other { first: wire::PUBREL, packet_id } => {
                out.extend_from_slice(&acknowledgement(wire::PUBCOMP, packet_id));
            }
            Frame::Other { .. } => {}
        })?;
        drop(latency);
        line.write()?;
        if delivered > 0 {
            floor.last.set(now);
            floor.delivered.set(floor.delivered.get() + delivered);
            floor.news.notify_waiters();
        }
    }
}
