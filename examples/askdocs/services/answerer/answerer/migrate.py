"""`python -m answerer.migrate`: brings the store's schema up to date, and ends. Running it again changes nothing."""

from __future__ import annotations

import os
import sqlite3
import sys

# One entry per version, never changed once released: the next change is the next entry.
MIGRATIONS = (
    """
    CREATE TABLE questions (
        id TEXT PRIMARY KEY,             -- grows with time, so that it is an order, too
        asked_at REAL NOT NULL,          -- seconds since 1970
        milliseconds INTEGER NOT NULL,
        question TEXT NOT NULL,
        answer TEXT NOT NULL,
        citations TEXT NOT NULL,         -- JSON, as it was answered
        mode TEXT NOT NULL,
        model TEXT,
        degraded INTEGER NOT NULL,
        notice TEXT
    ) STRICT;
    """,
)


def connect(path: str) -> sqlite3.Connection:
    """A connection. What was asked is worth keeping, but not worth waiting for the disk: a crash of the machine may cost the last."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def migrate(path: str) -> int:
    """The version that the store has afterwards."""
    connection = connect(path)
    try:
        connection.execute("BEGIN EXCLUSIVE")  # a second migration at the same time waits here and finds nothing to do
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise SystemExit(f"{path} is at version {version}, this program knows {len(MIGRATIONS)}: it is older than its data")
        for script in MIGRATIONS[version:]:
            for statement in script.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    finally:
        connection.close()
    return len(MIGRATIONS)


if __name__ == "__main__":
    if not os.environ.get("DATABASE_PATH"):
        sys.exit("DATABASE_PATH is not set; Motet sets it from `store` in the definition")
    print(f"the answerer's store is at version {migrate(os.environ['DATABASE_PATH'])}")
