"""The service as it runs: on a port of its own, in a thread of this process."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import uvicorn
import yaml
from jsonschema import Draft202012Validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from referencing import Registry, Resource

from parser.app import create_app

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


@dataclass
class Library:
    """The library, as the parser sees it: it has bytes, or not, or is not there just now."""

    documents: dict[str, bytes] = field(default_factory=dict)
    answers_with: int = 200

    def app(self) -> Starlette:
        async def content(request: Request) -> Response:
            found = self.documents.get(request.path_params["id"])
            return Response(status_code=404) if found is None else Response(found, self.answers_with)

        return Starlette(routes=[Route("/api/documents/{id}/content", content)])


@dataclass
class Stand:
    """The parser, its library, and its store."""

    client: httpx.Client
    library: Library
    library_url: str
    database: str

    def add(self, data: bytes, name: str = "a.md", kind: str = "", version: int = 1) -> dict:
        """A document in the library; gives the event's data that tells of it."""
        document = f"doc_{uuid.uuid4().hex[:24]}"
        self.library.documents[document] = data
        return {"document": document, "version": version, "name": name, "contentType": kind, "bytes": len(data)}

    def deliver(self, upload: dict, attempt: int = 1, **options: float) -> httpx.Response:
        headers = {"ce-type": "document.uploaded.v1", "ce-motetattempt": str(attempt), "traceparent": TRACE}
        return self.client.post("/on/document-uploaded", json=upload, headers=headers, **options)  # type: ignore[arg-type]

    def told(self) -> list[tuple[str, dict]]:
        """What stands in the outbox: topics and data, each as its schema says."""
        with contextlib.closing(sqlite3.connect(self.database)) as store:
            rows = [(topic, json.loads(data)) for topic, data in store.execute("SELECT topic, data FROM outbox ORDER BY seq")]
        for topic, data in rows:
            EVENTS[topic].validate(data)
        return rows


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _events() -> dict[str, Draft202012Validator]:
    folder = Path(__file__).parents[3] / "events"
    schemas = {path.name: json.loads(path.read_text()) for path in folder.glob("*.schema.json")}
    registry: Registry = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in schemas.items())
    return {name.removesuffix(".schema.json"): Draft202012Validator(schema, registry=registry) for name, schema in schemas.items()}


EVENTS = _events()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    library, database = Library(), str(tmp_path / "parser.db")
    with served(library.app()) as there, served(create_app(database, there)) as url:
        with httpx.Client(base_url=url, timeout=90) as client:
            yield Stand(client, library, there, database)
            client.delete("/faults")


@pytest.fixture
def client(stand: Stand) -> httpx.Client:
    return stand.client
