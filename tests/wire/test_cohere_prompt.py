"""Cohere v2 chat requests: what is said, what is refused, what is listed."""

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
from wire.cohere_parts import CHAT, failure

HI = Message("user", (Text("hi"),))
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
PICTURE = Media(kind="image", data="AA==", media_type="image/png")


def encoded(*messages: Message, **members: Any) -> Encoded:
    found: Encoded = CHAT.encode_request(
        ChatRequest(wire="openai_chat", model="command", messages=messages or (HI,), **members), {}
    )
    return found


def test_every_parameter_has_its_name_here() -> None:
    found = encoded(
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=7,
        seed=0,
        stop=("a", "b"),
        frequency_penalty=0.1,
        presence_penalty=0.2,
        logprobs=True,
        stream=True,
    )
    assert found.body == {
        "model": "command",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 9,
        "temperature": 0.5,
        "p": 0.9,
        "k": 7,
        "seed": 0,
        "stop_sequences": ["a", "b"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "stream": True,
    }
    assert found.dropped == ()


@pytest.mark.parametrize(("given", "sent"), [(1, 0.99), (0, 0.01), (0.3, 0.3)])
def test_the_ends_of_top_p_are_not_allowed(given: float, sent: float) -> None:
    assert encoded(top_p=given).body["p"] == sent


def test_what_it_lacks_is_listed_and_many_answers_refused() -> None:
    found = encoded(
        logit_bias={"1": 2}, top_logprobs=3, user="u", parallel_tool_calls=False, n=1, extra={"store": True}
    )
    assert found.body.keys() == {"model", "messages"}
    assert sorted(found.dropped) == ["logit_bias", "parallel_tool_calls", "store", "top_logprobs", "user"]
    assert encoded(parallel_tool_calls=True).dropped == ()
    assert failure(lambda: encoded(n=2)).param == "n"


TOOLS = (Tool("a", "does a", SCHEMA), Tool("b"))


@pytest.mark.parametrize(
    ("choice", "sent", "names"),
    [
        (None, None, ["a", "b"]),
        (ToolChoice("auto"), None, ["a", "b"]),
        (ToolChoice("none"), "NONE", ["a", "b"]),
        (ToolChoice("required"), "REQUIRED", ["a", "b"]),
        (ToolChoice("named", "b"), "REQUIRED", ["b"]),
    ],
)
def test_tools_and_their_choice(choice: ToolChoice | None, sent: str | None, names: list[str]) -> None:
    body = encoded(tools=TOOLS, tool_choice=choice).body
    assert body.get("tool_choice") == sent
    assert [tool["function"]["name"] for tool in body["tools"]] == names
    made = {"type": "function", "function": {"name": "b", "parameters": {"type": "object", "properties": {}}}}
    assert body["tools"][-1] == made
    assert "strict_tools" not in body
    if "a" in names:
        assert body["tools"][0]["function"] == {"name": "a", "description": "does a", "parameters": SCHEMA}


def test_odd_tools() -> None:
    assert failure(lambda: encoded(tools=TOOLS, tool_choice=ToolChoice("named", "c"))).param == "tool_choice"
    assert encoded(tool_choice=ToolChoice("required")).dropped == ("tool_choice",)
    found = encoded(tools=(Opaque("openai_chat", {"type": "custom"}), Tool("b", extra={"cache": 1})))
    assert (len(found.body["tools"]), found.dropped) == (1, ("tools[0]", "tools[1].cache"))
    assert encoded(tools=(Tool("a", strict=True), Tool("b", strict=True))).body["strict_tools"] is True
    mixed = encoded(tools=(Tool("a", strict=True), Tool("b")))
    assert ("strict_tools" in mixed.body, mixed.dropped) == (False, ("tools[0].strict",))


@pytest.mark.parametrize(
    ("output", "sent"),
    [
        (OutputFormat("text"), {"type": "text"}),
        (OutputFormat("json"), {"type": "json_object"}),
        (OutputFormat("schema", SCHEMA, "n", strict=True), {"type": "json_object", "json_schema": SCHEMA}),
    ],
)
def test_the_form_of_answers(output: OutputFormat, sent: Any) -> None:
    found = encoded(output=output)
    assert (found.body["response_format"], found.dropped) == (sent, ())
    lost = encoded(output=OutputFormat("schema", SCHEMA, "n", "words", False)).dropped
    assert lost == ("response_format.json_schema.description", "response_format.json_schema.strict")


@pytest.mark.parametrize(
    ("reasoning", "sent", "dropped"),
    [
        (Reasoning(effort="none"), {"type": "disabled"}, ()),
        (Reasoning(mode="disabled"), {"type": "disabled"}, ()),
        (Reasoning(budget=0), {"type": "disabled"}, ()),
        (Reasoning(mode="enabled", budget=99), {"type": "enabled", "token_budget": 99}, ()),
        (Reasoning(mode="enabled"), {"type": "enabled"}, ()),
        (Reasoning(mode="adaptive"), None, ()),
        (Reasoning(effort="high"), None, ("reasoning_effort",)),
        (Reasoning(effort="low", extra={"summary": "auto"}), None, ("reasoning_effort", "reasoning.summary")),
    ],
)
def test_thinking_has_a_budget_but_no_effort(reasoning: Reasoning, sent: Any, dropped: tuple[str, ...]) -> None:
    found = encoded(reasoning=reasoning)
    assert (found.body.get("thinking"), found.dropped) == (sent, dropped)


def test_a_conversation_with_a_tool() -> None:
    found = encoded(
        Message("developer", (Text("be kind"),)),
        Message("user", (Text("look"), PICTURE)),
        Message(
            "assistant",
            (Thinking("I will "), Thinking("ask.", "sig"), ToolCall("id 1", "f", '{"b": 1,"a":2}'), ToolCall("2", "g")),
        ),
        Message("tool", (ToolResult("id 1", (Text("one"), Text("two"))),)),
        Message("tool", (ToolResult("2", (Text("{}"),)),)),
        Message("assistant", (Thinking("hm"), Text("It is so."), Refusal("No more."))),
        HI,
    )
    assert found.body["messages"] == [
        {"role": "system", "content": "be kind"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "id 1", "type": "function", "function": {"name": "f", "arguments": '{"b": 1,"a":2}'}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
            "tool_plan": "I will ask.",
        },
        {
            "role": "tool",
            "tool_call_id": "id 1",
            "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        },
        {"role": "tool", "tool_call_id": "2", "content": "{}"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm"},
                {"type": "text", "text": "It is so."},
                {"type": "text", "text": "No more."},
            ],
        },
        {"role": "user", "content": "hi"},
    ]
    assert found.dropped == ("messages[2].thinking.signature",)


def test_what_a_tool_showed_follows_its_results() -> None:
    found = encoded(
        Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))),
        Message("user", (ToolResult("a", (Text("see"), PICTURE)), ToolResult("b", ()), Text("well?"))),
    )
    _, first, second, user = found.body["messages"]
    assert (first["content"], second["content"]) == ("see", "")
    kinds = [part["type"] for part in user["content"]]
    assert (user["role"], kinds, user["content"][-1]["text"]) == ("user", ["text", "image_url", "text"], "well?")
    alone = encoded(Message("tool", (ToolResult("a", (PICTURE,)),)), Message("assistant", (Text("x"),)))
    assert [turn["role"] for turn in alone.body["messages"]] == ["tool", "user", "assistant"]


def test_losses_are_named_in_the_callers_own_places() -> None:
    found = encoded(
        Message("system", (Text("s"),)),
        Message("user", (Text("hi", {"cache_control": {}}),), name="n", extra={"odd": 1}),
        Message("assistant", (Opaque("anthropic", {"type": "x"}), Text("x"), Thinking(redacted="r"))),
        Message("tool", (ToolResult("a", (Text("t"),), is_error=True),), place="input[7]"),
        ahead=1,
    )
    assert found.dropped == (
        "messages[0].name",
        "messages[0].odd",
        "messages[0].content[0].cache_control",
        "messages[1].thinking.signature",
        "messages[1].content[0]",
        "input[7].content[0].is_error",
    )


@pytest.mark.parametrize(
    ("media", "part"),
    [
        (Media(kind="image", url="https://x.example/a"), {"url": "https://x.example/a"}),
        (Media(kind="image", url="https://x.example/a", detail="low"), {"url": "https://x.example/a", "detail": "low"}),
        (Media(kind="image", data="AA==", detail="original"), {"url": "data:image/png;base64,AA=="}),
    ],
)
def test_pictures(media: Media, part: Any) -> None:
    found = encoded(Message("user", (media,)))
    assert found.body["messages"][0]["content"] == [{"type": "image_url", "image_url": part}]
    assert found.dropped == (("messages[0].content[0].detail",) if media.detail == "original" else ())


def test_a_document_of_words_is_told() -> None:
    document = Media(kind="document", data="aGk=", media_type="text/plain", name="a.txt")
    found = encoded(Message("user", (document,)))
    assert found.body["messages"] == [{"role": "user", "content": "hi"}]
    assert found.dropped == ("messages[0].content[0].title",)


@pytest.mark.parametrize(
    "block",
    [
        Media(kind="audio", data="AA=="),
        Media(kind="document", data="AA==", media_type="application/pdf"),
        Media(kind="document", data="/w==", media_type="text/plain"),
        Media(kind="image", file_id="f"),
        Media(kind="video", url="https://x.example/v"),
        Opaque("openai_chat", {"type": "odd"}),
    ],
)
def test_content_that_cannot_cross_is_refused_by_name(block: Any) -> None:
    found = failure(lambda: encoded(HI, Message("user", (Text("a"), block))))
    assert (found.kind, found.param) == ("invalid_request", "messages[1].content[1]")


def test_it_is_a_provider_only() -> None:
    for wire in (CHAT, load("cohere_embed"), load("cohere_rerank")):
        assert failure(wire.decode_request, {}).kind == "not_implemented"
        assert failure(wire.encode_response, None, None).kind == "not_implemented"
