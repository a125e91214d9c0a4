"""Answers made of the documents' own sentences."""

from __future__ import annotations

import httpx
from answerer import extractive
from answerer.callees import Hit
from conftest import PASSAGES, Callees, ask, assert_contract, streamed


def test_an_answer_is_sentences_with_their_sources(client: httpx.Client) -> None:
    answer = ask(client, "Is a backup of a store one file?")
    assert answer["answer"].startswith("A backup of a store is one file. [1]")
    assert answer["citations"][0] == {key: PASSAGES[0][key] for key in answer["citations"][0]}
    assert (answer["mode"], answer["model"], answer["degraded"], answer["notice"]) == ("extractive", None, False, None)


def test_the_same_question_gets_the_same_answer(client: httpx.Client) -> None:
    one, other = (ask(client, "What is the deadline of an edge?") for _ in range(2))
    assert {**one, "id": ""} == {**other, "id": ""}


def test_a_sentence_that_leans_on_the_one_before_comes_with_it(client: httpx.Client, callees: Callees) -> None:
    text = "The grace period is for stopping. It is ten seconds by default, the deadline for stopping included."
    callees.hits = [{**PASSAGES[0], "text": text}]
    assert ask(client, "What is the default deadline?")["answer"].startswith("The grace period is for stopping. It is ten")


def test_what_the_documents_do_not_say_is_not_answered(client: httpx.Client) -> None:
    answer = ask(client, "What will the weather be tomorrow when I cook?")
    assert answer["answer"] == "The documents do not say anything about that."
    assert answer["citations"] == []


def test_a_heading_that_asks_the_question_is_answered_by_what_stands_under_it() -> None:
    def quotes(heading: str, meaning: float) -> list[extractive.Quote]:
        text = "Programs replace their files in place while others run."
        hits = [Hit("faq", "FAQ", "faq#1", text, heading, None, 0, 1.0)]
        sentences = extractive.candidates(hits)
        vectors = [[1.0, 0.0], *([meaning, (1 - meaning**2) ** 0.5] for _ in sentences)]
        return extractive.choose("How can I keep my Debian system current?", hits, sentences, vectors)

    assert quotes("9.1. How can I keep my Debian system current?", 0.4)
    assert not quotes("9.2. How can I remove my Debian system?", 0.4), "half of a question is another question"
    assert not quotes("9.1. How can I keep my Debian system current?", 0.1), "and nonsense stays nonsense"


def test_nothing_found_is_said_as_well(client: httpx.Client, callees: Callees) -> None:
    callees.hits = []
    assert ask(client, "Anything?")["citations"] == []


def test_without_the_embedder_words_decide_and_the_answer_says_so(client: httpx.Client, callees: Callees) -> None:
    for failure in (callees.down, callees.wrong):
        failure.add("embedder")
        answer = ask(client, "Is a backup of a store one file?")
        assert "A backup of a store is one file. [1]" in answer["answer"]
        assert answer["degraded"] and "words only" in answer["notice"]
        failure.clear()


def test_a_search_by_words_only_is_passed_on(client: httpx.Client, callees: Callees) -> None:
    callees.degraded = True
    assert ask(client, "What is a backup?")["degraded"]


def test_without_the_index_there_is_no_answer_and_the_reason(client: httpx.Client, callees: Callees) -> None:
    for failure in (callees.down, callees.wrong):
        failure.add("index")
        for accept in ("application/json", "text/event-stream"):
            answer = client.post("/api/questions", json={"question": "What?"}, headers={"accept": accept})
            assert answer.status_code == 503 and answer.headers["retry-after"]
            assert_contract("Problem", answer.json())
            assert "the index" in answer.json()["detail"]
        failure.clear()


def test_a_stream_brings_each_source_before_it_is_referred_to_and_ends_with_the_whole(client: httpx.Client) -> None:
    events = streamed(client, "How do I make a backup?")
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "citation" and kinds[-1] == "done" and kinds.count("done") == 1
    done = events[-1][1]
    assert_contract("Answer", done)
    assert "".join(data["text"] for kind, data in events if kind == "token") == done["answer"]
    assert [data for kind, data in events if kind == "citation"] == done["citations"]


def test_the_trace_goes_on_to_every_callee(client: httpx.Client, callees: Callees) -> None:
    trace = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "a=b"}
    client.post("/api/questions", json={"question": "What is a backup?"}, headers=trace)
    assert [host for host, _, _ in callees.calls] == ["index", "embedder"]
    assert all(headers[name] == value for _, _, headers in callees.calls for name, value in trace.items())
