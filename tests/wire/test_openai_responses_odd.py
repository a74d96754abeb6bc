"""Responses data with anything in place of anything: read, or refused as what it is; never a crash."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from parley.failure import ParleyError
from parley.fold import unfold
from wire.responses_parts import CHAT, EVERYTHING, RECORDINGS, WIRE, frames, reply

RECORDED = frames((RECORDINGS / "openai_responses" / "reasoning_tools.sse").read_bytes())
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    "",
    "x",
    [],
    [None],
    ["x"],
    {},
    {"x": 1},
    {"type": "message"},
    [{"type": "x"}],
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in it."""
    keys: Any = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [path, *(found for key in keys for found in places(value[key], (*path, key)))] if path or keys else [path]


def odd(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    """The same with ``other`` at that path."""
    if not path:
        return other
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = odd(value[path[0]], path[1:], other)
    return copy


def refused_or_read(run: Callable[[], Any], allowed: set[str]) -> None:
    kinds = set()
    try:
        run()
    except ParleyError as error:
        kinds.add(error.failure.kind)
    assert kinds <= allowed


UPSTREAM = {"upstream_bad_response", "upstream_error", "upstream_incomplete"}


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_odd_streams(data: Any) -> None:
    number = data.draw(st.integers(0, len(RECORDED) - 1))
    path = data.draw(st.sampled_from(places(RECORDED[number])))
    changed = [*RECORDED]
    changed[number] = odd(RECORDED[number], path, data.draw(st.sampled_from(VALUES)))
    stream = b"".join(b"data: " + json.encode(event) + b"\n\n" for event in changed)

    def run() -> None:
        decoder, encoder = WIRE.stream_decoder(), CHAT.stream_encoder(reply("openai_responses"))
        for event in [*decoder.feed(stream), *decoder.feed(b""), *decoder.close()]:
            encoder.feed(event)

    refused_or_read(run, UPSTREAM)
    refused_or_read(lambda: [WIRE.glance("", json.encode(event)) for event in changed], UPSTREAM)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_odd_answers(data: Any) -> None:
    whole = RECORDED[-1]["response"]
    path = data.draw(st.sampled_from(places(whole)))
    body = json.encode(odd(whole, path, data.draw(st.sampled_from(VALUES))))

    def run() -> None:
        response = WIRE.decode_response(body)
        CHAT.encode_response(response, reply("openai_responses"))
        WIRE.encode_response(response, reply("openai_responses"))
        encoder = WIRE.stream_encoder(reply("openai_responses"))
        assert b"".join(encoder.feed(event) for event in unfold(response)).endswith(b"\n\n")

    refused_or_read(run, UPSTREAM)
    refused_or_read(lambda: WIRE.check_answer(body), UPSTREAM)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_odd_requests(data: Any) -> None:
    path = data.draw(st.sampled_from(places(EVERYTHING)))
    body = odd(EVERYTHING, path or ("input",), data.draw(st.sampled_from(VALUES)))

    def run() -> None:
        request = WIRE.decode_request(body)
        json.encode(WIRE.encode_request(request, {}).body)
        json.encode(CHAT.encode_request(request, {}).body)

    refused_or_read(run, {"invalid_request"})
    encoder = WIRE.stream_encoder(reply(asked=body))
    encoder.feed(unfold(WIRE.decode_response(json.encode(RECORDED[-1]["response"])))[0])
