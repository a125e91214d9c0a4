"""What every format is reduced to before it is cut into passages: a title and a row of blocks."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field


class Unreadable(Exception):
    """A document that will never become passages, and why: HTTP status, kind, title and detail of a problem."""

    def __init__(self, kind: str, title: str, detail: str, status: int = 422) -> None:
        super().__init__(detail)
        self.kind, self.title, self.detail, self.status = kind, title, detail, status


@dataclass
class Heading:
    level: int
    text: str


@dataclass
class Block:
    """A paragraph, an item of a list, a row of a table or a piece of code, and the page that it stands on (from 1)."""

    text: str
    kind: str = "paragraph"  # paragraph | item | row | code
    page: int | None = None


@dataclass
class Extract:
    title: str | None
    blocks: list[Heading | Block]
    warnings: list[str] = field(default_factory=list)


_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st", "\u00ad": ""})
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\ufeff\ufffe\uffff]")


def clean(text: str) -> str:
    """Text that every reader downstream can take: no control characters, no half surrogates, one form of each letter."""
    text = text.encode("utf-8", "replace").decode("utf-8").translate(_LIGATURES)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    return unicodedata.normalize("NFC", _CONTROLS.sub("", text))


def one_line(text: str) -> str:
    return " ".join(clean(text).split())


def at_most(text: str, size_bytes: int) -> str:
    """The beginning of a text that fits into so many bytes of UTF-8."""
    return text.encode()[:size_bytes].decode("utf-8", "ignore")


def decode(data: bytes, charset: str | None) -> tuple[str, list[str]]:
    """Text from bytes: byte order mark, then what was declared, then UTF-8, then the commonest of the old code pages."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(name, "replace"), []
    for name in (charset, "utf-8"):
        try:
            return data.decode(name or "utf-8"), []
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode("cp1252", "replace"), ["the text is not UTF-8; it was read as Windows-1252"]
