"""Twenty real documents in five formats, added as people add them, and a question to each of them.

Every other one is sent over HTTP, the rest is chosen on the page, so that both ways carry every format.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import FilePayload, Page, expect

import documents
from browser import open_page
from documents import DOCUMENTS, Document
from system import System
from talk import add_file, added, ask, settled
from waiting import wait_for

Added = dict[str, dict]


OVER_HTTP, ON_THE_PAGE = DOCUMENTS[::2], DOCUMENTS[1::2]


@pytest.fixture(scope="module")
def page(running: System) -> Iterator[Page]:
    """askdocs as a person has it before them."""
    if not running.is_up():
        running.up()
    running.wait_ready()
    with open_page(running.url) as page:
        yield page


@pytest.fixture(scope="module")
def library(running: System, page: Page) -> Iterator[Added]:
    """All of them, ready, by their names."""
    documents.fetch()
    choose(page, ON_THE_PAGE)
    with running.client() as client:
        for one in OVER_HTTP:
            added(add_file(client, one.name, one.content(), one.kind))
        sent = wait_for("all twenty have arrived", lambda: arrived(client), seconds=60)
        yield {name: settled(client, id, seconds=300) for name, id in sent.items()}


def choose(page: Page, wanted: list[Document]) -> None:
    with page.expect_file_chooser() as opened:
        page.get_by_role("button", name="Add documents").click()
    opened.value.set_files([FilePayload(name=one.name, mimeType=one.kind, buffer=one.content()) for one in wanted])


def arrived(client: httpx.Client) -> dict[str, str] | None:
    listed = client.get("/api/documents", params={"limit": 500}).json()["documents"]
    wanted = {one.name for one in DOCUMENTS}
    there = {document["name"]: document["id"] for document in listed if document["name"] in wanted}
    return there if there.keys() == wanted else None


def test_there_are_twenty_in_five_formats() -> None:
    assert len(DOCUMENTS) == 20
    for way in (OVER_HTTP, ON_THE_PAGE):
        assert len({one.kind for one in way}) == 5


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


@pytest.mark.parametrize("document", ON_THE_PAGE, ids=lambda document: document.name)
def test_the_page_shows_what_was_chosen_on_it_as_ready(library: Added, page: Page, document: Document) -> None:
    entry = page.get_by_role("listitem").filter(has=page.get_by_title(document.name, exact=True))
    expect(entry.locator(".passages")).to_have_text(f"{library[document.name]['passages']} passages, ready")


def test_a_question_on_the_page_is_answered_with_a_citation_that_opens_its_passage(library: Added, page: Page) -> None:
    chosen = next(one for one in ON_THE_PAGE if one.name == "zlib.md")
    page.get_by_role("textbox").fill(chosen.question)
    page.keyboard.press("Enter")
    title = library[chosen.name]["title"]
    page.get_by_role("button", name=re.compile(rf"^Source \d+: .*{re.escape(title)}")).first.click()
    passage = page.get_by_role("complementary", name="Cited passage")
    expect(passage.locator("mark")).not_to_be_empty()
    href = passage.get_by_role("link", name="Open the document").get_attribute("href")
    assert href == f"/api/documents/{library[chosen.name]['id']}/content"
