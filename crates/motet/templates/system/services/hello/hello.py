"""Greets whoever asks, with a word that it gets from the service `words`."""

import json
import os
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS_URL = os.environ["WORDS_URL"]  # the address of the edge hello→words


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/healthz":
            return self.answer({"status": "ok"})
        name = urllib.parse.parse_qs(url.query).get("name", ["world"])[0]
        with urllib.request.urlopen(f"{WORDS_URL}/greeting", timeout=5) as response:
            word = json.load(response)["word"]
        self.answer({"greeting": f"{word}, {name}!"})

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
