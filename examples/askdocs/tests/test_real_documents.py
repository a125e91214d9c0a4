"""Twenty real documents in five formats, added as people add them, and a question to each of them."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

import documents
from documents import DOCUMENTS, Document
from system import System
from talk import add_file, added, ask, settled

Added = dict[str, dict]


@pytest.fixture(scope="module")
def library(running: System) -> Iterator[Added]:
    """All of them, ready, by their names."""
    documents.fetch()
    if not running.is_up():
        running.up()
    running.wait_ready()
    with running.client() as client:
        sent = {one.name: added(add_file(client, one.name, one.content(), one.kind))["id"] for one in DOCUMENTS}
        yield {name: settled(client, id, seconds=300) for name, id in sent.items()}


def test_there_are_twenty_in_five_formats() -> None:
    assert len(DOCUMENTS) == 20
    assert len({one.kind for one in DOCUMENTS}) == 5


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_it_is_ready_and_has_passages(library: Added, document: Document) -> None:
    found = library[document.name]
    assert found["state"] == "ready", found
    assert found["passages"] > 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_its_question_is_answered_with_a_citation_that_points_into_it(
    library: Added, client: httpx.Client, document: Document
) -> None:
    answer = ask(client, document.question)
    cited = [citation["document"] for citation in answer["citations"]]
    titles = [citation["title"] for citation in answer["citations"]]
    assert library[document.name]["id"] in cited, f"{document.question} cites {titles}: {answer['answer'][:300]}"


def test_a_citation_of_a_pdf_names_its_page(library: Added, client: httpx.Client) -> None:
    guide = next(one for one in DOCUMENTS if one.name == "maint-guide.pdf")
    citations = ask(client, guide.question)["citations"]
    pages = [c["page"] for c in citations if c["document"] == library[guide.name]["id"]]
    assert pages and all(isinstance(page, int) and page >= 1 for page in pages), citations
