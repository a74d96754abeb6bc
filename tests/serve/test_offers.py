"""A request that offers another protocol is answered as if it had not (RFC 9110 section 7.8), on a real socket."""

import http.client
import json
import socket

import pytest

from fixtures.parley import Gateway

BODY = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "still here"}]}).encode()


@pytest.fixture
def gateway(parley_server) -> Gateway:
    return parley_server({})


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_an_offer_with_a_body(gateway: Gateway, protocol: str) -> None:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        f"Upgrade: {protocol}\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as raw:
        for _ in range(2):
            raw.sendall(head.encode() + BODY)
            answer = http.client.HTTPResponse(raw)
            answer.begin()
            assert answer.status == 200
            assert json.loads(answer.read())["choices"][0]["message"]["content"] == "still here"


def test_an_offer_on_a_path_that_is_not_hot(gateway: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as raw:
        raw.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert (answer.status, json.loads(answer.read())) == (200, {"status": "live"})


def test_who_begins_in_http_2_is_told_at_once(gateway: Gateway) -> None:
    begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as raw:
        raw.sendall(begin)
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        assert (answer.status, answer.getheader("connection")) == (505, "close")
        assert "HTTP/1.1 is spoken here" in json.loads(answer.read())["error"]["message"]


@pytest.mark.parametrize("line", [b"\0\1\2", b"PRI * HTTP/1.1\r\n\r\nno", b"GET / HTTP/2.0\r\n\r\n", b"\x16\3\1\2\0"])
def test_what_is_no_http_is_told_in_http_1(gateway: Gateway, line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as raw, raw.makefile("rb") as answer:
        raw.sendall(line)
        assert answer.readline() == b"HTTP/1.1 400 Bad Request\r\n"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/uploads", 501),
        ("GET", "/v1/vector_stores", 501),
        ("GET", "/v1/chat/completions", 501),
        ("DELETE", "/v1/models/echo", 501),
        ("POST", "/openai/v1/fine_tuning/jobs", 501),
        ("POST", "/v1/responses?beta=true", 501),
        ("POST", "/v1/nonsense", 404),
        ("PUT", "/v1/files", 405),
        ("PUT", "/v1/chat/completions", 405),
        ("GET", "/v1/embeddings", 405),
    ],
)
def test_what_is_known_but_not_served(gateway: Gateway, method: str, path: str, status: int) -> None:
    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    link.request(method, path, b"{}" if method == "POST" else None)
    answer = link.getresponse()
    error = json.loads(answer.read())["error"]
    link.close()
    assert answer.status == status
    if status == 501:
        assert (error["type"], error["code"], error["param"]) == ("not_implemented_error", "not_implemented", None)
        assert answer.getheader("x-should-retry") == "false"
