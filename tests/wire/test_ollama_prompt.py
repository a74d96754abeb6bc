"""Requests written for an Ollama."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from parley.failure import ParleyError
from parley.ir import (
    Block,
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
from parley.wire.ollama import CHAT, GENERATE

PNG = "iVBORw0KGgo="
USER = Message("user", (Text("hi"),))


def encoded(*messages: Message, wire: Any = CHAT, **fields: Any) -> Encoded:
    given = {"wire": "openai_chat", "model": "m", "messages": messages or (USER,), **fields}
    found: Encoded = wire.encode_request(ChatRequest(**given), {})
    return found


def sent(found: Encoded) -> dict[str, Any]:
    body: dict[str, Any] = json.decode(json.encode(found.body))
    return body


def refused(*messages: Message, **fields: Any) -> str | None:
    with pytest.raises(ParleyError) as caught:
        encoded(*messages, **fields)
    failure = caught.value.failure
    assert failure.kind == "invalid_request"
    assert failure.param is not None
    assert failure.param in failure.message
    return failure.param


def said(*content: Block) -> Message:
    return Message("user", content)


def test_a_plain_request_says_that_it_wants_no_stream() -> None:
    found = encoded(Message("developer", (Text("S"),)), USER)
    assert found.body == {
        "model": "m",
        "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}],
        "stream": False,
    }
    assert found.dropped == ()
    assert encoded(stream=True).body["stream"] is True


def test_a_prompt_that_is_too_long_is_an_error_where_the_row_says_so() -> None:
    for wire in (CHAT, GENERATE):
        asked = ChatRequest(wire="openai_chat", model="m", messages=(USER,))
        assert wire.encode_request(asked, {"truncate": False}).body["truncate"] is False
        assert "truncate" not in wire.encode_request(asked, {}).body
        own = wire.decode_request({"model": "m", "prompt": "p", "messages": [{"role": "user", "content": "x"}]})
        assert "truncate" not in wire.encode_request(own, {"truncate": False}).body, "this caller could say so itself"


def test_parameters_go_into_options() -> None:
    found = encoded(
        temperature=0, top_p=0.5, top_k=3, seed=9, stop=("a",), max_tokens=4, presence_penalty=1.0,
        frequency_penalty=0.0, logprobs=True, top_logprobs=2, user="u", logit_bias={"1": 2}, parallel_tool_calls=False,
    )  # fmt: skip
    assert found.body["options"] == {
        "temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 9, "presence_penalty": 1.0, "frequency_penalty": 0.0,
        "num_predict": 4, "stop": ["a"],
    }  # fmt: skip
    assert (found.body["logprobs"], found.body["top_logprobs"]) == (True, 2)
    assert set(found.dropped) == {"user", "logit_bias", "parallel_tool_calls"}


@pytest.mark.parametrize(
    ("reasoning", "think"),
    [
        (Reasoning(mode="enabled"), True),
        (Reasoning(mode="disabled"), False),
        (Reasoning(effort="none"), False),
        (Reasoning(effort="minimal"), "low"),
        (Reasoning(effort="medium"), "medium"),
        (Reasoning(effort="xhigh"), "max"),
        (Reasoning(mode="enabled", budget=1024), "low"),
        (Reasoning(mode="enabled", budget=100000), "high"),
        (Reasoning(budget=0), False),
    ],
)
def test_reasoning_becomes_think(reasoning: Reasoning, think: Any) -> None:
    assert encoded(reasoning=reasoning).body["think"] == think


def test_what_happens_anyway_is_not_asked_for() -> None:
    assert "think" not in encoded(reasoning=Reasoning(mode="adaptive")).body
    assert "format" not in encoded(output=OutputFormat("text")).body
    assert "tools" not in encoded().body


def test_the_form_of_the_answer() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    assert encoded(output=OutputFormat("json")).body["format"] == "json"
    found = encoded(output=OutputFormat("schema", schema=schema, name="n", description="d"))
    assert json.encode(found.body["format"]) == json.encode(schema)
    assert found.dropped == ("response_format.json_schema.description",)


def test_pictures_lose_their_prefix_and_stand_beside_the_text() -> None:
    found = encoded(
        said(
            Text("a"),
            Media(kind="image", data=PNG, media_type="image/png", detail="low"),
            Media(kind="image", url=f"data:image/png;base64,{PNG}"),
            Text("b"),
        )
    )
    assert found.body["messages"] == [{"role": "user", "content": "a\n\nb", "images": [PNG, PNG]}]
    assert found.dropped == ("messages[0].content[1].detail",)


def test_a_document_of_words_is_told() -> None:
    data = base64.b64encode("grün".encode()).decode()
    found = encoded(said(Text("see"), Media(kind="document", data=data, media_type="text/plain", name="n.txt")))
    assert found.body["messages"][0]["content"] == "see\n\ngrün"
    assert found.dropped == ("messages[0].content[1].name",)


@pytest.mark.parametrize(
    "block",
    [
        Media(kind="image", url="https://example.org/a.png"),
        Media(kind="image", file_id="f"),
        Media(kind="audio", data="AA", media_type="audio/wav"),
        Media(kind="document", data="AA", media_type="application/pdf"),
        Opaque("openai_chat", {"type": "odd"}),
    ],
)
def test_content_that_cannot_go_is_refused_by_name(block: Block) -> None:
    assert refused(said(Text("x"), block)) == "messages[0].content[1]"


def test_the_path_is_the_callers_own() -> None:
    system = Message("system", (Text("S"),))
    url = Media(kind="image", url="https://example.org/a.png")
    assert refused(system, USER, said(url), ahead=1) == "messages[1].content[0]"
    assert refused(Message("user", (url,), place="input[3]")) == "input[3].content[0]"


def test_more_than_one_answer_is_refused() -> None:
    assert refused(n=2) == "n"
    assert "n" not in encoded(n=1).body


def test_calls_and_results_keep_spelling_names_and_ids() -> None:
    arguments = '{"z": 1.50, "a": {"y": 2, "b": [1e3]}}'
    found = encoded(
        USER,
        Message("assistant", (Thinking("t"), Text("o"), Text("k"), ToolCall("x", "f", arguments), ToolCall("y", "g"))),
        Message("tool", (ToolResult("y", (Text("G"),)),)),
        Message("tool", (ToolResult("x", (Text("F"), Media(kind="image", data=PNG)), is_error=True),)),
    )
    assert arguments in json.encode(found.body).decode()
    assert sent(found)["messages"][1:] == [
        {
            "role": "assistant",
            "content": "ok",
            "thinking": "t",
            "tool_calls": [
                {"id": "x", "function": {"index": 0, "name": "f", "arguments": json.decode(arguments)}},
                {"id": "y", "function": {"index": 1, "name": "g", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "G", "tool_name": "g", "tool_call_id": "y"},
        {"role": "tool", "content": "F", "images": [PNG], "tool_name": "f", "tool_call_id": "x"},
    ]
    assert found.dropped == ("messages[3].content[0].is_error",)


@pytest.mark.parametrize("broken", ['{"a": ', "[1]", "nonsense", '"text"'])
def test_arguments_that_are_no_object_are_wrapped(broken: str) -> None:
    found = sent(encoded(Message("assistant", (ToolCall("x", "f", broken),))))
    assert found["messages"][0]["tool_calls"][0]["function"]["arguments"] == {"_raw": broken}


def test_results_among_a_users_words_come_first() -> None:
    found = encoded(
        Message("assistant", (ToolCall("x", "f", "{}"),)),
        said(Text("and"), ToolResult("x", (Text("F"),)), Refusal("no")),
    )
    assert sent(found)["messages"][1:] == [
        {"role": "tool", "content": "F", "tool_name": "f", "tool_call_id": "x"},
        {"role": "user", "content": "and\n\nno"},
    ]


def test_signatures_stay_behind_and_are_listed() -> None:
    found = encoded(
        Message(
            "assistant", (Thinking("t", "SECRET"), Thinking(redacted="DATA"), Text("a"), Opaque("x", {"type": "s"}))
        )
    )
    assert found.body["messages"] == [{"role": "assistant", "content": "a", "thinking": "t"}]
    assert found.dropped == ("messages[0].content[3]", "messages[0].thinking.signature")
    assert "SECRET" not in json.encode(found.body).decode()


def test_tools() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    tools = (Tool("f", "d", schema, True), Tool("g"), Opaque("openai_chat", {"type": "custom"}))
    found = encoded(tools=tools)
    assert json.encode(found.body["tools"][0]["function"]["parameters"]) == json.encode(schema)
    assert found.body["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema}},
        {"type": "function", "function": {"name": "g", "parameters": {"type": "object", "properties": {}}}},
    ]
    assert found.dropped == ("tools[0].strict", "tools[2]")


@pytest.mark.parametrize(
    ("choice", "offered", "dropped"),
    [
        (ToolChoice("auto"), True, ()),
        (ToolChoice("none"), False, ()),
        (ToolChoice("required"), True, ("tool_choice",)),
        (ToolChoice("named", "f"), True, ("tool_choice",)),
    ],
)
def test_a_choice_that_cannot_be_forced_is_listed(choice: ToolChoice, offered: bool, dropped: tuple[str, ...]) -> None:
    found = encoded(tools=(Tool("f"),), tool_choice=choice)
    assert ("tools" in found.body) is offered
    assert found.dropped == dropped


def test_what_another_wire_left_over_is_listed() -> None:
    message = Message("user", (Text("hi", {"cache_control": {}}),), name="ann", extra={"odd": 1})
    found = encoded(message, extra={"store": True}, aside={"unmissed": 1})
    assert set(found.dropped) == {
        "store",
        "messages[0].name",
        "messages[0].odd",
        "messages[0].content[0].cache_control",
    }
    assert found.body == {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False}


WHOLE = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "hi", "images": [PNG], "new": 1},
        {"role": "assistant", "content": "", "thinking": "t",
         "tool_calls": [{"id": "x", "function": {"index": 0, "name": "f", "arguments": {"z": 1, "a": 2}}}]},
        {"role": "tool", "content": "F", "tool_name": "f", "tool_call_id": "x"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "more": 1}}],
    "options": {"temperature": 0.5, "num_ctx": 99, "num_predict": -1, "min_p": 0.1, "stop": ["a"]},
    "format": {"type": "object"}, "think": "low", "keep_alive": -1, "truncate": False, "logprobs": True,
    "stream": False, "later": {"x": None},
}  # fmt: skip


def test_a_request_of_this_wire_comes_through_whole() -> None:
    found = CHAT.encode_request(CHAT.decode_request(WHOLE), {})
    assert sent(found) == WHOLE
    assert found.dropped == ()


def test_what_of_it_another_provider_cannot_take_is_listed() -> None:
    found = load("openai_chat").encode_request(CHAT.decode_request(WHOLE), {"reasoning_effort": True})
    listed = {"keep_alive", "truncate", "options.num_ctx", "options.min_p", "later", "messages[1].new"}
    assert listed <= set(found.dropped)
    assert "options.num_predict" not in found.dropped
    assert not {"options", "think", "format"} & set(found.body)
    assert found.body["messages"][-1] == {"role": "tool", "tool_call_id": "x", "content": "F"}
    call = found.body["messages"][2]["tool_calls"][0]
    assert call["function"] == {"name": "f", "arguments": '{"z":1,"a":2}'}
    assert (found.body["temperature"], found.body["reasoning_effort"]) == (0.5, "low")


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSONS, max_size=4))
def test_arguments_cross_both_ways_unchanged(arguments: dict[str, Any]) -> None:
    text = json.encode(arguments).decode()
    turn = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    request = CHAT.decode_request({"model": "m", "messages": [turn]})
    assert request.messages[0].content == (ToolCall("call_1", "f", text),)
    assert text in json.encode(encoded(*request.messages).body).decode()


# generate


def test_generate_takes_one_prompt() -> None:
    picture = Media(kind="image", data=PNG)
    found = encoded(
        Message("system", (Text("S"),)), Message("developer", (Text("D"),)), said(picture, Text("p")),
        wire=GENERATE, max_tokens=3, stream=True, tool_choice=ToolChoice("required"),
    )  # fmt: skip
    assert found.body == {
        "model": "m", "prompt": "p", "system": "S\n\nD", "images": [PNG], "options": {"num_predict": 3}, "stream": True,
    }  # fmt: skip
    assert found.dropped == ("tool_choice",)


def test_generate_refuses_a_conversation() -> None:
    assert refused(USER, Message("assistant", (Text("a"),)), wire=GENERATE) == "messages[1]"
    assert refused(USER, USER, wire=GENERATE) == "messages"
    assert refused(tools=(Tool("f"),), wire=GENERATE) == "tools"
    assert refused(said(ToolResult("x")), wire=GENERATE) == "messages[0]"


def test_a_request_to_generate_comes_through_whole() -> None:
    body = {
        "model": "m", "prompt": "p", "suffix": "s", "system": "S", "template": "t", "context": [1], "raw": True,
        "images": [PNG], "width": 0, "options": {"num_ctx": 1}, "keep_alive": 0, "stream": True,
    }  # fmt: skip
    found = GENERATE.encode_request(GENERATE.decode_request(body), {})
    assert sent(found) == body
    assert found.dropped == ()


@pytest.mark.parametrize("member", [{"suffix": "s"}, {"raw": True}, {"context": [1]}, {"template": "t"}])
@pytest.mark.parametrize("wire", ["openai_chat", "anthropic"])
def test_what_no_chat_can_do_is_refused_by_name(member: dict[str, Any], wire: str) -> None:
    request = GENERATE.decode_request({"model": "m", "prompt": "p", **member})
    with pytest.raises(ParleyError) as caught:
        load(wire).encode_request(request, {})
    assert repr(next(iter(member))) in caught.value.failure.message
    assert (caught.value.failure.param or "").startswith("prompt")


def test_legacy_completions_are_one_prompt() -> None:
    request = load("openai_completions").decode_request({"model": "m", "prompt": "p", "max_tokens": 5})
    assert encoded(*request.messages, wire=GENERATE, max_tokens=request.max_tokens).body["prompt"] == "p"
