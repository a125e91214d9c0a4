//! Metrics as Prometheus reads them: its text format (version 0.0.4) and OpenMetrics 1.0, whichever the reader prefers.
//!
//! Written here and not taken from a metrics library, because those own the counters that they show, and ours live in the data plane,
//! in shards that no library knows. What is left is two line formats, and both are smaller than the glue would be.

use std::fmt::Write as _;

/// Metrics of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Vec<(Labels, Value)>,
}

/// Names and values that tell the samples of a family apart.
pub type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Count(u64),
    Number(f64),
    Histogram(Histogram),
}

/// How many values fell between which bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Upper bound (inclusive) and count of each bucket, the bounds rising; `None` is the last one, without a bound.
    pub buckets: Vec<(Option<f64>, u64)>,
    /// The sum of all values.
    pub sum: f64,
}

/// A way to write metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text format, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Family {
    fn new(name: &'static str, help: &'static str, kind: Kind) -> Self {
        Self { name, help, kind, samples: Vec::new() }
    }

    /// What only grows. `name` has no `_total` at its end: the writer adds it.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Counter)
    }

    /// What grows and shrinks.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Gauge)
    }

    /// How values are spread.
    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(name, help, Kind::Histogram)
    }

    /// A sample that is a whole number.
    pub fn count(&mut self, labels: Labels, value: u64) {
        self.samples.push((labels, Value::Count(value)));
    }

    /// A sample that is any number.
    pub fn number(&mut self, labels: Labels, value: f64) {
        self.samples.push((labels, Value::Number(value)));
    }

    /// A sample of a histogram.
    pub fn spread(&mut self, labels: Labels, value: Histogram) {
        self.samples.push((labels, Value::Histogram(value)));
    }

    fn write(&self, format: Format, out: &mut String) {
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        // OpenMetrics names a family without the suffix of its samples, the older format has no families.
        let family = if format == Format::Text { format!("{}{total}", self.name) } else { self.name.to_owned() };
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(out, "# HELP {family} {}", escape(self.help, format == Format::OpenMetrics));
        let _ = writeln!(out, "# TYPE {family} {kind}");
        for (labels, value) in &self.samples {
            match value {
                Value::Count(count) => sample(out, self.name, total, labels, None, count),
                Value::Number(number) => sample(out, self.name, total, labels, None, format_args!("{number:?}")),
                Value::Histogram(histogram) => self.write_histogram(labels, histogram, out),
            }
        }
    }

    fn write_histogram(&self, labels: &Labels, histogram: &Histogram, out: &mut String) {
        let mut seen = 0;
        for (bound, count) in &histogram.buckets {
            seen += count;
            // `{:?}` writes 1.0 and not 1, as OpenMetrics wants it.
            let Some(bound) = bound else { continue };
            sample(out, self.name, "_bucket", labels, Some(&format!("{bound:?}")), seen);
        }
        sample(out, self.name, "_bucket", labels, Some("+Inf"), seen);
        sample(out, self.name, "_sum", labels, None, format_args!("{:?}", histogram.sum));
        sample(out, self.name, "_count", labels, None, seen);
    }
}

fn sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &Labels,
    le: Option<&str>,
    value: impl std::fmt::Display,
) {
    out.push_str(name);
    out.push_str(suffix);
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(le.map(|bound| ("le", bound)));
    let mut open = '{';
    for (name, value) in labels {
        let _ = write!(out, "{open}{name}=\"{}\"", escape(value, true));
        open = ',';
    }
    if open == ',' {
        out.push('}');
    }
    let _ = writeln!(out, " {value}");
}

fn escape(text: &str, quotes: bool) -> String {
    let mut escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes {
        escaped = escaped.replace('"', "\\\"");
    }
    escaped
}

impl Format {
    /// The one that an `Accept` header prefers (RFC 9110, section 12.5.1). Prometheus names OpenMetrics with a higher weight.
    pub fn preferred(accept: &str) -> Self {
        let mut best = (0.0, Self::Text);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some(kind) if kind.eq_ignore_ascii_case("application/openmetrics-text") => Self::OpenMetrics,
                Some("text/plain" | "text/*" | "*/*") => Self::Text,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
            if weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    /// What `Content-Type` says of it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// All of it.
    pub fn write(self, families: &[Family]) -> String {
        let mut out = String::new();
        families.iter().filter(|family| !family.samples.is_empty()).for_each(|family| family.write(self, &mut out));
        if self == Self::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let labels = || vec![("caller", "a".to_owned()), ("route", "/\"x\\\n".to_owned())];
        let mut requests = Family::counter("motet_edge_requests", "Requests.");
        requests.count(labels(), 3);
        let mut seconds = Family::histogram("motet_edge_request_duration_seconds", "How long.");
        let buckets = vec![(Some(0.5), 1), (Some(1.0), 0), (None, 2)];
        seconds.spread(labels(), Histogram { buckets, sum: 7.25 });
        let mut memory = Family::gauge("motet_memory_bytes", "Memory.");
        memory.number(Vec::new(), 2.0);
        vec![requests, Family::gauge("motet_nothing", "Has no samples."), seconds, memory]
    }

    #[test]
    fn buckets_are_cumulative_and_the_last_one_is_the_count() {
        let text = Format::Text.write(&families());
        let labels = r#"caller="a",route="/\"x\\\n""#;
        let expected = format!(
            "# HELP motet_edge_requests_total Requests.\n# TYPE motet_edge_requests_total counter\n\
             motet_edge_requests_total{{{labels}}} 3\n\
             # HELP motet_edge_request_duration_seconds How long.\n# TYPE motet_edge_request_duration_seconds histogram\n\
             motet_edge_request_duration_seconds_bucket{{{labels},le=\"0.5\"}} 1\n\
             motet_edge_request_duration_seconds_bucket{{{labels},le=\"1.0\"}} 1\n\
             motet_edge_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 3\n\
             motet_edge_request_duration_seconds_sum{{{labels}}} 7.25\n\
             motet_edge_request_duration_seconds_count{{{labels}}} 3\n\
             # HELP motet_memory_bytes Memory.\n# TYPE motet_memory_bytes gauge\nmotet_memory_bytes 2.0\n"
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn openmetrics_names_families_without_the_suffix_of_counters_and_ends_with_its_end() {
        let text = Format::OpenMetrics.write(&families());
        assert!(text.contains("# TYPE motet_edge_requests counter\nmotet_edge_requests_total{"), "{text}");
        assert!(text.ends_with("\n# EOF\n"), "{text}");
    }

    #[test]
    fn the_reader_gets_what_it_prefers_and_text_when_it_says_nothing() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        assert_eq!(Format::preferred(prometheus), Format::OpenMetrics);
        assert_eq!(Format::preferred("text/plain, application/openmetrics-text;q=0.2"), Format::Text);
        for said in ["", "*/*", "application/json", "application/openmetrics-text;q=0", "garbage;;q=,,"] {
            assert_eq!(Format::preferred(said), Format::Text, "{said}");
        }
    }
}
