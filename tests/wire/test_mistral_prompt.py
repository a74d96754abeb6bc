"""Mistral chat requests: only what it knows, in the order it takes."""

from typing import Any

import pytest

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
from parley.wire import Encoded, load
from wire.mistral_parts import CHAT, failure

HI = Message("user", (Text("hi"),))
SCHEMA = {"type": "object", "properties": {}}


def encoded(*messages: Message, options: dict[str, Any] | None = None, **members: Any) -> Encoded:
    request = ChatRequest(**{"wire": "openai_chat", "model": "x", "messages": messages or (HI,), **members})
    found: Encoded = CHAT.encode_request(request, options or {})
    return found


def turns(*messages: Message, **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = encoded(*messages, **more).body["messages"]
    return found


def test_every_parameter_has_its_name_here() -> None:
    found = encoded(
        max_tokens=9,
        max_tokens_field="max_completion_tokens",
        temperature=0.5,
        top_p=1,
        top_k=7,
        n=2,
        seed=0,
        stop=("a",),
        frequency_penalty=0.1,
        presence_penalty=0.2,
        logprobs=True,
        top_logprobs=2,
        parallel_tool_calls=False,
        stream=True,
        include_usage=True,
    )
    assert found.body == {
        "model": "x",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 1,
        "top_k": 7,
        "n": 2,
        "random_seed": 0,
        "stop": ["a"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "top_logprobs": 2,
        "parallel_tool_calls": False,
        "stream": True,
    }
    assert found.dropped == ()


def test_only_known_members_are_sent() -> None:
    extra = {"store": True, "safe_prompt": True, "metadata": {"a": "b"}, "verbosity": "low", "random_seed": 3}
    found = encoded(user="u", logit_bias={"1": 2}, seed=5, extra=extra)
    assert found.body.keys() == {"model", "messages", "random_seed", "safe_prompt", "metadata"}
    assert found.body["random_seed"] == 5
    assert found.dropped == ("logit_bias", "user", "store", "verbosity")
    other = encoded(wire="anthropic", extra={"metadata": {"a": "b"}})
    assert (other.body.keys(), other.dropped) == ({"model", "messages"}, ("metadata",))


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "any"),
        (ToolChoice("named", "f"), {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_tools_and_their_choice(choice: ToolChoice, sent: Any) -> None:
    tools = (Tool("f", "does", SCHEMA, True, {"cache": 1}), Tool("g"), Opaque("openai_chat", {"type": "custom"}))
    found = encoded(tools=tools, tool_choice=choice)
    assert found.body["tool_choice"] == sent
    assert found.body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "does", "strict": True, "parameters": SCHEMA},
        },
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert found.dropped == ("tools[0].cache", "tools[2]")


@pytest.mark.parametrize(
    ("output", "sent"),
    [
        (OutputFormat("text"), {"type": "text"}),
        (OutputFormat("json"), {"type": "json_object"}),
        (
            OutputFormat("schema", SCHEMA, "n", "words", True),
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": SCHEMA, "description": "words", "strict": True},
            },
        ),
        (OutputFormat("schema"), {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}}}),
    ],
)
def test_the_form_of_answers(output: OutputFormat, sent: Any) -> None:
    assert encoded(output=output).body["response_format"] == sent


@pytest.mark.parametrize(
    ("reasoning", "sent"),
    [
        (Reasoning(effort="high"), "high"),
        (Reasoning(effort="none"), "none"),
        (Reasoning(mode="disabled"), "none"),
        (Reasoning(mode="enabled", budget=5000), "medium"),
        (Reasoning(mode="adaptive"), None),
    ],
)
def test_efforts(reasoning: Reasoning, sent: str | None) -> None:
    assert encoded(reasoning=reasoning).body.get("reasoning_effort") == sent


CALL = ToolCall("toolu_01", "f", "")


def test_ids_of_calls_are_nine_letters_and_digits() -> None:
    messages = (
        Message("assistant", (CALL, ToolCall("AbCdEf123", "g", '{"a":  1}'))),
        Message("tool", (ToolResult("toolu_01", (Text("one"),)),)),
        Message("tool", (ToolResult("AbCdEf123", (Text("two"),)),)),
    )
    said, first, second = turns(*messages)
    ids = [call["id"] for call in said["tool_calls"]]
    assert ids[1] == "AbCdEf123"
    assert len(ids[0]) == 9
    assert ids[0].isalnum()
    assert [first["tool_call_id"], second["tool_call_id"]] == ids
    assert [first["name"], second["name"]] == ["f", "g"]
    assert [call["function"]["arguments"] for call in said["tool_calls"]] == ["{}", '{"a":  1}']
    assert turns(*messages) == [said, first, second]


def test_an_id_that_another_call_already_bears_is_not_given_again() -> None:
    made = turns(Message("assistant", (CALL,)))[0]["tool_calls"][0]["id"]
    calls = turns(Message("assistant", (CALL, ToolCall(made, "g", "{}"))))[0]["tool_calls"]
    assert calls[1]["id"] == made
    assert len({call["id"] for call in calls}) == 2
    many = turns(Message("assistant", tuple(ToolCall(f"call_{n}", "f", "{}") for n in range(200))))[0]["tool_calls"]
    assert len({call["id"] for call in many}) == 200


def test_the_model_speaks_between_a_tool_and_the_user() -> None:
    messages = (
        Message("assistant", (CALL,)),
        Message("user", (ToolResult("toolu_01", (Text("sunny"),)), Text("go on"))),
    )
    made = turns(*messages)
    assert [turn["role"] for turn in made] == ["assistant", "tool", "assistant", "user"]
    assert made[2] == {"role": "assistant", "content": "Understood."}
    assert made[3] == {"role": "user", "content": "go on"}
    bare = turns(*messages, options={"bridge": None})
    assert [turn["role"] for turn in bare] == ["assistant", "tool", "user"]
    answered = turns(*messages[:1], Message("tool", (ToolResult("toolu_01"),)), Message("assistant", (Text("x"),)), HI)
    assert [turn["role"] for turn in answered] == ["assistant", "tool", "assistant", "user"]


def test_a_last_turn_of_the_model_is_to_be_gone_on_with() -> None:
    assert turns(HI, Message("assistant", (Text("So"),)))[-1] == {"role": "assistant", "content": "So", "prefix": True}
    kept = Message("assistant", (Text("So"),), extra={"prefix": False, "odd": 1})
    found = encoded(HI, kept)
    assert (found.body["messages"][-1]["prefix"], found.dropped) == (False, ("messages[1].odd",))
    assert "prefix" not in turns(HI, Message("assistant", (Text("So"),)), HI)[1]


@pytest.mark.parametrize(
    ("block", "options", "chunk", "dropped"),
    [
        (Thinking("hm"), {}, None, ("messages[0].reasoning_content",)),
        (Thinking("hm", "sig"), {}, None, ("messages[0].reasoning_content",)),
        (Thinking(redacted="r"), {"thinking": True}, None, ("messages[0].reasoning_content",)),
        (Thinking("hm"), {"thinking": True}, {}, ()),
        (Thinking("hm", "sig"), {"thinking": True}, {}, ("messages[0].thinking.signature",)),
        (Thinking("hm", "mistral:s1g"), {}, {"signature": "s1g"}, ()),
    ],
)
def test_thoughts_go_back_where_they_came_from(block: Thinking, options: Any, chunk: Any, dropped: Any) -> None:
    found = encoded(Message("assistant", (block, Text("x"))), HI, options=options)
    content = found.body["messages"][0]["content"]
    if chunk is None:
        assert content == "x"
    else:
        inner = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True, **chunk}
        assert content == [inner, {"type": "text", "text": "x"}]
    assert found.dropped == dropped


@pytest.mark.parametrize(
    ("media", "chunk"),
    [
        (
            Media(kind="image", data="AA==", media_type="image/webp"),
            {"type": "image_url", "image_url": {"url": "data:image/webp;base64,AA=="}},
        ),
        (
            Media(kind="image", url="https://x.example/a", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://x.example/a", "detail": "low"}},
        ),
        (Media(kind="audio", data="AA==", media_type="audio/wav"), {"type": "input_audio", "input_audio": "AA=="}),
        (
            Media(kind="document", url="https://x.example/a.pdf"),
            {"type": "document_url", "document_url": "https://x.example/a.pdf"},
        ),
        (
            Media(kind="document", data="AA==", name="a.pdf"),
            {
                "type": "document_url",
                "document_url": "data:application/pdf;base64,AA==",
                "document_name": "a.pdf",
            },
        ),
        (Media(kind="document", data="aGk=", media_type="text/plain"), {"type": "text", "text": "hi"}),
    ],
)
def test_media(media: Media, chunk: Any) -> None:
    assert turns(Message("user", (Text("see"), media)))[0]["content"] == [{"type": "text", "text": "see"}, chunk]
    shown = turns(Message("assistant", (CALL,)), Message("tool", (ToolResult("toolu_01", (Text("see"), media)),)))
    assert shown[1]["content"] == [{"type": "text", "text": "see"}, chunk]


@pytest.mark.parametrize(
    "block",
    [
        Media(kind="image", file_id="f"),
        Media(kind="document", file_id="f"),
        Media(kind="video", url="https://x.example/v"),
        Media(kind="audio", url="https://x.example/a"),
        Opaque("openai_chat", {"type": "odd"}),
    ],
)
def test_content_that_cannot_cross_is_refused_by_name(block: Any) -> None:
    found = failure(lambda: encoded(HI, Message("user", (Text("a"), block))))
    assert (found.kind, found.param) == ("invalid_request", "messages[1].content[1]")


def test_losses_are_named_in_the_callers_own_places() -> None:
    found = encoded(
        Message("developer", (Text("s"),)),
        Message("user", (Text("hi", {"cache_control": {}}),), name="n"),
        Message("assistant", (Opaque("anthropic", {"type": "x"}), Refusal("no"))),
        Message("tool", (ToolResult("a", (Text("t"),), is_error=True),), place="input[7]"),
        ahead=1,
    )
    assert [turn["role"] for turn in found.body["messages"]] == ["system", "user", "assistant", "tool"]
    assert found.body["messages"][2] == {"role": "assistant", "content": "no"}
    assert found.dropped == (
        "messages[0].name",
        "messages[0].content[0].cache_control",
        "messages[1].content[0]",
        "input[7].content[0].is_error",
    )


@pytest.mark.parametrize("seal", ["mistral:s1g", "gemini:s1g", "openai_responses:rs_1:s1g"])
def test_a_seal_that_says_whose_it_is_goes_to_nobody_else(seal: str) -> None:
    turn = Message("assistant", (Thinking("hm", seal), Text("x")))
    request = ChatRequest(wire="openai_chat", model="x", messages=(HI, turn, HI))
    found = load("anthropic").encode_request(request, {})
    assert found.body["messages"][1] == {"role": "assistant", "content": "x"}
    assert found.dropped == ("messages[1].reasoning_content",)
