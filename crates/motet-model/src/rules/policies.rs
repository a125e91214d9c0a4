//! Policies that contradict themselves: times that are longer than the ones around them, bounds in the wrong order, fallbacks that
//! cannot stand in, paths that are none.
//!
//! Each edge, route and path is looked at as it will be in force, so that a contradiction between two places is found too. A value
//! that a less specific place wrote is not blamed for it: a service says `try_timeout: 5s` for everybody, and an edge with
//! `timeout: 2s` cuts it short, as it may.

use super::{Subject, entries, fallbacks};
use crate::{
    code,
    decode::policy::policy,
    finding::Finding,
    keys::{accept::shorten, edge},
    layers::{Door, Layers, bare, covers, doors, layers, prefixes, written_paths},
    source::{Span, tree::Node},
    system::policy::{Limit, Policy},
};
use motet_kernel::quantity::show_duration;
use std::{collections::BTreeMap, time::Duration};

pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let policies = entries(subject.tree.get("services")).filter_map(|service| service.value.get("policy"));
    policies.for_each(|place| paths(place, findings));
    for door in doors(subject.tree) {
        if let Some(place) = door.own(subject.tree) {
            paths(place, findings);
            out_of_reach(door, place, findings);
        }
        let all = [None].into_iter().chain(prefixes(subject.tree, door).into_iter().map(Some));
        for path in all {
            let layers = layers(subject.tree, door, path);
            let policy = policy(&layers.merged);
            times(&layers, &policy, findings);
            bounds(&layers, &policy, findings);
            fallbacks::check(subject, door, &layers, &policy, findings);
        }
    }
}

fn paths(place: &Node, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for entry in written_paths(place) {
        let prefix = bare(&entry.key);
        if prefix.is_empty() {
            findings.push(
                Finding::error(code::INVALID_PATH, "`/` is every path")
                    .at(entry.key_span, "nothing else is left")
                    .help("write its keys beside `paths`"),
            );
        } else if prefix.contains('?') {
            findings.push(
                Finding::error(
                    code::INVALID_PATH,
                    format!("`{}` holds a query, and paths are compared without", shorten(prefix)),
                )
                .at(entry.key_span, "would never match")
                .help(format!("write `{}`", shorten(prefix.split('?').next().unwrap_or_default()))),
            );
        } else if let Some(first) = seen.insert(prefix, entry.key_span) {
            findings.push(
                Finding::error(code::DUPLICATE_KEY, format!("`{}` stands here twice", shorten(prefix)))
                    .at(entry.key_span, "again: a slash at the end makes no difference")
                    .also(first, "first")
                    .help("keep one of the two, or move what differs into the first"),
            );
        }
    }
}

/// A route passes on what is below it and nothing else, so a path beside it would never match.
fn out_of_reach(door: Door<'_>, place: &Node, findings: &mut Vec<Finding>) {
    let Door::Route { prefix, .. } = door else { return };
    if place.get(edge::STRIP_PREFIX.name).and_then(Node::text) == Some("true") {
        return;
    }
    for entry in written_paths(place).filter(|entry| entry.key.starts_with('/') && !covers(prefix, bare(&entry.key))) {
        let (path, route) = (shorten(&entry.key), shorten(bare(prefix)));
        findings.push(
            Finding::error(code::INVALID_PATH, format!("`{path}` is not below the route `{route}`"))
                .at(entry.key_span, "would never match")
                .help(format!("write `{route}{path}`; or cut the route's path off with `strip_prefix: true`")),
        );
    }
}

/// A key and its time.
type Timed<'a> = (&'a [&'a str], Duration);

/// A time within a call, and the ones that it has to fit into.
fn times(layers: &Layers<'_>, policy: &Policy, findings: &mut Vec<Finding>) {
    let timeout = (&["timeout"][..], policy.timeout);
    let one_try = policy.try_timeout.map_or(timeout, |time| (&["try_timeout"][..], time));
    let within: [(&[&str], Option<Duration>, Timed<'_>); 6] = [
        (&["try_timeout"], policy.try_timeout, timeout),
        (&["first_byte"], policy.first_byte, one_try),
        (&["connect_timeout"], Some(policy.connect_timeout), one_try),
        (&["ready_wait"], Some(policy.ready_wait), timeout),
        (&["concurrency", "queue_wait"], Some(policy.concurrency.queue_wait), timeout),
        (&["hedge", "after"], policy.hedge, one_try),
    ];
    for (key, time, (whole_key, whole)) in within {
        let (Some(time), Some(origin)) = (time, layers.origin(key)) else { continue };
        let around = layers.origin(whole_key);
        if time <= whole || around.is_some_and(|around| around.at > origin.at) {
            continue;
        }
        let (name, whole_name) = (key.join("."), whole_key.join("."));
        let message = format!(
            "`{name}` is {}, and `{whole_name}`, which it is a part of, is {}",
            show_duration(time),
            show_duration(whole)
        );
        let mut finding = Finding::error(code::LONGER_THAN_WHOLE, message).at(origin.span, "would never be reached");
        if let Some(around) = around {
            finding = finding.also(around.span, "over by then");
        }
        findings.push(finding.help(format!("make `{name}` shorter, or `{whole_name}` longer")));
    }
}

/// Bounds of which the lower one is above the upper one.
fn bounds(layers: &Layers<'_>, policy: &Policy, findings: &mut Vec<Finding>) {
    let mut check = |low: &[&str], high: &[&str], is_wrong: bool, values: (String, String)| {
        let place = |key: &[&str]| layers.origin(key).map(|origin| origin.span);
        let (Some(span), true) = (place(low).or_else(|| place(high)), is_wrong) else { return };
        let (low, high_name) = (low.join("."), high.join("."));
        let mut finding = Finding::error(
            code::OUT_OF_RANGE,
            format!("`{low}` is {} and `{high_name}` is {}: that cannot be", values.0, values.1),
        )
        .at(span, "out of order");
        if let Some(other) = place(high).filter(|other| *other != span) {
            finding = finding.also(other, "with this");
        }
        findings.push(finding.help(format!("make `{low}` smaller, or `{high_name}` larger")));
    };
    if let Limit::Adaptive { min, max } = policy.concurrency.limit {
        let keys = ["min", "max"].map(|bound| ["concurrency", "limit", "adaptive", bound]);
        check(&keys[0], &keys[1], min > max, (min.to_string(), max.to_string()));
    }
    let shown = |backoff: motet_kernel::backoff::Backoff| (show_duration(backoff.initial), show_duration(backoff.max));
    let pause = policy.retry.backoff;
    let keys = ["initial", "max"].map(|bound| ["retry", "backoff", bound]);
    check(&keys[0], &keys[1], pause.initial > pause.max, shown(pause));
    if let Some(breaker) = &policy.breaker {
        let keys = [["breaker", "open"], ["breaker", "open_max"]];
        check(&keys[0], &keys[1], breaker.open.initial > breaker.open.max, shown(breaker.open));
    }
}
