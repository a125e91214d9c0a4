"""`python -m parser.worker`: parses one document from standard input, writes JSON to standard output, and ends.

A process of its own, because a document can be made to hang a parser or to eat all memory: here that ends this process
and nothing else. The limits are set by the process itself before it looks at the first byte, so that they hold even when the service
that started it is gone.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import resource
import signal
import sys

from .document import Unreadable, at_most, one_line
from .passages import cut
from .sniff import sniff


def limit(seconds: int, memory_bytes: int) -> None:
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def parse(data: bytes, filename: str, content_type: str) -> dict[str, object]:
    """Title and passages of a document; raises `Unreadable`."""
    kind = sniff(data, filename, content_type)
    reader = importlib.import_module(f".formats.{kind}", __package__)
    extract = reader.read(data, _charset(content_type))
    passages = cut(extract)
    if not passages:
        raise Unreadable("no-text", "The document has no text", "It was read, but there are no words in it.")
    return {
        "title": at_most(one_line(extract.title or ""), 600) or _title_from(filename),
        "format": kind,
        "passages": passages,
        "characters": sum(len(str(passage["text"])) for passage in passages),
        "warnings": extract.warnings,
    }


def _charset(content_type: str) -> str | None:
    declared = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", content_type, re.I)
    return declared[1] if declared else None


def _title_from(filename: str) -> str:
    stem = os.path.splitext(os.path.basename(filename.replace("\\", "/")))[0]
    return at_most(one_line(stem.replace("_", " ")), 600) or "Untitled"


def main() -> None:
    filename, content_type, seconds, memory_bytes = sys.argv[1:5]
    limit(int(seconds), int(memory_bytes))
    try:
        answer: dict[str, object] = {"ok": parse(sys.stdin.buffer.read(), filename, content_type)}
    except Unreadable as error:
        answer = {"unreadable": [error.status, error.kind, error.title, error.detail]}
    except MemoryError:
        answer = {"memory": True}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
