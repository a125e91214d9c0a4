"""Runs one worker process per document: under a deadline and a memory limit, and never more of them than there are slots.

Whatever the document does to its worker, the service goes on; and because the same document would do the same again,
the caller is told that it is the document's fault (4xx), not that it should try again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import IO

from .document import Unreadable

SECONDS = 60
MEMORY_BYTES = 768 * 1024 * 1024
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024


async def parse(body: IO[bytes], filename: str, content_type: str, seconds: int = SECONDS) -> dict[str, object]:
    """The passages of the document in `body`; raises `Unreadable`."""
    command = [sys.executable, "-m", "parser.worker", filename, content_type, str(seconds + 2), str(MEMORY_BYTES)]
    worker = await asyncio.create_subprocess_exec(
        *command, stdin=body, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        answer, log = await asyncio.wait_for(_collect(worker), seconds)
    except asyncio.TimeoutError:
        detail = f"It was not read within {seconds} seconds, so that reading it was given up."
        raise Unreadable("document-too-complex", "The document takes too long to read", detail) from None
    finally:
        if worker.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
            await worker.wait()
    return _result(answer, log, worker.returncode)


async def _collect(worker: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """Both outputs at once (a full pipe would stop the worker), the answer only up to its limit."""
    assert worker.stdout and worker.stderr

    async def read(stream: asyncio.StreamReader, limit: int) -> bytes:
        kept = bytearray()
        while chunk := await stream.read(65536):
            if len(kept) <= limit:
                kept += chunk
        return bytes(kept)

    answer, log = await asyncio.gather(read(worker.stdout, ANSWER_LIMIT_BYTES), read(worker.stderr, 65536))
    await worker.wait()
    return answer, log


def _result(answer: bytes, log: bytes, exit_code: int | None) -> dict[str, object]:
    try:
        found = json.loads(answer)
    except ValueError:
        found = {}
    if isinstance(found, dict) and "ok" in found:
        return found["ok"]
    if isinstance(found, dict) and "unreadable" in found:
        status, kind, title, detail = found["unreadable"]
        raise Unreadable(kind, title, detail, status)
    last = log.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {exit_code}"]
    if "memory" in found or "MemoryError" in last[0]:
        detail = f"Reading it needs more than {MEMORY_BYTES // 1024**2} MB of memory."
        raise Unreadable("document-too-complex", "The document takes too much memory to read", detail)
    detail = f"The reader gave up on it ({last[0][:200]})."
    raise Unreadable("broken-document", "The document cannot be read", detail)
