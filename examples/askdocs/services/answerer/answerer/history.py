"""What was asked and answered: the last ten thousand questions, in the service's own SQLite file."""

from __future__ import annotations

import json
import secrets
import threading
import time

from .migrate import connect

KEPT = 10_000


class History:
    def __init__(self, path: str, kept: int = KEPT) -> None:
        self._connection = connect(path)
        self._lock = threading.Lock()
        self._kept = kept

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def add(self, asked_at: float, question: str, answer: dict) -> None:
        """Keeps an answer under its id, and lets the oldest go."""
        row = (
            answer["id"], asked_at, round((time.time() - asked_at) * 1000), question, answer["answer"],
            json.dumps(answer["citations"]), answer["mode"], answer["model"], answer["degraded"], answer["notice"],
        )  # fmt: skip
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute("INSERT INTO questions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
                old = "SELECT id FROM questions ORDER BY id DESC LIMIT -1 OFFSET ?"
                self._connection.execute(f"DELETE FROM questions WHERE id IN ({old})", (self._kept,))
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def get(self, id: str) -> dict | None:
        found = self._read("SELECT * FROM questions WHERE id = ?", id)
        return found[0] if found else None

    def page(self, limit: int, before: str | None) -> list[dict]:
        """The latest first."""
        return self._read("SELECT * FROM questions WHERE id < ? ORDER BY id DESC LIMIT ?", before or "~", limit)

    def _read(self, query: str, *values: object) -> list[dict]:
        with self._lock:
            rows = self._connection.execute(query, values).fetchall()
        return [
            {
                "id": row["id"],
                "asked_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(row["asked_at"])),
                "milliseconds": row["milliseconds"],
                "question": row["question"],
                "answer": row["answer"],
                "citations": json.loads(row["citations"]),
                "mode": row["mode"],
                "model": row["model"],
                "degraded": bool(row["degraded"]),
                "notice": row["notice"],
            }
            for row in rows
        ]


def new_id(now: float) -> str:
    """`q_`, twelve digits of milliseconds, twelve of chance: unique, and in the order of asking."""
    return f"q_{int(now * 1000):012x}{secrets.token_hex(6)}"
