//! The store through its handle: what is acknowledged is there after a crash, in order, and what cannot be kept is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod blobs;
mod bounds;
mod crash;
mod trouble;
mod writing;

use motet_store::{Batch, Limits, Log, Options, Store};
use std::path::Path;

/// Options for small disks and quick tests.
fn options() -> Options {
    Options { reserve_bytes: 0, ..Options::default() }
}

fn open(path: &Path) -> (Store, Log) {
    let store = Store::open(path, options()).expect("opens");
    let log = store.log("log").expect("a log");
    (store, log)
}

fn one(log: &Log, number: u64, record: impl Into<bytes::Bytes>) -> Batch {
    let mut batch = Batch::new();
    batch.append_to(log, number, record);
    batch
}

fn has(log: &Log, number: u64) -> bool {
    let found = log.range(number, Limits::items(1)).expect("reads");
    found.first().is_some_and(|(first, _)| *first == number)
}

/// What a crash at this moment would leave: the files as they are, without a word to the store.
fn snapshot(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    copy_tree(from, copy.path());
    copy
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("lists").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}
