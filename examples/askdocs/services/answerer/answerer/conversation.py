"""One question, from the search to the answer, as a row of events.

Events: `citation` (a source, when it is first referred to; the n-th is what `[n]` means), `token` (a piece of the text),
`reset` (forget what came so far: a new answer begins, and why), `done` (the whole, once more).
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx

from . import extractive, llm
from .callees import Callees, Found, Hit, Unavailable
from .config import Model
from .history import new_id

log = logging.getLogger("answerer")
Event = tuple[str, dict]


class Conversation:
    """The state of one answer on its way."""

    def __init__(self, question: str, found: Found, callees: Callees, client: httpx.AsyncClient, model: Model | None) -> None:
        self.id = new_id(time.time())
        self.question, self.found, self.callees, self.client, self.model = question, found, callees, client, model
        self.cited: list[Hit] = []
        self.text = ""
        self.notices: list[str] = ["The search could go by words only."] if found.degraded else []

    async def events(self) -> AsyncIterator[Event]:
        if self.model and self.found.hits:
            try:
                async with aclosing(self._from_model(self.model)) as events:
                    async for event in events:
                        yield event
                yield "done", self._whole("llm")
                return
            except Unavailable as unavailable:
                log.warning("%s: %s; answering with sentences of the documents", self.id, unavailable)
                self.notices.append(f"The answer consists of sentences of the documents, because {unavailable}.")
                if self.text or self.cited:
                    self.text, self.cited = "", []
                    yield "reset", {"reason": str(unavailable)}
        async for event in self._extractive():
            yield event
        yield "done", self._whole("extractive")

    async def _from_model(self, model: Model) -> AsyncIterator[Event]:
        new: list[Hit] = []

        def cite(passage: int) -> int:
            hit = self.found.hits[passage]
            if hit not in self.cited:
                self.cited.append(hit)
                new.append(hit)
            return self.cited.index(hit) + 1

        citations = llm.Citations(len(self.found.hits), cite)
        words = llm.answer(self.client, model, self.question, self.found.hits, self.callees.trace)
        async with aclosing(words):
            async for word in words:
                for event in self._said(citations.feed(word), new):
                    yield event
        for event in self._said(citations.finish(), new):
            yield event

    def _said(self, text: str, new: list[Hit]) -> list[Event]:
        events: list[Event] = [("citation", hit.citation()) for hit in new]
        new.clear()
        if text:
            self.text += text
            events.append(("token", {"text": text}))
        return events

    async def _extractive(self) -> AsyncIterator[Event]:
        hits = self.found.hits
        sentences = extractive.candidates(hits)
        quotes = extractive.choose(self.question, hits, sentences, await self._vectors(sentences)) if sentences else []
        if not quotes:
            for event in self._said(extractive.NOTHING, []):
                yield event
        for quote in quotes:
            new = [] if quote.hit in self.cited else [quote.hit]
            self.cited += new
            said = f"{' ' if self.text else ''}{quote.text} [{self.cited.index(quote.hit) + 1}]"
            for number, piece in enumerate(re.findall(r"\s*\S+", said)):
                for event in self._said(piece, new if number == 0 else []):
                    yield event

    async def _vectors(self, sentences: list) -> list[list[float]] | None:
        try:
            return await self.callees.embed(extractive.to_embed(self.question, sentences))
        except Unavailable as unavailable:
            log.warning("%s: %s; choosing by words only", self.id, unavailable)
            self.notices.append("The sentences were chosen by their words only.")
            return None

    def _whole(self, mode: str) -> dict:
        return {
            "id": self.id,
            "answer": self.text,
            "citations": [hit.citation() for hit in self.cited],
            "mode": mode,
            "model": self.model.name if self.model and mode == "llm" else None,
            "degraded": bool(self.notices),
            "notice": " ".join(self.notices) or None,
        }
