"""Callers who go on calling while something happens, and remember every answer that they got."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx

from waiting import wait_for

Call = Callable[[httpx.Client], httpx.Response]


@dataclass
class Load:
    """`with Load(url, call) as load:` calls from `callers` threads until the block ends."""

    url: str
    call: Call
    callers: int = 4
    seconds: float = 60
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    slowest: float = 0

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._go_on, daemon=True) for _ in range(self.callers)]
        for thread in self._threads:
            thread.start()
        self.wait_for_more(self.callers)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(self.seconds)

    def wait_for_more(self, answers: int) -> None:
        """Until this many more answers have come, good or bad."""
        wanted = self.answers + answers
        wait_for(f"{answers} more answers", lambda: self.answers >= wanted, self.seconds)

    def _go_on(self) -> None:
        with httpx.Client(base_url=self.url, timeout=self.seconds, trust_env=False) as client:
            while not self._stop.is_set():
                begun = time.monotonic()
                failure = self._one(client)
                with self._lock:
                    self.answers += 1
                    self.slowest = max(self.slowest, time.monotonic() - begun)
                    if failure:
                        self.failures.append(failure)

    def _one(self, client: httpx.Client) -> str | None:
        try:
            answer = self.call(client)
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return None if answer.is_success else f"{answer.status_code}: {answer.text[:300]}"
