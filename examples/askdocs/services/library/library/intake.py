"""How documents come in: multipart or JSON, streamed to disk, never more than the limit.

What is too large is refused as early as it can be known. The rest of such a request is read and dropped for a while all the same:
a browser that is still sending when the connection closes shows a broken connection instead of the reason.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io
import json
import mimetypes
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import IO

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from .problem import Problem

DOCUMENT_LIMIT_BYTES = 20 * 1024 * 1024
FILES_MAX = 20
OVERHEAD_BYTES = 1024 * 1024  # boundaries, part headers, names
UPLOAD_SECONDS = 120
DROPPED_BYTES = 256 * 1024 * 1024
DROPPING_SECONDS = 20

mimetypes.add_type("text/markdown", ".md")
mimetypes.add_type("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx")


@dataclass
class Incoming:
    """A document that has arrived whole, and lies in a temporary file."""

    name: str
    content_type: str
    content: IO[bytes]


async def receive(request: Request) -> list[Incoming]:
    """The documents of one request; raises `Problem`."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    readers = {"multipart/form-data": _multipart, "application/json": _json}
    if kind not in readers:
        detail = 'Send multipart/form-data with a file, or application/json such as {"name": "notes.md", "text": "…"}.'
        raise Problem(415, "unsupported-request", "This kind of request is not understood", detail)
    try:
        incoming = await asyncio.wait_for(readers[kind](request), UPLOAD_SECONDS)
    except asyncio.TimeoutError:
        detail = f"The document did not arrive within {UPLOAD_SECONDS} seconds."
        raise Problem(408, "too-slow", "The document arrives too slowly", detail) from None
    for document in incoming:
        if not document.content.read(1):
            detail = f"There is not a single byte in {document.name!r}."
            raise Problem(422, "empty-document", "The document is empty", detail)
    return incoming


def close(incoming: list[Incoming]) -> None:
    for document in incoming:
        document.content.close()


async def _multipart(request: Request) -> list[Incoming]:
    body = _limited(request, DOCUMENT_LIMIT_BYTES + OVERHEAD_BYTES)
    try:
        form = await MultiPartParser(request.headers, body, max_files=FILES_MAX, max_fields=20, max_part_size=65536).parse()
    except MultiPartException as error:
        raise Problem(400, "bad-request", "The form cannot be read", error.message) from error
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile) and (value.filename or value.size)]
    if not files:
        detail = "There is no file in the form. With curl: -F file=@notes.md"
        raise Problem(400, "no-file", "There is no document in the request", detail)
    incoming = [Incoming(*_called(file.filename, file.content_type), file.file) for file in files]
    if any((file.size or 0) > DOCUMENT_LIMIT_BYTES for file in files):
        close(incoming)
        raise _too_large()
    return incoming


async def _json(request: Request) -> list[Incoming]:
    raw = b"".join([chunk async for chunk in _limited(request, DOCUMENT_LIMIT_BYTES * 4 // 3 + OVERHEAD_BYTES)])
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Problem(400, "bad-request", "The JSON cannot be read", str(error)) from error
    body = body if isinstance(body, dict) else {}
    name, text, encoded, declared = (body.get(key) for key in ("name", "text", "content_base64", "content_type"))
    good = isinstance(name, str) and name.strip() and isinstance(text, str) != isinstance(encoded, str)
    if not good or not isinstance(declared, (str, type(None))):
        detail = 'Give "name" and either "text" or "content_base64", all of them text; "content_type" if you like.'
        raise Problem(422, "bad-request", "The document is not described as it should be", detail)
    try:
        content = text.encode("utf-8", "replace") if isinstance(text, str) else base64.b64decode(str(encoded), validate=True)
    except binascii.Error as error:
        raise Problem(422, "bad-request", "content_base64 is not base64", str(error)) from error
    if len(content) > DOCUMENT_LIMIT_BYTES:
        raise _too_large()
    return [Incoming(*_called(name, declared), io.BytesIO(content))]


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    declared = request.headers.get("content-length", "0")
    refused = declared.isdigit() and int(declared) > limit
    if refused and "100-continue" in request.headers.get("expect", "").lower():
        raise _too_large()  # it waits for our word before it sends, and this is the word
    size, more = 0, True
    while more and not refused:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        size += len(chunk)
        refused = size > limit
        if not refused:
            yield chunk
    if refused:
        if more:
            await _drop_the_rest(request)
        raise _too_large()


async def _drop_the_rest(request: Request) -> None:
    async def drop() -> None:
        dropped = 0
        while dropped < DROPPED_BYTES:
            message = await request.receive()
            dropped += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return

    try:
        await asyncio.wait_for(drop(), DROPPING_SECONDS)
    except asyncio.TimeoutError:
        pass


def _too_large() -> Problem:
    detail = f"A document may have {DOCUMENT_LIMIT_BYTES // 1024**2} MB at most. Split it."
    return Problem(413, "document-too-large", "The document is too large", detail)


def _called(name: object, declared: object) -> tuple[str, str]:
    """A name is a label and never a path; the type is what was declared, or what the name suggests."""
    label = "".join(letter for letter in str(name or "") if letter.isprintable()).strip()[-255:] or "untitled"
    kind = str(declared or "").split(";")[0].strip().lower()
    if "/" not in kind or not kind.isascii() or not kind.isprintable() or kind == "application/octet-stream":
        kind = mimetypes.guess_type(label)[0] or "application/octet-stream"
    return label, kind[:127]
