"""Twenty documents that other people wrote, with a question that each of them answers."""

from __future__ import annotations

import gzip
import io
import subprocess
from dataclasses import dataclass
from pathlib import Path

import docx

HERE = Path(__file__).resolve().parent
TREE = HERE / ".documents" / "tree" / "usr" / "share"


@dataclass(frozen=True)
class Document:
    """A file inside Debian's packages, what it is called when it is added, and what to ask it."""

    path: str
    name: str
    kind: str
    question: str

    def content(self) -> bytes:
        found = TREE / self.path
        raw = found.read_bytes() if found.exists() else gzip.decompress((TREE / f"{self.path}.gz").read_bytes())
        return as_docx(raw.decode()) if self.name.endswith(".docx") else raw


PDF, HTML, MARKDOWN, TEXT = "application/pdf", "text/html", "text/markdown", "text/plain"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

DOCUMENTS = [
    Document("doc/maint-guide/maint-guide.en.pdf", "maint-guide.pdf", PDF, "What does the program quilt do for a Debian package?"),
    Document("developers-reference/developers-reference.pdf", "developers-reference.pdf", PDF, "When is a non-maintainer upload (NMU) appropriate?"),
    Document("doc/shared-mime-info/shared-mime-info-spec.pdf", "shared-mime-info-spec.pdf", PDF, "How is the MIME type of a file found from its glob patterns and magic?"),
    Document("doc/debian/FAQ/basic-defs.en.html", "basic-defs.html", HTML, "What is the difference between Debian GNU/Linux and other Linux distributions?"),
    Document("doc/debian/FAQ/kernel.en.html", "kernel.html", HTML, "What tools does Debian provide to build custom kernels?"),
    Document("doc/debian/FAQ/redistributing.en.html", "redistributing.html", HTML, "Can I make and sell Debian CDs?"),
    Document("doc/debian/FAQ/uptodate.en.html", "uptodate.html", HTML, "Can I automatically update the system with cron-apt?"),
    Document("doc/debian-policy/fhs/fhs-3.0.html", "fhs-3.0.html", HTML, "What is the purpose of /srv in the file system hierarchy?"),
    Document("doc/debian-policy/policy.html/ch-sharedlibs.html", "policy-sharedlibs.html", HTML, "When must the SONAME of a shared library change?"),
    Document("doc/debian-policy/debconf_specification.html", "debconf-specification.html", HTML, "Which debconf priority is for items that would break the system without user intervention?"),
    Document("doc/nodejs/api/dgram.md", "dgram.md", MARKDOWN, "How do I join a multicast group on a UDP socket?"),
    Document("doc/nodejs/api/zlib.md", "zlib.md", MARKDOWN, "How do I compress with Brotli in Node?"),
    Document("doc/nodejs/api/child_process.md", "child_process.md", MARKDOWN, "What is the difference between spawn, exec and fork of a child process?"),
    Document("doc/nodejs/api/readline.md", "readline.md", MARKDOWN, "How do I read a file stream line by line with readline?"),
    Document("doc/nodejs/api/punycode.md", "punycode.md", MARKDOWN, "What does the punycode module do?"),
    Document("doc/debian-policy/copyright-format-1.0.txt", "copyright-format.txt", TEXT, "Which fields does a Files paragraph of a machine-readable debian/copyright file have?"),
    Document("doc/debian-policy/menu-policy.txt", "menu-policy.txt", TEXT, "Which sections does the Debian menu hierarchy have?"),
    Document("doc/debian-policy/upgrading-checklist.txt", "upgrading-checklist.txt", TEXT, "When did Debian formally move from the FSSTND to the FHS?"),
    Document("doc/debian-policy/perl-policy.txt", "perl-policy.docx", DOCX, "Where do vendor Perl modules have to be installed?"),
    Document("doc/debian-policy/autopkgtest.txt", "autopkgtest.docx", DOCX, "Which restrictions can a test in debian/tests/control declare?"),
]  # fmt: skip


def fetch() -> None:
    subprocess.run(["sh", str(HERE / "real-documents.sh")], check=True, stdin=subprocess.DEVNULL, timeout=300)


def as_docx(text: str) -> bytes:
    """Debian ships no docx: the same words, written by the library with which most programs write docx."""
    written = docx.Document()
    for paragraph in text.split("\n\n"):
        words = " ".join(paragraph.split())
        is_heading = bool(words) and words[0].isdigit() and len(words) < 70
        if words:
            written.add_heading(words, level=2) if is_heading else written.add_paragraph(words)
    packed = io.BytesIO()
    written.save(packed)
    return packed.getvalue()
