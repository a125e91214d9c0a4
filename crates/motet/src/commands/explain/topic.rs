//! `motet explain topic document.indexed`: who publishes it, who gets its events, what is in force at each, and where each value comes
//! from. Asked of the definition, so nothing has to run.

use super::policy::{rows_json, table};
use crate::{
    cli::Global,
    connect,
    exit::{Exit, Failure},
    terminal::{self, ink},
};
use anyhow::Result;
use motet_kernel::topic::TopicName;
use motet_model::{
    in_force::{Origin, TopicInForce},
    system::System,
};
use serde_json::json;

/// A topic, by its name.
pub(super) fn topic(global: &Global, name: &str) -> Result<Exit> {
    let loaded = connect::load(global)?;
    let Some(shown) = name.parse::<TopicName>().ok().and_then(|name| loaded.topic(&name)) else {
        return Err(Failure::new(Exit::Failed, no_topic(&loaded.system, name)).into());
    };
    if global.json {
        let subscribers: serde_json::Map<_, _> =
            shown.subscribers.iter().map(|(service, rows)| (service.to_string(), rows_json(rows))).collect();
        let publishers: Vec<_> = shown.publishers.iter().map(|(service, _)| service.as_str()).collect();
        terminal::print_json(&json!({
            "topic": shown.name.as_str(), "about": shown.about, "engine": loaded.system.engines.events.name(),
            "publishers": publishers, "values": rows_json(&shown.rows), "subscribers": subscribers,
        }))?;
        return Ok(Exit::Done);
    }
    print(&shown, loaded.system.engines.events.name());
    Ok(Exit::Done)
}

fn print(shown: &TopicInForce, engine: &str) {
    terminal::print(ink::strong().apply_to(format!("topic {}", shown.name)));
    if let Some(about) = &shown.about {
        terminal::print(format_args!("  {about}"));
    }
    terminal::print(format_args!("  engine: {engine}\n"));
    table(&shown.rows);
    terminal::print(format_args!("\n{}", ink::strong().apply_to("published by")));
    for (service, origin) in &shown.publishers {
        let place = match origin {
            Origin::Default => String::new(),
            Origin::Written { file, line, .. } => format!("  {file}:{line}"),
        };
        terminal::print(format_args!("  {service}{}", ink::quiet().apply_to(place)));
    }
    if shown.publishers.is_empty() {
        terminal::print("  nobody");
    }
    for (service, rows) in &shown.subscribers {
        terminal::print(format_args!("\n{}", ink::strong().apply_to(format!("→ {service}"))));
        table(rows);
    }
    if shown.subscribers.is_empty() {
        terminal::print(format_args!("\n{}\n  nobody", ink::strong().apply_to("subscribed by")));
    }
}

fn no_topic(system: &System, name: &str) -> String {
    let scored = system.topics.keys().map(|known| (strsim::jaro_winkler(name, known.as_str()), known));
    let near = scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((_, near)) = near {
        return format!("There is no topic `{name}`. Did you mean `{near}`?");
    }
    let all: Vec<_> = system.topics.keys().map(|topic| topic.as_str()).collect();
    match all.as_slice() {
        [] => format!("There is no topic `{name}`: the definition has none."),
        all => format!("There is no topic `{name}`: there are {}.", all.join(", ")),
    }
}
