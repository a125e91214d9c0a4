"""The service as it runs: on a port of its own, in a thread of this process."""

from __future__ import annotations

import asyncio
import json
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

from library import ingestion
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


class Callees:
    """Parser and index as the library sees them: what they were asked, and how they answer."""

    def __init__(self) -> None:
        self.indexed: dict[str, dict] = {}
        self.calls: list[tuple[str, str, httpx.Headers]] = []
        self.parsed_sizes: list[int] = []
        self.parser_answers: list[httpx.Response | Exception] = []  # used up one by one; then it works
        self.index_answers: list[httpx.Response | Exception] = []
        self.hold = threading.Event()
        self.hold.set()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        while not self.hold.is_set():
            await asyncio.sleep(0.01)
        parser = request.url.host == "parser"
        self.calls.append((request.url.host, request.method, request.headers))
        answers = self.parser_answers if parser else self.index_answers
        if answers:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if parser:
            self.parsed_sizes.append(len(body))
            passages = [{"ordinal": 0, "text": body.decode("utf-8", "replace")[:100], "heading": None, "page": None}]
            parsed = {"title": "A title", "format": "text", "passages": passages, "characters": len(body), "warnings": []}
            return httpx.Response(200, json=parsed)
        id = request.url.path.rsplit("/", 1)[1]
        if request.method == "DELETE":
            return httpx.Response(204 if self.indexed.pop(id, None) else 404)
        self.indexed[id] = json.loads(body)
        return httpx.Response(200, json={})


@pytest.fixture
def callees() -> Callees:
    return Callees()


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "library.db")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "FIRST_PAUSE_SECONDS", 0.005)
    monkeypatch.setattr(ingestion, "LONGEST_PAUSE_SECONDS", 0.05)


@contextmanager
def running(database: str, callees: Callees, corpus: tuple[Path, ...] = ()) -> Iterator[httpx.Client]:
    app = create_app(Config(database, "http://parser", "http://index", corpus), httpx.MockTransport(callees))
    with served(app, app.state.changes.close) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client
        client.delete("/faults")


@pytest.fixture
def client(database: str, callees: Callees) -> Iterator[httpx.Client]:
    with running(database, callees) as client:
        yield client


def eventually(condition: Callable[[], object], seconds: float = 10) -> object:
    """What the condition gives, as soon as it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds} s")


def reaches(client: httpx.Client, id: str, state: str) -> dict:
    return eventually(lambda: (d := client.get(f"/api/documents/{id}").json())["state"] == state and d)  # type: ignore[return-value]
