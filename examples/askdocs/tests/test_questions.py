"""A question gets an answer from the documents, and says which."""

from __future__ import annotations

import json

import httpx

from talk import ask, assert_problem, document_of

QUESTION = "What happens when a caller hangs up?"


def test_the_shipped_corpus_answers_the_first_question(client: httpx.Client) -> None:
    answer = ask(client, QUESTION)
    assert answer["answer"].strip()
    assert answer["citations"], "an answer without a citation is an opinion"


def test_every_citation_points_into_a_document_that_is_there(client: httpx.Client) -> None:
    answer = ask(client, QUESTION)
    for citation in answer["citations"]:
        document = document_of(client, citation["document"])
        assert document["state"] == "ready"
        assert citation["text"].strip() and citation["passage"]
        assert isinstance(citation["score"], (int, float))


def test_the_same_question_gets_the_same_answer(client: httpx.Client) -> None:
    first, second = ask(client, QUESTION), ask(client, QUESTION)
    assert first["answer"] == second["answer"]
    assert [c["passage"] for c in first["citations"]] == [c["passage"] for c in second["citations"]]


def test_a_stream_says_the_same_as_the_whole_answer(client: httpx.Client) -> None:
    whole = ask(client, QUESTION)
    events = stream(client, QUESTION)
    assert events, "no event arrived"
    final = [data for _, data in events if isinstance(data, dict) and "citations" in data]
    assert final, f"no event carries the citations: {[name for name, _ in events]}"
    assert [c["passage"] for c in final[-1]["citations"]] == [c["passage"] for c in whole["citations"]]


def test_a_stream_arrives_in_pieces(client: httpx.Client) -> None:
    assert len(stream(client, QUESTION)) > 1


def test_what_is_no_question_is_refused(client: httpx.Client) -> None:
    for body in ({"question": ""}, {"question": "   "}, {}, {"question": 7}, [], "x" * 10):
        assert_problem(client.post("/api/questions", json=body), 400, 422)
    assert_problem(client.post("/api/questions", content=b"{", headers={"Content-Type": "application/json"}), 400, 422)


def test_a_question_of_a_megabyte_is_refused(client: httpx.Client) -> None:
    assert_problem(client.post("/api/questions", json={"question": "why " * 250_000}), 400, 413, 422)
    assert ask(client, QUESTION)["citations"]


def stream(client: httpx.Client, question: str) -> list[tuple[str, object]]:
    events: list[tuple[str, object]] = []
    name, data = "message", []
    headers = {"Accept": "text/event-stream"}
    with client.stream("POST", "/api/questions", json={"question": question}, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].strip())
            elif not line and data:
                text = "\n".join(data)
                try:
                    events.append((name, json.loads(text)))
                except json.JSONDecodeError:
                    events.append((name, text))
                name, data = "message", []
    return events
