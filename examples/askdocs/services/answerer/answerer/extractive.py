"""Answers a question with sentences of the passages that were found: at most three, each with its source. Pure.

A sentence is good when it means what was asked (its vector is near the question's), when it says the words that were asked for, and when it
stands in a passage that the search ranked high. When even the best is not good enough, the documents do not say it, and the answer says
that. The same question over the same passages always gets the same answer.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from .callees import Hit
from .sentences import Sentence, cut, words

SENTENCES_MAX = 3
CANDIDATES_MAX = 64
NOTHING = "The documents do not say anything about that."

MEANING, WORDS, RANK = 0.62, 0.25, 0.13
DEFINES = 0.08  # on top, for `An edge is …` when the question is what an edge is
# What the best sentence needs to be an answer at all, as (meaning, share of the question's words): found by asking things that
# real documents do say (0.45 to 0.89) and do not say (below 0.2, or near in meaning with the very subject missing).
ENOUGH = ((0.65, 0.0), (0.48, 0.35), (0.34, 0.60), (0.15, 0.95))
WORDS_ALONE = 0.45
UNDER_THE_HEADING = 0.5  # what a word counts that stands in the heading or the title instead
SHORT_WORDS, SHORT = 4, 0.9  # a few words under a fitting heading look better than they are
# A heading that asks the question is answered by what stands under it, unless that has nothing to do with it.
THE_QUESTION_ITSELF, UNRELATED = 0.85, 0.2
# What a further sentence needs: nearly as good as the best, and not the same once more.
NEARLY = 0.88
SAME_MEANING, SAME_WORDS = 0.90, 0.60


@dataclass(frozen=True)
class Quote:
    text: str
    hit: Hit


@dataclass
class _Scored:
    sentence: Sentence
    hit: Hit
    meaning: float | None
    overlap: float
    headed: float  # the share of the question's words that its heading holds
    score: float
    vector: list[float] | None


def candidates(hits: list[Hit]) -> list[Sentence]:
    return cut(hits)[:CANDIDATES_MAX]


def to_embed(question: str, sentences: list[Sentence]) -> list[str]:
    """What the embedder is asked for: the question, then each sentence."""
    return [question, *(sentence.core for sentence in sentences)]


def choose(question: str, hits: list[Hit], sentences: list[Sentence], vectors: list[list[float]] | None) -> list[Quote]:
    """The sentences that answer, in reading order; none when nothing is relevant enough."""
    scored = _score(question, hits, sentences, vectors)
    scored.sort(key=lambda s: (-s.score, s.sentence.hit, s.sentence.place))
    answering = [candidate for candidate in scored if _answers(candidate)]
    chosen: list[_Scored] = []
    for candidate in answering:
        near = candidate.score >= NEARLY * answering[0].score
        if near and not any(_same(candidate, other) for other in chosen):
            chosen.append(candidate)
        if len(chosen) == SENTENCES_MAX:
            break
    chosen.sort(key=lambda s: (_first_hit_of(s.hit.document, hits), s.hit.ordinal, s.sentence.place))
    return [Quote(s.sentence.text, s.hit) for s in chosen]


def _score(question: str, hits: list[Hit], sentences: list[Sentence], vectors: list[list[float]] | None) -> list[_Scored]:
    asked = set(words(question))
    said = [set(words(sentence.core)) for sentence in sentences]
    frequency = Counter(word for bag in said for word in bag & asked)
    weight = {word: math.log(1 + (1 + len(said)) / (1 + frequency[word])) for word in asked}
    whole = sum(weight.values()) or 1.0
    subject = _definition_of(question)
    scored = []
    for number, sentence in enumerate(sentences):
        hit = hits[sentence.hit]
        heading = set(words(hit.heading or ""))
        around = heading | set(words(hit.title))
        overlap = sum(weight[word] * _said(word, said[number], around) for word in asked) / whole
        meaning = sum(a * b for a, b in zip(vectors[0], vectors[number + 1])) if vectors else None
        rank = 1 / (1 + sentence.hit)
        total = WORDS + RANK
        score = (WORDS * overlap + RANK * rank) / total if meaning is None else MEANING * meaning + WORDS * overlap + RANK * rank
        score += DEFINES if subject and subject.match(sentence.core) else 0.0
        score *= SHORT if len(said[number]) < SHORT_WORDS else 1.0
        headed = sum(weight[word] for word in asked & heading) / whole
        scored.append(_Scored(sentence, hit, meaning, overlap, headed, score, vectors[number + 1] if vectors else None))
    return scored


def _said(word: str, sentence: set[str], around: set[str]) -> float:
    """How much of a word is there. A page whose title holds `MO-proxy-203` is about it, whatever its sentences call it."""
    if word in sentence or word in around and any(letter.isdigit() for letter in word):
        return 1.0
    return UNDER_THE_HEADING if word in around else 0.0


def _definition_of(question: str) -> re.Pattern[str] | None:
    """How a sentence begins that defines what was asked for, if a definition was asked for."""
    asked = re.fullmatch(r"(?:what|who) (?:is|are) (?:an? |the )?([\w -]{2,40}?)\W*", question.strip(), re.I)
    return re.compile(rf"(?:an? |the )?{re.escape(asked[1])}s? (?:is|are) ", re.I) if asked else None


def _answers(candidate: _Scored) -> bool:
    if candidate.meaning is None:
        return candidate.overlap >= WORDS_ALONE
    if candidate.headed >= THE_QUESTION_ITSELF and candidate.meaning >= UNRELATED:
        return True
    return any(candidate.meaning >= meaning and candidate.overlap >= overlap for meaning, overlap in ENOUGH)


def _same(one: _Scored, other: _Scored) -> bool:
    if one.sentence.core in other.sentence.text or other.sentence.core in one.sentence.text:
        return True
    if one.vector and other.vector and sum(a * b for a, b in zip(one.vector, other.vector)) >= SAME_MEANING:
        return True
    a, b = set(words(one.sentence.core)), set(words(other.sentence.core))
    return len(a & b) >= SAME_WORDS * max(1, min(len(a), len(b)))


def _first_hit_of(document: str, hits: list[Hit]) -> int:
    return next(number for number, hit in enumerate(hits) if hit.document == document)
