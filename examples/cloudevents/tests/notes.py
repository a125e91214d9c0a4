"""The events that are sent: each has something that could get lost on its way.

They are described here as plain values, made into events by each SDK, and described by the SDK that took them again in the same words.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from urllib.parse import unquote

NOTES: dict[str, dict] = {
    "everything": {
        "source": "https://example.org/notes?of=1",
        "type": "org.example.note",
        "subject": "n-1",
        "time": "2026-01-31T23:59:59.123Z",
        "datacontenttype": "application/json",
        "dataschema": "https://example.org/note.schema.json",
        "extensions": {"partitionkey": "k", "tenant": "acme", "urgency": 7, "draft": False},
        "data": {"json": {"text": "Zürich, 東京 🎼", "number": 1.5, "nested": {"list": [1, None, "x"]}}},
    },
    "the least": {"source": "/n", "type": "t"},
    "quotes and percent": {"source": "/notes", "type": "t", "subject": 'a b %41 "c"', "data": {"json": {}}},
    "unicode": {"source": "/notes", "type": "t", "subject": "Zürich 🎼", "data": {"json": {"a": 1}}},
    "another time zone": {"source": "/notes", "type": "t", "time": "2026-02-01T05:29:59.5+05:30", "data": {"json": {"a": 1}}},
    "text": {
        "source": "/notes",
        "type": "t",
        "datacontenttype": "text/plain",
        "data": {"text": "line one\nline two: Zürich 🎼"},
    },
    "XML": {"source": "/notes", "type": "t", "datacontenttype": "application/xml", "data": {"text": "<a>ü &amp; 1</a>"}},
    "bytes": {
        "source": "/notes",
        "type": "t",
        "datacontenttype": "application/octet-stream",
        "data": {"base64": base64.b64encode(bytes(range(256))).decode()},
    },
}

# Not every SDK encodes attributes for headers, and decodes them (HTTP protocol binding, section 3.1.3.2). With one that does not, in binary mode, a
# percent sign that is sent is taken for an encoding, a letter outside of Latin-1 is refused by its own HTTP client, and what is taken stays encoded.
# Python's does, since 2.0; JavaScript's (10.0.0) and Java's (4.0.1) do not. Their structured and batched modes are complete.
HEADERS_AS_THEY_ARE = {"typescript", "java"}
NEEDS_ENCODING = {"quotes and percent", "unicode"}


def note(name: str, key: str) -> dict:
    """An event with an id that says where it came from."""
    return {"id": f"{name} {key}", "time": "2026-01-31T12:00:00Z", **NOTES[name]}


def compared(told: dict, headers_stay_encoded: bool = False) -> dict:
    """An event as far as it has to be the same on both ends of a journey.

    Types of extensions are lost in headers, and a time may be written in any zone. Events without a content type have data in JSON.
    """
    plain = {name: value for name, value in told.items() if value is not None}
    if "time" in plain:
        plain["time"] = datetime.fromisoformat(plain["time"].replace("Z", "+00:00")).timestamp()
    extensions = {name: text(value) for name, value in plain.pop("extensions", {}).items() if not name.startswith("motet")}
    content_type = plain.get("datacontenttype", "application/json").split(";")[0]
    plain = {**plain, "datacontenttype": content_type, "extensions": extensions}
    if headers_stay_encoded:
        plain = {name: unquote(value) if isinstance(value, str) else value for name, value in plain.items()}
    return plain


def text(value: object) -> str:
    """An extension as text. The SDK for Python (2.2.0) writes the truth with a capital letter into headers."""
    value = value if isinstance(value, str) else json.dumps(value)
    return value.lower() if value in ("True", "False") else value
