//! What waits is bounded, and a disk that is nearly full is not filled.

use crate::{has, one, open, options};
use motet_store::{Batch, CommitError, Options, Store};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_waits_and_then_hears_that_the_store_is_busy() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options { waiting_max_bytes: 1000, ..options() }).unwrap();
    let all = store.room(1000, Duration::ZERO).await.unwrap();
    let refused = store.room(1, Duration::from_secs(2)).await;
    let CommitError::Busy(busy) = refused.unwrap_err() else { panic!("not busy") };
    assert_eq!((busy.waiting_bytes, busy.waited), (1000, Duration::from_secs(2)));
    let waiting = store.room(600, Duration::from_secs(60));
    let freeing = async {
        tokio::task::yield_now().await;
        drop(all);
    };
    let (room, ()) = tokio::join!(waiting, freeing);
    room.expect("room came free");
    assert_eq!((store.stats().waits, store.stats().refusals), (2, 1));
}

#[tokio::test]
async fn a_batch_larger_than_the_whole_budget_is_written_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options { waiting_max_bytes: 1000, ..options() }).unwrap();
    let log = store.log("log").unwrap();
    let commits = (0..4).map(|key| store.commit(one(&log, key, vec![0; 5000])));
    for result in futures_util::future::join_all(commits).await {
        result.unwrap();
    }
    assert_eq!(store.stats().waiting_bytes, 0);
}

#[tokio::test]
async fn durable_writes_are_refused_when_space_is_below_the_reserve_and_nothing_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let free = Store::open(directory.path(), options()).unwrap().free_bytes().unwrap();
    // Half as much again: below the reserve, but not below a quarter of it.
    let store = Store::open(directory.path(), Options { reserve_bytes: free + free / 2, ..options() }).unwrap();
    let log = store.log("log").unwrap();
    let error = store.commit(one(&log, 1, "x")).await.unwrap_err();
    assert!(matches!(error, CommitError::NoSpace(_)), "{error}");
    assert_eq!(error.code().to_string(), "MO-store-202");
    store.write(one(&log, 2, "an acknowledgement")).await.unwrap();
    store.flush().await.expect("a barrier writes nothing and passes");
    assert!(!has(&log, 1) && has(&log, 2));
}

#[tokio::test]
async fn a_second_opener_is_told_that_the_store_is_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, _log) = open(directory.path());
    let error = Store::open(directory.path(), options()).unwrap_err();
    assert_eq!(error.code().to_string(), "MO-store-101", "{error}");
}

#[tokio::test]
async fn many_small_keyspaces_do_not_keep_more_in_memory_than_one_may() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), Options { unflushed_max_bytes: 4 << 20, ..options() }).unwrap();
    let logs: Vec<_> = (0..16).map(|n| store.log(&format!("log-{n}")).unwrap()).collect();
    let mut largest = 0;
    for round in 0..64_u64 {
        let mut batch = Batch::new();
        for log in &logs {
            batch.append_to(log, round, vec![0; 32 << 10]);
        }
        store.commit(batch).await.unwrap();
        largest = largest.max(store.stats().unflushed_bytes);
    }
    assert!(largest < 16 << 20, "{largest} bytes of 33 MB written were in memory at once");
}
