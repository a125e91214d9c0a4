//! How much is free on the disk that a directory lies on.

use std::path::Path;

/// Free bytes that an ordinary user may still take, or `None` if the file system does not say.
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}
