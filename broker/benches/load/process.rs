//! The servers under load, as programs: how they are started, and what they take from the machine.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// What `/proc` counts CPU time in: Linux says 100 a second to every program.
const TICKS_PER_SECOND: f64 = 100.0;

/// What Mosquitto is told: nothing is dropped, nothing waits for a window of its own or for Nagle, nothing is written down.
pub(crate) const MOSQUITTO_CONFIGURATION: &[&str] = &[
    "allow_anonymous true",
    "max_queued_messages 0",
    "max_queued_bytes 0",
    "max_inflight_messages 0",
    "set_tcp_nodelay true",
    "persistence false",
    "log_type error",
];
/// What ours is told beside its address: room for the messages of the bench that retains as many as are allowed.
pub(crate) const SQUALL_ARGUMENTS: &[&str] = &["--retained-messages", "200000"];

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Squall,
    Mosquitto,
}

/// A server that listens; ended with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Begins it, with its data in a folder if there is one.
    pub(crate) fn start(self, folder: &Path, data: Option<&Path>) -> io::Result<Running> {
        match self {
            Server::Squall => start_squall(data),
            Server::Mosquitto => start_mosquitto(folder),
        }
    }

    /// What it says of itself; the reason when it is not there.
    pub(crate) fn version(self) -> Result<String, String> {
        match self {
            Server::Squall => Ok(format!("Squall {}", env!("CARGO_PKG_VERSION"))),
            Server::Mosquitto => {
                let output = Command::new("mosquitto").arg("-h").output();
                let output = output.map_err(|error| format!("mosquitto cannot be started: {error}"))?;
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let version = text.lines().next().and_then(|line| line.strip_prefix("mosquitto version "));
                version
                    .map(|version| format!("Mosquitto {version}"))
                    .ok_or_else(|| "mosquitto does not say its version".into())
            }
        }
    }
}

fn start_squall(data: Option<&Path>) -> io::Result<Running> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker"));
    command.args(["--listen", "127.0.0.1:0"]).args(SQUALL_ARGUMENTS);
    if let Some(data) = data {
        command.arg("--data").arg(data);
    }
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let address = line.split("mqtt://").nth(1).and_then(|rest| rest.split_whitespace().next());
    match address.and_then(|address| address.parse().ok()) {
        Some(address) => Ok(Running { child, address }),
        None => {
            end(&mut child);
            Err(io::Error::other(format!("the broker says {line:?} and no address")))
        }
    }
}

fn start_mosquitto(folder: &Path) -> io::Result<Running> {
    // It takes no port 0: one that was free just now.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let file = folder.join("mosquitto.conf");
    let listener = format!("listener {} 127.0.0.1\n", address.port());
    fs::write(&file, listener + &MOSQUITTO_CONFIGURATION.join("\n") + "\n")?;
    let child = Command::new("mosquitto").arg("-c").arg(&file).stderr(Stdio::piped()).spawn()?;
    let mut running = Running { child, address };
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        let ended = running.child.try_wait()?;
        if ended.is_some() || started.elapsed() > PATIENCE {
            let mut said = String::new();
            if let (Some(_), Some(stderr)) = (ended, &mut running.child.stderr) {
                stderr.read_to_string(&mut said)?;
            }
            return Err(io::Error::other(format!("mosquitto does not listen: {said}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(running)
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

impl Running {
    /// CPU time that it has taken so far.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        cpu(&format!("/proc/{}/stat", self.child.id()))
    }

    /// Bytes of its memory that are there.
    pub(crate) fn resident(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or(io::ErrorKind::NotFound)?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
        Ok(kilobytes * 1024)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// CPU time that this process has taken so far.
pub(crate) fn own_cpu() -> io::Result<Duration> {
    cpu("/proc/self/stat")
}

fn cpu(file: &str) -> io::Result<Duration> {
    let stat = fs::read_to_string(file)?;
    // The name may hold anything, also spaces and brackets: fields are counted behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Duration::from_secs_f64((user + system) / TICKS_PER_SECOND))
}
