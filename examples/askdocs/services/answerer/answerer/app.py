"""The HTTP side: a question in, an answer out, whole or as a stream. See openapi.yaml."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator

import httpx
from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from . import faults, problem
from .callees import Callees, Unavailable
from .config import Config
from .conversation import Conversation
from .history import History
from .migrate import migrate
from .problem import Problem
from .sentences import compounds

QUESTION_LETTERS_MAX = 2000
BODY_BYTES_MAX = 64 * 1024
BODY_SECONDS = 15
ANSWERING_MAX = 64
LIMIT_DEFAULT, LIMIT_MAX = 20, 200

log = logging.getLogger("answerer")


async def ask(request: Request) -> Response:
    state, asked_at = request.app.state, time.time()
    question = await _question(request)
    if state.answering >= ANSWERING_MAX:
        raise Problem(
            429, "busy", "The answerer is busy", f"{state.answering} questions are being answered already.", retry_after=2
        )
    state.answering += 1
    try:
        answer = _answer(request, question, asked_at)
        first = await _unless_gone(request, anext(answer))  # whatever is refused, is refused before the stream begins
        if "text/event-stream" in request.headers.get("accept", ""):
            state.answering += 1  # the stream takes it over
            return Stream(state, first, answer)
        return JSONResponse(await _unless_gone(request, _last(first, answer)))
    finally:
        state.answering -= 1


async def _answer(request: Request, question: str, asked_at: float) -> AsyncGenerator[tuple[str, dict], None]:
    """The events of one answer; the last of them is kept in the history."""
    state, config = request.app.state, request.app.state.config
    callees = Callees(state.client, config.index_url, config.embedder_url, httpx.Headers(request.headers.raw))
    try:
        found = await callees.search(" ".join([question, *compounds(question)]))
    except Unavailable as unavailable:
        log.warning("the search failed: %s", unavailable)
        detail = f"The question cannot be answered just now: {unavailable}. Ask again in a moment."
        raise Problem(503, "search-unavailable", "The search is not available", detail, retry_after=2) from unavailable
    conversation = Conversation(question, found, callees, state.client, config.model)
    async with contextlib.aclosing(conversation.events()) as events:
        async for event, data in events:
            if event == "done":
                await _keep(state.history, asked_at, question, data)
            yield event, data


async def _keep(history: History, asked_at: float, question: str, answer: dict) -> None:
    milliseconds = (time.time() - asked_at) * 1000
    cited = len(answer["citations"])
    log.info("%s answered in %.0f ms, %s, %d citations", answer["id"], milliseconds, answer["mode"], cited)
    try:
        await asyncio.to_thread(history.add, asked_at, question, answer)
    except Exception:  # noqa: BLE001  an answer is not lost because it cannot be kept
        log.exception("%s could not be kept in the history", answer["id"])


class Stream(StreamingResponse):
    """Server-sent events. When the client goes, this is cancelled, and with it whatever works for the answer."""

    def __init__(self, state: State, first: tuple[str, dict], rest: AsyncGenerator[tuple[str, dict], None]) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(self._events(first, rest), headers=headers, media_type="text/event-stream")
        self._state, self._rest = state, rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._state.answering -= 1
            await self._rest.aclose()

    async def _events(self, first: tuple[str, dict], rest: AsyncGenerator[tuple[str, dict], None]) -> AsyncIterator[bytes]:
        try:
            yield _sse(*first)
            async for event, data in rest:
                yield _sse(event, data)
        except Exception as error:  # noqa: BLE001  the status line has gone out long ago: the stream has to say it
            log.exception("an answer broke off")
            yield _sse("error", Problem(500, "defect", "The answer broke off", f"{type(error).__name__}. Ask again.").body())


def _sse(event: str, data: dict) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


async def _last(first: tuple[str, dict], rest: AsyncGenerator[tuple[str, dict], None]) -> dict:
    data = first[1]
    async with contextlib.aclosing(rest):
        async for _, data in rest:
            pass
    return data


async def _unless_gone(request: Request, work):  # noqa: ANN001, ANN202
    """The result of the work; when the client goes first, the work is cancelled."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, watch = asyncio.ensure_future(_awaited(work)), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _awaited(work):  # noqa: ANN001, ANN202
    return await work


async def _question(request: Request) -> str:
    try:
        body = json.loads(await asyncio.wait_for(_body(request), BODY_SECONDS))
    except asyncio.TimeoutError:
        raise Problem(408, "too-slow", "The question arrives too slowly", f"It took more than {BODY_SECONDS} s.") from None
    except ValueError as error:
        raise Problem(400, "bad-request", "The question cannot be read", f"It is no JSON: {error}") from error
    question = body.get("question") if isinstance(body, dict) else None
    if not isinstance(question, str) or not question.strip():
        raise Problem(422, "empty-question", "There is no question", 'Send {"question": "…"} with words in it.')
    question = " ".join(question.encode("utf-8", "replace").decode().split())
    if len(question) > QUESTION_LETTERS_MAX:
        detail = f"It has {len(question)} letters; {QUESTION_LETTERS_MAX} are the limit."
        raise Problem(422, "question-too-long", "The question is too long", detail)
    return question


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Problem(413, "question-too-long", "The question is too long", f"More than {BODY_BYTES_MAX // 1024} kB.")
    return bytes(body)


async def history(request: Request) -> JSONResponse:
    try:
        limit = int(request.query_params.get("limit", LIMIT_DEFAULT))
    except ValueError:
        limit = 0
    if not 1 <= limit <= LIMIT_MAX:
        raise Problem(400, "bad-request", "The limit is not understood", f"limit is a number from 1 to {LIMIT_MAX}.")
    questions = await asyncio.to_thread(request.app.state.history.page, limit + 1, request.query_params.get("before"))
    following = questions[limit - 1]["id"] if len(questions) > limit else None
    return JSONResponse({"questions": questions[:limit], "next": following})


async def one(request: Request) -> JSONResponse:
    id = request.path_params["id"]
    found = await asyncio.to_thread(request.app.state.history.get, id)
    if found is None:
        raise Problem(404, "no-such-question", "There is no such question", f"{id!r} was never asked, or long ago.")
    return JSONResponse(found)


async def health(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _gone(_: Request, __: Exception) -> Response:
    """Nobody is there to read this."""
    return Response(status_code=400)


def create_app(config: Config, transport: httpx.AsyncBaseTransport | None = None) -> Starlette:
    """The service; `transport` stands in for the network in tests."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        migrate(config.database)  # the definition runs it beforehand; without Motet it is done here
        app.state.history = History(config.database)
        limits = httpx.Limits(max_connections=4 * ANSWERING_MAX, max_keepalive_connections=32)
        async with httpx.AsyncClient(transport=transport, limits=limits, trust_env=False) as app.state.client:
            yield
        app.state.history.close()

    routes = [
        Route("/api/questions", history, methods=["GET"]),
        Route("/api/questions", ask, methods=["POST"]),
        Route("/api/questions/{id}", one),
        Route("/healthz", health),
        faults.ROUTE,
    ]
    app = Starlette(routes=routes, middleware=[Middleware(faults.Faults)], lifespan=lifespan)
    app.state.config = config
    app.state.answering = 0
    app.add_exception_handler(ClientDisconnect, _gone)
    problem.install(app)
    return app
