"""The library: owns the documents and knows how far each of them is on its way into the index.

A document and the event that tells of it are on disk, in one transaction, before anybody hears that it was received. From then on it is
driven to `ready` or `failed` by whoever listens, and the library learns from their events how far it is. It calls nobody: it does not
know what a PDF is nor how passages are found, and not who does.

Map: `app` (HTTP), `intake` (uploads, streamed and bounded), `store` (SQLite: documents, their bytes, their states, the outbox), `progress`
(what the others' events say about a document), `changes` (live, for the page), `corpus` (what is loaded at first start), `migrate` (the
store's schema), `add` (a folder from the command line).
"""
