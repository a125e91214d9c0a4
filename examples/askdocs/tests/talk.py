"""What the tests say to askdocs, and what they expect of every answer whatever it is about."""

from __future__ import annotations

import httpx

from waiting import wait_for


def ask(client: httpx.Client, question: str) -> dict:
    answer = client.post("/api/questions", json={"question": question})
    assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
    found = answer.json()
    assert {"answer", "citations"} <= found.keys(), found
    return found


def add_text(client: httpx.Client, name: str, text: str) -> dict:
    """A document as JSON."""
    return added(client.post("/api/documents", json={"name": name, "text": text}))


def add_file(client: httpx.Client, name: str, content: bytes, kind: str = "application/octet-stream") -> httpx.Response:
    """A document as a form sends it."""
    return client.post("/api/documents", files={"file": (name, content, kind)})


def added(answer: httpx.Response) -> dict:
    # 200: the same bytes are the same document, and it is known already.
    assert answer.status_code in (200, 201, 202), f"{answer.status_code}: {answer.text}"
    found = answer.json()
    # One file or several: a form may carry many.
    document = found["documents"][0] if "documents" in found else found
    assert document["id"]
    return document


def document_of(client: httpx.Client, id: str) -> dict:
    answer = client.get(f"/api/documents/{id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def settled(client: httpx.Client, id: str, seconds: float = 60) -> dict:
    """The document when it is ready or has failed."""

    def look() -> dict | None:
        document = document_of(client, id)
        return document if document["state"] in ("ready", "failed") else None

    return wait_for(f"document {id} is ready or has failed", look, seconds, every=0.1)


def assert_problem(answer: httpx.Response, *statuses: int) -> dict:
    """RFC 9457: says what is wrong, and says it in the agreed form."""
    assert answer.status_code in statuses, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"].startswith("application/problem+json"), answer.headers["content-type"]
    problem = answer.json()
    assert problem["title"] and problem["status"] == answer.status_code
    assert len(problem.get("detail", "")) > 10, f"it does not say what to do: {problem}"
    return problem
