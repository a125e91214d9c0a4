"""Cuts passages into sentences that can stand alone in an answer. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .callees import Hit

WORDS_MIN, WORDS_MAX = 3, 90
ALONE_WORDS_MAX = 60

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_TOKEN = re.compile(r"[^\W_]+(?:[-._'’][^\W_]+)*")
_PARTICLES = ("up", "out", "off", "down")
_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]?[A-Z0-9À-ÞА-Я])|(?<=[。！？])")
_NOT_AN_END = re.compile(r"(?:\b(?:e\.g|i\.e|etc|cf|vs|Mr|Mrs|Ms|Dr|Prof|St|No|Nr|Fig|Sec|Ch|Vol|pp?|al|ca|approx|Inc|Ltd)|\b[A-Z])\.$")  # fmt: skip
_LEANS_ON_THE_ONE_BEFORE = re.compile(r"^(It|This|That|These|Those|They|Such|He|She|Here|Otherwise|However|Then|But|And|So|Therefore|In this case)\b")  # fmt: skip
_ONLY_POINTS_ELSEWHERE = re.compile(
    r"^(Please |For (more|further|details|information)\b.{0,60}?)?(see|refer to|read|consult)\b", re.I
)
_STOP_WORDS = frozenset(
    "a an and are as at be been but by can could did do does for from had has have how i if in into is it its may me mean means my no not of on"
    " or our shall should so some such than that the their them then there these they this those to was we were what when where"
    " which who whom whose why will with would you your".split()
)


@dataclass(frozen=True)
class Sentence:
    hit: int  # which of the hits it stands in, from 0
    place: int  # where in that passage
    text: str  # as it is shown
    core: str  # what it says itself: without what was put before or after it to make it understandable


def cut(hits: list[Hit]) -> list[Sentence]:
    """All sentences of all passages; what stands in two passages that overlap counts once, for the better one."""
    sentences, seen = [], set()
    for number, hit in enumerate(hits):
        units = _units(hit.text)
        for place, unit in enumerate(units):
            key = " ".join(words(unit))
            count = len(_WORD.findall(unit))
            if key in seen or not WORDS_MIN <= count <= WORDS_MAX or unit.endswith("?") or _ONLY_POINTS_ELSEWHERE.match(unit):
                continue
            seen.add(key)
            sentences.append(Sentence(number, place, _shown(units, place), unit))
    return sentences


def _units(text: str) -> list[str]:
    """A line is never part of two sentences (prose comes in one line per paragraph); within it, sentences are."""
    units = []
    for line in text.split("\n"):
        start = 0
        for end in _END.finditer(line):
            if not _NOT_AN_END.search(line[start : end.start()]):
                units.append(line[start : end.end()].strip())
                start = end.end()
        units.append(line[start:].strip())
    return [re.sub(r"^[-*•] ", "", unit) for unit in units if unit]


def _shown(units: list[str], place: int) -> str:
    """`It does so twice.` says nothing without the sentence before, `Run:` nothing without the one after."""
    text = units[place]
    if place and _LEANS_ON_THE_ONE_BEFORE.match(text) and re.search(r"[.!?]$", units[place - 1]):
        longer = f"{units[place - 1]} {text}"
        text = longer if len(_WORD.findall(longer)) <= ALONE_WORDS_MAX else text
    if text.endswith(":") and place + 1 < len(units):
        text = f"{text} {units[place + 1]}"
    return text


def words(text: str) -> list[str]:
    """The words that carry meaning, reduced to something like their stems.

    What holds a digit stays whole (`MO-proxy-203`, `3.11`), and a verb and its particle are one word, as they are when they are a noun
    (`back up`, `backup`).
    """
    found: list[str] = []
    for token in _TOKEN.findall(text.lower()):
        parts = [token] if any(letter.isdigit() for letter in token) else re.split(r"[-._]", token)
        for part in parts:
            if part in _PARTICLES and found and found[-1] not in _STOP_WORDS:
                found[-1] = _stem(found[-1]) + part
            else:
                found.append(part)
    return [_stem(word) for word in found if word not in _STOP_WORDS]


def compounds(text: str) -> list[str]:
    """The nouns that the verbs of a question would be: `backup` for `back up`. Documents use the one, questions the other."""
    pairs = re.findall(rf"\b([^\W\d_]{{3,}}) ({'|'.join(_PARTICLES)})\b", text.lower())
    return [verb + particle for verb, particle in pairs if verb not in _STOP_WORDS]


def _stem(word: str) -> str:
    for suffix in ("'s", "’s", "ations", "ation", "ings", "ing", "ies", "ied", "edly", "ed", "es", "ly", "s", "e", "y"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word
