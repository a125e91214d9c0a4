"""The library: owns the documents and knows how far each of them is on its way into the index.

A document is on disk before anybody hears that it was received; from then on it is driven to `ready` or `failed`, whatever
crashes in between. It does not know what a PDF is (the parser does) nor how passages are found (the index does).

Map: `app` (HTTP), `intake` (uploads, streamed and bounded), `store` (SQLite: documents, their bytes, their states), `ingestion` (the
background work: parse, index, retry), `callees` (parser and index over HTTP), `events` (changes, live), `corpus` (what is loaded at first
start), `migrate` (the store's schema), `add` (a folder from the command line).
"""
