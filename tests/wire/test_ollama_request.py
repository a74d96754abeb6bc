"""Ollama's requests, read from a caller."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from parley.failure import ParleyError
from parley.ir import (
    ChatRequest,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from parley.wire.inlets import Inlets, dialect_of
from parley.wire.ollama import CHAT, GENERATE

PNG = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}}


def chat(*messages: dict[str, Any], **members: Any) -> ChatRequest:
    body = {"model": "m", "messages": list(messages), **members}
    before = json.encode(body)
    found: ChatRequest = CHAT.decode_request(body)
    assert json.encode(body) == before, "the caller's body was changed"
    return found


def user(text: str = "hi", **members: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **members}


def calling(*names: str, **arguments: Any) -> dict[str, Any]:
    calls = [{"function": {"name": name, "arguments": arguments}} for name in names]
    return {"role": "assistant", "content": "", "tool_calls": calls}


def told(text: str, **members: Any) -> dict[str, Any]:
    return {"role": "tool", "content": text, **members}


def refused(wire: Any, body: dict[str, Any]) -> tuple[str | None, str]:
    with pytest.raises(ParleyError) as caught:
        wire.decode_request(body)
    failure = caught.value.failure
    assert failure.kind == "invalid_request"
    return failure.param, failure.message


def test_a_plain_request() -> None:
    found = chat({"role": "system", "content": "S"}, user())
    assert found.messages == (Message("system", (Text("S"),)), Message("user", (Text("hi"),)))
    assert (found.wire, found.model, found.stream, found.include_usage) == ("ollama", "m", True, True)
    assert (found.extra, found.aside) == ({}, {})


@pytest.mark.parametrize(("given", "wanted"), [({}, True), ({"stream": None}, True), ({"stream": False}, False)])
def test_a_request_that_does_not_say_gets_a_stream(given: dict[str, Any], wanted: bool) -> None:
    assert chat(user(), **given).stream is wanted
    assert CHAT.stream_default
    assert GENERATE.stream_default
    assert not CHAT.beats, "no comment may stand between lines"


def test_parameters_stand_in_options() -> None:
    options = {
        "temperature": 0, "top_p": 0.5, "top_k": 40.0, "seed": 7, "stop": ["a", "b"], "num_predict": 5,
        "presence_penalty": 1, "frequency_penalty": -1, "num_ctx": 4096, "min_p": 0.1, "mirostat": None,
    }  # fmt: skip
    found = chat(user(), options=options, keep_alive="5m", truncate=False)
    assert (found.temperature, found.top_p, found.top_k, found.seed) == (0, 0.5, 40, 7)
    assert (found.stop, found.max_tokens) == (("a", "b"), 5)
    assert (found.presence_penalty, found.frequency_penalty) == (1, -1)
    assert found.extra == {"keep_alive": "5m", "truncate": False, "options.num_ctx": 4096, "options.min_p": 0.1}


@pytest.mark.parametrize("limit", [-1, -2, 0])
def test_no_limit_is_no_loss_elsewhere(limit: int) -> None:
    found = chat(user(), options={"num_predict": limit})
    assert found.max_tokens is None
    assert found.extra == {}
    assert found.aside == {"options.num_predict": limit}


def test_one_stop_word() -> None:
    assert chat(user(), options={"stop": "x"}).stop == ("x",)
    assert chat(user(), options={"stop": []}).stop == ()


@pytest.mark.parametrize(
    ("think", "wanted"),
    [
        (True, Reasoning(mode="enabled")),
        (False, Reasoning(mode="disabled")),
        ("low", Reasoning(effort="low")),
        ("max", Reasoning(effort="max")),
        ("", None),
        (None, None),
    ],
)
def test_think(think: Any, wanted: Reasoning | None) -> None:
    assert chat(user(), think=think).reasoning == wanted


@pytest.mark.parametrize(
    ("form", "wanted"),
    [("json", OutputFormat("json")), (SCHEMA, OutputFormat("schema", schema=SCHEMA)), ("", None), (None, None)],
)
def test_format(form: Any, wanted: OutputFormat | None) -> None:
    assert chat(user(), format=form).output == wanted


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        ("/9j/4AAQ", "image/jpeg"),
        ("R0lGODlh", "image/gif"),
        ("UklGRiQA", "image/webp"),
        ("AAAA", None),
    ],
)
def test_pictures_are_bare_base64_before_the_text(data: str, kind: str | None) -> None:
    found = chat(user("what?", images=[data]))
    assert found.messages[0].content == (Media(kind="image", data=data, media_type=kind), Text("what?"))


def test_a_picture_with_its_prefix_is_read_too() -> None:
    found = chat(user("", images=[f"data:image/png;base64,{PNG}"]))
    assert found.messages[0].content == (Media(kind="image", data=PNG, media_type="image/png"),)


def test_tools() -> None:
    function = {"name": "f", "description": "d", "parameters": SCHEMA}
    found = chat(user(), tools=[{"type": "function", "function": function}, {"function": {"name": "g", "x": 1}}])
    assert found.tools == (Tool("f", "d", SCHEMA), Tool("g", extra={"function": {"x": 1}}))
    [tool] = found.tools[:1]
    assert isinstance(tool, Tool)
    assert json.encode(tool.parameters) == json.encode(SCHEMA), "the order of members is kept"


def test_calls_without_ids_get_some_and_keep_the_order_of_arguments() -> None:
    found = chat(user(), calling("f", z=1, a={"y": 2, "b": 3}))
    assert found.messages[1].content == (ToolCall("call_1", "f", '{"z":1,"a":{"y":2,"b":3}}'),)


def test_results_are_paired_by_name() -> None:
    found = chat(user(), calling("f", "g"), told("G", tool_name="g"), told("F", tool_name="f"))
    results = [message.content[0] for message in found.messages[2:]]
    assert results == [ToolResult("call_2", (Text("G"),)), ToolResult("call_1", (Text("F"),))]
    assert all(message.extra == {} for message in found.messages), "nothing that was understood counts as lost"


def test_results_of_one_name_are_paired_in_order() -> None:
    found = chat(calling("f", "f"), told("1", tool_name="f"), told("2", tool_name="f"))
    assert [message.content[0] for message in found.messages[1:]] == [
        ToolResult("call_1", (Text("1"),)),
        ToolResult("call_2", (Text("2"),)),
    ]


def test_results_without_a_name_are_paired_in_order() -> None:
    found = chat(calling("f", "g"), told("1"), told("2"))
    assert [getattr(message.content[0], "call_id", "") for message in found.messages[1:]] == ["call_1", "call_2"]


def test_results_with_an_id_are_paired_by_it() -> None:
    calls = [{"id": name, "function": {"name": "f", "index": 0, "arguments": {}}} for name in ("x", "y")]
    turn = {"role": "assistant", "tool_calls": calls}
    found = chat(turn, told("Y", tool_call_id="y"), told("X", tool_name="f"))
    assert [getattr(message.content[0], "call_id", "") for message in found.messages[1:]] == ["y", "x"]


def test_results_belong_to_the_latest_turn() -> None:
    found = chat(calling("f"), calling("f"), told("2", tool_name="f"), told("?", tool_name="lost"))
    assert [getattr(message.content[0], "call_id", "") for message in found.messages[2:]] == ["call_2", "call_3"]
    assert found.messages[3].extra == {"tool_name": "lost"}


@given(st.lists(st.sampled_from("fgh"), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_every_result_finds_its_call(names: list[str], shuffled: Any) -> None:
    order = list(range(len(names)))
    shuffled.shuffle(order)
    # Calls of one name are answered in their order: nothing else can tell them apart.
    ranked = {name: iter([place for place in range(len(names)) if names[place] == name]) for name in names}
    answered = [next(ranked[names[place]]) for place in order]
    found = chat(calling(*names), *(told(str(place), tool_name=names[place]) for place in answered))
    for message, place in zip(found.messages[1:], answered, strict=True):
        assert message.content == (ToolResult(f"call_{place + 1}", (Text(str(place)),)),)


def test_what_the_model_thought_comes_back() -> None:
    block = {"type": "thinking", "thinking": "t", "signature": "S+/="}
    plain = {"role": "assistant", "content": "a", "thinking": "t"}
    found = chat(plain, {**plain, "thinking_blocks": [block, {"type": "redacted_thinking", "data": "D"}]})
    assert found.messages[0].content == (Thinking("t"), Text("a"))
    assert found.messages[1].content == (Thinking("t", "S+/="), Thinking(redacted="D"), Text("a"))


def test_unknown_members_are_kept() -> None:
    found = chat(user(new=1), later={"x": 2})
    assert found.extra == {"later": {"x": 2}}
    assert found.messages[0].extra == {"new": 1}


def test_no_messages_only_load() -> None:
    assert CHAT.decode_request({"model": "m"}).messages == ()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": 1}, "model"),
        ({"model": ""}, "model"),
        ({"model": "m", "stream": 1}, "stream"),
        ({"model": "m", "messages": {}}, "messages"),
        ({"model": "m", "messages": [1]}, "messages[0]"),
        ({"model": "m", "messages": [{"content": "x"}]}, "messages[0].role"),
        ({"model": "m", "messages": [user(), {"role": "king"}]}, "messages[1].role"),
        ({"model": "m", "messages": [{"role": "user", "content": [1]}]}, "messages[0].content"),
        ({"model": "m", "messages": [user(images=["http://x/a.png"])]}, "messages[0].images[0]"),
        ({"model": "m", "messages": [user(images=[PNG, 5])]}, "messages[0].images[1]"),
        ({"model": "m", "messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function"),
        ({"model": "m", "messages": [calling("f"), {"role": "assistant", "tool_calls": [
            {"function": {"name": "f", "arguments": [1]}}]}]}, "messages[1].tool_calls[0].function.arguments"),
        ({"model": "m", "tools": [{"type": "function"}]}, "tools[0].function"),
        ({"model": "m", "options": []}, "options"),
        ({"model": "m", "options": {"temperature": "hot"}}, "options.temperature"),
        ({"model": "m", "options": {"top_k": 1.5}}, "options.top_k"),
        ({"model": "m", "options": {"num_predict": True}}, "options.num_predict"),
        ({"model": "m", "options": {"stop": ["a", 1]}}, "options.stop[1]"),
        ({"model": "m", "think": "very"}, "think"),
        ({"model": "m", "think": []}, "think"),
        ({"model": "m", "think": {"effort": "low"}}, "think"),
        ({"model": "m", "format": "xml"}, "format"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(body: dict[str, Any], param: str) -> None:
    assert refused(CHAT, body)[0] == param
    failure = CHAT.encode_error(_failure(body), "r")
    assert param in json.decode(failure[1])["error"], "this dialect has no other place for the field's name"


def _failure(body: dict[str, Any]) -> Any:
    with pytest.raises(ParleyError) as caught:
        CHAT.decode_request(body)
    return caught.value.failure


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (b"/api/tags", "ollama"),
        (b"/api/blobs/sha256:1", "ollama"),
        (b"/ollama", "ollama"),
        (b"/ollama/api/x", "ollama"),
        (b"/api/v0/nodes", "node_images"),
        (b"/api/adapters/openai/models", "caila_adapter"),
        (b"/ollamas", "openai_chat"),
    ],
)
def test_which_paths_are_of_this_dialect(path: bytes, dialect: str) -> None:
    assert dialect_of(path) == dialect


def test_where_requests_come_in() -> None:
    inlets = Inlets()
    for prefix in (b"", b"/ollama"):
        found = {path: inlets.find(prefix + path) for path in (b"/api/chat", b"/api/generate", b"/api/embed")}
        assert [(one.dialect, one.operation, one.streams) for one in found.values() if one is not None] == [
            ("ollama", "chat", True),
            ("ollama", "chat", True),
            ("ollama", "embeddings", False),
        ]


# generate


def test_generate_is_a_chat_of_one_turn() -> None:
    body = {"model": "m", "prompt": "p", "system": "S", "images": [PNG], "options": {"seed": 1}, "think": True}
    found = GENERATE.decode_request(body)
    picture = Media(kind="image", data=PNG, media_type="image/png")
    assert found.messages == (
        Message("system", (Text("S"),), place="system"),
        Message("user", (picture, Text("p")), place="prompt"),
    )
    assert (found.ahead, found.seed, found.reasoning, found.stream) == (1, 1, Reasoning(mode="enabled"), True)


def test_what_only_generate_can_do_stands_in_the_prompt() -> None:
    body = {"model": "m", "prompt": "p", "suffix": "s", "raw": True, "context": [1, 2], "template": "{{ .Prompt }}"}
    found = GENERATE.decode_request(body)
    assert [block.value["type"] for block in found.messages[0].content if isinstance(block, Opaque)] == [
        "suffix", "template", "context", "raw",
    ]  # fmt: skip


def test_what_asks_for_nothing_is_no_loss() -> None:
    body = {"model": "m", "prompt": "p", "suffix": "", "raw": False, "context": [], "width": 0, "system": ""}
    found = GENERATE.decode_request(body)
    assert found.messages == (Message("user", (Text("p"),), place="prompt"),)
    assert found.extra == {}
    assert found.aside == {"suffix": "", "raw": False, "context": [], "width": 0}


@pytest.mark.parametrize(
    ("members", "param"), [({"prompt": 1}, "prompt"), ({"raw": "yes"}, "raw"), ({"context": "c"}, "context")]
)
def test_what_is_wrong_with_generate_is_named(members: dict[str, Any], param: str) -> None:
    assert refused(GENERATE, {"model": "m", **members})[0] == param
