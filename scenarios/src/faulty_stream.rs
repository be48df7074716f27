//! The link as a byte stream: what the turmoil and the live world wrap around their sockets.
//!
//! Two halves share the link: the actor's end is an ordinary stream, the pump owns the socket to the subject. Bytes move
//! though the actor neither reads nor writes, as they do in a kernel. Time is tokio's, so it is virtual where tokio's is.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use crate::{
    liar::Direction,
    shared_link::SharedLink,
    stage::{Arrival, End, LocalFuture, Wire},
    transcript::What,
};

/// Bytes that are read from a socket at once.
const READ_BYTES: usize = 16 * 1024;

/// The actor's end of a link in front of a socket.
#[derive(Debug)]
pub struct FaultyStream {
    link: SharedLink,
    started: Instant,
    alarm: Alarm,
    /// Came out of the link, and did not fit into the reader's buffer.
    rest: Bytes,
    ended: Option<End>,
    closed: bool,
}

impl FaultyStream {
    /// Puts `link` in front of a socket. `started` is time zero of the stage; `abort` ends the socket with RST, as far
    /// as it can. The pump has to be spawned: without it nothing moves.
    pub fn new<Io>(io: Io, link: SharedLink, started: Instant, abort: fn(Io)) -> (FaultyStream, Pump<Io>) {
        let pump = Pump {
            io: Some(io),
            abort,
            link: link.clone(),
            started,
            alarm: Alarm::default(),
            outgoing: Bytes::new(),
            ending: None,
            said_fin: false,
            heard_fin: false,
            buffer: Vec::new(),
        };
        let stream =
            FaultyStream { link, started, alarm: Alarm::default(), rest: Bytes::new(), ended: None, closed: false };
        (stream, pump)
    }

    /// Ends the connection with RST.
    pub fn abort(mut self) {
        self.finish(End::Reset);
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn finish(&mut self, how: End) {
        if !self.closed {
            self.closed = true;
            let now = self.now();
            self.link.tell(now, What::Closed { how: how.name() });
            self.link.with(|link| link.end(now, Direction::ToServer, how));
        }
    }
}

impl Drop for FaultyStream {
    fn drop(&mut self) {
        self.finish(End::Fin);
        self.link.with(|link| link.abandon(Direction::ToClient));
    }
}

impl AsyncRead for FaultyStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.rest.is_empty() {
                let size = this.rest.len().min(buffer.remaining());
                buffer.put_slice(&this.rest.split_to(size));
                return Poll::Ready(Ok(()));
            }
            match this.ended {
                Some(End::Fin) => return Poll::Ready(Ok(())),
                Some(End::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {}
            }
            let now = this.now();
            match this.link.poll_with(context, |link| link.read(now, Direction::ToClient)) {
                Some(Arrival::Bytes(bytes)) => {
                    this.link.observe(now, Direction::ToClient, &bytes);
                    this.rest = bytes;
                    // There is room again.
                    this.link.wake();
                }
                Some(Arrival::End(how)) => {
                    this.link.tell(now, What::Ended { how: how.name() });
                    this.ended = Some(how);
                }
                None => {
                    let deadline = this.link.with_quietly(|link| link.deadline_of(Direction::ToClient));
                    ready!(this.alarm.poll(context, this.started, deadline));
                }
            }
        }
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.ended == Some(End::Reset) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let room = |link: &mut crate::link::Link| Some(link.room(Direction::ToServer)).filter(|room| *room > 0);
        let Some(room) = this.link.poll_with(context, room) else { return Poll::Pending };
        let now = this.now();
        let bytes = &bytes[..room.min(bytes.len())];
        this.link.observe(now, Direction::ToServer, bytes);
        this.link.with(|link| link.write(now, Direction::ToServer, Bytes::copy_from_slice(bytes)));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().finish(End::Fin);
        Poll::Ready(Ok(()))
    }
}

/// Moves bytes between the link and the socket until both are done.
#[derive(Debug)]
pub struct Pump<Io> {
    io: Option<Io>,
    abort: fn(Io),
    link: SharedLink,
    started: Instant,
    alarm: Alarm,
    /// On its way into the socket.
    outgoing: Bytes,
    /// To be done when `outgoing` has left.
    ending: Option<End>,
    said_fin: bool,
    heard_fin: bool,
    buffer: Vec<u8>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Future for Pump<Io> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // First, so that no change between a look and the end of this turn is missed.
        this.link.register(context);
        loop {
            let towards_server = this.poll_out(context);
            let towards_client = this.poll_in(context);
            if this.io.is_none() || (this.said_fin && this.heard_fin) {
                return Poll::Ready(());
            }
            if towards_server.is_pending() && towards_client.is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Pump<Io> {
    /// One step from the link into the socket. Pending: nothing to do until woken.
    fn poll_out(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(io) = &mut self.io else { return Poll::Pending };
        if self.said_fin {
            return Poll::Pending;
        }
        if !self.outgoing.is_empty() {
            match ready!(Pin::new(io).poll_write(context, &self.outgoing)) {
                Ok(0) | Err(_) => self.broken(),
                Ok(written) => {
                    let now = self.started.elapsed();
                    self.link.observe_at_server(now, Direction::ToServer, &self.outgoing[..written]);
                    self.outgoing.advance(written);
                }
            }
            return Poll::Ready(());
        }
        if self.ending == Some(End::Fin) {
            // A socket that cannot be shut down any more has ended already.
            let _ = ready!(Pin::new(io).poll_shutdown(context));
            self.said_fin = true;
            self.link.tell_at_server(self.started.elapsed(), What::Closed { how: End::Fin.name() });
            return Poll::Ready(());
        }
        let now = self.started.elapsed();
        match self.link.with_quietly(|link| link.read(now, Direction::ToServer)) {
            Some(Arrival::Bytes(bytes)) => {
                self.outgoing = bytes;
                self.link.wake();
                self.link.register(context);
                Poll::Ready(())
            }
            Some(Arrival::End(End::Fin)) => {
                self.ending = Some(End::Fin);
                Poll::Ready(())
            }
            Some(Arrival::End(End::Reset)) => {
                if let Some(io) = self.io.take() {
                    (self.abort)(io);
                    self.link.tell_at_server(now, What::Closed { how: End::Reset.name() });
                }
                Poll::Ready(())
            }
            None => {
                if let Poll::Ready(Err(_)) = Pin::new(io).poll_flush(context) {
                    self.broken();
                    return Poll::Ready(());
                }
                let deadline = self.link.with_quietly(|link| link.deadline_of(Direction::ToServer));
                self.alarm.poll(context, self.started, deadline)
            }
        }
    }

    /// One step from the socket into the link. Pending: nothing to do until woken.
    fn poll_in(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(io) = &mut self.io else { return Poll::Pending };
        if self.heard_fin {
            return Poll::Pending;
        }
        let (room, actor_is_gone) = self
            .link
            .with_quietly(|link| (link.room(Direction::ToClient), link.is_read_to_the_end(Direction::ToClient)));
        if room == 0 {
            return Poll::Pending;
        }
        self.buffer.resize(READ_BYTES.min(room), 0);
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let read = ready!(Pin::new(io).poll_read(context, &mut buffer));
        let now = self.started.elapsed();
        match read {
            Ok(()) if buffer.filled().is_empty() => {
                self.heard_fin = true;
                self.ended_at_server(now, End::Fin);
                self.link.with(|link| link.end(now, Direction::ToClient, End::Fin));
            }
            // A kernel answers what comes for a closed socket with RST.
            Ok(()) if actor_is_gone && self.said_fin => {
                if let Some(io) = self.io.take() {
                    (self.abort)(io);
                    self.link.tell_at_server(now, What::Closed { how: End::Reset.name() });
                }
            }
            Ok(()) => {
                self.link.observe_at_server(now, Direction::ToClient, buffer.filled());
                let bytes = Bytes::copy_from_slice(buffer.filled());
                self.link.with(|link| link.write(now, Direction::ToClient, bytes));
            }
            Err(_) => self.broken(),
        }
        self.link.register(context);
        Poll::Ready(())
    }

    /// A machine without power says nothing, whatever has become of its socket.
    fn ended_at_server(&self, now: Duration, how: End) {
        if !self.link.with_quietly(|link| link.is_forgotten()) {
            self.link.tell_at_server(now, What::Ended { how: how.name() });
        }
    }

    /// The subject's side is gone.
    fn broken(&mut self) {
        let now = self.started.elapsed();
        self.io = None;
        self.ended_at_server(now, End::Reset);
        self.link.with(|link| {
            link.end(now, Direction::ToClient, End::Reset);
            link.abandon(Direction::ToServer);
        });
    }
}

/// Wakes a task at a time of the stage.
#[derive(Debug, Default)]
struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// Ready when the deadline has come; without one it never comes.
    fn poll(&mut self, context: &mut Context<'_>, started: Instant, deadline: Option<Duration>) -> Poll<()> {
        let Some(deadline) = deadline else { return Poll::Pending };
        let at = started + deadline;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(context)
    }
}

/// A raw connection over any stream.
#[derive(Debug)]
pub struct StreamWire<Io> {
    io: Option<Io>,
    abort: fn(Io),
    outbox: BytesMut,
    buffer: Vec<u8>,
    ended: Option<End>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> StreamWire<Io> {
    /// `abort` ends the stream with RST, as far as it can.
    pub fn new(io: Io, abort: fn(Io)) -> Self {
        StreamWire { io: Some(io), abort, outbox: BytesMut::new(), buffer: vec![0; READ_BYTES], ended: None }
    }

    /// Writes what waits. A stream that takes nothing any more swallows it: `receive` shows why.
    fn poll_outbox(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.outbox.is_empty() {
            let written = match &mut self.io {
                Some(io) => ready!(Pin::new(io).poll_write(context, &self.outbox)).unwrap_or(0),
                None => 0,
            };
            if written == 0 {
                self.outbox.clear();
            } else {
                self.outbox.advance(written);
            }
        }
        if let Some(io) = &mut self.io {
            let _ = ready!(Pin::new(io).poll_flush(context));
        }
        Poll::Ready(())
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Arrival> {
        // What an abandoned `send` left behind goes on here.
        let _ = self.poll_outbox(context);
        if let Some(how) = self.ended {
            return Poll::Ready(Arrival::End(how));
        }
        let Some(io) = &mut self.io else { return Poll::Ready(Arrival::End(End::Reset)) };
        let mut buffer = ReadBuf::new(&mut self.buffer);
        let how = match ready!(Pin::new(io).poll_read(context, &mut buffer)) {
            Ok(()) if !buffer.filled().is_empty() => {
                return Poll::Ready(Arrival::Bytes(Bytes::copy_from_slice(buffer.filled())));
            }
            Ok(()) => End::Fin,
            Err(_) => End::Reset,
        };
        self.ended = Some(how);
        Poll::Ready(Arrival::End(how))
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Wire for StreamWire<Io> {
    fn send(&mut self, bytes: Bytes) -> LocalFuture<'_, ()> {
        self.outbox.extend_from_slice(&bytes);
        Box::pin(std::future::poll_fn(|context| self.poll_outbox(context)))
    }

    fn receive(&mut self) -> LocalFuture<'_, Arrival> {
        Box::pin(std::future::poll_fn(|context| self.poll_receive(context)))
    }

    fn close(&mut self, how: End) -> LocalFuture<'_, ()> {
        Box::pin(std::future::poll_fn(move |context| {
            if how == End::Reset {
                if let Some(io) = self.io.take() {
                    (self.abort)(io);
                }
                self.ended.get_or_insert(End::Reset);
                return Poll::Ready(());
            }
            ready!(self.poll_outbox(context));
            if let Some(io) = &mut self.io {
                let _ = ready!(Pin::new(io).poll_shutdown(context));
            }
            Poll::Ready(())
        }))
    }
}
