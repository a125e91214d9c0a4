//! What a definition says about jobs: who takes them, on which terms, and who may ask whom.

use super::queue::{subscription_of, topic_of};
use motet_broker::{Keep, Permanent, Retry, SubscriptionSpec, TopicSpec};
use motet_jobs::Spec;
use motet_kernel::name::ServiceName;
use motet_model::system::{System, events};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A ticket stays in its topic longer than its job may wait, so that none is gone before the job is.
const TICKETS_LONGER: Duration = Duration::from_secs(24 * 3600);
/// The queue waits longer for an attempt than the attempt may take: what came of it has to be written down.
const TIME_TO_WRITE: Duration = Duration::from_secs(60);

/// What a definition says about jobs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Declared {
    queues: BTreeMap<ServiceName, Queue>,
    /// Whom each service may ask, itself included.
    may: BTreeMap<ServiceName, BTreeSet<ServiceName>>,
}

#[derive(Debug, Clone)]
struct Queue {
    spec: Spec,
    in_flight: usize,
    /// Whether it takes jobs, or only callbacks.
    takes_jobs: bool,
}

impl Declared {
    pub(crate) fn of(system: &System) -> Self {
        let mut declared = Self::default();
        let takes = |service: &ServiceName| system.services.get(service).is_some_and(|it| it.jobs.is_some());
        for service in system.services.values() {
            if let Some(jobs) = &service.jobs {
                declared.queues.insert(service.name.clone(), read(jobs));
            }
            let asked: BTreeSet<_> = service.uses.keys().filter(|callee| takes(callee)).cloned().collect();
            if !service.once && !asked.is_empty() && service.jobs.is_none() {
                let queue = Queue { spec: Spec::default(), in_flight: 16, takes_jobs: false };
                declared.queues.insert(service.name.clone(), queue);
            }
            let itself = takes(&service.name).then(|| service.name.clone());
            let may: BTreeSet<_> = asked.into_iter().chain(itself).collect();
            if !may.is_empty() {
                declared.may.insert(service.name.clone(), may);
            }
        }
        declared
    }

    /// Nobody takes jobs.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Everybody who asks for jobs or does them.
    pub(crate) fn services(&self) -> impl Iterator<Item = &ServiceName> {
        self.may.keys().chain(self.queues.keys())
    }

    /// Those that take jobs.
    pub(crate) fn takers(&self) -> impl Iterator<Item = &ServiceName> {
        self.queues.iter().filter(|(_, queue)| queue.takes_jobs).map(|(service, _)| service)
    }

    /// Whether a service takes jobs.
    pub(crate) fn takes(&self, service: &str) -> bool {
        self.queues.get(service).is_some_and(|queue| queue.takes_jobs)
    }

    /// Whether a service can be told by callbacks.
    pub(crate) fn can_be_told(&self, service: &str) -> bool {
        self.queues.contains_key(service)
    }

    /// Whether a service may ask another one.
    pub(crate) fn may_ask(&self, caller: &ServiceName, service: &str) -> bool {
        self.may.get(caller).is_some_and(|may| may.contains(service))
    }

    /// The longest that an attempt at a service may take.
    pub(crate) fn longest(&self, service: &ServiceName) -> Option<Duration> {
        self.queues.get(service).map(|queue| queue.spec.timeout)
    }

    /// The terms of each.
    pub(crate) fn specs(&self) -> Vec<(String, Spec)> {
        self.queues.iter().map(|(service, queue)| (service.to_string(), queue.spec.clone())).collect()
    }

    /// The topics of tickets.
    pub(crate) fn topics(&self) -> impl Iterator<Item = TopicSpec> {
        self.queues.iter().filter_map(|(service, queue)| {
            let keep = Keep { time: Some(queue.spec.max_age.saturating_add(TICKETS_LONGER)), bytes: None };
            Some(TopicSpec { keep, ..TopicSpec::new(topic_of(service.as_str())?) })
        })
    }

    /// How tickets come back.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = SubscriptionSpec> {
        self.queues.iter().filter_map(|(service, queue)| {
            let (name, topic) = (subscription_of(service.as_str())?, topic_of(service.as_str())?);
            Some(SubscriptionSpec {
                in_flight: queue.in_flight,
                timeout: queue.spec.timeout.saturating_add(TIME_TO_WRITE),
                lease: queue.spec.lease,
                // Whether a job is tried again is written in the job, and the queue asks it.
                retry: Retry { backoff: queue.spec.retry.backoff, attempts: u32::MAX, max_age: None },
                permanent: Permanent(Vec::new()),
                ..SubscriptionSpec::new(name, topic)
            })
        })
    }
}

fn read(jobs: &events::Jobs) -> Queue {
    let spec = Spec {
        timeout: jobs.timeout,
        lease: jobs.lease,
        retry: motet_jobs::Retry { attempts: jobs.retry.attempts, backoff: jobs.retry.backoff },
        permanent: jobs.permanent.clone(),
        max_age: jobs.max_age,
        keep: motet_jobs::Keep { time: jobs.keep.time, bytes: jobs.keep.size },
        body_max_bytes: usize::try_from(jobs.max_payload).unwrap_or(usize::MAX),
    };
    Queue { spec, in_flight: usize::try_from(jobs.in_flight).unwrap_or(usize::MAX), takes_jobs: true }
}
