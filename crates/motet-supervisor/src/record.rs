//! What runs, written down: so that whoever comes after a supervisor that was killed can find and end what it left behind.
//!
//! Every process group is recorded with the start time of its leader, and the whole with the boot it belongs to: a number that has been given
//! to another process since is recognised. The same facts go to the guard process over its pipe ([`crate::guard`]). What neither of
//! them knows, a process that moved into a session of its own, is found by the environment variable it was started with.

use crate::procfs::{self, Stat};
use motet_kernel::id::{InstanceId, SessionId};
use nix::sys::signal::Signal;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::sync::broadcast;

/// Every process of an instance has this in its environment, with the id of the supervisor's session.
pub const SESSION_VARIABLE: &str = "MOTET_SESSION";
/// Every process of an instance has this in its environment, with the id of the instance.
pub const INSTANCE_VARIABLE: &str = "MOTET_INSTANCE";
/// How long what is left gets between the request to end and being killed.
pub(crate) const LEFTOVER_GRACE: Duration = Duration::from_secs(1);
const VERSION: u32 = 1;
const FILE: &str = "session.json";

/// A process group, identified for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// The number of the group and of its leader.
    pub(crate) id: u32,
    /// When the leader started, in clock ticks since boot.
    pub(crate) start: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    session: String,
    boot: String,
    supervisor: Group,
    groups: Vec<Group>,
}

/// A change of what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added(Group),
    Removed(Group),
}

/// What runs in this session.
#[derive(Debug)]
pub(crate) struct Ledger {
    session: SessionId,
    boot: String,
    path: PathBuf,
    supervisor: Group,
    groups: Mutex<BTreeMap<InstanceId, Group>>,
    changes: broadcast::Sender<Change>,
}

impl Ledger {
    /// Begins the record of a session, which replaces the one of the session before.
    pub(crate) fn open(session: SessionId, state_dir: &Path) -> Self {
        let id = std::process::id();
        let supervisor = Group { id, start: procfs::stat(id).map_or(0, |stat| stat.start) };
        let path = state_dir.join(FILE);
        let ledger = Self {
            session,
            boot: procfs::boot_id(),
            path,
            supervisor,
            groups: Mutex::default(),
            changes: broadcast::Sender::new(256),
        };
        ledger.write(&BTreeMap::new());
        ledger
    }

    /// Ends the record when nothing is left. What still runs stays on record for the next session.
    pub(crate) fn close(&self) {
        if self.groups.lock().is_empty() {
            // If it stays, the next session finds nothing in it.
            let _ = fs::remove_file(&self.path);
        }
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// What runs now, and what changes from then on.
    pub(crate) fn follow(&self) -> (Vec<Group>, broadcast::Receiver<Change>) {
        let groups = self.groups.lock();
        (groups.values().copied().collect(), self.changes.subscribe())
    }

    pub(crate) fn add(&self, instance: InstanceId, group: Group) {
        let mut groups = self.groups.lock();
        groups.insert(instance, group);
        // Nobody follows when there is no guard.
        let _ = self.changes.send(Change::Added(group));
        self.write(&groups);
    }

    pub(crate) fn remove(&self, instance: InstanceId) {
        let mut groups = self.groups.lock();
        if let Some(group) = groups.remove(&instance) {
            let _ = self.changes.send(Change::Removed(group));
            self.write(&groups);
        }
    }

    /// Written to the side and renamed, so that it is whole whenever this process dies. Not synced: after a power cut nothing runs.
    fn write(&self, groups: &BTreeMap<InstanceId, Group>) {
        let record = Record {
            version: VERSION,
            session: self.session.to_string(),
            boot: self.boot.clone(),
            supervisor: self.supervisor,
            groups: groups.values().copied().collect(),
        };
        let aside = self.path.with_extension("json.new");
        let written = serde_json::to_vec(&record)
            .map_err(io::Error::other)
            .and_then(|text| fs::write(&aside, text))
            .and_then(|()| fs::rename(&aside, &self.path));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "the record of running processes cannot be written");
        }
    }
}

/// What an earlier supervisor left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leftovers {
    /// Nothing was recorded, or nothing of it runs any more.
    None,
    /// That supervisor still runs, under this process id: nothing was touched.
    StillRunning {
        /// Its process id.
        pid: u32,
    },
    /// So many processes were left, and have been ended.
    Ended {
        /// How many.
        processes: usize,
    },
}

/// Ends what a dead supervisor with the same state directory left running. Takes up to two seconds. To be called before
/// [`crate::process::Processes::open`], which begins a new record.
///
/// # Errors
/// When the record is there and cannot be read, or removed afterwards.
pub async fn end_leftovers(state_dir: &Path) -> io::Result<Leftovers> {
    let path = state_dir.join(FILE);
    let ended = tokio::task::spawn_blocking(move || end_recorded(&path)).await;
    ended.map_err(io::Error::other)?
}

fn end_recorded(path: &Path) -> io::Result<Leftovers> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Leftovers::None),
        Err(error) => return Err(error),
    };
    // A record that nobody can read names nothing that could be ended safely.
    let record = serde_json::from_slice::<Record>(&text).ok().filter(|record| record.version == VERSION);
    let mut processes = 0;
    if let Some(record) = record.filter(|record| record.boot == procfs::boot_id()) {
        let supervisor = record.supervisor;
        if supervisor.id != std::process::id() && procfs::is_same(supervisor.id, supervisor.start) {
            return Ok(Leftovers::StillRunning { pid: supervisor.id });
        }
        processes = end_session(&record.session, &record.groups);
    }
    fs::remove_file(path)?;
    Ok(if processes == 0 { Leftovers::None } else { Leftovers::Ended { processes } })
}

/// Ends the groups and everything that carries the session's mark: asks, waits a little, kills. Returns how many processes there were.
pub(crate) fn end_session(session: &str, groups: &[Group]) -> usize {
    let left = find(session, groups);
    let count = left.len();
    left.iter().for_each(|stat| procfs::signal_process(stat, Signal::SIGTERM));
    let deadline = Instant::now() + LEFTOVER_GRACE;
    while Instant::now() < deadline && left.iter().any(|stat| procfs::is_same(stat.pid, stat.start)) {
        pause(Duration::from_millis(20));
    }
    // Looked for again, because what is asked to end may start something.
    for _ in 0..5 {
        let left = find(session, groups);
        if left.is_empty() {
            break;
        }
        left.iter().for_each(|stat| procfs::signal_process(stat, Signal::SIGKILL));
        pause(Duration::from_millis(20));
    }
    count
}

fn find(session: &str, groups: &[Group]) -> Vec<Stat> {
    let mut found = procfs::with_environment(SESSION_VARIABLE, session);
    let all = procfs::all();
    for group in groups {
        // While a member lives, the number of the group is not given to anybody else; a leader of that number which started
        // at another time means that all members are gone.
        let is_reused = all.iter().any(|stat| stat.pid == group.id && stat.start != group.start);
        let members = all.iter().filter(|stat| stat.group == group.id && !stat.is_zombie && !is_reused);
        let members: Vec<_> = members.filter(|stat| found.iter().all(|known| known.pid != stat.pid)).copied().collect();
        found.extend(members);
    }
    found.retain(|stat| stat.pid != std::process::id());
    found
}

#[expect(clippy::disallowed_methods, reason = "runs on a thread of its own, in the guard without any runtime")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}
