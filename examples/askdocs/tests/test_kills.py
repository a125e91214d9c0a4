"""`kill -9`: what dies is back within a second, Motet says what happened, and a second instance carries the rest."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime

import httpx
import pytest

from load import Load
from system import SERVICES, System
from talk import ask
from waiting import wait_for


@pytest.mark.parametrize("service", SERVICES)
def test_an_instance_that_is_killed_is_started_again_within_a_second(askdocs: System, service: str) -> None:
    before = askdocs.instances(service)[0]
    killed_at = time.time()
    os.kill(before["pid"], signal.SIGKILL)

    def successor() -> dict | None:
        new = [one for one in askdocs.service(service)["instances"] if one["pid"] not in (None, before["pid"])]
        return new[0] if new else None

    after = wait_for(f"a new {service}", successor, seconds=5)
    took = started_at(after) - killed_at
    assert took <= 1.0, f"{service} was started again after {took:.2f} s"
    assert after["restarts"] == before["restarts"] + 1
    reason = askdocs.service(service)["failure"]["reason"]
    assert "SIGKILL" in reason or "signal 9" in reason, reason
    assert service in askdocs.motet("ps").stdout
    askdocs.wait_ready()


def test_the_log_keeps_what_was_printed_before_and_after(askdocs: System) -> None:
    before = askdocs.instances("parser")[0]
    os.kill(before["pid"], signal.SIGKILL)
    wait_for("a new parser", lambda: [i for i in askdocs.instances("parser") if i["pid"] != before["pid"]], seconds=15)
    assert "SIGKILL" in askdocs.motet("logs", "parser", "--tail", "200").stdout


def test_an_edge_with_two_instances_loses_no_idempotent_request(askdocs: System, client: httpx.Client) -> None:
    askdocs.motet("scale", "embedder=2")
    try:
        wait_for("two embedders", lambda: len(askdocs.instances("embedder")) == 2, seconds=60)
        edge = askdocs.edge("index", "embedder")
        with Load(edge["url"], lambda caller: caller.get("/healthz"), callers=8) as load:
            for _ in range(3):
                victim = wait_for("an embedder of two that has proved itself", lambda: proved(askdocs), seconds=60)
                load.wait_for_more(100)
                os.kill(victim["pid"], signal.SIGKILL)
                load.wait_for_more(200)
        assert load.failures == [], f"{len(load.failures)} of {load.answers}: {load.failures[:3]}"
        assert ask(client, "What is an edge?")["citations"]
    finally:
        askdocs.motet("scale", "embedder=1")


# An instance that dies sooner than this after it was ready is one of a crash loop, and is started again more slowly.
PROVED_SECONDS = 8


def proved(askdocs: System) -> dict | None:
    """The oldest of two embedders, once it has been there long enough that its end is an accident and not a habit."""
    ready = sorted(askdocs.instances("embedder"), key=started_at)
    return ready[0] if len(ready) == 2 and time.time() - started_at(ready[0]) > PROVED_SECONDS else None


def started_at(instance: dict) -> float:
    return datetime.fromisoformat(instance["started_at"].replace("Z", "+00:00")).timestamp()
