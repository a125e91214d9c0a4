"""The way of a document into the index: received, parsing, indexing, ready; or failed, with the reason.

The store is the queue. Each step can be done again without harm (the parser keeps nothing, the index replaces), so being killed
anywhere costs at most one step, and what is unfinished at start is simply due. Nothing here is remembered only in memory but
which documents are in hand just now.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time

import httpx

from . import callees
from .callees import Refused, Unavailable
from .config import Config
from .events import Changes
from .store import Document, Store

WORKERS = 2
ATTEMPTS = 8
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0

log = logging.getLogger("library")


class Ingestion:
    def __init__(self, config: Config, store: Store, changes: Changes, client: httpx.AsyncClient) -> None:
        self.config, self.store, self.changes, self.client = config, store, changes, client
        self._in_hand: set[str] = set()
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There may be something to do."""
        self._news.set()

    async def run(self) -> None:
        """Works until cancelled; a defect in one document's handling ends that attempt, never the worker."""
        await asyncio.gather(*(self._worker() for _ in range(WORKERS)))

    async def _worker(self) -> None:
        while True:
            self._news.clear()
            document = await asyncio.to_thread(self.store.due, time.time(), set(self._in_hand))
            if document is None or document.id in self._in_hand:
                await self._wait()
                continue
            self._in_hand.add(document.id)
            try:
                await self._step(document)
            except Exception as error:  # noqa: BLE001
                log.exception("working on %s broke", document.id)
                await self._put_off(document, f"a defect in the library: {error!r}")
            finally:
                self._in_hand.discard(document.id)
                self.wake()

    async def _wait(self) -> None:
        """Until there is news, or the next document is due."""
        due_at = await asyncio.to_thread(self.store.next_due_at, set(self._in_hand))
        pause = 60.0 if due_at is None else min(60.0, max(0.01, due_at - time.time()))
        try:
            await asyncio.wait_for(self._news.wait(), pause)
        except asyncio.TimeoutError:
            pass

    async def _step(self, document: Document) -> None:
        try:
            if document.state == "deleting":
                await self._delete(document)
            else:
                await self._ingest(document)
        except Refused as refused:
            await self._fail(document, str(refused))
        except Unavailable as unavailable:
            await self._put_off(document, str(unavailable))

    async def _ingest(self, document: Document) -> None:
        began = time.monotonic()
        attempt = document.attempts + 1
        if attempt > ATTEMPTS:  # it was begun so often and never came to an end: it may be what kills this service
            return await self._fail(document, f"given up after {ATTEMPTS} attempts that were all broken off")
        if not await self._move(document.id, ("received", "parsing", "indexing"), state="parsing", attempts=attempt):
            return
        parsed = await callees.parse(self.client, self.config.parser_url, document, self.store.parts(document.id))
        title = str(parsed.get("title") or document.name)
        if not await self._move(document.id, ("parsing",), state="indexing", title=title, passages=len(parsed["passages"])):
            return
        await callees.index(self.client, self.config.index_url, document, parsed)
        if await self._move(document.id, ("indexing",), state="ready", reason=None, attempts=0):
            seconds = time.monotonic() - began
            log.info("%s %r is ready: %d passages in %.1f s", document.id, document.name, len(parsed["passages"]), seconds)
        elif await asyncio.to_thread(self.store.get, document.id) is None:
            await callees.forget(self.client, self.config.index_url, document)  # deleted while it was being put in

    async def _delete(self, document: Document) -> None:
        await callees.forget(self.client, self.config.index_url, document)
        await asyncio.to_thread(self.store.remove, document.id)
        log.info("%s %r is deleted", document.id, document.name)

    async def _put_off(self, document: Document, why: str) -> None:
        """Later again; a document that was tried often enough has failed. A deletion is never given up."""
        now = await asyncio.to_thread(self.store.get, document.id)
        attempts = max(1, now.attempts if now else document.attempts + 1)
        if document.state != "deleting" and attempts >= ATTEMPTS:
            return await self._fail(document, f"given up after {attempts} attempts: {why}")
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 10)) * random.uniform(0.8, 1.2)
        due_at = time.time() + pause
        log.warning("%s %r: attempt %d: %s; again in %.1f s", document.id, document.name, attempts, why, pause)
        if document.state == "deleting":
            await asyncio.to_thread(self.store.move, document.id, ("deleting",), due_at=due_at, attempts=attempts)
        else:
            await self._move(document.id, ("parsing", "indexing"), state="received", reason=why, due_at=due_at)

    async def _fail(self, document: Document, why: str) -> None:
        log.warning("%s %r failed: %s", document.id, document.name, why)
        await self._move(document.id, ("received", "parsing", "indexing"), state="failed", reason=why)

    async def _move(self, id: str, from_states: tuple[str, ...], **changes: object) -> Document | None:
        moved = await asyncio.to_thread(self.store.move, id, from_states, **changes)
        if moved:
            self.changes.tell("document", moved.public())
        return moved
