"""The service as it runs: on a port of its own, in a thread of this process."""

from __future__ import annotations

import asyncio
import json
import math
import re
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

from answerer.app import create_app
from answerer.config import Config, Model

CONTRACT = yaml.safe_load((Path(__file__).parent.parent / "openapi.yaml").read_text())


def assert_contract(schema: str, body: object) -> None:
    """The body is what openapi.yaml says."""
    Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": CONTRACT["components"]}).validate(body)


@contextmanager
def served(app) -> Iterator[str]:  # noqa: ANN001
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


PASSAGES = [
    {
        "document": "doc_1", "title": "Stores", "passage": "0", "ordinal": 0, "heading": "Stores › Backups", "page": None, "score": 0.9,
        "text": "A backup of a store is one file. Run motet store backup to make it while the service runs.\n\n- Backups are kept for a week.",
    },
    {
        "document": "doc_2", "title": "Edges", "passage": "4", "ordinal": 4, "heading": "Edges › Deadlines", "page": 12, "score": 0.7,
        "text": "Every edge has a deadline. It is ten seconds unless the definition says otherwise. Retries share it.",
    },
    {
        "document": "doc_1", "title": "Stores", "passage": "1", "ordinal": 1, "heading": "Stores › Restoring", "page": None, "score": 0.5,
        "text": "Restoring replaces the store by the backup. The service is stopped meanwhile.",
    },
]  # fmt: skip


class Callees:
    """Index, embedder and language model, as the answerer sees them."""

    def __init__(self) -> None:
        self.hits = PASSAGES
        self.degraded = False
        self.down: set[str] = set()
        self.wrong: set[str] = set()
        self.calls: list[tuple[str, object, httpx.Headers]] = []
        self.words: list[str | Exception] = []
        self.model_pace = 0.0
        self.model_closed = threading.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        host, body = request.url.host, json.loads(await request.aread())
        self.calls.append((host, body, request.headers))
        if host in self.down:
            raise httpx.ConnectError("refused")
        if host in self.wrong:
            return httpx.Response(200, json={"wrong": "on purpose"})
        if host == "index":
            return httpx.Response(200, json={"hits": self.hits, "mode": "hybrid", "degraded": self.degraded})
        if host == "embedder":
            return httpx.Response(200, json={"vectors": [vector(text) for text in body["inputs"]]})
        headers = {"content-type": "text/event-stream; charset=utf-8"}
        return httpx.Response(200, headers=headers, stream=ModelStream(self))


class ModelStream(httpx.AsyncByteStream):
    """What a language model's server sends: one event per word, and at the end [DONE]."""

    def __init__(self, callees: Callees) -> None:
        self.callees = callees

    async def __aiter__(self):  # noqa: ANN204
        for word in self.callees.words:
            await asyncio.sleep(self.callees.model_pace)
            if isinstance(word, Exception):
                raise word
            yield f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n".encode()
        yield b"data: [DONE]\n\n"

    async def aclose(self) -> None:
        self.callees.model_closed.set()


def vector(text: str) -> list[float]:
    """A stand-in for meaning: which of a few subjects a text is about."""
    subjects = ("backup|back up", "deadline|how long", "restor", "retr", "stop", "weather|cook")
    parts = [float(len(re.findall(subject, text.lower()))) for subject in subjects] + [0.3]
    length = math.sqrt(sum(part * part for part in parts))
    return [part / length for part in parts]


@pytest.fixture
def callees() -> Callees:
    return Callees()


@contextmanager
def running(database: str, callees: Callees, model: Model | None = None) -> Iterator[httpx.Client]:
    app = create_app(Config(database, "http://index", "http://embedder", model), httpx.MockTransport(callees))
    with served(app) as url, httpx.Client(base_url=url, timeout=30) as client:
        yield client
        client.delete("/faults")


@pytest.fixture
def client(tmp_path: Path, callees: Callees) -> Iterator[httpx.Client]:
    with running(str(tmp_path / "answerer.db"), callees) as client:
        yield client


@pytest.fixture
def client_with_model(tmp_path: Path, callees: Callees) -> Iterator[httpx.Client]:
    with running(str(tmp_path / "answerer.db"), callees, Model("http://model/v1", "small", "secret")) as client:
        yield client


def ask(client: httpx.Client, question: str) -> dict:
    answer = client.post("/api/questions", json={"question": question})
    assert answer.status_code == 200, answer.text
    assert_contract("Answer", answer.json())
    return answer.json()


def streamed(client: httpx.Client, question: str) -> list[tuple[str, dict]]:
    headers = {"accept": "text/event-stream"}
    with client.stream("POST", "/api/questions", json={"question": question}, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = "".join(stream.iter_text()).strip().split("\n\n")
    return [(event.split("\n")[0][7:], json.loads(event.split("\n")[1][6:])) for event in events]


def eventually(condition: Callable[[], object], seconds: float = 10) -> object:
    """What the condition gives, as soon as it is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(f"not within {seconds} s")
