"""The service as it runs: on a port of its own, in a thread of this process."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
import yaml
from jsonschema import Draft202012Validator

from library.app import create_app
from library.config import Config

CONTRACT = yaml.safe_load((Path(__file__).parent.parent / "openapi.yaml").read_text())


def assert_contract(schema: str, body: object) -> None:
    """The body is what openapi.yaml says."""
    Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": CONTRACT["components"]}).validate(body)


@contextmanager
def served(app, on_stop: Callable[[], None]) -> Iterator[str]:  # noqa: ANN001
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    on_stop()
    server.should_exit = True
    thread.join(10)


class Others:
    """Those who listen, as the library sees them: it finds their events in its answers, and they find its in its outbox."""

    def __init__(self, database: str, client: httpx.Client) -> None:
        self.database, self.client = database, client

    def heard(self) -> list[tuple[str, dict]]:
        """What the library has told, in its order."""
        with contextlib.closing(sqlite3.connect(self.database)) as store:
            return [(topic, json.loads(data)) for topic, data in store.execute("SELECT topic, data FROM outbox ORDER BY seq")]

    def say(self, *events: tuple[str, dict]) -> httpx.Response:
        batch = [{"specversion": "1.0", "type": kind, "data": data} for kind, data in events]
        headers = {"content-type": "application/cloudevents-batch+json"}
        return self.client.post("/on/progress", content=json.dumps(batch), headers=headers)

    def go_through(self, id: str, version: int = 1) -> httpx.Response:
        """All that happens on the way of a document of two parts."""
        parts = [part(id, version, 0), part(id, version, 1)]
        return self.say(*[("document.parsed.v1", p) for p in parts], *[("document.embedded.v1", p) for p in parts], indexed(id, version))


def part(id: str, version: int, at: int) -> dict:
    common = {"document": id, "version": version, "name": "a.txt", "title": "A title", "passages": 20, "part": at, "parts": 2}
    return {**common, "items": [{}] * (16 if at == 0 else 4)}


def indexed(id: str, version: int = 1) -> tuple[str, dict]:
    return "document.indexed.v1", {"document": id, "version": version, "passages": 20}


def failed(id: str, version: int = 1, reason: str = "The PDF is encrypted: It asks for a password.") -> tuple[str, dict]:
    return "document.failed.v1", {"document": id, "version": version, "step": "parsing", "reason": reason}


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "library.db")


@contextmanager
def running(database: str, corpus: tuple[Path, ...] = ()) -> Iterator[httpx.Client]:
    app = create_app(Config(database, corpus))
    with served(app, app.state.changes.close) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client
        client.delete("/faults")


@pytest.fixture
def client(database: str) -> Iterator[httpx.Client]:
    with running(database) as client:
        yield client


@pytest.fixture
def others(database: str, client: httpx.Client) -> Others:
    return Others(database, client)


def eventually(condition: Callable[[], object], seconds: float = 10) -> object:
    """What the condition gives, as soon as it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds} s")
