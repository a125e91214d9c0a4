"""The library's memory: one SQLite file with the documents, their bytes, their states, and what is to be told of them.

The bytes lie in the same file as the state: received is received, in one transaction, and a backup is one file. They lie in parts, so that
no document is ever whole in memory. What others have to hear is a row of the outbox, written in the transaction of the change: Motet
publishes it. Every method is one short transaction and blocks; callers on the event loop go through a thread.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO

from .migrate import connect

PART_BYTES = 256 * 1024
RESTING = ("ready", "failed")
# A document that has not got any further for so long may be tried again, although nobody has said that it failed.
STALLED_SECONDS = 600


@dataclass(frozen=True)
class Document:
    id: str
    version: int
    name: str
    content_type: str
    bytes: int
    sha256: str
    state: str
    title: str | None
    reason: str | None
    passages: int | None
    embedded: int
    received_at: float
    updated_at: float

    def is_in_work(self) -> bool:
        return self.state not in RESTING and time.time() - self.updated_at < STALLED_SECONDS

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
            "embedded": self.embedded,
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
        with self._transaction():
            known = self._one("SELECT * FROM documents WHERE sha256 = ?", sha256)
            if known:
                return known, False
            now = time.time()
            last = self._connection.execute("SELECT max(id) FROM documents").fetchone()[0]
            id = _new_id(now, last)
            new = Document(id, 1, name, content_type, size, sha256, "received", None, None, None, 0, now, now)
            fields = vars(new)
            marks = ", ".join("?" * len(fields))
            self._connection.execute(f"INSERT INTO documents ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values()))
            for part, data in enumerate(iter(lambda: content.read(PART_BYTES), b"")):
                self._connection.execute("INSERT INTO contents VALUES (?, ?, ?)", (new.id, part, data))
            self._tell_uploaded(new, traceparent)
        return new, True

    def get(self, id: str) -> Document | None:
        with self._lock:
            return self._one("SELECT * FROM documents WHERE id = ?", id)

    def page(self, limit: int, after: str | None) -> tuple[list[Document], int]:
        """In the order of their coming, and how many there are in all."""
        with self._lock:
            total = self._connection.execute("SELECT count(*) FROM documents").fetchone()[0]
            query = "SELECT * FROM documents WHERE id > ? ORDER BY id LIMIT ?"
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

    def again(self, id: str, traceparent: str | None) -> Document | None:
        """Sends a document on its way anew, in a new version; None when it is being worked on, or not there any more."""
        with self._transaction():
            document = self._one("SELECT * FROM documents WHERE id = ?", id)
            if document is None or document.is_in_work():
                return None
            self._connection.execute("DELETE FROM embedded_parts WHERE document = ?", (id,))
            anew = replace(document, version=document.version + 1, state="received", reason=None, passages=None, embedded=0)
            self._tell_uploaded(anew, traceparent)
            return self._keep(anew)

    def remove(self, id: str) -> None:
        """Takes a document out. The event that says so has a version of its own: what is on its way is older."""
        with self._transaction():
            for document in self._many("DELETE FROM documents WHERE id = ? RETURNING *", id):
                self._tell("document.deleted.v1", {"document": id, "version": document.version + 1}, None)

    def learn(self, events: Iterable[tuple[str, dict]], after: Callable[[Document, str, dict, bool], Document]) -> list[Document]:
        """Takes what events say, all of them or none; the documents that have changed by it, as they are now."""
        changed: dict[str, Document] = {}
        with self._transaction():
            for kind, data in events:
                document = self._one("SELECT * FROM documents WHERE id = ?", data["document"])
                if document is None:
                    continue  # deleted meanwhile
                new = after(document, kind, data, self._counted(document, kind, data))
                if new != document:
                    changed[new.id] = self._keep(new)
                if new.state == "ready":
                    self._connection.execute("DELETE FROM embedded_parts WHERE document = ?", (new.id,))
        return list(changed.values())

    def _counted(self, document: Document, kind: str, data: dict) -> bool:
        """Whether this part is counted for the first time."""
        if kind != "document.embedded.v1" or data["version"] != document.version:
            return False
        counting = "INSERT OR IGNORE INTO embedded_parts VALUES (?, ?)"
        return self._connection.execute(counting, (document.id, data["part"])).rowcount == 1

    def _keep(self, document: Document) -> Document:
        fields = {**vars(document), "updated_at": time.time()}
        sets = ", ".join(f"{column} = ?" for column in fields)
        self._connection.execute(f"UPDATE documents SET {sets} WHERE id = ?", (*fields.values(), document.id))
        return Document(**fields)  # type: ignore[arg-type]

    def _tell_uploaded(self, document: Document, traceparent: str | None) -> None:
        data = {
            "document": document.id,
            "version": document.version,
            "name": document.name,
            "contentType": document.content_type,
            "bytes": document.bytes,
        }
        self._tell("document.uploaded.v1", data, traceparent)

    def _tell(self, topic: str, data: dict, traceparent: str | None) -> None:
        """A row of the outbox: an event, once this transaction is committed."""
        extensions = json.dumps({"traceparent": traceparent}) if traceparent else None
        row = (f"{data['document']}/{data['version']}", topic, topic, data["document"], json.dumps(data), extensions)
        self._connection.execute("INSERT INTO outbox (id, topic, type, key, data, extensions) VALUES (?, ?, ?, ?, ?, ?)", row)

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


def _new_id(now: float, last: str | None) -> str:
    """`doc_`, twelve digits of milliseconds, twelve of chance. Behind the last one, even within its millisecond or when the clock was set
    back: ids are the order of their coming, by which pages of the list go on."""
    number = int(now * 1000) << 48 | secrets.randbits(48)
    if last:
        number = max(number, int(last.removeprefix("doc_"), 16) + 1 + secrets.randbits(32))
    return f"doc_{number:024x}"


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"
