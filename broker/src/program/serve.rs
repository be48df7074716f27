//! One run of the server: files are read, addresses bound, the store opened; then it serves until a signal says stop.

use std::{sync::Arc, time::Duration};

use squall_broker::{
    core::HashKey,
    net::{
        clock,
        server::{Server, ServerOptions},
    },
    store::disk::DiskStore,
    users::{
        authenticator::FileAuthenticator,
        entropy::{Entropy, OsEntropy},
    },
};
use tokio::sync::oneshot;

use super::{
    door::{Door, bind},
    fault::Failure,
    files::{Files, authenticator},
    http, logs,
    settings::Settings,
    signals,
    start::{say, warn},
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
    let runtime = runtime(settings).enable_all().build().map_err(|error| Failure::to("start the runtime", error))?;
    let outcome = runtime.block_on(serve(settings));
    runtime.shutdown_timeout(THREAD_PATIENCE);
    outcome
}

/// One thread, where bytes only have to be moved: to hand them to another costs more than to write them. TLS has work for
/// as many as there are.
fn runtime(settings: &Settings) -> tokio::runtime::Builder {
    match settings.listeners.iter().any(|listen| listen.url.scheme.uses_tls()) {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    }
}

/// Reads what the settings name, and binds nothing.
///
/// # Errors
/// The first file that is wrong.
pub(super) fn check(settings: &Settings) -> Result<(), Failure> {
    logs::filter(&settings.log)?;
    Files::load(settings).map(drop)
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let mut signals = signals::listen().map_err(|error| Failure::to("wait for signals", error))?;
    let files = Files::load(settings)?;
    let mut doors = Vec::new();
    for listen in &settings.listeners {
        doors.push(Door::open(settings, listen).await?);
    }
    let web = match &settings.http.listen {
        Some(address) => Some(bind(&format!("http://{address}"), address).await?),
        None => None,
    };
    let policies = doors.iter().map(|door| (Arc::from(door.name.as_str()), door.policy)).collect();
    let authenticator = Arc::new(authenticator(settings, policies)?);
    let mut config = settings.config.clone();
    config.acl = Arc::clone(&files.acl);
    let mut options = ServerOptions::new(random_key()?, clock::unix_time()).with_config(config);
    options.authenticator = Arc::<FileAuthenticator>::clone(&authenticator);
    if let Some(folder) = &settings.store.dir {
        let store = DiskStore::open(folder, settings.store.durability);
        options.store = Box::new(store.map_err(|error| Failure::Sentence(error.to_string()))?);
    }
    let place = match &settings.store.dir {
        Some(folder) => format!("data in {}", folder.display()),
        None => "in memory".to_owned(),
    };
    let mut server = Server::new(options);
    server.restore().map_err(|error| Failure::Sentence(error.to_string()))?;
    let mut lines = Vec::new();
    for (number, door) in doors.into_iter().enumerate() {
        lines.push(format!("listening on {} ({}, {place})", door.name, door.guests()));
        if let Some(warning) = door.closed() {
            warn(&warning);
        }
        server.listen(door.listener, files.listener_options(number, door.listen, &door.name));
    }
    let handle = server.handle();
    if let Some((listener, bound)) = web {
        lines.push(format!("metrics and health on http://{bound}"));
        tokio::spawn(http::serve(listener, handle.clone()));
    }
    say(&lines.join("\n"))?;

    let (stop, stopped) = oneshot::channel::<()>();
    // A task of its own: the core then runs beside those of the connections, and on a worker where there are some.
    let mut running = tokio::spawn(server.run(async {
        // The sender is only dropped with the whole program.
        let _ = stopped.await;
    }));
    let outcome = loop {
        tokio::select! {
            biased;
            outcome = &mut running => break Ok(outcome),
            Some(()) = signals.reload.recv() => {
                announce(&files.reload(settings, &authenticator, &handle).await);
            }
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

/// What came of reading the files again: what is in force on standard output, what is wrong in the log.
fn announce(news: &[Result<String, String>]) {
    for wrong in news.iter().filter_map(|one| one.as_ref().err()) {
        tracing::error!("not reloaded, what was in force stays: {wrong}");
    }
    let reloaded: Vec<_> = news.iter().filter_map(|one| one.as_ref().ok()).map(String::as_str).collect();
    let sentence = match (reloaded.is_empty(), news.is_empty()) {
        (false, _) => format!("reloaded {}", reloaded.join(", ")),
        (true, false) => return,
        (true, true) => "nothing to reload: the settings name no files that can change".to_owned(),
    };
    // Whoever has started the program may have closed the pipe since.
    if say(&sentence).is_err() {
        tracing::warn!("{sentence}");
    }
}

/// A secret that differs from run to run.
fn random_key() -> Result<HashKey, Failure> {
    let mut bytes = [0; 16];
    OsEntropy.fill(&mut bytes).map_err(|error| Failure::to("begin", error))?;
    let both = u128::from_le_bytes(bytes);
    Ok(HashKey([both as u64, (both >> 64) as u64]))
}
