"""Every command that the README and the book tell people to type does what it should.

`cargo xtask commands` collects them. A command for a reader's own folder runs in one; the addresses and folders of the
documents stand for those of the system under test. What starts the tests themselves is not run again.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from system import EXAMPLE, REPOSITORY, System, free_port

# What is shown on a system of its own has a test of its own, in `crates/motet/tests` (`book.rs`, `views.rs`): pages, and a section.
PAGES_OF_THEIR_OWN = ("events.md", "jobs.md", "views.md")
SECTION_OF_ITS_OWN = "## Events in ten lines"
BOOK = [page for page in sorted((REPOSITORY / "docs").glob("*.md")) if page.name not in PAGES_OF_THEIR_OWN]
DOCUMENTS = (REPOSITORY / "README.md", EXAMPLE / "README.md", *BOOK)
# These start the tests, or put the binary under test on the path.
ELSEWHERE = ("cargo xtask", "cargo install")
# These end only when somebody ends them: that they go on is what is right.
ENDLESS = (" up", " --follow")


def commands(document: Path) -> list[str]:
    found, inside, section = [], False, ""
    for line in document.read_text().splitlines():
        if line.startswith("## "):
            section = line
        if line.startswith("```"):
            inside = line.strip() == "```console" and section != SECTION_OF_ITS_OWN
        elif inside and line.startswith("$ "):
            found.append(line[2:])
    return found


ALL = [
    pytest.param(document, command, id=f"{document.name}: {command[:60]}")
    for document in DOCUMENTS
    for command in commands(document)
    if not command.startswith(ELSEWHERE)
]


@pytest.fixture(scope="module")
def greetings(running: System, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the book's own small system is made: `motet new system greetings`, `cd greetings`."""
    return tmp_path_factory.mktemp("reader")


def test_the_documents_have_commands() -> None:
    assert len(ALL) > 15


@pytest.mark.parametrize(("document", "command"), ALL)
def test_a_documented_command_works(askdocs: System, greetings: Path, document: Path, command: str) -> None:
    environment = {
        **os.environ,
        "PATH": f"{askdocs.binary.parent}:{os.environ['PATH']}",
        "ASKDOCS_PORT": str(askdocs.port),
    }
    command = command.replace("cargo run --release --", "motet")
    folder = REPOSITORY
    if document.name == "introduction.md" and "examples/askdocs" not in command:
        folder = greetings / "greetings" if (greetings / "greetings").exists() else greetings
        if command.startswith("cd "):
            assert folder.name == command.removeprefix("cd ")
            port = free_port()
            definition = folder / "motet.yaml"
            definition.write_text(definition.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
            (greetings / "port").write_text(str(port))
            return
        if (greetings / "port").exists():
            command = command.replace("127.0.0.1:8080", f"127.0.0.1:{(greetings / 'port').read_text()}")
        if command == "motet up":
            command = "motet up --detach --wait"
    else:
        environment["MOTET_STATE"] = str(askdocs.state)
        command = command.replace("127.0.0.1:8080", f"127.0.0.1:{askdocs.port}")
        if document.name == "scaling.md":
            command = command.replace("motet ", "motet -C examples/askdocs ")
    if command.startswith("curl "):
        command = command.replace("curl ", "curl --fail ")
    endless = command.endswith(ENDLESS)
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", f"exec {command}" if endless else command],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=8 if endless else 120,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        assert endless, f"{command} did not end"
        return
    assert done.returncode == 0 and not endless, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module", autouse=True)
def leave_as_found(running: System, greetings: Path):
    yield
    subprocess.run([running.binary, "down"], cwd=greetings / "greetings", capture_output=True, timeout=60, check=False)
    running.motet("call", "embedder", "/faults", "-X", "DELETE", check=False)
    running.motet("scale", "embedder=1", "answerer=1", check=False)
