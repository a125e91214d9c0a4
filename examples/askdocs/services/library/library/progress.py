"""What the events of the others say about a document: a function from what is known and an event to what is known then.

Events may come twice, late, and in any order. What makes that harmless: an event of another version than the document's says nothing
about it; each part counts once, because the store remembers which were counted; and `ready` is the end of a version.
"""

from __future__ import annotations

from dataclasses import replace

from .store import Document


def after(document: Document, kind: str, data: dict, is_new_part: bool) -> Document:
    """The document once this event is known. `is_new_part` says whether its part was not counted yet."""
    if data["version"] != document.version or document.state == "ready":
        return document
    if kind == "document.indexed.v1":
        passages = data["passages"]
        return replace(document, state="ready", reason=None, passages=passages, embedded=passages)
    if kind == "document.failed.v1":
        return replace(document, state="failed", reason=data["reason"])
    known = replace(document, title=data["title"], passages=data["passages"])
    if kind == "document.embedded.v1" and is_new_part:
        known = replace(known, embedded=document.embedded + len(data["items"]))
    if document.state == "failed" and document.passages is not None:
        return known  # one part was given up, the others go on; only the index can say that it came right after all
    return replace(known, state="indexing" if known.embedded == known.passages else "embedding", reason=None)
