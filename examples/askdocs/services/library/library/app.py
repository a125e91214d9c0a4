"""The HTTP side: documents in, their states out, and what the others say of them. See openapi.yaml."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from . import corpus, faults, intake, problem, progress
from .changes import Changes
from .config import Config
from .migrate import migrate
from .problem import Problem
from .store import Document, Store

LIMIT_DEFAULT, LIMIT_MAX = 100, 500
UPLOADS_MAX = 32
# Shown in the page; anything else is only ever downloaded. A document comes from anywhere: it must not run scripts here.
SHOWN = {"application/pdf": "application/pdf", "text/plain": "text/plain; charset=utf-8", "text/markdown": "text/plain; charset=utf-8", "text/html": "text/html"}  # fmt: skip

log = logging.getLogger("library")


async def add(request: Request) -> Response:
    """202 for a new document, 200 for one that is here already; it is on disk before either is said."""
    state = request.app.state
    if state.uploads >= UPLOADS_MAX:
        raise Problem(429, "busy", "The library is busy", f"{state.uploads} documents are arriving already.", retry_after=2)
    state.uploads += 1
    try:
        incoming = await intake.receive(request)
        try:
            kept = [await _keep(request, document) for document in incoming]
        finally:
            intake.close(incoming)
    finally:
        state.uploads -= 1
    status = 202 if any(new for _, new in kept) else 200
    if len(kept) == 1:
        document = kept[0][0]
        return JSONResponse(document.public(), status, {"Location": f"/api/documents/{document.id}"})
    return JSONResponse({"documents": [document.public() for document, _ in kept]}, status)


async def _keep(request: Request, incoming: intake.Incoming) -> tuple[Document, bool]:
    state = request.app.state
    document, new = await asyncio.to_thread(
        state.store.add, incoming.name, incoming.content_type, incoming.content, _trace(request)
    )
    if not new and document.state == "failed":  # who adds it once more wants it tried once more
        again = await asyncio.to_thread(state.store.again, document.id, _trace(request))
        document, new = again or document, True
    if new:
        log.info("%s %r received, %d bytes", document.id, document.name, document.bytes)
        state.changes.tell("document", document.public())
    return document, new


def _trace(request: Request) -> str | None:
    """The work belongs to the request that brought the document, however much later it happens."""
    return request.headers.get("traceparent", "")[:128] or None


async def page(request: Request) -> JSONResponse:
    try:
        limit = int(request.query_params.get("limit", LIMIT_DEFAULT))
    except ValueError:
        limit = 0
    if not 1 <= limit <= LIMIT_MAX:
        raise Problem(400, "bad-request", "The limit is not understood", f"limit is a number from 1 to {LIMIT_MAX}.")
    after = request.query_params.get("after")
    documents, total = await asyncio.to_thread(request.app.state.store.page, limit + 1, after)
    more = len(documents) > limit
    documents = documents[:limit]
    following = documents[-1].id if more else None
    return JSONResponse({"documents": [document.public() for document in documents], "next": following, "total": total})


async def one(request: Request) -> JSONResponse:
    return JSONResponse((await _found(request)).public())


async def delete(request: Request) -> Response:
    """Gone at once for everybody who asks; the others hear of it by an event."""
    document = await _found(request)
    await asyncio.to_thread(request.app.state.store.remove, document.id)
    request.app.state.changes.tell("removed", {"id": document.id})
    return Response(status_code=204)


async def retry(request: Request) -> JSONResponse:
    document = await _found(request)
    again = await asyncio.to_thread(request.app.state.store.again, document.id, _trace(request))
    if again is None:
        detail = f"It is {document.state}, and has got further within the last ten minutes. Wait for it to be ready or to fail."
        raise Problem(409, "in-progress", "The document is being worked on", detail)
    request.app.state.changes.tell("document", again.public())
    return JSONResponse(again.public(), 202)


async def learn(request: Request) -> Response:
    """A batch of events, in the batched format of CloudEvents, from whoever works on documents."""
    heard = [(event["type"], event["data"]) for event in await request.json()]
    changed = await asyncio.to_thread(request.app.state.store.learn, heard, progress.after)
    for document in changed:
        request.app.state.changes.tell("document", document.public())
        if document.state == "ready":
            log.info("%s %r is ready: %d passages", document.id, document.name, document.passages)
        elif document.state == "failed":
            log.warning("%s %r failed: %s", document.id, document.name, document.reason)
    return Response(status_code=204)


async def content(request: Request) -> Response:
    """The document as it came. Whatever it holds, it runs no script under this origin."""
    document = await _found(request)
    shown = SHOWN.get(document.content_type)
    headers = {
        "Content-Length": str(document.bytes),
        "Content-Disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(document.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    if shown != "application/pdf":
        headers["Content-Security-Policy"] = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    parts = request.app.state.store.parts(document.id)
    return StreamingResponse(parts, headers=headers, media_type=shown or "application/octet-stream")


async def events(request: Request) -> StreamingResponse:
    stream = request.app.state.changes.listen()
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, headers=headers, media_type="text/event-stream")


async def health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read this."""
    return Response(status_code=400)


async def _found(request: Request) -> Document:
    id = request.path_params["id"]
    document = await asyncio.to_thread(request.app.state.store.get, id)
    if document is None:
        raise Problem(404, "no-such-document", "There is no such document", f"The library knows no {id!r}.")
    return document


def create_app(config: Config) -> Starlette:
    """The service."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        migrate(config.database)  # the definition runs it beforehand; without Motet it is done here
        app.state.store = Store(config.database)
        loading = asyncio.create_task(_load(app, config))
        yield
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        app.state.store.close()

    routes = [
        Route("/api/documents", page, methods=["GET"]),
        Route("/api/documents", add, methods=["POST"]),
        Route("/api/documents/events", events),
        Route("/api/documents/{id}", one, methods=["GET"]),
        Route("/api/documents/{id}", delete, methods=["DELETE"]),
        Route("/api/documents/{id}/retry", retry, methods=["POST"]),
        Route("/api/documents/{id}/content", content),
        Route("/on/progress", learn, methods=["POST"]),
        Route("/healthz", health),
        faults.ROUTE,
    ]
    app = Starlette(routes=routes, middleware=[Middleware(faults.Faults)], lifespan=lifespan)
    app.state.changes = Changes()
    app.state.uploads = 0
    app.add_exception_handler(ClientDisconnect, _gone)
    problem.install(app)
    return app


async def _load(app: Starlette, config: Config) -> None:
    try:
        await asyncio.to_thread(corpus.load, app.state.store, config.corpus)
    except Exception:  # noqa: BLE001  a library without its first documents is still a library
        log.exception("the corpus could not be loaded")
