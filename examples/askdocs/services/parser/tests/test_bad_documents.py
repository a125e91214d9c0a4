"""What cannot be read is refused, with the reason; and whatever it is, the service goes on."""

from __future__ import annotations

import asyncio
import io
import zipfile

import pytest
import samples
from conftest import Stand, assert_contract

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
def test_a_bad_document_is_refused_with_the_reason_and_this_is_told(stand: Stand, name: str) -> None:
    data, status, kind = BAD[name]
    upload = stand.add(data, name)
    answer = stand.deliver(upload)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert_contract("Problem", answer.json())
    assert answer.json()["type"].endswith(kind) and len(answer.json()["detail"]) > 20
    [(topic, told)] = stand.told()
    assert topic == "document.failed.v1" and (told["document"], told["step"]) == (upload["document"], "parsing")
    assert told["reason"] == f"{answer.json()['title']}: {answer.json()['detail']}"


def test_a_document_that_is_too_large_is_refused(stand: Stand) -> None:
    assert stand.deliver(stand.add(b"word " * (21 * 1024 * 1024 // 5))).status_code == 413


def test_a_decompression_bomb_is_refused(stand: Stand) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("word/document.xml", "w") as part:
            for _ in range(200):
                part.write(b" " * 1024 * 1024)
    answer = stand.deliver(stand.add(bomb.getvalue(), "bomb.docx"))
    assert answer.status_code == 413 and "unpacks" in answer.json()["detail"]


def test_a_page_of_deep_nesting_is_survived(stand: Stand) -> None:
    answer = stand.deliver(stand.add(b"<html>" + b"<div>" * 200_000 + b"deep</html>", "deep.html"))
    assert answer.status_code in (204, 422)
    assert stand.deliver(stand.add(GOOD)).status_code == 204


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
