"""The library's memory: one SQLite file with the documents, their bytes and their states.

The bytes lie in the same file as the state: received is received, in one transaction, and a backup is one file. They lie in parts, so that
no document is ever whole in memory. Every method is one short transaction and blocks; callers on the event loop go through a thread.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from .migrate import connect

PART_BYTES = 256 * 1024
RESTING = ("ready", "failed")


@dataclass(frozen=True)
class Document:
    id: str
    name: str
    content_type: str
    bytes: int
    sha256: str
    state: str
    title: str | None
    reason: str | None
    passages: int | None
    attempts: int
    due_at: float
    received_at: float
    updated_at: float
    traceparent: str | None

    def public(self) -> dict[str, object]:
        """As the contract shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "title": self.title,
            "content_type": self.content_type,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "state": self.state,
            "reason": self.reason,
            "passages": self.passages,
            "attempts": self.attempts,
            "received_at": _iso(self.received_at),
            "updated_at": _iso(self.updated_at),
        }


class Store:
    def __init__(self, path: str) -> None:
        self._connection = connect(path)
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def add(self, name: str, content_type: str, content: IO[bytes], traceparent: str | None) -> tuple[Document, bool]:
        """Keeps a document; gives the one that is there already when the bytes are the same. On disk when this returns."""
        sha256, size = _measure(content)
        now = time.time()
        new = Document(
            _new_id(now), name, content_type, size, sha256, "received", None, None, None, 0, now, now, now, traceparent
        )
        with self._transaction():
            known = self._one("SELECT * FROM documents WHERE sha256 = ? AND state <> 'deleting'", sha256)
            if known:
                return known, False
            fields = vars(new)
            marks = ", ".join("?" * len(fields))
            self._connection.execute(f"INSERT INTO documents ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values()))
            for part, data in enumerate(iter(lambda: content.read(PART_BYTES), b"")):
                self._connection.execute("INSERT INTO contents VALUES (?, ?, ?)", (new.id, part, data))
        return new, True

    def get(self, id: str) -> Document | None:
        with self._lock:
            return self._one("SELECT * FROM documents WHERE id = ? AND state <> 'deleting'", id)

    def page(self, limit: int, after: str | None) -> tuple[list[Document], int]:
        """In the order of their coming, and how many there are in all."""
        with self._lock:
            total = self._connection.execute("SELECT count(*) FROM documents WHERE state <> 'deleting'").fetchone()[0]
            query = "SELECT * FROM documents WHERE state <> 'deleting' AND id > ? ORDER BY id LIMIT ?"
            return self._many(query, after or "", limit), total

    def parts(self, id: str) -> Iterator[bytes]:
        """The document's bytes, one part at a time."""
        part = 0
        while True:
            with self._lock:
                query = "SELECT data FROM contents WHERE document = ? AND part = ?"
                row = self._connection.execute(query, (id, part)).fetchone()
            if row is None:
                return
            yield row["data"]
            part += 1

    def due(self, now: float, besides: set[str]) -> Document | None:
        """The next document to work on, other than those being worked on."""
        marks = ", ".join("?" * len(besides))
        query = f"""SELECT * FROM documents WHERE state NOT IN ('ready', 'failed') AND due_at <= ? AND id NOT IN ({marks})
            ORDER BY due_at, id LIMIT 1"""
        with self._lock:
            return self._one(query, now, *besides)

    def next_due_at(self, besides: set[str]) -> float | None:
        marks = ", ".join("?" * len(besides))
        query = f"SELECT min(due_at) FROM documents WHERE state NOT IN ('ready', 'failed') AND id NOT IN ({marks})"
        with self._lock:
            return self._connection.execute(query, tuple(besides)).fetchone()[0]

    def move(self, id: str, from_states: tuple[str, ...], **changes: object) -> Document | None:
        """Changes a document if it is still in one of the states; None when somebody else was faster."""
        changes["updated_at"] = time.time()
        sets = ", ".join(f"{column} = ?" for column in changes)
        marks = ", ".join("?" * len(from_states))
        query = f"UPDATE documents SET {sets} WHERE id = ? AND state IN ({marks}) RETURNING *"
        with self._transaction():
            return self._one(query, *changes.values(), id, *from_states)

    def remove(self, id: str) -> None:
        with self._transaction():
            self._connection.execute("DELETE FROM documents WHERE id = ?", (id,))

    def fact(self, name: str) -> str | None:
        with self._lock:
            row = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
            return row["value"] if row else None

    def remember(self, name: str, value: str) -> None:
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _one(self, query: str, *values: object) -> Document | None:
        rows = self._many(query, *values)
        return rows[0] if rows else None

    def _many(self, query: str, *values: object) -> list[Document]:
        return [Document(**dict(row)) for row in self._connection.execute(query, values).fetchall()]


def _measure(content: IO[bytes]) -> tuple[str, int]:
    content.seek(0)
    digest, size = hashlib.sha256(), 0
    for data in iter(lambda: content.read(PART_BYTES), b""):
        digest.update(data)
        size += len(data)
    content.seek(0)
    return digest.hexdigest(), size


def _new_id(now: float) -> str:
    """`doc_`, twelve digits of milliseconds, twelve of chance: unique, and in the order of their coming."""
    return f"doc_{int(now * 1000):012x}{secrets.token_hex(6)}"


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
