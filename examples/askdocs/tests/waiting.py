"""Waiting for a condition on a value, with a limit: never for time to pass, never for "something changed"."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_for(what: str, look: Callable[[], Value | None], seconds: float, every: float = 0.05) -> Value:
    """Looks again and again until there is something true to see; returns it. After `seconds` it says what never came."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s; last seen: {seen!r}")
        time.sleep(every)
