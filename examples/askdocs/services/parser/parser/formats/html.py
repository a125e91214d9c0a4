"""HTML, with Python's own tolerant parser: what a reader would read, without menus, scripts and page furniture.

When the page marks its main part (`<main>`, `role="main"`, `<article>`), only that part counts. Runs of mere links are left out.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser

from ..document import Block, Extract, Heading, decode, one_line, clean

_SKIPPED = {"script", "style", "nav", "template", "svg", "noscript", "button", "select", "textarea", "iframe", "aside", "footer", "math", "object", "dialog"}  # fmt: skip
_SKIPPED_ROLES = {"navigation", "banner", "contentinfo", "search", "complementary"}
_SKIPPED_CLASSES = {"navheader", "navfooter", "navbar", "nav", "sidebar", "sphinxsidebar", "related", "toc", "toctree-wrapper", "breadcrumb", "breadcrumbs", "headerlink", "footer", "contents", "skip-link"}  # fmt: skip
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
_ENDS_PARAGRAPH = {"p", "div", "section", "article", "main", "header", "blockquote", "ul", "ol", "dl", "dt", "table", "figure", "figcaption", "hr", "body", "form", "fieldset", "details", "summary", "address", "caption", "thead", "tbody", "center"}  # fmt: skip
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?([\w-]+)|<\?xml[^>]+encoding=[\"']([\w-]+)", re.I)


def read(data: bytes, charset: str | None) -> Extract:
    declared = _CHARSET.search(data[:4096])
    if charset is None and declared:
        charset = (declared[1] or declared[2]).decode("ascii")
    raw, warnings = decode(data, charset)
    reader = _Reader()
    reader.feed(raw)
    reader.close()
    reader.finish()
    kept = _without_menus(reader.blocks, reader.links)
    main = [block for block, inside in kept if inside]
    everything = [block for block, _ in kept]
    blocks = main if sum(len(block.text) for block in main) >= 200 else everything
    headline = next((block.text for block in blocks if isinstance(block, Heading)), None)
    return Extract(one_line(reader.title) or headline, blocks, warnings)


def _without_menus(blocks: list[tuple[Heading | Block, bool]], links: list[bool]) -> list[tuple[Heading | Block, bool]]:
    """Three and more blocks in a row that are nothing but links are a menu or a table of contents."""
    kept, at = [], 0
    while at < len(blocks):
        end = at
        while end < len(blocks) and links[end]:
            end += 1
        if end - at < 3:
            kept += blocks[at : end + 1]
        else:
            kept += blocks[end : end + 1]
        at = end + 1
    return kept


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.blocks: list[tuple[Heading | Block, bool]] = []  # each with: does it stand in the main part?
        self.links: list[bool] = []  # for each block: is it nothing but links?
        self.linked = 0
        self.title = ""
        self.text: list[str] = []
        self.kind = "paragraph"
        self.level = 0
        self.open: list[str] = []
        self.skipping = 0  # how deep the stack was when skipping began; 0 when reading
        self.main = 0  # the same for the main part
        self.pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            if tag == "br":
                self.text.append("\n" if self.pre else " ")
            elif tag == "hr":
                self.finish()
            return
        self.open.append(tag)
        if self.skipping:
            return
        given = {name: value or "" for name, value in attrs}
        if self._skips(tag, given):
            self.skipping = len(self.open)
        elif tag in ("main", "article") or given.get("role") == "main":
            self.finish()
            self.main = self.main or len(self.open)
        elif re.fullmatch(r"h[1-6]", tag):
            self.finish()
            self.level = int(tag[1])
        elif tag == "pre":
            self.finish()
            self.pre, self.kind = len(self.open), "code"
        elif tag in ("li", "dd"):
            self.finish()
            self.kind = "item"
        elif tag == "tr":
            self.finish()
            self.kind = "row"
        elif tag in ("td", "th"):
            if any(part.strip() for part in self.text):
                self.text.append(" | ")
        elif tag in _ENDS_PARAGRAPH and not self.pre and self.kind != "row":
            self.finish(keep_kind=self.kind == "item" and tag == "p" and not self._has_text())

    def _skips(self, tag: str, given: dict[str, str]) -> bool:
        if tag in ("html", "body", "main"):
            return False
        hidden = "hidden" in given or given.get("aria-hidden") == "true"
        furniture = not _SKIPPED_CLASSES.isdisjoint(given.get("class", "").lower().split())
        return tag in _SKIPPED or given.get("role") in _SKIPPED_ROLES or hidden or furniture

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.open:
            if tag == "p":
                self.finish()
            return
        while self.open:
            depth, closed = len(self.open), self.open.pop()
            self._closed(closed, depth)
            if closed == tag:
                break

    def _closed(self, tag: str, depth: int) -> None:
        if self.skipping:
            if depth <= self.skipping:
                self.skipping = 0
            return
        if re.fullmatch(r"h[1-6]", tag) or tag in ("li", "dd", "tr", "pre"):
            self.finish()
        elif tag in _ENDS_PARAGRAPH and not self.pre and self.kind != "row":
            self.finish()
        if tag == "pre":
            self.pre = 0
        if self.main and depth <= self.main:
            self.finish()
            self.main = 0

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "title" and not self.skipping:
            self.title += data
        elif not self.skipping:
            self.text.append(data)
            self.linked += len(data.strip()) if "a" in self.open[-4:] else 0

    def _has_text(self) -> bool:
        return any(part.strip() for part in self.text)

    def finish(self, keep_kind: bool = False) -> None:
        raw, self.text = "".join(self.text), []
        text = clean(raw).strip("\n").expandtabs(4) if self.kind == "code" else one_line(raw).removesuffix(" |")
        if text.strip():
            if self.level:
                block: Heading | Block = Heading(self.level, text.strip("¶# "))
            else:
                block = Block(("- " if self.kind == "item" else "") + text, self.kind)
            if block.text:
                self.blocks.append((block, bool(self.main)))
                only_links = self.linked >= len(re.sub(r"^[\d.\s►]+|\s", "", raw)) * 0.8
                self.links.append(only_links and isinstance(block, Block) and block.kind != "row")
        self.linked = 0
        if not keep_kind and not self.pre:
            self.kind = "paragraph"
        self.level = 0
