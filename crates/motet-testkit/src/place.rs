//! Where throw-away servers and stores have their data: in memory, where there is room.
//!
//! Tests kill processes and not machines, so what a test sees does not depend on a disk; how long it takes does. On a machine that does other
//! things too, most of a case was waiting for `fsync`.

use std::{
    env, io,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const MEMORY: &str = "/dev/shm";
/// A container may have 64 MB there, and a server that runs out of room is another test.
const ROOM_BYTES: u64 = 4 << 30;

/// A directory of its own, removed when it is dropped. `name` is what its name begins with.
pub fn new(name: &str) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(name).tempdir_in(base())
}

fn base() -> PathBuf {
    let memory = Path::new(MEMORY);
    let free = rustix::fs::statvfs(memory).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    if free >= ROOM_BYTES { memory.to_owned() } else { env::temp_dir() }
}
