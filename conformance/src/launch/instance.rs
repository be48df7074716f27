//! One broker that was started here: its folder, its process, how it is reached, and how it goes down and comes back.

use std::{
    cell::{Cell, RefCell},
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use squall_codec::version::Version;
use squall_scenarios::outage::{Outage, Stop};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{
    process::{self, Process},
    recipe::{Launch, Recipe},
};
use crate::{
    dial::Access,
    preflight::{Subject, probe_each},
    setup::Setup,
};

/// A port may be taken by somebody else between two looks.
const ATTEMPTS: usize = 3;
/// How often a broker that starts is asked whether it is there.
pub(crate) const ASK: Duration = Duration::from_millis(30);
/// A broker that is asked to end does so by then; after that it is killed.
const FAREWELL: Duration = Duration::from_secs(10);
/// One that takes no connection any more has ended by then, or it hangs.
const ENDING: Duration = Duration::from_secs(1);
/// What is told of one that runs and serves nobody.
pub(super) const HANGS: &str = "did not answer CONNECT any more";

/// A broker that was started here. It is killed when it is dropped, and its folder goes with it.
#[derive(Debug)]
pub struct Instance {
    name: String,
    program: PathBuf,
    recipe: Recipe,
    seconds: u64,
    /// Dropped before its folder.
    process: RefCell<Option<Process>>,
    /// Its crash is on the list.
    listed: Cell<bool>,
    subject: Subject,
    folder: TempDir,
}

impl Instance {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// One sentence: what is missing, or what it said.
    pub async fn start(name: &str, launch: &Launch, setup: Setup, versions: &[Version]) -> Result<Instance, String> {
        let program = process::find(&launch.program, &launch.folders)
            .ok_or_else(|| format!("{name} cannot be launched: '{}' is not on the PATH", launch.program))?;
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let folder =
                tempfile::Builder::new().prefix("conformance").tempdir().map_err(|error| in_vain(name, &error))?;
            let ports = free_ports().map_err(|error| in_vain(name, &error))?;
            let recipe = launch
                .recipe(setup, folder.path(), ports)
                .ok_or_else(|| format!("the profile {name} has no server {}", setup.wanted()))?;
            prepared(&recipe, folder.path()).await.map_err(|error| format!("{name} cannot be launched: {error}"))?;
            let start = Process::start(&program, &recipe, folder.path());
            let mut process = start.map_err(|error| in_vain(name, &error))?;
            match ready(&mut process, &recipe, setup, versions, launch.seconds).await {
                Ok(subject) => {
                    let process = RefCell::new(Some(process));
                    let (name, seconds) = (name.to_owned(), launch.seconds);
                    let listed = Cell::new(false);
                    return Ok(Instance { name, program, recipe, seconds, process, listed, subject, folder });
                }
                Err(reason) => last = reason,
            }
            // One that runs and does not answer has its port.
            if process.ended().is_none() {
                break;
            }
        }
        Err(format!("{name} was launched and {last}"))
    }

    /// How it is reached, and what it speaks.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// How it ended though nobody asked it to.
    pub(super) fn crashed(&self) -> Option<String> {
        self.process.borrow_mut().as_mut()?.ended()
    }

    /// How it ended though nobody asked it to, or that it hangs. Its sockets are closed before it is seen to have ended, so
    /// that one that does not answer is waited for, and asked once more.
    pub(crate) async fn fell(&self) -> Option<String> {
        if self.crashed().is_some() || self.is_away() || self.subject.answers().await {
            return self.crashed();
        }
        let deadline = Instant::now() + ENDING;
        while self.crashed().is_none() && Instant::now() < deadline {
            sleep(ASK).await;
        }
        if self.crashed().is_some() || self.is_away() || self.subject.answers().await {
            return self.crashed();
        }
        Some(HANGS.to_owned())
    }

    /// Whether its crash is told for the first time.
    pub(super) fn is_news(&self) -> bool {
        !self.listed.replace(true)
    }

    /// It was taken down and is not back yet.
    pub(crate) fn is_away(&self) -> bool {
        self.process.borrow().is_none()
    }

    /// Takes it down and starts it again, with what its folder holds.
    ///
    /// # Errors
    /// One sentence: what cannot be done, or that it did not come back.
    pub async fn outage(&self, outage: Outage) -> Result<(), String> {
        let Some(mut process) = self.process.borrow_mut().take() else {
            return Err(format!("{} is down already", self.name));
        };
        match outage.how {
            Stop::PowerLoss => {
                self.process.replace(Some(process));
                return Err("the power of a real machine cannot be cut".to_owned());
            }
            Stop::Crash => process.signal("KILL", true),
            Stop::Restart => process.signal("TERM", false),
        }
        let ended = process.wait(FAREWELL).await;
        drop(process);
        if ended.is_none() {
            return Err(format!("{} did not end within {} s", self.name, FAREWELL.as_secs()));
        }
        sleep(outage.down).await;
        let start = Process::start(&self.program, &self.recipe, self.folder.path());
        let mut process = start.map_err(|error| in_vain(&self.name, &error))?;
        let back = back(&mut process, &self.subject, self.seconds).await;
        self.process.replace(Some(process));
        back.map_err(|reason| format!("{} was started again and {reason}", self.name))
    }
}

fn in_vain(name: &str, error: &io::Error) -> String {
    format!("{name} cannot be launched: {error}")
}

/// Ports of the loopback that nobody has at this moment.
fn free_ports() -> io::Result<[u16; 3]> {
    let free = || TcpListener::bind("127.0.0.1:0");
    // All at once, so that they differ.
    let [one, other, third] = [free()?, free()?, free()?];
    Ok([one.local_addr()?.port(), other.local_addr()?.port(), third.local_addr()?.port()])
}

/// Does it on a thread of its own: to hash a password takes a while, and the clocks of the tests go on meanwhile.
async fn prepared(recipe: &Recipe, folder: &Path) -> Result<(), String> {
    let (recipe, folder) = (recipe.clone(), folder.to_owned());
    let done = tokio::task::spawn_blocking(move || prepare(&recipe, &folder)).await;
    done.unwrap_or_else(|error| Err(error.to_string()))
}

/// Writes its files, and runs what has to be run before.
fn prepare(recipe: &Recipe, folder: &Path) -> Result<(), String> {
    for (name, text) in &recipe.files {
        let path = folder.join(name);
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| format!("{}: {error}", path.display()))?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // A file of passwords that others may read is refused by some.
            let private = std::fs::Permissions::from_mode(if text.starts_with("#!") { 0o700 } else { 0o600 });
            std::fs::set_permissions(&path, private).map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    for words in &recipe.prepare {
        let Some((program, arguments)) = words.split_first() else { continue };
        let path = process::find(program, &[]).ok_or_else(|| format!("'{program}' is not on the PATH"))?;
        let output = Command::new(path).args(arguments).current_dir(folder).envs(&recipe.environment).output();
        let output = output.map_err(|error| format!("'{program}': {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
            return Err(format!("'{}' ended with {}: {said}", words.join(" "), output.status));
        }
    }
    Ok(())
}

/// Waits until it answers CONNECT.
async fn ready(
    process: &mut Process,
    recipe: &Recipe,
    setup: Setup,
    versions: &[Version],
    seconds: u64,
) -> Result<Subject, String> {
    let places = recipe.places(versions)?;
    let may_refuse = matches!(setup, Setup::Enhanced | Setup::Redirects);
    let access = Access { credentials: setup.credentials(), may_refuse, ..Access::default() };
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let found = probe_each(&places, &access).await;
        if let Some(end) = process.ended() {
            return Err(end);
        }
        match found {
            Ok(subject) => return Ok(subject),
            Err(_) if Instant::now() < deadline => sleep(ASK).await,
            Err(error) => {
                let said = process.last_words().map(|line| format!("; it said: {line}")).unwrap_or_default();
                return Err(format!("did not answer within {seconds} s: {error}{said}"));
            }
        }
    }
}

/// Waits until it answers CONNECT again: some take connections before they serve them.
async fn back(process: &mut Process, subject: &Subject, seconds: u64) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        let answers = subject.answers().await;
        if let Some(end) = process.ended() {
            return Err(end);
        }
        if answers {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let why = subject.is_there().await.err().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(format!("did not answer within {seconds} s{why}"));
        }
        sleep(ASK).await;
    }
}
