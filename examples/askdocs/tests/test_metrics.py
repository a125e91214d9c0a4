"""What Motet says of itself, read by Prometheus' own parsers in both formats."""

from __future__ import annotations

import json

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from system import System

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


def scrape(askdocs: System, accept: str) -> httpx.Response:
    run = askdocs.state / "run"
    target = json.loads((run / "prometheus.json").read_text())[0]
    assert target["labels"] == {"system": "askdocs"}
    authorization = f"Bearer {(run / 'metrics.token').read_text()}"
    headers = {"authorization": authorization, "accept": accept}
    return httpx.get(f"http://{target['targets'][0]}/metrics", headers=headers).raise_for_status()


def test_prometheus_own_parsers_read_both_formats_and_find_the_same_metrics(askdocs: System) -> None:
    askdocs.motet("call", "answerer->embedder", "/healthz")
    open_metrics, text = scrape(askdocs, OPENMETRICS), scrape(askdocs, "text/plain")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    strict = {family.name: family for family in parse_openmetrics(open_metrics.text)}
    older = {family.name: family for family in parse_text(text.text)}
    assert {name: family.type for name, family in strict.items()} == {name: family.type for name, family in older.items()}
    edge = {"caller": "answerer", "callee": "embedder"}
    requests = [sample for sample in strict["motet_edge_requests"].samples if sample.labels == edge]
    assert len(requests) == 1 and requests[0].value >= 1
    durations = strict["motet_edge_request_duration_seconds"].samples
    assert any(sample.labels == {"caller": "gateway", "callee": "web", "route": "/", "le": "+Inf"} for sample in durations)
    ready = {"service": "embedder", "state": "ready"}
    assert [sample.value for sample in strict["motet_service_instances"].samples if sample.labels == ready] == [1.0]
