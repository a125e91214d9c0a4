"""The inboxes of docs/inbox.md, in services of two instances each: the same event many times at once is handled once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import EXAMPLE, REPOSITORY, System

PAGE = (REPOSITORY / "docs" / "inbox.md").read_text()
FILES = {
    "python": ("python", "services/python/inbox.py"),
    "typescript": ("ts", "services/typescript/inbox.ts"),
    "java": ("java", "services/java/src/main/java/Inbox.java"),
    "go": ("go", "services/go/inbox.go"),
}
LANGUAGES = sorted(FILES)


def block(language: str) -> str:
    """The first block of a language on the page."""
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"the page has nothing in {language}"
    return found[1]


def without_blanks(text: str) -> str:
    return re.sub(r"\n{2,}", "\n", text)


def headers(event_id: str) -> dict[str, str]:
    return {"ce-specversion": "1.0", "ce-id": event_id, "ce-source": "/test", "ce-type": "t"}


def handled(system: System, service: str, event_id: str) -> int:
    return sum(row["event"]["id"] == event_id for row in system.seen(service))


@pytest.mark.parametrize("service", LANGUAGES)
def test_a_service_has_the_inbox_that_stands_on_the_page(service: str) -> None:
    language, path = FILES[service]
    assert without_blanks(block(language)) in without_blanks((EXAMPLE / path).read_text())


@pytest.mark.parametrize("path", ["python/main.py", "typescript/main.ts", "java/src/main/java/Main.java", "go/main.go"])
def test_a_service_has_the_table_that_stands_on_the_page(path: str) -> None:
    table = " ".join(block("sql").replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS").rstrip("\n;").split())
    assert table in " ".join((EXAMPLE / "services" / path).read_text().split())


@pytest.mark.parametrize("service", LANGUAGES)
def test_an_event_that_comes_twice_is_handled_once(system: System, service: str) -> None:
    for _ in range(2):
        answer = system.post(f"/{service}/on/binary", headers=headers("twice"), content=b"{}")
        assert answer.status_code == 204, answer.text
    assert handled(system, service, "twice") == 1


@pytest.mark.parametrize("service", LANGUAGES)
def test_an_event_that_comes_many_times_at_once_is_handled_once(system: System, service: str) -> None:
    def send(n: int) -> int:
        return system.post(f"/{service}/on/binary", headers=headers(f"at once {n % 5}"), content=b"{}").status_code

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(send, range(80))) == [204] * 80
    assert [handled(system, service, f"at once {n}") for n in range(5)] == [1] * 5


@pytest.mark.parametrize("service", LANGUAGES)
def test_work_that_fails_leaves_nothing_behind_and_is_done_the_next_time(system: System, service: str) -> None:
    failed = system.post(f"/{service}/on/binary", params={"fail": "1"}, headers=headers("fails once"), content=b"{}")
    assert failed.status_code == 500
    assert handled(system, service, "fails once") == 0
    again = system.post(f"/{service}/on/binary", headers=headers("fails once"), content=b"{}")
    assert again.status_code == 204
    assert handled(system, service, "fails once") == 1


@pytest.mark.parametrize("service", LANGUAGES)
def test_two_handlers_of_a_service_each_handle_an_event(system: System, service: str) -> None:
    for path in ("binary", "again"):
        assert system.post(f"/{service}/on/{path}", headers=headers("for two"), content=b"{}").status_code == 204
    assert handled(system, service, "for two") == 2
