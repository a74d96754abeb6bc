"""Responses requests of a caller: every shape of input, every setting, every fault by its field."""

from typing import Any

import pytest
from msgspec import json

from parley.failure import ParleyError
from parley.ir import (
    ChatRequest,
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
from parley.tokens import words
from wire.responses_parts import HI, WIRE, body, call, decoded, failure, message, reasoning

NAME = "openai_responses"
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True, "description": "d"}
SEARCH = {"type": "web_search", "search_context_size": "low"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "4"}


def said(request: ChatRequest) -> list[tuple[str, tuple[Any, ...]]]:
    return [(turn.role, turn.content) for turn in request.messages]


def test_a_string_is_the_user_s_turn() -> None:
    request = WIRE.decode_request(body())
    assert said(request) == [("user", (Text("hi"),))]
    assert request.wire == NAME
    assert request.extra == request.aside == {}


@pytest.mark.parametrize(
    "item",
    [
        HI,
        {"type": "message", **HI},
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "message", "role": "user", "status": "completed", "content": [{"type": "input_text", "text": "hi"}]},
        {"type": "message", "id": "msg_0", **HI},
    ],
)
def test_every_shape_of_a_message(item: dict[str, Any]) -> None:
    assert said(decoded(item)) == [("user", (Text("hi"),))]


def test_instructions_come_first() -> None:
    request = decoded({"role": "developer", "content": "Be brief."}, HI, instructions="Be kind.")
    assert said(request) == [
        ("system", (Text("Be kind."),)),
        ("developer", (Text("Be brief."),)),
        ("user", (Text("hi"),)),
    ]
    assert request.ahead == 1
    assert [turn.place for turn in request.messages] == ["instructions", "input[0]", "input[1]"]


def test_what_the_model_said_in_a_row_is_one_turn() -> None:
    request = decoded(
        HI, reasoning(), message(), call(), call(call_id="call_2"), RESULT, {**RESULT, "call_id": "call_2"}
    )
    assert said(request) == [
        ("user", (Text("hi"),)),
        (
            "assistant",
            (
                Thinking("Hm.", extra={"encrypted_content": "gAAA="}),
                Text("Hello"),
                ToolCall("call_1", "look", '{"q": 1}'),
                ToolCall("call_2", "look", '{"q": 1}'),
            ),
        ),
        ("tool", (ToolResult("call_1", (Text("4"),)),)),
        ("tool", (ToolResult("call_2", (Text("4"),)),)),
    ]
    assert [turn.place for turn in request.messages] == ["input[0]", "input[1]", "input[5]", "input[6]"]


def test_labels_of_past_output_are_no_loss_and_other_members_are() -> None:
    request = decoded(message(phase="final_answer"), call(namespace="n"), HI)
    (turn, _) = request.messages
    assert turn.extra == {}
    assert turn.content == (Text("Hello"), ToolCall("call_1", "look", '{"q": 1}', {"namespace": "n"}))
    noted = message()
    noted["content"][0]["annotations"] = [{"type": "file_path", "file_id": "f", "index": 0}]
    (turn,) = decoded(noted).messages
    assert turn.content[0].extra == {"annotations": noted["content"][0]["annotations"]}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "input_text", "text": "a", "x": 1}, Text("a", {"x": 1})),
        ({"type": "output_text", "text": "a"}, Text("a")),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        (
            {"type": "input_image", "image_url": "https://h/a.png", "detail": "low"},
            Media(kind="image", url="https://h/a.png", detail="low"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "file_id": None},
            Media(kind="image", data="AAAA", media_type="image/png"),
        ),
        ({"type": "input_image", "file_id": "file_1"}, Media(kind="image", file_id="file_1")),
        ({"type": "input_file", "file_url": "https://h/a.pdf"}, Media(kind="document", url="https://h/a.pdf")),
        ({"type": "input_file", "file_id": "file_1"}, Media(kind="document", file_id="file_1")),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"},
            Media(kind="document", data="AAAA", media_type="application/pdf", name="a.pdf"),
        ),
        ({"type": "input_file", "file_data": "AAAA"}, Media(kind="document", data="AAAA")),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Media(kind="audio", data="AAAA", media_type="audio/mpeg"),
        ),
        (
            {"type": "input_image", "image_url": "https://h/a.png", "file_id": "f"},
            Opaque(NAME, {"type": "input_image", "image_url": "https://h/a.png", "file_id": "f"}),
        ),
        ({"type": "input_smell", "of": "tea"}, Opaque(NAME, {"type": "input_smell", "of": "tea"})),
    ],
)
def test_content_parts(part: dict[str, Any], block: Any) -> None:
    assert decoded({"role": "user", "content": [part]}).messages[0].content == (block,)
    result = {"type": "function_call_output", "call_id": "c", "output": [part]}
    assert decoded(result).messages[0].content == (ToolResult("c", (block,)),)


@pytest.mark.parametrize(
    ("item", "block"),
    [
        (reasoning(encrypted_content=None), Thinking("Hm.")),
        (
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "a"}]},
            Thinking("a"),
        ),
        (reasoning(encrypted_content="parley:signature:s"), Thinking("Hm.", "s")),
        (reasoning(encrypted_content="parley:redacted:r"), Thinking(redacted="r")),
    ],
)
def test_reasoning(item: dict[str, Any], block: Thinking) -> None:
    assert decoded(item).messages[0].content == (block,)


@pytest.mark.parametrize(
    ("item", "role"),
    [
        ({"type": "web_search_call", "id": "ws_1", "status": "completed"}, "assistant"),
        ({"type": "computer_call_output", "call_id": "c", "output": {}}, "user"),
        ({"type": "compaction", "encrypted_content": "x"}, "user"),
        ({"type": "of_tomorrow"}, "user"),
    ],
)
def test_items_of_this_wire_alone(item: dict[str, Any], role: str) -> None:
    assert said(decoded(item)) == [(role, (Opaque(NAME, item),))]


def test_settings() -> None:
    request = WIRE.decode_request(
        body(
            stream=True,
            temperature=0.5,
            top_p=1,
            max_output_tokens=64,
            parallel_tool_calls=False,
            user="u",
            tools=[FUNCTION, SEARCH],
            tool_choice="required",
            reasoning={"effort": "low", "summary": "auto"},
            text={"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}, "verbosity": "low"},
            metadata={"k": "v"},
            include=["reasoning.encrypted_content", "message.output_text.logprobs"],
            top_logprobs=2,
            unheard_of=[1],
        )
    )
    assert (request.stream, request.include_usage, request.temperature, request.top_p) == (True, True, 0.5, 1)
    assert (request.max_tokens, request.max_tokens_field) == (64, "max_output_tokens")
    assert (request.parallel_tool_calls, request.user) == (False, "u")
    assert request.tools == (Tool("f", "d", {"type": "object"}, True), Opaque(NAME, SEARCH))
    assert request.tool_choice == ToolChoice("required")
    assert request.reasoning == Reasoning(effort="low", extra={"summary": "auto"})
    assert request.output == OutputFormat("schema", {}, "n", None, True)
    assert (request.logprobs, request.top_logprobs) == (True, 2)
    assert request.extra == {"metadata": {"k": "v"}, "unheard_of": [1], "text.verbosity": "low"}


def test_null_is_absent() -> None:
    nulls = dict.fromkeys(sorted(WIRE.known - {"model", "input", "stream"}))
    request = WIRE.decode_request(body(**nulls))
    assert request == WIRE.decode_request(body())


def test_what_steers_this_server_or_asks_for_nothing_is_set_aside() -> None:
    members = {
        "store": True,
        "background": False,
        "previous_response_id": "resp_0",
        "conversation": {"id": "conv_1"},
        "truncation": "disabled",
        "service_tier": "auto",
        "include": ["reasoning.encrypted_content"],
        "stream_options": {"include_obfuscation": False},
    }
    request = WIRE.decode_request(body(**members))
    assert request.extra == {}
    assert request.aside == members
    told = WIRE.decode_request(
        body(truncation="auto", include=["file_search_call.results"], stream_options={"include_obfuscation": True})
    )
    assert sorted(told.extra) == ["include", "stream_options.include_obfuscation", "truncation"]


@pytest.mark.parametrize(
    ("choice", "found", "listed"),
    [
        ("none", ToolChoice("none"), False),
        ({"type": "function", "name": "f"}, ToolChoice("named", "f"), False),
        ({"type": "custom", "name": "c"}, None, True),
        ({"type": "web_search_preview"}, None, True),
        ({"type": "mcp", "server_label": "s"}, None, True),
    ],
)
def test_tool_choices(choice: Any, found: ToolChoice | None, listed: bool) -> None:
    request = WIRE.decode_request(body(tools=[FUNCTION], tool_choice=choice))
    assert request.tool_choice == found
    assert ("tool_choice" in request.extra) is listed


def test_a_choice_among_some_tools_leaves_the_others_out() -> None:
    other = {**FUNCTION, "name": "g"}
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    request = WIRE.decode_request(body(tools=[FUNCTION, other, SEARCH], tool_choice=choice))
    assert [tool.name for tool in request.tools if isinstance(tool, Tool)] == ["g"]
    assert len(request.tools) == 1
    assert request.tool_choice == ToolChoice("required")
    assert request.extra == {}
    again = WIRE.encode_request(request, {}).body
    assert again["tools"] == [FUNCTION, other, SEARCH]
    assert again["tool_choice"] == choice


def test_without_functions_a_choice_says_nothing() -> None:
    members = {"tools": [SEARCH], "tool_choice": "required", "parallel_tool_calls": True}
    request = WIRE.decode_request(body(**members))
    assert request.tool_choice is request.parallel_tool_calls is None
    assert WIRE.encode_request(request, {}).body == {**body(**members), "input": [HI]}


def test_a_stored_prompt_precedes_the_input() -> None:
    prompt = {"id": "pmpt_1", "variables": {"a": "b"}}
    request = WIRE.decode_request({"model": "m", "prompt": prompt})
    assert said(request) == [("developer", (Opaque(NAME, {"type": "prompt", "prompt": prompt}),))]
    assert WIRE.encode_request(request, {}).body == {"model": "m", "prompt": prompt}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 1}, "model"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 1}, "input"),
        ({"input": [1]}, "input[0]"),
        ({"input": [{}]}, "input[0].type"),
        ({"input": [{"type": 1}]}, "input[0].type"),
        ({"input": [{"type": None, "role": "user", "content": "x"}]}, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content"),
        ({"input": [HI, {"role": "user", "content": ["x"]}]}, "input[1].content[0]"),
        ({"input": [{"role": "user", "content": [{"text": "x"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "u", "detail": 1}]}]},
            "input[0].content[0].detail",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A"}}]}]},
            "input[0].content[0].input_audio.format",
        ),
        ({"input": [call(arguments={})]}, "input[0].arguments"),
        ({"input": [call(call_id=None)]}, "input[0].call_id"),
        ({"input": [call(status=1)]}, "input[0].status"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text"}]}]},
            "input[0].output[0].text",
        ),
        ({"input": [{"type": "reasoning", "summary": "x"}]}, "input[0].summary"),
        ({"input": [{"type": "reasoning", "summary": [{"type": "summary_text"}]}]}, "input[0].summary[0].text"),
        ({"input": [{"type": "reasoning", "summary": [], "encrypted_content": 1}]}, "input[0].encrypted_content"),
        ({"input": [HI, {"type": "item_reference", "id": "msg_9"}]}, "input[1].id"),
        ({"instructions": ["x"]}, "instructions"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"max_output_tokens": 16.5}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"max_tool_calls": "1"}, "max_tool_calls"),
        ({"stream": 1}, "stream"),
        ({"store": "yes"}, "store"),
        ({"background": 1}, "background"),
        ({"previous_response_id": 1}, "previous_response_id"),
        ({"conversation": 1}, "conversation"),
        ({"conversation": {}}, "conversation.id"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"include": "x"}, "include"),
        ({"include": [1]}, "include[0]"),
        ({"prompt": {}}, "prompt.id"),
        ({"reasoning": "low"}, "reasoning"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"reasoning": {"summary": 1}}, "reasoning.summary"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"format": {}}}, "text.format.type"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"verbosity": 1}}, "text.verbosity"),
        ({"stream_options": {"include_obfuscation": 1}}, "stream_options.include_obfuscation"),
        ({"tools": {}}, "tools"),
        ({"tools": [1]}, "tools[0]"),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "custom"}]}, "tools[0].name"),
        ({"tools": [{**FUNCTION, "parameters": []}]}, "tools[0].parameters"),
        ({"tools": [{**FUNCTION, "strict": "yes"}]}, "tools[0].strict"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": 1}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "any", "tools": []}}, "tool_choice.mode"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [1]}}, "tool_choice.tools[0]"),
        ({"truncation": 1}, "truncation"),
        ({"service_tier": {}}, "service_tier"),
        ({"user": 1}, "user"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ],
)
def test_faults_name_their_field(members: dict[str, Any], param: str) -> None:
    given = body(**members)
    before = json.encode(given)
    found = failure(WIRE.decode_request, given)
    assert (found.kind, found.param) == ("invalid_request", param)
    assert json.encode(given) == before


@pytest.mark.parametrize("name", sorted(WIRE.known))
@pytest.mark.parametrize("value", [[], {}, "", 0, True, 1.5, [None], {"a": None}])
def test_no_value_breaks_the_reader(name: str, value: Any) -> None:
    faults = []
    try:
        WIRE.decode_request(body(**{name: value}))
    except ParleyError as error:
        faults.append(error.failure)
    assert [fault.kind for fault in faults if not str(fault.param).startswith(name)] == []
    assert {fault.kind for fault in faults} <= {"invalid_request"}


def test_a_request_may_stand_on_what_was_before() -> None:
    request = WIRE.decode_request({"model": "m", "previous_response_id": "resp_0"})
    assert request.messages == ()
    assert WIRE.encode_request(request, {}).body == {"model": "m", "previous_response_id": "resp_0"}


def test_tokens_are_counted() -> None:
    assert WIRE.count is not None
    counted = WIRE.count(body(input=[HI, {"role": "user", "content": "two words"}], instructions="Be brief."), words)
    assert json.decode(counted) == {"object": "response.input_tokens", "input_tokens": 5}
    assert json.decode(WIRE.count({}, words)) == {"object": "response.input_tokens", "input_tokens": 0}
    assert failure(WIRE.count, {"input": 1}, words).param == "input"


def test_turns_are_made_without_a_copy() -> None:
    given = [HI]
    (turn,) = WIRE.decode_request({"model": "m", "input": given}).messages
    assert isinstance(turn, Message)
    assert turn.origin is not None
    assert turn.origin.items[0] is given[0]
