"""Errors as RFC 9457 problem details.

Every refusal of this service has one form, whatever raised it: a type that programs can switch on, a title that names
the kind, a detail that says what happened here and what to do about it.
"""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

log = logging.getLogger("answerer")


class Problem(Exception):
    """A refusal: HTTP status, a kind such as `document-too-large`, its title, and what happened here."""

    def __init__(self, status: int, kind: str, title: str, detail: str, retry_after: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.retry_after = retry_after

    def body(self) -> dict[str, object]:
        return {
            "type": f"urn:askdocs:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }

    def response(self) -> JSONResponse:
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after is not None else None
        return JSONResponse(self.body(), self.status, headers, media_type="application/problem+json")


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


async def _http(request: Request, error: Exception) -> JSONResponse:
    """What the framework refuses by itself: an unknown path, a method that a path does not have."""
    assert isinstance(error, HTTPException)
    details = {
        404: f"There is nothing at {request.url.path}.",
        405: f"{request.url.path} does not take {request.method}.",
    }
    problem = Problem(error.status_code, "about-http", error.detail, details.get(error.status_code, error.detail))
    response = problem.response()
    response.headers.update(error.headers or {})
    return response


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    """A defect of ours. The log (written by the server) gets the trace; the caller is told nothing about our insides."""
    log.error("%s %s broke: %r", request.method, request.url.path, error)
    return Problem(500, "defect", "Something broke in this service", "The service's log has the details.").response()


def install(app: Starlette) -> None:
    app.add_exception_handler(Problem, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
