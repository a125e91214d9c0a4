"""PDF, through pypdf. A PDF knows where letters stand, not what a paragraph is: that is guessed here from the lines.

Headings come from the document's own outline (bookmarks), matched to the lines of their page. Lines that repeat on most pages (running
heads, page numbers) and tables of contents are dropped, words that were cut at a line's end are put together.
"""

from __future__ import annotations

import io
import logging
import re
from collections import Counter, defaultdict

from ..document import Block, Extract, Heading, Unreadable, clean, one_line

PAGE_LIMIT = 3000
_DOT_LEADERS = re.compile(r"(\s?\.){4,}\s*[\divxlc]*\s*$|^\s*(\. ){4,}")
_PAGE_NUMBER = re.compile(r"^[\s\-–—]*(page\s+)?(\d{1,4}|[ivxlc]{1,6})(\s*(of|/)\s*\d{1,4})?[\s\-–—]*$", re.I)
_ITEM = re.compile(r"^\s*(?:[•◦▪‣∙●○■·–*-]|\(?(?:\d{1,2}|[a-z])[.)])\s+")
_BULLET = re.compile(r"^\s*[•◦▪‣∙●○■·–*-]\s+")


def read(data: bytes, charset: str | None) -> Extract:
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it complains about every harmless oddity
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PyPdfError

    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise _encrypted()
        count = len(reader.pages)
    except Unreadable:
        raise
    except (DependencyError, NotImplementedError) as error:
        raise _encrypted() from error
    except (PyPdfError, RecursionError, *_DAMAGE) as error:
        raise _broken(error) from error
    if count > PAGE_LIMIT:
        detail = f"It has {count} pages; {PAGE_LIMIT} are the limit. Split it."
        raise Unreadable("document-too-large", "The document has too many pages", detail)
    pages, unreadable = [], 0
    for page in reader.pages:
        try:
            pages.append([line.rstrip() for line in clean(page.extract_text() or "").split("\n")])
        except (PyPdfError, RecursionError, *_DAMAGE):
            pages.append([])
            unreadable += 1
    if count == 0 or unreadable == count:
        raise _broken("none of its pages can be read")
    if sum(len(line) for page in pages for line in page) < 8 + count:
        detail = "There are only pictures in it, as in a scan. Run it through text recognition (OCR) first."
        raise Unreadable("no-text", "The PDF has no text", detail)
    warnings = [f"{unreadable} of {count} pages could not be read"] if unreadable else []
    headings = _outline(reader)
    blocks = _blocks(_without_furniture(pages), headings)
    return Extract(_title(reader, pages), blocks, warnings)


_DAMAGE = (ValueError, KeyError, TypeError, IndexError, AttributeError, AssertionError, OSError, ZeroDivisionError, OverflowError, ArithmeticError, LookupError)  # fmt: skip


def _encrypted() -> Unreadable:
    return Unreadable("encrypted-document", "The PDF is encrypted", "It asks for a password. Save it without one and add it again.")


def _broken(why: object) -> Unreadable:
    reason = one_line(str(why))[:200] or type(why).__name__
    return Unreadable("broken-document", "The PDF is broken", f"It cannot be read as a PDF ({reason}).")


def _title(reader, pages: list[list[str]]) -> str | None:  # noqa: ANN001
    try:
        title = one_line(str(reader.metadata.title or "")) if reader.metadata else ""
    except _DAMAGE:
        title = ""
    if title and not re.search(r"^untitled|\.(docx?|tex|dvi|indd|qxd|pdf|html?|texi)$|^microsoft word", title, re.I):
        return title
    for line in (line for page in pages[:2] for line in page):
        if len(line.strip()) >= 4 and re.search(r"[^\W\d]{3}", line):
            return one_line(line)[:120]
    return None


def _outline(reader) -> dict[int, dict[str, Heading]]:  # noqa: ANN001
    """Page (from 0) to what its headings look like without blanks and case, so that lines can be compared."""
    found: dict[int, dict[str, Heading]] = defaultdict(dict)

    def walk(entries: list, level: int) -> None:
        for entry in entries:
            if isinstance(entry, list):
                walk(entry, level + 1)
            else:
                title = one_line(str(entry.title or ""))
                page = reader.get_destination_page_number(entry)
                if title and page is not None and level <= 6:
                    found[page].setdefault(_key(title), Heading(level, title))

    try:
        walk(reader.outline, 1)
    except Exception:  # noqa: BLE001  an outline is a comfort: without it there are no headings, but there is a document
        return dict(found)
    return dict(found)


def _key(text: str) -> str:
    """Letters only: the page says `Chapter 3. Stores` or `3.1 Stores` where the outline says `Stores`."""
    text = re.sub(r"^\W*((chapter|appendix|part|section)\b)?\W*([\dA-Z]{1,3}(\.\d+)*\b(?=[.\s:]))?", "", text, flags=re.I)
    return re.sub(r"\W+", "", text).casefold()


def _without_furniture(pages: list[list[str]]) -> list[list[str]]:
    """Drops running heads and feet: lines at the edge of a page whose words come back on many pages."""
    pages = [[line for line in page if line.strip() and not _DOT_LEADERS.search(line)] for page in pages]
    shape = lambda line: re.sub(r"[\d\W]+", "", line).casefold()  # noqa: E731
    edges = Counter(key for page in pages for key in {shape(line) for line in page[:2] + page[-2:]} if key)
    often = {key for key, times in edges.items() if times >= max(3, len(pages) // 8)}
    kept = []
    for page in pages:
        last = len(page) - 1
        kept.append(
            [
                line
                for at, line in enumerate(page)
                if not ((at <= 1 or at >= last - 1) and (shape(line) in often or _PAGE_NUMBER.match(line)))
            ]
        )
    return kept


def _blocks(pages: list[list[str]], outline: dict[int, dict[str, Heading]]) -> list[Heading | Block]:
    lengths = sorted(len(line) for page in pages for line in page if len(line) > 20)
    usual = lengths[len(lengths) * 3 // 4] if lengths else 80
    blocks: list[Heading | Block] = []
    lines: list[str] = []
    began = 1

    def finish() -> None:
        if lines:
            text = _flow(lines)
            kind = "item" if _BULLET.match(lines[0]) else "paragraph"
            blocks.append(Block(_BULLET.sub("- ", text), kind, began))
            lines.clear()

    for number, page in enumerate(pages, 1):
        wanted = outline.get(number - 1, {})
        at = 0
        while at < len(page):
            heading, used = _heading_at(page, at, wanted)
            if heading:
                finish()
                blocks.append(heading)
                at += used
                continue
            line = page[at]
            if lines and (_ITEM.match(line) or _ends_paragraph(lines[-1], line, usual)):
                finish()
            if not lines:
                began = number
            lines.append(line)
            at += 1
    finish()
    return blocks


def _heading_at(page: list[str], at: int, wanted: dict[str, Heading]) -> tuple[Heading | None, int]:
    """A heading of the outline on this line, or over this line and the next."""
    if not wanted or len(page[at]) > 160:
        return None, 0
    for used in (1, 2, 3):
        key = _key(" ".join(page[at : at + used]))
        if key in wanted:
            return wanted.pop(key), used
    return None, 0


def _ends_paragraph(previous: str, line: str, usual: int) -> bool:
    """Sentence over and the line not full: the next line begins something new."""
    done = re.search(r"[.!?:][\"'”’)\]]*$", previous.rstrip())
    return bool(done) and len(previous) < usual * 0.85 or len(previous) < usual * 0.4 and line[:1].isupper()


def _flow(lines: list[str]) -> str:
    text = lines[0].strip()
    for line in (line.strip() for line in lines[1:]):
        if re.search(r"[a-z]-$", text) and re.match(r"[a-z]", line):
            text = text[:-1] + line
        else:
            text += " " + line
    return one_line(text)
