"""Each format, from bytes to passages."""

from __future__ import annotations

import samples

from parser.worker import parse


def passages(data: bytes, name: str = "", content_type: str = "") -> list[tuple[str | None, str]]:
    return [(p["heading"], p["text"]) for p in parse(data, name, content_type)["passages"]]  # type: ignore[index,union-attr]


def test_markdown_keeps_its_headings_and_its_code_and_loses_its_marks() -> None:
    text = b"""---
title: "The book"
---
# Stores
Each **store** belongs to [one](http://x.y/z) service, see [`motet store`](s.md).

## Backups
Run:

```sh
motet store backup library   # writes *one* file
```
- first
- second

| a | b |
|---|---|
| 1 | 2 |
"""
    found = parse(text, "stores.md", "")
    assert found["title"] == "The book"
    assert passages(text, "stores.md") == [
        ("Stores", "Each store belongs to one service, see motet store."),
        ("Stores › Backups", "Run:\n\nmotet store backup library   # writes *one* file\n\n- first\n- second\n\na | b\n1 | 2"),
    ]


def test_a_hash_in_code_is_no_heading() -> None:
    assert passages(b"# One\n\n```\n# not a heading\n```\n", "a.md") == [("One", "# not a heading")]


def test_html_is_read_without_menus_scripts_and_styles() -> None:
    page = b"""<!doctype html><html><head><title>Guide</title><style>p{}</style><script>alert("no")</script></head>
      <body><nav>Menu</nav><ul><li><a href=1>One</a><li><a href=2>Two</a><li><a href=3>Three</a></ul>
      <h1>Guide<a class="headerlink">#</a></h1><p>First &amp; <b>last</b>.<p>Unclosed.
      <h2>Code</h2><pre>a = 1\n  b = 2</pre><table><tr><th>k<th>v<tr><td>x<td>y</table><footer>Imprint</footer></body>"""
    assert passages(page) == [("Guide", "First & last.\n\nUnclosed."), ("Guide › Code", "a = 1\n  b = 2\n\nk | v\nx | y")]


def test_only_the_main_part_of_a_page_counts_when_it_is_marked() -> None:
    page = (
        b"<html><body><div>Shop</div><main><h1>T</h1><p>"
        + b"Words that matter. " * 20
        + b"</p></main><div>Ads</div></body></html>"
    )
    text = " ".join(text for _, text in passages(page))
    assert "matter" in text and "Shop" not in text and "Ads" not in text


def test_the_declared_character_set_is_used() -> None:
    page = '<html><meta charset="iso-8859-1"><p>Größe</p></html>'.encode("latin-1")
    assert passages(page) == [(None, "Größe")]
    assert passages("Größe".encode("utf-16"), "a.txt") == [(None, "Größe")]


def test_text_shows_its_headings_by_underlines_and_numbers() -> None:
    text = b"Title\n=====\n\nOne\nparagraph.\n\n2.1 Routing of calls\n\nTwo.\n\nPart\n----\n\n* a\n* b\n"
    assert passages(text, "x.txt") == [
        ("Title", "One paragraph."),
        ("Title › 2.1 Routing of calls", "Two."),
        ("Title › Part", "* a\n* b"),
    ]


def test_pages_of_text_are_counted_by_form_feeds() -> None:
    found = parse(b"One.\n\fTwo.\n\fThree.\n", "x.txt", "")
    assert found["passages"][0]["page"] == 1  # type: ignore[index]


def test_docx_has_headings_in_any_language_tables_and_no_table_of_contents() -> None:
    data = samples.docx(
        [("TM1", "Stores 3"), ("Titre1", "Stores"), ("", "One per service."), ("Titre2", "Backups"), ("row", "a|b")]
    )
    assert passages(data) == [("Stores", "One per service."), ("Stores › Backups", "a | b")]


def test_pdf_has_pages_and_the_headings_of_its_outline_and_joined_words() -> None:
    lines = ["Running head", "1 Stores", "Every service has a store of its own, and no-", "body else can reach what is in it."]
    data = samples.pdf(
        [lines, ["Running head", "Second page of words that follow."], ["Running head", "Third page."]], [("Stores", 0)]
    )
    found = parse(data, "x.pdf", "")["passages"]
    assert [(p["heading"], p["page"]) for p in found] == [("Stores", 1)]  # type: ignore[union-attr]
    text = found[0]["text"]  # type: ignore[index]
    assert "nobody else can reach" in text and "Running head" not in text and "Third page." in text


def test_without_a_name_the_content_tells_markdown_from_text() -> None:
    assert parse(b"# A\n\n- b\n- c\n", "", "")["format"] == "markdown"
    assert parse(b"Just words.\n", "", "")["format"] == "text"


def test_the_content_is_believed_and_not_the_name() -> None:
    assert parse(samples.pdf([["Words on a page."]]), "notes.txt", "text/plain")["format"] == "pdf"


def test_nothing_unprintable_gets_through() -> None:
    text = passages(b"a\x07b \xef\xac\x81ne \xed\xa0\x80 end", "x.txt")[0][1]
    assert "\x07" not in text
    text.encode("utf-8")
