"""OpenAI chat streams for a caller: exactly these chunks, in this order."""

from typing import Any

from parley.failure import Failure
from parley.ir import BlockStart, BlockStop, Delta, End, Finish, Start, Text, Thinking, ToolCall, Usage
from wire.openai_parts import HEAD, WIRE, event, reply, written


def test_the_order_of_chunks_with_usage() -> None:
    events = [
        Start("c-1", "m", 7),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", 'H"é'),
        BlockStop(0, 0),
        Finish(0, "end"),
        End(Usage(3, 4, 1, None, 0)),
    ]

    def part(delta: Any, finish: Any = None) -> Any:
        return {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}

    assert written(events, reply(usage=True)) == [
        part({"role": "assistant", "content": ""}),
        part({"content": 'H"é'}),
        part({}, "stop"),
        {
            **HEAD,
            "choices": [],
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "total_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 0},
            },
        },
        b"[DONE]",
    ]
    without = written(events, reply())
    assert [type(found) for found in without] == [dict, dict, dict, bytes]
    assert all("usage" not in found for found in without[:-1])


def test_tool_calls_are_numbered_by_choice() -> None:
    events = [
        Start("", ""),
        BlockStart(0, 0, Text("")),
        BlockStop(0, 0),
        BlockStart(0, 1, ToolCall("a", "f", "", {"x": 1})),
        Delta(0, 1, "arguments", '{"q":'),
        Delta(0, 1, "arguments", "1}"),
        BlockStop(0, 1),
        BlockStart(0, 2, ToolCall("b", "g")),
        BlockStop(0, 2),
        BlockStart(1, 0, ToolCall("c", "h")),
        BlockStop(1, 0),
        Finish(0, "tool_use"),
        Finish(1, "tool_use"),
        End(),
    ]
    chunks = written(events, reply("other"))[:-1]
    assert all((found["id"], found["created"], found["model"]) == ("req-1", 5, "asked") for found in chunks)
    deltas = [(found["choices"][0]["index"], found["choices"][0]["delta"]) for found in chunks]

    def begun(index: int, id_: str, name: str) -> Any:
        return {
            "tool_calls": [{"index": index, "id": id_, "type": "function", "function": {"name": name, "arguments": ""}}]
        }

    def more(index: int, text: str) -> Any:
        return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}

    role = {"role": "assistant", "content": ""}
    assert deltas == [
        (0, role),
        (0, begun(0, "a", "f")),
        (0, more(0, '{"q":')),
        (0, more(0, "1}")),
        (0, begun(1, "b", "g")),
        (0, more(1, "{}")),
        (1, role),
        (1, begun(0, "c", "h")),
        (1, more(0, "{}")),
        (0, {}),
        (1, {}),
    ]


def test_thinking_is_told_at_once_and_its_signature_when_it_stops() -> None:
    events = [
        Start("", ""),
        BlockStart(0, 0, Thinking()),
        Delta(0, 0, "thinking", "h"),
        Delta(0, 0, "thinking", "m"),
        Delta(0, 0, "signature", "sig"),
        BlockStop(0, 0),
        BlockStart(0, 1, Thinking(redacted="r")),
        BlockStop(0, 1),
        BlockStart(0, 2, Thinking()),
        Delta(0, 2, "thinking", "plain"),
        BlockStop(0, 2),
    ]
    assert [found["choices"][0]["delta"] for found in written(events, reply("other"))[1:]] == [
        {"reasoning_content": "h"},
        {"reasoning_content": "m"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}]},
        {"thinking_blocks": [{"type": "redacted_thinking", "data": "r"}]},
        {"reasoning_content": "plain"},
    ]


def test_a_failed_stream_has_one_error_and_no_terminator() -> None:
    encoder = WIRE.stream_encoder(reply())
    out = encoder.fail(Failure("upstream_error", "broke", status=529))
    error = {"message": "broke", "type": "server_error", "param": None, "code": "upstream_error"}
    assert out == event({"error": error})
