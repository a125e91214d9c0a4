//! Views: tables in services' own stores that Motet keeps as copies of topics.
//!
//! A view is a subscription like any other: the broker hands its events over, counts what waits, pauses, replays and keeps what was given
//! up. Only the last step differs: no request to a path, but rows in a table, with the service's own credentials. Events come to it one
//! batch at a time, in the order of the topic, each once; a batch stays with the writer until the store has it, however long that takes.

use super::{Declared, push::Push};
use anyhow::{Result, bail};
use async_trait::async_trait;
use motet_adapters::postgres::view::PostgresView;
use motet_broker::{
    BatchRule, Deliver, Delivery, Handle, Outcome, Parcel, Refusal, Retry, Start, SubscriptionName, SubscriptionSpec,
    key::{self, Pointer},
};
use motet_datastore::Credentials;
use motet_kernel::{backoff::Backoff, name::ServiceName, task::TaskGroup};
use motet_model::system::{StoreEngine, System};
use motet_relay::view::{
    Change, Given, KEY_MAX_BYTES, Rewind, Row, Run, Verdict, ViewError, ViewSpec, ViewTable, Writer, sqlite::SqliteView,
};
use parking_lot::RwLock;
use serde::de::IgnoredAny;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::Duration,
};

/// So many events are written in one transaction. They are read faster than that only while it lasts.
const BATCH: BatchRule = BatchRule { items: 1000, wait: Duration::ZERO, bytes: 4 << 20 };
/// How long a start waits for the tables of views to be made. A store that is away longer is not waited for.
const MADE_WITHIN: Duration = Duration::from_secs(10);
/// What failed inside of Motet is tried again after this.
const AGAIN: Backoff = Backoff { initial: Duration::from_millis(100), max: Duration::from_secs(5), factor: 2.0 };

/// A view of a service, and what opens its store.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    spec: ViewSpec,
    key: Option<Pointer>,
    /// The types of events that delete a row.
    delete: BTreeSet<String>,
    from: Start,
    engine: StoreEngine,
    credentials: Credentials,
}

/// The views of a system, by their subscriptions.
pub(crate) type Wanted = BTreeMap<SubscriptionName, View>;

/// The views that a definition has, where their stores can be opened.
pub(crate) fn of(system: &System, declared: &Declared, credentials: &BTreeMap<ServiceName, Credentials>) -> Wanted {
    let mut wanted = Wanted::new();
    for (name, subscription) in declared.subscriptions() {
        let store = system.services.get(&subscription.service).and_then(|service| service.store.as_ref());
        let (Some(view), Some(store), Some(credentials)) =
            (&subscription.view, store, credentials.get(&subscription.service))
        else {
            continue;
        };
        let from = subscription.spec.from;
        let view = View {
            spec: ViewSpec {
                table: view.table.clone(),
                subscription: name.to_string(),
                refills: from != Start::Latest,
            },
            key: declared.topics().get(&subscription.spec.topic).and_then(|topic| topic.spec.key.clone()),
            delete: view.delete.iter().cloned().collect(),
            from,
            engine: store.engine,
            credentials: credentials.clone(),
        };
        wanted.insert(name.clone(), view);
    }
    wanted
}

/// What a subscription has to be for a view: one batch at a time, in order, and never given up because the store is away.
pub(super) fn subscription(spec: SubscriptionSpec) -> SubscriptionSpec {
    SubscriptionSpec {
        in_flight: 1,
        batch: Some(BATCH),
        // The order is that of the topic, for all keys: one batch holds many events of one key.
        ordered: false,
        timeout: Duration::from_secs(u64::from(u32::MAX)),
        retry: Retry { backoff: AGAIN, attempts: u32::MAX, max_age: None },
        ..spec
    }
}

/// Writes events into tables.
#[derive(Debug, Default)]
pub(super) struct Views {
    targets: RwLock<BTreeMap<SubscriptionName, Arc<Target>>>,
    broker: OnceLock<Handle>,
}

#[derive(Debug)]
struct Target {
    view: View,
    writer: Writer,
    /// Cancelled when another one takes its place.
    group: TaskGroup,
}

impl Views {
    /// Who begins a subscription anew when its table lost something.
    pub(super) fn meet(&self, broker: &Handle) {
        // There is one broker in the life of these views.
        let _ = self.broker.set(broker.clone());
    }

    /// Makes the tables that are not there, and writes to these from now on.
    ///
    /// # Errors
    /// When a table is not one that can be a view; nothing is changed then.
    pub(super) async fn lead(&self, wanted: Wanted) -> Result<()> {
        let before = self.targets.read().clone();
        let mut targets = BTreeMap::new();
        for (name, view) in wanted {
            let same = before.get(&name).filter(|target| target.view == view);
            let target = match same {
                Some(target) => Arc::clone(target),
                None => match Target::new(view) {
                    Some(target) => Arc::new(target),
                    None => continue,
                },
            };
            match tokio::time::timeout(MADE_WITHIN, target.writer.open()).await {
                Ok(Err(error @ ViewError::Shape { .. })) => {
                    bail!("`{name}` cannot be kept as a view: {error} ({})", error.code().0)
                }
                Ok(Err(error)) => {
                    tracing::warn!(subscription = %name, %error, "the table of a view could not be made yet")
                }
                Ok(Ok(())) => {}
                Err(_) => tracing::warn!(subscription = %name, "the table of a view could not be made yet: no answer"),
            }
            targets.insert(name, target);
        }
        let gone: Vec<_> = before.into_iter().filter(|(name, _)| !targets.contains_key(name)).collect();
        let replaced = std::mem::replace(&mut *self.targets.write(), targets);
        for (name, target) in replaced.into_iter().chain(gone) {
            if self.targets.read().get(&name).is_none_or(|now| !Arc::ptr_eq(now, &target)) {
                target.group.cancel();
            }
        }
        Ok(())
    }

    /// Why a view cannot be written at the moment, if so.
    pub(super) fn trouble(&self) -> BTreeMap<SubscriptionName, String> {
        let targets = self.targets.read();
        targets.iter().filter_map(|(name, target)| Some((name.clone(), target.writer.trouble()?))).collect()
    }

    /// Writes what is delivered. `None`: that subscription is no view.
    async fn deliver(&self, delivery: &Delivery) -> Option<Vec<Outcome>> {
        let name = &delivery.subscription.name;
        let target = self.targets.read().get(name).cloned()?;
        let all = |why: &str| vec![Outcome::retry(why); delivery.parcels.len()];
        let run = delivery.run;
        let run = Run {
            id: run.id,
            lineage: run.lineage,
            begins: run.begins.0,
            until: run.until.0,
            acked: run.acked.map(|position| position.0),
        };
        let given = delivery.parcels.iter().map(|parcel| target.view.given(parcel)).collect();
        let replaced = target.group.token();
        let written = tokio::select! {
            () = replaced.cancelled() => return Some(all("the view was changed meanwhile")),
            written = target.writer.write(run, given) => written,
        };
        Some(match written {
            Ok(verdicts) => verdicts.into_iter().map(outcome).collect(),
            Err(rewind) => {
                self.begin_anew(name, &target.view, rewind).await;
                all("the table lost what was written before; it is delivered again")
            }
        })
    }

    async fn begin_anew(&self, name: &SubscriptionName, view: &View, rewind: Rewind) {
        let Some(broker) = self.broker.get() else { return };
        let start = match rewind {
            Rewind::Start => view.from,
            Rewind::To(position) => Start::Position(motet_broker::Position(position)),
        };
        match broker.replay(name, start).await {
            Ok(position) => {
                tracing::warn!(subscription = %name, table = view.spec.table, position = position.0, "the table of a view is filled again");
            }
            Err(error) => tracing::error!(subscription = %name, %error, "a view could not be begun anew; tried again"),
        }
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Done => Outcome::Ack,
        Verdict::Refused(why) => Outcome::Permanent(Refusal::of(why)),
    }
}

impl Target {
    fn new(view: View) -> Option<Self> {
        let table: Arc<dyn ViewTable> = match view.engine {
            StoreEngine::Sqlite => {
                Arc::new(SqliteView::new(view.credentials.env.get("SQLITE_PATH")?.expose(), &view.spec))
            }
            StoreEngine::Postgres => Arc::new(PostgresView::new(view.credentials.url.clone(), &view.spec)),
        };
        let writer = Writer::new(view.spec.clone(), table);
        Some(Self { view, writer, group: TaskGroup::new() })
    }
}

impl View {
    /// An event as its table sees it.
    fn given(&self, parcel: &Parcel) -> Given {
        let position = parcel.position.map(|position| position.0);
        let change = self.change(parcel, position);
        Given { position, again: parcel.redriven || parcel.attempt > 1, change }
    }

    fn change(&self, parcel: &Parcel, position: Option<u64>) -> Result<Change, Cow<'static, str>> {
        let event = &parcel.event;
        let Some(key) = key::text(event, self.key.as_ref()) else {
            return Err(
                "it has no key: nothing stands where the topic's `key` points, and it has no `partitionkey`".into()
            );
        };
        if key.len() > KEY_MAX_BYTES {
            return Err(format!("its key has {} bytes, and {KEY_MAX_BYTES} are the most", key.len()).into());
        }
        let position = position.map_or(-1, |position| i64::try_from(position).unwrap_or(i64::MAX));
        let gone = |key: Cow<'_, str>| Change { key: key.into_owned(), position, row: None };
        let data = event.data().map(|data| data.trim_ascii());
        let data = match data {
            None | Some(b"" | b"null") => return Ok(gone(key)),
            Some(_) if self.delete.contains(event.ty()) => return Ok(gone(key)),
            Some(data) => data,
        };
        if let Some(other) = event.content_type().filter(|of| !motet_cloudevents::media::is_json(of)) {
            return Err(format!("its data is {other}, and a view holds JSON").into());
        }
        let not_json = |error: &dyn std::fmt::Display| format!("its data is not JSON: {error}");
        serde_json::from_slice::<IgnoredAny>(data).map_err(|error| not_json(&error))?;
        let value = std::str::from_utf8(data).map_err(|error| not_json(&error))?.to_owned();
        let row = Row {
            value,
            id: event.id().to_owned(),
            source: event.source().to_owned(),
            kind: event.ty().to_owned(),
            time: event.time().map(str::to_owned),
        };
        Ok(Change { key: key.into_owned(), position, row: Some(row) })
    }
}

/// All ways to subscribers: into tables, and to paths.
pub(super) struct Ways {
    pub(super) push: Arc<Push>,
    pub(super) views: Arc<Views>,
}

#[async_trait]
impl Deliver for Ways {
    async fn deliver(&self, delivery: Delivery) -> Vec<Outcome> {
        match self.views.deliver(&delivery).await {
            Some(outcomes) => outcomes,
            None => self.push.deliver(delivery).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_broker::{Event, Position, Time};

    fn view() -> View {
        View {
            spec: ViewSpec { table: "t".into(), subscription: "s".into(), refills: true },
            key: Some("/id".parse().unwrap()),
            delete: BTreeSet::from(["gone".to_owned()]),
            from: Start::Earliest,
            engine: StoreEngine::Sqlite,
            credentials: Credentials { url: motet_datastore::Secret::new(""), env: BTreeMap::new() },
        }
    }

    fn given(kind: &str, content_type: &str, data: Option<&'static [u8]>) -> Given {
        let event = Event::builder("1", "/s", kind).extension_text("partitionkey", "p").content_type(content_type);
        let event = event.maybe_data(data.map(bytes::Bytes::from_static)).build().unwrap();
        let parcel = Parcel {
            event,
            position: Some(Position(7)),
            redriven: false,
            attempt: 1,
            token: String::new(),
            published_at: Time(0),
        };
        view().given(&parcel)
    }

    #[test]
    fn an_event_becomes_a_row_or_the_end_of_one_or_says_why_not() {
        let row = given("t", "application/json", Some(br#" {"id": "k"} "#));
        let change = row.change.unwrap();
        assert_eq!((row.position, row.again, change.key.as_str(), change.position), (Some(7), false, "k", 7));
        assert_eq!(change.row.unwrap().value, r#"{"id": "k"}"#);
        for data in [None, Some(&b"null"[..]), Some(&b""[..])] {
            let change = given("t", "application/json", data).change.unwrap();
            assert_eq!((change.key.as_str(), change.row), ("p", None), "{data:?}");
        }
        let change = given("gone", "application/json", Some(br#"{"id": "k"}"#)).change.unwrap();
        assert_eq!((change.key.as_str(), change.row), ("k", None));
        assert!(given("t", "text/plain", Some(b"{}")).change.unwrap_err().contains("text/plain"));
        assert!(given("t", "application/json", Some(b"{")).change.unwrap_err().contains("not JSON"));
    }
}
