"""What nobody can read is refused or fails with words for the person who sent it, and harms nothing."""

from __future__ import annotations

import struct
import zipfile
from io import BytesIO

import httpx
import pytest

from system import System
from talk import add_file, add_text, added, ask, assert_problem, settled

BROKEN_PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n" + bytes(range(256)) * 8 + b"\n%%EOF\n"
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + bytes(64)


def zip_that_is_no_docx() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme", "not a document")
    return packed.getvalue()


def zip_bomb() -> bytes:
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", bytes(200_000_000))
    return packed.getvalue()


BAD = {
    "a broken PDF": ("broken.pdf", BROKEN_PDF),
    "an empty file": ("empty.txt", b""),
    "only white space": ("blank.md", b" \n\t\n"),
    "a picture": ("picture.png", PNG),
    "a picture that says it is a PDF": ("picture.pdf", PNG),
    "a zip that is no docx": ("archive.docx", zip_that_is_no_docx()),
    "a zip bomb": ("bomb.docx", zip_bomb()),
    "a program": ("program.txt", b"\x7fELF" + bytes(4096)),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_document_gets_a_clear_error(client: httpx.Client, what: str) -> None:
    name, content = BAD[what]
    answer = add_file(client, name, content)
    if answer.is_success:
        document = settled(client, added(answer)["id"])
        assert document["state"] == "failed", document
        assert len(document["reason"] or "") > 10, f"it does not say why: {document}"
        assert "Traceback" not in document["reason"]
    else:
        assert_problem(answer, 400, 413, 415, 422)
    assert_unharmed(client)


def test_a_hundred_megabytes_are_refused_without_being_kept(askdocs: System, client: httpx.Client) -> None:
    before = memory(askdocs)
    try:
        answer = add_file(client, "large.txt", b"All work and no play. " * (100_000_000 // 22), "text/plain")
    except httpx.WriteError:
        pass  # The door was closed before everything was said: a refusal, too.
    else:
        assert_problem(answer, 413)
    assert memory(askdocs) - before < 300_000_000, "something kept the whole of it"
    assert_unharmed(client)


def test_what_is_neither_form_nor_json_is_refused(client: httpx.Client) -> None:
    assert_problem(client.post("/api/documents", content=b"?", headers={"Content-Type": "application/xml"}), 400, 415)
    assert_problem(client.post("/api/documents", content=b"{", headers={"Content-Type": "application/json"}), 400, 422)
    assert_problem(client.post("/api/documents", json={"unknown": True}), 400, 422)
    assert_unharmed(client)


def assert_unharmed(client: httpx.Client) -> None:
    good = settled(client, add_text(client, "good.md", "# Good\n\nA good document follows a bad one.\n")["id"])
    assert good["state"] == "ready", good
    assert ask(client, "What follows a bad document?")["citations"]


def memory(askdocs: System) -> int:
    services = askdocs.ps()["services"]
    return sum(instance["memory_bytes"] or 0 for service in services for instance in service["instances"])
