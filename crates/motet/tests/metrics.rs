//! Metrics as Prometheus reads them: found through the file that it watches, opened with their own token, and in its format.

use crate::scratch::{Scratch, get};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

const PAIR: &str = "
motet: 1
system: pair
services:
  front:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
    uses: { back: { timeout: 5s } }
  back:
    path: .
    process: { command: python3 service.py }
    ready: { http: /healthz }
gateway:
  listen: 127.0.0.1:0
  routes: { /: front, /back: { to: back, strip_prefix: true } }
";

/// Samples by name and labels, after everything that the format promises has been looked at.
fn read(text: &str) -> BTreeMap<String, f64> {
    let mut types: BTreeMap<&str, &str> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut samples = BTreeMap::new();
    let mut family = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            family = rest.split(' ').next().expect("a name");
            assert!(helped.insert(family), "two HELP of {family}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert_eq!(name, family, "TYPE follows HELP");
            assert!(types.insert(name, kind).is_none(), "two TYPE of {name}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let name = series.split('{').next().expect("a name");
            let kind = types[family];
            let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{name} stands under {family}"));
            let allowed: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(allowed.contains(&suffix), "{name} is no sample of the {kind} {family}");
            assert!(kind != "counter" || name.ends_with("_total"), "{name}");
            assert!(samples.insert(series.to_owned(), value.parse().expect("a number")).is_none(), "{series} twice");
        }
    }
    assert_eq!(types.keys().copied().collect::<BTreeSet<_>>(), helped);
    histograms(text, &samples);
    samples
}

/// Buckets rise, and the last one is the count.
fn histograms(text: &str, samples: &BTreeMap<String, f64>) {
    let mut last: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for line in text.lines().filter(|line| line.contains("_bucket{")) {
        let (series, count) = line.rsplit_once(' ').expect("a value");
        let (labels, le) = series.rsplit_once(",le=\"").expect("a bound");
        let bound = le.trim_end_matches("\"}").replace("+Inf", "inf").parse::<f64>().expect("a bound");
        let count: f64 = count.parse().expect("a count");
        let before = last.insert(labels.to_owned(), (bound, count)).unwrap_or((0.0, 0.0));
        assert!(bound > before.0 && count >= before.1, "{line}");
    }
    assert!(!last.is_empty());
    for (labels, (bound, count)) in last {
        assert!(bound.is_infinite());
        assert_eq!(samples[&format!("{}}}", labels.replace("_bucket{", "_count{"))], count);
        assert!(samples.contains_key(&format!("{}}}", labels.replace("_bucket{", "_sum{"))));
    }
}

#[test]
fn metrics_hold_to_their_format_and_say_what_happened() {
    let system = Scratch::new(PAIR);
    system.up();
    let edge = system.ps()["edges"][0]["url"].as_str().expect("an address").trim_start_matches("http://").to_owned();
    let before = read(&system.done(&["metrics"]));
    (0..7).for_each(|_| assert_eq!(get(&edge, "/who").expect("an answer").0, 200));
    assert_eq!(get(&system.gateway(), "/back/who").expect("an answer").0, 200);
    system.done(&["fault", "add", "--edge", "front->back", "--abort", "500"]);
    assert_eq!(get(&edge, "/who").expect("an answer").0, 500);
    let after = read(&system.done(&["metrics"]));
    let of = |name: &str, more: &str| after[&format!("{name}{{caller=\"front\",callee=\"back\"{more}}}")];
    assert_eq!(of("motet_edge_requests_total", ""), 8.0);
    assert_eq!(of("motet_edge_responses_total", ",class=\"2xx\""), 7.0);
    assert_eq!(of("motet_edge_responses_total", ",class=\"5xx\""), 1.0);
    assert_eq!(of("motet_edge_request_duration_seconds_count", ""), 8.0);
    assert_eq!(of("motet_edge_errors_total", ",code=\"MO-proxy-203\""), 0.0);
    assert_eq!(of("motet_edge_faults", ""), 1.0);
    let route = "{caller=\"gateway\",callee=\"back\",route=\"/back\"}";
    assert_eq!(after[&format!("motet_edge_requests_total{route}")], 1.0);
    assert_eq!(after["motet_service_instances{service=\"back\",state=\"ready\"}"], 1.0);
    for (series, value) in before.iter().filter(|(series, _)| series.contains("_total")) {
        assert!(after[series] >= *value, "{series} went back");
    }
}

#[test]
fn prometheus_finds_the_metrics_in_a_file_and_opens_them_with_a_token_of_their_own() {
    let system = Scratch::new(PAIR);
    system.up();
    let run = system.state().join("run");
    let targets: Value =
        serde_json::from_str(&fs::read_to_string(run.join("prometheus.json")).expect("a file")).expect("JSON");
    assert_eq!(targets[0]["labels"]["system"], "pair");
    let address = targets[0]["targets"][0].as_str().expect("an address").to_owned();
    let token = fs::read_to_string(run.join("metrics.token")).expect("a file");
    let fetch = |path: &str, token: &str, accept: &str| {
        let bearer = format!("Authorization: Bearer {token}");
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-w",
            "\n%{http_code} %{content_type}",
            "-H",
            &bearer,
            "-H",
            accept,
            &format!("http://{address}{path}"),
        ]);
        String::from_utf8(curl.output().expect("curl").stdout).expect("text")
    };
    let text = fetch("/metrics", &token, "Accept: */*");
    let (body, said) = text.rsplit_once('\n').expect("a status");
    assert_eq!(said, "200 text/plain; version=0.0.4; charset=utf-8");
    assert!(read(body.trim_end()).len() > 100);
    let open = fetch("/metrics", &token, "Accept: application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3");
    assert!(
        open.contains("\n# EOF\n") && open.ends_with("200 application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{open}"
    );
    assert!(fetch("/metrics", "guessed", "Accept: */*").contains("\n401 "));
    assert!(fetch("/v1/system", &token, "Accept: */*").contains("\n401 "));
    system.done(&["down"]);
    assert!(!run.join("metrics.token").exists() && !run.join("prometheus.json").exists());
}

#[test]
fn ps_tells_how_fast_an_edge_is_used_and_answers() {
    let system = Scratch::new(PAIR);
    system.up();
    let edge = system.ps()["edges"][0]["url"].as_str().expect("an address").trim_start_matches("http://").to_owned();
    (0..20).for_each(|_| assert_eq!(get(&edge, "/slow?ms=100").expect("an answer").0, 200));
    let traffic = &system.ps()["edges"][0]["traffic"];
    let number = |name: &str| traffic["recent"][name].as_f64().expect("a number");
    assert!(number("requests_per_second") > 0.1 && number("failure_share") == 0.0, "{traffic}");
    // The buckets around 100 ms end at 64, 128 and 256 ms.
    assert!(number("p50_ms") > 64.0 && number("p99_ms") >= number("p50_ms"), "{traffic}");
    assert_eq!((&traffic["requests"], &traffic["queued"], &traffic["in_flight"]), (&20.into(), &0.into(), &0.into()));
    let text = system.done(&["ps", "--edges"]);
    assert!(text.contains("front→back") && text.contains("gateway→back"), "{text}");
    assert!(text.contains("P99") && text.contains("QUEUED") && text.contains("EJECTED"), "{text}");
}
