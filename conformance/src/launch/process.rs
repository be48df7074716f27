//! A process with all its children, which ends when nobody holds it any more.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// What a process writes goes there, in its folder.
const LOG: &str = "output.log";
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The program beside this one, or on the PATH.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    let paths = env::var_os("PATH").unwrap_or_default();
    // A daemon may be where only the administrator looks.
    let system = ["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
    let folders = beside.into_iter().chain(env::split_paths(&paths)).chain(system);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    folder: PathBuf,
}

impl Process {
    /// Starts it in its folder, as the head of a group of its own.
    pub(super) fn start(
        program: &Path,
        arguments: &[String],
        environment: &BTreeMap<String, String>,
        folder: &Path,
    ) -> io::Result<Process> {
        let log = File::options().create(true).append(true).open(folder.join(LOG))?;
        let child = Command::new(program)
            .args(arguments)
            .envs(environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        Ok(Process { child, folder: folder.to_owned() })
    }

    /// Why it is no more; `None` while it runs.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let log = std::fs::read_to_string(self.folder.join(LOG)).unwrap_or_default();
        let last = log.lines().rev().find(|line| !line.trim().is_empty());
        let said = last.map(|line| format!(", and said: {}", line.trim())).unwrap_or_default();
        Some(format!("ended with {status}{said}"))
    }

    /// Waits until it is no more, in bounded time.
    pub(super) async fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => sleep(LOOK).await,
                ended => return ended.ok().flatten(),
            }
        }
    }

    /// `TERM`, `KILL`: to it alone, or to its whole group.
    pub(super) fn signal(&self, name: &str, group: bool) {
        let whom = format!("{}{}", if group { "-" } else { "" }, self.child.id());
        let quiet = || Stdio::null();
        // One that has ended already hears nothing.
        let _ = Command::new("kill").args(["-s", name, "--", &whom]).stdout(quiet()).stderr(quiet()).status();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL", true);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
