"""The service over HTTP."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import samples
from conftest import CONTRACT, assert_contract

from parser.app import PARSERS, WAITING, create_app


def test_a_document_becomes_passages_as_the_contract_says(client: httpx.Client) -> None:
    answer = client.post("/parse", params={"filename": "a.md"}, content="# Stores\n\nÜber alles.")
    assert answer.status_code == 200
    assert_contract("Parsed", answer.json())
    assert answer.json()["passages"] == [{"ordinal": 0, "text": "Über alles.", "heading": "Stores", "page": None}]


def test_the_name_may_come_in_the_content_disposition(client: httpx.Client) -> None:
    header = {"content-disposition": "attachment; filename*=UTF-8''m%C3%B6tet.md"}
    assert client.post("/parse", content="words", headers=header).json()["title"] == "mötet"


def test_every_path_is_in_the_contract() -> None:
    assert {route.path for route in create_app().routes} == set(CONTRACT["paths"])  # type: ignore[attr-defined]


def test_what_does_not_exist_is_a_problem_too(client: httpx.Client) -> None:
    for answer in (client.get("/nowhere"), client.get("/parse")):
        assert answer.headers["content-type"] == "application/problem+json"
        assert_contract("Problem", answer.json())


def test_who_finds_no_room_is_told_to_come_back(client: httpx.Client) -> None:
    client.put("/faults", json={"mode": "off"})
    many = PARSERS + WAITING + 6
    data = samples.pdf([["Words on a page."] * 40] * 400)
    with concurrent.futures.ThreadPoolExecutor(many) as pool:
        answers = list(pool.map(lambda _: client.post("/parse", content=data), range(many)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused and refused[0].headers["retry-after"]
    assert sum(answer.status_code == 200 for answer in answers) >= PARSERS + WAITING


def test_each_fault_can_be_switched_on_and_off(client: httpx.Client) -> None:
    assert client.put("/faults", json={"mode": "failing"}).json()["mode"] == "failing"
    assert client.post("/parse", content="x").status_code == 503
    assert client.get("/healthz").status_code == 200
    client.put("/faults", json={"mode": "wrong"})
    assert "passages" not in client.post("/parse", content="x").json()
    client.put("/faults", json={"mode": "slow", "latency_ms": 300})
    began = time.monotonic()
    assert client.post("/parse", content="x").status_code == 200
    assert time.monotonic() - began >= 0.3
    client.put("/faults", json={"mode": "hanging"})
    with pytest.raises(httpx.ReadTimeout):
        client.post("/parse", content="x", timeout=0.3)
    assert client.put("/faults", json={"mode": "loud"}).status_code == 400
    assert client.delete("/faults").json()["mode"] == "off"
    assert client.post("/parse", content="x").status_code == 200


@contextmanager
def process(**environment: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """The service as a process of its own, once it is ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = subprocess.Popen([sys.executable, "-m", "parser"], env={**os.environ, "PORT": str(port), **environment})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                try:
                    client.get("/healthz").raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield running, client
    finally:
        running.kill()
        running.wait()


def test_on_sigterm_it_finishes_what_it_has_begun_and_exits_with_zero() -> None:
    with process(FAULT="slow:700ms") as (running, client), concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.post, "/parse", content="words")
        time.sleep(0.3)  # the request has to be under way: what is tested begins in its middle
        running.send_signal(signal.SIGTERM)
        assert answer.result(10).status_code == 200
        assert running.wait(10) == 0


def test_a_crash_that_was_asked_for_is_one() -> None:
    with process(FAULT="crashing:1.0") as (running, client):
        with pytest.raises(httpx.TransportError):
            client.post("/parse", content="words")
        assert running.wait(10) == 70
