"""`kill -9` of Motet itself: what it started ends with it, and the next start is a clean one."""

from __future__ import annotations

import os
import signal

import httpx

from conftest import wait_for_corpus
from system import System, is_running, tree
from talk import ask
from waiting import wait_for


def test_no_process_outlives_motet_and_the_next_start_is_clean(askdocs: System) -> None:
    everything = set().union(*(tree(pid) for pid in askdocs.pids()))
    assert len(everything) >= 6
    os.kill(askdocs.ps()["pid"], signal.SIGKILL)
    wait_for(
        "every process of every service has ended",
        lambda: not [pid for pid in everything if is_running(pid)],
        seconds=5,
    )
    assert not askdocs.is_up()
    askdocs.up()
    assert not everything & set(askdocs.pids())
    wait_for_corpus(askdocs)
    with askdocs.client() as client:
        assert ask(client, "What is an edge?")["citations"]


def test_down_leaves_nothing_behind(askdocs: System) -> None:
    everything = set().union(*(tree(pid) for pid in [*askdocs.pids(), askdocs.ps()["pid"]]))
    askdocs.motet("down")
    wait_for("everything has ended", lambda: not [pid for pid in everything if is_running(pid)], seconds=5)
    try:
        httpx.get(askdocs.url, timeout=2, trust_env=False)
    except httpx.TransportError:
        pass
    else:
        raise AssertionError("the gateway still answers")


def test_a_second_up_finds_the_running_system(askdocs: System) -> None:
    before = askdocs.ps()
    askdocs.up()
    after = askdocs.ps()
    assert after["session"] == before["session"] and after["pid"] == before["pid"]
    assert {i["id"] for s in before["services"] for i in s["instances"]} == {
        i["id"] for s in after["services"] for i in s["instances"]
    }
