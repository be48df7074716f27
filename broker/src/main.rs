//! The program `broker`: command line, logs, signals.

use std::{
    hash::{BuildHasher, Hasher},
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use squall_broker::{
    core::{HashKey, config::Config},
    net::{
        clock,
        server::{ServerOptions, serve},
    },
};
use squall_codec::qos::Qos;
use tokio::net::TcpListener;

const EXAMPLES: &str = "\
Examples:
  broker                                     serve on 127.0.0.1:1883
  broker --listen '[::1]:0'                  serve on a free port and print it
  broker --max-qos 1 --no-retain             a server that offers less, and says so
  broker --listen 0.0.0.0:1883 --log debug   serve every interface and say what happens";

/// An MQTT 3.1, 3.1.1 and 5.0 server. State is in memory, and everyone may connect.
#[derive(Debug, Parser)]
#[command(name = "broker", version, after_help = EXAMPLES)]
struct Options {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:1883")]
    listen: String,

    /// What to log: off, error, warn, info, debug or trace, or a filter such as squall_broker=debug
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    log: String,

    /// Largest packet in bytes that clients may send
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(16..=268_435_460))]
    max_packet_size: Option<u32>,

    /// QoS 1 and 2 messages that a 5.0 client may have open at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    receive_maximum: Option<u16>,

    /// Highest QoS offered
    #[arg(long, value_name = "0|1|2", value_parser = parse_qos)]
    max_qos: Option<Qos>,

    /// Retain no messages
    #[arg(long)]
    no_retain: bool,

    /// Keep Alive in seconds that 5.0 clients are told to use
    #[arg(long, value_name = "SECONDS")]
    server_keep_alive: Option<u16>,

    /// Seconds that a new connection may take to send CONNECT
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    connect_timeout: Option<u64>,
}

impl Options {
    fn config(&self) -> Config {
        let mut config = Config::default();
        config.limits.maximum_packet_size = self.max_packet_size.unwrap_or(config.limits.maximum_packet_size);
        config.limits.receive_maximum = self.receive_maximum.unwrap_or(config.limits.receive_maximum);
        config.limits.connect_timeout = self.connect_timeout.map_or(config.limits.connect_timeout, Duration::from_secs);
        config.maximum_qos = self.max_qos.unwrap_or(config.maximum_qos);
        config.retain_available = !self.no_retain;
        config.server_keep_alive = self.server_keep_alive;
        config
    }
}

fn parse_qos(text: &str) -> Result<Qos, String> {
    let bits = text.parse().map_err(|_| "expected 0, 1 or 2".to_owned())?;
    Qos::from_bits(bits).ok_or_else(|| "expected 0, 1 or 2".to_owned())
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("broker: {sentence}");
            ExitCode::from(2)
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_new(&options.log)
        .map_err(|error| format!("--log '{}' is no level and no filter: {error}", options.log))?;
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(ansi).init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("failed to start the runtime: {error}"))?;
    runtime.block_on(async {
        let address = options.listen.as_str();
        let listener =
            TcpListener::bind(address).await.map_err(|error| format!("failed to listen on {address}: {error}"))?;
        let bound = listener.local_addr().map_err(|error| format!("failed to listen on {address}: {error}"))?;
        let stop = stop_signal().map_err(|error| format!("failed to wait for signals: {error}"))?;
        announce(bound).map_err(|error| format!("failed to print the address: {error}"))?;
        let server = ServerOptions::new(random_key(), clock::unix_time()).with_config(options.config());
        // A task of its own: the core then runs on a worker of the runtime, beside those of the connections.
        match tokio::spawn(serve(listener, server, stop)).await {
            Ok(outcome) => outcome.map_err(|error| format!("failed to accept connections on {bound}: {error}")),
            Err(error) => Err(format!("the server ended abnormally: {error}")),
        }
    })
}

/// The line that programs which start this one wait for.
fn announce(bound: SocketAddr) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on mqtt://{bound} (anonymous, in memory)")?;
    stdout.flush()
}

/// A secret that differs from run to run.
#[expect(
    clippy::disallowed_types,
    reason = "the program's one source of randomness; everything below is handed the key"
)]
fn random_key() -> HashKey {
    let word = || std::hash::RandomState::new().build_hasher().finish();
    HashKey([word(), word()])
}

/// Ctrl-C, or on Unix SIGTERM. The handlers stand when this returns.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            biased;
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "Ctrl-C cannot be waited for");
            std::future::pending::<()>().await;
        }
    })
}
