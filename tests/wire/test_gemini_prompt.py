"""Requests of other wires' callers, written for a provider of this one."""

from typing import Any

import pytest

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
from parley.wire import load
from parley.wire.gemini.schema import openapi
from parley.wire.signature import FILLER, sealed
from wire.gemini_parts import SIGNATURE, WIRE, sent

USER = Message("user", (Text("hi"),))
IMAGE = Media(kind="image", data="iVBORw0KGgo=")


def asked(*messages: Message, **members: Any) -> ChatRequest:
    return ChatRequest(wire="openai_chat", model="gemini-3-pro", messages=messages or (USER,), **members)


def refused(*messages: Message, **members: Any) -> str | None:
    with pytest.raises(ParleyError) as caught:
        WIRE.encode_request(asked(*messages, **members), {})
    assert caught.value.failure.kind == "invalid_request"
    return caught.value.failure.param


def dropped(*messages: Message, **members: Any) -> tuple[str, ...]:
    return WIRE.encode_request(asked(*messages, **members), {}).dropped


def contents(*messages: Message) -> Any:
    return sent(asked(*messages))["contents"]


def test_instructions_stand_apart_wherever_they_were() -> None:
    body = sent(asked(Message("system", (Text("a"),)), USER, Message("developer", (Text("b"), Text("c")))))
    assert body == {
        "systemInstruction": {"parts": [{"text": "a"}, {"text": "b"}, {"text": "c"}]},
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    }


def test_instructions_alone_are_the_users_turn() -> None:
    assert sent(asked(Message("system", (Text("a"),)))) == {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}


def test_no_content_at_all_is_refused() -> None:
    assert refused(Message("user", (Text(""),))) == "messages"


def test_turns_of_one_role_are_one_turn_and_empty_text_is_none() -> None:
    said = contents(USER, Message("user", (Text(""), Text("x"))), Message("assistant", (Refusal("no"),)), USER)
    assert said == [
        {"role": "user", "parts": [{"text": "hi"}, {"text": "x"}]},
        {"role": "model", "parts": [{"text": "no"}]},
        {"role": "user", "parts": [{"text": "hi"}]},
    ]


def test_results_are_one_turn_in_the_order_of_their_calls() -> None:
    said = contents(
        USER,
        Message("assistant", (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", ""), ToolCall("c", "h", "broken"))),
        Message("tool", (ToolResult("b", (Text("2"),)),)),
        Message("tool", (ToolResult("c", (Text("3"),), is_error=True),)),
        Message("tool", (ToolResult("a", (Text("1"), IMAGE)),)),
        Message("user", (Text("go on"),)),
    )
    assert [part["functionCall"] for part in said[1]["parts"]] == [
        {"id": "a", "name": "f", "args": {"x": 1}},
        {"id": "b", "name": "g", "args": {}},
        {"id": "c", "name": "h", "args": {"_raw": "broken"}},
    ]
    assert said[2:] == [
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "a", "name": "f", "response": {"output": "1"}}},
                {"functionResponse": {"id": "b", "name": "g", "response": {"output": "2"}}},
                {"functionResponse": {"id": "c", "name": "h", "response": {"error": "3"}}},
                {"text": "Content of the result of f (a):"},
                {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                {"text": "go on"},
            ],
        }
    ]


def test_an_id_that_is_used_again_means_the_call_before() -> None:
    said = contents(
        USER,
        Message("assistant", (ToolCall("call_1", "f"),)),
        Message("tool", (ToolResult("call_1", (Text("x"),)),)),
        Message("assistant", (ToolCall("call_1", "g"),)),
        Message("tool", (ToolResult("call_1", (Text("y"),)),)),
    )
    assert [said[place]["parts"][0]["functionResponse"]["name"] for place in (2, 4)] == ["f", "g"]


def test_a_result_without_its_call_is_refused() -> None:
    assert refused(USER, Message("tool", (ToolResult("x", (Text("1"),)),))) == "messages[1].content[0]"


# --- signatures --------------------------------------------------------------------------------

GOOGLE = {"extra_content": {"google": {"thought_signature": SIGNATURE}}}


def signatures(*messages: Message) -> list[list[str | None]]:
    return [[part.get("thoughtSignature") for part in turn["parts"]] for turn in contents(USER, *messages)[1:]]


def test_an_openai_callers_signature_returns_to_its_call() -> None:
    calls = (ToolCall("a", "f", "{}", GOOGLE), ToolCall("b", "f", "{}"))
    assert signatures(Message("assistant", calls)) == [[SIGNATURE, None]]


def test_an_anthropic_callers_signature_returns_to_the_call_after_the_thought() -> None:
    blocks = (Thinking("", sealed(SIGNATURE)), ToolCall("a", "f"), ToolCall("b", "f"))
    assert signatures(Message("assistant", blocks)) == [[SIGNATURE, None]]


def test_a_signed_thought_returns_as_it_was() -> None:
    said = contents(USER, Message("assistant", (Thinking("hm", sealed(SIGNATURE)), Text("x"))))
    assert said[1]["parts"] == [{"text": "hm", "thought": True, "thoughtSignature": SIGNATURE}, {"text": "x"}]


def test_each_step_of_a_history_made_elsewhere_gets_the_filler_on_its_first_call() -> None:
    step = Message("assistant", (Text("so"), ToolCall("a", "f"), ToolCall("b", "f")))
    told = Message("tool", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("1"),))))
    assert signatures(step, told, step) == [[None, FILLER, None], [None, None], [None, FILLER, None]]


def test_another_providers_signature_does_not_go() -> None:
    history = (USER, Message("assistant", (Thinking("hm", "claude's own"), Text("x"))))
    encoded = WIRE.encode_request(asked(*history), {})
    assert encoded.body["contents"][1]["parts"] == [{"text": "x"}]
    assert encoded.dropped == ("messages[1].content[0]",)
    bare = (USER, Message("assistant", (Thinking("hm"), Text("x"))))
    assert WIRE.encode_request(asked(*bare), {}).dropped == ("messages[1].reasoning_content",)


def test_its_signatures_do_not_go_to_another_provider() -> None:
    blocks = (Thinking("hm", sealed(SIGNATURE)), ToolCall("a", "f", "{}", {"thoughtSignature": SIGNATURE}))
    request = ChatRequest(wire="gemini", model="m", messages=(USER, Message("assistant", blocks, place="contents[1]")))
    for name in ("openai_chat", "anthropic"):
        encoded = load(name).encode_request(request, {})
        assert SIGNATURE not in str(encoded.body)
        assert "contents[1].content[1].thoughtSignature" in encoded.dropped


# --- media -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (IMAGE, {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}),
        (
            Media(kind="image", data="AA==", media_type="image/jpg", detail="auto"),
            {"inlineData": {"mimeType": "image/jpeg", "data": "AA=="}},
        ),
        (
            Media(kind="image", url="https://h/a.webp?x=1"),
            {"fileData": {"fileUri": "https://h/a.webp?x=1", "mimeType": "image/webp"}},
        ),
        (
            Media(kind="image", url="data:image/gif;base64,AA=="),
            {"inlineData": {"mimeType": "image/gif", "data": "AA=="}},
        ),
        (
            Media(kind="audio", data="AA==", media_type="audio/wav"),
            {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
        ),
        (Media(kind="document", data="JVBERi0="), {"inlineData": {"mimeType": "application/pdf", "data": "JVBERi0="}}),
    ],
)
def test_media(media: Media, part: dict[str, Any]) -> None:
    assert contents(Message("user", (media,)))[0]["parts"] == [part]


def test_media_that_cannot_go_are_refused_by_name() -> None:
    place = "messages[0].content[0]"
    assert refused(Message("user", (Media(kind="document", file_id="file-1"),))) == place
    assert refused(Message("user", (Media(kind="image", data="AAAA"),))) == place
    assert refused(Message("user", (Opaque("openai_chat", {"type": "video_url"}),))) == place
    assert refused(Message("system", (IMAGE,))) == "messages[0].content[0]"
    with pytest.raises(ParleyError) as caught:
        WIRE.encode_request(asked(Message("user", (Media(kind="image", url="https://h/a"),))), {"urls": False})
    assert caught.value.failure.param == place


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "config"),
    [
        ({"temperature": 0.0, "top_p": 1.0, "top_k": 3}, {"temperature": 0, "topP": 1, "topK": 3}),
        ({"n": 2, "max_tokens": 0, "seed": 0}, {"candidateCount": 2, "maxOutputTokens": 0, "seed": 0}),
        ({"stop": ("a",)}, {"stopSequences": ["a"]}),
        ({"logprobs": True, "top_logprobs": 2}, {"responseLogprobs": True, "logprobs": 2}),
        ({"presence_penalty": 1, "frequency_penalty": -1}, {"presencePenalty": 1, "frequencyPenalty": -1}),
        ({"output": OutputFormat("json")}, {"responseMimeType": "application/json"}),
        ({"output": OutputFormat("text")}, {}),
        (
            {"output": OutputFormat("schema", {"type": "object", "$defs": {}}, "n", strict=True)},
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object", "$defs": {}}},
        ),
    ],
)
def test_settings(members: dict[str, Any], config: dict[str, Any]) -> None:
    assert sent(asked(**members)).get("generationConfig", {}) == config


@pytest.mark.parametrize(
    ("reasoning", "newer", "older"),
    [
        (Reasoning(effort="none"), {"thinkingBudget": 0}, {"thinkingBudget": 0}),
        (Reasoning("disabled"), {"thinkingBudget": 0}, {"thinkingBudget": 0}),
        (Reasoning(effort="low"), {"thinkingLevel": "LOW"}, {"thinkingBudget": 1024}),
        (Reasoning(effort="minimal"), {"thinkingLevel": "MINIMAL"}, {"thinkingBudget": 512}),
        (Reasoning(effort="max"), {"thinkingLevel": "XHIGH"}, {"thinkingBudget": 24576}),
        (Reasoning("enabled", None, 2000), {"thinkingBudget": 2000}, {"thinkingBudget": 2000}),
        (Reasoning("adaptive"), {"thinkingBudget": -1}, {"thinkingBudget": -1}),
        (Reasoning("enabled", "high", 9), {"thinkingLevel": "HIGH"}, {"thinkingBudget": 9}),
    ],
)
def test_reasoning(reasoning: Reasoning, newer: dict[str, Any], older: dict[str, Any]) -> None:
    wanted = {"newer": newer, "older": older}
    for name, expected in wanted.items():
        if expected != {"thinkingBudget": 0}:
            wanted[name] = {"includeThoughts": True, **expected}
    request = asked(reasoning=reasoning)
    assert sent(request)["generationConfig"]["thinkingConfig"] == wanted["newer"]
    assert sent(request, thinking="budget")["generationConfig"]["thinkingConfig"] == wanted["older"]
    older_model = ChatRequest(wire="openai_chat", model="gemini-2.5-flash", messages=(USER,), reasoning=reasoning)
    assert sent(older_model)["generationConfig"]["thinkingConfig"] == wanted["older"]


TOOL = Tool(
    "f", "does f", {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"const": "x"}}}
)


def test_tools() -> None:
    body = sent(
        asked(tools=(TOOL, Tool("g"), Tool("h", parameters={}, strict=True)), tool_choice=ToolChoice("named", "f"))
    )
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does f", "parametersJsonSchema": TOOL.parameters},
                {"name": "g"},
                {"name": "h"},
            ]
        }
    ]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}


@pytest.mark.parametrize(("mode", "word"), [("auto", "AUTO"), ("none", "NONE"), ("required", "ANY")])
def test_tool_choice(mode: Any, word: str) -> None:
    body = sent(asked(tools=(TOOL,), tool_choice=ToolChoice(mode)))
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": word}}


def test_schemas_for_servers_that_take_only_their_own() -> None:
    body = sent(asked(tools=(TOOL,), output=OutputFormat("schema", {"type": ["string", "null"]})), schemas="openapi")
    assert body["tools"][0]["functionDeclarations"][0]["parameters"] == {
        "type": "object",
        "properties": {"a": {"type": "string", "enum": ["x"]}},
    }
    assert body["generationConfig"]["responseSchema"] == {"type": "string", "nullable": True}


def test_openapi() -> None:
    schema = {
        "$schema": "s",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "one": {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "description": "d"},
            "tree": {"$ref": "#/definitions/tree", "title": "t"},
            "both": {"allOf": [{"type": "string"}, {"maxLength": 3}]},
            "two": {"type": ["integer", "string"]},
        },
        "definitions": {"tree": {"type": "object", "properties": {"next": {"$ref": "#/definitions/tree"}}}},
        "required": ["one"],
    }
    assert openapi(schema) == {
        "type": "object",
        "properties": {
            "one": {"anyOf": [{"type": "integer", "minimum": 1}], "nullable": True, "description": "d"},
            "tree": {"type": "object", "title": "t", "properties": {"next": {"type": "object"}}},
            "both": {"type": "string", "maxLength": 3},
            "two": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        },
        "required": ["one"],
    }


def test_references_that_never_end_are_refused() -> None:
    levels = {f"d{place}": {"anyOf": [{"$ref": f"#/$defs/d{place + 1}"}] * 3} for place in range(12)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**levels, "d12": {"type": "string"}}}
    with pytest.raises(ParleyError) as caught:
        openapi(schema)
    assert "too large" in caught.value.failure.message


def test_what_cannot_go_is_listed() -> None:
    found = dropped(
        Message(
            "user",
            (Text("hi", {"cache_control": {}}), Media(kind="image", data="iVBORw0KGgo=", detail="high")),
            name="bob",
        ),
        tools=(Opaque("openai_chat", {"type": "custom"}),),
        tool_choice=ToolChoice("auto"),
        user="u",
        logit_bias={"1": 1},
        parallel_tool_calls=False,
        output=OutputFormat("schema", {}, "n", "said", False),
        extra={"store": True},
    )
    assert sorted(found) == [
        "logit_bias",
        "messages[0].content[0].cache_control",
        "messages[0].content[1].detail",
        "messages[0].name",
        "parallel_tool_calls",
        "response_format.json_schema.description",
        "response_format.json_schema.strict",
        "store",
        "tool_choice",
        "tools[0]",
        "user",
    ]
