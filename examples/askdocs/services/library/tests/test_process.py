"""The service as a process of its own: killed, stopped, filled from the command line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from conftest import eventually

from library import add


@contextmanager
def process(database: str, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"PORT": str(port), "DATABASE_PATH": database}
    running = subprocess.Popen([sys.executable, "-m", "library"], env={**os.environ, **given, **environment})
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            eventually(lambda: _healthy(client), 20)
            yield running, client
    finally:
        running.kill()
        running.wait()


def _healthy(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_what_was_acknowledged_survives_kill_9(database: str) -> None:
    with process(database) as (running, client):
        ids = [client.post("/api/documents", json={"name": f"{at}.txt", "text": f"text {at}"}).json()["id"] for at in range(20)]
        running.send_signal(signal.SIGKILL)
    with process(database) as (_, client):
        documents = client.get("/api/documents").json()["documents"]
        assert [document["id"] for document in documents] == ids
        assert client.get(f"/api/documents/{ids[7]}/content").text == "text 7"


def test_on_sigterm_it_ends_its_streams_and_exits_with_zero(database: str) -> None:
    with process(database) as (running, client), client.stream("GET", "/api/documents/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry")
        running.send_signal(signal.SIGTERM)
        list(lines)
        began = time.monotonic()
        assert running.wait(10) == 0
        assert time.monotonic() - began < 5


def test_a_folder_is_added_from_the_command_line(database: str, tmp_path: Path, capsys) -> None:  # noqa: ANN001
    (tmp_path / "docs" / "sub").mkdir(parents=True)
    (tmp_path / "docs" / "a.md").write_text("one")
    (tmp_path / "docs" / "sub" / "b.txt").write_text("two")
    with process(database) as (_, client):
        url = str(client.base_url)
        assert add.main([str(tmp_path / "docs"), "--url", url]) == 0
        assert add.main([str(tmp_path / "docs" / "a.md"), "--url", url]) == 0
        names = [document["name"] for document in client.get("/api/documents").json()["documents"]]
    assert names == ["a.md", "sub/b.txt"]
    assert "known   doc_" in capsys.readouterr().out
    assert add.main([str(tmp_path / "docs"), "--url", url]) == 2
    assert "There is no askdocs at" in capsys.readouterr().err
