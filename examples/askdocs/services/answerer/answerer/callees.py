"""Index and embedder, as the answerer calls them."""

from __future__ import annotations

import json
from dataclasses import dataclass

import httpx

SEARCH_SECONDS = 10
EMBED_SECONDS = 8
ANSWER_LIMIT_BYTES = 8 * 1024 * 1024
HITS = 8
QUERY_BYTES_MAX = 4000
_PASSED_ON = ("traceparent", "tracestate", "baggage")


class Unavailable(Exception):
    """A callee did not do its work, and how."""


@dataclass(frozen=True)
class Hit:
    """A passage that the index found, as it is cited."""

    document: str
    title: str
    passage: str
    text: str
    heading: str | None
    page: int | None
    ordinal: int
    score: float

    def citation(self) -> dict[str, object]:
        shown = ("document", "title", "passage", "text", "heading", "page", "score")
        return {name: getattr(self, name) for name in shown}


@dataclass(frozen=True)
class Found:
    hits: list[Hit]
    degraded: bool  # the index could search by words only


class Callees:
    """Both edges, for one request: its trace context travels with every call."""

    def __init__(self, client: httpx.AsyncClient, index_url: str, embedder_url: str, headers: httpx.Headers) -> None:
        self._client, self._index_url, self._embedder_url = client, index_url, embedder_url
        self.trace = {name: headers[name] for name in _PASSED_ON if name in headers}

    async def search(self, question: str) -> Found:
        query = question.encode()[:QUERY_BYTES_MAX].decode("utf-8", "ignore")
        asked = {"query": query, "limit": HITS, "mode": "hybrid"}
        answer = await self._post("index", f"{self._index_url}/search", asked, SEARCH_SECONDS)
        try:
            return Found([_hit(hit) for hit in answer["hits"]], bool(answer.get("degraded", False)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable(f"the index's answer is not what its contract says ({error!r})") from error

    async def embed(self, texts: list[str]) -> list[list[float]]:
        """One vector of length 1 per text."""
        answer = await self._post("embedder", f"{self._embedder_url}/embed", {"inputs": texts}, EMBED_SECONDS)
        vectors = answer.get("vectors") if isinstance(answer, dict) else None
        good = isinstance(vectors, list) and len(vectors) == len(texts) and len({len(vector) for vector in vectors}) == 1
        if not good:
            raise Unavailable("the embedder's answer is not what its contract says")
        return vectors  # type: ignore[return-value]

    async def _post(self, callee: str, url: str, body: object, seconds: float):  # noqa: ANN202
        try:
            timeout = httpx.Timeout(seconds, connect=2)
            async with self._client.stream("POST", url, json=body, headers=self.trace, timeout=timeout) as response:
                raw = bytearray()
                async for chunk in response.aiter_bytes():
                    raw += chunk
                    if len(raw) > ANSWER_LIMIT_BYTES:
                        raise Unavailable(f"the {callee}'s answer is larger than {ANSWER_LIMIT_BYTES // 1024**2} MB")
        except httpx.HTTPError as error:
            raise Unavailable(f"the {callee} cannot be reached ({type(error).__name__}: {error})") from error
        if not response.is_success:
            raise Unavailable(f"the {callee} answered {response.status_code}")
        try:
            return json.loads(raw)
        except ValueError as error:
            raise Unavailable(f"the {callee}'s answer is no JSON") from error


def _hit(found: dict) -> Hit:
    page, heading = found.get("page"), found.get("heading")
    if not isinstance(found["text"], str) or not found["text"].strip():
        raise ValueError("a passage without text")
    return Hit(
        str(found["document"]), str(found["title"]), str(found["passage"]), found["text"],
        None if heading is None else str(heading), None if page is None else int(page),
        int(found.get("ordinal") or 0), float(found["score"]),
    )  # fmt: skip
