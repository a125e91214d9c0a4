"""PDF, through PDFium. A PDF knows where letters stand, not what a paragraph is: that is guessed here from the lines.

Headings come from the document's own outline (bookmarks), matched to the lines of their page; without one, numbered lines
and lines in capitals count. Lines that repeat on many pages (running heads, page numbers) and tables of contents are dropped, words cut at a line's end are put together.
PDFium is a browser's PDF engine: it reads what people's viewers read, and fast; the process around it is the sandbox.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import pypdfium2
import pypdfium2.raw

from ..document import Block, Extract, Heading, Unreadable, clean, one_line

PAGE_LIMIT = 3000
_DOT_LEADERS = re.compile(r"(\s?\.){4,}\s*[\divxlc]*\s*$|^\s*(\. ){4,}")
_PAGE_NUMBER = re.compile(r"^[\s\-–—]*(page\s+)?(\d{1,4}|[ivxlc]{1,6})(\s*(of|/)\s*\d{1,4})?[\s\-–—]*$", re.I)
_ITEM = re.compile(r"^\s*(?:[•◦▪‣∙●○■·–*-]|\(?(?:\d{1,2}|[a-z])[.)])\s+")
_NUMBERED_HEADING = re.compile(r"^(?:Chapter\s+)?(\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+[A-Z/][^.!?;=]{3,70}$")
_CAPITALS = re.compile(r"^[A-Z][A-Z &/,-]{3,60}$")
_BULLET = re.compile(r"^\s*[•◦▪‣∙●○■·–*-]\s+")
_PASSWORD = pypdfium2.raw.FPDF_ERR_PASSWORD


def read(data: bytes, charset: str | None) -> Extract:
    try:
        document = pypdfium2.PdfDocument(data)
        count = len(document)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD:
            detail = "It asks for a password. Save it without one and add it again."
            raise Unreadable("encrypted-document", "The PDF is encrypted", detail) from error
        raise _broken(error) from error
    if count == 0:
        raise _broken("it has no pages")
    if count > PAGE_LIMIT:
        detail = f"It has {count} pages; {PAGE_LIMIT} are the limit. Split it."
        raise Unreadable("document-too-large", "The document has too many pages", detail)
    pages = [_lines(document, number) for number in range(count)]
    unreadable = sum(page is None for page in pages)
    if unreadable == count:
        raise _broken("none of its pages can be read")
    readable = [page or [] for page in pages]
    if sum(len(line) for page in readable for line in page) < 8 + count:
        detail = "There are only pictures in it, as in a scan. Run it through text recognition (OCR) first."
        raise Unreadable("no-text", "The PDF has no text", detail)
    warnings = [f"{unreadable} of {count} pages could not be read"] if unreadable else []
    blocks = _blocks(_without_furniture(readable), _outline(document))
    return Extract(_title(document, readable), blocks, warnings)


def _lines(document: pypdfium2.PdfDocument, number: int) -> list[str] | None:
    try:
        page = document[number]
        text_page = page.get_textpage()
        text = text_page.get_text_bounded()
        text_page.close()
        page.close()
    except pypdfium2.PdfiumError:
        return None
    return [line.rstrip() for line in clean(text).split("\n")]


def _broken(why: object) -> Unreadable:
    return Unreadable("broken-document", "The PDF is broken", f"It cannot be read as a PDF ({one_line(str(why))[:200]}).")


def _title(document: pypdfium2.PdfDocument, pages: list[list[str]]) -> str | None:
    title = one_line(document.get_metadata_value("Title") or "")
    if title and not re.search(r"^untitled|\.(docx?|tex|dvi|indd|qxd|pdf|html?|texi)$|^microsoft word", title, re.I):
        return title
    for line in (line for page in pages[:2] for line in page):
        if re.search(r"[^\W\d_]{3}", line):
            return one_line(line)[:120]
    return None


def _outline(document: pypdfium2.PdfDocument) -> dict[int, dict[str, Heading]]:
    """Page (from 0) to what its headings look like without blanks and case, so that lines can be compared."""
    found: dict[int, dict[str, Heading]] = defaultdict(dict)
    for mark in document.get_toc(max_depth=6):
        title, target = one_line(mark.get_title() or ""), mark.get_dest()
        page = target.get_index() if target else None
        if title and page is not None:
            found[page].setdefault(_key(title), Heading(mark.level + 1, title))
    return found


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
    guess = _Guess(usual)

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
            heading, used = _heading_at(page, at, wanted) if outline else guess.heading(page[at], lines[-1:])
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


class _Guess:
    """Without an outline: lines in capitals, and numbered lines whose numbers go on from the last heading's."""

    def __init__(self, usual: int) -> None:
        self.usual = usual
        self.chapter = 0

    def heading(self, line: str, before: list[str]) -> tuple[Heading | None, int]:
        if before and len(before[0]) > self.usual * 0.85 and before[0][-1:] not in ".!?:":
            return None, 0  # in the middle of a sentence
        numbered = _NUMBERED_HEADING.match(line.strip())
        if numbered and not re.search(r"\s\d+$", line):  # that would be a line of the table of contents
            chapter, level = int(numbered[1].split(".")[0]), numbered[1].count(".") + 1
            if chapter == self.chapter + 1 or level > 1 and chapter == self.chapter:
                self.chapter = chapter
                return Heading(level, one_line(line)), 1
        return (Heading(1, one_line(line)), 1) if _CAPITALS.match(line.strip()) else (None, 0)


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
