"""Parser and index, as the library calls them: what it sends, what it makes of the answer.

A failure is one of two things. `Refused`: the callee understood and said no; the same request would get the same answer.
`Unavailable`: anything else, from a refused connection to an answer that the contract does not know; worth another try.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator

import httpx

from .store import Document

PARSE_SECONDS = 90
INDEX_SECONDS = 600  # the index has every passage embedded before it answers
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024


class Refused(Exception):
    """No, and why."""


class Unavailable(Exception):
    """Not now, and why."""


async def parse(client: httpx.AsyncClient, url: str, document: Document, content: Iterator[bytes]) -> dict:
    headers = {"Content-Type": document.content_type, "Content-Length": str(document.bytes), **_trace(document)}
    answer = await _call(
        client, "parser", "POST", f"{url}/parse", PARSE_SECONDS,
        params={"filename": document.name}, content=_stream(content), headers=headers,
    )  # fmt: skip
    if not isinstance(answer, dict) or not isinstance(answer.get("passages"), list) or not answer["passages"]:
        raise Unavailable("the parser's answer holds no passages")
    return answer


async def index(client: httpx.AsyncClient, url: str, document: Document, parsed: dict) -> None:
    """Puts the passages into the index; doing it twice is the same as doing it once."""
    body = {"title": parsed.get("title") or document.name, "source": document.name, "passages": parsed["passages"]}
    await _call(client, "index", "PUT", f"{url}/documents/{document.id}", INDEX_SECONDS, json=body, headers=_trace(document))


async def forget(client: httpx.AsyncClient, url: str, document: Document) -> None:
    """Takes the document out of the index; one that is not there is out of it already."""
    await _call(client, "index", "DELETE", f"{url}/documents/{document.id}", 30, allowed=(404,))


async def _call(
    client: httpx.AsyncClient, callee: str, method: str, url: str, seconds: float, allowed: tuple[int, ...] = (), **rest: object
) -> object:
    try:
        timeout = httpx.Timeout(seconds, connect=5)
        async with client.stream(method, url, timeout=timeout, **rest) as response:  # type: ignore[arg-type]
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > ANSWER_LIMIT_BYTES:
                    raise Unavailable(f"the {callee}'s answer is larger than {ANSWER_LIMIT_BYTES // 1024**2} MB")
    except httpx.HTTPError as error:
        raise Unavailable(f"the {callee} cannot be reached ({type(error).__name__}: {error})") from error
    if response.is_success or response.status_code in allowed:
        return _json(bytes(body))
    said = _json(bytes(body))
    detail = said.get("detail") or said.get("title") if isinstance(said, dict) else None
    if response.status_code in (400, 413, 415, 422):
        title = f"{said['title']}: " if isinstance(said, dict) and said.get("detail") and said.get("title") else ""
        raise Refused(f"{title}{detail}" if detail else f"the {callee} refused it with {response.status_code}")
    raise Unavailable(f"the {callee} answered {response.status_code}" + (f" ({detail})" if detail else ""))


def _json(body: bytes) -> object:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


async def _stream(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    for part in content:
        yield part


def _trace(document: Document) -> dict[str, str]:
    """The work belongs to the request that brought the document, however much later it happens."""
    return {"traceparent": document.traceparent} if document.traceparent else {}
