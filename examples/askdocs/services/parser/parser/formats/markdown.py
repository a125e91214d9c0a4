"""Markdown: headings, paragraphs, lists, tables and code; the marks go, the words and the code stay."""

from __future__ import annotations

import html
import re

from ..document import Block, Extract, Heading, clean, decode, one_line

_ATX = re.compile(r"^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r"^\s{0,12}(`{3,}|~{3,})")
_SETEXT = re.compile(r"^ {0,3}(=+|-+)\s*$")
_ITEM = re.compile(r"^\s*([-*+]|\d{1,4}[.)])\s+(?=\S)")
_RULE = re.compile(r"^ {0,3}([-*_])[ \t]*(\1[ \t]*){2,}$")
_TABLE_RULE = re.compile(r"^\s*\|?[\s:|-]*-{3,}[\s:|-]*$")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*\S+")


def read(data: bytes, charset: str | None) -> Extract:
    raw, warnings = decode(data, charset)
    lines = re.sub(r"<!--.*?-->", "", clean(raw), flags=re.S).expandtabs(4).split("\n")
    title, lines = _front_matter(lines)
    reader = _Reader()
    reader.lines(lines)
    return Extract(title or reader.title, reader.blocks, warnings)


def _front_matter(lines: list[str]) -> tuple[str | None, list[str]]:
    if not lines or lines[0].strip() != "---":
        return None, lines
    for end, line in enumerate(lines[1:200], 1):
        if line.strip() in ("---", "..."):
            found = next((m[1] for m in (re.match(r"title:\s*[\"']?(.+?)[\"']?\s*$", x) for x in lines[1:end]) if m), None)
            return found, lines[end + 1 :]
    return None, lines


class _Reader:
    def __init__(self) -> None:
        self.blocks: list[Heading | Block] = []
        self.title: str | None = None
        self.paragraph: list[str] = []
        self.kind = "paragraph"

    def lines(self, lines: list[str]) -> None:
        at = 0
        while at < len(lines):
            line = lines[at]
            if fence := _FENCE.match(line):
                at = self.fenced(lines, at, fence[1])
                continue
            if line.startswith("    ") and line.strip() and not self.paragraph and not self.inside_list():
                at = self.indented(lines, at)
                continue
            self.line(line)
            at += 1
        self.finish()

    def line(self, line: str) -> None:
        if not line.strip():
            self.finish()
        elif heading := _ATX.match(line):
            self.heading(len(heading[1]), heading[2] or "")
        elif self.paragraph and self.kind == "paragraph" and (underline := _SETEXT.match(line)):
            text, self.paragraph = " ".join(self.paragraph), []
            self.heading(1 if "=" in underline[1] else 2, text)
        elif _RULE.match(line) or _REFERENCE.match(line):
            self.finish()
        elif "|" in line and _TABLE_RULE.match(line):
            pass
        elif line.lstrip().startswith("|"):
            self.finish()
            cells = [inline(cell) for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
            self.blocks.append(Block(" | ".join(cells), "row"))
        else:
            if item := _ITEM.match(line):
                self.finish()
                self.kind = "item"
                line = ("- " if item[1] in "-*+" else item[1] + " ") + line[item.end() :]
            self.paragraph.append(re.sub(r"^\s*(>\s?)+", "", line).strip())

    def inside_list(self) -> bool:
        return bool(self.blocks) and isinstance(self.blocks[-1], Block) and self.blocks[-1].kind == "item"

    def fenced(self, lines: list[str], at: int, fence: str) -> int:
        self.finish()
        end = at + 1
        while end < len(lines) and not re.match(rf"^\s*{re.escape(fence[0])}{{{len(fence)},}}\s*$", lines[end]):
            end += 1
        self.code(lines[at + 1 : end])
        return end + 1

    def indented(self, lines: list[str], at: int) -> int:
        end = at
        while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
            end += 1
        self.code(lines[at:end])
        return end

    def code(self, lines: list[str]) -> None:
        indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
        text = "\n".join(line[indent:].rstrip() for line in lines).strip("\n")
        if text.strip():
            self.blocks.append(Block(text, "code"))

    def heading(self, level: int, text: str) -> None:
        self.finish()
        text = inline(text)
        if text:
            self.title = self.title or text
            self.blocks.append(Heading(level, text))

    def finish(self) -> None:
        text = inline(" ".join(self.paragraph))
        if text and text != "-":
            self.blocks.append(Block(text, self.kind))
        self.paragraph, self.kind = [], "paragraph"


def inline(text: str) -> str:
    """Takes the marks out of one line; what stands between back-ticks is set aside meanwhile and comes back as it was."""
    code: list[str] = []

    def set_aside(span: re.Match[str]) -> str:
        code.append(span[2].strip())
        return f"\x00{len(code) - 1}\x00"

    text = re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", set_aside, text)
    text = re.sub(r"!\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\[([^\]]+)\](\([^()]*(\([^()]*\)[^()]*)*\)|\[[^\]]*\])", r"\1", text)
    text = re.sub(r"<(https?://[^>\s]+|[^>\s@]+@[^>\s]+)>", r"\1", text)
    text = re.sub(r"</?[a-zA-Z][^>]*>", " ", text)
    text = re.sub(r"(\*\*|__|~~)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = re.sub(r"(?<![\w*])\*(?=\S)([^*]+)(?<=\S)\*(?!\w)|(?<!\w)_(?=\S)([^_]+)(?<=\S)_(?!\w)", r"\1\2", text)
    text = html.unescape(re.sub(r"\\([\\`*_{}\[\]()#+\-.!|<>~])", r"\1", text))
    return one_line(re.sub(r"\x00(\d+)\x00", lambda mark: code[int(mark[1])], text))
