"""Answers written by a language model behind an OpenAI-compatible server."""

from __future__ import annotations

import threading
import time

import httpx
import pytest
from conftest import PASSAGES, Callees, ask, assert_contract, eventually, streamed

from answerer.llm import Citations


def test_the_model_gets_the_passages_and_its_words_are_passed_on(client_with_model: httpx.Client, callees: Callees) -> None:
    callees.words = ["Ten ", "seconds ", "[2", "].", " One file [1][2]."]
    events = streamed(client_with_model, "How long is the deadline?")
    done = events[-1][1]
    assert_contract("Answer", done)
    assert done["answer"] == "Ten seconds [1]. One file [2][1]."
    assert [citation["title"] for citation in done["citations"]] == ["Edges", "Stores"]
    assert (done["mode"], done["model"], done["degraded"]) == ("llm", "small", False)
    assert "".join(data["text"] for kind, data in events if kind == "token") == done["answer"]
    host, asked, headers = callees.calls[-1]
    assert host == "model" and headers["authorization"] == "Bearer secret" and asked["stream"] is True
    assert "[2] Edges › Edges › Deadlines\nEvery edge" in asked["messages"][1]["content"]
    assert "How long is the deadline?" in asked["messages"][1]["content"]


def test_words_arrive_while_the_model_is_still_writing(client_with_model: httpx.Client, callees: Callees) -> None:
    callees.words, callees.model_pace = ["word "] * 20, 0.1
    began = time.monotonic()
    headers = {"accept": "text/event-stream"}
    with client_with_model.stream("POST", "/api/questions", json={"question": "q"}, headers=headers) as stream:
        next(stream.iter_text())
        assert time.monotonic() - began < 1.0


def test_when_the_client_hangs_up_the_model_is_stopped(client_with_model: httpx.Client, callees: Callees) -> None:
    callees.words, callees.model_pace = ["word "] * 1000, 0.05
    headers = {"accept": "text/event-stream"}
    with client_with_model.stream("POST", "/api/questions", json={"question": "q"}, headers=headers) as stream:
        next(stream.iter_text())
    assert callees.model_closed.wait(3)


def test_it_is_stopped_as_well_when_nobody_waits_for_the_whole_answer(client_with_model: httpx.Client, callees: Callees) -> None:
    callees.words, callees.model_pace = ["word "] * 1000, 0.05
    with pytest.raises(httpx.ReadTimeout):
        client_with_model.post("/api/questions", json={"question": "q"}, timeout=0.5)
    assert callees.model_closed.wait(3)


def test_when_the_model_is_down_sentences_stand_in(client_with_model: httpx.Client, callees: Callees) -> None:
    callees.down.add("model")
    answer = ask(client_with_model, "How do I make a backup?")
    assert answer["mode"] == "extractive" and answer["model"] is None and answer["citations"]
    assert answer["degraded"] and "language model" in answer["notice"]


@pytest.mark.parametrize("words", [["Half an "], []])
def test_when_the_model_breaks_off_a_new_answer_begins(
    client_with_model: httpx.Client, callees: Callees, words: list[str]
) -> None:
    callees.words = [*words, httpx.ReadError("gone")]
    events = streamed(client_with_model, "How do I make a backup?")
    kinds = [kind for kind, _ in events]
    assert ("reset" in kinds) == bool(words)
    since = events[kinds.index("reset") + 1 :] if words else events
    assert events[-1][1]["mode"] == "extractive"
    assert "".join(data["text"] for kind, data in since if kind == "token") == events[-1][1]["answer"]


def test_a_model_that_says_nothing_has_failed(client_with_model: httpx.Client, callees: Callees) -> None:
    callees.words = []
    assert ask(client_with_model, "How do I make a backup?")["mode"] == "extractive"


def test_a_server_that_answers_something_else_has_failed(client_with_model: httpx.Client, callees: Callees) -> None:
    callees.wrong.add("model")
    assert ask(client_with_model, "How do I make a backup?")["mode"] == "extractive"


def test_many_at_once_are_bounded(client_with_model: httpx.Client, callees: Callees) -> None:
    callees.words, callees.model_pace = ["word "] * 60, 0.05
    codes: list[int] = []

    def one() -> None:
        with httpx.Client(base_url=client_with_model.base_url, timeout=30) as client:
            codes.append(client.post("/api/questions", json={"question": "q"}).status_code)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(80)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert codes.count(429) >= 1 and codes.count(200) >= 64
    assert eventually(lambda: client_with_model.post("/api/questions", json={"question": "q"}).status_code == 200, 20)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        (["a [1] b [2]"], "a [1] b [2]"),
        (["a [", "3", "] b [1", "]."], "a [1] b [2]."),
        (["a [1, 3]"], "a [1][2]"),
        (["a [9] b"], "a  b"),
        (["a[0] = [x] [", "y]"], "a = [x] [y]"),
        (["open ["], "open ["),
    ],
)
def test_citations_are_numbered_in_the_order_of_their_mention(pieces: list[str], said: str) -> None:
    order: list[int] = []

    def cite(passage: int) -> int:
        if passage not in order:
            order.append(passage)
        return order.index(passage) + 1

    citations = Citations(len(PASSAGES), cite)
    assert "".join(citations.feed(piece) for piece in pieces) + citations.finish() == said
