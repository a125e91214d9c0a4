//! Torn tails, damage in the middle, a disk that refuses.

use crate::{has, one, open, options, snapshot};
use motet_store::{OpenError, Options, Store};
use std::{
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process::Command,
};

fn journal(directory: &Path) -> PathBuf {
    let mut journals: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jnl"))
        .collect();
    journals.sort();
    journals.pop().unwrap()
}

/// Where the journal's content ends: behind it are the zeros of the space that was set aside.
fn end(path: &Path) -> u64 {
    let mut content = Vec::new();
    std::fs::File::open(path).unwrap().read_to_end(&mut content).unwrap();
    content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

/// A store with record 1 committed, then record 2; and where the journal ended after each.
async fn two_commits() -> (tempfile::TempDir, u64, u64) {
    let directory = tempfile::tempdir().unwrap();
    let (store, log) = open(directory.path());
    store.commit(one(&log, 1, vec![1; 5000])).await.unwrap();
    let first = end(&journal(directory.path()));
    store.commit(one(&log, 2, vec![2; 5000])).await.unwrap();
    let second = end(&journal(directory.path()));
    let crashed = snapshot(directory.path());
    (crashed, first, second)
}

#[tokio::test]
async fn a_record_cut_off_anywhere_is_dropped_and_what_came_before_stays() {
    let (original, first, second) = two_commits().await;
    for cut in [first + 1, first + 7, first + 100, first + 3000, second - 1] {
        let crashed = snapshot(original.path());
        let file = std::fs::OpenOptions::new().write(true).open(journal(crashed.path())).unwrap();
        file.set_len(cut).unwrap();
        let (store, log) = open(crashed.path());
        assert!(has(&log, 1) && !has(&log, 2), "cut at {cut} of {first}..{second}");
        store.commit(one(&log, 3, "after")).await.unwrap();
        drop((store, log));
        let (_store, log) = open(crashed.path());
        assert!(has(&log, 1) && !has(&log, 2) && has(&log, 3));
    }
}

#[tokio::test]
async fn a_last_record_whose_pages_never_reached_the_disk_is_dropped() {
    let (original, first, second) = two_commits().await;
    for (at, length) in [(first + 1000, 2000), (first + 100, 4000), (first, 100), (second - 300, 200)] {
        let crashed = snapshot(original.path());
        overwrite(&journal(crashed.path()), at, &vec![0; length]);
        let (store, log) = open(crashed.path());
        assert!(has(&log, 1) && !has(&log, 2), "zeros at {at} of {first}..{second}");
        store.commit(one(&log, 3, "after")).await.unwrap();
        drop((store, log));
        let (_store, log) = open(crashed.path());
        assert!(has(&log, 1) && has(&log, 3));
    }
}

#[tokio::test]
async fn damage_in_the_middle_is_said_and_not_skipped() {
    let (crashed, first, second) = two_commits().await;
    let original = crashed;
    for at in [first / 2, 4, first - 20, first - 2] {
        let crashed = snapshot(original.path());
        overwrite(&journal(crashed.path()), at, &[0xaa; 2]);
        let error = Store::open(crashed.path(), options()).expect_err("record 1 was acknowledged");
        assert!(matches!(error, OpenError::Damaged(_)), "{error}");
        assert_eq!(end(&journal(crashed.path())), second, "nothing was cut off");
    }
}

const ROLE: &str = "MOTET_STORE_POISON_CHILD";

/// Not a test by itself: a process whose files may not grow beyond a limit. Without its variable it does nothing.
#[tokio::test]
async fn child_whose_disk_refuses() {
    let Ok(directory) = std::env::var(ROLE) else { return };
    let large = Options { unflushed_max_bytes: 1 << 30, ..options() };
    let store = Store::open(Path::new(&directory), large).unwrap();
    let log = store.log("log").unwrap();
    let mut acknowledged = 0_u64;
    let error = loop {
        match store.commit(one(&log, acknowledged, vec![9; 1 << 20])).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code().to_string(), "MO-store-203", "{error}");
    assert!(error.to_string().contains("restart"), "{error}");
    let again = store.commit(one(&log, 9999, "small")).await.expect_err("still poisoned");
    assert_eq!(again.code(), error.code());
    assert!(store.write(one(&log, 9999, "lazy")).await.is_err());
    assert!(store.trouble().is_some());
    assert!((0..acknowledged).all(|key| has(&log, key)) && !has(&log, 9999), "reading goes on");
    std::fs::write(Path::new(&directory).join("acknowledged"), acknowledged.to_string()).unwrap();
}

#[test]
fn a_write_that_the_disk_refuses_ends_all_writing_and_a_restart_keeps_what_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    // The shell's unit is 512 bytes or 1 KiB: 64 MiB, which the journal sets aside, or twice that.
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 131072; exec \"$0\" --exact trouble::child_whose_disk_refuses"])
        .arg(std::env::current_exe().unwrap())
        .env(ROLE, directory.path())
        .status()
        .unwrap();
    assert!(status.success());
    let acknowledged: u64 = std::fs::read_to_string(directory.path().join("acknowledged")).unwrap().parse().unwrap();
    assert!(acknowledged > 30);
    let (_store, log) = open(directory.path());
    assert!((0..acknowledged).all(|key| has(&log, key)));
}
