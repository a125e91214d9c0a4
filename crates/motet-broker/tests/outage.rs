//! An engine that is away, takes nothing, hangs, or comes back without what it had.

use crate::script::{Script, event, real_time, spec, topic};
use async_trait::async_trait;
use motet_broker::{
    Broker, Config, Declaration, Embedded, Entry, Handle, Keep, Limits, Position, Stored, SubscriptionName, Time,
    TopicName, TopicSpec, Transport,
    port::{Ends, Engine, Note, TransportError},
};
use motet_kernel::task::TaskGroup;
use motet_store::{Options, Store};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::watch;

/// The embedded engine behind a door that can be shut in four ways.
struct Shaky {
    engine: Embedded,
    takes_none: AtomicBool,
    gives_none: AtomicBool,
    /// As if nothing were there, although it says that there is more.
    looks_empty: AtomicBool,
    hangs: AtomicBool,
}

impl Shaky {
    fn new(store: Store, path: &Path) -> Arc<Self> {
        let engine = Embedded::new(store, path).unwrap();
        let [takes_none, gives_none, looks_empty, hangs] = [(); 4].map(|()| false.into());
        Arc::new(Self { engine, takes_none, gives_none, looks_empty, hangs })
    }

    async fn pass(&self, shut: &AtomicBool) -> Result<(), TransportError> {
        if self.hangs.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        let away = || TransportError::Unavailable { engine: "shaky at nowhere:1".into(), reason: "refused".into() };
        if shut.load(Relaxed) { Err(away()) } else { Ok(()) }
    }
}

#[async_trait]
impl Transport for Shaky {
    fn engine(&self) -> Engine {
        Engine { name: "shaky", detail: "nowhere:1".into() }
    }
    async fn ensure(&self, topic: &TopicSpec) -> Result<(), TransportError> {
        self.pass(&self.takes_none).await?;
        self.engine.ensure(topic).await
    }
    async fn append(
        &self,
        topic: &TopicName,
        entries: Vec<Entry>,
        note: Option<Note>,
    ) -> Result<Vec<Position>, TransportError> {
        self.pass(&self.takes_none).await?;
        self.engine.append(topic, entries, note).await
    }
    async fn read(&self, topic: &TopicName, from: Position, limits: Limits) -> Result<Vec<Stored>, TransportError> {
        self.pass(&self.gives_none).await?;
        if self.looks_empty.load(Relaxed) { Ok(Vec::new()) } else { self.engine.read(topic, from, limits).await }
    }
    async fn ends(&self, topic: &TopicName) -> Result<Ends, TransportError> {
        self.pass(&self.gives_none).await?;
        self.engine.ends(topic).await
    }
    fn head(&self, topic: &TopicName) -> Result<watch::Receiver<Position>, TransportError> {
        self.engine.head(topic)
    }
    async fn at_time(&self, topic: &TopicName, time: Time) -> Result<Position, TransportError> {
        self.engine.at_time(topic, time).await
    }
    async fn settled(&self, _: &TopicName, _: &SubscriptionName, _: Position) -> Result<(), TransportError> {
        Ok(())
    }
    async fn trim(&self, topic: &TopicName, keep: &Keep, now: Time) -> Result<(), TransportError> {
        self.engine.trim(topic, keep, now).await
    }
}

fn store(path: &Path) -> Store {
    Store::open(path, Options { reserve_bytes: 0, ..Options::default() }).unwrap()
}

async fn broker(own: Store, engine: Arc<Shaky>, script: &Arc<Script>) -> Handle {
    let deliver = Arc::clone(script) as Arc<dyn motet_broker::Deliver>;
    let handle = Broker::start(Config::default(), own, engine, deliver, &TaskGroup::new()).unwrap();
    let declaration = Declaration { topics: vec![TopicSpec::new(topic("t"))], subscriptions: vec![spec("s", "t")] };
    real_time(handle.declare(declaration)).await.unwrap();
    handle
}

async fn publish(handle: &Handle, id: &str) -> Result<(), motet_broker::PublishError> {
    real_time(handle.publish(&topic("t"), vec![event(id, "")])).await.map(drop)
}

#[tokio::test]
async fn an_engine_that_is_away_is_told_of_and_everything_goes_on_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let own = store(directory.path());
    let (engine, script) = (Shaky::new(own.clone(), directory.path()), Script::new());
    let handle = broker(own, Arc::clone(&engine), &script).await;
    assert_eq!(handle.trouble(), None);
    engine.takes_none.store(true, Relaxed);
    engine.gives_none.store(true, Relaxed);
    let refused = publish(&handle, "1").await.unwrap_err();
    assert!(refused.is_temporary() && refused.code().to_string() == "MO-broker-301", "{refused}");
    let told = "events engine shaky at nowhere:1 is unavailable: refused";
    assert_eq!(handle.trouble().as_deref(), Some(told));
    assert_eq!(handle.describe().await.trouble.as_deref(), Some(told));
    engine.takes_none.store(false, Relaxed);
    engine.gives_none.store(false, Relaxed);
    publish(&handle, "1").await.unwrap();
    script.saw("s", 1).await;
    assert_eq!(handle.describe().await.trouble, None);
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_read_is_read_soon_although_nothing_else_happens() {
    let directory = tempfile::tempdir().unwrap();
    let own = store(directory.path());
    let (engine, script) = (Shaky::new(own.clone(), directory.path()), Script::new());
    let handle = broker(own, Arc::clone(&engine), &script).await;
    for (count, shut) in [(1, &engine.gives_none), (2, &engine.looks_empty)] {
        shut.store(true, Relaxed);
        publish(&handle, &count.to_string()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(script.ids("s").len(), count - 1);
        shut.store(false, Relaxed);
        let again = tokio::time::Instant::now();
        script.saw("s", count).await;
        assert!(again.elapsed() < Duration::from_secs(3), "{:?}", again.elapsed());
    }
    handle.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_gives_and_does_not_take_is_in_trouble_until_that_is_long_ago() {
    let directory = tempfile::tempdir().unwrap();
    let own = store(directory.path());
    let (engine, script) = (Shaky::new(own.clone(), directory.path()), Script::new());
    let handle = broker(own, Arc::clone(&engine), &script).await;
    engine.takes_none.store(true, Relaxed);
    publish(&handle, "1").await.unwrap_err();
    // That it answers other questions says nothing about publishing.
    assert!(real_time(handle.describe()).await.trouble.is_some());
    // Nobody publishes any more: so nothing would ever say that it is over.
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(real_time(handle.describe()).await.topics.len(), 1);
    assert_eq!(handle.trouble(), None);
    handle.stop().await;
}

#[tokio::test]
async fn a_look_at_an_engine_that_hangs_comes_back_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let own = store(directory.path());
    let (engine, script) = (Shaky::new(own.clone(), directory.path()), Script::new());
    let handle = broker(own, Arc::clone(&engine), &script).await;
    engine.hangs.store(true, Relaxed);
    let look = tokio::time::timeout(Duration::from_secs(4), handle.describe()).await.expect("an answer");
    assert_eq!(look.trouble.as_deref(), Some("shaky has not answered within 2 s"));
    assert_eq!((look.topics[0].ends, look.subscriptions.len()), (None, 1));
    engine.hangs.store(false, Relaxed);
    handle.stop().await;
}

#[tokio::test]
async fn a_topic_that_was_made_again_is_delivered_from_its_beginning() {
    let (own, before, after) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let script = Script::new();
    let handle = broker(store(own.path()), Shaky::new(store(before.path()), before.path()), &script).await;
    for id in ["1", "2", "3"] {
        publish(&handle, id).await.unwrap();
    }
    script.saw("s", 3).await;
    handle.stop().await;
    drop(handle);
    // The engine has lost everything, and something was published before Motet came back.
    let engine = Shaky::new(store(after.path()), after.path());
    engine.ensure(&TopicSpec::new(topic("t"))).await.unwrap();
    let entry = Entry::new(event("new", ""), None, Time(1));
    engine.append(&topic("t"), vec![entry], None).await.unwrap();
    let handle = broker(store(own.path()), engine, &script).await;
    script.saw("s", 4).await;
    assert_eq!(script.ids("s").last().map(String::as_str), Some("new"));
    handle.stop().await;
}
