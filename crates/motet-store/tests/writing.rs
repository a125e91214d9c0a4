//! Committing, lazy writing, ranges, trimming.

use crate::{has, one, open, options, snapshot};
use motet_store::{Batch, Limits, Log, Store};
use std::{
    ops::Bound,
    sync::{Arc, Mutex},
};

#[tokio::test]
async fn a_batch_over_two_keyspaces_is_there_as_a_whole_when_it_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    let index = store.keyspace("index").unwrap();
    let mut batch = one(&log, 1, "event");
    batch.insert(&index, "name", "1");
    store.commit(batch).await.unwrap();
    let crashed = snapshot(directory.path());
    let (store, log) = open(crashed.path());
    let index = store.keyspace("index").unwrap();
    assert_eq!(log.range(0, Limits::items(9)).unwrap(), [(1, "event".into())]);
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
    let log = store.log("log").unwrap();
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
    let store = Store::open(directory.path(), options()).unwrap();
    let index = store.keyspace("index").unwrap();
    let mut batch = Batch::new();
    for key in 10..20_u64 {
        batch.insert(&index, key.to_be_bytes().to_vec(), vec![0; 100]);
    }
    store.commit(batch).await.unwrap();
    let keys = |found: Vec<(bytes::Bytes, bytes::Bytes)>| {
        found.iter().map(|(key, _)| u64::from_be_bytes(key[..].try_into().unwrap())).collect::<Vec<_>>()
    };
    let key = |key: u64| key.to_be_bytes();
    assert_eq!(keys(index.range(&key(0), Bound::Unbounded, Limits::items(3)).unwrap()), [10, 11, 12]);
    assert_eq!(keys(index.range(&key(18), Bound::Excluded(&key(19)), Limits::items(9)).unwrap()), [18]);
    let by_bytes = Limits { items: 100, bytes: 250 };
    assert_eq!(keys(index.range(&key(10), Bound::Unbounded, by_bytes).unwrap()), [10, 11, 12]);
    assert_eq!(index.at_or_before(&key(0), &key(15)).unwrap().unwrap().0[..], key(15));
    assert_eq!(index.at_or_before(&key(0), &key(99)).unwrap().unwrap().0[..], key(19));
    assert!(index.at_or_before(&key(0), &key(5)).unwrap().is_none());
    assert_eq!(index.last().unwrap().unwrap().0[..], key(19));
}

/// Logs of the same records, written at once (several pages, the last not full), one by one, and in groups with holes between them.
async fn logs(store: &Store, numbers: &[u64], bytes: usize) -> Vec<Log> {
    let (at_once, alone, grouped) = (store.log("at once"), store.log("alone"), store.log("grouped"));
    let logs = [at_once, alone, grouped].map(Result::unwrap);
    for (log, size) in logs.iter().zip([numbers.len(), 1, 7]) {
        for group in numbers.chunks(size) {
            let mut batch = Batch::new();
            group.iter().for_each(|number| batch.append_to(log, *number, vec![*number as u8; bytes]));
            store.commit(batch).await.unwrap();
        }
    }
    logs.into()
}

#[tokio::test]
async fn a_log_is_read_from_any_number_whatever_was_written_together() {
    let directory = tempfile::tempdir().unwrap();
    let numbers: Vec<u64> = (10..90).chain(100..101).chain(200..260).collect();
    let store = Store::open(directory.path(), options()).unwrap();
    let written = logs(&store, &numbers, 1000).await;
    let names: Vec<_> = written.iter().map(|log| log.name().to_owned()).collect();
    drop((written, store));
    let store = Store::open(directory.path(), options()).unwrap();
    for name in names {
        let log = store.log(&name).unwrap();
        assert_eq!(log.last().unwrap(), Some(259), "{name}");
        for from in 0..262 {
            let expected: Vec<u64> = numbers.iter().copied().filter(|number| *number >= from).collect();
            for limits in [Limits::items(usize::MAX), Limits::items(3), Limits { items: 50, bytes: 2500 }] {
                let found = log.range(from, limits).unwrap();
                let count = expected.len().min(limits.items).min(limits.bytes.div_ceil(1000));
                assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected[..count], "{name}");
                assert!(found.iter().all(|(number, record)| record[..] == [*number as u8; 1000]));
            }
        }
    }
    let empty = store.log("empty").unwrap();
    assert_eq!((empty.last().unwrap(), empty.range(0, Limits::items(1)).unwrap()), (None, Vec::new()));
}

#[tokio::test]
async fn trimming_gives_space_back_and_leaves_what_is_newer() {
    let directory = tempfile::tempdir().unwrap();
    let small = motet_store::Options { unflushed_max_bytes: 2 << 20, ..options() };
    let store = Store::open(directory.path(), small.clone()).unwrap();
    let log = store.log("log").unwrap();
    for group in 0..40_u64 {
        let mut batch = Batch::new();
        for key in group * 1000..(group + 1) * 1000 {
            batch.append_to(&log, key, vec![0; 1000]);
        }
        store.commit(batch).await.unwrap();
    }
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while log.disk_bytes() < 30 << 20 {
        assert!(std::time::Instant::now() < limit, "only {} bytes were flushed", log.disk_bytes());
        tokio::task::yield_now().await;
    }
    log.drop_below(30_000).unwrap();
    assert!(log.disk_bytes() < 16 << 20, "{} bytes are left", log.disk_bytes());
    assert!((30_000..40_000).all(|key| has(&log, key)));
    log.drop_below(u64::MAX).unwrap();
    store.commit(one(&log, 40_000, "after")).await.unwrap();
    drop((store, log));
    let store = Store::open(directory.path(), small).unwrap();
    let log = store.log("log").unwrap();
    assert!(has(&log, 40_000) && !has(&log, 5));
}
