"""The example as a person runs it: started by `motet`, spoken to through its gateway. It runs once for all tests."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

EXAMPLE = Path(__file__).resolve().parent.parent
REPOSITORY = EXAMPLE.parent.parent
Seen = TypeVar("Seen")


def motet_binary() -> Path:
    """MOTET_BIN, or what was built last in the repository's target folder."""
    if given := os.environ.get("MOTET_BIN"):
        return Path(given)
    built = [REPOSITORY / "target" / profile / "motet" for profile in ("release", "debug")]
    there = [path for path in built if path.exists()]
    if not there:
        raise RuntimeError("there is no motet: `cargo build -p motet` makes one, MOTET_BIN names another")
    return max(there, key=lambda path: path.stat().st_mtime)


def wait_for(what: str, look: Callable[[], Seen], seconds: float = 60) -> Seen:
    """Waits until `look` finds something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
    return found


class System:
    """The running example. Its state and its port are its own."""

    def __init__(self, state: Path) -> None:
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            self.port = int(door.getsockname()[1])
        self.state = state
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, trust_env=False)

    def motet(self, *words: str, seconds: float = 120) -> str:
        command = [str(motet_binary()), "--directory", str(EXAMPLE), "--state", str(self.state), *words]
        environment = {**os.environ, "CLOUDEVENTS_PORT": str(self.port)}
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        )
        assert done.returncode == 0, f"`motet {' '.join(words)}` ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def post(self, path: str, **said: object) -> httpx.Response:
        return self.client.post(path, **said)

    def seen(self, service: str) -> list[dict]:
        """What a service has taken, all its instances together."""
        answer = self.client.get(f"/{service}/seen")
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    system = System(tmp_path_factory.mktemp("state"))
    try:
        system.motet("up", "--detach", "--wait", "--wait-timeout", "9m", seconds=600)
        yield system
    finally:
        system.motet("down")
        system.client.close()
