//! Runs the program, and speaks to it over its sockets.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use squall_codec::{
    packet::{Connect, Packet, Publish, Subscribe, Subscription},
    qos::Qos,
    reason::{ReasonCode, Side},
    stream::Decoder,
    topic::{TopicFilter, TopicName},
    version::Version,
    wire::{PacketId, Text},
};

/// Only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program, to be run in this folder, without variables of ours.
pub(crate) fn broker(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.args(arguments).current_dir(folder).env_remove("COLUMNS");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SQUALL_")) {
        command.env_remove(name);
    }
    command
}

/// What came of it, when it has ended.
pub(crate) fn ended(folder: &Path, arguments: &[&str]) -> Output {
    broker(folder, arguments).output().expect("the program starts")
}

/// Standard output of a run that went well.
pub(crate) fn printed(output: Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Standard error of a run that could not do its work: one sentence.
pub(crate) fn one_sentence(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

/// The program while it runs. It is killed with its test.
pub(crate) struct Running {
    child: Child,
    pipes: Option<Pipes>,
}

struct Pipes {
    stdout: BufReader<ChildStdout>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Running::spawn(&mut broker(folder, arguments))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        Running { child, pipes: Some(Pipes { stdout, stderr }) }
    }

    /// Closes standard output and standard error.
    pub(crate) fn hang_up(&mut self) {
        self.pipes = None;
    }

    fn pipes(&mut self) -> &mut Pipes {
        self.pipes.as_mut().expect("nobody has hung up")
    }

    /// The next line of standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let count = self.pipes().stdout.read_line(&mut line).expect("text");
        if count == 0 {
            let mut told = String::new();
            let _ = self.pipes().stderr.read_to_string(&mut told);
            panic!("the program has ended: {told}");
        }
        line.trim_end().to_owned()
    }

    /// The next line of the log.
    pub(crate) fn log(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.pipes().stderr.read_line(&mut line).expect("text"), 0, "the log has ended");
        line.trim_end().to_owned()
    }

    /// The address in the next line of standard output, which says `listening on scheme://…`.
    pub(crate) fn address(&mut self, scheme: &str) -> SocketAddr {
        address(&self.line(), scheme)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Waits for the end.
    pub(crate) fn status(mut self) -> ExitStatus {
        self.child.wait().expect("an end")
    }

    /// Waits for the end, and returns what was said until then. Who hangs is killed, which the status tells.
    #[expect(clippy::disallowed_methods, reason = "a pipe is read while somebody else watches the time")]
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        let Pipes { mut stderr, stdout: _stdout } = self.pipes.take().expect("nobody has hung up");
        let (said, told) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut told = String::new();
            stderr.read_to_string(&mut told).expect("text");
            let _ = said.send(());
            told
        });
        if told.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.child.kill().expect("it hangs");
        }
        (self.child.wait().expect("an end"), reader.join().expect("text"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address in a line that says `… scheme://address …`.
pub(crate) fn address(line: &str, scheme: &str) -> SocketAddr {
    let rest = line.split_once(&format!(" {scheme}://")).unwrap_or_else(|| panic!("no {scheme}:// in '{line}'")).1;
    let end = rest.find([' ', '/']).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no address in '{line}'"))
}

/// A client that does what it is told, over any stream.
pub(crate) struct Client<Io> {
    pub(crate) stream: Io,
    version: Version,
    decoder: Decoder,
}

impl Client<TcpStream> {
    /// Connects, and is let in.
    pub(crate) fn connected(address: SocketAddr, version: Version, client_id: &str) -> Self {
        let mut client = Client::over(tcp(address), version);
        assert!(matches!(client.connect(client_id), Packet::Connack(connack) if connack.reason == ReasonCode::Success));
        client
    }
}

impl<Io: Read + Write> Client<Io> {
    pub(crate) fn over(stream: Io, version: Version) -> Self {
        Client { stream, version, decoder: Decoder::new(Side::Server, Some(version), u32::MAX) }
    }

    /// The answer to CONNECT.
    pub(crate) fn connect(&mut self, client_id: &str) -> Packet {
        let connect = Connect::new(self.version, Text::new(client_id).expect("a text"));
        self.send(&Packet::Connect(connect));
        self.next().expect("an answer")
    }

    pub(crate) fn subscribe(&mut self, filter: &str, qos: Qos) {
        assert_eq!(self.granted(filter, qos) as u8, qos as u8);
    }

    /// The answer to SUBSCRIBE.
    pub(crate) fn granted(&mut self, filter: &str, qos: Qos) -> ReasonCode {
        let filter = TopicFilter::new(Text::new(filter).expect("a text")).expect("a filter");
        self.send(&Packet::Subscribe(Subscribe::new(PacketId::MIN, vec![Subscription::new(filter, qos)])));
        match self.next() {
            Some(Packet::Suback(suback)) => suback.reasons[0],
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn publish(&mut self, topic: &'static str, payload: &[u8]) {
        self.send(&Packet::Publish(Publish::new(&TopicName::literal(topic), payload)));
    }

    pub(crate) fn send(&mut self, packet: &Packet) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).expect("a packet");
        self.stream.write_all(&out).expect("the connection is open");
        self.stream.flush().expect("the connection is open");
    }

    /// The next packet; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Packet> {
        let mut buffer = vec![0; 4096];
        loop {
            if let Some(packet) = self.decoder.next_packet().expect("the server sends packets") {
                return Some(packet);
            }
            match read(&mut self.stream, &mut buffer) {
                0 => return None,
                count => self.decoder.extend(&buffer[..count]),
            }
        }
    }
}

/// What comes next; 0 at the end.
pub(crate) fn read(stream: &mut impl Read, buffer: &mut [u8]) -> usize {
    loop {
        match stream.read(buffer) {
            // A child of this process has ended: that is no answer.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            read => return read.expect("no reset, and in time"),
        }
    }
}

/// A connection on which nobody waits for ever.
pub(crate) fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Head and body of an answer over HTTP.
pub(crate) fn http(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = tcp(address);
    stream.write_all(request.as_bytes()).expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.to_owned(), body.to_owned())
}

/// How long something took.
#[expect(clippy::disallowed_methods, reason = "a program that runs takes real time")]
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let outcome = work();
    (outcome, start.elapsed())
}
