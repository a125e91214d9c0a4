//! Topics and subscriptions in numbers: as many series as the definition has of them.

use motet_api::exposition::{Family, Labels};
use motet_broker::{Description, SubscriptionStatus, TopicStatus};
use motet_kernel::name::ServiceName;
use std::collections::BTreeMap;

type Read<T> = fn(&T) -> u64;

/// All families about events.
pub(super) fn families(description: &Description) -> Vec<Family> {
    let mut families = topics(&description.topics);
    families.extend(subscriptions(&description.subscriptions));
    let mut lag = Family::gauge("motet_broker_lag_seconds", "How long the oldest event that is not settled waits.");
    for it in &description.subscriptions {
        lag.number(of_subscription(it), it.lag.unwrap_or_default().as_secs_f64());
    }
    let mut disk = Family::gauge("motet_broker_disk_bytes", "What events take on disk.");
    disk.count(Vec::new(), description.disk_bytes);
    let mut writable = Family::gauge("motet_broker_writable", "1, or 0 when nothing can be published.");
    writable.count(Vec::new(), u64::from(description.trouble.is_none()));
    families.extend([lag, disk, writable]);
    families
}

/// All families about outboxes: none where there is none.
pub(crate) fn outboxes(outboxes: &BTreeMap<ServiceName, motet_relay::Status>) -> Vec<Family> {
    if outboxes.is_empty() {
        return Vec::new();
    }
    let mut published = Family::counter("motet_relay_rows_published", "Rows of an outbox that became events.");
    let mut waiting = Family::gauge("motet_relay_rows_waiting", "Rows of an outbox that are not published.");
    let mut held =
        Family::gauge("motet_relay_keys_held", "Keys of an outbox that a row holds up which cannot be published.");
    let mut lag = Family::gauge("motet_relay_lag_seconds", "How long the oldest row that is not published waits.");
    for (service, status) in outboxes {
        let labels = || vec![("service", service.to_string())];
        published.count(labels(), status.published);
        waiting.count(labels(), status.lag.rows);
        held.count(labels(), status.held as u64);
        lag.number(labels(), status.lag.oldest.unwrap_or_default().as_secs_f64());
    }
    vec![published, waiting, held, lag]
}

fn topics(topics: &[TopicStatus]) -> Vec<Family> {
    let counters: [(&'static str, &'static str, Read<TopicStatus>); 2] = [
        ("motet_broker_events_published", "Events published, duplicates not counted.", |it| it.published),
        ("motet_broker_events_duplicate", "Events that had been published before, and were not again.", |it| {
            it.duplicates
        }),
    ];
    let labels = |it: &TopicStatus| -> Labels { vec![("topic", it.name.to_string())] };
    let mut families =
        counters.map(|(name, help, read)| all(Family::counter(name, help), topics, labels, read)).to_vec();
    let kept = Family::gauge("motet_broker_events_kept", "Events that a topic keeps.");
    families.push(all(kept, topics, labels, |it| it.ends.map_or(0, |ends| ends.next.0.saturating_sub(ends.first.0))));
    let shortened = Family::gauge(
        "motet_broker_dedup_window_shortened",
        "1 where more events came within the window of `dedup` than can be remembered: old duplicates may pass.",
    );
    families.push(all(shortened, topics, labels, |it| u64::from(it.window_shortened)));
    families
}

fn subscriptions(subscriptions: &[SubscriptionStatus]) -> Vec<Family> {
    let counters: [(&'static str, &'static str, Read<SubscriptionStatus>); 7] = [
        ("motet_broker_events_delivered", "Events handed to subscribers, each attempt counted.", |it| {
            it.counts.delivered
        }),
        ("motet_broker_deliveries_failed", "Attempts that failed and are repeated.", |it| it.counts.failed),
        ("motet_broker_events_acknowledged", "Events that subscribers have taken.", |it| it.counts.acknowledged),
        ("motet_broker_events_buried", "Events that became dead letters.", |it| it.counts.buried),
        ("motet_broker_events_filtered", "Events that the subscription's filter did not take.", |it| {
            it.counts.filtered
        }),
        ("motet_broker_events_missed", "Events that were gone before they were read.", |it| it.counts.missed),
        ("motet_broker_dead_letters_dropped", "Dead letters that went because there were too many.", |it| {
            it.dead_letters_gone
        }),
    ];
    let gauges: [(&'static str, &'static str, Read<SubscriptionStatus>); 5] = [
        ("motet_broker_events_waiting", "Events that are not settled, in flight or tried again.", waiting),
        ("motet_broker_events_in_flight", "Events with a subscriber.", |it| it.counts.in_flight_events as u64),
        ("motet_broker_events_retrying", "Events that wait to be tried again.", |it| it.counts.retrying as u64),
        ("motet_broker_dead_letters", "Dead letters that nobody has redriven or dropped.", |it| it.dead_letters),
        ("motet_broker_subscription_paused", "1 while a subscription is paused.", |it| u64::from(it.counts.paused)),
    ];
    let of = of_subscription;
    let counters = counters.map(|(name, help, read)| all(Family::counter(name, help), subscriptions, of, read));
    let gauges = gauges.map(|(name, help, read)| all(Family::gauge(name, help), subscriptions, of, read));
    counters.into_iter().chain(gauges).collect()
}

/// Events that are neither settled nor in flight nor between two attempts.
pub(crate) fn waiting(it: &SubscriptionStatus) -> u64 {
    it.counts.depth.saturating_sub(it.counts.in_flight_events as u64).saturating_sub(it.counts.retrying as u64)
}

fn of_subscription(it: &SubscriptionStatus) -> Labels {
    vec![("subscription", it.name.to_string()), ("topic", it.topic.to_string())]
}

fn all<T>(mut family: Family, of: &[T], labels: fn(&T) -> Labels, read: Read<T>) -> Family {
    of.iter().for_each(|it| family.count(labels(it), read(it)));
    family
}
