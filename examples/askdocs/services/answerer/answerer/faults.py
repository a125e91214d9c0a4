"""One switch per fault, off by default: to see with one's own eyes how the rest of the system takes it.

Set it for a whole run with `FAULT=slow:500ms | failing:0.5 | crashing:0.1 | hanging | wrong`, or while the service runs with
`PUT /faults {"mode": "slow", "latency_ms": 500, "rate": 1.0}`. Health checks and the switch itself are never affected.
"""

from __future__ import annotations

import asyncio
import os
import random
import re

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .problem import Problem

MODES = ("off", "slow", "failing", "crashing", "hanging", "wrong")
EXIT_CODE = 70
_current: dict[str, object] = {"mode": "off", "latency_ms": 500, "rate": 1.0}


def from_environment(text: str) -> dict[str, object]:
    """Reads `mode`, `slow:500ms` or `failing:0.5`."""
    mode, _, value = text.strip().partition(":")
    wanted: dict[str, object] = {"mode": mode or "off"}
    if value and mode == "slow":
        number = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s)", value)
        if number is None:
            raise ValueError(f"FAULT={text}: a latency looks like slow:500ms or slow:2s")
        wanted["latency_ms"] = round(float(number[1]) * (1000 if number[2] == "s" else 1))
    elif value:
        wanted["rate"] = float(value)
    return checked(wanted)


def checked(wanted: object) -> dict[str, object]:
    if not isinstance(wanted, dict) or wanted.get("mode") not in MODES:
        raise ValueError(f"mode is one of {', '.join(MODES)}")
    latency, rate = wanted.get("latency_ms", 500), wanted.get("rate", 1.0)
    if not isinstance(latency, (int, float)) or not 0 <= latency <= 600_000:
        raise ValueError("latency_ms is a number from 0 to 600000")
    if not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise ValueError("rate is a number from 0 to 1")
    return {"mode": wanted["mode"], "latency_ms": latency, "rate": rate}


async def _switch(request: Request) -> JSONResponse:
    if request.method == "PUT":
        try:
            _current.update(checked(await request.json()))
        except ValueError as error:
            raise Problem(400, "bad-fault", "This is not a fault that can be switched on", str(error)) from error
    elif request.method == "DELETE":
        _current.update(mode="off", latency_ms=500, rate=1.0)
    return JSONResponse(_current)


ROUTE = Route("/faults", _switch, methods=["GET", "PUT", "DELETE"])


class Faults:
    """The outermost layer: breaks a request in the chosen way before the service sees it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        _current.update(from_environment(os.environ.get("FAULT", "")))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        spared = scope["type"] != "http" or scope["path"] in ("/healthz", "/faults")
        if spared or _current["mode"] == "off" or random.random() >= float(str(_current["rate"])):
            return await self.app(scope, receive, send)
        mode = _current["mode"]
        if mode == "crashing":
            os._exit(EXIT_CODE)
        if mode == "failing":
            problem = Problem(503, "fault-injected", "A fault is switched on", "This request fails on purpose.")
            return await problem.response()(scope, receive, send)
        if mode == "wrong":
            return await JSONResponse({"wrong": "on purpose: this is not what the contract says"})(scope, receive, send)
        if mode == "hanging":
            while (await receive())["type"] != "http.disconnect":
                pass
            return None
        await asyncio.sleep(float(str(_current["latency_ms"])) / 1000)
        return await self.app(scope, receive, send)
