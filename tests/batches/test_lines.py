"""What a line has to be, and a whole file in pieces of any size."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from parley.batches.check import CHUNK_LINES, MOST_FAULTS, Check, Chunk
from parley.batches.line import ENDPOINTS, LineError, line_of, lines
from parley.batches.seen import Seen

CHAT = "/v1/chat/completions"


def request(custom_id: Any = "a", **members: Any) -> dict[str, Any]:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body} | members


def text(*requests: Any) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in requests)


def checked(data: bytes, size: int = 1 << 20, longest: int = 10_000) -> tuple[Check, list[Chunk]]:
    check, made = Check(CHAT, longest), []
    for start in range(0, len(data), size):
        made += check.feed(data[start : start + size])
    return check, [*made, *check.close()]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in request().items() if key != name}


@pytest.mark.parametrize(
    ("line", "code", "param"),
    [
        (b"nope", "invalid_json_line", None),
        (b"[]", "invalid_json_line", None),
        (b"\xff\xfe", "invalid_json_line", None),
        (b"[" * 100_000, "invalid_json_line", None),
        (json.dumps(without("custom_id")).encode(), "missing_required_parameter", "custom_id"),
        (json.dumps(without("method")).encode(), "missing_required_parameter", "method"),
        (json.dumps(without("url")).encode(), "missing_required_parameter", "url"),
        (json.dumps(without("body")).encode(), "missing_required_parameter", "body"),
        (json.dumps(request(7)).encode(), "invalid_type", "custom_id"),
        (json.dumps(request("")).encode(), "invalid_custom_id", "custom_id"),
        (json.dumps(request(method="GET")).encode(), "invalid_method", "method"),
        (json.dumps(request(url="/v1/files")).encode(), "invalid_url", "url"),
        (json.dumps(request(url="/v1/embeddings")).encode(), "mismatched_url", "url"),
        (json.dumps(request(body=[])).encode(), "invalid_type", "body"),
        (json.dumps(request(body={})).encode(), "missing_required_parameter", "body.model"),
        (json.dumps(request(body={"model": 1})).encode(), "invalid_type", "body.model"),
        (json.dumps(request(body={"model": "m", "stream": True})).encode(), "unsupported_parameter", "body.stream"),
    ],
)
def test_what_is_no_request(line: bytes, code: str, param: str | None) -> None:
    with pytest.raises(LineError) as caught:
        line_of(line, 3, CHAT)
    fault = caught.value.fault
    assert (fault.code, fault.param, fault.line) == (code, param, 3)


def test_a_member_that_is_there_twice() -> None:
    text = b'{"custom_id":"a","custom_id":"b","method":"POST","url":"/v1/embeddings","body":{"model":"m"}}'
    with pytest.raises(LineError) as caught:
        line_of(text, 1)
    assert caught.value.fault.code == "invalid_json_line"


def test_a_request_keeps_its_bytes() -> None:
    body = b'{"model" : "m","x":1.00,"x2":1e400}'
    line = line_of(b'{"custom_id":"a","method":"POST","url":"/v1/embeddings","body":%b,"more":1}' % body, 1)
    assert (line.body, line.url, line.model) == (body, "/v1/embeddings", "m")


def test_every_endpoint_is_possible() -> None:
    assert {line_of(text(request(url=url)).strip(), 1, url).url for url in ENDPOINTS} == set(ENDPOINTS)


def test_numbers_blank_lines_marks_and_ends() -> None:
    data = b"\xef\xbb\xbf" + text(request("a")) + b"\n \r\n" + text(request("b")).replace(b"\n", b"\r\n")
    data += json.dumps(request("c")).encode()
    check, made = checked(data)
    assert (check.faults, check.requests, check.model) == ([], 3, "echo")
    [chunk] = made
    found = [(number, line_of(one, number).custom_id) for number, one in lines(data, 1)]
    assert (chunk.place, chunk.size, chunk.lines) == (0, len(data), 3)
    assert found == [(1, "a"), (4, "b"), (5, "c")]


@settings(max_examples=40, deadline=None)
@given(some.integers(1, 400), some.integers(1, 3000))
def test_pieces_of_any_size_make_the_same_chunks(count: int, size: int) -> None:
    data = text(*(request(f"r{number}") for number in range(count)))
    check, made = checked(data, size)
    assert made == checked(data)[1]
    assert check.sound
    assert sum(chunk.lines for chunk in made) == count
    assert len(made) == -(-count // CHUNK_LINES)
    pieces = [data[chunk.place : chunk.place + chunk.size] for chunk in made]
    assert b"".join(pieces) == data
    numbers = [n for chunk, piece in zip(made, pieces, strict=True) for n, _ in lines(piece, chunk.line)]
    assert numbers == list(range(1, count + 1))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_all_that_is_wrong_is_told_by_its_line(size: int) -> None:
    data = text(request("a"), request("a")) + b"x" * 30_000 + b"\n" + b"{}\n" + text(request("b"))
    check, _ = checked(data, size)
    told = [(fault.code, fault.line) for fault in check.told()]
    assert told == [("duplicate_custom_id", 2), ("line_too_large", 3), ("missing_required_parameter", 4)]


def test_a_file_of_faults_is_told_in_part_and_counted() -> None:
    check, made = checked(b"x\n" * (MOST_FAULTS + 23))
    assert made == []
    assert len(check.told()) == MOST_FAULTS + 1
    assert check.told()[-1].message.startswith("23 more")


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf\r\n"])
def test_an_empty_file(data: bytes) -> None:
    assert [fault.code for fault in checked(data)[0].told()] == ["empty_file"]


def test_seen_knows_each_once() -> None:
    seen = Seen()
    assert [seen.add(f"r{number % 5000}") for number in range(10_000)] == [True] * 5000 + [False] * 5000
    assert seen.count == 5000
    assert "r4999" in seen
    assert "r5000" not in seen
