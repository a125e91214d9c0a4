"""Every fault that a service can be switched into: what a caller outside sees of it, and that it goes when it is gone.

The rule for all of them: an answer comes in bounded time, and it is either a right one or an error that says so.
"""

from __future__ import annotations

import time

import httpx
import pytest

from system import SERVICES, System
from talk import ask, assert_problem
from waiting import wait_for

QUESTION = "What is an edge?"
FAULTS: dict[str, dict[str, object]] = {
    "slow": {"mode": "slow", "latency_ms": 1500},
    "failing": {"mode": "failing"},
    "crashing": {"mode": "crashing"},
    "hanging": {"mode": "hanging"},
    "wrong": {"mode": "wrong"},
}
# The longest that a question may take while something below it hangs: the answerer's own edges give up after 10 s.
PATIENCE_SECONDS = 30
ON_THE_WAY = ("answerer", "index", "embedder")


def test_a_slow_service_makes_a_slow_answer(askdocs: System, client: httpx.Client) -> None:
    with askdocs.fault("answerer", **FAULTS["slow"]):
        begun = time.monotonic()
        ask(client, QUESTION)
        assert time.monotonic() - begun >= 1.5
    assert_mended(client)


def test_a_failing_service_is_an_error_that_says_so(askdocs: System, client: httpx.Client) -> None:
    with askdocs.fault("answerer", **FAULTS["failing"]):
        assert_problem(client.post("/api/questions", json={"question": QUESTION}), 502, 503)
    assert_mended(client)


def test_a_crash_is_an_error_for_one_request_and_motet_says_what_happened(
    askdocs: System, client: httpx.Client
) -> None:
    before = askdocs.instances("answerer")[0]
    with askdocs.fault("answerer", **FAULTS["crashing"]):
        assert_problem(client.post("/api/questions", json={"question": QUESTION}), 502, 503)
    after = wait_for("a new answerer", lambda: others(askdocs, "answerer", before["pid"]), seconds=15)[0]
    assert after["restarts"] == before["restarts"] + 1
    assert "70" in askdocs.service("answerer")["failure"]["reason"], "its exit code is 70"
    assert_mended(client)


def test_a_hanging_service_is_left_by_who_hangs_up(askdocs: System, client: httpx.Client) -> None:
    with askdocs.fault("answerer", **FAULTS["hanging"]):
        with pytest.raises(httpx.ReadTimeout):
            client.post("/api/questions", json={"question": QUESTION}, timeout=1)

        def nothing_in_flight() -> bool:
            return all(instance["in_flight"] == 0 for instance in askdocs.instances("answerer"))

        wait_for("the call has been given up inside, too", nothing_in_flight, seconds=5)
    assert_mended(client)


def test_a_wrong_answer_is_passed_on_as_it_is(askdocs: System, client: httpx.Client) -> None:
    with askdocs.fault("answerer", **FAULTS["wrong"]):
        answer = client.post("/api/questions", json={"question": QUESTION})
        assert answer.status_code == 200 and "answer" not in answer.json()
    assert_mended(client)


@pytest.mark.parametrize("service", [service for service in SERVICES if service != "answerer"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_question_ends_in_time_whatever_is_broken_below(
    askdocs: System, client: httpx.Client, service: str, fault: str
) -> None:
    with askdocs.fault(service, **FAULTS[fault]):
        begun = time.monotonic()
        answer = client.post("/api/questions", json={"question": QUESTION}, timeout=PATIENCE_SECONDS)
        assert time.monotonic() - begun < PATIENCE_SECONDS
        if answer.is_success:
            found = answer.json()
            assert found["answer"].strip() and found["citations"], found
        else:
            assert service in ON_THE_WAY, f"{service} has nothing to do with a question: {answer.text}"
            assert_problem(answer, 500, 502, 503, 504)
    askdocs.wait_ready()
    assert_mended(client)


@pytest.mark.parametrize("fault", ["failing", "crashing", "hanging", "wrong"])
def test_questions_are_answered_by_words_alone_without_the_embedder(
    askdocs: System, client: httpx.Client, fault: str
) -> None:
    with askdocs.fault("embedder", **FAULTS[fault]):
        answer = ask(client, QUESTION)
        if fault != "crashing":  # After the crash the new embedder may already be there.
            assert answer["degraded"] is True, answer
        assert answer["citations"]
    askdocs.wait_ready()
    assert ask(client, QUESTION)["degraded"] is False


def others(askdocs: System, service: str, pid: int) -> list[dict]:
    return [instance for instance in askdocs.instances(service) if instance["pid"] != pid]


def assert_mended(client: httpx.Client) -> None:
    def good() -> bool:
        answer = client.post("/api/questions", json={"question": QUESTION})
        return answer.is_success and bool(answer.json().get("citations"))

    wait_for("a good answer after the fault is gone", good, seconds=20, every=0.2)
