"""Which format is this? The content decides; name and type only tell apart what looks alike (Markdown and plain text).

A browser or a script may send anything under any name, so that a zip called `notes.pdf` must be refused as a zip, and a
PDF called `download` must be read as a PDF.
"""

from __future__ import annotations

import io
import re
import zipfile

from .document import Unreadable

FORMATS = "PDF, HTML, Markdown, plain text and Word (.docx)"

_REFUSED = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a media file"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ", "an xz archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive: unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"Rar!", "a rar archive: unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old Office file: save it as .docx or PDF"),
    (b"{\\rtf", "an RTF file: save it as .docx or PDF"),
    (b"%!PS", "a PostScript file: turn it into a PDF"),
    (b"SQLite format 3", "a database"),
)
_HTML = re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype\s+html|<html[\s>])", re.I | re.S)
_MARKDOWN_SIGNS = re.compile(r"^(#{1,6} \S|```|~~~|[-*] \S|\[[^\]]+\]:|.*\[[^\]]+\]\([^)]+\))", re.M)


def wrong_type(what: str) -> Unreadable:
    return Unreadable("unsupported-format", "This kind of file cannot be read", f"This is {what}. Readable are {FORMATS}.", 415)


def sniff(data: bytes, filename: str, content_type: str) -> str:
    """`pdf`, `html`, `markdown`, `text` or `docx`; raises when it is none of these."""
    if not data.strip():
        raise Unreadable("empty-document", "The document is empty", "There is not a single character in it.")
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _zip(data)
    for magic, what in _REFUSED:
        if data.startswith(magic) and not (magic in (b"MZ", b"BZh", b"RIFF") and _is_text(data)):
            raise wrong_type(what)
    if not _is_text(data):
        raise wrong_type("binary data of an unknown kind")
    return _text_kind(data, filename.lower(), content_type.split(";")[0].strip().lower())


def _zip(data: bytes) -> str:
    try:
        names = set(zipfile.ZipFile(io.BytesIO(data)).namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeDecodeError) as error:
        raise Unreadable(
            "broken-document", "The document is broken", f"The file is a damaged zip container ({error})."
        ) from error
    if "word/document.xml" in names:
        return "docx"
    for name, what in (
        ("xl/workbook.xml", "an Excel workbook: save it as PDF"),
        ("ppt/presentation.xml", "a PowerPoint presentation: save it as PDF"),
        ("META-INF/container.xml", "an e-book (EPUB)"),
        ("content.xml", "an OpenDocument file: save it as .docx or PDF"),
        ("META-INF/MANIFEST.MF", "a Java archive"),
    ):
        if name in names:
            raise wrong_type(what)
    raise wrong_type("a zip archive: unpack it and add the documents in it")


def _is_text(data: bytes) -> bool:
    head = data[:65536]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    strange = sum(head.count(bytes([code])) for code in range(32) if code not in (9, 10, 12, 13, 27))
    return b"\0" not in head and strange * 100 <= len(head) + 300


def _text_kind(data: bytes, name: str, declared: str) -> str:
    if _HTML.match(data[:16384]):
        return "html"
    if re.match(rb"\s*<\?xml", data):
        raise wrong_type("an XML file")
    if re.match(rb"\s*<svg[\s>]", data):
        raise wrong_type("an SVG image")
    if name.endswith((".html", ".htm", ".xhtml")) or declared in ("text/html", "application/xhtml+xml"):
        return "html"
    if name.endswith((".md", ".markdown", ".mdown")) or declared in ("text/markdown", "text/x-markdown"):
        return "markdown"
    if name.endswith((".txt", ".text", ".rst", ".log")):
        return "text"
    # Nobody said: Markdown when it has headings of the `#` kind and something else of Markdown's besides.
    text = data[:32768].decode("utf-8", "replace")
    signs = [sign[0] for sign in _MARKDOWN_SIGNS.findall(text)]
    return "markdown" if "#" in signs and len(signs) >= 3 else "text"
