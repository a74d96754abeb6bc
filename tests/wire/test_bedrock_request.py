"""Requests to Bedrock: what is really sent, judged by the service's own model, what is refused, what is dropped."""

import json
from typing import Any

import pytest

from parley.ir import (
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from parley.wire.anthropic import WIRE as ANTHROPIC
from parley.wire.bedrock import WIRE
from wire.bedrock_parts import dropped, faults, refused, request, said, sent, user

PNG, PDF = "iVBORw0KGgo=", "JVBERi0xLjc="
CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
WEATHER = Tool("weather", "Tells it.", {"type": "object", "properties": {"city": {"type": "string"}}})


def test_the_least_request_names_neither_model_nor_stream() -> None:
    assert sent(request(stream=True)) == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    assert sent(request(), max_tokens=7)["inferenceConfig"] == {"maxTokens": 7}


def test_the_judge_of_these_tests_finds_faults() -> None:
    assert "content" in faults({"messages": [{"role": "user"}]})
    assert "role" in faults({"messages": [{"content": []}]})


def test_turns_alternate_and_instructions_stand_apart() -> None:
    body = sent(
        request(
            Message("system", (Text("a"),)),
            Message("developer", (Text("b"), Text(""))),
            user("one"),
            user("two"),
            said(""),
            user("three"),
            said("yes"),
            said(Refusal("no")),
            Message("system", (Text("later"),)),
        )
    )
    assert body["system"] == [{"text": "a"}, {"text": "b"}]
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "one"}, {"text": "two"}, {"text": "three"}]},
        {"role": "assistant", "content": [{"text": "yes"}, {"text": "no"}]},
        {"role": "user", "content": [{"text": "later"}]},
    ]


def test_instructions_alone_become_the_user_s_turn() -> None:
    body = sent(request(Message("system", (Text("Say hi."),))))
    assert body == {"messages": [{"role": "user", "content": [{"text": "Say hi."}]}]}


def test_a_conversation_needs_words_and_a_user_who_begins() -> None:
    assert refused(request(user(""))) == "messages"
    assert refused(request(Message("system", (Text("a"),)), said("hello"), user("hi"))) == "messages[1]"
    assert refused(request(Message("system", (Text("a"),)), said("hello"), ahead=1)) == "messages[0]"
    assert refused(request(Message("system", (Media(kind="image", data=PNG),)))) == "messages[0].content[0]"
    assert sent(request(said(""), user("hi")))["messages"][0]["role"] == "user"


def test_results_of_a_turn_are_one_user_turn_and_come_first() -> None:
    body = sent(
        request(
            user("weather?"),
            said(ToolCall("call:1", "weather", '{"city": "Paris", "n": 1.0}'), ToolCall("call 2", "clock")),
            Message("tool", (ToolResult("call:1", (Text("sun"), Text(""))),)),
            user("and?"),
            Message("tool", (ToolResult("call 2", (), True),)),
            tools=(WEATHER, Tool("clock")),
        )
    )
    calls = [block["toolUse"] for block in body["messages"][1]["content"]]
    assert calls[0] == {"toolUseId": "call:1", "name": "weather", "input": {"city": "Paris", "n": 1.0}}
    assert calls[1]["input"] == {}
    assert calls[1]["toolUseId"] != calls[0]["toolUseId"]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "call:1", "content": [{"text": "sun"}]}},
        {"toolResult": {"toolUseId": calls[1]["toolUseId"], "content": [], "status": "error"}},
        {"text": "and?"},
    ]


def test_results_hold_pictures_and_documents() -> None:
    result = ToolResult("t", (Media(kind="image", data=PNG), Media(kind="document", data=PDF)))
    [block] = sent(request(user("a"), said(ToolCall("t", "f")), user(result)))["messages"][2]["content"]
    assert [next(iter(inner)) for inner in block["toolResult"]["content"]] == ["image", "document"]
    heard = Message("tool", (ToolResult("t", (Text("a"), Media(kind="audio", data="AA==", media_type="audio/wav"))),))
    assert refused(request(user("a"), said(ToolCall("t", "f")), heard)) == "messages[2].content[1]"


@pytest.mark.parametrize("id_", ["", "a b", "x" * 65, "ü", "call/1", "\ud800"])
def test_ids_fit_and_calls_still_meet_their_results(id_: str) -> None:
    body = sent(request(user("a"), said(ToolCall(id_, "f")), Message("tool", (ToolResult(id_, (Text("b"),)),))))
    call = body["messages"][1]["content"][0]["toolUse"]["toolUseId"]
    assert body["messages"][2]["content"][0]["toolResult"]["toolUseId"] == call
    assert 0 < len(call) <= 64
    assert call.replace("_", "").isalnum()


@pytest.mark.parametrize("text", ["[1]", '{"a": ', "no", '"a"'])
def test_arguments_that_are_no_object_are_wrapped(text: str) -> None:
    body = sent(request(user("a"), said(ToolCall("t", "f", text)), user("b")))
    assert body["messages"][1]["content"][0]["toolUse"]["input"] == {"_raw": text}


def test_arguments_keep_their_own_spelling() -> None:
    body = WIRE.encode_request(request(user("a"), said(ToolCall("t", "f", '{"b":1.0, "a":1e5}'))), {}).body
    assert bytes(body["messages"][1]["content"][0]["toolUse"]["input"]) == b'{"b":1.0, "a":1e5}'


# --- parameters --------------------------------------------------------------------------------


def test_sampling_goes_where_it_belongs() -> None:
    body = sent(request(max_tokens=5, temperature=0, top_p=0.5, top_k=40, stop=("a",)))
    assert body["inferenceConfig"] == {"maxTokens": 5, "temperature": 0, "topP": 0.5, "stopSequences": ["a"]}
    assert body["additionalModelRequestFields"] == {"top_k": 40}
    assert "additionalModelResponseFieldPaths" not in body
    assert sent(request(stop=("a",), model=CLAUDE))["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    assert sent(request(stop=()))["inferenceConfig"] == {"stopSequences": []}


def test_more_than_one_answer_is_refused() -> None:
    assert refused(request(n=2)) == "n"
    assert "n" not in sent(request(n=1))


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"seed": 0, "user": "u", "logprobs": False}, {"seed", "user", "logprobs"}),
        ({"presence_penalty": 0, "frequency_penalty": 1}, {"presence_penalty", "frequency_penalty"}),
        ({"logit_bias": {}, "top_logprobs": 0}, {"logit_bias", "top_logprobs"}),
        ({"output": OutputFormat("json")}, {"response_format"}),
        ({"tool_choice": ToolChoice("required")}, {"tool_choice"}),
        ({"tools": (WEATHER,), "parallel_tool_calls": False}, {"parallel_tool_calls"}),
        ({"tools": (Opaque("openai_chat", {"type": "custom"}),)}, {"tools[0]"}),
        ({"tools": (Tool("f", extra={"odd": 1}),)}, {"tools[0].odd"}),
        ({"extra": {"store": True, "system": "x", "metadata": {"a": "é"}}}, {"store", "system", "metadata"}),
        ({"extra": {"service_tier": "scale"}}, {"service_tier"}),
        ({"reasoning": Reasoning("enabled", None, 2000, {"odd": 1})}, {"thinking", "reasoning.odd"}),
        ({"reasoning": Reasoning(effort="none")}, {"reasoning_effort"}),
    ],
)
def test_what_cannot_go_is_listed(fields: dict[str, Any], names: set[str]) -> None:
    asked = request(**fields)
    assert set(dropped(asked)) == names
    assert "toolChoice" not in sent(asked).get("toolConfig", {})


def test_parts_of_messages_that_cannot_go_are_listed() -> None:
    asked = request(
        Message("user", (Text("a"),), "ann", {"odd": 1}),
        said("b", Opaque("anthropic", {"type": "server_tool_use"})),
        Message("user", (Text("c", {"annotations": []}),), place="input[4]"),
    )
    assert dropped(asked) == (
        "messages[0].name",
        "messages[0].odd",
        "messages[1].content[1]",
        "input[4].content[0].annotations",
    )
    assert refused(request(user("a", Opaque("anthropic", {"type": "search_result"})))) == "messages[0].content[1]"


def test_tools_and_choices() -> None:
    tools = (WEATHER, Tool("bare", "", None, True))
    config = sent(request(tools=tools, tool_choice=ToolChoice("auto")))["toolConfig"]
    assert config["toolChoice"] == {"auto": {}}
    assert config["tools"] == [
        {"toolSpec": {"name": "weather", "description": "Tells it.", "inputSchema": {"json": WEATHER.parameters}}},
        {"toolSpec": {"name": "bare", "inputSchema": {"json": {"type": "object", "properties": {}}}, "strict": True}},
    ]
    assert sent(request(tools=tools, tool_choice=ToolChoice("required")))["toolConfig"]["toolChoice"] == {"any": {}}
    named = sent(request(tools=tools, tool_choice=ToolChoice("named", "bare")))["toolConfig"]["toolChoice"]
    assert named == {"tool": {"name": "bare"}}


def test_none_takes_the_tools_away_unless_the_conversation_has_calls() -> None:
    none = ToolChoice("none")
    assert "toolConfig" not in sent(request(tools=(WEATHER,), tool_choice=none))
    assert dropped(request(tools=(WEATHER,), tool_choice=none)) == ()
    history = (user("a"), said(ToolCall("t", "weather")), Message("tool", (ToolResult("t", (Text("b"),)),)))
    asked = request(*history, tools=(WEATHER,), tool_choice=none)
    assert list(sent(asked)["toolConfig"]) == ["tools"]
    assert dropped(asked) == ("tool_choice",)


def test_a_conversation_with_calls_never_goes_without_tools() -> None:
    history = (user("a"), said(ToolCall("t", "f"), ToolCall("u", "f")), user(ToolResult("t"), ToolResult("u")))
    [tool] = sent(request(*history))["toolConfig"]["tools"]
    assert tool["toolSpec"]["name"] == "f"


def test_an_answer_that_fits_a_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    asked = request(output=OutputFormat("schema", schema, "point", "A point.", False))
    form = sent(asked)["outputConfig"]["textFormat"]
    assert form["type"] == "json_schema"
    inner = form["structure"]["jsonSchema"]
    assert json.loads(inner["schema"]) == schema
    assert (inner["name"], inner["description"]) == ("point", "A point.")
    assert dropped(asked) == ("response_format.json_schema.strict",)
    assert "outputConfig" not in sent(request(output=OutputFormat("text")))


@pytest.mark.parametrize(
    ("reasoning", "effort", "thinking"),
    [
        (Reasoning(effort="high"), "high", None),
        (Reasoning(effort="minimal"), "low", None),
        (Reasoning(effort="none"), None, {"type": "disabled"}),
        (Reasoning("enabled", None, 2000), None, {"type": "enabled", "budget_tokens": 2000}),
        (Reasoning("enabled", None, 9000), None, {"type": "adaptive"}),
        (Reasoning("adaptive", "max"), "max", {"type": "adaptive"}),
        (Reasoning("disabled"), None, {"type": "disabled"}),
    ],
)
def test_how_much_to_think(reasoning: Reasoning, effort: str | None, thinking: dict[str, Any] | None) -> None:
    asked = request(reasoning=reasoning, model=CLAUDE, max_tokens=4000)
    body = sent(asked)
    assert body.get("outputConfig", {}).get("effort") == effort
    assert body.get("additionalModelRequestFields", {}).get("thinking") == thinking
    assert dropped(asked) == ()


@pytest.mark.parametrize(
    ("model", "takes"),
    [
        (CLAUDE, True),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", True),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-v2", True),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123", True),
        ("my-own", True),
        ("amazon.nova-pro-v1:0", False),
        ("us.meta.llama4-scout-17b-instruct-v1:0", False),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.deepseek.r1-v1:0", False),
    ],
)
def test_models_of_other_makers_are_not_asked_in_claude_s_words(model: str, takes: bool) -> None:
    asked = request(reasoning=Reasoning("enabled", None, 2000), model=model)
    assert ("additionalModelRequestFields" in sent(asked)) == takes
    assert dropped(asked) == (() if takes else ("thinking",))


def test_thinking_in_its_own_words_stays_as_it_was_written() -> None:
    thinking = {"type": "enabled", "budget_tokens": 100, "display": "omitted"}
    asked = ANTHROPIC.decode_request(
        {
            "model": CLAUDE,
            "max_tokens": 9,
            "thinking": thinking,
            "top_k": 3,
            "messages": [{"role": "user", "content": "a"}],
        }
    )
    assert sent(asked)["additionalModelRequestFields"] == {"top_k": 3, "thinking": thinking}
    assert dropped(asked) == ()


def test_members_of_this_wire_pass_beside_those_of_the_caller_s() -> None:
    extra = {
        "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
        "additionalModelRequestFields": {"anthropic_beta": ["x"]},
        "performanceConfig": {"latency": "optimized"},
        "service_tier": "flex",
        "metadata": {"team": "a b"},
    }
    asked = request(top_k=4, extra=extra)
    body = sent(asked)
    assert body["guardrailConfig"]["guardrailIdentifier"] == "abc"
    assert body["additionalModelRequestFields"] == {"top_k": 4, "anthropic_beta": ["x"]}
    assert body["performanceConfig"] == {"latency": "optimized"}
    assert body["serviceTier"] == {"type": "flex"}
    assert body["requestMetadata"] == {"team": "a b"}
    assert dropped(asked) == dropped(request(extra={"service_tier": "auto"})) == ()
    assert "serviceTier" not in sent(request(extra={"service_tier": "auto"}))
