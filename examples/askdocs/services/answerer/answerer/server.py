"""Runs the service on 127.0.0.1:$PORT until SIGTERM: requests in flight are finished, then it exits with 0."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.applications import Starlette

GRACE_SECONDS = 10


class OneLine(logging.Formatter):
    """A trace is one line, too: whoever collects the log must not cut it in pieces."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", " | ")


class Server(uvicorn.Server):
    """Says that the end has come before it waits for open requests: an endless stream ends only when it is told to."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self.on_stop = on_stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.on_stop()
        super().handle_exit(sig, frame)


def run(app: Starlette, on_stop: Callable[[], None] = lambda: None) -> None:
    to_stdout = logging.StreamHandler(sys.stdout)
    to_stdout.setFormatter(OneLine("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_stdout])
    for chatty in ("httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # uvicorn raises the signal again when it is done; a stop that was asked for is a success.
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: sys.exit(0))
    port = int(os.environ.get("PORT", "0"))
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    logging.getLogger("answerer").info("listens on 127.0.0.1:%s", port)
    Server(config, on_stop).run()
