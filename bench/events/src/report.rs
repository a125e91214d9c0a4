//! What is printed: tables in Markdown, to be kept in documents as they are. Under the figures stands what they are held to.

use std::{fs, path::Path};

use bench_proxy::{
    number::{number, with_spread},
    statistics::Spread,
};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::{cell::Cell, run::Round};

type Figure = fn(&Cell) -> Option<f64>;

const COLUMNS: &[(&str, Figure)] = &[
    ("msgs/s", |cell| Some(cell.rate)),
    ("publish ack p50 ms", |cell| milliseconds(&cell.publish, 0.5)),
    ("p99 ms", |cell| milliseconds(&cell.publish, 0.99)),
    ("end to end p50 ms", |cell| milliseconds(&cell.end_to_end, 0.5)),
    ("p99 ms", |cell| milliseconds(&cell.end_to_end, 0.99)),
    ("server CPU-s/100k", |cell| cell.server_cpu),
    ("client CPU-s/100k", |cell| Some(cell.client_cpu)),
    ("RSS MiB", |cell| cell.rss_mib),
    ("lost", |cell| Some(cell.lost as f64)),
    ("twice", |cell| Some(cell.duplicates as f64)),
];

/// What Motet is held to: its way, whose figure is compared, and the least ratio.
const HELD_TO: &[(&str, &[&str], f64)] = &[
    ("motet: POST, publish only", &["floor behind HTTP/1.1, publish only"], 0.8),
    ("motet: POST, consumed by stream", &["floor: the same log behind HTTP/1.1"], 0.8),
    ("motet: batched POST, consumed by stream", DURABLE, 1.0),
    ("motet: batched POST, consumed by stream", NOT_DURABLE, 1.0),
    ("motet: streamed both ways", DURABLE, 1.0),
    ("motet: streamed both ways", NOT_DURABLE, 1.0),
];
const DURABLE: &[&str] = &["NATS JetStream, sync always", "RabbitMQ quorum queue", "Redis stream, appendfsync always"];
const NOT_DURABLE: &[&str] = &["NATS JetStream, default sync (**not durable**)"];

fn milliseconds(times: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!times.is_empty()).then(|| times.value_at_quantile(quantile) as f64 / 1_000_000.0)
}

fn spread(rounds: &[&Round], name: &str, in_flight: usize, figure: Figure) -> Option<Spread> {
    let cells = rounds.iter().flat_map(|round| &round.cells);
    Spread::of(cells.filter(|cell| cell.name == name && cell.in_flight == in_flight).filter_map(figure))
}

/// All figures.
pub fn table(rounds: &[&Round], names: &[&str], in_flight: &[usize]) -> String {
    let titles: Vec<&str> = COLUMNS.iter().map(|(title, _)| *title).collect();
    let mut lines =
        vec![format!("|  | in flight | {} |\n| --- | ---: |{}", titles.join(" | "), " ---: |".repeat(titles.len()))];
    for name in names {
        for &in_flight in in_flight {
            let cell = |(_, figure): &(&str, Figure)| {
                spread(rounds, name, in_flight, *figure).map_or("–".to_owned(), with_spread)
            };
            let cells: Vec<String> = COLUMNS.iter().map(cell).collect();
            lines.push(format!("| {name} | {in_flight} | {} |", cells.join(" | ")));
        }
    }
    lines.join("\n")
}

/// How Motet stands to what it is held to, in messages a second: above 1 it does more.
pub fn standings(rounds: &[&Round], in_flight: &[usize]) -> String {
    let columns: Vec<String> = in_flight.iter().map(|count| format!("{count} in flight")).collect();
    let mut lines = vec![format!(
        "| msgs/s of | to | wanted | {} |\n| --- | --- | ---: |{}",
        columns.join(" | "),
        " ---: |".repeat(in_flight.len())
    )];
    for (own, peers, least) in HELD_TO {
        let rate = |name: &str, in_flight| spread(rounds, name, in_flight, |cell| Some(cell.rate)).map(|of| of.median);
        let cells: Vec<String> = in_flight
            .iter()
            .map(|&in_flight| {
                let best = peers.iter().filter_map(|peer| rate(peer, in_flight)).max_by(f64::total_cmp);
                let (Some(own), Some(best)) = (rate(own, in_flight), best) else { return "–".to_owned() };
                let ratio = own / best;
                format!("{ratio:.2} {}", if ratio >= *least { "✓" } else { "✗" })
            })
            .collect();
        let to = if peers.len() > 1 { "the best durable peer" } else { peers[0] };
        lines.push(format!("| {own} | {to} | {} | {} |", number(*least), cells.join(" | ")));
    }
    lines.join("\n")
}

/// The file system and the device that a folder is on.
pub fn disk(folder: &Path) -> String {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let lines = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (device, at, kind) = (words.next()?, words.next()?, words.next()?);
        folder.starts_with(at).then(|| (at.len(), format!("{kind} on {device}")))
    });
    lines.max_by_key(|(length, _)| *length).map_or("an unknown disk".to_owned(), |(_, text)| text)
}

/// Every figure of every round, for programs.
pub fn json(rounds: &[Round], machine: &str) -> Value {
    let cell = |cell: &Cell| {
        json!({
            "name": cell.name, "in_flight": cell.in_flight, "rate": cell.rate,
            "publish_ms": [milliseconds(&cell.publish, 0.5), milliseconds(&cell.publish, 0.99)],
            "end_to_end_ms": [milliseconds(&cell.end_to_end, 0.5), milliseconds(&cell.end_to_end, 0.99)],
            "server_cpu_per_100k": cell.server_cpu, "client_cpu_per_100k": cell.client_cpu, "rss_mib": cell.rss_mib,
            "lost": cell.lost, "duplicates": cell.duplicates,
            "others": cell.disturbance.others, "stolen": cell.disturbance.stolen,
        })
    };
    let rounds: Vec<Value> = rounds.iter().map(|round| round.cells.iter().map(cell).collect()).collect();
    json!({ "machine": machine, "rounds": rounds })
}
