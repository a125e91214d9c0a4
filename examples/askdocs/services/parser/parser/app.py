"""The HTTP side: `POST /parse` takes a document's bytes and gives its passages. See openapi.yaml."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from email.message import Message
from typing import IO

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import faults, problem, sandbox
from .document import Unreadable
from .problem import Problem

DOCUMENT_LIMIT_BYTES = 20 * 1024 * 1024
PARSERS = 2  # documents that are read at the same time: each may take a core and hundreds of megabytes
WAITING = 4  # documents that may wait for one of them
UPLOAD_SECONDS = 60

log = logging.getLogger("parser")


class Slots:
    """Room for so many documents; who finds none is told at once to come back."""

    def __init__(self) -> None:
        self.taken = 0
        self.parsers = asyncio.Semaphore(PARSERS)

    async def __aenter__(self) -> None:
        if self.taken >= PARSERS + WAITING:
            detail = f"{self.taken} documents are being read already. Try again in a moment."
            raise Problem(429, "busy", "The parser is busy", detail, retry_after=2)
        self.taken += 1

    async def __aexit__(self, *_: object) -> None:
        self.taken -= 1


async def parse(request: Request) -> JSONResponse:
    began = time.monotonic()
    filename = _filename(request)
    content_type = request.headers.get("content-type", "")
    async with request.app.state.slots:
        with tempfile.TemporaryFile(prefix="parser-") as body:
            size = await _receive(request, body)
            try:
                async with request.app.state.slots.parsers:
                    parsed = await sandbox.parse(body, filename, content_type)
            except Unreadable as error:
                log.info("refused %r, %d bytes: %s: %s", filename, size, error.title, error.detail)
                raise Problem(error.status, error.kind, error.title, error.detail) from error
    log.info(
        "read %r, %d bytes of %s, %d passages in %.0f ms",
        filename, size, parsed["format"], len(parsed["passages"]), (time.monotonic() - began) * 1000,  # type: ignore[arg-type]
    )  # fmt: skip
    return JSONResponse(parsed)


async def _receive(request: Request, body: IO[bytes]) -> int:
    """Writes the request's body to a file, up to the limit and not for ever."""
    try:
        size = await asyncio.wait_for(_copy(request, body), UPLOAD_SECONDS)
    except asyncio.TimeoutError:
        detail = f"The document did not arrive within {UPLOAD_SECONDS} seconds."
        raise Problem(408, "too-slow", "The document arrives too slowly", detail) from None
    body.flush()
    body.seek(0)
    return size


async def _copy(request: Request, body: IO[bytes]) -> int:
    too_large = Problem(
        413,
        "document-too-large",
        "The document is too large",
        f"A document may have {DOCUMENT_LIMIT_BYTES // 1024**2} MB at most. Split it.",
    )
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > DOCUMENT_LIMIT_BYTES:
        raise too_large
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > DOCUMENT_LIMIT_BYTES:
            raise too_large
        body.write(chunk)
    return size


def _filename(request: Request) -> str:
    message = Message()
    message["Content-Disposition"] = request.headers.get("content-disposition", "attachment")
    name = request.query_params.get("filename") or message.get_filename() or ""
    return "".join(letter for letter in name if letter.isprintable())[:255]


async def health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read this."""
    return Response(status_code=400)


def create_app() -> Starlette:
    app = Starlette(
        routes=[Route("/parse", parse, methods=["POST"]), Route("/healthz", health), faults.ROUTE],
        middleware=[Middleware(faults.Faults)],
    )
    app.state.slots = Slots()
    app.add_exception_handler(ClientDisconnect, _gone)
    problem.install(app)
    return app
