//! Committing, lazy writing, ranges, trimming.

use crate::{has, one, open, options, snapshot};
use motet_store::{Batch, Limits, Shape, Store};
use std::{
    ops::Bound,
    sync::{Arc, Mutex},
};

#[tokio::test]
async fn a_batch_over_two_keyspaces_is_there_as_a_whole_when_it_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    let index = store.keyspace("index", Shape::Index).unwrap();
    let mut batch = one(&log, 1, "event");
    batch.insert(&index, "name", "1");
    store.commit(batch).await.unwrap();
    let crashed = snapshot(directory.path());
    let (store, log) = open(crashed.path());
    let index = store.keyspace("index", Shape::Index).unwrap();
    assert_eq!(log.get(1_u64.to_be_bytes()).unwrap().as_deref(), Some(&b"event"[..]));
    assert_eq!(index.get("name").unwrap().as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn many_who_commit_at_once_share_syncs() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    let commits = (0..500).map(|key| store.commit(one(&log, key, vec![1; 100])));
    for result in futures_util::future::join_all(commits).await {
        result.unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.commits, stats.records), (500, 500));
    assert!(stats.syncs < 100, "{} syncs for 500 commits that were asked for together", stats.syncs);
}

#[tokio::test]
async fn answers_come_in_the_order_in_which_writes_were_handed_in() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    let seen = Arc::new(Mutex::new(Vec::new()));
    for key in 0..200_u64 {
        let batch = one(&log, key, "x");
        let room = store.room(batch.bytes(), std::time::Duration::ZERO).await.unwrap();
        let seen = Arc::clone(&seen);
        store.submit(batch, room, move |result| {
            result.unwrap();
            seen.lock().unwrap().push(key);
        });
    }
    store.flush().await.unwrap();
    assert_eq!(*seen.lock().unwrap(), (0..200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_commit_makes_lazy_writes_before_it_durable_too() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    store.write(one(&log, 1, "lazy")).await.unwrap();
    store.commit(one(&log, 2, "durable")).await.unwrap();
    let crashed = snapshot(directory.path());
    let (_store, log) = open(crashed.path());
    assert!(has(&log, 1) && has(&log, 2));
}

#[tokio::test]
async fn a_lazy_write_is_synced_by_itself_after_a_while() {
    let directory = tempfile::tempdir().unwrap();
    let lazy_sync_after = std::time::Duration::from_millis(20);
    let store = Store::open(directory.path(), motet_store::Options { lazy_sync_after, ..options() }).unwrap();
    let log = store.keyspace("log", Shape::Log).unwrap();
    let before = store.stats().syncs;
    store.write(one(&log, 1, "lazy")).await.unwrap();
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while store.stats().syncs == before {
        assert!(std::time::Instant::now() < limit, "no sync within ten seconds");
        tokio::task::yield_now().await;
    }
    assert_eq!(store.stats().lazy_writes, 1);
}

#[tokio::test]
async fn a_store_that_is_closed_in_good_order_keeps_lazy_writes() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    for key in 0..50 {
        store.write(one(&log, key, "lazy")).await.unwrap();
    }
    drop((store, log));
    let (_store, log) = open(directory.path());
    assert!((0..50).all(|key| has(&log, key)));
}

#[tokio::test]
async fn ranges_stop_at_their_limits_and_know_their_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    let mut batch = Batch::new();
    for key in 10..20_u64 {
        batch.insert(&log, key.to_be_bytes().to_vec(), vec![0; 100]);
    }
    store.commit(batch).await.unwrap();
    let keys = |found: Vec<(bytes::Bytes, bytes::Bytes)>| {
        found.iter().map(|(key, _)| u64::from_be_bytes(key[..].try_into().unwrap())).collect::<Vec<_>>()
    };
    let key = |key: u64| key.to_be_bytes();
    assert_eq!(keys(log.range(&key(0), Bound::Unbounded, Limits::items(3)).unwrap()), [10, 11, 12]);
    assert_eq!(keys(log.range(&key(18), Bound::Excluded(&key(19)), Limits::items(9)).unwrap()), [18]);
    let by_bytes = Limits { items: 100, bytes: 250 };
    assert_eq!(keys(log.range(&key(10), Bound::Unbounded, by_bytes).unwrap()), [10, 11, 12]);
    assert_eq!(log.at_or_before(&key(0), &key(15)).unwrap().unwrap().0[..], key(15));
    assert_eq!(log.at_or_before(&key(0), &key(99)).unwrap().unwrap().0[..], key(19));
    assert!(log.at_or_before(&key(0), &key(5)).unwrap().is_none());
    assert_eq!(log.last().unwrap().unwrap().0[..], key(19));
}

#[tokio::test]
async fn trimming_gives_space_back_and_leaves_what_is_newer() {
    let directory = tempfile::tempdir().unwrap();
    let small = motet_store::Options { unflushed_max_bytes: 2 << 20, ..options() };
    let store = Store::open(directory.path(), small.clone()).unwrap();
    let log = store.keyspace("log", Shape::Log).unwrap();
    for group in 0..40_u64 {
        let mut batch = Batch::new();
        for key in group * 1000..(group + 1) * 1000 {
            batch.insert(&log, key.to_be_bytes().to_vec(), vec![0; 1000]);
        }
        store.commit(batch).await.unwrap();
    }
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while log.disk_bytes() < 30 << 20 {
        assert!(std::time::Instant::now() < limit, "only {} bytes were flushed", log.disk_bytes());
        tokio::task::yield_now().await;
    }
    log.drop_below(&30_000_u64.to_be_bytes()).unwrap();
    assert!(log.disk_bytes() < 16 << 20, "{} bytes are left", log.disk_bytes());
    assert!((30_000..40_000).all(|key| has(&log, key)));
    log.drop_below(&u64::MAX.to_be_bytes()).unwrap();
    store.commit(one(&log, 40_000, "after")).await.unwrap();
    drop((store, log));
    let store = Store::open(directory.path(), small).unwrap();
    let log = store.keyspace("log", Shape::Log).unwrap();
    assert!(has(&log, 40_000) && !has(&log, 5));
}
