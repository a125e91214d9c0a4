//! What is printed: tables in Markdown, to be kept in documents as they are.

use crate::{
    round::{RATES, Round, Turn},
    statistics::Spread,
};

/// Reads a figure of a turn. The second turn is that of `direct` in the same round.
type Figure = Box<dyn Fn(&Turn, Option<&Turn>) -> Option<f64>>;

/// A column: what it is called, how it is read off, and whether more is better.
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Whether a larger figure is the better one.
    pub more_is_better: bool,
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

/// The columns of the first table.
pub fn columns() -> Vec<Column> {
    let mut columns = vec![
        column("saturation req/s", true, |turn, _| Some(turn.saturation.tally.rate())),
        column("CPU-s/100k sat.", false, |turn, _| is_proxy(turn).then(|| turn.saturation.cpu_per_100k())),
        column("caller+upstream CPU-s/100k sat.", false, |turn, _| Some(turn.saturation.cpu_beside_per_100k())),
    ];
    for (index, rate) in RATES.into_iter().enumerate() {
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
            columns.push(column(format!("{rate}/s {name} µs"), false, move |turn, _| {
                Some(turn.rates[index].tally.quantile(quantile))
            }));
            columns.push(column(format!("added {name} µs"), false, move |turn, direct| {
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
    columns
}

impl Column {
    /// The figure of a contender over the rounds.
    pub fn spread(&self, rounds: &[&Round], name: &str) -> Option<Spread> {
        Spread::of(rounds.iter().filter_map(|round| (self.figure)(round.of(name)?, round.of("direct"))))
    }
}

/// The first table, contenders in rows, and under it how each stands to nginx.
pub fn table(rounds: &[&Round], names: &[&str]) -> String {
    let columns = columns();
    let mut lines = vec![heading(columns.iter().map(|column| column.title.as_str()).chain(["errors"]))];
    for &name in names {
        let figures = columns.iter().map(|column| column.spread(rounds, name).map_or("–".to_owned(), with_spread));
        lines.push(row(name, figures.chain([errors(rounds, name).to_string()])));
    }
    if names.contains(&"nginx") {
        for &name in names.iter().filter(|&&name| !matches!(name, "nginx" | "direct")) {
            let ratios = columns.iter().map(|column| {
                let of = |name| column.spread(rounds, name).map(|spread| spread.median);
                of(name)
                    .zip(of("nginx"))
                    .and_then(|(ours, theirs)| standing(ours, theirs, column.more_is_better))
                    .map_or("–".to_owned(), |ratio| format!("{ratio:.2}"))
            });
            lines.push(row(&format!("**{name} : nginx**"), ratios.chain(["".to_owned()])));
        }
    }
    lines.join("\n")
}

/// How well the first does compared with the second: above 1 is better, whichever way the figure goes.
pub fn standing(ours: f64, theirs: f64, more_is_better: bool) -> Option<f64> {
    let (over, under) = if more_is_better { (ours, theirs) } else { (theirs, ours) };
    (over > 0.0 && under > 0.0).then(|| over / under)
}

fn errors(rounds: &[&Round], name: &str) -> u64 {
    let turns = rounds.iter().filter_map(|round| round.of(name));
    turns.flat_map(|turn| turn.rates.iter().chain([&turn.saturation])).map(|cell| cell.errors()).sum()
}

/// A heading with a line under it; the first column has none.
pub fn heading<'a>(titles: impl IntoIterator<Item = &'a str>) -> String {
    let titles: Vec<&str> = titles.into_iter().collect();
    format!("|  | {} |\n| --- |{}", titles.join(" | "), " ---: |".repeat(titles.len()))
}

/// A row with its name.
pub fn row(name: &str, cells: impl IntoIterator<Item = String>) -> String {
    format!("| {name} | {} |", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

/// `median (least–most)`.
pub fn with_spread(spread: Spread) -> String {
    format!("{} ({}–{})", number(spread.median), number(spread.least), number(spread.most))
}

/// Three digits that matter, thousands apart.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let digits = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let (sign, rest) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, ""), |(whole, fraction)| (whole, fraction));
    let groups: Vec<&str> = (0..whole.len())
        .rev()
        .step_by(3)
        .map(|end| &whole[end.saturating_sub(2)..=end])
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{dot}{fraction}", groups.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        let cases =
            [(34_979.4, "34 979"), (1_000_000.0, "1 000 000"), (2.534, "2.53"), (79.36, "79.4"), (-12.0, "-12.0")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn above_one_is_better_whichever_way_the_figure_goes() {
        assert_eq!(standing(40.0, 20.0, true), Some(2.0));
        assert_eq!(standing(40.0, 20.0, false), Some(0.5));
        assert_eq!(standing(-1.0, 20.0, false), None);
    }
}
