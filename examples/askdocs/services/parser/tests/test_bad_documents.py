"""What cannot be read is refused, with the reason; and whatever it is, the service goes on."""

from __future__ import annotations

import asyncio
import io
import socket
import zipfile

import httpx
import pytest
import samples
from conftest import assert_contract

from parser import sandbox
from parser.document import Unreadable

GOOD = samples.pdf([["Some words on a page of a document."]])
BAD = {
    "empty": (b"", 422, "empty-document"),
    "blank": (b" \n\n ", 422, "empty-document"),
    "broken.pdf": (b"%PDF-1.7\n" + bytes(range(256)) * 20, 422, "broken-document"),
    "cut.pdf": (GOOD[:120], 422, "broken-document"),
    "encrypted.pdf": (samples.encrypted_pdf(), 422, "encrypted-document"),
    "scanned.pdf": (samples.pdf([[], [], []]), 422, "no-text"),
    "picture.pdf": (b"\x89PNG\r\n\x1a\n" + bytes(100), 415, "unsupported-format"),
    "setup.txt": (b"MZ\x90\0\x03" + bytes(100), 415, "unsupported-format"),
    "program": (b"\x7fELF" + bytes(100), 415, "unsupported-format"),
    "archive.zip": (samples.zipped("a.txt"), 415, "unsupported-format"),
    "sheet.docx": (samples.zipped("xl/workbook.xml"), 415, "unsupported-format"),
    "packed.txt.gz": (b"\x1f\x8b\x08" + bytes(50), 415, "unsupported-format"),
    "noise.txt": (bytes(range(256)) * 10, 415, "unsupported-format"),
    "data.xml": (b"<?xml version='1.0'?><a/>", 415, "unsupported-format"),
    "damaged.docx": (samples.docx([("", "Words")])[:300], 422, "broken-document"),
    "entities.docx": (samples.docx([("", "Words")], '<!DOCTYPE x [<!ENTITY a "b">]>'), 422, "broken-document"),
    "wordless.html": (b"<html><script>x</script></html>", 422, "no-text"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_with_the_reason(client: httpx.Client, name: str) -> None:
    data, status, kind = BAD[name]
    answer = client.post("/parse", params={"filename": name}, content=data)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert_contract("Problem", answer.json())
    assert answer.json()["type"].endswith(kind) and len(answer.json()["detail"]) > 20


def test_a_document_that_is_too_large_is_refused_before_and_while_it_arrives(client: httpx.Client) -> None:
    url = client.base_url
    with socket.create_connection((url.host, url.port or 0), 10) as declared:
        declared.sendall(b"POST /parse HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
        assert b" 413 " in declared.recv(4096)

    def endless():  # noqa: ANN202
        for _ in range(21):
            yield b"word " * (1024 * 1024 // 5)

    try:
        assert client.post("/parse", content=endless()).status_code == 413
    except (httpx.WriteError, httpx.ReadError):
        pass  # the connection was closed on us in the middle of sending, which is as clear
    assert client.get("/healthz").json() == {"status": "ok"}


def test_a_decompression_bomb_is_refused(client: httpx.Client) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("word/document.xml", "w") as part:
            for _ in range(200):
                part.write(b" " * 1024 * 1024)
    answer = client.post("/parse", params={"filename": "bomb.docx"}, content=bomb.getvalue())
    assert answer.status_code == 413 and "unpacks" in answer.json()["detail"]


def test_a_page_of_deep_nesting_is_survived(client: httpx.Client) -> None:
    answer = client.post("/parse", params={"filename": "deep.html"}, content=b"<html>" + b"<div>" * 200_000 + b"deep</html>")
    assert answer.status_code in (200, 422)
    assert client.post("/parse", content=GOOD).status_code == 200


def test_a_document_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attempt() -> None:
        with io.open("/dev/zero", "rb") as endless:
            await sandbox.parse(endless, "zero", "", seconds=1)

    monkeypatch.setattr(sandbox, "MEMORY_BYTES", 40 * 1024**3)
    with pytest.raises(Unreadable) as refused:
        asyncio.run(attempt())
    assert refused.value.kind == "document-too-complex" and "1 seconds" in refused.value.detail


def test_a_document_that_eats_memory_is_given_up() -> None:
    async def attempt() -> None:
        with io.open("/dev/zero", "rb") as endless:
            await sandbox.parse(endless, "zero", "", seconds=30)

    with pytest.raises(Unreadable) as refused:
        asyncio.run(attempt())
    assert "memory" in refused.value.title
