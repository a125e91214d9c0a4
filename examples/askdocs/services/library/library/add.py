"""`python -m library.add <folder or file>… --url http://127.0.0.1:8080`: adds documents over HTTP, as anybody could.

Prints a line per document; ends with 1 when one of them was refused or, with --wait, could not be read.
"""

from __future__ import annotations

import argparse
import mimetypes
import sys
import time
from pathlib import Path

import httpx

from .corpus import documents_in


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m library.add", description="Adds documents to a running askdocs.")
    parser.add_argument("paths", nargs="+", type=Path, metavar="folder-or-file")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="where askdocs is (default: %(default)s)")
    parser.add_argument("--wait", action="store_true", help="until each document is ready or has failed")
    parser.add_argument("--timeout", type=float, default=600, help="how many seconds to wait at most (default: %(default)s)")
    given = parser.parse_args(arguments)
    with httpx.Client(base_url=given.url, timeout=120) as client:
        try:
            added, refused = _add_all(client, given.paths)
            return 1 if refused + (_wait(client, added, given.timeout) if given.wait else 0) else 0
        except httpx.TransportError as error:
            print(f"There is no askdocs at {given.url}: {error}. Start it, or say where it is with --url.", file=sys.stderr)
            return 2


def _add_all(client: httpx.Client, paths: list[Path]) -> tuple[dict[str, str], int]:
    added, refused = {}, 0
    for start in paths:
        for path in [start] if start.is_file() else documents_in(start):
            name = path.name if start.is_file() else path.relative_to(start).as_posix()
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            with path.open("rb") as file:
                answer = client.post("/api/documents", files={"file": (name, file, kind)})
            body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
            if answer.is_success:
                added[body["id"]] = name
                print(f"{'added' if answer.status_code == 202 else 'known'}   {body['id']}  {name}")
            else:
                refused += 1
                print(f"refused {name}: {body.get('detail') or answer.status_code}")
    return added, refused


def _wait(client: httpx.Client, added: dict[str, str], seconds: float) -> int:
    """How many did not become ready."""
    failed, until = 0, time.monotonic() + seconds
    while added and time.monotonic() < until:
        for id in list(added):
            document = client.get(f"/api/documents/{id}").json()
            if document.get("state") in ("ready", "failed"):
                name = added.pop(id)
                failed += document["state"] == "failed"
                said = f"{document['passages']} passages" if document["state"] == "ready" else document["reason"]
                print(f"{document['state']}   {id}  {name}: {said}")
        time.sleep(0.2)
    for id, name in added.items():
        print(f"waiting {id}  {name}: not ready after {seconds:.0f} s")
    return failed + len(added)


if __name__ == "__main__":
    sys.exit(main())
