"""The service over HTTP."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
from conftest import CONTRACT, TRACE, Stand, assert_contract

from parser.app import ATTEMPTS, create_app


def test_a_document_becomes_passages_as_the_topic_says(stand: Stand) -> None:
    upload = stand.add("# Stores\n\nÜber alles.".encode())
    assert stand.deliver(upload).status_code == 204
    [(topic, told)] = stand.told()
    assert topic == "document.parsed.v1" and (told["title"], told["passages"], told["part"], told["parts"]) == ("Stores", 1, 0, 1)
    assert told["items"] == [{"ordinal": 0, "text": "Über alles.", "heading": "Stores", "page": None}]


def test_a_long_document_comes_in_parts_that_make_the_whole(stand: Stand) -> None:
    text = "\n\n".join(f"# Part {at}\n\nWords of section {at}." for at in range(50))
    assert stand.deliver(stand.add(text.encode())).status_code == 204
    parts = [told for _, told in stand.told()]
    assert [len(told["items"]) for told in parts] == [16, 16, 16, 2] and {told["parts"] for told in parts} == {4}
    assert [item["ordinal"] for told in parts for item in told["items"]] == list(range(50))


def test_what_is_delivered_twice_is_told_once(stand: Stand) -> None:
    upload = stand.add(b"words")
    for attempt in (1, 2):
        assert stand.deliver(upload, attempt).status_code == 204
    assert len(stand.told()) == 1
    assert stand.deliver({**upload, "version": 2}).status_code == 204
    assert [told["version"] for _, told in stand.told()] == [1, 2]


def test_a_document_that_was_deleted_meanwhile_is_no_failure(stand: Stand) -> None:
    upload = stand.add(b"words")
    stand.library.documents.clear()
    assert stand.deliver(upload).status_code == 204
    assert stand.told() == []


def test_without_the_library_it_comes_again_until_the_last_attempt(stand: Stand) -> None:
    upload = stand.add(b"words")
    stand.library.answers_with = 503
    assert stand.deliver(upload).status_code == 503 and stand.told() == []
    assert stand.deliver(upload, ATTEMPTS).status_code == 422
    assert [topic for topic, _ in stand.told()] == ["document.failed.v1"]
    stand.library.answers_with = 200  # and redriven
    assert stand.deliver(upload).status_code == 204
    assert [topic for topic, _ in stand.told()] == ["document.failed.v1", "document.parsed.v1"]


def test_a_document_that_ends_this_service_each_time_is_given_up(stand: Stand) -> None:
    answer = stand.deliver(stand.add(b"words"), ATTEMPTS + 1)
    assert answer.status_code == 422 and "broken off" in answer.json()["detail"]
    assert "broken off" in stand.told()[0][1]["reason"]


def test_the_trace_goes_on(stand: Stand) -> None:
    stand.deliver(stand.add(b"words"))
    with contextlib.closing(sqlite3.connect(stand.database)) as store:
        assert json.loads(store.execute("SELECT extensions FROM outbox").fetchone()[0]) == {"traceparent": TRACE}


def test_every_path_is_in_the_contract() -> None:
    assert {route.path for route in create_app("unused", "http://library").routes} == set(CONTRACT["paths"])  # type: ignore[attr-defined]


def test_what_does_not_exist_is_a_problem_too(client: httpx.Client) -> None:
    for answer in (client.get("/nowhere"), client.get("/on/document-uploaded")):
        assert answer.headers["content-type"] == "application/problem+json"
        assert_contract("Problem", answer.json())


def test_each_fault_can_be_switched_on_and_off(stand: Stand) -> None:
    client, upload = stand.client, stand.add(b"words")
    assert client.put("/faults", json={"mode": "failing"}).json()["mode"] == "failing"
    assert stand.deliver(upload).status_code == 503
    assert client.get("/healthz").status_code == 200
    client.put("/faults", json={"mode": "wrong"})
    assert stand.deliver(upload).status_code == 200 and stand.told() == []
    client.put("/faults", json={"mode": "slow", "latency_ms": 300})
    began = time.monotonic()
    assert stand.deliver(upload).status_code == 204
    assert time.monotonic() - began >= 0.3
    client.put("/faults", json={"mode": "hanging"})
    with pytest.raises(httpx.ReadTimeout):
        stand.deliver(upload, timeout=0.3)
    assert client.put("/faults", json={"mode": "loud"}).status_code == 400
    assert client.delete("/faults").json()["mode"] == "off"
    assert stand.deliver(upload).status_code == 204


@contextmanager
def process(stand: Stand, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Stand]]:
    """The service as a process of its own, once it is ready, with the library and the store of the stand."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"PORT": str(port), "DATABASE_PATH": stand.database, "LIBRARY_URL": stand.library_url}
    running = subprocess.Popen([sys.executable, "-m", "parser"], env={**os.environ, **given, **environment})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            until = time.monotonic() + 20
            while time.monotonic() < until:
                try:
                    client.get("/healthz").raise_for_status()
                    break
                except httpx.TransportError:
                    time.sleep(0.05)
            yield running, replace(stand, client=client)
    finally:
        running.kill()
        running.wait()


def test_on_sigterm_it_finishes_what_it_has_begun_and_exits_with_zero(stand: Stand) -> None:
    with process(stand, FAULT="slow:700ms") as (running, there), concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(there.deliver, stand.add(b"words"))
        time.sleep(0.3)  # the request has to be under way: what is tested begins in its middle
        running.send_signal(signal.SIGTERM)
        assert answer.result(10).status_code == 204
        assert running.wait(10) == 0


def test_a_crash_that_was_asked_for_is_one(stand: Stand) -> None:
    with process(stand, FAULT="crashing:1.0") as (running, there):
        with pytest.raises(httpx.TransportError):
            there.deliver(stand.add(b"words"))
        assert running.wait(10) == 70


@pytest.mark.parametrize("milliseconds", [0, 30, 100, 250, 400])
def test_killed_at_any_time_it_tells_of_all_parts_or_none(stand: Stand, milliseconds: int) -> None:
    text = "\n\n".join(f"# Part {at}\n\nWords of section {at}." for at in range(500))
    upload = stand.add(text.encode())
    with process(stand) as (running, there), concurrent.futures.ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(there.deliver, upload)
        time.sleep(milliseconds / 1000)  # killed at another place each time
        running.send_signal(signal.SIGKILL)
        answered = under_way.exception(10) is None
    assert len(stand.told()) == 32 if answered else len(stand.told()) in (0, 32)
    assert stand.deliver(upload, 2).status_code == 204
    assert len(stand.told()) == 32
