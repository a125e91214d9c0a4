"""Where passages begin and end."""

from __future__ import annotations

from parser.document import Block, Extract, Heading
from parser.passages import WORDS_MAX, count_words, cut, sentences


def texts(*blocks: Heading | Block) -> list[str]:
    return [str(p["text"]) for p in cut(Extract(None, list(blocks)))]


def test_a_passage_ends_with_a_sentence_and_repeats_it_in_the_next() -> None:
    numbered = [f"This is sentence number {at} of a long story that goes on." for at in range(60)]
    found = texts(Block(" ".join(numbered)))
    assert len(found) > 2
    for one, next_one in zip(found, found[1:]):
        assert count_words(one) <= WORDS_MAX
        assert one.endswith("goes on.")
        assert next_one.startswith(sentences(one)[-1])
    assert all(any(sentence in text for text in found) for sentence in numbered)


def test_a_passage_never_crosses_a_heading() -> None:
    assert texts(Heading(1, "A"), Block("One."), Heading(1, "B"), Block("Two.")) == ["One.", "Two."]


def test_a_lower_heading_closes_the_deeper_ones() -> None:
    blocks = [Heading(1, "A"), Heading(3, "B"), Block("x"), Heading(2, "C"), Block("y")]
    assert [p["heading"] for p in cut(Extract(None, blocks))] == ["A › B", "A › C"]


def test_abbreviations_end_no_sentence() -> None:
    assert sentences("See e.g. Smith, J. Doe and Fig. 3. Then go on.") == ["See e.g. Smith, J. Doe and Fig. 3.", "Then go on."]


def test_words_without_end_are_cut_all_the_same() -> None:
    found = texts(Block("word " * 5000))
    assert max(count_words(text) for text in found) <= WORDS_MAX + 60
    assert max(len(text) for text in texts(Block("x" * 50000))) < 9000


def test_code_is_cut_between_lines() -> None:
    found = texts(Block("\n".join(f"line_{at} = call(one, two, three)" for at in range(200)), "code"))
    assert len(found) > 3 and all(line.startswith("line_") for text in found for line in text.split("\n"))


def test_languages_without_blanks_are_cut_too() -> None:
    assert len(texts(Block("これは長い文章です。" * 200))) > 3


def test_a_document_of_headings_only_still_says_something() -> None:
    assert texts(Heading(1, "Agenda"), Heading(2, "Budget")) == ["Agenda\nBudget"]
