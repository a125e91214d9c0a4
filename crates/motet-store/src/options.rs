//! How much memory and disk a store may take. The defaults keep a process with a million waiting records of 1 KiB below 200 MB.

use std::time::Duration;

/// Sizes and times of a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes that may wait to be written, over all writers. Default 32 MiB.
    pub waiting_max_bytes: usize,
    /// Bytes that are in the journal and not yet in tables. More is flushed, which bounds memory and the time of a restart. Default 32 MiB.
    pub unflushed_max_bytes: u64,
    /// Large values that are in memory as a whole at once, in bytes; a larger one is there alone. Default 64 MiB.
    pub loaded_max_bytes: usize,
    /// Memory for blocks that were read. Default 16 MiB.
    pub cache_bytes: u64,
    /// Durable writes are refused while less than this is free on the disk. Default 256 MiB.
    pub reserve_bytes: u64,
    /// A lazy write is synced after this long at the latest, when no commit did it before. Default 1 s.
    pub lazy_sync_after: Duration,
    /// How many files are kept open. Default 256.
    pub open_files_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            waiting_max_bytes: 32 << 20,
            unflushed_max_bytes: 32 * MIB,
            loaded_max_bytes: 64 << 20,
            cache_bytes: 16 * MIB,
            reserve_bytes: 256 * MIB,
            lazy_sync_after: Duration::from_secs(1),
            open_files_max: 256,
        }
    }
}
