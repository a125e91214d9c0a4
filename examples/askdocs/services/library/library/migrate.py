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
    """
    -- What is not finished yet goes out as events; what was being deleted is deleted, and that goes out, too.
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
    CREATE TABLE documents_2 (
        id TEXT PRIMARY KEY,             -- grows with time, so that it is an order, too
        version INTEGER NOT NULL,        -- grows each time that it is sent on its way
        name TEXT NOT NULL,
        content_type TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL UNIQUE,     -- the same bytes are the same document
        state TEXT NOT NULL CHECK (state IN ('received', 'embedding', 'indexing', 'ready', 'failed')),
        title TEXT,
        reason TEXT,
        passages INTEGER,
        embedded INTEGER NOT NULL DEFAULT 0,
        received_at REAL NOT NULL,
        updated_at REAL NOT NULL
    ) STRICT;
    CREATE TABLE contents_2 (
        document TEXT NOT NULL REFERENCES documents_2 (id) ON DELETE CASCADE,
        part INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (document, part)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE embedded_parts (        -- which were counted: an event may come twice
        document TEXT NOT NULL REFERENCES documents_2 (id) ON DELETE CASCADE,
        part INTEGER NOT NULL,
        PRIMARY KEY (document, part)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO outbox (id, topic, type, key, data)
        SELECT id || '/2', 'document.deleted.v1', 'document.deleted.v1', id, json_object('document', id, 'version', 2)
        FROM documents WHERE state = 'deleting';
    DELETE FROM documents WHERE state = 'deleting';
    INSERT INTO outbox (id, topic, type, key, data)
        SELECT id || '/1', 'document.uploaded.v1', 'document.uploaded.v1', id,
            json_object('document', id, 'version', 1, 'name', name, 'contentType', content_type, 'bytes', bytes)
        FROM documents WHERE state NOT IN ('ready', 'failed');
    INSERT INTO documents_2
        SELECT id, 1, name, content_type, bytes, sha256, iif(state IN ('ready', 'failed'), state, 'received'), title, reason, passages,
            iif(state = 'ready', coalesce(passages, 0), 0), received_at, updated_at
        FROM documents;
    INSERT INTO contents_2 SELECT document, part, data FROM contents;
    DROP TABLE contents;
    DROP TABLE documents;
    ALTER TABLE documents_2 RENAME TO documents;
    ALTER TABLE contents_2 RENAME TO contents;
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
