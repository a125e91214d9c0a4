//! The store through its handle: what is acknowledged is there after a crash, in order, and what cannot be kept is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod blobs;
mod bounds;
mod crash;
mod trouble;
mod writing;

use motet_store::{Batch, Keyspace, Options, Shape, Store};
use std::path::Path;

/// Options for small disks and quick tests.
fn options() -> Options {
    Options { reserve_bytes: 0, ..Options::default() }
}

fn open(path: &Path) -> (Store, Keyspace) {
    let store = Store::open(path, options()).expect("opens");
    let log = store.keyspace("log", Shape::Log).expect("a keyspace");
    (store, log)
}

fn one(keyspace: &Keyspace, key: u64, value: impl Into<bytes::Bytes>) -> Batch {
    let mut batch = Batch::new();
    batch.insert(keyspace, key.to_be_bytes().to_vec(), value);
    batch
}

fn has(keyspace: &Keyspace, key: u64) -> bool {
    keyspace.get(key.to_be_bytes()).expect("reads").is_some()
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
