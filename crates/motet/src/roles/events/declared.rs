//! The definition's topics and subscriptions in the words of the broker, with what only the binary knows: whose contract is whose, who may
//! publish, which path gets what.

use super::{engine::Chosen, views};
use anyhow::{Context as _, Result};
use motet_broker::{
    BatchRule, Declaration, Filter, Keep, Mode, Permanent, Retry, Start, SubscriptionName, SubscriptionSpec, Time,
    TopicName, TopicSpec,
};
use motet_contract::{Contract, LoadError};
use motet_kernel::name::ServiceName;
use motet_model::system::{
    Service, System,
    events::{self, ContentMode, Delivery, From, Schema},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// What a definition says about events.
#[derive(Debug, Default, Clone)]
pub(crate) struct Declared {
    engine: Chosen,
    topics: BTreeMap<TopicName, Topic>,
    subscriptions: BTreeMap<SubscriptionName, Subscription>,
    publishers: BTreeMap<ServiceName, BTreeSet<TopicName>>,
}

/// A topic, and what its data has to be.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) spec: TopicSpec,
    pub(crate) contract: Option<Arc<Contract>>,
    pub(crate) about: Option<String>,
}

/// A table that is a copy of a topic.
#[derive(Debug, Clone)]
pub(crate) struct ViewOf {
    pub(crate) table: String,
    /// The types of events that delete a row.
    pub(crate) delete: Vec<String>,
}

/// A subscription, and where its events go.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) spec: SubscriptionSpec,
    pub(crate) service: ServiceName,
    /// The path that gets them; nothing where the service fetches, or has a view.
    pub(crate) path: Option<String>,
    /// The table that is a copy of the topic.
    pub(crate) view: Option<ViewOf>,
    /// How an event lies in the request.
    pub(crate) content: ContentMode,
}

impl Declared {
    /// Reads a definition: compiles schemas and filters.
    ///
    /// # Errors
    /// When a schema or a filter cannot be used, and when something is asked for that Motet cannot do yet.
    pub(crate) fn of(system: &System) -> Result<Self> {
        let mut declared = Self { engine: Chosen::of(system)?, ..Self::default() };
        for topic in system.topics.values() {
            let topic = read_topic(topic, system).with_context(|| format!("topic `{}` cannot be used", topic.name))?;
            declared.topics.insert(topic.spec.name.clone(), topic);
        }
        for service in system.services.values() {
            let published = service.publishes.iter().map(|topic| topic.as_str().parse());
            let published = published.collect::<Result<BTreeSet<_>, _>>()?;
            if !published.is_empty() {
                declared.publishers.insert(service.name.clone(), published);
            }
            for (topic, subscription) in &service.subscribes {
                let read = read_subscription(service, topic.as_str(), subscription);
                let read = read.with_context(|| format!("`{}` cannot subscribe to `{topic}`", service.name))?;
                declared.subscriptions.insert(read.spec.name.clone(), read);
            }
        }
        Ok(declared)
    }

    /// Nothing is told by events.
    pub(crate) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// What is to keep the topics.
    pub(crate) fn engine(&self) -> &Chosen {
        &self.engine
    }

    /// Everybody who publishes or subscribes.
    pub(crate) fn services(&self) -> BTreeSet<&ServiceName> {
        let subscribers = self.subscriptions.values().map(|subscription| &subscription.service);
        self.publishers.keys().chain(subscribers).collect()
    }

    /// The same for the broker.
    pub(crate) fn declaration(&self) -> Declaration {
        Declaration {
            topics: self.topics.values().map(|topic| topic.spec.clone()).collect(),
            subscriptions: self.subscriptions.values().map(|subscription| subscription.spec.clone()).collect(),
        }
    }

    pub(crate) fn topics(&self) -> &BTreeMap<TopicName, Topic> {
        &self.topics
    }

    pub(crate) fn subscriptions(&self) -> &BTreeMap<SubscriptionName, Subscription> {
        &self.subscriptions
    }

    /// Whether a service may publish to a topic.
    pub(crate) fn publishes(&self, service: &ServiceName, topic: &TopicName) -> bool {
        self.publishers.get(service).is_some_and(|topics| topics.contains(topic))
    }

    /// What a service means by a subscription's name: its own one to that topic, or the full name of one of its own.
    pub(crate) fn subscription_of(&self, service: &ServiceName, name: &str) -> Option<&Subscription> {
        let own = name_of(service, name).ok().and_then(|name| self.subscriptions.get(&name));
        own.or_else(|| self.subscriptions.get(name)).filter(|subscription| subscription.service == *service)
    }
}

/// The name of a service's subscription to a topic.
fn name_of(service: &ServiceName, topic: &str) -> Result<SubscriptionName> {
    Ok(format!("{service}.{topic}").parse()?)
}

/// A schema, ready to hold payloads against. What it refers to stays in the folder `root`.
pub(super) fn contract(schema: &Schema, root: &Path) -> Result<Contract, LoadError> {
    match schema {
        Schema::File(file) => Contract::load(file, root),
        Schema::Inline { schema, dir } => Contract::inline(schema, dir, root),
    }
}

fn read_topic(topic: &events::Topic, system: &System) -> Result<Topic> {
    let contract = topic.schema.as_ref().map(|schema| contract(schema, &system.dir)).transpose()?;
    let spec = TopicSpec {
        key: topic.key.as_deref().map(str::parse).transpose()?,
        keep: Keep { time: topic.keep.time, bytes: topic.keep.size },
        dedup: topic.dedup.unwrap_or_default(),
        event_max_bytes: usize::try_from(topic.max_payload).unwrap_or(usize::MAX),
        ..TopicSpec::new(topic.name.as_str().parse()?)
    };
    Ok(Topic { spec, contract: contract.map(Arc::new), about: topic.about.clone() })
}

fn read_subscription(service: &Service, topic: &str, subscription: &events::Subscription) -> Result<Subscription> {
    let (mode, path, view) = match &subscription.delivery {
        Delivery::Push { path } => (Mode::Push, Some(path.clone()), None),
        Delivery::Pull => (Mode::Pull, None, None),
        Delivery::View { table, delete } => {
            (Mode::Push, None, Some(ViewOf { table: table.clone(), delete: delete.clone() }))
        }
    };
    let filter = subscription.filter.as_ref().map(read_filter).transpose()?;
    let spec = SubscriptionSpec {
        mode,
        in_flight: usize::try_from(subscription.in_flight).unwrap_or(usize::MAX),
        timeout: subscription.timeout,
        lease: subscription.lease,
        retry: Retry {
            backoff: subscription.retry.backoff,
            attempts: subscription.retry.attempts,
            max_age: subscription.max_age,
        },
        permanent: Permanent(subscription.permanent.clone()),
        filter: filter.map(|filter| Filter::new(move |event| filter.matches(event))),
        batch: subscription.batch.map(|batch| BatchRule {
            items: usize::try_from(batch.items).unwrap_or(usize::MAX),
            wait: batch.wait,
            bytes: usize::try_from(batch.bytes).unwrap_or(usize::MAX),
        }),
        ordered: subscription.ordered,
        from: match subscription.from {
            From::Earliest => Start::Earliest,
            From::Latest => Start::Latest,
            From::Time(time) => Start::Time(Time(u64::try_from(time.as_millisecond()).unwrap_or_default())),
            From::Position(position) => Start::Position(motet_broker::Position(position)),
        },
        ..SubscriptionSpec::new(name_of(&service.name, topic)?, topic.parse()?)
    };
    let spec = if view.is_some() { views::subscription(spec) } else { spec };
    Ok(Subscription { spec, service: service.name.clone(), path, view, content: subscription.mode })
}

fn read_filter(filter: &events::Filter) -> Result<motet_cloudevents::Filter> {
    use motet_cloudevents::Filter as Compiled;
    let each = |pairs: &BTreeMap<String, String>, make: fn(&str, &str) -> Result<Compiled, _>| {
        let made = pairs.iter().map(|(name, value)| make(name, value));
        Compiled::all(made.collect::<Result<_, motet_cloudevents::InvalidFilter>>()?)
    };
    let all = |filters: &[events::Filter]| filters.iter().map(read_filter).collect::<Result<Vec<_>>>();
    Ok(match filter {
        events::Filter::Exact(pairs) => each(pairs, Compiled::exact)?,
        events::Filter::Prefix(pairs) => each(pairs, Compiled::prefix)?,
        events::Filter::Suffix(pairs) => each(pairs, Compiled::suffix)?,
        events::Filter::All(filters) => Compiled::all(all(filters)?)?,
        events::Filter::Any(filters) => Compiled::any(all(filters)?)?,
        events::Filter::Not(filter) => Compiled::not(read_filter(filter)?)?,
        events::Filter::Sql(text) => Compiled::sql(text)?,
    })
}

/// The longest that a delivery to a service may take.
pub(crate) fn longest_delivery(service: &Service) -> Option<Duration> {
    let pushed = service.subscribes.values().filter(|subscription| subscription.path().is_some());
    pushed.map(|subscription| subscription.timeout).max()
}
