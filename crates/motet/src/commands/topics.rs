//! `motet topics`: what is kept, how fast it comes, and what waits for whom.

use crate::{
    cli::Global,
    connect,
    exit::Exit,
    terminal::{self, ink, live::since, table::Table},
};
use anyhow::Result;
use motet_api::wire::events::{Events, Mode, Topic};
use motet_kernel::quantity::{show_duration, show_size};
use std::time::Duration;

pub(crate) async fn run(global: &Global) -> Result<Exit> {
    let events = connect::running(global)?.events().await?;
    if global.json {
        terminal::print_json(&events)?;
    } else if events.topics.is_empty() {
        terminal::note("The system has no topics. `motet explain topics` says how to declare them.");
    } else {
        print(&events);
    }
    Ok(Exit::Done)
}

fn print(events: &Events) {
    topics(events).print();
    if !events.subscriptions.is_empty() {
        terminal::print("");
        subscriptions(events).print();
    }
    if let Some(engine) = &events.engine {
        let line = format!("{}, {} on disk", engine.name, show_size(events.disk_bytes));
        terminal::print(format_args!("\n{} {line}", ink::quiet().apply_to("engine")));
    }
    if events.subscriptions.iter().any(|subscription| subscription.dead_letters > 0) {
        terminal::print(ink::quiet().apply_to("`motet dead-letters list` says why events were given up"));
    }
    for topic in &events.topics {
        if let Some(warning) = shortened(topic) {
            terminal::print(ink::warn().apply_to(warning));
        }
    }
    for it in &events.subscriptions {
        if let Some(trouble) = &it.trouble {
            terminal::print(ink::warn().apply_to(format!("{} waits: {trouble}", it.name)));
        }
    }
    if let Some(trouble) = &events.trouble {
        terminal::print(ink::bad().apply_to(format!("Nothing can be published: {trouble}")));
    }
}

/// Where duplicates may pass that were promised to be found.
fn shortened(topic: &Topic) -> Option<String> {
    topic.dedup_shortened.then(|| {
        format!(
            "{}: more events come within `dedup` than can be remembered, so some duplicates may pass; shorten `dedup`",
            topic.name
        )
    })
}

fn topics(events: &Events) -> Table {
    let mut table = Table::new(&["TOPIC", "EVENTS", "OLDEST", "RATE", "PUBLISHED", "DUPLICATES"]);
    for topic in &events.topics {
        table.row(vec![
            topic.name.clone(),
            topic.kept.map_or_else(|| "?".to_owned(), |kept| kept.to_string()),
            topic.oldest_at.as_deref().map_or_else(|| "-".to_owned(), |at| show_duration(seconds(since(at)))),
            format!("{:.1}/s", topic.per_second),
            topic.published.to_string(),
            topic.duplicates.to_string(),
        ]);
    }
    table
}

fn subscriptions(events: &Events) -> Table {
    let mut table =
        Table::new(&["SUBSCRIPTION", "MODE", "WAITING", "IN FLIGHT", "RETRYING", "LAG", "RATE", "DEAD LETTERS"]);
    let marked = |count: u64| if count > 0 { ink::warn().apply_to(count).to_string() } else { count.to_string() };
    for it in &events.subscriptions {
        let mode = match it.mode {
            Mode::Push => "push",
            Mode::Pull => "pull",
            Mode::View => "view",
        };
        let lag = it.lag_ms.map(|ms| show_duration(seconds(Duration::from_millis(ms))));
        table.row(vec![
            it.name.clone(),
            if it.paused { format!("{mode} {}", ink::warn().apply_to("(paused)")) } else { mode.to_owned() },
            it.waiting.to_string(),
            it.in_flight.to_string(),
            marked(it.retrying),
            lag.unwrap_or_else(|| "-".to_owned()),
            format!("{:.1}/s", it.per_second),
            marked(it.dead_letters),
        ]);
    }
    table
}

/// People count in seconds.
fn seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use motet_api::wire::events::{Subscription, Totals};

    #[test]
    fn what_waits_and_what_was_given_up_is_seen_at_a_glance() {
        console::set_colors_enabled(false);
        let topic = Topic {
            name: "order.placed".into(),
            about: None,
            kept: Some(12),
            first: Some(0),
            next: Some(12),
            oldest_at: None,
            published: 12,
            duplicates: 1,
            dedup_shortened: true,
            per_second: 1.25,
        };
        let subscription = Subscription {
            name: "mail.order.placed".into(),
            service: "mail".into(),
            topic: "order.placed".into(),
            mode: Mode::Push,
            paused: true,
            waiting: 3,
            parked: 1,
            in_flight: 4,
            retrying: 5,
            lag_ms: Some(61_500),
            dead_letters: 2,
            per_second: 0.0,
            cursor: 2,
            trouble: None,
            totals: Totals::default(),
        };
        let events = Events { topics: vec![topic], subscriptions: vec![subscription], ..Events::default() };
        let lines = |table: Table| -> Vec<String> {
            table.lines().iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect()
        };
        assert_eq!(
            lines(topics(&events)),
            [
                "TOPIC         EVENTS  OLDEST  RATE   PUBLISHED  DUPLICATES",
                "order.placed  12      -       1.2/s  12         1"
            ]
        );
        let warning = shortened(&events.topics[0]).unwrap();
        assert!(warning.starts_with("order.placed: more events come within `dedup`"), "{warning}");
        assert_eq!(
            lines(subscriptions(&events)),
            [
                "SUBSCRIPTION       MODE           WAITING  IN FLIGHT  RETRYING  LAG   RATE   DEAD LETTERS",
                "mail.order.placed  push (paused)  3        4          5         1m1s  0.0/s  2"
            ]
        );
    }
}
