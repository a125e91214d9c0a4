"""The service as it runs: on a port of its own, in a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
import yaml
from jsonschema import Draft202012Validator

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


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with served(create_app()) as url, httpx.Client(base_url=url, timeout=90) as client:
        yield client
        client.delete("/faults")
