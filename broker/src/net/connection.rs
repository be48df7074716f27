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
use squall_codec::{reason::Side, stream::Decoder};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::mpsc,
    time::Sleep,
};

use super::{
    mailbox::{Outgoing, Receiver},
    server::{Flush, ToCore},
    transport::Transport,
};
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

/// Where a connection's task sends what it has to say.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) inputs: mpsc::Sender<ToCore>,
    pub(super) flushes: mpsc::UnboundedSender<Flush>,
}

/// One connection whose transport stands.
pub(super) struct Conversation {
    connection: ConnectionId,
    io: Transport,
    decoder: Decoder,
    core: Core,
    mailbox: Receiver,
    /// What is to be written, in order.
    pending: VecDeque<Outgoing>,
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

impl Conversation {
    pub(super) fn new(
        connection: ConnectionId,
        io: Transport,
        maximum_packet_size: u32,
        core: Core,
        mailbox: Receiver,
    ) -> Self {
        Conversation {
            connection,
            io,
            decoder: Decoder::new(Side::Client, None, maximum_packet_size),
            core,
            mailbox,
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
    pub(super) async fn hold(&mut self) {
        loop {
            let progress = poll_fn(|cx| self.poll_progress(cx)).await;
            if progress.out_of_patience {
                break;
            }
            let flush = Flush { connection: self.connection, bytes: progress.flushed };
            if flush.bytes > 0 && self.core.flushes.send(flush).is_err() {
                return;
            }
            let inputs = self.inputs(&progress);
            if !inputs.is_empty() {
                self.mailbox.sending();
                let group = ToCore::Inputs { connection: self.connection, inputs };
                if self.core.inputs.send(group).await.is_err() {
                    return;
                }
            }
            let written = self.pending.is_empty() && self.out.is_empty() && !self.unflushed;
            if self.goodbye.is_some() && (written || self.broken) {
                break;
            }
        }
        if !self.broken {
            // Its state is needed by few connections at a time.
            Box::pin(self.part()).await;
        }
    }

    /// One round over everything that can happen, so that nothing waits behind something else.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Progress> {
        let mut progress = Progress::default();
        let mut may_send = false;
        if self.goodbye.is_none() {
            let mail = self.mailbox.take(cx);
            may_send = mail.may_send;
            progress.heard = mail.ended || !mail.letters.is_empty();
            self.hear(mail.letters, mail.ended);
        }
        if let Poll::Ready(Err(error)) = self.poll_write(cx, &mut progress.flushed) {
            tracing::debug!(connection = self.connection.0, %error, "could not write");
            self.broken = true;
            progress.read = self.reading.then_some(Err(error));
        }
        if self.reading
            && may_send
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
    fn hear(&mut self, letters: Vec<Outgoing>, mut ends: bool) {
        // The core forgets a connection that has closed; what was answered before that is still written.
        if let Some(Outgoing::Close { patient }) = letters.last() {
            ends = true;
            self.broken |= !patient;
        }
        match self.pending.is_empty() {
            true => self.pending = letters.into(),
            false => self.pending.extend(letters),
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
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.out))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(written);
            self.unflushed = true;
            *flushed += written;
        }
        if self.unflushed && !self.broken {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
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
        let mut lost = 0;
        while self.out.len() < WRITE_SIZE
            && let Some(outgoing) = self.pending.pop_front()
        {
            // The end is nothing to be written.
            let Outgoing::Packet(version, packet) = outgoing else { continue };
            if let Err(error) = packet.encode(version, &mut self.out) {
                tracing::error!(connection = self.connection.0, %error, "a packet could not be encoded");
                lost += packet.encoded_len(version);
            }
        }
        if self.out.is_empty() {
            // What an idle connection owns is nothing.
            (self.out, self.pending) = (BytesMut::new(), VecDeque::new());
        }
        lost
    }

    /// Reads into the thread's buffer; only a partial frame is kept, in the decoder.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
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
                if let Err(error) = ended {
                    tracing::debug!(connection = connection.0, %error, "could not read");
                }
                self.reading = false;
                // One who broke the rules of the transport is told by it, and listened to while it hears that.
                let breach = ended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData);
                self.peer_closed = !breach;
                self.broken |= ended.is_err() && !breach;
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

    /// The end: the transport's own goodbye behind the last byte, and a moment of listening so that it arrives.
    async fn part(&mut self) {
        let connection = self.connection.0;
        let farewell = async {
            self.io.shutdown().await?;
            let mut left = if self.peer_closed { 0 } else { LINGER_BYTES };
            let mut sink = [0; 1024];
            while left > 0 {
                match self.io.read(&mut sink).await? {
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
