//! A process with all its children, which ends when nobody holds it any more, and when this program is gone, however it went.

use std::{
    env,
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::recipe::Recipe;

/// What a process writes goes there, in its folder.
const LOG: &str = "output.log";
/// So many of its last lines are looked through for what went wrong.
const LAST_LINES: usize = 40;
/// Characters of a line that is told.
const MOST_WORDS: usize = 200;
/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// The program in one of these folders, beside this one, or on the PATH.
pub(super) fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let beside = env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    let paths = env::var_os("PATH").unwrap_or_default();
    // A daemon may be where only the administrator looks.
    let system = ["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
    let others = beside.into_iter().chain(env::split_paths(&paths)).chain(system);
    folders.iter().cloned().chain(others).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A running process.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    companions: Vec<Child>,
    /// The head of their group.
    keeper: Keeper,
    folder: PathBuf,
}

fn put_down(child: &mut Child) {
    // One that has ended already needs no more than to be waited for.
    let _ = child.kill();
    let _ = child.wait();
}

/// Kills a group of processes, of which it is the head, when this program ends without having done so, even if it is killed
/// itself: it reads from a pipe that nobody writes to, and that is closed with this program. It is there before the others,
/// so that at no moment one of them could be left.
#[derive(Debug)]
struct Keeper {
    shell: Child,
    _pipe: Option<ChildStdin>,
}

impl Keeper {
    fn start() -> io::Result<Keeper> {
        let mut shell = Command::new("sh")
            // What the group is told to make it end in peace is not for its keeper.
            .args(["-c", "trap '' TERM INT HUP; read -r _; kill -s KILL -- \"-$$\""])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What a terminal tells this program is not for them either.
            .process_group(0)
            .spawn()?;
        let _pipe = shell.stdin.take();
        Ok(Keeper { shell, _pipe })
    }

    fn group(&self) -> u32 {
        self.shell.id()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        put_down(&mut self.shell);
    }
}

impl Process {
    /// Starts it in its folder with its companions, all in one group of their own.
    pub(super) fn start(program: &Path, recipe: &Recipe, folder: &Path) -> io::Result<Process> {
        let log = File::options().create(true).append(true).open(folder.join(LOG))?;
        let keeper = Keeper::start()?;
        let head = i32::try_from(keeper.group()).map_err(io::Error::other)?;
        let mut started: Vec<Child> = Vec::new();
        let companions = recipe.companions.iter().filter_map(|words| words.split_first());
        let companions =
            companions.map(|(program, words)| (find(program, &[]).unwrap_or_else(|| program.into()), words));
        for (program, words) in companions.chain([(program.to_owned(), &recipe.arguments[..])]) {
            let spawned = Command::new(program)
                .args(words)
                .envs(&recipe.environment)
                .current_dir(folder)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?)
                .process_group(head)
                .spawn();
            match spawned {
                Ok(child) => started.push(child),
                Err(error) => {
                    started.iter_mut().for_each(put_down);
                    return Err(error);
                }
            }
        }
        let child = started.pop().ok_or_else(|| io::Error::other("nothing was started"))?;
        Ok(Process { child, companions: started, keeper, folder: folder.to_owned() })
    }

    /// Why it is no more; `None` while it runs.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let said = self.last_words().map(|line| format!(", and said: {line}")).unwrap_or_default();
        Some(format!("ended with {status}{said}"))
    }

    /// The last line that it wrote about a trouble, or the last of all.
    pub(super) fn last_words(&self) -> Option<String> {
        let log = std::fs::read(self.folder.join(LOG)).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines = || log.lines().rev().map(str::trim).filter(|line| !line.is_empty());
        let is_trouble = |line: &&str| {
            let line = line.to_lowercase();
            ["error", "cannot", "could not", "failed", "fatal", "unable"].iter().any(|word| line.contains(word))
        };
        let line = lines().take(LAST_LINES).find(is_trouble).or_else(|| lines().next())?;
        let plain = line.chars().filter(|letter| !letter.is_control()).take(MOST_WORDS).collect();
        Some(plain)
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
        let whom = if group { format!("-{}", self.keeper.group()) } else { self.child.id().to_string() };
        let quiet = || Stdio::null();
        // The shell's own word is there on every machine; one that has ended already hears nothing.
        let kill = ["-c", "kill -s \"$0\" -- \"$1\"", name, &whom];
        let _ = Command::new("sh").args(kill).stdout(quiet()).stderr(quiet()).status();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal("KILL", true);
        let _ = self.child.kill();
        let _ = self.child.wait();
        // The number of the group is free for others once its head has been waited for: the keeper goes last.
        self.companions.iter_mut().for_each(put_down);
    }
}
