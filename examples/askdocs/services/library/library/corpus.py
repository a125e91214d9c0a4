"""The documents that are there from the start: folders named in CORPUS_DIRS, loaded once, into an empty library.

Being killed half-way is no harm: what is in already is recognised by its content, and only the whole is marked as done.
"""

from __future__ import annotations

import logging
import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path

from .intake import DOCUMENT_LIMIT_BYTES
from .store import Store

SUFFIXES = (".md", ".txt", ".html", ".pdf", ".docx")
FILES_MAX = 2000
LOADED = "corpus loaded"
BEGUN = "corpus begun"

log = logging.getLogger("library")


def load(store: Store, folders: tuple[Path, ...]) -> int:
    """How many documents were added; 0 when this library has had its start already."""
    if not folders or store.fact(LOADED):
        return 0
    if not store.fact(BEGUN) and store.page(1, None)[1] > 0:
        store.remember(LOADED, "not: there were documents already")
        return 0
    store.remember(BEGUN, "yes")
    added = 0
    for folder in folders:
        for path in documents_in(folder):
            try:
                with path.open("rb") as content:
                    name = path.relative_to(folder).as_posix()
                    added += store.add(name, mimetypes.guess_type(name)[0] or "text/plain", content, None)[1]
            except OSError as error:
                log.warning("the corpus's %s cannot be read: %s", path, error)
    store.remember(LOADED, "yes")
    log.info("%d documents of the corpus were added", added)
    return added


def documents_in(folder: Path) -> Iterator[Path]:
    """The documents in a folder and below, in the order of their names; hidden ones, links and empty files are passed over."""
    if not folder.is_dir():
        log.warning("the folder %s is not there", folder)
        return
    found = 0
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        for name in sorted(files):
            path = Path(root, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES or path.is_symlink():
                continue
            if not 0 < path.stat().st_size <= DOCUMENT_LIMIT_BYTES:
                log.warning("%s is empty or too large", path)
                continue
            found += 1
            if found > FILES_MAX:
                log.warning("%s holds more than %d documents; the rest is left out", folder, FILES_MAX)
                return
            yield path
