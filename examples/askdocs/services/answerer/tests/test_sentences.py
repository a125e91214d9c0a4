"""What counts as a sentence, and as the same word."""

from __future__ import annotations

from answerer.callees import Hit
from answerer.extractive import _definition_of
from answerer.sentences import compounds, cut, words


def sentences(*texts: str) -> list[str]:
    return [s.core for s in cut([Hit("d", "T", str(at), text, None, None, at, 1.0) for at, text in enumerate(texts)])]


def test_lines_are_never_joined_and_prose_is_cut_into_sentences() -> None:
    text = "First one here, e.g. this. Second one here.\n\n- An item of three.\n- Another item here."
    assert sentences(text) == ["First one here, e.g. this.", "Second one here.", "An item of three.", "Another item here."]


def test_what_stands_in_two_passages_counts_once() -> None:
    assert sentences("A sentence on the cut.", "A sentence on the cut. And the next one.") == [
        "A sentence on the cut.",
        "And the next one.",
    ]


def test_questions_stubs_and_pointers_are_no_answers() -> None:
    assert (
        sentences("Why is that so? Too short. Please refer to the manual for this. For more information, see chapter two.") == []
    )


def test_words_are_the_same_in_all_their_forms() -> None:
    assert words("Backing up the stores") == words("a backup of a store")[:1] + words("store")
    assert words("restarts") == words("restarted") == words("restarting")
    assert words("What is MO-proxy-203?") == ["mo-proxy-203"]
    assert compounds("How do I back up and shut down a store?") == ["backup", "shutdown"]


def test_a_question_for_a_definition_is_recognised() -> None:
    asked = _definition_of("What is an edge?")
    assert asked and asked.match("An edge is a declared dependency.") and not asked.match("Ledges are")
    assert _definition_of("How long is the deadline?") is None
