//! `kill -9` of a broker with 64 publishers and subscribers at work: nothing acknowledged is lost, keys keep their order, duplicates are
//! still known.
//!
//! The child prints what was acknowledged to its publishers and what its subscriber was handed; the parent kills it at a random point,
//! starts the next one on the same directory, and in the end lets one finish. Some events are so large that their data is kept apart; what comes
//! has to be what was published. `MOTET_CRASH_ROUNDS` says how many rounds (default 5); a thousand take about twenty minutes:
//! `MOTET_CRASH_ROUNDS=1000 cargo test --release -p motet-broker crash`.

use crate::script::{event, spec, topic};
use async_trait::async_trait;
use motet_broker::{
    Broker, Config, Declaration, Deliver, Delivery, Embedded, Event, Outcome, Retry, SubscriptionSpec, TopicSpec,
    payload::APART_ABOVE_BYTES,
};
use motet_kernel::{backoff::Backoff, task::TaskGroup};
use motet_store::{Options, Store};
use std::{
    collections::{BTreeSet, HashMap},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

const ROLE: &str = "MOTET_BROKER_CRASH_CHILD";
const FROM: &str = "MOTET_BROKER_CRASH_FROM";
const ROUNDS: &str = "MOTET_CRASH_ROUNDS";
const PUBLISHERS: usize = 64;
const LARGE_EVERY: usize = 256;
/// A round ends somewhere within so many lines of the child.
const LINES: usize = 2000;

/// One write of one line: lines do not mix, and the kernel keeps them when this process dies.
fn say(line: &str) {
    let _ = std::io::stdout().write_all(line.as_bytes());
}

/// Says what it is handed, refuses some of it at the first attempt, and acknowledges the rest.
struct Saying;

#[async_trait]
impl Deliver for Saying {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        let parcels = delivery.parcels.iter().map(|parcel| {
            if parcel.attempt == 1 && fastrand::u8(..) < 8 {
                return Outcome::retry("now and then");
            }
            assert_eq!(parcel.event.data(), numbered(parcel.event.id(), "").data(), "what {} said", parcel.event.id());
            say(&format!("D {} {}\n", parcel.event.id(), parcel.attempt));
            Outcome::Ack
        });
        parcels.collect()
    }
}

/// The event of this id: one of so many is large.
fn numbered(id: &str, key: &str) -> Event {
    let number: usize = id.split('-').nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let event = event(id, key);
    if !number.is_multiple_of(LARGE_EVERY) {
        return event;
    }
    let byte = id.bytes().fold(0, u8::wrapping_add);
    event.edit().data(vec![byte; APART_ABOVE_BYTES + 1]).build().unwrap()
}

fn declaration() -> Declaration {
    let backoff = Backoff { initial: Duration::from_millis(5), max: Duration::from_millis(50), factor: 2.0 };
    let retry = Retry { backoff, ..Retry::default() };
    let subscription = SubscriptionSpec { retry, in_flight: 32, ..spec("s", "t") };
    Declaration { topics: vec![TopicSpec::new(topic("t"))], subscriptions: vec![subscription] }
}

/// Not a test by itself: the process that is killed. Without its variable it does nothing. With nothing to begin from it publishes nothing
/// and ends when everything is settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_publishes_until_it_is_killed() {
    let Ok(directory) = std::env::var(ROLE) else { return };
    // The test harness has begun a line of its own.
    say("\n");
    let store = Store::open(Path::new(&directory), Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let transport = Arc::new(Embedded::new(store.clone(), &directory).unwrap());
    let handle = Broker::start(Config::default(), store, transport, Arc::new(Saying), &TaskGroup::new()).unwrap();
    handle.declare(declaration()).await.unwrap();
    let Some(from) = std::env::var(FROM).ok().and_then(|text| text.parse::<u64>().ok()) else {
        loop {
            let description = handle.describe().await;
            let (topic, status) = (&description.topics[0], &description.subscriptions[0]);
            if status.counts.cursor == topic.ends.unwrap().next.0 {
                assert_eq!((status.dead_letters, status.counts.missed), (0, 0));
                say("END\n");
                return handle.stop().await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let handle = handle.clone();
        publishers.spawn(async move {
            for number in from.. {
                // Each publisher has one key, and repeats now and then what it has published.
                let id = format!("{publisher}-{number}");
                let receipts = handle.publish(&topic("t"), vec![numbered(&id, &publisher.to_string())]).await.unwrap();
                say(&format!("{} {id}\n", if receipts[0].duplicate { "X" } else { "A" }));
                if fastrand::u8(..) < 4 {
                    let again = vec![numbered(&id, &publisher.to_string())];
                    let duplicate = handle.publish(&topic("t"), again).await.unwrap()[0].duplicate;
                    assert!(duplicate);
                }
            }
        });
    }
    publishers.join_next().await;
}

fn child(directory: &Path, from: Option<u64>) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "crash::child_that_publishes_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(ROLE, directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit());
    if let Some(from) = from {
        command.env(FROM, from.to_string());
    }
    command.spawn().unwrap()
}

/// What was heard of one publisher, which is one key.
#[derive(Default)]
struct Story {
    acknowledged: BTreeSet<u64>,
    delivered: HashMap<u64, u32>,
    /// The number after the highest that was handed on.
    next: u64,
}

fn hear(stories: &mut HashMap<String, Story>, line: &str) {
    let mut words = line.split(' ');
    let (Some(what), Some((publisher, number))) = (words.next(), words.next().and_then(|id| id.split_once('-'))) else {
        return;
    };
    let Ok(number) = number.parse::<u64>() else { return };
    let story = stories.entry(publisher.to_owned()).or_default();
    match what {
        "A" => assert!(story.acknowledged.insert(number), "{publisher}-{number} was published twice"),
        "X" => {
            story.acknowledged.insert(number);
        }
        "D" => {
            *story.delivered.entry(number).or_default() += 1;
            // After a crash what was not written down is handed on again: from some point back, but in order, and never skipping one.
            // Between rounds the publishers themselves skip numbers, of which none was acknowledged.
            let skipped = (number > story.next).then(|| story.acknowledged.range(story.next..number).next()).flatten();
            assert_eq!(skipped, None, "{publisher}-{number} was handed on before it");
            story.next = story.next.max(number + 1);
        }
        _ => {}
    }
}

#[test]
fn kill_9_under_64_publishers_loses_nothing_acknowledged_and_keeps_order_and_the_window() {
    let rounds: u64 = std::env::var(ROUNDS).ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let directory = tempfile::tempdir().unwrap();
    let mut stories = HashMap::new();
    for round in 0..rounds {
        // Every other round begins with the ids of the one before: what was acknowledged then has to be known.
        let mut child = child(directory.path(), Some((round / 2) * 1_000_000));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref().take(fastrand::usize(1..LINES)) {
            hear(&mut stories, &line.unwrap());
        }
        child.kill().unwrap();
        lines.map_while(Result::ok).for_each(|line| hear(&mut stories, &line));
        child.wait().unwrap();
    }
    let mut last = child(directory.path(), None);
    let lines: Vec<_> = BufReader::new(last.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
    assert!(last.wait().unwrap().success() && lines.iter().any(|line| line == "END"));
    lines.iter().for_each(|line| hear(&mut stories, line));
    let (mut acknowledged, mut deliveries, mut again) = (0, 0, 0);
    for (publisher, story) in &stories {
        let lost: Vec<_> = story.acknowledged.iter().filter(|number| !story.delivered.contains_key(number)).collect();
        assert!(lost.is_empty(), "publisher {publisher}: acknowledged and lost: {lost:?}");
        acknowledged += story.acknowledged.len();
        deliveries += story.delivered.values().sum::<u32>();
        again += story.delivered.values().map(|times| times - 1).sum::<u32>();
    }
    assert!(acknowledged > 0);
    println!("{rounds} rounds: {acknowledged} acknowledged, {deliveries} handed on, {again} of them again");
}
