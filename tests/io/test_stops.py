"""The transport stops: stop strings are cut off streams that include them, and off nothing else."""

import asyncio
from typing import Any

import pytest
from msgspec import json
from peers import TO, Ear

from parley.io.oip_grpc import GrpcInferUpstream
from parley.io.stops import StopsUpstream
from parley.io.upstreams import upstreams
from parley.ports import Call, Flight, Sink
from parley.settings import Provider, Settings


class Pool:
    """Keeps the call and its sink; the Flight of every call too."""

    def __init__(self) -> None:
        self.calls: list[tuple[Call, Sink]] = []

    def send(self, call: Call, sink: Sink) -> Flight:
        self.calls.append((call, sink))
        return self

    def close(self) -> None:
        raise AssertionError("its owner closes it")

    def cancel(self) -> None:
        raise AssertionError

    pause = resume = cancel


def chunk(text: str | None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    return (
        b"data: " + json.encode({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}) + b"\n\n"
    )


def asked(**members: Any) -> tuple[Sink, Ear, Call]:
    """What the pool answers to, who hears it, and what went out."""
    pool, ear = Pool(), Ear()
    body = json.encode({"model": "m", "messages": [], **members})
    upstream = StopsUpstream(pool)
    assert upstream.send(Call(TO, b"", (body[:5], memoryview(body)[5:]), 9.0), ear) is pool
    upstream.close()
    ((call, sink),) = pool.calls
    assert b"".join(call.body) == body
    return sink, ear, call


def heard(ear: Ear) -> tuple[str, list[str | None]]:
    """The text and the finish reasons that reached the caller."""
    blocks = [block.removeprefix(b"data: ") for block in ear.content.split(b"\n\n") if block]
    choices = [choice for block in blocks if block != b"[DONE]" for choice in json.decode(block)["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, [choice["finish_reason"] for choice in choices if choice["finish_reason"]]


@pytest.mark.parametrize("stop", ["END", ["no", "END"]])
@pytest.mark.parametrize(
    "chunks",
    [
        [chunk("one "), chunk("two END", "stop")],
        [chunk("one two"), chunk(" E"), chunk("N"), chunk("D", "stop")],
        [chunk("one two "), chunk("END"), chunk(None, "stop"), chunk(None, choices=[], usage={"prompt_tokens": 1})],
    ],
)
def test_the_stop_string_is_cut_off_however_it_came(stop: Any, chunks: list[bytes]) -> None:
    sink, ear, _ = asked(stream=True, stop=stop)
    sink.head(200, [(b"content-type", b"text/event-stream")])
    for data in [*chunks, b"data: [DONE]\n\n"]:
        sink.body(data)
    sink.done()
    text, finishes = heard(ear)
    assert (text.rstrip(), finishes, ear.ended) == ("one two", ["stop"], ["done"])
    assert ear.content.endswith(b"data: [DONE]\n\n")


def test_what_only_looks_like_it_stays() -> None:
    sink, ear, _ = asked(stream=True, stop=["END"])
    sink.head(200, [(b"content-type", b"text/event-stream")])
    sink.body(chunk("EN") + chunk("E"))
    sink.body(chunk("N", "length"))
    sink.done()
    assert heard(ear) == ("ENEN", ["length"])


async def test_the_transport_is_made_for_those_who_need_it() -> None:
    loop = asyncio.get_running_loop()
    row: dict[str, Any] = {"type": "any", "wire": "openai_chat", "endpoints": ("http://h",), "paths": {}}
    for name, kind in (("stops", StopsUpstream), ("grpc-infer", GrpcInferUpstream)):
        provider = Provider(name="a", **row, transport=name)
        made = upstreams(Settings(providers={"a": provider}), loop)
        assert type(made[name]) is kind
        for upstream in made.values():
            upstream.close()
    assert {"stops", "grpc-infer"}.isdisjoint(upstreams(Settings(), loop))


def test_errors_pass_as_they_are() -> None:
    sink, ear, _ = asked(stream=True, stop=["END"])
    sink.head(400, [(b"content-type", b"application/json")])
    sink.body(b'{"error":"END"}')
    sink.done()
    assert ear.whole == (400, b'{"error":"END"}')


@pytest.mark.parametrize(
    "members",
    [
        {"stream": True},
        {"stop": "END"},
        {"stream": False, "stop": "END"},
        {"stream": True, "stop": None},
        {"stream": True, "stop": []},
        {"stream": True, "stop": [""]},
        {"stream": True, "stop": ["END"], "include_stop_str_in_output": True},
        {"user": '"stop" "stream"'},
    ],
)
def test_where_there_is_nothing_to_cut_nothing_is_in_between(members: dict[str, Any]) -> None:
    sink, ear, _ = asked(**members)
    assert sink is ear


def test_a_body_that_is_no_json_is_not_ours_to_judge() -> None:
    pool, ear = Pool(), Ear()
    StopsUpstream(pool).send(Call(TO, b"", (b'{"stop": "stream"',), 9.0), ear)
    assert pool.calls[0][1] is ear
