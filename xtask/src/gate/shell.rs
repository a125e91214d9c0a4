//! Children of a step: started in a folder, shown while they speak, counted, and ended when the step's time is over.
//!
//! A child's output passes through here line by line, so that its summary can be read while a person reads along. The
//! wait is for the child's own end and not for its pipes: something it left behind may hold those open for ever.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::count::{self, Count};

/// Lines that may wait to be shown before the child has to.
const LINES_AHEAD: usize = 256;
/// How long to read on after the child has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

enum Event {
    Line(Vec<u8>),
    Ended(std::io::Result<ExitStatus>),
}

/// Starts the children of steps.
#[derive(Debug)]
pub struct Shell {
    root: PathBuf,
    folder: PathBuf,
    variables: Vec<(String, String)>,
    deadline: Instant,
    limit: Duration,
    count: Count,
    show: fn(&[u8]),
}

/// Shows a line on the terminal. Whoever closed it does not want to read, so that is no failure.
pub fn to_terminal(line: &[u8]) {
    let mut terminal = std::io::stdout().lock();
    let _ = terminal.write_all(line).and_then(|()| terminal.flush());
}

impl Shell {
    /// A shell for the repository at `root`, whose children's lines go to `show`.
    pub fn new(root: PathBuf, show: fn(&[u8])) -> Self {
        let limit = Duration::from_secs(60);
        let deadline = Instant::now() + limit;
        Self { folder: root.clone(), root, variables: Vec::new(), deadline, limit, count: Count::default(), show }
    }

    /// A new step begins: back in the root, nothing counted, this much time.
    pub fn begin(&mut self, limit: Duration) {
        self.folder = self.root.clone();
        self.variables.clear();
        self.limit = limit;
        self.deadline = Instant::now() + limit;
        self.count = Count::default();
    }

    /// Tests counted since the step began.
    pub fn count(&self) -> Count {
        self.count
    }

    /// The root of the repository.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what the workspace builds.
    pub fn target(&self) -> PathBuf {
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| self.root.join("target"), |dir| self.root.join(dir))
    }

    /// Where tools are put that are built and not installed.
    pub fn tools(&self) -> PathBuf {
        self.target().join("tools")
    }

    /// The next children run in this folder of the repository.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn enter(&mut self, folder: &str) -> Result<&mut Self> {
        self.folder = self.root.join(folder);
        if !self.folder.is_dir() {
            bail!("{folder} does not exist");
        }
        Ok(self)
    }

    /// The next children of this step see this variable.
    pub fn set(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// Runs a child to its end, showing and counting what it says.
    ///
    /// # Errors
    /// When it cannot be started, ends with another code than 0, or outlives the step's limit.
    pub fn run<S: AsRef<OsStr>>(&mut self, program: &str, arguments: &[S]) -> Result<()> {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).envs(self.variables.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.folder != self.root {
            // The examples are workspaces of their own, whose programs are started from their own target folders.
            command.env_remove("CARGO_TARGET_DIR");
        }
        let words = std::iter::once(program.to_owned())
            .chain(arguments.iter().map(|word| word.as_ref().to_string_lossy().into_owned()));
        let typed = words.collect::<Vec<_>>().join(" ");
        super::report::command(self.folder.strip_prefix(&self.root).unwrap_or(&self.folder), &typed);
        let child = command.spawn().with_context(|| format!("cannot start `{program}`"))?;
        let status = self.follow(child)?;
        if !status.success() {
            bail!("`{typed}` ended with {status}");
        }
        Ok(())
    }

    fn follow(&mut self, mut child: Child) -> Result<ExitStatus> {
        let (sender, events) = mpsc::sync_channel(LINES_AHEAD);
        let pid = child.id();
        for pipe in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
            let sender = sender.clone();
            thread::spawn(move || read(pipe, &sender));
        }
        thread::spawn(move || sender.send(Event::Ended(child.wait())));

        let mut ended: Option<std::io::Result<ExitStatus>> = None;
        let mut until = self.deadline;
        loop {
            match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Line(line)) => {
                    self.count += count::of_line(&String::from_utf8_lossy(&line));
                    (self.show)(&line);
                }
                Ok(Event::Ended(status)) => {
                    ended = Some(status);
                    until = Instant::now() + LAST_WORDS;
                }
                Err(reason) => match ended {
                    Some(status) => return status.context("waiting for the child"),
                    None if reason == RecvTimeoutError::Timeout => {
                        end_tree(pid);
                        bail!("it was not done after {} s and was ended", self.limit.as_secs());
                    }
                    None => bail!("lost sight of the child"),
                },
            }
        }
    }
}

fn boxed(pipe: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(pipe)
}

fn read(pipe: Box<dyn Read + Send>, sender: &SyncSender<Event>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        if sender.send(Event::Line(std::mem::take(&mut line))).is_err() {
            return;
        }
    }
}

/// Ends a child and all that it started. Children share this program's process group, so that Ctrl-C reaches them;
/// hence they are found by their parents and not by a group.
fn end_tree(root: u32) {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut doomed = vec![root];
    let mut next = 0;
    while let Some(&parent) = doomed.get(next) {
        doomed.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    let list = doomed.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
    let killed = Command::new("sh").arg("-c").arg(format!("kill -KILL {list} 2>/dev/null")).status();
    if let Err(error) = killed {
        super::report::note(&format!("could not end process {root}: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(limit: Duration) -> Shell {
        let mut shell = Shell::new(std::env::temp_dir(), |_| ());
        shell.begin(limit);
        shell
    }

    #[test]
    fn what_a_child_says_is_counted_on_both_pipes() {
        let mut shell = shell(Duration::from_secs(20));
        shell.run("sh", &["-c", "echo '3 passed in 1s'; echo '# fail 2' >&2"]).unwrap();
        assert_eq!(shell.count(), Count { passed: 3, failed: 2, skipped: 0 });
        shell.begin(Duration::from_secs(1));
        assert_eq!(shell.count(), Count::default());
    }

    #[test]
    fn a_child_that_fails_is_named_with_its_code() {
        let message = shell(Duration::from_secs(20)).run("sh", &["-c", "exit 3"]).unwrap_err().to_string();
        assert!(message.contains("exit 3") && message.contains("exit status: 3"), "{message}");
    }

    #[test]
    fn a_child_that_outlives_the_limit_is_ended_with_all_that_it_started() {
        let folder = std::env::temp_dir().join(format!("xtask-shell-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let pid_file = folder.join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pid_file.display());
        let message = shell(Duration::from_secs(1)).run("sh", &["-c", &script]).unwrap_err().to_string();
        assert!(message.contains("not done after 1 s"), "{message}");
        let grandchild = std::fs::read_to_string(&pid_file).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let gone = Instant::now() + Duration::from_secs(10);
        while is_running(grandchild.trim()) {
            assert!(Instant::now() < gone, "process {grandchild} is still there");
            thread::yield_now();
        }
    }

    fn is_running(pid: &str) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        state.is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn what_a_child_leaves_behind_does_not_hold_the_run() {
        let begun = Instant::now();
        shell(Duration::from_secs(60)).run("sh", &["-c", "sleep 20 & exit 0"]).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "it waited for the pipes");
    }
}
