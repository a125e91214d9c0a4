"""The way into the index, and everything that can happen on it."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
from conftest import Callees, assert_contract, eventually, reaches, running

PROBLEM = {"type": "urn:x", "title": "The PDF is encrypted", "status": 422, "detail": "It asks for a password."}


def add(client: httpx.Client, text: str = "words") -> str:
    return client.post("/api/documents", json={"name": "a.txt", "text": text}).json()["id"]


def test_what_the_parser_refuses_has_failed_with_its_reason_at_once(client: httpx.Client, callees: Callees) -> None:
    callees.parser_answers = [httpx.Response(422, json=PROBLEM)]
    document = reaches(client, add(client), "failed")
    assert document["reason"] == "The PDF is encrypted: It asks for a password." and document["attempts"] == 1
    assert_contract("Document", document)


def test_what_fails_for_a_while_is_tried_again(client: httpx.Client, callees: Callees) -> None:
    callees.parser_answers = [httpx.ConnectError("refused"), httpx.Response(429, json={}), httpx.Response(200, text="lies")]
    callees.index_answers = [httpx.Response(503, json={}), httpx.ReadTimeout("slow")]
    id = add(client)
    assert reaches(client, id, "ready")["reason"] is None
    assert id in callees.indexed


def test_what_always_fails_is_given_up_and_can_be_tried_again(client: httpx.Client, callees: Callees) -> None:
    callees.index_answers = [httpx.Response(503, json={"title": "Full"})] * 8
    id = add(client)
    document = reaches(client, id, "failed")
    assert document["reason"] == "given up after 8 attempts: the index answered 503 (Full)"
    assert client.post(f"/api/documents/{id}/retry").status_code == 202
    reaches(client, id, "ready")


def test_adding_a_failed_document_again_tries_it_again(client: httpx.Client, callees: Callees) -> None:
    callees.parser_answers = [httpx.Response(422, json=PROBLEM)]
    id = add(client)
    reaches(client, id, "failed")
    assert add(client) == id
    reaches(client, id, "ready")


def test_what_is_unfinished_when_the_service_dies_is_finished_by_the_next(database: str, callees: Callees) -> None:
    callees.hold.clear()
    with running(database, callees) as client:
        ids = [add(client, f"text {at}") for at in range(5)]
        eventually(lambda: client.get(f"/api/documents/{ids[0]}").json()["state"] == "parsing")
    callees.hold.set()
    with running(database, callees) as client:
        for id in ids:
            reaches(client, id, "ready")
    assert set(callees.indexed) == set(ids)


def test_deleting_takes_it_out_of_the_index_even_if_that_takes_a_while(client: httpx.Client, callees: Callees) -> None:
    id = add(client)
    reaches(client, id, "ready")
    callees.index_answers = [httpx.ConnectError("down"), httpx.Response(500)]
    assert client.delete(f"/api/documents/{id}").status_code == 204
    assert client.get(f"/api/documents/{id}").status_code == 404
    eventually(lambda: id not in callees.indexed)
    assert add(client) != id  # the same bytes are a new document now


def test_what_is_deleted_while_it_is_being_indexed_does_not_stay_in_the_index(client: httpx.Client, callees: Callees) -> None:
    callees.hold.clear()
    id = add(client)
    eventually(lambda: client.get(f"/api/documents/{id}").json()["state"] == "parsing")
    client.delete(f"/api/documents/{id}")
    callees.hold.set()
    eventually(lambda: any(method == "DELETE" for _, method, _ in callees.calls))
    assert client.get("/api/documents").json()["total"] == 0 and id not in callees.indexed


def test_a_document_in_work_cannot_be_retried(client: httpx.Client, callees: Callees) -> None:
    callees.hold.clear()
    id = add(client)
    assert client.post(f"/api/documents/{id}/retry").status_code == 409
    callees.hold.set()


def test_the_trace_of_the_upload_goes_on_to_parser_and_index(client: httpx.Client, callees: Callees) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    id = client.post("/api/documents", json={"name": "a", "text": "b"}, headers={"traceparent": trace}).json()["id"]
    reaches(client, id, "ready")
    assert [headers["traceparent"] for _, _, headers in callees.calls] == [trace, trace]


def test_the_whole_document_reaches_the_parser(client: httpx.Client, callees: Callees) -> None:
    reaches(client, add(client, "x" * 3_000_000), "ready")
    assert callees.parsed_sizes == [3_000_000]


def test_changes_are_told_as_they_happen(client: httpx.Client, callees: Callees) -> None:
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
    reaches(client, id, "ready")
    client.delete(f"/api/documents/{id}")
    listener.join(10)
    states = [line.split('"state":"')[1].split('"')[0] for line in lines if '"state"' in line]
    assert states == ["received", "parsing", "indexing", "ready"]


def test_pages_follow_each_other(client: httpx.Client) -> None:
    ids = [add(client, f"text {at}") for at in range(5)]
    first = client.get("/api/documents", params={"limit": 2}).json()
    assert_contract("DocumentPage", first)
    second = client.get("/api/documents", params={"limit": 2, "after": first["next"]}).json()
    third = client.get("/api/documents", params={"limit": 2, "after": second["next"]}).json()
    assert [d["id"] for page in (first, second, third) for d in page["documents"]] == ids
    assert third["next"] is None and third["total"] == 5
    assert client.get("/api/documents", params={"limit": "many"}).status_code == 400


def test_the_corpus_is_loaded_once_into_an_empty_library(database: str, callees: Callees, tmp_path: Path) -> None:
    folder = tmp_path / "book"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    for name in ("a.md", "deep/b.txt", "deep/.hidden/c.md", "d.png"):
        (folder / name).write_text(name)
    (folder / "empty.md").touch()
    with running(database, callees, (folder, tmp_path / "missing")) as client:
        eventually(lambda: client.get("/api/documents").json()["total"] == 2)
        first = client.get("/api/documents").json()["documents"]
        assert [document["name"] for document in first] == ["a.md", "deep/b.txt"]
        reaches(client, first[0]["id"], "ready")
        client.delete(f"/api/documents/{first[0]['id']}")
    with running(database, callees, (folder,)) as client:
        eventually(lambda: first[0]["id"] not in callees.indexed)
        assert client.get("/api/documents").json()["total"] == 1
