//! Lints about engines: what the definition asks for and the chosen engine cannot keep.
//!
//! Events mean the same on every engine as far as Motet can add what one lacks. What is left is said here, before something is lost.

use super::Lint;
use crate::{
    code,
    finding::Finding,
    judge::Promise,
    rules::Subject,
    spelling,
    system::events::{From, Topic},
};
use std::collections::BTreeSet;

/// So many topics are named in one message.
const NAMED_MAX: usize = 5;

pub(super) fn check(subject: &Subject<'_>, lints: &mut Vec<Lint>) {
    let (Some(judge), false) = (subject.judge, subject.system.topics.is_empty()) else { return };
    let engine = &subject.system.engines.events;
    for (promise, why) in judge.lacks(engine) {
        let topics = concerned(subject, promise);
        if topics.is_empty() {
            continue;
        }
        let named = topics.iter().take(NAMED_MAX).map(|name| (*name).to_owned());
        let more = topics.len().saturating_sub(NAMED_MAX);
        let more = (more > 0).then(|| format!("{more} more"));
        let all = spelling::all_of(named.chain(more));
        let finding = Finding::warning(code::NOT_KEPT, told(promise, engine.name(), &all))
            .at(subject.place(&["engines", "events", engine.name()]), "the chosen engine")
            .help(format!("{why} `motet engines` shows what each engine keeps"));
        lints.push(Lint::of_topics(finding, topics));
    }
}

fn told(promise: Promise, engine: &str, topics: &str) -> String {
    match promise {
        Promise::Durable => format!("`{engine}` may lose events of {topics} that were acknowledged"),
        Promise::Order => format!("`{engine}` may deliver events of {topics} with the same key in another order"),
        Promise::Dedup => format!("`{engine}` may keep an event of {topics} twice"),
        Promise::FromPosition => format!("with `{engine}` nobody can begin at a position of {topics}"),
        Promise::FromTime => format!("with `{engine}` nobody can begin at a time of {topics}"),
        Promise::KeepTime => format!("`{engine}` does not remove the events of {topics} when they are old"),
        Promise::KeepSize => format!("`{engine}` does not keep {topics} below its size"),
    }
}

/// The topics that ask for it.
fn concerned<'a>(subject: &'a Subject<'_>, promise: Promise) -> BTreeSet<&'a str> {
    let asks = |topic: &Topic| match promise {
        Promise::Durable => true,
        Promise::Order => topic.key.is_some(),
        Promise::Dedup => topic.dedup.is_some(),
        Promise::KeepTime => topic.keep.time.is_some(),
        Promise::KeepSize => topic.keep.size.is_some(),
        Promise::FromPosition => begins(subject, topic, |from| matches!(from, From::Position(_))),
        Promise::FromTime => begins(subject, topic, |from| matches!(from, From::Time(_))),
    };
    subject.system.topics.values().filter(|topic| asks(topic)).map(|topic| topic.name.as_str()).collect()
}

fn begins(subject: &Subject<'_>, topic: &Topic, there: impl Fn(From) -> bool) -> bool {
    let services = subject.system.services.values();
    services.filter_map(|service| service.subscribes.get(&topic.name)).any(|subscription| there(subscription.from))
}
