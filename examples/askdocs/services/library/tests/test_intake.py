"""Documents come in: what is taken, what is refused."""

from __future__ import annotations

import base64
import socket

import httpx
import pytest
from conftest import CONTRACT, Others, assert_contract

from library.app import create_app
from library.config import Config


def test_a_file_is_received_and_told_of_in_one_transaction(client: httpx.Client, others: Others) -> None:
    answer = client.post("/api/documents", files={"file": ("notes.md", b"# Hello", "text/markdown")})
    assert answer.status_code == 202
    assert_contract("Document", answer.json())
    id = answer.json()["id"]
    assert answer.headers["location"] == f"/api/documents/{id}" and answer.json()["state"] == "received"
    told = {"document": id, "version": 1, "name": "notes.md", "contentType": "text/markdown", "bytes": 7}
    assert others.heard() == [("document.uploaded.v1", told)]


def test_text_and_base64_come_as_json(client: httpx.Client) -> None:
    text = client.post("/api/documents", json={"name": "a.md", "text": "Grüße"})
    assert (text.status_code, text.json()["content_type"], text.json()["bytes"]) == (202, "text/markdown", 7)
    encoded = base64.b64encode(b"%PDF-").decode()
    pdf = client.post("/api/documents", json={"name": "a", "content_base64": encoded, "content_type": "application/pdf"})
    assert (pdf.status_code, pdf.json()["content_type"], pdf.json()["bytes"]) == (202, "application/pdf", 5)


def test_the_same_bytes_are_the_same_document(client: httpx.Client) -> None:
    first = client.post("/api/documents", files={"file": ("a.txt", b"same")})
    second = client.post("/api/documents", json={"name": "b.txt", "text": "same"})
    assert second.status_code == 200 and second.json()["id"] == first.json()["id"]
    assert client.get("/api/documents").json()["total"] == 1


def test_documents_stand_in_the_order_of_their_coming_whatever_the_clock_says(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    for hour in (12, 12, 11, 12):
        monkeypatch.setattr("library.store.time.time", lambda hour=hour: 1_800_000_000.0 + 3600 * hour)
        for at in range(10):
            names.append(f"{len(names)}-{at}.txt")
            answer = client.post("/api/documents", json={"name": names[-1], "text": names[-1]})
            assert_contract("Document", answer.json())
    monkeypatch.undo()
    assert [document["name"] for document in client.get("/api/documents").json()["documents"]] == names


def test_several_files_come_in_one_request(client: httpx.Client) -> None:
    answer = client.post("/api/documents", files=[("file", ("a.txt", b"a")), ("file", ("b.txt", b"b"))])
    assert answer.status_code == 202
    assert_contract("Added", answer.json())
    assert [document["name"] for document in answer.json()["documents"]] == ["a.txt", "b.txt"]


@pytest.mark.parametrize(
    ("request_of", "status", "kind"),
    [
        ({"files": {"file": ("a.txt", b"")}}, 422, "empty-document"),
        ({"files": {"file": ("a.txt", b"x" * (20 * 1024**2 + 1))}}, 413, "document-too-large"),
        ({"data": {"name": "x"}, "files": {"other": (None, b"x")}}, 400, "no-file"),
        ({"content": b"no form", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, "bad-request"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "bad-request"),
        ({"json": {"name": "a"}}, 422, "bad-request"),
        ({"json": {"text": "a"}}, 422, "bad-request"),
        ({"json": ["a"]}, 422, "bad-request"),
        ({"json": {"name": "a", "text": "a", "content_base64": "YQ=="}}, 422, "bad-request"),
        ({"json": {"name": "a", "content_base64": "!"}}, 422, "bad-request"),
        ({"json": {"name": "a", "text": ""}}, 422, "empty-document"),
        ({"content": b"raw"}, 415, "unsupported-request"),
    ],
)
def test_a_bad_request_is_refused_with_the_reason(client: httpx.Client, request_of: dict, status: int, kind: str) -> None:
    answer = client.post("/api/documents", **request_of)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert_contract("Problem", answer.json())
    assert answer.json()["type"].endswith(kind) and answer.json()["detail"]
    assert client.get("/api/documents").json()["total"] == 0


def test_who_sends_a_hundred_megabytes_still_reads_the_reason(client: httpx.Client) -> None:
    def endless():  # noqa: ANN202
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="big"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 1024 * 1024
        yield b"\r\n--x--\r\n"

    answer = client.post("/api/documents", content=endless(), headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 413 and "20 MB" in answer.json()["detail"]


def test_who_asks_first_is_refused_before_sending(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), 10) as asking:
        head = "POST /api/documents HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        asking.sendall(f"{head}Content-Length: 104857600\r\nExpect: 100-continue\r\n\r\n".encode())
        assert asking.recv(4096).startswith(b"HTTP/1.1 413")


def test_an_upload_that_breaks_off_leaves_nothing(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), 10) as broken:
        head = "POST /api/documents HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 5000\r\n\r\n"
        broken.sendall(head.encode() + b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhalf')
    assert client.get("/api/documents").json()["total"] == 0
    assert client.post("/api/documents", json={"name": "a", "text": "whole"}).status_code == 202


def test_a_name_is_a_label_and_never_a_path(client: httpx.Client) -> None:
    answer = client.post(
        "/api/documents", json={"name": '../../etc/pass\nwd"; x=\u00fc.html', "text": "<script>alert(1)</script>"}
    )
    content = client.get(f"/api/documents/{answer.json()['id']}/content")
    assert answer.json()["name"] == '../../etc/passwd"; x=ü.html'
    assert content.headers["content-disposition"] == "inline; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd%22%3B%20x%3D%C3%BC.html"
    assert content.headers["content-security-policy"].startswith("sandbox")
    assert content.headers["x-content-type-options"] == "nosniff"


def test_the_content_comes_back_as_it_went_in(client: httpx.Client) -> None:
    data = bytes(range(256)) * 4000
    id = client.post("/api/documents", files={"file": ("a.bin", data)}).json()["id"]
    answer = client.get(f"/api/documents/{id}/content")
    assert answer.content == data and answer.headers["content-disposition"].startswith("attachment")


def test_every_path_is_in_the_contract() -> None:
    app = create_app(Config("unused"))
    assert {route.path for route in app.routes} == set(CONTRACT["paths"])  # type: ignore[attr-defined]
