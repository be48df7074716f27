//! One run of the server: files are read, addresses bound, the store opened; then it serves until a signal says stop.

use std::{
    hash::{BuildHasher, Hasher},
    net::SocketAddr,
    time::Duration,
};

use squall_broker::{
    core::HashKey,
    net::{
        clock,
        server::{Server, ServerOptions},
    },
};
use tokio::{net::TcpListener, sync::oneshot};

use super::{
    fault::Failure,
    files::Files,
    http, logs,
    settings::{Listen, Settings},
    signals,
    start::say,
};

/// How long the server may take to say goodbye to its clients and to close the store.
const STOP_PATIENCE: Duration = Duration::from_millis(4500);
/// How long threads that are still busy (a password that is being hashed) may take after that.
const THREAD_PATIENCE: Duration = Duration::from_millis(250);

/// Serves until a signal says stop.
///
/// # Errors
/// What keeps it from beginning, or from going on.
pub(super) fn run(settings: &Settings) -> Result<(), Failure> {
    logs::start(&settings.log)?;
    // Each connection needs a file descriptor; what the system allows at most is asked of it.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::to("start the runtime", error))?;
    let outcome = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(THREAD_PATIENCE);
    outcome
}

/// Reads what the settings name, and binds nothing.
///
/// # Errors
/// The first file that is wrong.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    logs::filter(&settings.log)?;
    Files::load(settings).map(drop)
}

/// A listener that is bound.
struct Door<'a> {
    listen: &'a Listen,
    listener: TcpListener,
    bound: SocketAddr,
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let mut signals = signals::listen().map_err(|error| Failure::to("wait for signals", error))?;
    let files = Files::load(settings)?;
    let mut doors = Vec::new();
    for listen in &settings.listeners {
        let (listener, bound) = bind(&listen.url.to_string(), &listen.url.authority()).await?;
        doors.push(Door { listen, listener, bound });
    }
    let web = match &settings.http.listen {
        Some(address) => Some(bind(&format!("http://{address}"), address).await?),
        None => None,
    };
    let options = ServerOptions::new(random_key(), clock::unix_time()).with_config(settings.config.clone());
    let mut server = Server::new(options);
    let mut lines = Vec::new();
    for (number, Door { listen, listener, bound }) in doors.into_iter().enumerate() {
        let path = listen.url.path.as_deref().unwrap_or_default();
        lines.push(format!("listening on {}://{bound}{path} (anonymous, in memory)", listen.url.scheme.name()));
        server.listen(listener, files.listener_options(number, listen));
    }
    if let Some((listener, bound)) = web {
        lines.push(format!("metrics and health on http://{bound}"));
        tokio::spawn(http::serve(listener, server.handle()));
    }
    say(&lines.join("\n"))?;

    let (stop, stopped) = oneshot::channel::<()>();
    // A task of its own: the core then runs on a worker of the runtime, beside those of the connections.
    let mut running = tokio::spawn(server.run(async {
        // The sender is only dropped with the whole program.
        let _ = stopped.await;
    }));
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut running => break Ok(outcome),
            Some(()) = signals.reload.recv() => reload(settings, &files)?,
            _ = signals.stop.recv() => {
                let _ = stop.send(());
                break tokio::time::timeout(STOP_PATIENCE, running).await;
            }
        }
    };
    match outcome {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(Failure::to("accept connections", error)),
        Ok(Err(error)) => Err(Failure::Sentence(format!("the server ended abnormally: {error}"))),
        Err(_) => Err(Failure::Sentence("the server did not end in time and is left behind".to_owned())),
    }
}

/// Reads the files again, and says what came of it: what is in force on standard output, what is wrong in the log.
fn reload(settings: &Settings, files: &Files) -> Result<(), Failure> {
    let news = files.reload(settings);
    for wrong in news.iter().filter_map(|one| one.as_ref().err()) {
        tracing::error!("not reloaded, what was in force stays: {wrong}");
    }
    let reloaded: Vec<_> = news.iter().filter_map(|one| one.as_ref().ok()).map(String::as_str).collect();
    match (reloaded.is_empty(), news.is_empty()) {
        (false, _) => say(&format!("reloaded {}", reloaded.join(", "))),
        (true, false) => Ok(()),
        (true, true) => say("nothing to reload: the settings name no files that can change"),
    }
}

async fn bind(name: &str, address: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let failed = |error| Failure::to(format_args!("listen on {name}"), error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
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
