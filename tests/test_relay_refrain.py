"""Translated events that repeat one another: passing one by undecoded changes nothing that anybody can see."""

import json
import struct
from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parley.ir import Delta
from parley.relay import RebuiltStream
from parley.relay.steady import TRIES, Refrain
from parley.wire import Reply, Wire, load

CALLERS = ("openai_chat", "openai_responses", "anthropic", "gemini", "gemini_array", "ollama", "openai_completions")
WORDS = st.one_of(
    st.text(),
    st.sampled_from(
        ["", ":", '":"', ",", '"', "\\", "\n", "é", "\u2028", "content", "text", "model", '{"error":1}', "7"]
    ),
)
PLAIN = st.text("abc :,{}[]é", min_size=1, max_size=5)
COUNTS = st.integers(-2, 10**18)


def dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def sse(value: Any, event: str = "") -> bytes:
    return (f"event: {event}\n".encode() if event else b"") + b"data: " + dump(value) + b"\n\n"


def openai(text: str, number: int, /, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text, **more}, "finish_reason": None}
    return sse({"id": "c", "created": 1, "model": "m", "choices": [choice], "obfuscation": "x" * (number % 4)})


def mistral(text: str, number: int, /, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text, **more}, "finish_reason": None}
    return sse({"id": "c", "created": 1, "model": "m", "choices": [choice], "p": "x" * (number % 4)})


def anthropic(text: str, number: int, /, **more: Any) -> bytes:
    delta = {"type": "text_delta", "text": text, **more}
    return sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")


def gemini(text: str, number: int, /, **more: Any) -> bytes:
    candidate = {"content": {"parts": [{"text": text, **more}], "role": "model"}, "index": 0}
    usage = {"promptTokenCount": 4, "candidatesTokenCount": number, "totalTokenCount": 4.5}
    return sse({"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"})


def ollama(text: str, number: int, /, **more: Any) -> bytes:
    message = {"role": "assistant", "content": text, **more}
    return dump({"model": "m", "created_at": f"2026-01-01T00:00:{number % 60}Z", "message": message}) + b"\n"


def cohere(text: str, number: int, /, **more: Any) -> bytes:
    message = {"content": {"text": text}, **more}
    return sse({"type": "content-delta", "index": 0, "delta": {"message": message}}, "content-delta")


def tgi(text: str, number: int, /, **more: Any) -> bytes:
    token = {"id": number, "text": text, "logprob": -number / 7, "special": False, **more}
    return b"data:" + dump({"index": number, "token": token, "generated_text": None, "details": None}) + b"\n\n"


def generate(text: str, number: int, /, **more: Any) -> bytes:
    token = {"id": number, "text": text, "logprob": -number / 7, "special": False, **more}
    return sse({"model_name": "m", "text_output": text, "details": {"token": token}})


def frame(payload: bytes, event: str = "contentBlockDelta") -> bytes:
    named = ((":event-type", event), (":content-type", "application/json"), (":message-type", "event"))
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in named
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    whole = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return whole + struct.pack(">I", crc32(whole))


def bedrock(text: str, number: int, /, **more: Any) -> bytes:
    return frame(dump({"contentBlockIndex": 0, "delta": {"text": text, **more}, "p": "x" * (number % 9)}))


OPENINGS: dict[str, bytes] = {
    "anthropic": sse({"type": "message_start", "message": {"id": "m", "model": "m"}}, "message_start")
    + sse({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}, "content_block_start"),
    "bedrock": frame(b'{"role":"assistant"}', "messageStart"),
}
ENDS: dict[str, bytes] = {
    "openai_chat": openai("", 0).replace(b"null", b'"stop"') + b"data: [DONE]\n\n",
    "mistral": mistral("", 0).replace(b"null", b'"stop"') + b"data: [DONE]\n\n",
    "anthropic": sse({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}})
    + sse({"type": "message_stop"}, "message_stop"),
    # The last usage is that of the event before: what is idle is not lost.
    "gemini": sse({"candidates": [{"finishReason": "STOP", "index": 0}]}),
    "ollama": dump({"model": "m", "done": True, "done_reason": "stop", "eval_count": 3}) + b"\n",
    "cohere": sse({"type": "message-end", "delta": {"finish_reason": "COMPLETE"}}, "message-end"),
    "tgi": b'data:{"token":{"text":"","special":true},"generated_text":"all","details":{"finish_reason":"length"}}\n\n',
    "oip_generate": sse({"text_output": "", "details": {"finish_reason": "eos_token"}}),
    "bedrock": frame(b'{"stopReason":"end_turn"}', "messageStop") + frame(b'{"usage":{"inputTokens":1}}', "metadata"),
}
MAKE: dict[str, Callable[..., bytes]] = {
    "openai_chat": openai, "mistral": mistral, "anthropic": anthropic, "gemini": gemini, "ollama": ollama,
    "cohere": cohere, "tgi": tgi, "oip_generate": generate, "bedrock": bedrock,
}  # fmt: skip


class Way:
    """As much of a passage as a stream needs."""

    def __init__(self, inlet: Wire, outlet: Wire) -> None:
        self.inlet = inlet
        self.outlet = outlet


def stream(caller: str, wire: str, *, compares: bool) -> RebuiltStream:
    reply = Reply(id="abc", created=1, model="m", include_usage=True, wire=wire, asked=b'{"input":"hi"}')
    found = RebuiltStream(Way(load(caller), load(wire)), reply)  # type: ignore[arg-type]
    if not compares:
        found._refrain._tries = 0
    return found


def seen(caller: str, wire: str, pieces: list[bytes], *, compares: bool) -> tuple[Any, ...]:
    """All that a stream shows of itself, piece by piece."""
    found = stream(caller, wire, compares=compares)
    out = []
    for piece in pieces:
        out.append(found.feed(piece))
        if found.failure is not None or found.ended:
            break
    if found.failure is None:
        out.append(found.close())
    return out, found.pieces, found.content, found.ended, found.failure, found.usage, found.trailing


ODD_NUMBERS = [b"0", b"00", b"03", b"-3", b"0.5e-3", b"1e999", b"1" * 16, b"1" * 17, b"3 ", b'"', b"null", b"--"]


def odd(wire: str) -> st.SearchStrategy[bytes]:
    """Events that are nearly the same, and what else may come."""
    make = MAKE[wire]
    return st.one_of(
        st.builds(make, PLAIN, COUNTS),
        st.builds(make, WORDS, COUNTS),
        st.builds(lambda text, at: make(text, 1)[:at], PLAIN, st.integers(1, 60)),
        st.builds(lambda text, at: make(text, 1)[at:], PLAIN, st.integers(1, 60)),
        st.builds(lambda one, two: make(one, 1) + make(two, 2), PLAIN, PLAIN),
        st.builds(lambda text: make(text, 1).replace(b"\n", b"\r\n"), PLAIN),
        st.builds(lambda text: make(text, 1, odd=text), PLAIN),
        st.builds(lambda text: make(text, 1, text=text), PLAIN),
        st.builds(lambda text: make(text, 1, thought=True), PLAIN),
        st.builds(lambda text: make(text, 1, reasoning=text), PLAIN),
        st.builds(lambda raw: make("@", 1).replace(b"@", raw), st.binary(max_size=3)),
        st.builds(lambda raw: make("a", 3).replace(b"3", raw), st.sampled_from(ODD_NUMBERS)),
        st.sampled_from(
            [b"", b"\n", b": ping\n\n", b"event: ping\n", b"{}\n", b'data: {"error":{"message":"no"}}\n\n']
        ),
    )


@pytest.mark.parametrize("wire", MAKE)
@settings(max_examples=20, deadline=None)
@given(caller=st.sampled_from(CALLERS), data=st.data())
def test_whatever_comes_is_treated_as_if_every_event_were_decoded(wire: str, caller: str, data: st.DataObject) -> None:
    make = MAKE[wire]
    usual = [make(f"w{number}", number) for number in range(data.draw(st.integers(1, 3)))]
    pieces = [OPENINGS.get(wire, b""), *usual, *data.draw(st.lists(odd(wire), max_size=6)), *usual]
    if data.draw(st.booleans()):
        pieces.append(ENDS[wire])
    assert seen(caller, wire, pieces, compares=True) == seen(caller, wire, pieces, compares=False)


@pytest.mark.parametrize("wire", MAKE)
def test_cut_into_bytes_it_is_the_same_answer(wire: str) -> None:
    whole = OPENINGS.get(wire, b"") + b"".join(MAKE[wire](f"w{number}", number) for number in range(5)) + ENDS[wire]
    cut = [whole[at : at + 1] for at in range(len(whole))]
    small, large = (seen("anthropic", wire, pieces, compares=True) for pieces in (cut, [whole]))
    assert b"".join(small[0]) == b"".join(large[0])
    assert small[1:] == large[1:]


@pytest.mark.parametrize("caller", ["openai_chat", "openai_responses", "anthropic", "gemini", "ollama"])
@pytest.mark.parametrize("wire", MAKE)
def test_events_like_those_before_are_not_decoded(caller: str, wire: str) -> None:
    found, make = stream(caller, wire, compares=True), MAKE[wire]
    found.feed(OPENINGS.get(wire, b""))
    for number in range(2):
        found.feed(make(f"w{number}", number))
    words = found._refrain.words(make("é, ~[x]", 77))
    assert words == "é, ~[x]".encode()
    assert bool(found._refrain.head) == load(caller).forgets
    assert found._refrain.delta(words) == Delta(0, 0, "text", "é, ~[x]")


@pytest.mark.parametrize("wire", MAKE)
def test_the_first_piece_of_a_block_shows_nothing_yet(wire: str) -> None:
    found, make = stream("anthropic", wire, compares=True), MAKE[wire]
    found.feed(OPENINGS.get(wire, b""))
    found.feed(make("w0", 0))
    assert found._refrain.words(make("w1", 1)) == b""
    # Nor does the one after data without an event, which may have been a part of it.
    found.feed(b": ping\n\n" if wire not in ("ollama", "bedrock") else b"")
    found.feed(make("w1", 1))
    assert found._refrain.words(make("w2", 2)) == b""
    found.feed(make("w2", 2))
    assert found._refrain.words(make("w3", 3)) == b"w3"


@pytest.mark.parametrize("wire", MAKE)
def test_what_is_damaged_or_more_is_not_known_again(wire: str) -> None:
    found, make = stream("anthropic", wire, compares=True), MAKE[wire]
    found.feed(OPENINGS.get(wire, b""))
    for number in range(3):
        found.feed(make(f"w{number}", number))
    for data in (
        make("", 1),
        make('a"b', 1),
        make("a\nb", 1),
        make("a\\b", 1),
        make("a", 1)[:-1],
        make("a", 1) * 2,
        make("a", 1, odd=1),
        make("a", 1).replace(b'"a"', b'"\xff"'),
        make("a" * 70_000, 1),
        ENDS[wire],
    ):
        assert found._refrain.words(data) == b""


def test_a_frame_with_a_wrong_sum_is_not_known_again() -> None:
    found = stream("anthropic", "bedrock", compares=True)
    found.feed(OPENINGS["bedrock"])
    for number in range(3):
        found.feed(bedrock(f"w{number}", number))
    right = bedrock("word", 3)
    assert found._refrain.words(right) == b"word"
    for at in (*range(12), *range(len(right) - 20, len(right))):
        wrong = bytearray(right)
        wrong[at] ^= 1
        assert found._refrain.words(bytes(wrong)) == b""


def test_the_last_counts_are_kept() -> None:
    found = stream("anthropic", "gemini", compares=True)
    for number in range(9):
        found.feed(gemini("word", number))
    found.feed(ENDS["gemini"])
    found.close()
    assert found.usage is not None
    assert found.usage.output == 8


def test_a_provider_whose_events_always_differ_is_given_up() -> None:
    found = Refrain(load("openai_chat"), load("anthropic"))
    for number in range(TRIES):
        data = openai(f"w{number}", 0).replace(b'"id":"c"', b'"id":"%d"' % number)
        found.learn(data, Delta(0, 0, "text", f"w{number}"), b'{"text":"w%d"}' % number)
    for number in range(2):
        found.learn(openai(f"w{number}", 0), Delta(0, 0, "text", f"w{number}"), b'{"text":"w%d"}' % number)
    assert found.words(openai("word", 0)) == b""
