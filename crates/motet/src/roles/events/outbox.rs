//! Outboxes: the rows that services write into tables of their own stores become events.
//!
//! One relay follows one table, in the process that has the broker. It opens the store with the service's own credentials: what the service
//! may do there is all that it may do.

use super::{Declared, door};
use anyhow::Result;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use motet_adapters::postgres::outbox::PostgresTable;
use motet_broker::{Event, Handle, TopicName};
use motet_datastore::Credentials;
use motet_kernel::{name::ServiceName, task::TaskGroup};
use motet_model::system::{StoreEngine, System, events};
use motet_relay::{
    Columns, Limits, PublishError, Refusal, Row, Spec, Status,
    port::{Publish, Table},
    sqlite::SqliteTable,
};
use std::{collections::BTreeMap, sync::Arc};

/// The outbox of a service, and what opens it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outbox {
    spec: Spec,
    topic: Option<TopicName>,
    engine: StoreEngine,
    credentials: Credentials,
}

/// The outboxes that a definition has, where their stores can be opened.
pub(crate) fn of(system: &System, credentials: &BTreeMap<ServiceName, Credentials>) -> Result<Outboxes> {
    let mut outboxes = BTreeMap::new();
    for service in system.services.values() {
        let (Some(outbox), Some(store), Some(credentials)) =
            (&service.outbox, &service.store, credentials.get(&service.name))
        else {
            continue;
        };
        let topic = outbox.topic.as_ref().map(|topic| topic.as_str().parse()).transpose()?;
        let credentials = credentials.clone();
        let outbox = Outbox { spec: spec(outbox), topic, engine: store.engine, credentials };
        outboxes.insert(service.name.clone(), outbox);
    }
    Ok(outboxes)
}

/// The outboxes of a system, by service.
pub(crate) type Outboxes = BTreeMap<ServiceName, Outbox>;

fn spec(outbox: &events::Outbox) -> Spec {
    let columns = outbox.columns.clone();
    Spec {
        table: outbox.table.clone(),
        columns: Columns {
            order: columns.order,
            id: columns.id,
            topic: columns.topic,
            kind: columns.kind,
            key: columns.key,
            data: columns.data,
            content_type: columns.content_type,
            time: columns.time,
            extensions: columns.extensions,
            published: columns.published,
        },
        keep: outbox.keep,
        limits: Limits::default(),
    }
}

/// The relays that run.
#[derive(Debug, Default, Clone)]
pub(super) struct Relays(BTreeMap<ServiceName, Relay>);

#[derive(Debug, Clone)]
struct Relay {
    follows: Outbox,
    group: TaskGroup,
    handle: motet_relay::Handle,
}

impl Relays {
    /// Makes the relays those of a definition: what changed ends before it begins anew, so that no two follow one table.
    pub(super) async fn follow(
        &mut self,
        mut wanted: Outboxes,
        broker: &Handle,
        declared: &Arc<ArcSwap<Declared>>,
        group: &TaskGroup,
    ) {
        let before = std::mem::take(&mut self.0);
        for (service, relay) in before {
            if wanted.get(&service) == Some(&relay.follows) {
                wanted.remove(&service);
                self.0.insert(service, relay);
            } else {
                relay.group.cancel();
                relay.group.wait().await;
            }
        }
        for (service, outbox) in wanted {
            let table: Arc<dyn Table> = match (outbox.engine, outbox.credentials.env.get("SQLITE_PATH")) {
                (StoreEngine::Sqlite, Some(path)) => Arc::new(SqliteTable::new(path.expose(), &outbox.spec)),
                (StoreEngine::Sqlite, None) => continue,
                (StoreEngine::Postgres, _) => {
                    Arc::new(PostgresTable::new(outbox.credentials.url.clone(), &outbox.spec))
                }
                #[cfg(feature = "mysql")]
                (StoreEngine::Mysql, _) => {
                    let url = outbox.credentials.url.clone();
                    Arc::new(motet_adapters::mysql::outbox::MysqlTable::new(url, &outbox.spec))
                }
                // Without the engine there was no store to begin with.
                #[cfg(not(feature = "mysql"))]
                (StoreEngine::Mysql, _) => continue,
            };
            let way_out = WayOut {
                source: format!("/{service}"),
                service: service.clone(),
                topic: outbox.topic.clone(),
                broker: broker.clone(),
                declared: Arc::clone(declared),
            };
            let group = group.child();
            let handle = motet_relay::start(&group, &outbox.spec, table, Arc::new(way_out));
            self.0.insert(service, Relay { follows: outbox, group, handle });
        }
    }

    /// How each of them is.
    pub(super) fn status(&self) -> BTreeMap<ServiceName, Status> {
        self.0.iter().map(|(service, relay)| (service.clone(), relay.handle.status())).collect()
    }
}

/// The way of one service's rows into topics.
struct WayOut {
    service: ServiceName,
    /// Of all events out of this table.
    source: String,
    /// Of all rows, where the definition says one.
    topic: Option<TopicName>,
    broker: Handle,
    declared: Arc<ArcSwap<Declared>>,
}

impl WayOut {
    fn event(&self, row: &Row) -> Result<(TopicName, Event), String> {
        if let Some(broken) = &row.broken {
            return Err(broken.clone());
        }
        let topic = match (&self.topic, &row.topic) {
            (Some(topic), _) => topic.clone(),
            (None, Some(topic)) => topic.parse().map_err(|error| format!("its topic: {error}"))?,
            (None, None) => return Err("it names no topic, and the outbox has none for all rows".to_owned()),
        };
        if !self.declared.load().publishes(&self.service, &topic) {
            return Err(format!("service `{}` does not publish `{topic}`: write it under `publishes:`", self.service));
        }
        let content_type = row.content_type.as_deref().unwrap_or("application/json");
        let mut event = Event::builder(&row.place.id, &self.source, &row.kind).content_type(content_type);
        if let Some(key) = &row.key {
            event = event.subject(key.as_str()).extension_text("partitionkey", key.as_str());
        }
        if let Some(time) = &row.time {
            event = event.time(time.as_str());
        }
        for (name, value) in &row.extensions {
            event = event.extension_text(name.as_str(), value.as_str());
        }
        let event = event.maybe_data(row.data.clone()).build().map_err(|error| error.to_string())?;
        Ok((topic, event))
    }

    async fn write(&self, together: Option<(TopicName, Vec<Event>)>) -> Result<(), PublishError> {
        let Some((topic, events)) = together else { return Ok(()) };
        self.broker.publish(&topic, events).await.map(drop).map_err(|error| PublishError(error.to_string()))
    }
}

#[async_trait]
impl Publish for WayOut {
    fn check(&self, row: &Row) -> Result<(), Refusal> {
        let (topic, event) = self.event(row).map_err(Refusal)?;
        let fits = door::adhere(&self.declared.load(), &topic, std::slice::from_ref(&event));
        fits.map_err(|refusal| Refusal(refusal.to_string()))
    }

    async fn publish(&self, rows: &[Row]) -> Result<(), PublishError> {
        let mut together: Option<(TopicName, Vec<Event>)> = None;
        for row in rows {
            let (topic, event) = self.event(row).map_err(PublishError)?;
            match &mut together {
                // Rows of one topic that follow each other go in one write.
                Some((same, events)) if *same == topic => events.push(event),
                _ => {
                    self.write(together.take()).await?;
                    together = Some((topic, vec![event]));
                }
            }
        }
        self.write(together).await
    }
}
