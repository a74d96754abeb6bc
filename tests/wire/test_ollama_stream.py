"""Ollama's streams: lines read from a provider and written for a caller."""

from typing import Any

import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.fold import Fold, unfold
from parley.ir import (
    Block,
    BlockStart,
    BlockStop,
    ChatResponse,
    Choice,
    Delta,
    End,
    Event,
    Finish,
    Media,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import Mark, Reply, Wire, load
from parley.wire.ollama import CHAT, EMBED, GENERATE

HEAD = {"model": "m", "created_at": "2026-01-02T03:04:05.678901234Z"}
LAST = {"done": True, "done_reason": "stop", "prompt_eval_count": 2, "eval_count": 3, "total_duration": 7}


def line(wire: Wire = CHAT, **members: Any) -> bytes:
    if wire is GENERATE:
        return json.encode({**HEAD, "done": False, **members}) + b"\n"
    top = {name: members.pop(name) for name in list(members) if name in (*LAST, "logprobs", "later")}
    return (
        json.encode({**HEAD, "message": {"role": "assistant", "content": "", **members}, "done": False, **top}) + b"\n"
    )


STREAM = line(thinking="t") + line(content="Hel") + line(content="lo") + line(**LAST, later=1)
CALLS = (
    line(content="a")
    + line(tool_calls=[{"function": {"name": "f", "arguments": {"z": 1, "a": 2}}}])
    + line(tool_calls=[{"id": "call_x", "function": {"name": "g"}}])
    + line(**LAST)
)


def events(data: bytes, size: int = 0, wire: Wire = CHAT) -> list[Event]:
    decoder = wire.stream_decoder()
    found: list[Event] = []
    for start in range(0, len(data), size or len(data) or 1):
        found += decoder.feed(data[start : start + (size or len(data))])
    return found + decoder.close()


def folded(found: list[Event], wire: str = "ollama") -> ChatResponse:
    whole = Fold(wire)
    for event in found:
        whole.feed(event)
    return whole.response()


def reply(wire: str = "openai_chat") -> Reply:
    ticks = iter(range(1000, 10**9, 1000))
    return Reply(model="m", id="r", created=1_700_000_000, wire=wire, elapsed=lambda: next(ticks))


def lines(found: list[Event], wire: Wire = CHAT, came: str = "openai_chat") -> list[dict[str, Any]]:
    encoder = wire.stream_encoder(reply(came))
    out = b"".join(encoder.feed(event) for event in found)
    assert out.endswith(b"}\n")
    assert b"\n\n" not in out, "clients parse every line"
    return [json.decode(item) for item in out.splitlines()]


def fault(data: bytes, size: int = 0, wire: Wire = CHAT) -> Failure:
    with pytest.raises(ParleyError) as caught:
        events(data, size, wire)
    return caught.value.failure


def test_a_stream_is_read() -> None:
    assert events(STREAM) == [
        Start("", "m", 1767323045),
        BlockStart(0, 0, Thinking()),
        Delta(0, 0, "thinking", "t"),
        BlockStop(0, 0),
        BlockStart(0, 1, Text("")),
        Delta(0, 1, "text", "Hel"),
        Delta(0, 1, "text", "lo"),
        BlockStop(0, 1),
        Finish(0, "end", None, "stop"),
        End(Usage(2, 3), {"total_duration": 7, "later": 1}),
    ]


def test_calls_come_whole_and_before_the_end() -> None:
    found = folded(events(CALLS)).choices[0]
    assert found.stop == "tool_use"
    assert [(call.name, call.arguments) for call in found.content[1:] if isinstance(call, ToolCall)] == [
        ("f", '{"z":1,"a":2}'),
        ("g", ""),
    ]
    assert isinstance(found.content[2], ToolCall)
    assert found.content[2].id == "call_x"


def test_calls_on_the_last_line_count() -> None:
    calls = [{"function": {"name": "f", "arguments": {}}}]
    assert folded(events(line(tool_calls=calls, **LAST))).choices[0].stop == "tool_use"


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("stream", [STREAM, CALLS], ids=["text", "calls"])
def test_however_it_is_cut(stream: bytes, size: int) -> None:
    assert events(stream, size) == events(stream)
    assert events(stream.replace(b"\n", b"\r\n"), size) == events(stream)
    assert events(b"\n" + stream.replace(b"\n", b"\n\n"), size) == events(stream)


def test_the_last_line_may_lack_its_end() -> None:
    assert events(STREAM[:-1]) == events(STREAM)
    assert events(STREAM[:-1], 1) == events(STREAM)


def test_what_follows_the_last_line_is_ignored() -> None:
    assert events(STREAM + b"nonsense\n") == events(STREAM)


@pytest.mark.parametrize("cut", [1, 40, len(line(thinking="t")), len(STREAM) // 2, len(STREAM) - 2])
@pytest.mark.parametrize("size", [0, 1])
def test_a_stream_without_its_last_line_is_not_whole(cut: int, size: int) -> None:
    failure = fault(STREAM[:cut], size)
    assert (failure.kind, failure.detail) == ("upstream_incomplete", "missing_terminator")


@pytest.mark.parametrize(
    ("data", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (b"\n \n", "upstream_bad_response", "empty_body"),
        (b"<html>\n", "upstream_bad_response", "bad_event"),
        (b"<html>", "upstream_bad_response", "bad_event"),
        (b"data: {}\n", "upstream_bad_response", "bad_event"),
        (b"[1]\n", "upstream_bad_response", "bad_event"),
        (b'{"done":false}\n', "upstream_bad_response", "bad_event"),
        (b'{"message":{"content":4}}\n', "upstream_bad_response", "bad_event"),
        (b'{"message":{"content":"\xff"}}\n', "upstream_bad_response", "bad_event"),
        (b'{"message":{"tool_calls":[{"function":{}}]}}\n', "upstream_bad_response", "bad_event"),
        (b'{"error":"it broke"}\n', "upstream_error", "stream_error"),
        (b'{"error":"it broke"}', "upstream_error", "stream_error"),
    ],
)
@pytest.mark.parametrize("size", [0, 1])
def test_what_is_no_stream(data: bytes, kind: str, detail: str, size: int) -> None:
    failure = fault(data, size)
    assert (failure.kind, failure.detail) == (kind, detail)


def test_an_error_in_the_middle_comes_after_what_was_said() -> None:
    decoder = CHAT.stream_decoder()
    said = decoder.feed(line(content="a") + b'{"error":"it broke"}\n' + STREAM)
    assert said[-1] == Delta(0, 0, "text", "a")
    for call in (lambda: decoder.feed(b""), lambda: decoder.feed(STREAM), decoder.close):
        with pytest.raises(ParleyError, match="it broke"):
            call()


def test_an_endless_line() -> None:
    assert fault(b'{"message":{"content":"' + b"a" * (9 << 20)).detail == "event_too_large"


def test_generate_is_read() -> None:
    pieces = ({"thinking": "t", "response": ""}, {"response": "Hel"}, {"response": "lo"})
    stream = b"".join(line(GENERATE, **piece) for piece in pieces) + line(GENERATE, response="", **LAST, context=[1])
    assert folded(events(stream, 1, GENERATE)).choices[0].content == (Thinking("t"), Text("Hello"))
    assert events(stream, wire=GENERATE)[-1] == End(Usage(2, 3), {"total_duration": 7, "context": [1]})
    picture = line(GENERATE, completed=1, total=2, response="") + line(GENERATE, image="AA", response="", **LAST)
    assert fault(picture, wire=GENERATE).kind == "upstream_bad_response"


def test_probabilities_are_read() -> None:
    token = {"token": "a", "logprob": -0.5}
    found = events(line(content="a", logprobs=[token]) + line(content="b") + line(**LAST))
    assert [event.logprobs for event in found if isinstance(event, Delta)] == [{"content": [token]}, None]


def test_a_loaded_model_ends_at_once() -> None:
    found = events(line(**{**LAST, "done_reason": "load"}))
    assert found[1:] == [Finish(0, "end", None, "load"), End(Usage(2, 3), {"total_duration": 7})]
    assert lines(found, came="ollama")[-1]["done_reason"] == "load"


# the verbatim path's look


@pytest.mark.parametrize(
    ("data", "mark"),
    [
        (line(content="a"), Mark(content=True)),
        (line(thinking="a"), Mark(content=True)),
        (line(tool_calls=[{"function": {"name": "f"}}]), Mark(content=True)),
        (line(GENERATE, response="a"), Mark(content=True)),
        (line(GENERATE, completed=1, total=2), Mark()),
        (line(), Mark()),
        (line(**LAST), Mark(finished=True, end=True, usage=Usage(2, 3))),
        (b'{"message":{"content":""},"done":true}', Mark(finished=True, end=True)),
    ],
)
def test_a_glance(data: bytes, mark: Mark) -> None:
    assert CHAT.glance("", data.strip()) == mark


def test_a_glance_at_what_is_wrong() -> None:
    failure = CHAT.glance("", b'{"error":"it broke"}').failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("upstream_error", "it broke")
    for data in (b"", b"nonsense", b"[]", b'{"message":4}'):
        with pytest.raises(ParleyError) as caught:
            CHAT.glance("", data)
        assert caught.value.failure.detail == "bad_event"


# written


def test_a_stream_is_written() -> None:
    found = lines(events(STREAM))
    assert [(item["message"].get("thinking"), item["message"]["content"], item["done"]) for item in found] == [
        ("t", "", False),
        (None, "Hel", False),
        (None, "lo", False),
        (None, "", True),
    ]
    assert all(item["model"] == "m" and item["created_at"] == "2026-01-02T03:04:05Z" for item in found)
    last = found[-1]
    assert (last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("stop", 2, 3)
    assert last["total_duration"] == last["prompt_eval_duration"] + last["eval_duration"] + last["load_duration"]
    assert 0 < last["prompt_eval_duration"] < last["total_duration"]
    assert "later" not in last, "it belongs to another wire"
    assert [ollama.ChatResponse(**item).message.role for item in found] == ["assistant"] * 4


def test_what_came_on_this_wire_keeps_its_times() -> None:
    last = lines(events(STREAM), came="ollama")[-1]
    assert (last["total_duration"], last["later"]) == (7, 1)


def test_calls_are_written_whole() -> None:
    parts = ['{"z', '": 1.50,', ' "a": {}}']
    found: list[Event] = [
        Start("x", "m"),
        BlockStart(0, 0, ToolCall("x", "f")),
        BlockStart(0, 1, ToolCall("y", "g")),
        *(Delta(0, 0, "arguments", part) for part in parts),
        BlockStop(0, 1),
        BlockStop(0, 0),
        Finish(0, "tool_use"),
        End(),
    ]
    encoder = CHAT.stream_encoder(reply())
    out = b"".join(encoder.feed(event) for event in found)
    assert b'{"z": 1.50, "a": {}}' in out
    first, second, last = (json.decode(item) for item in out.splitlines())
    assert first["message"]["tool_calls"] == [{"id": "y", "function": {"index": 0, "name": "g", "arguments": {}}}]
    assert second["message"]["tool_calls"][0]["function"] == {"index": 1, "name": "f", "arguments": {"z": 1.5, "a": {}}}
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert "prompt_eval_count" not in last


def test_a_call_that_was_cut_is_wrapped() -> None:
    found: list[Event] = [
        Start("x", "m"),
        BlockStart(0, 0, ToolCall("x", "f")),
        Delta(0, 0, "arguments", '{"a":'),
        Finish(0, "length"),
        End(),
    ]
    [call, last] = lines(found)
    assert call["message"]["tool_calls"][0]["function"]["arguments"] == {"_raw": '{"a":'}
    assert last["done_reason"] == "length"


def test_seals_and_pictures_are_written() -> None:
    content: tuple[Block, ...] = (Thinking("t", "S"), Text("a"), Media(kind="image", data="AA"))
    whole = ChatResponse(wire="anthropic", id="x", model="m", choices=(Choice(0, content),), usage=Usage(1, 2))
    thought, seal, text, picture, last = lines(unfold(whole), came="anthropic")
    assert (thought["message"]["thinking"], text["message"]["content"]) == ("t", "a")
    assert seal["message"]["thinking_blocks"] == [{"type": "thinking", "thinking": "t", "signature": "S"}]
    assert picture["message"]["images"] == ["AA"]
    assert (last["prompt_eval_count"], last["eval_count"]) == (1, 2)


def test_probabilities_are_written() -> None:
    token = {"token": "a", "logprob": -0.5}
    found: list[Event] = [
        Start("", "m"),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "a", {"content": [token]}),
        BlockStop(0, 0),
        Finish(0, "end"),
        End(),
    ]
    assert lines(found)[0]["logprobs"] == [token]
    assert lines(found, GENERATE)[0]["logprobs"] == [token]


def test_generate_is_written() -> None:
    found = lines(events(STREAM), GENERATE)
    assert [(item["response"], item.get("thinking")) for item in found] == [
        ("", "t"), ("Hel", None), ("lo", None), ("", None),
    ]  # fmt: skip
    assert "message" not in found[-1]
    assert [ollama.GenerateResponse(**item).done for item in found] == [False, False, False, True]


def test_a_stream_that_broke_ends_in_an_error_and_nothing_else() -> None:
    encoder = CHAT.stream_encoder(reply())
    assert json.decode(encoder.fail(Failure("upstream_incomplete", "it ended early"))) == {
        "error": "it ended early",
        "code": "upstream_incomplete",
    }
    assert EMBED.stream_encoder(reply()).fail(Failure("internal", "x")).endswith(b"}\n")


def test_a_stream_that_ended_in_error_is_no_success() -> None:
    encoder = CHAT.stream_encoder(reply())
    encoder.feed(Finish(0, "error"))
    with pytest.raises(ParleyError):
        encoder.feed(End())


def test_only_the_first_choice_is_written() -> None:
    found: list[Event] = [Start("", "m"), BlockStart(1, 0, Text("")), Delta(1, 0, "text", "no"), BlockStop(1, 0)]
    assert len(lines([*found, Finish(1, "length"), Finish(0, "end"), End()])) == 1


PIECES = st.lists(
    st.one_of(
        st.text(min_size=1).map(Text),
        st.text(min_size=1).map(Thinking),
        st.dictionaries(st.text(), st.integers(-5, 5), max_size=3).map(
            lambda value: ToolCall("", "f", json.encode(value).decode())
        ),
    ),
    max_size=6,
)


def plain(content: tuple[Block, ...]) -> list[tuple[str, str]]:
    """What was said, pieces of one kind in a row as one."""
    found: list[tuple[str, str]] = []
    for block in content:
        kind, text = type(block).__name__, getattr(block, "text", None) or getattr(block, "arguments", "")
        if found and found[-1][0] == kind != "ToolCall":
            found[-1] = (kind, found[-1][1] + text)
        else:
            found.append((kind, text))
    return found


@pytest.mark.parametrize("other", ["openai_chat", "anthropic"])
@given(PIECES, st.integers(1, 5))
def test_through_this_wire_and_back(other: str, pieces: list[Any], size: int) -> None:
    content = tuple(
        ToolCall(f"id{n}", p.name, p.arguments) if isinstance(p, ToolCall) else p for n, p in enumerate(pieces)
    )
    whole = ChatResponse(wire=other, id="x", model="m", choices=(Choice(0, content),), usage=Usage(1, 2))
    encoder = CHAT.stream_encoder(reply(other))
    stream = b"".join(encoder.feed(event) for event in unfold(whole))
    again = folded(events(stream, size))
    assert plain(again.choices[0].content) == plain(content)
    calls = [block.id for block in again.choices[0].content if isinstance(block, ToolCall)]
    assert calls == [block.id for block in content if isinstance(block, ToolCall)]
    assert again.usage == Usage(1, 2)
    there = load(other).stream_encoder(reply("ollama"))
    assert b"".join(there.feed(event) for event in unfold(again))
