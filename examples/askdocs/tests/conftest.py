"""One askdocs for all tests: starting it costs more than most tests do. A test that breaks it mends it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from system import System
from waiting import wait_for


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("state"))
    try:
        system.up()
        wait_for_corpus(system)
        yield system
    finally:
        system.down()


@pytest.fixture
def askdocs(running: System) -> Iterator[System]:
    """The running system, in good health before each test."""
    if not running.is_up():
        running.up()
    running.wait_ready()
    yield running


@pytest.fixture
def client(askdocs: System) -> Iterator[httpx.Client]:
    with askdocs.client() as client:
        yield client


def wait_for_corpus(system: System) -> None:
    """The first start loads what is shipped; nothing is asked before every document of it has arrived."""
    with system.client() as client:

        def loaded() -> bool:
            documents = client.get("/api/documents", params={"limit": 500}).json()["documents"]
            return bool(documents) and all(document["state"] in ("ready", "failed") for document in documents)

        wait_for("the shipped corpus is loaded", loaded, seconds=600, every=0.5)
