//! The bytes inside a WebSocket as a stream. It owns no buffer: what comes is unmasked where it was read to, and what goes
//! is written behind the header of its frame.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{CloseCode, Control, Data, OpCode},
};

use super::incoming::{Breach, Incoming, Wish};

/// A WebSocket whose handshake is over.
#[derive(Debug)]
pub(in crate::net) struct WebsocketStream<Io> {
    io: Io,
    incoming: Incoming,
    /// What came behind the request.
    early: Vec<u8>,
    /// What has to leave before anything else: headers, and answers to the client's wishes.
    head: Vec<u8>,
    /// Bytes of the frame at hand that are still to come from above.
    frame_left: usize,
    /// An answer that waits for the end of the frame at hand.
    answer: Option<Wish>,
    /// Our last frame is written.
    closed: bool,
    /// The client did what it may not do. What still comes is nobody's concern, and passed on as it is.
    breached: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> WebsocketStream<Io> {
    /// `early` came behind the request.
    pub(in crate::net) fn new(io: Io, early: Vec<u8>) -> Self {
        WebsocketStream {
            io,
            incoming: Incoming::default(),
            early,
            head: Vec::new(),
            frame_left: 0,
            answer: None,
            closed: false,
            breached: false,
        }
    }

    /// Takes in what was read, and leaves the payload at its beginning.
    fn decode(&mut self, bytes: &mut [u8]) -> usize {
        let mut wishes = Vec::new();
        let payload = self.incoming.decode(bytes, &mut wishes);
        // A Close is the last word, whatever else is still to be answered.
        self.answer = wishes.pop().or(self.answer.take());
        payload
    }

    /// The end of what the client has to say: orderly, or because of what it said.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let breach = self.incoming.take_breach();
        if let Some(Breach { code, .. }) = breach {
            self.breached = true;
            self.answer = Some(Wish::Close(u16::from(code).to_be_bytes().to_vec()));
        }
        // If it cannot leave at once, it leaves at the shutdown.
        let _ = self.poll_head(cx)?;
        let _ = Pin::new(&mut self.io).poll_flush(cx)?;
        match breach {
            Some(Breach { detail, .. }) => Err(io::Error::new(io::ErrorKind::InvalidData, detail)),
            None => Ok(()),
        }
    }

    /// What came behind the request, as much of it as there is room for.
    fn take_early(&mut self, room: &mut [u8]) -> usize {
        let count = self.early.len().min(room.len());
        room[..count].copy_from_slice(&self.early[..count]);
        self.early.drain(..count);
        if self.early.is_empty() {
            self.early = Vec::new();
        }
        count
    }

    /// Puts what waits behind the last whole frame.
    fn put_answer(&mut self) {
        if self.frame_left > 0 || self.closed {
            return;
        }
        match self.answer.take() {
            None => {}
            Some(Wish::Pong(payload)) => self.put_control(Control::Pong, &payload),
            Some(Wish::Close(payload)) => {
                // Code and reason are given back as far as they are a code.
                self.put_control(Control::Close, payload.get(..2).unwrap_or_default());
                self.closed = true;
            }
        }
    }

    fn put_control(&mut self, kind: Control, payload: &[u8]) {
        self.put_header(OpCode::Control(kind), payload.len());
        self.head.extend_from_slice(payload);
    }

    fn put_header(&mut self, opcode: OpCode, length: usize) {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        if let Err(error) = header.format(length as u64, &mut self.head) {
            unreachable!("a vector takes every byte: {error}");
        }
    }

    /// Writes what has to leave first.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.put_answer();
        while !self.head.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.head))?;
            self.wrote_head(written)?;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote_head(&mut self, written: usize) -> io::Result<()> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        match written < self.head.len() {
            true => drop(self.head.drain(..written)),
            false => self.head = Vec::new(),
        }
        Ok(())
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebsocketStream<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.breached {
                return Pin::new(&mut this.io).poll_read(cx, buf);
            }
            if this.incoming.is_over() {
                return Poll::Ready(this.poll_end(cx));
            }
            // An answer that could not leave is tried again when the transport takes more.
            if let Poll::Ready(Err(error)) = this.poll_head(cx) {
                return Poll::Ready(Err(error));
            }
            let count = if this.early.is_empty() {
                let mut raw = ReadBuf::new(buf.initialize_unfilled());
                ready!(Pin::new(&mut this.io).poll_read(cx, &mut raw))?;
                raw.filled().len()
            } else {
                this.take_early(buf.initialize_unfilled())
            };
            if count == 0 {
                return Poll::Ready(Ok(()));
            }
            let payload = this.decode(&mut buf.initialize_unfilled()[..count]);
            if this.answer.is_some() {
                let _ = this.poll_head(cx)?;
                let _ = Pin::new(&mut this.io).poll_flush(cx)?;
            }
            if payload > 0 {
                buf.advance(payload);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebsocketStream<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if this.frame_left == 0 {
            ready!(this.poll_head(cx))?;
            if this.closed {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            // [MQTT-6.0.0-1]; 3.1.1 [MQTT-6.0.0-1]
            this.put_header(OpCode::Data(Data::Binary), buf.len());
            this.frame_left = buf.len();
        }
        loop {
            let payload = &buf[..buf.len().min(this.frame_left)];
            let slices = [IoSlice::new(&this.head), IoSlice::new(payload)];
            let written = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, &slices))?;
            let of_payload = written.saturating_sub(this.head.len());
            if !this.head.is_empty() || written == 0 {
                this.wrote_head(written)?;
            }
            this.frame_left -= of_payload;
            if of_payload > 0 {
                return Poll::Ready(Ok(of_payload));
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_head(cx))?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed && self.frame_left == 0 {
            let normal = u16::from(CloseCode::Normal).to_be_bytes().to_vec();
            let answer = mem::take(&mut self.answer);
            self.answer = answer.filter(|answer| matches!(answer, Wish::Close(_))).or(Some(Wish::Close(normal)));
        }
        ready!(self.poll_head(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
