//! `motet engines`: what each engine of events keeps itself, what Motet adds to it, and what nobody does.
//!
//! It needs no system: whoever chooses an engine has none yet.

use crate::{
    cli::Global,
    exit::Exit,
    roles::events::engine,
    terminal::{self, table::Table},
};
use anyhow::Result;
use motet_broker::engine::{Capability, Support, find};
use serde_json::json;

pub(crate) fn run(global: &Global) -> Result<Exit> {
    let engines: Vec<_> = engine::NAMES.into_iter().filter_map(|name| Some((name, engine::table(name)?))).collect();
    if global.json {
        terminal::print_json(&json!({ "events": engines.iter().map(written).collect::<serde_json::Value>() }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["EVENTS", "EMBEDDED", "KAFKA", "RABBITMQ", "NATS"]);
    let mut notes = Vec::new();
    for capability in Capability::ALL {
        let mut row = vec![capability.to_string()];
        for name in engine::NAMES {
            let line = engine::table(name).and_then(|table| find(table, capability));
            row.push(line.map_or_else(|| "-".to_owned(), |line| cell(name, line, &mut notes)));
        }
        table.row(row);
    }
    table.print();
    terminal::print(
        "\nengine: it keeps that itself. motet: Motet adds it, durably. depends: on how its server is set up. no: nobody does.",
    );
    for (at, note) in notes.iter().enumerate() {
        terminal::print(format_args!("[{}] {note}", at + 1));
    }
    Ok(Exit::Done)
}

/// Who keeps it, with the number of what one has to know about it.
fn cell(name: &str, line: &Support, notes: &mut Vec<String>) -> String {
    if line.note.is_empty() {
        return line.by.as_str().to_owned();
    }
    notes.push(format!("{name}: {}", line.note));
    format!("{} [{}]", line.by.as_str(), notes.len())
}

fn written((name, table): &(&str, &[Support])) -> serde_json::Value {
    let line =
        |line: &Support| json!({ "capability": line.capability.as_str(), "by": line.by.as_str(), "note": line.note });
    json!({ "name": name, "keeps": table.iter().map(line).collect::<serde_json::Value>() })
}
