"""Documents come in by JSON and by form, and can be asked about as soon as they are ready."""

from __future__ import annotations

import uuid

import httpx

from talk import add_file, add_text, added, ask, assert_problem, document_of, settled


def invented() -> tuple[str, str]:
    """A word that no other document has, and a text about it."""
    word = f"zorblax{uuid.uuid4().hex[:8]}"
    return word, f"# The {word} protocol\n\nThe {word} protocol was invented in Utrecht by a clockmaker named Hedwig Noor.\n"


def test_a_text_sent_as_json_is_cited(client: httpx.Client) -> None:
    word, text = invented()
    document = settled(client, add_text(client, f"{word}.md", text)["id"])
    assert document["state"] == "ready", document
    answer = ask(client, f"Who invented the {word} protocol?")
    assert answer["citations"][0]["document"] == document["id"]
    assert "Hedwig Noor" in answer["answer"]


def test_a_file_sent_by_form_is_cited(client: httpx.Client) -> None:
    word, text = invented()
    document = added(add_file(client, f"{word}.txt", text.encode(), "text/plain"))
    assert settled(client, document["id"])["state"] == "ready"
    cited = {citation["document"] for citation in ask(client, f"Where was the {word} protocol invented?")["citations"]}
    assert document["id"] in cited


def test_a_new_document_is_in_the_list(client: httpx.Client) -> None:
    word, text = invented()
    document = add_text(client, f"{word}.md", text)
    listed = {entry["id"]: entry for entry in every_document(client)}
    assert listed[document["id"]]["name"] == f"{word}.md"


def test_a_document_that_is_not_there_is_a_clear_404(client: httpx.Client) -> None:
    assert_problem(client.get(f"/api/documents/{uuid.uuid4()}"), 404)
    assert_problem(client.get("/api/documents/%2e%2e%2fetc%2fpasswd"), 400, 404)


def test_names_and_texts_in_any_language_survive(client: httpx.Client) -> None:
    word, _ = invented()
    name = f"Übermut 数据 {word}.md"
    document = settled(client, add_text(client, name, f"# {word}\n\nDie Größe von {word} beträgt 数百 Å.\n")["id"])
    assert document["state"] == "ready", document
    assert document_of(client, document["id"])["name"] == name


def every_document(client: httpx.Client) -> list[dict]:
    found: list[dict] = []
    after: dict[str, str] | None = {}
    while after is not None:
        answer = client.get("/api/documents", params={"limit": 500, **after})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["documents"]
        after = {"after": page["next"]} if page["next"] else None
    return found
