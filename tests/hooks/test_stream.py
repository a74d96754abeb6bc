"""Texts of streams in other words: every dialect, cut anywhere, no event made up or lost."""

from typing import Any

import msgspec
import pytest

from parley.hooks.stream import HeldStream, StreamChange
from parley.hooks.view import Text
from parley.pii import Scrubbed

SECRET = "Mail me at test@test.com or 10.8.9.1, please. "
CLEAN = "Mail me at <EMAIL_ADDRESS> or <IP>, please. "


def sse(*objects: Any, named: bool = False) -> bytes:
    out = b""
    for one in objects:
        head = b"event: %b\n" % one["type"].encode() if named else b""
        out += head + b"data: " + (one if isinstance(one, bytes) else msgspec.json.encode(one)) + b"\n\n"
    return out


def cut(size: int) -> list[str]:
    return [SECRET[index : index + size] for index in range(0, len(SECRET), size)]


def chat(size: int) -> bytes:
    first = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
    deltas = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in cut(size)]
    call = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": SECRET}}]}}]}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return sse(first, *deltas, call, last, {"choices": [], "usage": {}}, b"[DONE]")


def messages(size: int) -> bytes:
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in cut(size)
    ]
    return sse(
        {"type": "message_start", "message": {"content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas[:1], {"type": "ping"}, *deltas[1:],
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": SECRET}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"},
        named=True,
    )  # fmt: skip


def responses(size: int) -> bytes:
    part = {"type": "output_text", "text": SECRET, "annotations": []}
    item = {"type": "message", "id": "m", "role": "assistant", "content": [part]}
    where = {"item_id": "m", "output_index": 0, "content_index": 0}
    deltas = [{"type": "response.output_text.delta", **where, "delta": piece} for piece in cut(size)]
    events = [
        {"type": "response.created", "response": {"output": []}}, *deltas,
        {"type": "response.output_text.done", **where, "text": SECRET},
        {"type": "response.content_part.done", **where, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.function_call_arguments.delta", "delta": SECRET},
        {"type": "response.completed", "response": {"output": [item]}},
    ]  # fmt: skip
    return sse(*({**event, "sequence_number": number} for number, event in enumerate(events)), named=True)


def gemini(size: int) -> bytes:
    pieces = cut(size)
    made = [
        {"candidates": [{"content": {"parts": [{"text": piece}], "role": "model"}, "index": 0}]} for piece in pieces
    ]
    made[-1]["candidates"][0]["finishReason"] = "STOP"
    return sse(*made)


def ollama(size: int) -> bytes:
    made = [{"model": "m", "message": {"role": "assistant", "content": piece}, "done": False} for piece in cut(size)]
    return b"".join(msgspec.json.encode(one) + b"\n" for one in [*made, {"message": {"content": ""}, "done": True}])


def cohere(size: int) -> bytes:
    made = [
        {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}} for piece in cut(size)
    ]
    return sse(*made, {"type": "content-end", "index": 0}, {"type": "message-end", "delta": {}})


def completions(size: int) -> bytes:
    made = [{"choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in cut(size)]
    made[-1]["choices"][0]["finish_reason"] = "stop"
    return sse(*made, b"[DONE]")


DIALECTS = [chat, messages, responses, gemini, ollama, cohere, completions]


def objects(out: bytes) -> list[Any]:
    lines = [line.removeprefix(b"data: ") for line in out.split(b"\n") if line and not line.startswith(b"event:")]
    return [line if line == b"[DONE]" else msgspec.json.decode(line) for line in lines]


def emptied(value: Any) -> Any:
    """The same object without its words."""
    if isinstance(value, dict):
        words = ("text", "content", "delta")
        return {key: "" if isinstance(part, str) and key in words else emptied(part) for key, part in value.items()}
    return [emptied(part) for part in value] if isinstance(value, list) else value


def spoken(out: bytes) -> str:
    """All pieces of the text, without what is said again as a whole, and without calls of tools."""
    said = ""
    for one in objects(out):
        kind = one.get("type", "") if isinstance(one, dict) else "-"
        if kind == "-" or (kind.startswith("response.") and kind != "response.output_text.delta"):
            continue
        said += "".join(words(one))
    return said


def words(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [
            word
            for key, part in value.items()
            for word in ([part] if isinstance(part, str) and key in ("text", "content", "delta") else words(part))
        ]
    return [word for part in value for word in words(part)] if isinstance(value, list) else []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 200])
@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda found: found.__name__)
def test_personal_data_in_pieces(dialect: Any, size: int) -> None:
    stream = dialect(size)
    change = StreamChange(Scrubbed, lines=dialect is ollama)
    out = change.feed(stream) + change.close()
    assert spoken(out) == CLEAN
    assert [emptied(one) for one in objects(out)] == [emptied(one) for one in objects(stream)]
    if dialect is responses:
        whole = [one for one in objects(out) if not one["type"].endswith(".delta")]
        assert SECRET not in repr(whole)
        assert repr(whole).count(CLEAN) == 4


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda found: found.__name__)
def test_events_one_by_one_are_never_far_behind(dialect: Any) -> None:
    stream = dialect(4)
    lines = dialect is ollama
    mark = b"\n" if lines else b"\n\n"
    change, out = StreamChange(Scrubbed, lines=lines), b""
    given = stream.split(mark)[:-1]
    for number, event in enumerate(given, 1):
        out += change.feed(event + mark)
        assert number - out.count(mark) <= 2
    assert out + change.close() == (whole := StreamChange(Scrubbed, lines=lines)).feed(stream) + whole.close()


def test_what_is_not_text_stays_byte_for_byte() -> None:
    event = (
        b'id: 7\nevent: x\ndata:  {"choices":[{"index":0,"delta":{"content":"plain words "},"logprobs":{ "a":1.0 }}],'
        b'"x":1e0}\n\n'
    )
    change = StreamChange(Scrubbed, lines=False)
    assert change.feed(b": comment\n\n" + event) + change.close() == b": comment\n\n" + event


def test_two_choices_are_two_texts() -> None:
    pieces = [(0, "a@"), (1, "10."), (0, "b.cc "), (1, "8.9.1 ")]
    made = [{"choices": [{"index": index, "delta": {"content": piece}}]} for index, piece in pieces]
    ends = [{"choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]} for index in (0, 1)]
    change = StreamChange(Scrubbed, lines=False)
    out = change.feed(sse(*made, *ends, b"[DONE]")) + change.close()
    said = {0: "", 1: ""}
    for one in objects(out)[:-1]:
        said[one["choices"][0]["index"]] += one["choices"][0]["delta"].get("content", "")
    assert said == {0: "<EMAIL_ADDRESS> ", 1: "<IP> "}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda found: found.__name__)
def test_a_stream_that_is_held_shows_each_text_as_one(dialect: Any) -> None:
    seen: list[str] = []

    def look(texts: list[Text]) -> None:
        for text in texts:
            if text.text:
                seen.append(text.text)
                text.text = text.text.upper()

    stream = dialect(5)
    change = HeldStream(look, lines=dialect is ollama)
    assert change.feed(stream) == b""
    out = change.close()
    assert seen == [SECRET]
    assert spoken(out) == SECRET.upper()
    assert [emptied(one) for one in objects(out)] == [emptied(one) for one in objects(stream)]
    if dialect is responses:
        assert repr(objects(out)).count(SECRET.upper()) == 5


def test_one_array_is_held_as_well() -> None:
    stream = (
        b'[{"candidates":[{"content":{"parts":[{"text":"a@b"}]}}]}\n'
        b',{"candidates":[{"content":{"parts":[{"text":".cc"}]},"finishReason":"STOP"}]}]'
    )
    change = HeldStream(lambda texts: [setattr(text, "text", "new") for text in texts] and None, lines=None)
    change.feed(stream)
    assert change.close() == stream.replace(b'"a@b"', b'"new"').replace(b'".cc"', b'""')


def test_data_in_several_lines_is_one_object() -> None:
    event = b'event: x\ndata: {"choices":[{"index":0,\ndata: "delta":{"content":"10.8.9.1 "}}]}\n\n'
    change = StreamChange(Scrubbed, lines=False)
    out = change.feed(event) + change.close()
    assert objects(out)[0]["choices"][0]["delta"]["content"] == "<IP> "
