"""Small documents, made by hand, so that a reader sees what is in them."""

from __future__ import annotations

import io
import zipfile


def pdf(pages: list[list[str]], outline: list[tuple[str, int]] = (), extra: str = "") -> bytes:  # type: ignore[assignment]
    """A PDF with one list of lines per page, and bookmarks as (title, page from 0)."""
    objects: list[str] = []

    def add(body: str) -> int:
        objects.append(body)
        return len(objects)

    catalog, tree, font = add(""), add(""), add("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    kids = []
    for lines in pages:
        shown = "".join(f"({_escaped(line)}) Tj 0 -16 Td " for line in lines)
        stream = f"BT /F1 11 Tf 60 760 Td {shown}ET"
        content = add(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
        kids.append(add(f"<< /Type /Page /Parent {tree} 0 R /MediaBox [0 0 612 792] /Contents {content} 0 R /Resources << /Font << /F1 {font} 0 R >> >> >>"))  # fmt: skip
    marks = ""
    if outline:
        first = len(objects) + 2
        root = add(f"<< /Type /Outlines /First {first} 0 R /Last {first + len(outline) - 1} 0 R /Count {len(outline)} >>")
        for at, (title, page) in enumerate(outline):
            links = (f"/Prev {first + at - 1} 0 R " if at else "") + (
                f"/Next {first + at + 1} 0 R " if at + 1 < len(outline) else ""
            )
            add(f"<< /Title ({_escaped(title)}) /Parent {root} 0 R {links}/Dest [{kids[page]} 0 R /Fit] >>")
        marks = f"/Outlines {root} 0 R "
    objects[catalog - 1] = f"<< /Type /Catalog /Pages {tree} 0 R {marks}>>"
    objects[tree - 1] = f"<< /Type /Pages /Count {len(kids)} /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>"
    out, offsets = "%PDF-1.5\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {extra}>>\nstartxref\n{len(out)}\n%%EOF\n"
    return (out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}").encode("latin-1")


def encrypted_pdf() -> bytes:
    """A PDF that asks for a password: its keys belong to one that nobody knows."""
    key = "00" * 32
    return pdf([["Secret"]], extra=f"/ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{key}> /U <{key}> >> ")


def _escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def docx(paragraphs: list[tuple[str, str]], before: str = "") -> bytes:
    """A Word document of (style id, text); a row of a table is ("row", "a|b")."""
    body = ""
    for style, text in paragraphs:
        if style == "row":
            cells = "".join(f"<w:tc><w:p><w:r><w:t>{cell}</w:t></w:r></w:p></w:tc>" for cell in text.split("|"))
            body += f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"
        else:
            body += f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'
    styles = "".join(
        f'<w:style w:styleId="{style}"><w:name w:val="{name}"/></w:style>'
        for style, name in (("Titre1", "heading 1"), ("Titre2", "heading 2"), ("TM1", "toc 1"))
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f"{before}<w:document {_W}><w:body>{body}</w:body></w:document>")
        archive.writestr("word/styles.xml", f"<w:styles {_W}>{styles}</w:styles>")
    return out.getvalue()


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return out.getvalue()
