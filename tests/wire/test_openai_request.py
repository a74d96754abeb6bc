"""OpenAI chat requests of callers: what is read, what is kept, what is refused and how the field is named."""

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from parley.failure import ParleyError
from parley.ir import (
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from wire.openai_requests import FULL, HI, WIRE, body, decoded, dropped, foreign, said, sent


def test_everything_a_caller_says_goes_out_again() -> None:
    given_body = copy.deepcopy(FULL)
    encoded = WIRE.encode_request(WIRE.decode_request(given_body), {})
    assert encoded.body == FULL
    assert encoded.dropped == ()
    assert given_body == FULL, "the caller's object must stay as it was"


def test_the_canonical_form_of_a_full_request() -> None:
    request = WIRE.decode_request(copy.deepcopy(FULL))
    user, assistant = request.messages[1], request.messages[2]
    assert request.messages[0] == Message("developer", (Text("Be brief."),), "boss")
    assert user.content == (
        Text("Look.", {"cache_control": {"type": "ephemeral"}}),
        Media(kind="image", url="https://host/a.png", detail="low", extra={"image_url": {"x": 1}}),
        Media(kind="image", data="AAAA", media_type="image/png"),
        Media(kind="audio", data="BBBB", media_type="audio/mpeg"),
        Media(kind="document", data="CCCC", media_type="application/pdf", name="a.pdf"),
        Media(kind="document", file_id="file-1", extra={"prompt_cache_breakpoint": True}),
        Opaque("openai_chat", {"type": "hologram", "hologram": [1]}),
    )
    assert assistant.content == (
        Thinking("hm", "c2ln+/=="),
        Thinking(redacted="b3Bh", extra={"x": 1}),
        Text("So"),
        ToolCall("c1", "f", '{"a": 1.50}', {"z": 3, "function": {"y": 2}}),
        Opaque("openai_chat", {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x"}}),
    )
    assert assistant.extra == {"audio": {"id": "audio-1"}}
    assert request.messages[3] == Message("tool", (ToolResult("c1", (Text("sunny"),)),))
    assert request.messages[5].content == (Refusal("No."),)
    assert request.tools[0] == Tool(
        "f", "", {"type": "object"}, True, {"cache_control": {"type": "ephemeral"}, "function": {"x": 1}}
    )
    assert (request.tool_choice, request.max_tokens, request.temperature) == (ToolChoice("named", "f"), 0, 0)
    assert request.output == OutputFormat("schema", {"type": "object"}, "s", None, True)
    assert (request.reasoning, request.include_usage, request.stop) == (Reasoning(effort="xhigh"), True, ("a", "b"))
    assert request.extra == {
        "store": False,
        "metadata": {"a": "b"},
        "vendor_field": {"deep": [1, None]},
        "stream_options": {"include_obfuscation": False},
    }


def test_null_is_absent_and_zero_is_not() -> None:
    names = WIRE.known - {"model", "messages"}
    assert WIRE.decode_request(body(**dict.fromkeys(names))) == WIRE.decode_request(body())
    assert decoded(max_tokens=0, temperature=0.0, stop=[], n=None) == replace(
        decoded(), max_tokens=0, temperature=0.0, stop=()
    )


def test_max_completion_tokens_wins_and_keeps_its_name() -> None:
    request = decoded(max_tokens=5, max_completion_tokens=7)
    assert request.max_tokens == 7
    assert sent(request) == {**body(), "max_completion_tokens": 7}
    assert sent(decoded(max_tokens=5)) == {**body(), "max_tokens": 5}


@pytest.mark.parametrize(("stop", "canonical"), [("a", ("a",)), (["a", "b"], ("a", "b")), ([], ()), (None, None)])
def test_stop_is_a_string_or_a_list(stop: Any, canonical: Any) -> None:
    assert decoded(stop=stop).stop == canonical


def test_the_time_before_tools_is_understood() -> None:
    request = WIRE.decode_request(
        {
            "model": "m",
            "messages": [
                HI,
                {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "1"},
                {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{ }"}},
                {"role": "function", "name": "f", "content": None},
            ],
            "functions": [{"name": "f", "parameters": {}}],
            "function_call": {"name": "f"},
        }
    )
    assert request.messages[1].content == (ToolCall("call_1", "f", "{}"),)
    assert request.messages[2] == Message("tool", (ToolResult("call_1", (Text("1"),)),), "f")
    assert request.messages[3].content == (ToolCall("call_2", "f", "{ }"),)
    assert request.messages[4].content == (ToolResult("call_2", (Text(""),)),)
    assert request.tools == (Tool("f", None, {}),)
    assert request.tool_choice == ToolChoice("named", "f")


@pytest.mark.parametrize(
    ("choice", "canonical", "kept"),
    [
        ("auto", ToolChoice("auto"), False),
        ("none", ToolChoice("none"), False),
        ("required", ToolChoice("required"), False),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", "f"), False),
        ({"type": "custom", "custom": {"name": "f"}}, None, True),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}, ToolChoice("required"), True),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, ToolChoice("auto"), True),
    ],
)
def test_tool_choice(choice: Any, canonical: Any, kept: bool) -> None:
    request = decoded(tool_choice=choice)
    assert request.tool_choice == canonical
    assert request.extra == ({"tool_choice": choice} if kept else {})
    assert sent(request)["tool_choice"] == choice
    assert dropped(replace(request, wire="other")) == (("tool_choice",) if kept else ())


def test_other_wires_get_no_more_than_the_tools_that_are_allowed() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g", "h")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tools[2], tools[0]]}}
    request = decoded(tools=tools, tool_choice=choice)
    assert request.tool_choice == ToolChoice("required")
    assert [tool.name for tool in request.tools] == ["f", "h"]
    assert (sent(request)["tools"], sent(request)["tool_choice"]) == (tools, choice)
    assert dropped(replace(request, wire="other")) == ()
    custom = {**choice, "allowed_tools": {"mode": "auto", "tools": [{"type": "custom", "custom": {"name": "c"}}]}}
    assert [tool.name for tool in decoded(tools=tools, tool_choice=custom).tools] == ["f", "g", "h"]


@pytest.mark.parametrize(
    ("form", "kind", "kept"),
    [
        ({"type": "text"}, "text", False),
        ({"type": "json_object"}, "json", False),
        ({"type": "json_object", "schema": {}}, "json", True),
        ({"type": "grammar", "grammar": "x"}, None, True),
        ({"type": "json_schema", "json_schema": {"name": "s", "x": 1}}, "schema", True),
    ],
)
def test_response_format(form: dict[str, Any], kind: Any, kept: bool) -> None:
    request = decoded(response_format=form)
    assert (request.output.kind if request.output else None) == kind
    assert ("response_format" in request.extra) == kept
    assert sent(request)["response_format"] == form


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_text_is_thinking_under_either_name(field: str) -> None:
    request = WIRE.decode_request(said(HI, {"role": "assistant", "content": "So", field: "hm"}))
    assert request.messages[1].content == (Thinking("hm"), Text("So"))
    assert sent(request)["messages"][1] == {"role": "assistant", "content": "So", "reasoning_content": "hm"}
    assert sent(request, reasoning_field="reasoning")["messages"][1]["reasoning"] == "hm"


def test_reasoning_of_another_shape_stays_as_it_is() -> None:
    message = {"role": "assistant", "content": "So", "reasoning": {"x": 1}}
    request = WIRE.decode_request(said(message))
    assert request.messages[0].content == (Text("So"),)
    assert sent(request)["messages"][0] == message


def test_reasoning_that_must_not_be_sent_is_listed() -> None:
    request = WIRE.decode_request(copy.deepcopy(FULL))
    encoded = WIRE.encode_request(request, {"reasoning_field": None})
    assert encoded.dropped == ("messages[2].reasoning_content",)
    assert {"reasoning_content", "thinking_blocks"}.isdisjoint(encoded.body["messages"][2])


def test_signatures_of_another_wire_do_not_go_to_this_one() -> None:
    request = foreign(Message("assistant", (Thinking("hm", "sig"), Text("So"))))
    assert sent(request)["messages"] == [{"role": "assistant", "content": "So", "reasoning_content": "hm"}]
    assert dropped(request) == ("messages[0].thinking.signature",)


BAD = [
    ({"messages": [HI]}, "model", "required"),
    ({"model": 1, "messages": [HI]}, "model", "a string"),
    ({"model": "m"}, "messages", "required"),
    (body(messages=None), "messages", "required"),
    (body(messages=[]), "messages", "at least one"),
    (body(messages={}), "messages", "an array"),
    (body(messages=["hi"]), "messages[0]", "an object"),
    (body(messages=[HI, {"content": "x"}]), "messages[1].role", "required"),
    (body(messages=[{"role": "pope", "content": "x"}]), "messages[0].role", "role must be"),
    (body(messages=[{"role": "user"}]), "messages[0].content", "required"),
    (body(messages=[{"role": "user", "content": None}]), "messages[0].content", "required"),
    (body(messages=[{"role": "user", "content": 5}]), "messages[0].content", "a string or an array"),
    (body(messages=[{"role": "user", "content": "x", "name": 5}]), "messages[0].name", "a string"),
    (body(messages=[{"role": "user", "content": [{"text": "x"}]}]), "messages[0].content[0].type", "required"),
    (body(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text", "required"),
    (
        body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}]),
        "messages[0].content[0].image_url",
        "an object",
    ),
    (
        body(
            messages=[
                {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}]}
            ]
        ),
        "messages[0].content[1].image_url.url",
        "required",
    ),
    (
        body(messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A"}}]}]),
        "messages[0].content[0].input_audio.format",
        "required",
    ),
    (
        body(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": 5}}]}]),
        "messages[0].content[0].file.file_id",
        "a string",
    ),
    (body(messages=[{"role": "tool", "content": "x"}]), "messages[0].tool_call_id", "required"),
    (body(messages=[{"role": "assistant", "tool_calls": {}}]), "messages[0].tool_calls", "an array"),
    (
        body(
            messages=[{"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f"}}]}]
        ),
        "messages[0].tool_calls[0].function.arguments",
        "required",
    ),
    (
        body(messages=[{"role": "assistant", "tool_calls": [{"id": "c", "type": "robot"}]}]),
        "messages[0].tool_calls[0].type",
        "function or custom",
    ),
    (
        body(messages=[{"role": "assistant", "thinking_blocks": [{"type": "thinking"}]}]),
        "messages[0].thinking_blocks[0].thinking",
        "required",
    ),
    (
        body(tools=[{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {}}]),
        "tools[1].function.name",
        "required",
    ),
    (body(tools=[{"function": {"name": "f"}}]), "tools[0].type", "required"),
    (body(tools=[{"type": "custom", "custom": {}}]), "tools[0].custom.name", "required"),
    (
        body(tools=[{"type": "function", "function": {"name": "f", "parameters": []}}]),
        "tools[0].function.parameters",
        "an object",
    ),
    (body(functions=[{}]), "functions[0].name", "required"),
    (body(tool_choice="always"), "tool_choice", "tool_choice must be"),
    (body(tool_choice={"type": "function"}), "tool_choice.function", "required"),
    (body(tool_choice={"type": "function", "function": {}}), "tool_choice.function.name", "required"),
    (body(stop=5), "stop", "a string or an array"),
    (body(stop=["a", 5]), "stop[1]", "a string"),
    (body(temperature="hot"), "temperature", "a number"),
    (body(temperature=2.5), "temperature", "at most 2"),
    (body(top_p=-0.1), "top_p", "at least 0"),
    (body(n=0), "n", "at least 1"),
    (body(n=True), "n", "an integer"),
    (body(n=1.5), "n", "an integer"),
    (body(max_tokens="5"), "max_tokens", "an integer"),
    (body(max_completion_tokens=1.5), "max_completion_tokens", "an integer"),
    (body(top_logprobs=21), "top_logprobs", "at most 20"),
    (body(stream="yes"), "stream", "true or false"),
    (body(stream_options=[]), "stream_options", "an object"),
    (body(stream_options={"include_usage": 1}), "stream_options.include_usage", "true or false"),
    (body(response_format={"type": "json_schema"}), "response_format.json_schema", "required"),
    (body(response_format={"type": "json_schema", "json_schema": {}}), "response_format.json_schema.name", "required"),
    (body(response_format={}), "response_format.type", "required"),
    (body(reasoning_effort=3), "reasoning_effort", "a string"),
    (body(logit_bias=[]), "logit_bias", "an object"),
    (body(metadata="x"), "metadata", "an object"),
    (body(modalities="text"), "modalities", "an array"),
]


@pytest.mark.parametrize(("given_body", "param", "words"), BAD, ids=[f"{case[1]}-{case[2]}" for case in BAD])
def test_the_field_at_fault_is_named(given_body: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(ParleyError) as caught:
        WIRE.decode_request(given_body)
    failure = caught.value.failure
    assert (failure.kind, failure.param) == ("invalid_request", param)
    assert words in failure.message


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "role", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(sorted(WIRE.known)), json_values, max_size=3), json_values)
def test_any_object_is_read_or_refused_by_name(members: dict[str, Any], message: Any) -> None:
    try:
        request = WIRE.decode_request({"model": "m", "messages": [HI, message], **members})
        outcome = ("read", bool(sent(request)["messages"]))
    except ParleyError as error:
        outcome = (error.failure.kind, bool(error.failure.param))
    assert outcome in (("read", True), ("invalid_request", True))
