"""What the parser has to tell: rows in a table of its own store, which Motet publishes.

The passages of a document become events all at once or not at all, and their ids say what they are about. So a document whose event comes
again, because this service died before it had answered, is known by them and not read twice.
"""

from __future__ import annotations

import json
import threading
import uuid

from .migrate import connect

PART_PASSAGES = 16  # as the topic's schema says


class Outbox:
    def __init__(self, path: str) -> None:
        self._connection = connect(path)
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def has(self, upload: dict) -> bool:
        """Whether the passages of this version were told already."""
        with self._lock:
            return bool(self._connection.execute("SELECT 1 FROM outbox WHERE id = ?", (f"{_version(upload)}/0",)).fetchone())

    def passages(self, upload: dict, parsed: dict, traceparent: str) -> None:
        passages = parsed["passages"]
        parts = [passages[start : start + PART_PASSAGES] for start in range(0, len(passages), PART_PASSAGES)]
        common = {**_about(upload), "name": upload["name"], "title": parsed["title"], "passages": len(passages), "parts": len(parts)}
        told = [(f"{_version(upload)}/{part}", {**common, "part": part, "items": items}) for part, items in enumerate(parts)]
        self._write("document.parsed.v1", told, traceparent)

    def failure(self, upload: dict, reason: str, traceparent: str) -> None:
        """Each attempt that somebody has asked for may fail anew, so the id is one of chance."""
        told = {**_about(upload), "step": "parsing", "reason": reason[:4000]}
        self._write("document.failed.v1", [(f"{_version(upload)}/{uuid.uuid4()}", told)], traceparent)

    def _write(self, topic: str, events: list[tuple[str, dict]], traceparent: str) -> None:
        extensions = json.dumps({"traceparent": traceparent}) if traceparent else None
        rows = [(id, topic, topic, data["document"], json.dumps(data), extensions) for id, data in events]
        insert = "INSERT OR IGNORE INTO outbox (id, topic, type, key, data, extensions) VALUES (?, ?, ?, ?, ?, ?)"
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany(insert, rows)
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def _about(upload: dict) -> dict:
    return {"document": upload["document"], "version": upload["version"]}


def _version(upload: dict) -> str:
    return f"{upload['document']}/{upload['version']}"
