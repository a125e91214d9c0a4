"""The way into the index as the library sees it, and everything that can happen on it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import httpx
import pytest
from conftest import Others, assert_contract, eventually, failed, indexed, part, running

from library import migrate, store


def add(client: httpx.Client, text: str = "words") -> str:
    return client.post("/api/documents", json={"name": "a.txt", "text": text}).json()["id"]


def of(client: httpx.Client, id: str) -> dict:
    document = client.get(f"/api/documents/{id}").json()
    assert_contract("Document", document)
    return document


def state(client: httpx.Client, id: str) -> tuple[str, int | None, int]:
    document = of(client, id)
    return document["state"], document["embedded"], document["passages"]


def test_what_the_others_say_is_how_far_a_document_is(client: httpx.Client, others: Others) -> None:
    id = add(client)
    assert state(client, id) == ("received", 0, None)
    others.say(("document.parsed.v1", part(id, 1, 0)))
    assert state(client, id) == ("embedding", 0, 20) and of(client, id)["title"] == "A title"
    others.say(("document.embedded.v1", part(id, 1, 0)), ("document.parsed.v1", part(id, 1, 1)))
    assert state(client, id) == ("embedding", 16, 20)
    others.say(("document.embedded.v1", part(id, 1, 1)))
    assert state(client, id) == ("indexing", 20, 20)
    others.say(indexed(id))
    assert state(client, id) == ("ready", 20, 20)


def test_what_is_said_twice_counts_once_also_in_another_batch(client: httpx.Client, others: Others) -> None:
    id = add(client)
    first = ("document.embedded.v1", part(id, 1, 0))
    others.say(first, first)
    others.say(first)
    assert state(client, id) == ("embedding", 16, 20)


def test_what_is_late_says_nothing_about_a_document_that_is_ready(client: httpx.Client, others: Others) -> None:
    id = add(client)
    others.go_through(id)
    others.say(("document.parsed.v1", part(id, 1, 0)), ("document.embedded.v1", part(id, 1, 1)), failed(id))
    assert state(client, id) == ("ready", 20, 20)


def test_what_cannot_be_read_has_failed_with_its_reason_and_can_be_tried_again(client: httpx.Client, others: Others) -> None:
    id = add(client)
    others.say(failed(id))
    assert of(client, id)["state"] == "failed"
    assert of(client, id)["reason"] == "The PDF is encrypted: It asks for a password."
    answer = client.post(f"/api/documents/{id}/retry")
    assert answer.status_code == 202 and answer.json()["state"] == "received" and answer.json()["reason"] is None
    assert [data["version"] for _, data in others.heard()] == [1, 2]
    others.say(indexed(id), failed(id))  # of the version before
    assert of(client, id)["state"] == "received"
    others.go_through(id, version=2)
    assert state(client, id) == ("ready", 20, 20)


def test_a_failure_that_was_repaired_from_outside_goes_on_in_the_same_version(client: httpx.Client, others: Others) -> None:
    id = add(client)
    others.say(failed(id))
    others.say(("document.parsed.v1", part(id, 1, 0)))
    assert of(client, id)["state"] == "embedding" and of(client, id)["reason"] is None


def test_one_part_that_was_given_up_is_a_failure_until_the_whole_is_indexed(client: httpx.Client, others: Others) -> None:
    id = add(client)
    others.say(("document.parsed.v1", part(id, 1, 0)), failed(id, reason="Its passages could not be embedded."))
    others.say(("document.embedded.v1", part(id, 1, 1)))
    assert state(client, id) == ("failed", 4, 20)
    others.say(("document.embedded.v1", part(id, 1, 0)), indexed(id))
    assert state(client, id) == ("ready", 20, 20) and of(client, id)["reason"] is None


def test_adding_a_failed_document_again_tries_it_again(client: httpx.Client, others: Others) -> None:
    id = add(client)
    others.say(failed(id))
    assert add(client) == id and of(client, id)["state"] == "received"
    assert len(others.heard()) == 2


def test_a_deleted_document_is_gone_at_once_and_the_others_hear_of_it(client: httpx.Client, others: Others) -> None:
    id = add(client)
    others.say(("document.parsed.v1", part(id, 1, 0)))
    assert client.delete(f"/api/documents/{id}").status_code == 204
    assert client.get(f"/api/documents/{id}").status_code == 404
    assert client.get(f"/api/documents/{id}/content").status_code == 404
    assert others.heard()[-1] == ("document.deleted.v1", {"document": id, "version": 2})
    assert others.go_through(id).status_code == 204  # what is on its way says nothing any more
    assert client.get("/api/documents").json()["total"] == 0
    assert add(client) != id  # the same bytes are a new document now


def test_a_document_in_work_cannot_be_retried_unless_it_has_stood_still(
    client: httpx.Client, others: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = add(client)
    assert client.post(f"/api/documents/{id}/retry").status_code == 409
    monkeypatch.setattr(store, "STALLED_SECONDS", 0)
    assert client.post(f"/api/documents/{id}/retry").status_code == 202
    assert [data["version"] for _, data in others.heard()] == [1, 2]


def test_the_trace_of_the_upload_goes_on_with_the_event(client: httpx.Client, database: str) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    client.post("/api/documents", json={"name": "a", "text": "b"}, headers={"traceparent": trace})
    with sqlite3.connect(database) as told:
        assert trace in told.execute("SELECT extensions FROM outbox").fetchone()[0]


def test_what_was_on_its_way_before_there_were_events_is_sent_again(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(migrate, "MIGRATIONS", migrate.MIGRATIONS[:1])
        migrate.migrate(database)
    insert = "INSERT INTO documents VALUES (?, 'a', 'text/plain', 1, ?, ?, NULL, NULL, 7, 0, 0, 1, 1, NULL)"
    with sqlite3.connect(database) as old:
        for at, was in enumerate(("ready", "failed", "parsing", "deleting")):
            old.execute(insert, (f"doc_{at:024x}", f"hash {at}", was))
            old.execute("INSERT INTO contents VALUES (?, 0, x'61')", (f"doc_{at:024x}",))
    with running(database) as client:
        documents = client.get("/api/documents").json()["documents"]
        assert [(d["state"], d["embedded"]) for d in documents] == [("ready", 7), ("failed", 0), ("received", 0)]
        assert client.get(f"/api/documents/{documents[2]['id']}/content").text == "a"
        told = [(topic, data["document"][-1]) for topic, data in Others(database, client).heard()]
        assert told == [("document.deleted.v1", "3"), ("document.uploaded.v1", "2")]


def test_changes_are_told_as_they_happen(client: httpx.Client, others: Others) -> None:
    lines: list[str] = []

    def listen() -> None:
        with client.stream("GET", "/api/documents/events") as stream:
            for line in stream.iter_lines():
                lines.append(line)
                if "event: removed" in line:
                    return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    eventually(lambda: lines)
    id = add(client)
    others.say(("document.parsed.v1", part(id, 1, 0)))
    others.go_through(id)
    client.delete(f"/api/documents/{id}")
    listener.join(10)
    states = [line.split('"state":"')[1].split('"')[0] for line in lines if '"state"' in line]
    assert states == ["received", "embedding", "ready"]


def test_pages_follow_each_other(client: httpx.Client) -> None:
    ids = [add(client, f"text {at}") for at in range(5)]
    first = client.get("/api/documents", params={"limit": 2}).json()
    assert_contract("DocumentPage", first)
    second = client.get("/api/documents", params={"limit": 2, "after": first["next"]}).json()
    third = client.get("/api/documents", params={"limit": 2, "after": second["next"]}).json()
    assert [d["id"] for page in (first, second, third) for d in page["documents"]] == ids
    assert third["next"] is None and third["total"] == 5
    assert client.get("/api/documents", params={"limit": "many"}).status_code == 400


def test_the_corpus_is_loaded_once_into_an_empty_library(database: str, tmp_path: Path) -> None:
    folder = tmp_path / "book"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    for name in ("a.md", "deep/b.txt", "deep/.hidden/c.md", "d.png"):
        (folder / name).write_text(name)
    (folder / "empty.md").touch()
    with running(database, (folder, tmp_path / "missing")) as client:
        eventually(lambda: client.get("/api/documents").json()["total"] == 2)
        first = client.get("/api/documents").json()["documents"]
        assert [document["name"] for document in first] == ["a.md", "deep/b.txt"]
        client.delete(f"/api/documents/{first[0]['id']}")
    with running(database, (folder,)) as client:
        assert client.get("/api/documents").json()["total"] == 1
