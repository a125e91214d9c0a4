//! Where a system's state is on disk, and how commands find the process that runs it.
//!
//! Everything is under one folder, `.motet` beside the definition: so two systems never meet, a copy of a folder is another system, and
//! removing the folder removes everything that Motet ever wrote.
//!
//! ```text
//! .motet/run/     lock, control.json (owner only), where metrics are and their token, what is running, Motet's own log
//! .motet/logs/    what services print, rotated
//! .motet/stores/  the data that services own
//! .motet/events/  the events that topics keep, and how far subscriptions are
//! .motet/builds/  hashes of what was built last
//! ```

use crate::exit::{Exit, Failure};
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

/// Linux takes 107 bytes as the path of a socket (`sun_path` in unix(7)); longer ones need another place.
const SOCKET_PATH_MAX: usize = 100;

/// What opens `/metrics` on loopback, and nothing else.
const METRICS_TOKEN: &str = "metrics.token";
/// Where Prometheus finds the metrics, in the format of its discovery by files.
const METRICS_TARGETS: &str = "prometheus.json";

/// How long somebody else may have the lock before it counts as held.
const HOLD_WITHIN: Duration = Duration::from_millis(500);

/// The state folder of one system.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    dir: PathBuf,
}

/// How to reach the process that runs a system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Door {
    /// The socket of the control API.
    pub(crate) socket: PathBuf,
    /// The loopback address of the control API.
    pub(crate) url: String,
    /// What has to be sent to the loopback address: `Authorization: Bearer …`.
    pub(crate) token: String,
    /// The process.
    pub(crate) pid: u32,
    /// Its session.
    pub(crate) session: String,
}

/// Holds a system: as long as it exists, no other process can run the same one.
#[derive(Debug)]
pub(crate) struct Held {
    _lock: File,
}

impl Place {
    /// The state folder beside the definition, or the one that the user named.
    pub(crate) fn new(definition_dir: &Path, named: Option<&Path>) -> Result<Self> {
        let dir = named.map_or_else(|| definition_dir.join(".motet"), Path::to_path_buf);
        let dir = std::path::absolute(&dir).with_context(|| format!("{} cannot be used for state", dir.display()))?;
        Ok(Self { dir })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub(crate) fn events(&self) -> PathBuf {
        self.dir.join("events")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// What Motet itself logs while it runs in the background.
    pub(crate) fn own_log(&self) -> PathBuf {
        self.run().join("motet.log")
    }

    fn door_file(&self) -> PathBuf {
        self.run().join("control.json")
    }

    /// Makes the folders, for the owner only, and tells git to look away.
    pub(crate) fn create(&self) -> Result<()> {
        for dir in [self.dir.clone(), self.run(), self.logs()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .with_context(|| format!("the folder {} cannot be made", dir.display()))?;
        }
        let ignore = self.dir.join(".gitignore");
        fs::write(&ignore, "*\n").with_context(|| format!("{} cannot be written", ignore.display()))
    }

    /// The path of the control socket: in the state folder, or in a folder for run-time files where that path would be too long.
    pub(crate) fn socket(&self) -> Result<PathBuf> {
        let usual = self.run().join("control.sock");
        if usual.as_os_str().len() <= SOCKET_PATH_MAX {
            return Ok(usual);
        }
        let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
            || std::env::temp_dir().join(format!("motet-{}", nix::unistd::getuid())),
            |dir| PathBuf::from(dir).join("motet"),
        );
        let dir = base.join(short_hash(self.dir.as_os_str().as_encoded_bytes()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        owned_by_us(&base)?;
        Ok(dir.join("control.sock"))
    }

    /// Takes the system for this process. `None`: another one has it.
    ///
    /// Whoever asks [`Place::is_held`] has the lock for a moment, so one refusal says little: it has to last.
    pub(crate) async fn hold(&self) -> Result<Option<Held>> {
        let path = self.run().join("lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
        let deadline = tokio::time::Instant::now() + HOLD_WITHIN;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Held { _lock: file })),
                Err(TryLockError::WouldBlock) if tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("{} cannot be locked", path.display()));
                }
            }
        }
    }

    /// Whether some process holds the system now.
    pub(crate) fn is_held(&self) -> bool {
        matches!(File::open(self.run().join("lock")).map(|file| file.try_lock()), Ok(Err(TryLockError::WouldBlock)))
    }

    /// Writes how to reach this process, for its owner only.
    pub(crate) fn open_door(&self, door: &Door) -> Result<()> {
        write_private(&self.door_file(), &serde_json::to_vec_pretty(door)?)
    }

    /// Writes where metrics are and the token for them, as Prometheus reads both by itself at each scrape: the port is another one
    /// after each start, and so is the token.
    pub(crate) fn open_metrics(&self, system: &str, address: SocketAddr, token: &str) -> Result<()> {
        let targets = serde_json::json!([{ "targets": [address.to_string()], "labels": { "system": system } }]);
        write_private(&self.run().join(METRICS_TOKEN), token.as_bytes())?;
        write_private(&self.run().join(METRICS_TARGETS), targets.to_string().as_bytes())
    }

    /// Takes the signs away, when the process ends.
    pub(crate) fn close_door(&self) {
        for name in [METRICS_TOKEN, METRICS_TARGETS] {
            let _ = fs::remove_file(self.run().join(name));
        }
        let _ = fs::remove_file(self.door_file());
    }

    /// How to reach the process that runs this system, if one does.
    pub(crate) fn door(&self) -> Result<Option<Door>> {
        if !self.is_held() {
            return Ok(None);
        }
        match fs::read(self.door_file()) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("{} cannot be read", self.door_file().display())),
        }
    }
}

/// Writes a file that only its owner may read, so that a reader sees all of the old or all of the new.
fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let beside = path.with_added_extension("new");
    let write = || -> std::io::Result<()> {
        let _ = fs::remove_file(&beside);
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        fs::rename(&beside, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// A folder in a place that everybody may write to could be somebody else's trap.
fn owned_by_us(dir: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = fs::symlink_metadata(dir)?.uid();
    if owner == nix::unistd::getuid().as_raw() {
        return Ok(());
    }
    let message = format!("{} belongs to another user; set XDG_RUNTIME_DIR to a folder of your own.", dir.display());
    Err(Failure::new(Exit::Failed, message).into())
}

/// FNV-1a, 64 bits: names a folder, and protects nothing.
fn short_hash(bytes: &[u8]) -> String {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
