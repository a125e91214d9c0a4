"""Word's .docx: a zip with XML in it, read with the standard library.

Both layers can be bombs, so no part is unpacked beyond a limit, and a document type declaration (the door to entity
bombs, which Word never writes) is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from xml.etree import ElementTree

from ..document import Block, Extract, Heading, Unreadable, one_line

PART_LIMIT_BYTES = 48 * 1024 * 1024
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_SKIPPED = {f"{_W}del", f"{_W}instrText", "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"}


_CONTENTS = 0  # the "level" of a line of the table of contents: left out


def read(data: bytes, charset: str | None) -> Extract:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        body = _part(archive, "word/document.xml").find(f"{_W}body")
        levels = _heading_levels(archive)
        title = _title(archive)
    except (
        zipfile.BadZipFile,
        ElementTree.ParseError,
        zlib.error,
        KeyError,
        ValueError,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise Unreadable("broken-document", "The document is broken", f"The Word file cannot be read ({error}).") from error
    blocks: list[Heading | Block] = []
    if body is not None:
        _walk(body, levels, blocks)
    headline = next((block.text for block in blocks if isinstance(block, Heading)), None)
    return Extract(title or headline, blocks)


def _part(archive: zipfile.ZipFile, name: str) -> ElementTree.Element:
    with archive.open(name) as part:
        xml = part.read(PART_LIMIT_BYTES + 1)
    if len(xml) > PART_LIMIT_BYTES:
        raise Unreadable(
            "document-too-large",
            "The document is too large",
            f"{name} in it unpacks to more than {PART_LIMIT_BYTES // 1024**2} MB.",
            413,
        )
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise Unreadable("broken-document", "The document is broken", f"{name} in it declares entities, which Word never does.")
    return ElementTree.fromstring(xml)


def _heading_levels(archive: zipfile.ZipFile) -> dict[str, int]:
    """Style id to level: by the style's outline level or, as translated Words keep it, by its name `heading 2`."""
    if "word/styles.xml" not in archive.namelist():
        return {}
    levels = {}
    for style in _part(archive, "word/styles.xml").iter(f"{_W}style"):
        name = style.find(f"{_W}name")
        outline = style.find(f"{_W}pPr/{_W}outlineLvl")
        called = re.fullmatch(r"heading (\d)", (name.get(f"{_W}val", "") if name is not None else "").lower())
        if called:
            levels[style.get(f"{_W}styleId", "")] = int(called[1])
        elif name is not None and name.get(f"{_W}val", "").lower().startswith("toc "):
            levels[style.get(f"{_W}styleId", "")] = _CONTENTS
        elif outline is not None and outline.get(f"{_W}val", "9").isdigit() and int(outline.get(f"{_W}val", "9")) < 9:
            levels[style.get(f"{_W}styleId", "")] = int(outline.get(f"{_W}val", "0")) + 1
        elif name is not None and name.get(f"{_W}val", "").lower() == "title":
            levels[style.get(f"{_W}styleId", "")] = 1
    return levels


def _title(archive: zipfile.ZipFile) -> str | None:
    if "docProps/core.xml" not in archive.namelist():
        return None
    return one_line(_part(archive, "docProps/core.xml").findtext(f"{_DC}title") or "") or None


def _walk(parent: ElementTree.Element, levels: dict[str, int], blocks: list[Heading | Block]) -> None:
    for child in parent:
        if child.tag == f"{_W}p":
            _paragraph(child, levels, blocks)
        elif child.tag == f"{_W}tbl":
            for row in child.iter(f"{_W}tr"):
                cells = [one_line(" ".join(_text(p) for p in cell.iter(f"{_W}p"))) for cell in row.findall(f"{_W}tc")]
                if any(cells):
                    blocks.append(Block(" | ".join(cells), "row"))
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
            _walk(child, levels, blocks)


def _paragraph(paragraph: ElementTree.Element, levels: dict[str, int], blocks: list[Heading | Block]) -> None:
    text = one_line(_text(paragraph))
    if not text:
        return
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    style_id = style.get(f"{_W}val", "") if style is not None else ""
    if levels.get(style_id) == _CONTENTS:
        return
    if style_id in levels:
        blocks.append(Heading(levels[style_id], text))
    elif paragraph.find(f"{_W}pPr/{_W}numPr") is not None or style_id.lower().startswith("list"):
        blocks.append(Block(f"- {text}", "item"))
    else:
        blocks.append(Block(text))


def _text(element: ElementTree.Element) -> str:
    if element.tag in _SKIPPED:
        return ""
    if element.tag == f"{_W}t":
        return element.text or ""
    if element.tag in (f"{_W}tab", f"{_W}br", f"{_W}cr"):
        return " "
    if element.tag == f"{_W}noBreakHyphen":
        return "-"
    return "".join(_text(child) for child in element)
