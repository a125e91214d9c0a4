//! Large values in files of their own: durable, there for as long as something refers to them, and never taken for whole when they are not.

use crate::{open, options, snapshot};
use bytes::Bytes;
use motet_store::{Batch, BlobError, BlobRef, CommitError, Options, Store};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Longer than one piece.
fn value() -> Bytes {
    (0..700_000_u32).map(|at| (at % 253) as u8).collect::<Vec<_>>().into()
}

fn files(store: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(store.join("blobs")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

async fn referred(store: &Store, owner: &str) -> BlobRef {
    let pin = store.put_blob(value()).await.unwrap();
    let blob = pin.blob();
    let mut batch = Batch::new();
    store.refer(&mut batch, owner.as_bytes(), pin);
    store.commit(batch).await.unwrap();
    blob
}

async fn released(store: &Store, owner: &str) {
    let mut batch = Batch::new();
    store.release(&mut batch, owner.as_bytes()).unwrap();
    store.commit(batch).await.unwrap();
}

#[tokio::test]
async fn a_blob_stays_for_as_long_as_anything_refers_to_it_and_goes_then() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let blob = referred(&store, "one").await;
    let mut batch = Batch::new();
    store.refer(&mut batch, b"two", store.pin(blob).expect("it is there"));
    store.commit(batch).await.unwrap();
    released(&store, "one").await;
    assert_eq!(store.sweep_blobs().await.unwrap(), 0);
    assert_eq!(store.load_blob(blob).await.unwrap(), value());
    released(&store, "two").await;
    let pin = store.pin(blob).expect("it is there until it is swept");
    assert_eq!(store.sweep_blobs().await.unwrap(), 0, "somebody is about to refer to it");
    drop(pin);
    assert_eq!(store.sweep_blobs().await.unwrap(), value().len() as u64);
    assert!(files(directory.path()).is_empty() && store.pin(blob).is_none());
    assert!(matches!(store.load_blob(blob).await, Err(BlobError::Missing(_))));
}

#[tokio::test]
async fn owners_of_a_range_let_go_together_and_up_to_a_number() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    for owner in ["t1", "t2", "t3", "u1"] {
        referred(&store, owner).await;
    }
    let mut batch = Batch::new();
    let left = store.release_range(&mut batch, b"t1", b"t9", 2).unwrap();
    assert_eq!(left.as_deref(), Some(&b"t3"[..]));
    store.commit(batch).await.unwrap();
    assert_eq!(store.sweep_blobs().await.unwrap(), 2 * value().len() as u64);
    let mut batch = Batch::new();
    assert_eq!(store.release_range(&mut batch, b"t1", b"t9", 2).unwrap(), None);
    store.commit(batch).await.unwrap();
    store.sweep_blobs().await.unwrap();
    assert_eq!(files(directory.path()).len(), 1);
}

#[tokio::test]
async fn a_crash_leaves_what_is_referred_to_and_the_next_start_removes_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let blob = referred(&store, "one").await;
    // Written, and the record that was to refer to it never was.
    let pin = store.put_blob(value()).await.unwrap();
    // Let go of, and not swept.
    let gone = referred(&store, "two").await;
    released(&store, "two").await;
    let copy = snapshot(directory.path());
    drop((pin, store));
    assert_eq!(files(copy.path()).len(), 3);
    let (store, _) = open(copy.path());
    store.sweep_blobs().await.unwrap();
    assert_eq!(files(copy.path()).len(), 1);
    assert_eq!(store.load_blob(blob).await.unwrap(), value());
    assert!(store.pin(gone).is_none());
}

#[tokio::test]
async fn a_blob_that_is_not_what_was_written_is_never_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let blob = referred(&store, "one").await;
    let path = files(directory.path()).remove(0);
    let mut bytes = value().to_vec();
    bytes[5] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(store.load_blob(blob).await, Err(BlobError::Damaged { .. })));
    let mut reader = store.open_blob(blob).await.unwrap();
    let mut read = 0;
    let error = loop {
        match reader.piece().await {
            Ok(piece) => read += piece.expect("an error before the end").len(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, BlobError::Damaged { .. }) && read > 0 && read < bytes.len(), "{read}: {error}");
    std::fs::write(&path, &bytes[1..]).unwrap();
    let error = store.open_blob(blob).await.unwrap_err();
    assert!(error.to_string().contains("699999 bytes, and had 700000") && !error.is_temporary(), "{error}");
}

#[tokio::test]
async fn a_blob_comes_in_pieces_and_then_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let blob = referred(&store, "one").await;
    let mut reader = store.open_blob(blob).await.unwrap();
    // It is open: that it goes meanwhile changes nothing.
    std::fs::remove_file(files(directory.path()).remove(0)).unwrap();
    let (mut read, mut pieces) = (Vec::new(), 0);
    while let Some(piece) = reader.piece().await.unwrap() {
        read.extend_from_slice(&piece);
        pieces += 1;
    }
    assert!(read == value() && pieces == 3, "{pieces}");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_in_memory_at_once_than_may_be() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options { loaded_max_bytes: 1_000_000, ..options() }).unwrap();
    let blob = store.put_blob(value()).await.unwrap();
    let one = store.load_blob(blob.blob()).await.unwrap();
    let copy = one.slice(10..20);
    drop(one);
    let refused = store.load_blob(blob.blob()).await.unwrap_err();
    assert!(refused.is_temporary(), "{refused}");
    drop(copy);
    tokio::time::timeout(Duration::from_secs(1), store.load_blob(blob.blob())).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_blob_that_does_not_fit_above_the_reserve_is_refused_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let free = Store::open(directory.path(), options()).unwrap().free_bytes().unwrap();
    let store = Store::open(directory.path(), Options { reserve_bytes: free + free / 2, ..options() }).unwrap();
    let error = store.put_blob(value()).await.unwrap_err();
    assert!(matches!(error, CommitError::NoSpace(_)) && files(directory.path()).is_empty(), "{error}");
}

#[tokio::test]
async fn a_blob_that_cannot_be_written_is_refused_and_the_store_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    std::fs::remove_dir(directory.path().join("blobs")).unwrap();
    let error = store.put_blob(value()).await.unwrap_err();
    assert_eq!(error.code().to_string(), "MO-store-205", "{error}");
    store.commit(crate::one(&log, 1, "x")).await.unwrap();
}
