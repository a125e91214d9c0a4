"""The service over HTTP: what it takes, what it remembers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from conftest import CONTRACT, Callees, ask, assert_contract, eventually, running

from answerer.app import create_app
from answerer.config import Config
from answerer.history import History, new_id
from answerer.migrate import MIGRATIONS, migrate


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        (b"", 400, "bad-request"),
        (b"{", 400, "bad-request"),
        (b"[]", 422, "empty-question"),
        (b'{"question": ""}', 422, "empty-question"),
        (b'{"question": " \\n "}', 422, "empty-question"),
        (b'{"question": 7}', 422, "empty-question"),
        (b'{"question": "%s"}' % (b"x" * 2001), 422, "question-too-long"),
        (b'{"question": "%s"}' % (b"x" * 70_000), 413, "question-too-long"),
    ],
)
def test_what_is_no_question_is_refused_with_the_reason(client: httpx.Client, content: bytes, status: int, kind: str) -> None:
    answer = client.post("/api/questions", content=content)
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"
    assert_contract("Problem", answer.json())
    assert answer.json()["type"].endswith(kind)


def test_what_was_asked_can_be_read_again_even_by_the_next(tmp_path: Path, callees: Callees) -> None:
    database = str(tmp_path / "answerer.db")
    with running(database, callees) as client:
        answers = [ask(client, question) for question in ("What is a backup?", "How long is the deadline?", "What is restored?")]
    with running(database, callees) as client:
        asked = client.get(f"/api/questions/{answers[1]['id']}").json()
        assert_contract("Asked", asked)
        assert asked["question"] == "How long is the deadline?" and asked["answer"] == answers[1]["answer"]
        first = client.get("/api/questions", params={"limit": 2}).json()
        assert_contract("QuestionPage", first)
        rest = client.get("/api/questions", params={"limit": 2, "before": first["next"]}).json()
        listed = [question["id"] for page in (first, rest) for question in page["questions"]]
        assert listed == [answer["id"] for answer in reversed(answers)] and rest["next"] is None
        assert client.get("/api/questions/q_unknown").status_code == 404
        assert client.get("/api/questions", params={"limit": 0}).status_code == 400


def test_the_oldest_questions_are_let_go(tmp_path: Path) -> None:
    database = str(tmp_path / "answerer.db")
    migrate(database)
    history = History(database, kept=3)
    answer = {"answer": "a", "citations": [], "mode": "extractive", "model": None, "degraded": False, "notice": None}
    ids = [new_id(1000 + at) for at in range(5)]
    for id in ids:
        history.add(1000, "q", {**answer, "id": id})
    assert [asked["id"] for asked in history.page(10, None)] == ids[:1:-1]
    history.close()


def test_migrating_again_changes_nothing_and_a_newer_store_is_left_alone(tmp_path: Path) -> None:
    database = str(tmp_path / "answerer.db")
    assert migrate(database) == migrate(database) == len(MIGRATIONS)
    import sqlite3

    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(SystemExit, match="older than its data"):
        migrate(database)


def test_every_path_is_in_the_contract() -> None:
    app = create_app(Config("unused", "http://index", "http://embedder"))
    assert {route.path for route in app.routes} == set(CONTRACT["paths"])  # type: ignore[attr-defined]


def test_a_fault_spares_the_health_check(client: httpx.Client) -> None:
    client.put("/faults", json={"mode": "failing"})
    assert client.post("/api/questions", json={"question": "q"}).status_code == 503
    assert client.get("/healthz").json() == {"status": "ok"}
    client.delete("/faults")
    ask(client, "What is a backup?")


def test_on_sigterm_it_exits_with_zero(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"PORT": str(port), "DATABASE_PATH": str(tmp_path / "a.db"), "INDEX_URL": "http://x", "EMBEDDER_URL": "http://x"}
    process = subprocess.Popen([sys.executable, "-m", "answerer"], env={**os.environ, **given})

    def healthy() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(healthy, 20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
