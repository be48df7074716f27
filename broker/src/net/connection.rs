//! One loop for every transport: bytes to packets, effects to bytes.
//!
//! Reading and writing go on side by side: a client that is slow to read is still heard, and one that sends without end
//! does not keep its answers from leaving. An idle connection owns no buffer.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use squall_codec::{packet::Packet, reason::Side, stream::Decoder, version::Version};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf},
    sync::mpsc,
    time::Sleep,
};

use super::server::{Flush, Outgoing, ToCore};
use crate::core::effect::{ConnectionId, Input};

/// Bytes read at once, into a buffer that all connections of a thread share.
const READ_SIZE: usize = 64 * 1024;
/// Packets are encoded into one buffer up to about so many bytes, and written at once.
const WRITE_SIZE: usize = 64 * 1024;
/// How long a peer may take to read what is still to be written when its connection ends.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);
/// How long, and how many bytes, we go on reading from a peer that was told goodbye. To close with bytes unread would
/// reset the connection, and the peer might never see what was written last.
const LINGER_PATIENCE: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// The task of one connection.
pub(super) struct Task<Io> {
    connection: ConnectionId,
    reader: ReadHalf<Io>,
    writer: WriteHalf<Io>,
    decoder: Decoder,
    to_core: mpsc::Sender<ToCore>,
    flushes: mpsc::UnboundedSender<Flush>,
    outbox: mpsc::UnboundedReceiver<Vec<Outgoing>>,
    /// What is to be written, in order.
    pending: VecDeque<(Version, Packet)>,
    /// What is being written.
    out: BytesMut,
    /// The transport may hold back what was written.
    unflushed: bool,
    /// Whether packets are still taken from the peer.
    reading: bool,
    /// The peer has closed its direction.
    peer_closed: bool,
    /// Nothing can be written any more.
    broken: bool,
    /// Set when the connection ends: until then what is pending may be written.
    goodbye: Option<Pin<Box<Sleep>>>,
}

/// What one round has brought.
#[derive(Default)]
struct Progress {
    /// The core said something.
    heard: bool,
    /// Bytes that left.
    flushed: usize,
    /// Bytes came; or none, at the end.
    read: Option<io::Result<usize>>,
    /// The patience of `goodbye` is over.
    out_of_patience: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin + Send> Task<Io> {
    pub(super) fn new(
        connection: ConnectionId,
        io: Io,
        maximum_packet_size: u32,
        to_core: mpsc::Sender<ToCore>,
        flushes: mpsc::UnboundedSender<Flush>,
        outbox: mpsc::UnboundedReceiver<Vec<Outgoing>>,
    ) -> Self {
        let (reader, writer) = tokio::io::split(io);
        Task {
            connection,
            reader,
            writer,
            decoder: Decoder::new(Side::Client, None, maximum_packet_size),
            to_core,
            flushes,
            outbox,
            pending: VecDeque::new(),
            out: BytesMut::new(),
            unflushed: false,
            reading: true,
            peer_closed: false,
            broken: false,
            goodbye: None,
        }
    }

    /// Until the connection has ended in both directions, or nobody is left to care.
    pub(super) async fn run(mut self) {
        loop {
            let progress = poll_fn(|cx| self.poll_progress(cx)).await;
            if progress.out_of_patience {
                break;
            }
            let flush = Flush { connection: self.connection, bytes: progress.flushed };
            if flush.bytes > 0 && self.flushes.send(flush).is_err() {
                return;
            }
            let inputs = self.inputs(&progress);
            if !inputs.is_empty() && self.to_core.send(ToCore::Inputs(inputs)).await.is_err() {
                return;
            }
            let written = self.pending.is_empty() && self.out.is_empty() && !self.unflushed;
            if self.goodbye.is_some() && (written || self.broken) {
                break;
            }
        }
        self.part().await;
    }

    /// One round over everything that can happen, so that nothing waits behind something else.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let mut progress = Progress::default();
        while self.goodbye.is_none() {
            let Poll::Ready(group) = self.outbox.poll_recv(cx) else { break };
            progress.heard = true;
            self.hear(group);
        }
        if let Poll::Ready(Err(error)) = self.poll_write(cx, &mut progress.flushed) {
            tracing::debug!(connection = self.connection.0, %error, "could not write");
            self.broken = true;
            progress.read = self.reading.then_some(Err(error));
        }
        if self.reading
            && progress.read.is_none()
            && let Poll::Ready(result) = self.poll_read(cx)
        {
            progress.read = Some(result);
        }
        let patience = self.goodbye.as_mut().map(|sleep| sleep.as_mut().poll(cx));
        progress.out_of_patience = patience.is_some_and(|patience| patience.is_ready());
        let Progress { heard, flushed, ref read, out_of_patience } = progress;
        match heard || flushed > 0 || read.is_some() || out_of_patience {
            true => Poll::Ready(progress),
            false => Poll::Pending,
        }
    }

    /// What the core says.
    fn hear(&mut self, group: Option<Vec<Outgoing>>) {
        // The core forgets a connection that has closed; what was answered before that is still written.
        let mut ends = group.is_none();
        for outgoing in group.into_iter().flatten() {
            match outgoing {
                Outgoing::Packet(version, packet) => self.pending.push_back((version, packet)),
                Outgoing::Close { patient } => {
                    ends = true;
                    self.broken |= !patient;
                }
            }
        }
        if ends {
            self.reading = false;
            self.goodbye = Some(Box::pin(tokio::time::sleep(FLUSH_PATIENCE)));
        }
    }

    /// Writes as much as the transport takes. Ready with `Ok` when there is nothing left to write.
    fn poll_write(&mut self, cx: &mut Context<'_>, flushed: &mut usize) -> Poll<io::Result<()>> {
        while !self.broken {
            *flushed += self.encode();
            if self.out.is_empty() {
                break;
            }
            let written = ready!(Pin::new(&mut self.writer).poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
            self.unflushed = true;
            *flushed += written;
        }
        if self.unflushed && !self.broken {
            ready!(Pin::new(&mut self.writer).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Encodes pending packets when all before them are written: how many bytes will never be written because their
    /// packet has no encoding.
    fn encode(&mut self) -> usize {
        if !self.out.is_empty() {
            return 0;
        }
        // What an idle connection owns is nothing.
        self.out = BytesMut::new();
        let mut lost = 0;
        while self.out.len() < WRITE_SIZE
            && let Some((version, packet)) = self.pending.pop_front()
        {
            if let Err(error) = packet.encode(version, &mut self.out) {
                tracing::error!(connection = self.connection.0, %error, "a packet could not be encoded");
                lost += packet.encoded_len(version);
            }
        }
        lost
    }

    /// Reads into the thread's buffer; only a partial frame is kept, in the decoder.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.reader).poll_read(cx, &mut buffer))?;
            self.decoder.extend(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }

    /// What the core has to hear of this round.
    fn inputs(&mut self, progress: &Progress) -> Vec<Input> {
        let connection = self.connection;
        let mut inputs = Vec::new();
        if !self.reading {
            return inputs;
        }
        match &progress.read {
            None => return inputs,
            Some(Ok(1..)) => {}
            Some(ended) => {
                self.reading = false;
                self.peer_closed = true;
                self.broken |= ended.is_err();
                inputs.push(Input::Closed { connection });
                return inputs;
            }
        }
        loop {
            match self.decoder.next_packet() {
                Ok(Some(packet)) => inputs.push(Input::Packet { connection, packet }),
                Ok(None) => return inputs,
                Err(error) => {
                    // Nothing more is taken from this connection; the core says how it ends.
                    self.reading = false;
                    inputs.push(Input::Malformed { connection, version: self.decoder.version(), error });
                    return inputs;
                }
            }
        }
    }

    /// The end: FIN behind the last byte, and a moment of listening so that it arrives.
    async fn part(mut self) {
        if self.broken || self.peer_closed {
            // Dropping the halves closes the socket.
            return;
        }
        let connection = self.connection.0;
        let farewell = async move {
            self.writer.shutdown().await?;
            let mut left = LINGER_BYTES;
            let mut sink = [0; 1024];
            while left > 0 {
                match self.reader.read(&mut sink).await? {
                    0 => break,
                    count => left = left.saturating_sub(count),
                }
            }
            Ok::<(), io::Error>(())
        };
        match tokio::time::timeout(LINGER_PATIENCE, farewell).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => tracing::debug!(connection, %error, "could not part in peace"),
        }
    }
}
