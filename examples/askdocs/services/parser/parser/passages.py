"""Cuts a row of blocks into passages: what is searched, embedded and cited.

A passage never crosses a heading, aims at 120 to 200 words, ends at the end of a paragraph or of a sentence, and repeats the last
sentence of the one before it, so that what stands on the cut is found from both sides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .document import Block, Extract, Heading, Unreadable, at_most

WORDS_ENOUGH = 120
WORDS_MAX = 200
OVERLAP_WORDS_MAX = 30
PASSAGES_MAX = 5000
HEADING_BYTES_MAX = 900
HEADING_SEPARATOR = " › "

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9À-ÞА-Я])|(?<=[。！？])")
_NOT_AN_END = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|Mr|Mrs|Ms|Dr|Prof|St|No|Nr|Fig|Sec|Ch|Vol|pp?|al|ca|approx|Inc|Ltd|Jr|Sr)|\b[A-Z])\.$")  # fmt: skip


@dataclass
class Piece:
    """The smallest thing that is never cut: a sentence, or a line of code."""

    text: str
    page: int | None
    joint: str  # what stands between it and the piece before it
    words: int


def cut(extract: Extract) -> list[dict[str, object]]:
    passages: list[dict[str, object]] = []
    path: list[Heading] = []
    section: list[Block] = []

    def finish() -> None:
        for text, page in _cut_section(section):
            if len(passages) >= PASSAGES_MAX:
                detail = f"It makes more than {PASSAGES_MAX} passages. Split it."
                raise Unreadable("document-too-large", "The document is too long", detail)
            heading = at_most(HEADING_SEPARATOR.join(part.text for part in path), HEADING_BYTES_MAX) or None
            passages.append({"ordinal": len(passages), "text": text, "heading": heading, "page": page})
        section.clear()

    for block in extract.blocks:
        if isinstance(block, Block):
            section.append(block)
            continue
        finish()
        path = [part for part in path if part.level < block.level] + [block]
    finish()
    return passages or _only_headings(extract)


def _only_headings(extract: Extract) -> list[dict[str, object]]:
    """A document of nothing but headings, such as an agenda, still says something."""
    text = "\n".join(block.text for block in extract.blocks)
    return [{"ordinal": 0, "text": text[:6000], "heading": None, "page": None}] if text.strip() else []


def _cut_section(section: list[Block]) -> list[tuple[str, int | None]]:
    pieces = [piece for at, block in enumerate(section) for piece in _pieces(block, section[at - 1] if at else None)]
    out: list[list[Piece]] = []
    held: list[Piece] = []
    words = 0
    for piece in pieces:
        new_paragraph = piece.joint == "\n\n"
        if held and (words + piece.words > WORDS_MAX or words >= WORDS_ENOUGH and new_paragraph):
            out.append(held)
            held = _overlap(held)
            words = sum(piece.words for piece in held)
        held.append(piece)
        words += piece.words
    if held:
        out.append(held)
    return [(_text(pieces), next((p.page for p in pieces if p.page), None)) for pieces in _without_stub(out)]


def _without_stub(passages: list[list[Piece]]) -> list[list[Piece]]:
    """A short rest is no passage of its own when the one before it has room."""
    if len(passages) >= 2:
        before, rest = passages[-2], passages[-1]
        fresh = rest[len(_overlap(before)) :]
        if sum(p.words for p in fresh) < 40 and sum(p.words for p in before + fresh) <= WORDS_MAX + 40:
            return [*passages[:-2], before + fresh]
    return passages


def _overlap(pieces: list[Piece]) -> list[Piece]:
    last = pieces[-1]
    return [last] if last.words <= OVERLAP_WORDS_MAX and len(pieces) > 1 else []


def _text(pieces: list[Piece]) -> str:
    return pieces[0].text + "".join(piece.joint + piece.text for piece in pieces[1:])


def _pieces(block: Block, before: Block | None) -> list[Piece]:
    tight = before is not None and block.kind == before.kind and block.kind in ("item", "row")
    first, inner = ("\n" if tight else "\n\n"), ("\n" if block.kind == "code" else " ")
    parts = block.text.split("\n") if block.kind == "code" else sentences(block.text)
    parts = [short for part in parts for short in _shortened(part)]
    return [Piece(part, block.page, first if at == 0 else inner, count_words(part)) for at, part in enumerate(parts)]


def sentences(text: str) -> list[str]:
    out: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if _NOT_AN_END.search(text[start : end.start()]):
            continue
        out.append(text[start : end.end()].strip())
        start = end.end()
    out.append(text[start:].strip())
    return [sentence for sentence in out if sentence]


def _shortened(sentence: str) -> list[str]:
    """A "sentence" without an end (a list of names, a table, base64) is cut after so many words or letters."""
    out = []
    while count_words(sentence) > WORDS_MAX or len(sentence) > 2000:
        words = list(_WORD.finditer(sentence[:2000]))
        at = words[min(WORDS_MAX // 2, len(words)) - 1].end() if len(words) > 1 else 2000
        out.append(sentence[:at])
        sentence = sentence[at:].lstrip(" ")
    return [*out, sentence] if sentence or not out else out


def count_words(text: str) -> int:
    """Words, or what weighs as much: a letter of a language without blanks, forty letters of something endless."""
    return sum(1 + len(word[0]) // 40 for word in _WORD.finditer(text))
