//! The engine of events: which one the definition chooses, what it keeps, and how it is opened.
//!
//! This is the only place that knows all engines by name. What is written down about subscriptions (how far each is, what it retries, its
//! dead letters) means places in one engine's topics and nothing in another's; so the store remembers which engine it belongs to, and
//! another one is refused with a sentence instead of skipping what waits.

use anyhow::{Context as _, Result, bail};
use motet_broker::{
    Broker, Embedded, Transport, embedded,
    engine::{By, Capability, Support},
};
use motet_kernel::{code::ErrorCode, task::TaskGroup};
use motet_model::{
    judge::Promise,
    system::{System, events::EventsEngine},
};
use motet_store::{Batch, Keyspace, Store};
use std::{path::Path, sync::Arc, time::Duration};

/// All that a definition can name, in the order in which people are shown them.
pub(crate) const NAMES: [&str; 4] = ["embedded", "kafka", "rabbitmq", "nats"];

/// Engines give up by themselves after ten seconds; this is for one that does not.
const OPENS_WITHIN: Duration = Duration::from_secs(15);

const OTHER_ENGINE: ErrorCode = ErrorCode("MO-broker-403");
const NOT_BUILT_IN: ErrorCode = ErrorCode("MO-broker-404");

/// Where the store says whose it is.
const OWNER: &str = "engine";

fn owners(store: &Store) -> Result<Keyspace> {
    store.keyspace("motet.engine").map_err(|error| super::told(&error, error.code().0))
}

/// What the definition says about the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    engine: EventsEngine,
    /// What topics are called by in an engine that others use too: the system's name.
    prefix: String,
}

/// What the engine of this name keeps; nothing where it is not part of this build.
pub(crate) fn table(name: &str) -> Option<&'static [Support]> {
    match name {
        "embedded" => Some(embedded::SUPPORT),
        #[cfg(feature = "kafka")]
        "kafka" => Some(motet_adapters::kafka::SUPPORT),
        #[cfg(feature = "rabbitmq")]
        "rabbitmq" => Some(motet_adapters::rabbitmq::SUPPORT),
        #[cfg(feature = "nats")]
        "nats" => Some(motet_adapters::nats::SUPPORT),
        _ => None,
    }
}

/// What an engine cannot keep of what a definition may ask for.
pub(crate) fn lacks(engine: &EventsEngine) -> Vec<(Promise, &'static str)> {
    // Several servers do not lose at once what one may.
    let has_copies = matches!(engine, EventsEngine::Nats { replicas: 3.., .. });
    let missing = table(engine.name()).into_iter().flatten().filter(|support| match support.by {
        By::Nobody => true,
        By::Depends => !(support.capability == Capability::Durable && has_copies),
        By::Engine | By::Motet => false,
    });
    missing.filter_map(|support| Some((promise(support.capability)?, support.note))).collect()
}

fn promise(capability: Capability) -> Option<Promise> {
    Some(match capability {
        Capability::Durable => Promise::Durable,
        Capability::Order => Promise::Order,
        Capability::Dedup => Promise::Dedup,
        Capability::ReplayByPosition => Promise::FromPosition,
        Capability::ReplayByTime => Promise::FromTime,
        Capability::RetentionByTime => Promise::KeepTime,
        Capability::RetentionBySize => Promise::KeepSize,
        // A definition does not ask for these.
        Capability::Redelivery
        | Capability::Delay
        | Capability::DeadLetters
        | Capability::Partitions
        | Capability::OtherPublishers => return None,
    })
}

impl Chosen {
    /// What a definition chooses.
    ///
    /// # Errors
    /// When this Motet cannot do that.
    pub(crate) fn of(system: &System) -> Result<Self> {
        let chosen = Self { engine: system.engines.events.clone(), prefix: system.name.to_string() };
        if !system.topics.is_empty() || system.services.values().any(|service| service.jobs.is_some()) {
            chosen.usable()?;
        }
        Ok(chosen)
    }

    fn usable(&self) -> Result<()> {
        let name = self.name();
        if table(name).is_none() {
            bail!(
                "Events on {name} cannot be used: this build of Motet has no client for it. Write `events: embedded` under \
                 `engines:`, or leave it out; `motet engines` shows what there is. ({NOT_BUILT_IN})"
            );
        }
        Ok(())
    }

    /// As it is written.
    pub(crate) fn name(&self) -> &'static str {
        self.engine.name()
    }

    /// Whether a running system may go on with what another definition chooses.
    ///
    /// # Errors
    /// When not; the sentence says what to do.
    pub(crate) fn goes_on_as(&self, other: &Self) -> Result<()> {
        if self == other {
            return Ok(());
        }
        let (now, then) = (self.name(), other.name());
        let what = if now != then {
            format!("it is `{now}`, and the definition says `{then}`")
        } else if self.engine != other.engine {
            format!("the definition says something else about `{now}` than before")
        } else {
            "the definition has another `system` name than before, which topics are called by".to_owned()
        };
        bail!(
            "The engine of events stays as it is while the system runs: {what}. Nothing was changed. Take that back; or stop the system \
             with `motet down` and start it with `motet up`. ({OTHER_ENGINE})"
        )
    }

    /// What the records beside an engine belong to.
    fn owner(&self) -> String {
        match &self.engine {
            EventsEngine::Embedded => self.name().to_owned(),
            _ => format!("{} {}", self.name(), self.prefix),
        }
    }

    /// Whether the store, which is in `dir`, is this engine's or nobody's yet.
    ///
    /// # Errors
    /// When it is another one's; the sentence says what to do.
    fn may_use(&self, store: &Store, dir: &Path) -> Result<()> {
        let written = owners(store)?.get(OWNER).map_err(|error| super::told(&error, error.code().0))?;
        let is_unused = Broker::is_unused(store).map_err(|error| super::told(&error, error.code().0))?;
        let before = match written {
            Some(before) => String::from_utf8_lossy(&before).into_owned(),
            None if is_unused => return Ok(()),
            // Written by a Motet that knew one engine.
            None => EventsEngine::Embedded.name().to_owned(),
        };
        let own = self.owner();
        if before == own {
            return Ok(());
        }
        let quoted = |owner: &str| match owner.split_once(' ') {
            Some((engine, system)) => format!("`{engine}` for the system `{system}`"),
            None => format!("`{owner}`"),
        };
        bail!(
            "The events of this system have been kept by {}, and the definition chooses {}. What waits there, dead letters, and how \
             far subscriptions are would be left behind, so nothing was started. Put it back; or, when nothing waits there any more \
             (`motet topics`), stop the system and move {} away: then all topics and subscriptions begin anew. ({OTHER_ENGINE})",
            quoted(&before),
            quoted(&own),
            dir.display()
        )
    }

    /// Makes the store this engine's.
    async fn claim(&self, store: &Store) -> Result<()> {
        let mut batch = Batch::new();
        batch.insert(&owners(store)?, OWNER, self.owner());
        store.commit(batch).await.map_err(|error| super::told(&error, error.code().0))
    }

    /// Opens it. `dir` is where the store is.
    ///
    /// # Errors
    /// When the store belongs to another engine, and when the engine does not answer within some seconds.
    pub(crate) async fn open(&self, store: &Store, dir: &Path, group: &TaskGroup) -> Result<Arc<dyn Transport>> {
        self.may_use(store, dir)?;
        let opened = tokio::time::timeout(OPENS_WITHIN, Box::pin(self.connect(store, dir, group))).await;
        let opened = opened.with_context(|| format!("{} did not answer within {OPENS_WITHIN:?}", self.name()))?;
        let engine =
            opened.with_context(|| format!("Events cannot be kept by {}, so nothing was started", self.name()))?;
        // Not before: one that was never reached has kept nothing.
        self.claim(store).await?;
        Ok(engine)
    }

    /// One line for each engine.
    #[cfg_attr(
        not(any(feature = "kafka", feature = "rabbitmq", feature = "nats")),
        expect(unused_variables, reason = "only other servers need tasks")
    )]
    async fn connect(&self, store: &Store, dir: &Path, group: &TaskGroup) -> Result<Arc<dyn Transport>> {
        match &self.engine {
            EventsEngine::Embedded => {
                let engine = Embedded::new(store.clone(), dir).map_err(|error| super::told(&error, error.code().0))?;
                Ok(Arc::new(engine))
            }
            #[cfg(feature = "kafka")]
            EventsEngine::Kafka { brokers, partitions, replicas } => {
                use motet_adapters::kafka::{Kafka, Settings};
                let replicas = replicas.map(|replicas| u16::try_from(replicas).unwrap_or(u16::MAX));
                let partitions = u16::try_from(*partitions).unwrap_or(u16::MAX);
                let settings = Settings { brokers: brokers.clone(), prefix: self.prefix.clone(), partitions, replicas };
                reached(Kafka::connect(settings, store, group).await)
            }
            #[cfg(feature = "rabbitmq")]
            EventsEngine::RabbitMq { url, replicas } => {
                use motet_adapters::rabbitmq::{Rabbit, Settings};
                let replicas = replicas.map(|replicas| u16::try_from(replicas).unwrap_or(u16::MAX));
                let settings = Settings { url: url.0.clone(), prefix: self.prefix.clone(), replicas };
                reached(Rabbit::connect(settings, store, group).await)
            }
            #[cfg(feature = "nats")]
            EventsEngine::Nats { url, replicas } => {
                use motet_adapters::nats::{Nats, Settings};
                let mut settings = Settings::new(&url.0, &*self.prefix)?;
                settings.replicas = u8::try_from(*replicas).unwrap_or(u8::MAX);
                reached(Nats::connect(settings, store, group).await)
            }
            #[cfg(not(all(feature = "kafka", feature = "rabbitmq", feature = "nats")))]
            _ => self.usable().and_then(|()| bail!("{} has a table and no client", self.name())),
        }
    }
}

#[cfg(any(feature = "kafka", feature = "rabbitmq", feature = "nats"))]
fn reached<T: Transport>(opened: Result<T, motet_broker::port::TransportError>) -> Result<Arc<dyn Transport>> {
    match opened {
        Ok(engine) => Ok(Arc::new(engine)),
        Err(error) => Err(super::told(&error, error.code().0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_model::system::events::Secret;

    fn nats(url: &str, prefix: &str) -> Chosen {
        Chosen { engine: EventsEngine::Nats { url: Secret(url.into()), replicas: 1 }, prefix: prefix.into() }
    }

    fn embedded(prefix: &str) -> Chosen {
        Chosen { engine: EventsEngine::Embedded, prefix: prefix.into() }
    }

    #[tokio::test]
    async fn what_was_written_beside_one_engine_is_never_used_with_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), motet_store::Options::default()).expect("a store");
        let may = |chosen: &Chosen| chosen.may_use(&store, dir.path()).map_err(|error| error.to_string());
        let one = nats("nats://a:geheim@one", "shop");
        // An engine that was never reached has kept nothing.
        assert!(may(&one).is_ok() && may(&embedded("shop")).is_ok());
        one.claim(&store).await.expect("written");
        // Another address may be the same cluster.
        may(&nats("nats://two", "shop")).expect("its own");
        let told = may(&embedded("shop")).expect_err("another's");
        for part in ["`nats` for the system `shop`", "`embedded`", "MO-broker-403", &dir.path().display().to_string()] {
            assert!(told.contains(part), "{told}");
        }
        let told = may(&nats("nats://one", "other")).expect_err("another's");
        assert!(told.contains("`nats` for the system `other`") && !told.contains("geheim"), "{told}");
    }

    #[tokio::test]
    async fn a_store_that_is_used_and_does_not_say_whose_it_is_belongs_to_the_embedded_engine() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path(), motet_store::Options::default()).expect("a store");
        let engine = Arc::new(Embedded::new(store.clone(), dir.path()).expect("an engine"));
        let deliver = Arc::new(super::super::Push::new().expect("a client"));
        let config = motet_broker::Config::default();
        let broker = Broker::start(config, store.clone(), engine, deliver, &TaskGroup::new()).expect("a broker");
        let topics = vec![motet_broker::TopicSpec::new("a".parse().expect("a name"))];
        let declaration = motet_broker::Declaration { topics, ..Default::default() };
        broker.declare(declaration).await.expect("declared");
        assert!(nats("nats://one", "shop").may_use(&store, dir.path()).is_err());
        embedded("shop").may_use(&store, dir.path()).expect("its own");
        embedded("renamed").may_use(&store, dir.path()).expect("its own, whatever the system is called");
        broker.stop().await;
    }

    #[test]
    fn a_running_system_keeps_its_engine_and_no_password_is_told() {
        let told = |now: &Chosen, then: &Chosen| now.goes_on_as(then).expect_err("refused").to_string();
        let one = nats("nats://a:geheim@one", "shop");
        assert!(one.goes_on_as(&one.clone()).is_ok());
        assert!(told(&one, &embedded("shop")).contains("it is `nats`, and the definition says `embedded`"));
        let address = told(&one, &nats("nats://a:geheim@two", "shop"));
        assert!(address.contains("something else about `nats`") && !address.contains("geheim"), "{address}");
        assert!(told(&one, &nats("nats://a:geheim@one", "other")).contains("another `system` name"));
    }

    #[test]
    fn every_engine_of_this_build_has_a_whole_table() {
        for name in NAMES {
            let Some(table) = table(name) else { continue };
            assert_eq!(motet_broker::engine::faults(table), Vec::<String>::new(), "{name}");
        }
    }
}
