"""Publishes and takes events with the CloudEvents SDK for Python, and knows Motet by two addresses only.

`POST /publish?topic=…&mode=…` makes events of what the test describes and publishes them; `POST /on/…` takes events and writes down what the
SDK made of them; `GET /seen` tells it.
"""

import base64
import json
import os
import sqlite3
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_http_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

from inbox import once

WRITE = {"binary": to_binary_event, "structured": to_structured_event}
TABLES = """
CREATE TABLE IF NOT EXISTS inbox (
  handler TEXT NOT NULL,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  taken_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (handler, source, id)
);
CREATE TABLE IF NOT EXISTS seen (way TEXT NOT NULL, event TEXT NOT NULL);
"""


def event_of(told: dict) -> CloudEvent:
    """The event that the test describes."""
    attributes = {
        name: told[name] for name in ("id", "source", "type", "subject", "datacontenttype", "dataschema") if name in told
    }
    if "time" in told:
        attributes["time"] = datetime.fromisoformat(told["time"].replace("Z", "+00:00"))
    data = told.get("data", {})
    payload = data.get("json", data.get("text"))
    if "base64" in data:
        payload = base64.b64decode(data["base64"])
    return CloudEvent({"specversion": "1.0", **attributes, **told.get("extensions", {})}, payload)


def told_of(event: CloudEvent) -> dict:
    """What the SDK made of an event, described as the test does."""
    data = event.get_data()
    kind = "base64" if isinstance(data, bytes) else "text" if isinstance(data, str) else "json"
    time = event.get_time()
    told = {
        "id": event.get_id(),
        "source": event.get_source(),
        "type": event.get_type(),
        "subject": event.get_subject(),
        "time": time.isoformat() if time else None,
        "datacontenttype": event.get_datacontenttype(),
        "dataschema": event.get_dataschema(),
        "data": None if data is None else {kind: base64.b64encode(data).decode() if kind == "base64" else data},
    }
    extensions = {name: value for name, value in event.get_attributes().items() if name not in {*told, "specversion"}}
    return {name: value for name, value in told.items() if value is not None} | {"extensions": extensions}


def open_store() -> sqlite3.Connection:
    return sqlite3.connect(os.environ["SQLITE_PATH"], timeout=10)


def post(topic: str, message: HTTPMessage) -> int:
    # Not urllib, which says `application/x-www-form-urlencoded` where an event says nothing.
    motet = urlsplit(os.environ["MOTET_URL"])
    with closing(HTTPConnection(motet.hostname, motet.port, timeout=30)) as connection:
        connection.request("POST", f"/topics/{topic}", message.body, message.headers)
        answer = connection.getresponse()
        if answer.status != 202:
            print(topic, answer.status, answer.read().decode(), flush=True)
        return answer.status


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/seen":
            with closing(open_store()) as store:
                rows = store.execute("SELECT way, event FROM seen").fetchall()
            return self.answer(200, [{"way": way, "event": json.loads(event)} for way, event in rows])
        self.answer(200, {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path == "/publish":
            write = WRITE[query["mode"]]
            return self.answer(200, [post(query["topic"], write(event_of(told))) for told in json.loads(body)])
        event = from_http_event(HTTPMessage(headers=dict(self.headers.items()), body=body))

        def work(store: sqlite3.Connection) -> None:
            store.execute("INSERT INTO seen VALUES (?, ?)", (url.path, json.dumps(told_of(event))))
            if "fail" in query:
                raise RuntimeError("as it was asked to")

        try:
            with closing(open_store()) as store:
                once(store, url.path, event.get_source(), event.get_id(), work)
        except RuntimeError:
            return self.answer(500, {})
        self.answer(204)

    def answer(self, status: int, value: object = None) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent: Motet counts the requests."""


if __name__ == "__main__":
    with closing(open_store()) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.executescript(TABLES)
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
