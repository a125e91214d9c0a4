"""askdocs as a person runs it: started by `motet`, looked at with `motet ps`, used through its gateway.

Every run has a state folder and a port of its own, so that it neither meets nor disturbs a system that somebody has
started from the same checkout.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

import httpx

from waiting import wait_for

EXAMPLE = Path(__file__).resolve().parent.parent
REPOSITORY = EXAMPLE.parent.parent
SERVICES = ("answerer", "embedder", "index", "library", "parser", "web")


def motet_binary() -> Path:
    """MOTET_BIN, or what was built last in the repository's target folder."""
    if given := os.environ.get("MOTET_BIN"):
        return Path(given)
    built = [REPOSITORY / "target" / profile / "motet" for profile in ("release", "debug")]
    there = [path for path in built if path.exists()]
    if not there:
        raise RuntimeError("there is no motet: `cargo build -p motet` makes one, MOTET_BIN names another")
    return max(there, key=lambda path: path.stat().st_mtime)


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


class System:
    """One askdocs. Commands go through the binary, as a person's would."""

    def __init__(self, state: Path, port: int | None = None) -> None:
        self.binary = motet_binary()
        self.state = state
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def motet(self, *words: str, seconds: float = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [str(self.binary), "--directory", str(EXAMPLE), "--state", str(self.state), *words]
        environment = {**os.environ, "ASKDOCS_PORT": str(self.port)}
        # The services' own folders are meant, whatever target folder built motet.
        environment.pop("CARGO_TARGET_DIR", None)
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"`motet {' '.join(words)}` ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done

    def up(self) -> None:
        """Starts what is not running and waits until everything is ready and the shipped corpus is loaded."""
        self.motet("up", "--detach", "--wait", "--wait-timeout", "10m", seconds=660)

    def down(self) -> None:
        self.motet("down", check=False)

    def ps(self) -> dict:
        return json.loads(self.motet("ps", "--json").stdout)

    def is_up(self) -> bool:
        return self.motet("ps", "--json", check=False).returncode == 0

    def service(self, name: str) -> dict:
        return next(service for service in self.ps()["services"] if service["name"] == name)

    def instances(self, name: str, state: str = "ready") -> list[dict]:
        return [instance for instance in self.service(name)["instances"] if instance["state"] == state]

    def edge(self, caller: str, callee: str) -> dict:
        return next(edge for edge in self.ps()["edges"] if (edge["caller"], edge["callee"]) == (caller, callee))

    def pids(self) -> list[int]:
        """Every process of every instance that Motet says it runs."""
        services: Iterable[dict] = self.ps()["services"]
        return [instance["pid"] for service in services for instance in service["instances"] if instance["pid"]]

    def wait_ready(self, seconds: float = 60) -> dict:
        def ready() -> dict | None:
            seen = self.ps()
            return seen if seen["phase"] == "ready" else None

        return wait_for("everything is ready", ready, seconds, every=0.2)

    def client(self, seconds: float = 60) -> httpx.Client:
        """A caller outside: through the gateway only."""
        return httpx.Client(base_url=self.url, timeout=seconds, trust_env=False)

    def fault(self, service: str, **fault: object) -> Fault:
        return Fault(self, service, fault)


class Fault:
    """A switch of one service, thrown for the length of a `with` block in every instance that it has."""

    def __init__(self, system: System, service: str, fault: dict[str, object]) -> None:
        self.system, self.service, self.fault = system, service, fault

    def __enter__(self) -> None:
        for instance in self.system.instances(self.service):
            answer = self._switch(instance, "PUT")
            assert answer.status_code == 200, answer.text

    def __exit__(self, *_: object) -> None:
        # An instance that has crashed comes back without the fault; one that is gone needs no switch.
        for instance in self.system.instances(self.service):
            try:
                self._switch(instance, "DELETE")
            except httpx.TransportError:
                continue

    def _switch(self, instance: dict, method: str) -> httpx.Response:
        url = f"http://127.0.0.1:{instance['port']}/faults"
        with httpx.Client(timeout=10, trust_env=False) as client:
            return client.request(method, url, json=self.fault if method == "PUT" else None)


def is_running(pid: int) -> bool:
    """True while the process exists and is not just waiting to be collected."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rsplit(") ", 1)[1][0] != "Z"


def tree(pid: int) -> set[int]:
    """A process and everything below it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(") ", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(folder.name))
    found, queue = {pid}, [pid]
    while queue:
        for child in children.get(queue.pop(), []):
            found.add(child)
            queue.append(child)
    return found
