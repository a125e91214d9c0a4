"""`python -m parser.migrate`: brings the store's schema up to date, and ends. Running it again changes nothing."""

from __future__ import annotations

import os
import sqlite3
import sys

# One entry per version, never changed once released: the next change is the next entry.
MIGRATIONS = (
    """
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        topic TEXT NOT NULL,
        type TEXT NOT NULL,
        key TEXT,
        data TEXT,
        content_type TEXT NOT NULL DEFAULT 'application/json',
        extensions TEXT,
        created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
        published_at TEXT
    );
    CREATE INDEX outbox_unpublished ON outbox (seq) WHERE published_at IS NULL;
    """,
)


def connect(path: str) -> sqlite3.Connection:
    """A connection that loses nothing it has committed, not even when the machine loses power."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
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
    print(f"the parser's store is at version {migrate(os.environ['DATABASE_PATH'])}")
