"""Requests of callers: what is read, what is kept, what is refused and how the field is named."""

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from parley.failure import ParleyError
from parley.ir import (
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from parley.wire.anthropic import WIRE
from parley.wire.anthropic.request import decode_count

RECORDED = Path(__file__).parent.parent / "recordings" / "anthropic"


def recorded() -> dict[str, Any]:
    return msgspec.json.decode((RECORDED / "request.json").read_bytes())


def body(**members: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], **members}


def test_a_full_request_is_read_and_left_as_it_was() -> None:
    given = recorded()
    before = copy.deepcopy(given)
    request = WIRE.decode_request(given)
    assert given == before
    assert (request.wire, request.model, request.max_tokens) == ("anthropic", "claude-x", 1000)
    assert request.messages == (
        Message("system", (Text("Be brief.", {"cache_control": {"type": "ephemeral"}}),)),
        Message("user", (Text("What is in the picture?"),)),
        Message(
            "assistant",
            (
                Thinking("Look.", "EqQB+/=="),
                Thinking(redacted="b3BhcXVl"),
                Text("I will look."),
                ToolCall("toolu_1", "look", '{"at":"left","zoom":1.5}', {"caller": {"type": "direct"}}),
                Opaque("anthropic", before["messages"][1]["content"][4]),
            ),
        ),
        Message(
            "user",
            (
                ToolResult(
                    "toolu_1",
                    (Text("too dark"), Media(kind="image", data="iVBORw0KGgo=", media_type="image/png")),
                    True,
                ),
                Media(
                    kind="document",
                    url="https://example.com/a.pdf",
                    name="Notes",
                    extra={"context": "old", "citations": {"enabled": True}},
                ),
                Media(kind="document", data="cGxhaW4=", media_type="text/plain"),
                Media(kind="image", file_id="file_1", extra={"cache_control": {"type": "ephemeral"}}),
                Opaque("anthropic", before["messages"][2]["content"][4]),
            ),
        ),
        Message("system", (Text("From now on in French."),)),
        Message("user", (Text("Again"),), None, {"mood": "calm"}),
    )


@pytest.mark.parametrize(
    ("source", "words", "kept"),
    [
        ({"type": "text", "media_type": "text/plain", "data": "h\u00e9"}, "aMOp", False),
        ({"type": "text", "data": ""}, "", False),
        ({"type": "text", "media_type": "text/markdown", "data": "a"}, "YQ==", True),
        ({"type": "text", "data": "a", "x": 1}, "YQ==", True),
        ({"type": "content", "content": "a"}, "YQ==", True),
        ({"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "YQpi", True),
    ],
)
def test_a_document_of_text_is_one_for_other_wires_too(source: dict[str, Any], words: str, kept: bool) -> None:
    given = {"type": "document", "source": source, "title": "T"}
    request = WIRE.decode_request(body(messages=[{"role": "user", "content": [given]}]))
    (block,) = request.messages[0].content
    extra = {"source": source} if kept else {}
    assert block == Media(kind="document", data=words, media_type="text/plain", name="T", extra=extra)
    (again,) = WIRE.encode_request(request, {}).body["messages"][0]["content"]
    assert again["source"] == {"media_type": "text/plain", **source} if not kept else again["source"] == source


def test_a_document_with_pictures_in_it_is_this_wire_s_alone() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    given = {"type": "document", "source": {"type": "content", "content": [picture]}}
    request = WIRE.decode_request(body(messages=[{"role": "user", "content": [given]}]))
    assert request.messages[0].content == (Opaque("anthropic", given),)


@pytest.mark.parametrize(
    ("source", "field"),
    [
        ({"type": "text"}, "source.data"),
        ({"type": "text", "data": 1}, "source.data"),
        ({"type": "content"}, "source.content"),
        ({"type": "content", "content": [{"type": "text"}]}, "source.content[0].text"),
    ],
)
def test_a_document_without_its_words_is_named(source: dict[str, Any], field: str) -> None:
    with pytest.raises(ParleyError) as caught:
        WIRE.decode_request(body(messages=[{"role": "user", "content": [{"type": "document", "source": source}]}]))
    assert caught.value.failure.param == f"messages[0].content[0].{field}"


def test_the_parameters_of_a_full_request() -> None:
    before = recorded()
    request = WIRE.decode_request(recorded())
    assert request.tools == (
        Tool("look", "looks", before["tools"][0]["input_schema"], True, {"eager_input_streaming": True}),
        Opaque("anthropic", before["tools"][1]),
    )
    assert (request.tool_choice, request.parallel_tool_calls) == (ToolChoice("named", "look"), False)
    assert request.reasoning == Reasoning("enabled", "high", 2000, {"display": "omitted"})
    assert request.output == OutputFormat("schema", {"type": "object"})
    assert (request.stop, request.top_k, request.user, request.temperature) == (("END", ""), 0, "u1", None)
    assert (request.stream, request.include_usage) == (True, True)
    assert request.extra == {
        "service_tier": "auto",
        "speed": None,
        "brand_new": [1, None],
        "metadata": {"team": "t1"},
        "tool_choice": {"hint": 1},
        "output_config": {"style": "dry", "format": {"dialect": "x"}},
    }


def test_null_is_absent_and_zero_is_zero() -> None:
    nothing = dict.fromkeys(("system", "tools", "tool_choice", "thinking", "stop_sequences", "temperature", "stream"))
    assert WIRE.decode_request(body(**nothing)) == WIRE.decode_request(body())
    request = WIRE.decode_request(body(max_tokens=0, temperature=0, top_p=0.0, stop_sequences=[]))
    assert (request.max_tokens, request.temperature, request.top_p, request.stop) == (0, 0, 0.0, ())


@pytest.mark.parametrize(
    ("choice", "expected", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": False}, ToolChoice("required"), True),
        ({"type": "none"}, ToolChoice("none"), None),
    ],
)
def test_tool_choice(choice: dict[str, Any], expected: ToolChoice, parallel: bool | None) -> None:
    request = WIRE.decode_request(body(tool_choice=choice))
    assert (request.tool_choice, request.parallel_tool_calls) == (expected, parallel)


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        ({"type": "adaptive"}, Reasoning("adaptive")),
        ({"type": "disabled"}, Reasoning("disabled")),
        ({"type": "between_tools"}, Reasoning("adaptive", extra={"type": "between_tools"})),
        ({"type": "of_tomorrow", "x": 1}, Reasoning(extra={"type": "of_tomorrow", "x": 1})),
    ],
)
def test_thinking(thinking: dict[str, Any], expected: Reasoning) -> None:
    assert WIRE.decode_request(body(thinking=thinking)).reasoning == expected


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 4}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]}]},
            "messages[0].content[1].source",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "x"}}]}]},
            "messages[0].content[0].source.media_type",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b"}]}]},
            "messages[0].content[0].input",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": 1}]}
                        ],
                    }
                ]
            },
            "messages[0].content[0].content[0].text",
        ),
        ({"system": 3}, "system"),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"stream": "yes"}, "stream"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": True}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": ["a", 1]}, "stop_sequences[1]"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": {}}, 5]}, "tools[1]"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": 3}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
    ],
)
def test_a_wrong_field_is_named(wrong: dict[str, Any], param: str) -> None:
    with pytest.raises(ParleyError) as caught:
        WIRE.decode_request(body(**wrong))
    failure = caught.value.failure
    assert (failure.kind, failure.param) == ("invalid_request", param)
    assert failure.message.startswith(f"{param}: ")


def test_counting_needs_no_max_tokens() -> None:
    given = body()
    del given["max_tokens"]
    assert decode_count(given).max_tokens is None
    assert WIRE.count is not None
    assert WIRE.count(given, lambda request: len(request.messages)) == b'{"input_tokens":1}'
    with pytest.raises(ParleyError, match="max_tokens: is required"):
        WIRE.decode_request(given)
