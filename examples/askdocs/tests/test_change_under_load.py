"""Instances are replaced, added and taken away while people go on asking: nobody notices."""

from __future__ import annotations

import httpx

from load import Load
from system import SERVICES, System
from waiting import wait_for

QUESTIONS = ("What is an edge?", "What happens when a caller hangs up?", "What does motet check find?")


def question(caller: httpx.Client) -> httpx.Response:
    # Which of them does not matter; that they differ keeps a cache from answering.
    return caller.post("/api/questions", json={"question": QUESTIONS[id(caller) % len(QUESTIONS)]})


def documents(caller: httpx.Client) -> httpx.Response:
    return caller.get("/api/documents")


def page(caller: httpx.Client) -> httpx.Response:
    return caller.get("/")


def test_a_rolling_restart_of_every_service_fails_no_request(askdocs: System) -> None:
    loads = [Load(askdocs.url, call, callers=2) for call in (question, documents, page)]
    with loads[0], loads[1], loads[2]:
        for service in SERVICES:
            old = {instance["id"] for instance in askdocs.instances(service)}
            askdocs.motet("restart", service, seconds=300)
            new = {instance["id"] for instance in askdocs.instances(service)}
            assert new and not (old & new), f"{service} was not replaced: {old} and {new}"
            for load in loads:
                load.wait_for_more(5)
    for load in loads:
        assert load.failures == [], f"{load.call.__name__}: {len(load.failures)} of {load.answers}: {load.failures[:3]}"


def test_scaling_up_and_down_fails_no_request(askdocs: System) -> None:
    with Load(askdocs.url, question, callers=4) as load:
        for wanted in (3, 1):
            askdocs.motet("scale", f"embedder={wanted}")
            wait_for(f"{wanted} embedders", lambda n=wanted: len(askdocs.instances("embedder")) == n, seconds=60)
            load.wait_for_more(20)
    assert load.failures == [], f"{len(load.failures)} of {load.answers}: {load.failures[:3]}"
