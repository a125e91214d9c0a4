"""The HTTP side: an upload comes as an event, its bytes from the library, its passages go into the outbox. See openapi.yaml."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator
from typing import IO

import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import faults, problem, sandbox
from .document import Unreadable
from .migrate import migrate
from .outbox import Outbox
from .problem import Problem

DOCUMENT_LIMIT_BYTES = 20 * 1024 * 1024
PARSERS = 2  # documents that are read at the same time: each may take a core and hundreds of megabytes
FETCH_SECONDS = 60
# With the pauses between them half an hour: longer than the library is ever away. Motet itself goes on for 20, so that the
# last word is ours, and the library hears of it.
ATTEMPTS = 15

log = logging.getLogger("parser")


async def uploaded(request: Request) -> Response:
    """204 once the passages, or why there are none, are in the outbox; what comes again is recognised there."""
    state = request.app.state
    upload, trace = await request.json(), request.headers.get("traceparent", "")
    try:
        if not await asyncio.to_thread(state.outbox.has, upload):
            async with state.parsers:
                await _read(request, upload, trace)
    except Unreadable as error:
        log.info("refused %s %r: %s: %s", upload["document"], upload["name"], error.title, error.detail)
        await asyncio.to_thread(state.outbox.failure, upload, f"{error.title}: {error.detail}", trace)
        raise Problem(error.status, error.kind, error.title, error.detail) from error
    return Response(status_code=204)


async def _read(request: Request, upload: dict, trace: str) -> None:
    began, attempt = time.monotonic(), int(request.headers.get("ce-motetattempt", "1"))
    if attempt > ATTEMPTS:
        detail = f"Each of {ATTEMPTS} attempts to read it was broken off. The log of the parser says more."
        raise Unreadable("given-up", "The document could not be read", detail)
    with tempfile.TemporaryFile(prefix="parser-") as body:
        try:
            there = await asyncio.wait_for(_fetch(request.app.state, upload["document"], body, trace), FETCH_SECONDS)
        except (httpx.HTTPError, asyncio.TimeoutError) as error:
            if attempt == ATTEMPTS:
                detail = f"The library did not give it to the parser in {ATTEMPTS} attempts: {error or 'it takes too long'}."
                raise Unreadable("given-up", "The document could not be fetched", detail) from error
            detail = f"The library does not give the document: {error or type(error).__name__}. It is tried again."
            raise Problem(503, "no-library", "The document cannot be fetched now", detail) from error
        if not there:
            log.info("%s was deleted before it was read", upload["document"])
            return
        parsed = await sandbox.parse(body, upload["name"], upload["contentType"])
    await asyncio.to_thread(request.app.state.outbox.passages, upload, parsed, trace)
    took = (time.monotonic() - began) * 1000
    log.info("read %s %r, %d passages of %s in %.0f ms", upload["document"], upload["name"], len(parsed["passages"]), parsed["format"], took)  # type: ignore[arg-type]  # fmt: skip


async def _fetch(state, document: str, body: IO[bytes], trace: str) -> bool:  # noqa: ANN001
    """Writes the document's bytes into a file, up to the limit; False when it is not there any more."""
    headers = {"traceparent": trace} if trace else {}
    async with state.library.stream("GET", f"/api/documents/{document}/content", headers=headers) as answer:
        if answer.status_code == 404:
            return False
        answer.raise_for_status()
        size = 0
        async for chunk in answer.aiter_bytes():
            size += len(chunk)
            if size > DOCUMENT_LIMIT_BYTES:
                detail = f"A document may have {DOCUMENT_LIMIT_BYTES // 1024**2} MB at most. Split it."
                raise Unreadable("document-too-large", "The document is too large", detail, 413)
            body.write(chunk)
    body.flush()
    body.seek(0)
    return True


async def health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read this."""
    return Response(status_code=400)


def from_environment() -> Starlette:
    given = [os.environ.get(name, "") for name in ("DATABASE_PATH", "LIBRARY_URL")]
    if not all(given):
        raise SystemExit("DATABASE_PATH and LIBRARY_URL have to be set; Motet sets them from `store` and `uses` in the definition")
    return create_app(*given)


def create_app(database: str, library_url: str) -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        migrate(database)  # the definition runs it beforehand; without Motet it is done here
        app.state.outbox, app.state.parsers = Outbox(database), asyncio.Semaphore(PARSERS)
        timeout = httpx.Timeout(FETCH_SECONDS, connect=5)
        async with httpx.AsyncClient(base_url=library_url, timeout=timeout, trust_env=False) as app.state.library:
            yield
        app.state.outbox.close()

    app = Starlette(
        routes=[Route("/on/document-uploaded", uploaded, methods=["POST"]), Route("/healthz", health), faults.ROUTE],
        middleware=[Middleware(faults.Faults)],
        lifespan=lifespan,
    )
    app.add_exception_handler(ClientDisconnect, _gone)
    problem.install(app)
    return app
