"""`python -m library.migrate`: brings the store's schema up to date, and ends. Running it again changes nothing."""

from __future__ import annotations

import os
import sqlite3
import sys

# One entry per version, never changed once released: the next change is the next entry.
MIGRATIONS = (
    """
    CREATE TABLE documents (
        id TEXT PRIMARY KEY,             -- grows with time, so that it is an order, too
        name TEXT NOT NULL,
        content_type TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('received', 'parsing', 'indexing', 'ready', 'failed', 'deleting')),
        title TEXT,
        reason TEXT,
        passages INTEGER,
        attempts INTEGER NOT NULL DEFAULT 0,
        due_at REAL NOT NULL,            -- when the next attempt may begin, in seconds since 1970
        received_at REAL NOT NULL,
        updated_at REAL NOT NULL,
        traceparent TEXT
    ) STRICT;
    -- The same bytes are the same document; one that is being deleted does not count.
    CREATE UNIQUE INDEX documents_by_content ON documents (sha256) WHERE state <> 'deleting';
    CREATE INDEX documents_by_due ON documents (due_at) WHERE state NOT IN ('ready', 'failed');
    CREATE TABLE contents (
        document TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
        part INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (document, part)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    """,
)


def connect(path: str) -> sqlite3.Connection:
    """A connection that loses nothing it has committed, not even when the machine loses power."""
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
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
    print(f"the library's store is at version {migrate(os.environ['DATABASE_PATH'])}")
