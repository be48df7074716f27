//! A whole client in a storm: the client's core, a connection behind a link, and nobody who waits for an outcome.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf, BytesMut};
use squall_client::{
    core::{
        client::Client,
        effect::{Effect, Input},
    },
    options::Options,
};
use squall_codec::{reason::Side, stream::Decoder, time::Now};
use squall_scenarios::{
    faulty_stream::FaultyStream,
    plan::{Answering, Answers},
    stage::LocalFuture,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::Field;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// The client, as its task has it.
pub(super) struct Actor {
    field: Field,
    name: String,
    core: Client,
    stream: Option<FaultyStream>,
    decoder: Decoder,
    outbox: BytesMut,
    dialing: Option<LocalFuture<'static, io::Result<FaultyStream>>>,
    buffer: Vec<u8>,
    /// What its application has yet to say, where it takes its time.
    answers: Option<Answers>,
}

/// What became of the connection.
enum Moved {
    Wrote,
    Read(usize),
    Lost(&'static str),
}

impl Actor {
    /// Starts a client; what is sent to the channel is handed to its core.
    pub(super) fn start(
        field: &Field,
        name: &str,
        options: Options,
        answering: Option<Answering>,
        seed: u64,
    ) -> mpsc::UnboundedSender<Input> {
        let (orders, inputs) = mpsc::unbounded_channel();
        let actor = Actor {
            field: field.clone(),
            name: name.to_owned(),
            decoder: decoder(&options),
            core: Client::new(options, seed),
            stream: None,
            outbox: BytesMut::new(),
            dialing: None,
            buffer: vec![0; READ_BYTES],
            answers: answering.map(Answers::new),
        };
        field.tasks.borrow_mut().spawn_local(actor.run(inputs));
        orders
    }

    async fn run(mut self, mut inputs: mpsc::UnboundedReceiver<Input>) {
        loop {
            let answer = self.answers.as_ref().and_then(Answers::deadline);
            let due = self.core.deadline().into_iter().chain(answer).min().map(|due| self.field.started + due);
            tokio::select! {
                biased;
                input = inputs.recv() => match input {
                    Some(input) => self.handle(input),
                    None => return,
                },
                dialed = dialed(&mut self.dialing) => {
                    self.dialing = None;
                    match dialed {
                        Ok(stream) => self.opened(stream),
                        Err(error) => self.handle(Input::Lost { reason: error.to_string() }),
                    }
                }
                moved = moved(&mut self.stream, &mut self.outbox, &mut self.buffer) => match moved {
                    Moved::Wrote => {}
                    Moved::Read(length) => self.read(length),
                    Moved::Lost(reason) => {
                        self.stream = None;
                        self.outbox.clear();
                        self.handle(Input::Lost { reason: reason.to_owned() });
                    }
                },
                () = due_at(due) => {
                    self.handle(Input::Tick);
                    self.answer();
                }
            }
        }
    }

    /// What the application says by now.
    fn answer(&mut self) {
        let now = self.field.now();
        while let Some(answer) = self.answers.as_mut().and_then(|answers| answers.next_due(now)) {
            self.handle(answer.input());
        }
    }

    fn opened(&mut self, stream: FaultyStream) {
        self.stream = Some(stream);
        self.outbox.clear();
        self.decoder = decoder(self.core.options());
        self.handle(Input::Opened);
    }

    fn read(&mut self, length: usize) {
        self.decoder.extend(&self.buffer[..length]);
        // The client may close while one of these packets is handled: what follows it is not read.
        while self.stream.is_some() {
            match self.decoder.next_packet() {
                Ok(Some(packet)) => self.handle(Input::Packet { packet }),
                Ok(None) => return,
                Err(error) => return self.handle(Input::Malformed { error }),
            }
        }
    }

    fn handle(&mut self, input: Input) {
        let effects: Vec<Effect> = self.core.handle(Now::simulated(self.field.now()), input).collect();
        for effect in effects {
            match effect {
                // There is one server here, whomever it names.
                Effect::Open { .. } => {
                    let reached = self.field.reach.connect(&self.field, &self.name, self.core.options().version);
                    self.dialing = Some(reached);
                }
                Effect::Send { version, packet } if self.stream.is_some() => {
                    // What cannot be written in this version was not let through by the core.
                    let _ = packet.encode(version, &mut self.outbox);
                }
                Effect::Close => self.close(),
                Effect::Authenticate(question) => self.handle(Input::Authenticated(question.answer())),
                Effect::Message { message, delivery: Some(delivery) } => {
                    if let Some(answers) = &mut self.answers {
                        answers.handed(self.field.now(), delivery, message);
                    }
                }
                Effect::Send { .. }
                | Effect::Keep(_)
                | Effect::Message { .. }
                | Effect::Done { .. }
                | Effect::Event(_) => {}
            }
        }
    }

    /// Writes what is still to be written, and ends the connection.
    fn close(&mut self) {
        self.dialing = None;
        let Some(mut stream) = self.stream.take() else { return };
        let mut rest = std::mem::take(&mut self.outbox);
        let mut context = Context::from_waker(Waker::noop());
        while let Poll::Ready(Ok(written)) = Pin::new(&mut stream).poll_write(&mut context, &rest) {
            rest.advance(written);
            if rest.is_empty() {
                return;
            }
        }
        // What has no room on the link waits for it; the next connection does not.
        self.field.tasks.borrow_mut().spawn_local(async move {
            let _ = stream.write_all(&rest).await;
        });
    }
}

fn decoder(options: &Options) -> Decoder {
    Decoder::new(Side::Server, Some(options.version), options.maximum_packet_size)
}

async fn dialed(dialing: &mut Option<LocalFuture<'static, io::Result<FaultyStream>>>) -> io::Result<FaultyStream> {
    match dialing {
        Some(dialing) => dialing.as_mut().await,
        None => std::future::pending().await,
    }
}

async fn due_at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// One step of the connection: what waits is written, what has come is read.
async fn moved(stream: &mut Option<FaultyStream>, outbox: &mut BytesMut, buffer: &mut [u8]) -> Moved {
    let Some(stream) = stream else { return std::future::pending().await };
    std::future::poll_fn(|context| {
        if !outbox.is_empty() {
            match Pin::new(&mut *stream).poll_write(context, outbox) {
                Poll::Ready(Ok(written)) => {
                    outbox.advance(written);
                    return Poll::Ready(Moved::Wrote);
                }
                // Reading tells why.
                Poll::Ready(Err(_)) => outbox.clear(),
                Poll::Pending => {}
            }
        }
        let mut read = ReadBuf::new(buffer);
        let result = ready!(Pin::new(&mut *stream).poll_read(context, &mut read));
        Poll::Ready(match result {
            Ok(()) if read.filled().is_empty() => Moved::Lost("the server closed it"),
            Ok(()) => Moved::Read(read.filled().len()),
            Err(_) => Moved::Lost("it was reset"),
        })
    })
    .await
}
