//! What is printed: tables in Markdown, to be kept in documents as they are.
//!
//! Contenders in rows. Under them stands how Motet compares with the peers that it must hold its own against: above 1 it is better,
//! whichever way the figure goes.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::{
    grpc,
    number::{number, with_spread},
    round::{RATES, Round, Turn},
    statistics::Spread,
    streams::Held,
};

/// Whom Motet is compared with.
const COMPARED: &[&str] = &["nginx", "haproxy", "hyper", "pingora"];
/// Below this share of nginx something has to be done.
const LEAST: f64 = 0.8;

/// Reads a figure off a turn. The second turn is that of `direct` in the same round.
type Figure = Box<dyn Fn(&Turn, Option<&Turn>) -> Option<f64>>;

/// A column: what it is called, how it is read off, and whether more is better.
pub struct Column {
    title: String,
    more_is_better: bool,
    figure: Figure,
}

fn column(
    title: impl Into<String>,
    more_is_better: bool,
    figure: impl Fn(&Turn, Option<&Turn>) -> Option<f64> + 'static,
) -> Column {
    Column { title: title.into(), more_is_better, figure: Box::new(figure) }
}

fn is_proxy(turn: &Turn) -> bool {
    turn.name != "direct"
}

/// Ordinary calls.
pub fn calls() -> Vec<Column> {
    let mut columns = vec![
        column("saturation req/s", true, |turn, _| Some(turn.saturation.tally.rate())),
        column("CPU-s/100k sat.", false, |turn, _| is_proxy(turn).then(|| turn.saturation.cpu_per_100k())),
        column("caller+upstream CPU-s/100k sat.", false, |turn, _| Some(turn.saturation.cpu_beside_per_100k())),
    ];
    for (index, rate) in RATES.into_iter().enumerate() {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            columns.push(column(format!("{rate}/s {name} µs"), false, move |turn, direct| {
                // Of a proxy the added latency says it all.
                (direct.is_none() || !is_proxy(turn)).then(|| turn.rates[index].tally.quantile(quantile))
            }));
            columns.push(column(format!("{rate}/s added {name} µs"), false, move |turn, direct| {
                let direct = direct.filter(|_| is_proxy(turn))?;
                Some(turn.rates[index].tally.quantile(quantile) - direct.rates[index].tally.quantile(quantile))
            }));
        }
    }
    columns.push(column(format!("CPU-s/100k at {}/s", RATES[1]), false, |turn, _| {
        is_proxy(turn).then(|| turn.rates[1].cpu_per_100k())
    }));
    columns.push(column("RSS MiB", false, |turn, _| is_proxy(turn).then_some(turn.memory.rss_mib)));
    columns.push(column("PSS MiB", false, |turn, _| is_proxy(turn).then_some(turn.memory.pss_mib)));
    columns.push(column("errors", false, |turn, _| {
        Some((turn.saturation.errors() + turn.rates.iter().map(|cell| cell.errors()).sum::<u64>()) as f64)
    }));
    columns
}

fn microseconds(times: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!times.is_empty()).then(|| times.value_at_quantile(quantile) as f64 / 1_000.0)
}

/// Answers that do not end.
pub fn streams() -> Vec<Column> {
    let first = |quantile| move |turn: &Turn, _: Option<&Turn>| microseconds(&turn.streams.first, quantile);
    let cancel = |quantile| move |turn: &Turn, _: Option<&Turn>| microseconds(&turn.streams.cancel, quantile);
    vec![
        column("first event p50 µs", false, first(0.5)),
        column("p99 µs", false, first(0.99)),
        column("hang-up to upstream's end p50 µs", false, cancel(0.5)),
        column("p99 µs", false, cancel(0.99)),
        column("errors", false, |turn, _| Some(turn.streams.errors as f64)),
    ]
}

/// Unary gRPC calls.
pub fn grpc() -> Vec<Column> {
    let paced = |quantile| {
        move |turn: &Turn, _: Option<&Turn>| turn.grpc.as_ref().map(|grpc| grpc.paced.tally.quantile(quantile))
    };
    vec![
        column("saturation calls/s", true, |turn, _| Some(turn.grpc.as_ref()?.saturation.tally.rate())),
        column("CPU-s/100k sat.", false, |turn, _| {
            turn.grpc.as_ref().filter(|_| is_proxy(turn)).map(|grpc| grpc.saturation.cpu_per_100k())
        }),
        column(format!("{}/s p50 µs", grpc::RATE), false, paced(0.5)),
        column(format!("{}/s p99 µs", grpc::RATE), false, paced(0.99)),
        column("errors", false, |turn, _| {
            turn.grpc.as_ref().map(|grpc| (grpc.saturation.errors() + grpc.paced.errors()) as f64)
        }),
    ]
}

impl Column {
    /// The figure of a contender over the rounds.
    fn spread(&self, rounds: &[&Round], name: &str) -> Option<Spread> {
        Spread::of(rounds.iter().filter_map(|round| (self.figure)(round.of(name)?, round.of("direct"))))
    }

    fn text(&self, rounds: &[&Round], name: &str) -> String {
        self.spread(rounds, name).map_or("–".to_owned(), with_spread)
    }

    fn comparison(&self, rounds: &[&Round], peer: &str) -> Option<String> {
        let median = |name| self.spread(rounds, name).map(|spread| spread.median);
        Some(marked(standing(median("motet")?, median(peer)?, self.more_is_better)?, peer))
    }
}

/// A table of these columns; contenders without a figure in any of them are left out.
pub fn table(columns: &[Column], rounds: &[&Round], names: &[&str]) -> String {
    let there = |name: &&&str| columns.iter().any(|column| column.spread(rounds, name).is_some());
    let names: Vec<&str> = names.iter().filter(there).copied().collect();
    let mut lines = vec![heading(columns.iter().map(|column| column.title.as_str()))];
    lines.extend(names.iter().map(|name| row(name, columns.iter().map(|column| column.text(rounds, name)))));
    if names.contains(&"motet") {
        for peer in COMPARED.iter().filter(|peer| names.contains(peer)) {
            let cells = columns.iter().map(|column| column.comparison(rounds, peer).unwrap_or_default());
            lines.push(row(&format!("**motet to {peer}**"), cells));
        }
    }
    lines.join("\n")
}

/// What held streams cost.
pub fn held(all: &[Held]) -> String {
    let mut lines = vec![heading(["streams", "RSS KiB each", "PSS KiB each", "CPU % of a core, idle", "errors"])];
    let figure =
        |held: &Held| [held.streams as f64, held.rss_kib, held.pss_kib, held.idle_cpu, held.errors as f64].map(number);
    lines.extend(all.iter().map(|held| row(held.name, figure(held))));
    let of = |name| all.iter().find(|held| held.name == name);
    if let Some(motet) = of("motet") {
        for (peer, theirs) in COMPARED.iter().filter_map(|peer| Some((peer, of(peer)?))) {
            let compared =
                |ours, theirs| standing(ours, theirs, false).map(|ratio| marked(ratio, peer)).unwrap_or_default();
            let cells =
                ["".to_owned(), compared(motet.rss_kib, theirs.rss_kib), compared(motet.pss_kib, theirs.pss_kib)];
            lines.push(row(&format!("**motet to {peer}**"), cells.into_iter().chain([String::new(), String::new()])));
        }
    }
    lines.join("\n")
}

/// Every figure of every round, for programs.
pub fn json(rounds: &[Round], all: &[Held], machine: &str) -> Value {
    let tables = [("calls", calls()), ("streams", streams()), ("grpc", grpc())];
    let turn = |round: &Round, turn: &Turn| {
        let figures = tables.iter().map(|(table, columns)| {
            let figures = columns
                .iter()
                .filter_map(|column| Some((column.title.clone(), json!((column.figure)(turn, round.of("direct"))?))));
            ((*table).to_owned(), Value::Object(figures.collect()))
        });
        json!({ "name": turn.name, "figures": Value::Object(figures.collect()) })
    };
    let rounds = rounds.iter().map(|round| {
        let seen = round.disturbance();
        let turns: Vec<Value> = round.turns.iter().map(|of| turn(round, of)).collect();
        json!({ "others": seen.others, "stolen": seen.stolen, "disturbed": seen.is_too_much(), "turns": turns })
    });
    let held = all.iter().map(|held| {
        json!({ "name": held.name, "streams": held.streams, "rss_kib": held.rss_kib, "pss_kib": held.pss_kib,
                "idle_cpu_percent": held.idle_cpu, "errors": held.errors })
    });
    json!({ "machine": machine, "rounds": rounds.collect::<Vec<_>>(), "held": held.collect::<Vec<_>>() })
}

/// How well the first does compared with the second: above 1 is better, whichever way the figure goes.
fn standing(ours: f64, theirs: f64, more_is_better: bool) -> Option<f64> {
    let (over, under) = if more_is_better { (ours, theirs) } else { (theirs, ours) };
    (over > 0.0 && under > 0.0).then(|| over / under)
}

/// A ratio with a mark that is seen at once: too little, or ahead. Nginx must be reached to a part, the others wholly.
fn marked(ratio: f64, peer: &str) -> String {
    let least = if matches!(peer, "nginx" | "haproxy") { LEAST } else { 1.0 };
    let mark = match ratio {
        _ if ratio < least => " ✗",
        _ if ratio >= 1.0 => " ✓",
        _ => "",
    };
    format!("{ratio:.2}{mark}")
}

fn heading<'a>(titles: impl IntoIterator<Item = &'a str>) -> String {
    let titles: Vec<&str> = titles.into_iter().collect();
    format!("|  | {} |\n| --- |{}", titles.join(" | "), " ---: |".repeat(titles.len()))
}

fn row(name: &str, cells: impl IntoIterator<Item = String>) -> String {
    format!("| {name} | {} |", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn above_one_is_better_whichever_way_the_figure_goes() {
        assert_eq!(standing(40.0, 20.0, true), Some(2.0));
        assert_eq!(standing(40.0, 20.0, false), Some(0.5));
        assert_eq!(standing(-1.0, 20.0, false), None);
    }

    #[test]
    fn what_falls_short_is_marked() {
        assert_eq!(marked(0.79, "nginx"), "0.79 ✗");
        assert_eq!(marked(0.85, "nginx"), "0.85");
        assert_eq!(marked(0.85, "hyper"), "0.85 ✗");
        assert_eq!(marked(1.2, "pingora"), "1.20 ✓");
    }
}
