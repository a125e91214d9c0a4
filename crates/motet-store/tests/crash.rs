//! `kill -9` under load: what was acknowledged is there, and each writer's records are a prefix of what it wrote.

use crate::{has, open};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

const ROLE: &str = "MOTET_STORE_CRASH_CHILD";
const ROUNDS: &str = "MOTET_CRASH_ROUNDS";
const WRITERS: u64 = 16;

fn key(writer: u64, number: u64) -> u64 {
    writer << 40 | number
}

/// Not a test by itself: the process that is killed. Without its variable it does nothing.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Ok(directory) = std::env::var(ROLE) else { return };
    let (store, log) = open(Path::new(&directory));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (store, log) = (store.clone(), log.clone());
        let mut number = (0..).find(|number| !has(&log, key(writer, *number))).unwrap();
        writers.spawn(async move {
            loop {
                store.commit(crate::one(&log, key(writer, number), vec![writer as u8; 700])).await.unwrap();
                // One write of one line: lines of different writers do not mix, and the kernel keeps them when this process dies.
                let _ = std::io::stdout().write_all(format!("{writer} {number}\n").as_bytes());
                number += 1;
            }
        });
    }
    writers.join_next().await;
}

#[test]
fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    let rounds: u32 = std::env::var(ROUNDS).ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = vec![None; WRITERS as usize];
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_that_writes_until_it_is_killed", "--nocapture", "--test-threads=1"])
            .env(ROLE, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let lives_for = fastrand::usize(1..2000);
        let note = |line: String, acknowledged: &mut Vec<Option<u64>>| {
            let mut words = line.split(' ').map(str::parse::<u64>);
            if let (Some(Ok(writer)), Some(Ok(number)), None) = (words.next(), words.next(), words.next()) {
                acknowledged[writer as usize] = Some(number);
            }
        };
        for line in lines.by_ref().take(lives_for) {
            note(line.unwrap(), &mut acknowledged);
        }
        child.kill().unwrap();
        lines.map_while(Result::ok).for_each(|line| note(line, &mut acknowledged));
        child.wait().unwrap();

        let (_store, log) = open(directory.path());
        for (writer, last) in acknowledged.iter().enumerate() {
            let Some(last) = *last else { continue };
            let missing = (0..=last).find(|number| !has(&log, key(writer as u64, *number)));
            assert_eq!(missing, None, "round {round}: writer {writer} had {last} acknowledged");
        }
    }
    assert!(acknowledged.iter().flatten().sum::<u64>() > 0, "nothing was ever written");
}
