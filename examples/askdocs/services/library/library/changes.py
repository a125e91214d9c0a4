"""What has changed, for whoever looks on: each change goes to every listener, and a listener that cannot keep up is let go.

The store is the truth; a listener that comes back reads the list again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from .problem import Problem

LISTENERS_MAX = 200
WAITING_MAX = 500
SILENCE_SECONDS = 15


class Changes:
    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self._closed = False

    def tell(self, event: str, data: object) -> None:
        message = f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
        for listener in list(self._listeners):
            if listener.qsize() >= WAITING_MAX:
                self._let_go(listener)
            else:
                listener.put_nowait(message)

    def listen(self) -> AsyncIterator[bytes]:
        """A stream of server-sent events, from now on."""
        if len(self._listeners) >= LISTENERS_MAX:
            raise Problem(503, "too-many-listeners", "Too many listeners", f"{LISTENERS_MAX} are listening already.", 10)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_MAX + 1)
        self._listeners.add(queue)
        return self._stream(queue)

    async def _stream(self, queue: asyncio.Queue[bytes | None]) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 2000\n\n"
            while not self._closed:
                try:
                    message = await asyncio.wait_for(queue.get(), SILENCE_SECONDS)
                except asyncio.TimeoutError:
                    message = b": still here\n\n"  # so that a listener that has gone is noticed
                if message is None:
                    return
                yield message
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """Ends all streams, so that the service can stop."""
        self._closed = True
        for listener in list(self._listeners):
            self._let_go(listener)

    def _let_go(self, listener: asyncio.Queue[bytes | None]) -> None:
        self._listeners.discard(listener)
        if not listener.full():
            listener.put_nowait(None)
