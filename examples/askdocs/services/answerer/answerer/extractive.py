"""Answers a question with sentences of the passages that were found: at most three, each with its source. Pure.

A sentence is good when it means what was asked (its vector is near the question's), when it says the words that were asked for, and when it
stands in a passage that the search ranked high. When even the best is not good enough, the documents do not say it, and the answer says
that. The same question over the same passages always gets the same answer.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from .callees import Hit
from .sentences import Sentence, cut, words

SENTENCES_MAX = 3
CANDIDATES_MAX = 96
NOTHING = "The documents do not say anything about that."

MEANING, WORDS, RANK = 0.65, 0.25, 0.10
# What a sentence needs to be an answer at all; found by asking questions that the corpus does and does not answer.
MEANING_ENOUGH = 0.50
MEANING_WITH_WORDS, WORDS_WITH_MEANING = 0.38, 0.50
WORDS_ALONE = 0.60
# What a further sentence needs: nearly as good as the best, and not the same once more.
NEARLY = 0.85
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
    score: float
    vector: list[float] | None


def candidates(hits: list[Hit]) -> list[Sentence]:
    return cut(hits)[:CANDIDATES_MAX]


def to_embed(question: str, sentences: list[Sentence], hits: list[Hit]) -> list[str]:
    """What the embedder is asked for: the question, then each sentence under its heading, which often holds the subject."""
    return [question, *(_with_heading(sentence, hits[sentence.hit]) for sentence in sentences)]


def _with_heading(sentence: Sentence, hit: Hit) -> str:
    leaf = (hit.heading or hit.title).rsplit("›", 1)[-1].strip()
    return f"{leaf}: {sentence.core}"


def choose(question: str, hits: list[Hit], sentences: list[Sentence], vectors: list[list[float]] | None) -> list[Quote]:
    """The sentences that answer, in reading order; none when nothing is relevant enough."""
    scored = _score(question, hits, sentences, vectors)
    scored.sort(key=lambda s: (-s.score, s.sentence.hit, s.sentence.place))
    if not scored or not _answers(scored[0]):
        return []
    chosen: list[_Scored] = []
    for candidate in scored:
        near = candidate.score >= NEARLY * scored[0].score and _answers(candidate)
        if near and not any(_same(candidate, other) for other in chosen):
            chosen.append(candidate)
        if len(chosen) == SENTENCES_MAX:
            break
    chosen.sort(key=lambda s: (_first_hit_of(s.hit.document, hits), s.hit.ordinal, s.sentence.place))
    return [Quote(s.sentence.text, s.hit) for s in chosen]


def _score(
    question: str, hits: list[Hit], sentences: list[Sentence], vectors: list[list[float]] | None
) -> list[_Scored]:
    asked = set(words(question))
    said = [set(words(sentence.core)) for sentence in sentences]
    frequency = Counter(word for bag in said for word in bag & asked)
    weight = {word: math.log(1 + (1 + len(said)) / (1 + frequency[word])) for word in asked}
    whole = sum(weight.values()) or 1.0
    scored = []
    for number, sentence in enumerate(sentences):
        hit = hits[sentence.hit]
        around = set(words(f"{hit.heading or ''} {hit.title}"))
        overlap = sum(weight[w] * (1.0 if w in said[number] else 0.5 if w in around else 0.0) for w in asked) / whole
        meaning = sum(a * b for a, b in zip(vectors[0], vectors[number + 1])) if vectors else None
        rank = 1 / (1 + sentence.hit)
        total = WORDS + RANK
        score = (WORDS * overlap + RANK * rank) / total if meaning is None else MEANING * meaning + WORDS * overlap + RANK * rank
        scored.append(_Scored(sentence, hit, meaning, overlap, score, vectors[number + 1] if vectors else None))
    return scored


def _answers(candidate: _Scored) -> bool:
    if candidate.meaning is None:
        return candidate.overlap >= WORDS_ALONE
    both = candidate.meaning >= MEANING_WITH_WORDS and candidate.overlap >= WORDS_WITH_MEANING
    return candidate.meaning >= MEANING_ENOUGH or both


def _same(one: _Scored, other: _Scored) -> bool:
    if one.sentence.core in other.sentence.text or other.sentence.core in one.sentence.text:
        return True
    if one.vector and other.vector and sum(a * b for a, b in zip(one.vector, other.vector)) >= SAME_MEANING:
        return True
    a, b = set(words(one.sentence.core)), set(words(other.sentence.core))
    return len(a & b) >= SAME_WORDS * max(1, min(len(a), len(b)))


def _first_hit_of(document: str, hits: list[Hit]) -> int:
    return next(number for number, hit in enumerate(hits) if hit.document == document)
