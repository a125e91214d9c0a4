"""The way of a document into the index: exactly right in the end, whatever is killed on it; a failure has a reason and a way out."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid

import httpx
import pytest

from system import SERVICES, System, is_running, tree
from talk import add_file, add_text, added, assert_problem, document_of, settled
from test_documents import every_document
from waiting import wait_for

BROKEN_PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n" + bytes(range(256)) * 8 + b"\n%%EOF\n"


def written(passages: int) -> str:
    """A document of so many passages: one stands under each heading. No two of these documents are the same."""
    word = f"zorblax{uuid.uuid4().hex[:8]}"
    sections = (f"## Shelf {at}\n\nThe {word} with the number {at} stands on shelf {at % 97}." for at in range(passages))
    return f"# About {word}\n\n" + "\n\n".join(sections) + "\n"


class Loading:
    """Documents on their way, and what one sees of them from outside."""

    def __init__(self, askdocs: System, documents: int, passages: int) -> None:
        self.askdocs, self.wanted, self.began = askdocs, documents * passages, time.monotonic()
        with askdocs.client() as client:
            self.ids = {add_text(client, f"shelves {at}.md", written(passages))["id"] for at in range(documents)}

    def seen(self) -> list[dict]:
        """The documents as the library shows them; none while it is being started again."""
        try:
            with self.askdocs.client() as client:
                return [document for document in every_document(client) if document["id"] in self.ids]
        except (httpx.HTTPError, AssertionError):
            return []

    def embedded(self) -> int:
        return sum(document["embedded"] for document in self.seen())

    def wait_for_embedded(self, share: float, seconds: float) -> None:
        wanted = int(self.wanted * share)
        wait_for(f"{wanted} passages embedded", lambda: self.embedded() >= wanted, seconds, every=0.2)
        took = time.monotonic() - self.began
        print(f"{took:6.1f} s: {self.embedded():6} of {self.wanted} passages embedded", flush=True)

    def wait_until_ready(self, seconds: float) -> None:
        def done() -> bool:
            seen = self.seen()
            return len(seen) == len(self.ids) and all(document["state"] in ("ready", "failed") for document in seen)

        wait_for("every document is ready", done, seconds, every=0.3)
        took = time.monotonic() - self.began
        print(f"{took:6.1f} s: ready, {self.wanted / took:.1f} passages a second, kills and restarts included", flush=True)


def index(askdocs: System, path: str) -> dict:
    return json.loads(askdocs.motet("call", "index", path).stdout)


def kill(askdocs: System, service: str) -> None:
    os.kill(askdocs.instances(service)[0]["pid"], signal.SIGKILL)
    print(f"          killed {service}", flush=True)
    askdocs.wait_ready()


def kill_motet(askdocs: System) -> None:
    everything = set().union(*(tree(pid) for pid in askdocs.pids()))
    os.kill(askdocs.ps()["pid"], signal.SIGKILL)
    print("          killed motet", flush=True)
    wait_for("every process has ended", lambda: not [pid for pid in everything if is_running(pid)], seconds=10)
    askdocs.up()


def assert_exactly_right(askdocs: System, loading: Loading) -> None:
    """Library and index agree about every document that there is, and what was loaded is all there, once."""
    with askdocs.client() as client:
        ready = {d["id"]: d["passages"] for d in every_document(client) if d["state"] == "ready"}
    assert sum(ready.get(id, 0) for id in loading.ids) == loading.wanted
    found, after = {}, ""
    while after is not None:
        page = index(askdocs, f"/documents?limit=1000&after={after}")
        found |= {document["id"]: document["passages"] for document in page["documents"]}
        after = page["next"]
    assert found == ready
    assert index(askdocs, "/stats")["passages"] == sum(ready.values())


def nothing_waits(askdocs: System) -> bool:
    subscriptions = json.loads(askdocs.motet("topics", "--json").stdout)["subscriptions"]
    return all(s["waiting"] + s["in_flight"] + s["retrying"] == 0 for s in subscriptions)


def load_and_kill(askdocs: System, documents: int, passages: int, rounds: int, seconds: float) -> None:
    loading = Loading(askdocs, documents, passages)
    steps = len(SERVICES) + 1
    for at in range(rounds * steps):
        loading.wait_for_embedded((at + 1) / (rounds * steps + 2), seconds)
        if at % steps < len(SERVICES):
            kill(askdocs, SERVICES[at % steps])
        else:
            kill_motet(askdocs)
    loading.wait_until_ready(seconds)
    assert_exactly_right(askdocs, loading)
    assert [letter for id in loading.ids for letter in dead_letters(askdocs, id)] == []


def test_what_is_loaded_is_exactly_right_although_every_service_and_motet_are_killed(askdocs: System) -> None:
    load_and_kill(askdocs, documents=10, passages=40, rounds=1, seconds=60)


@pytest.mark.long
def test_ten_thousand_passages_are_exactly_right_although_everything_is_killed_three_times(askdocs: System) -> None:
    load_and_kill(askdocs, documents=50, passages=200, rounds=3, seconds=900)


def test_a_document_that_is_deleted_while_it_is_embedded_does_not_come_back(askdocs: System, client: httpx.Client) -> None:
    loading = Loading(askdocs, 1, 150)
    loading.wait_for_embedded(0.1, 60)
    [id] = loading.ids
    assert client.delete(f"/api/documents/{id}").status_code == 204
    wait_for("nobody has anything to do", lambda: nothing_waits(askdocs), seconds=60, every=0.3)
    assert askdocs.motet("call", "index", f"/documents/{id}", check=False).stdout.find("unknown-document") > 0
    loading.ids, loading.wanted = set(), 0
    assert_exactly_right(askdocs, loading)


def test_a_document_that_fails_is_a_dead_letter_with_the_reason_and_can_be_tried_again(
    askdocs: System, client: httpx.Client
) -> None:
    broken = BROKEN_PDF + uuid.uuid4().bytes
    id = added(add_file(client, "broken.pdf", broken))["id"]
    failed = settled(client, id)
    assert failed["state"] == "failed" and len(failed["reason"]) > 10
    [letter] = wait_for("a dead letter", lambda: dead_letters(askdocs, id), seconds=20)
    assert letter["subscription"] == SUBSCRIPTION and letter["reason"] == "permanent"
    assert failed["reason"].split(": ", 1)[1] in json.loads(letter["detail"])["detail"]
    assert id in askdocs.motet("dead-letters", "show", SUBSCRIPTION, str(letter["number"])).stdout

    # Whoever operates the system redrives it: it is read again, and fails again, in the same version.
    redrive(askdocs, letter)
    [again] = wait_for("a new dead letter", lambda: [d for d in dead_letters(askdocs, id) if d != letter], seconds=20)
    assert again["event"]["data"]["version"] == 1 and document_of(client, id)["state"] == "failed"

    # Whoever added it tries it again: it is told of anew.
    assert client.post(f"/api/documents/{id}/retry").status_code == 202
    both = wait_for("one of the new version", lambda: (d := dead_letters(askdocs, id))[1:] and d, seconds=20)
    assert [letter["event"]["data"]["version"] for letter in both] == [1, 2]
    assert settled(client, id)["state"] == "failed"

    # What is deleted needs no reading any more, so its dead letters are done with.
    assert client.delete(f"/api/documents/{id}").status_code == 204
    redrive(askdocs, *both)
    wait_for("they are taken", lambda: nothing_waits(askdocs) and not dead_letters(askdocs, id), seconds=20)
    assert_problem(client.get(f"/api/documents/{id}"), 404)


SUBSCRIPTION = "parser.document.uploaded.v1"


def dead_letters(askdocs: System, document: str) -> list[dict]:
    found = json.loads(askdocs.motet("dead-letters", "list", "--json").stdout)
    return [letter for letter in found if letter["event"]["data"]["document"] == document]


def redrive(askdocs: System, *letters: dict) -> None:
    askdocs.motet("dead-letters", "redrive", SUBSCRIPTION, *[str(letter["number"]) for letter in letters])
