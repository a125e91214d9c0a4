"""Plain text: paragraphs between blank lines, form feeds as page ends, headings where the layout shows them.

Understood as headings: a line underlined with `===`, `---`, `~~~` or `***` (reStructuredText and old habits), and a numbered line that stands
alone, such as `3.2. Routing`. Page heads and feet as in RFCs are dropped.
"""

from __future__ import annotations

import re

from ..document import Block, Extract, Heading, clean, decode

_UNDERLINE = re.compile(r"^([=\-~^*+#\"'])\1{2,}\s*$")
_NUMBERED = re.compile(r"^(\d{1,2}(?:\.\d{1,3}){0,4})\.?\s{1,3}([A-Z][^.!?;:]{2,70})$")
_PAGE_FOOT = re.compile(r"\[Page \d+\]\s*$")
_PAGE_HEAD = re.compile(r"^RFC \d+\s.*\b(19|20)\d\d\s*$")
_ITEM = re.compile(r"^\s*([-*+•o]|\(?\w{1,3}[.)])\s+\S")
_DIRECTIVE = re.compile(r"^\s*\.\. |^\s*:[\w-]+:(?:\s|$)")


def read(data: bytes, charset: str | None) -> Extract:
    raw, warnings = decode(data, charset)
    has_pages = raw.count("\f") >= 2
    reader = _Reader()
    for number, page in enumerate(raw.split("\f") if has_pages else [raw.replace("\f", "\n\n")], 1):
        lines = [line.rstrip() for line in clean(page).expandtabs(4).split("\n")]
        lines = [line for line in lines if not _PAGE_FOOT.search(line) and not _PAGE_HEAD.match(line)]
        reader.page(lines, number if has_pages else None)
    reader.finish()
    return Extract(reader.title, reader.blocks, warnings)


class _Reader:
    def __init__(self) -> None:
        self.blocks: list[Heading | Block] = []
        self.title: str | None = None
        self.levels: list[str] = []  # underlines in the order in which they were first seen
        self.paragraph: list[str] = []
        self.number: int | None = None
        self.after_literal_mark = False

    def page(self, lines: list[str], number: int | None) -> None:
        self.number = number
        at = 0
        while at < len(lines):
            line = lines[at]
            following = lines[at + 1] if at + 1 < len(lines) else ""
            if not line.strip():
                self.finish()
            elif not self.paragraph and _UNDERLINE.match(line) and at + 2 < len(lines) and _same_rule(line, lines[at + 2]):
                self.heading(lines[at + 1].strip(), "over" + line[0])
                at += 2
            elif not self.paragraph and _is_underlined(line, following):
                self.heading(line.strip(), following[0])
                at += 1
            elif not self.paragraph and not following.strip() and (numbered := _NUMBERED.match(line)):
                self.blocks.append(Heading(numbered[1].count(".") + 1, line.strip()))
            elif not _UNDERLINE.match(line):
                self.paragraph.append(line)
            at += 1
        if number is None:
            self.finish()

    def heading(self, text: str, rule: str) -> None:
        self.finish()
        if rule not in self.levels:
            self.levels.append(rule)
        text = self.plain(text)
        self.title = self.title or text
        self.blocks.append(Heading(self.levels.index(rule) + 1, text))

    def plain(self, text: str) -> str:
        """Without reStructuredText's marks, when the headings show that it is reStructuredText."""
        if self.levels:
            text = re.sub(r":[\w:+-]+:`([^`<]+?)(\s*<[^`>]*>)?`", r"\1", text)
            text = re.sub(r"`([^`<]+?)(\s*<[^`>]*>)?`__?", r"\1", text)
            text = re.sub(r"(?<=\w)_(?=[\s.,;:)]|$)|\\ ", "", text)
        return " ".join(re.sub(r"::$", ":", text).replace("``", "`").split())

    def finish(self) -> None:
        """Ends the paragraph: kept line by line when its layout means something, else flowed into one line."""
        lines, self.paragraph = self.paragraph, []
        if not lines:
            return
        indent = min(len(line) - len(line.lstrip()) for line in lines)
        if _DIRECTIVE.match(lines[0]):
            return
        literal, self.after_literal_mark = self.after_literal_mark, lines[-1].endswith("::")
        if _looks_laid_out(lines) or (literal and indent):
            self.blocks.append(Block("\n".join(line[indent:] for line in lines), "code", self.number))
            self.after_literal_mark = self.after_literal_mark or literal
            return
        items: list[list[str]] = []
        for line in lines:
            if _ITEM.match(line) or not items:
                items.append([])
            items[-1].append(line.strip())
        for item in items:
            kind = "item" if _ITEM.match(item[0]) else "paragraph"
            self.blocks.append(Block(self.plain(" ".join(item)), kind, self.number))


def _is_underlined(line: str, following: str) -> bool:
    close = abs(len(following.strip()) - len(line.strip())) <= 3 or len(following) >= len(line)
    return bool(_UNDERLINE.match(following)) and close and len(line.strip()) <= 100 and not _UNDERLINE.match(line)


def _same_rule(line: str, other: str) -> bool:
    return bool(_UNDERLINE.match(other)) and line.strip() == other.strip()


def _looks_laid_out(lines: list[str]) -> bool:
    """Code, tables and drawings: several lines of which most hold runs of blanks or of punctuation inside."""
    ragged = sum(bool(re.search(r"\S {3,}\S|[|{}<>=;\\_]{2,}|^\s*[|+]", line)) for line in lines)
    return len(lines) >= 2 and ragged * 2 > len(lines)
