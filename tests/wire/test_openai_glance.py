"""The verbatim path's look into answers: cheap, and not to be fooled."""

from typing import Any

import pytest
from msgspec import json

from parley.ir import Usage
from wire.openai_parts import DONE, WIRE, answer, chunk, event, failure


@pytest.mark.parametrize(
    ("data", "mark"),
    [
        (chunk({"role": "assistant", "content": ""}), ""),
        (chunk({"role": "assistant", "content": None}), ""),
        (event({"choices": []}), ""),
        (event({"choices": None}), ""),
        (event({"object": "something.else"}), ""),
        (event({"choices": [{"delta": {"tool_calls": []}}]}), ""),
        (event({"choices": [{"delta": {"tool_calls": None, "audio": None}}]}), ""),
        (event({"choices": [{"delta": 5}]}), ""),
        (chunk({"content": "a"}), "content"),
        (chunk({"reasoning_content": "a"}), "content"),
        (chunk({"reasoning": "a"}), "content"),
        (chunk({"refusal": "a"}), "content"),
        (chunk({"tool_calls": [{"index": 0}]}), "content"),
        (chunk({"audio": {"data": "A"}}), "content"),
        (chunk({"function_call": {"name": "f"}}), "content"),
        (chunk({}, "stop"), "finished"),
        (chunk({"content": "a"}, "stop"), "content finished"),
        (DONE, "end"),
        (b"data: [DONE] \n\n", "end"),
    ],
)
def test_a_glance(data: bytes, mark: str) -> None:
    found = WIRE.glance("", data.removeprefix(b"data: ").removesuffix(b"\n\n"))
    told = [word for word in ("content", "finished", "end") if getattr(found, word)]
    assert (" ".join(told), found.usage, found.failure) == (mark, None, None)


def test_a_glance_at_usage() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4.0, "prompt_tokens_details": {"cached_tokens": 1}, "x": 1}
    found = WIRE.glance("", json.encode({"choices": [], "usage": usage}))
    assert found.usage == Usage(3, 4, 1)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"5", b"<html>", b'{"x": "\xff"}', b'{"choices": [{"delta": {"content": "\xff"}}]}']
)
def test_a_glance_at_something_broken(data: bytes) -> None:
    found = failure(WIRE.glance, "", data)
    assert (found.kind, found.detail) == ("upstream_bad_response", "bad_event")


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"choices": [{"message": {}}], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}, Usage(3, 4)),
        ({"usage": {"prompt_tokens": 3}, "text": '"usage": {"prompt_tokens": 9}'}, Usage(3, 0)),
        ({"usage": {"prompt_tokens": 3}, "word": "usage"}, Usage(3, 0)),
        ({"usage": {"prompt_tokens": 3}, "deep": {"usage": {"prompt_tokens": 9}}}, Usage(3, 0)),
        ({"usage": {"prompt_tokens": 3}, "deep": [{"usage": {"prompt_tokens": 9}}], "x": "}"}, Usage(3, 0)),
        ({"deep": {"usage": {"prompt_tokens": 9}}}, None),
        ({"usage": {"prompt_tokens": 3, "odd": "}{"}, "z": 1}, Usage(3, 0)),
        (
            {"usage": {"prompt_tokens": 3, "completion_tokens_details": {"reasoning_tokens": 0}}},
            Usage(3, 0, reasoning=0),
        ),
        ({"usage": None}, None),
        ({"usage": 5}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("filler", ["", LONG])
def test_usage_is_found_and_not_mistaken(body: dict[str, Any], usage: Usage | None, filler: str) -> None:
    whole = json.encode({"filler": filler, "choices": [{"message": {}}], **body})
    assert WIRE.check_answer(whole) == usage
    assert WIRE.check_answer(json.format(whole, indent=2)) == usage


def test_an_answer_without_usage() -> None:
    assert WIRE.check_answer(answer({"content": "x"})) is None


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty_body"),
        (b"<html>", "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (b'{"choices": {}}', "bad_shape"),
        (b'{"choices": {}, "usage": 5}', "bad_shape"),
        (b'{"choices": []}', "bad_shape"),
        (b'{"choices": [], "usage": 5}', "bad_shape"),
        (b'{"choices": [{}]}', "bad_shape"),
        (b'{"choices": [{"message": {"content": "\xff"}}]}', "bad_json"),
        (b'{"choices": [], "usage": 5, "x": "\xff"}', "bad_json"),
        (b'{"choices": [], "usage": {"prompt_tokens"', "bad_json"),
    ],
)
def test_check_answer_refuses(body: bytes, detail: str) -> None:
    found = failure(WIRE.check_answer, body)
    assert (found.kind, found.detail) == ("upstream_bad_response", detail)
