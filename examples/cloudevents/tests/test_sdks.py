"""Every SDK publishes in every mode that it has, and every SDK takes that in every mode that it has: nothing of an event changes on the way."""

from __future__ import annotations

import json

import pytest

from conftest import System, wait_for
from notes import HEADERS_AS_THEY_ARE, NEEDS_ENCODING, NOTES, compared, note

PUBLISHERS = {
    "python": ("binary", "structured"),
    "typescript": ("binary", "structured", "batched"),
    "java": ("binary", "structured"),
}
SUBSCRIBERS = {
    "python": ("binary", "structured"),
    "typescript": ("binary", "structured", "batched"),
    "java": ("binary", "structured"),
}
WAYS_OUT = [(service, mode) for service, modes in PUBLISHERS.items() for mode in modes]
WAYS_IN = [(service, mode) for service, modes in SUBSCRIBERS.items() for mode in modes]


def sent(publisher: str, mode: str) -> list[dict]:
    """What this publisher sends in this mode."""
    cannot = NEEDS_ENCODING if mode == "binary" and publisher in HEADERS_AS_THEY_ARE else ()
    names = [name for name in NOTES if name not in cannot]
    return [note(name, f"from {publisher} in {mode}") for name in names]


@pytest.fixture(scope="module")
def published(system: System) -> System:
    """All is published to all topics, before anybody looks."""
    for publisher, mode in WAYS_OUT:
        for topic in ("note.binary", "note.structured", "note.batched", "note.pulled"):
            events = sent(publisher, mode)
            answer = system.post(f"/{publisher}/publish", params={"topic": topic, "mode": mode}, json=events)
            requests = 1 if mode == "batched" else len(events)
            assert (answer.status_code, answer.json()) == (200, [202] * requests), (publisher, mode, topic)
    return system


def taken(system: System, service: str, way: str, publisher: str, mode: str) -> dict[str, dict]:
    """What a service has taken of a publisher's, by the events' ids."""
    end = f" from {publisher} in {mode}"
    events = [row["event"] for row in system.seen(service) if row["way"] == way]
    encoded = way == "/on/binary" and service in HEADERS_AS_THEY_ARE
    compared_events = [compared(event, headers_stay_encoded=encoded) for event in events]
    return {event["id"]: event for event in compared_events if event["id"].endswith(end)}


@pytest.mark.parametrize(("publisher", "out"), WAYS_OUT, ids=lambda way: way)
@pytest.mark.parametrize(("subscriber", "way"), WAYS_IN, ids=lambda way: way)
def test_what_one_sdk_says_another_one_hears(published: System, publisher: str, out: str, subscriber: str, way: str) -> None:
    expected = {event["id"]: compared(event) for event in sent(publisher, out)}
    path = f"/on/{way}"
    wait_for(
        f"{subscriber} has taken everything of {publisher}",
        lambda: taken(published, subscriber, path, publisher, out).keys() >= expected.keys(),
    )
    assert taken(published, subscriber, path, publisher, out) == expected


@pytest.mark.parametrize(("publisher", "out"), WAYS_OUT, ids=lambda way: way)
def test_what_is_fetched_is_a_batch_that_the_sdk_reads(published: System, publisher: str, out: str) -> None:
    expected = {event["id"]: compared(event) for event in sent(publisher, out)}

    def fetched() -> bool:
        published.post("/typescript/pull", params={"topic": "note.pulled"})
        return taken(published, "typescript", "/pull", publisher, out).keys() >= expected.keys()

    wait_for("everything was fetched", fetched)
    assert taken(published, "typescript", "/pull", publisher, out) == expected


def test_nothing_was_given_up(published: System) -> None:
    assert json.loads(published.motet("dead-letters", "list", "--json")) == []
