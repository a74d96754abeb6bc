"""Envelopes of Caila's predict API: what is in them, what of them is refused and under which name, and whose words its
types have where OpenAI's have others."""

import json
from typing import Any

import pytest

from parley.failure import ParleyError
from parley.wire.caila import kinds
from parley.wire.caila.envelope import SPECS, Call, config_members, opened
from parley.wire.predict_paths import ADAPTER, CONFIG, DIRECT, EXT, PREDICT, STREAM, TEXTS, direct_path, form_at, named

HELLO = {"messages": [{"role": "user", "content": "Привет"}]}
BASE = b"/api/mlpgate/account/just-ai/model/openai-proxy"


def call(form: str, body: Any, query: str = "", operation: str = "chat") -> Call:
    raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
    target = BASE + b"/" + form.encode() + (b"?" + query.encode() if query else b"")
    return opened(form, operation, target, raw)


def plain(members: Any) -> dict[str, Any]:
    return {name: json.loads(bytes(value)) for name, value in members.items()}


@pytest.mark.parametrize("prefix", [b"/api/mlpgate", b"/api/mlpgateway"])
@pytest.mark.parametrize("form", [PREDICT, CONFIG, TEXTS, STREAM, EXT])
def test_every_form_is_found_under_both_prefixes(prefix: bytes, form: str) -> None:
    path = prefix + b"/account/just-ai/model/openai-proxy/" + form.encode()
    assert form_at(path) == form
    assert named(path) == ("just-ai", "openai-proxy")


def test_names_in_paths() -> None:
    assert form_at(b"/api/mlpgate/p/1/22") == PREDICT
    assert named(b"/api/mlpgate/p/1/22") == ("1", "22")
    assert named(BASE + b"%2Fgpt-4o/predict") == ("just-ai", "openai-proxy/gpt-4o")
    for path in (b"/api/mlpgate", BASE, BASE + b"/predict/", BASE + b"/predict-with", b"/api/mlpgates/p/1/2"):
        assert form_at(path) == ""


def test_each_form_holds_the_same_request() -> None:
    config = {"model": "gpt-4o", "temperature": 1}
    texts = {"data": json.dumps(HELLO), "config": json.dumps(config)}
    found = [
        call(CONFIG, {"data": HELLO, "config": config}), call(TEXTS, texts), call(STREAM, texts),
    ]  # fmt: skip
    assert [(plain(one.data), plain(one.config)) for one in found] == [(HELLO, config)] * 3
    assert [one.prefix for one in found] == ["data"] * 3
    bare = call(PREDICT, HELLO)
    assert (plain(bare.data), plain(bare.config), bare.prefix) == (HELLO, {}, "")
    assert (bare.account, bare.service) == ("just-ai", "openai-proxy")


def test_absent_null_and_empty_configs_are_none() -> None:
    assert plain(call(CONFIG, {"data": HELLO, "config": None}).config) == {}
    assert plain(call(CONFIG, {"data": HELLO, "config": {}}).config) == {}
    assert plain(call(TEXTS, {"data": json.dumps(HELLO), "config": ""}).config) == {}


@pytest.mark.parametrize(
    "kind",
    ["", "json", f"{SPECS}ChatCompletionRequest", "ChatCompletionRequest", "com.mlp.api.chatgpt.ChatCompletionRequest"],
)
def test_data_types_of_a_chat(kind: str) -> None:
    found = call(CONFIG, {"data": HELLO, "dataType": kind})
    assert (found.operation, found.direct) == ("chat", False)


def test_what_is_to_pass_is_not_read() -> None:
    raw = b'{"data":{ "max_tokens" : 1,\t"x":[1.0e2]},"dataType":"%bChatCompletionDirectProxy"}' % SPECS.encode()
    found = call(CONFIG, raw)
    assert found.direct
    assert found.raw == b'{ "max_tokens" : 1,\t"x":[1.0e2]}'
    asked = call(PREDICT, b'{"x" :1}', "dataType=https%3A%2F%2Fcaila.io%2Fspecs%2Fa.yml%23%2FChatCompletionDirectProxy")
    assert (asked.direct, asked.raw) == (True, b'{"x" :1}')
    assert call(DIRECT, b'{"model":"a/b/c"}').direct


def test_other_types() -> None:
    embedding = call(CONFIG, {"data": {"input": "x"}, "dataType": "EmbeddingRequest"})
    assert embedding.operation == "embeddings"
    completion = call(CONFIG, {"data": {"prompt": "x"}, "dataType": "CompletionRequest"})
    assert completion.operation == "completions"


@pytest.mark.parametrize(
    ("name", "request_", "operation"),
    [
        ("chat", HELLO, "chat"),
        ("completion", {"prompt": "x"}, "completions"),
        ("embedding", {"input": ["x"]}, "embeddings"),
        ("image", {"prompt": "x"}, "image_generation"),
        ("moderation", {"input": "x"}, "moderation"),
    ],
)
def test_the_older_envelope(name: str, request_: Any, operation: str) -> None:
    found = call(PREDICT, {name: request_})
    assert (found.union, found.operation, plain(found.data), found.prefix) == (name, operation, request_, name)
    inner = call(CONFIG, {"data": {name: request_, "edit": None, "more": 1}})
    assert (inner.union, inner.prefix, inner.ignored) == (name, f"data.{name}", ("edit", "more"))


def test_members_of_an_envelope_that_nobody_knows_are_named() -> None:
    assert call(CONFIG, {"data": HELLO, "configId": 3, "x": 1}).ignored == ("configId", "x")


def test_config_ids() -> None:
    assert call(PREDICT, HELLO, "configId=12&x=1").config_id == 12
    assert call(PREDICT, HELLO, "configId=").config_id is None
    assert call(PREDICT, HELLO).config_id is None


BAD: list[tuple[str, Any, str, str | None]] = [
    (PREDICT, {}, "", "messages"),
    (PREDICT, {"messages": "x"}, "", "messages"),
    (PREDICT, {"messages": None}, "", "messages"),
    (PREDICT, {"chat": 3}, "", "chat"),
    (PREDICT, {"chat": {}}, "", "chat.messages"),
    (PREDICT, {"chat": HELLO, "image": {"prompt": "x"}}, "", "chat"),
    (PREDICT, {"edit": {}}, "", "edit"),
    (PREDICT, {"fineTuning": {}}, "", "fineTuning"),
    (PREDICT, {"audioTranscribe": {}}, "", "audioTranscribe"),
    (PREDICT, HELLO, "configId=x", "configId"),
    (PREDICT, HELLO, "configId=9223372036854775808", "configId"),
    (PREDICT, HELLO, "dataType=Nothing", "dataType"),
    (PREDICT, HELLO, "dataType=ChatCompletionResult", "dataType"),
    (PREDICT, HELLO, "dataType=EmbeddingRequest", "input"),
    (PREDICT, b"[]", "", None),
    (PREDICT, b'{"messages":[],"messages":[]}', "", None),
    (PREDICT, b"{", "", None),
    (PREDICT, b"", "", None),
    (CONFIG, {}, "", "data"),
    (CONFIG, {"data": None}, "", "data"),
    (CONFIG, {"data": "{}"}, "", "data"),
    (CONFIG, {"data": [HELLO]}, "", "data"),
    (CONFIG, {"data": {}}, "", "data.messages"),
    (CONFIG, {"data": HELLO, "config": []}, "", "config"),
    (CONFIG, {"data": HELLO, "config": "{}"}, "", "config"),
    (CONFIG, {"data": HELLO, "config": 0}, "", "config"),
    (CONFIG, {"data": HELLO, "dataType": 1}, "", "dataType"),
    (CONFIG, {"data": HELLO, "dataType": f"{SPECS}TextToSpeech"}, "", "dataType"),
    (CONFIG, b'{"data":{"messages":[]},"config":{"a":1,"a":2}}', "", "config"),
    (TEXTS, {"data": HELLO}, "", "data"),
    (TEXTS, {"data": "x"}, "", "data"),
    (TEXTS, {"data": "[]"}, "", "data"),
    (TEXTS, {"data": "{}"}, "", "data.messages"),
    (TEXTS, {"data": json.dumps(HELLO), "config": {}}, "", "config"),
    (TEXTS, {"data": json.dumps(HELLO), "config": "[]"}, "", "config"),
    (STREAM, {"data": "{"}, "", "data"),
    (EXT, {}, "", "methodName"),
    (EXT, {"methodName": "x"}, "", "params"),
    (EXT, {"methodName": "x", "params": []}, "", "params"),
    (EXT, {"methodName": "x", "params": {"a": 1}}, "", "params.a"),
    (EXT, {"methodName": "x", "params": {"a": "1"}}, "", "methodName"),
    (ADAPTER, {"chat": HELLO}, "", "messages"),
]


@pytest.mark.parametrize(("form", "body", "query", "field"), BAD)
def test_bad_input_names_its_field(form: str, body: Any, query: str, field: str | None) -> None:
    with pytest.raises(ParleyError) as raised:
        call(form, body, query)
    failure = raised.value.failure
    assert (failure.http_status, failure.param) == (400, field)
    assert failure.kind in ("invalid_request", "invalid_json", "not_implemented")


# Types


def openai(**members: Any) -> dict[str, Any]:
    made = call(PREDICT, {**HELLO, **members})
    return plain(kinds.as_usual(made.data, made.prefix))


def test_what_says_nothing_special_is_not_touched() -> None:
    data = call(PREDICT, {**HELLO, "tool_choice": "auto", "x": 1}).data
    assert kinds.as_usual(data) is data


def test_thoughts_of_earlier_turns() -> None:
    turns = openai(messages=[{"role": "assistant", "content": "b", "thinking": "a"}])["messages"]
    assert turns == [{"role": "assistant", "content": "b", "reasoning_content": "a"}]
    part = {"type": "text", "text": "b", "thinking": "a"}
    turns = openai(messages=[{"role": "assistant", "content": [part]}])["messages"]
    assert turns == [{"role": "assistant", "content": [{"type": "text", "text": "b"}], "reasoning_content": "a"}]


def test_calls_among_the_parts() -> None:
    part = {"type": "tool_use", "id": "c1", "name": "f", "input": '{"a": 1}'}
    turns = openai(messages=[{"role": "assistant", "content": [part]}])["messages"]
    made = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    assert turns == [{"role": "assistant", "content": None, "tool_calls": [made]}]


def test_no_thought_is_lost() -> None:
    parts = [{"type": "text", "text": "b", "thinking": "2"}, {"type": "text", "text": "c", "thinking": "3"}]
    turns = openai(messages=[{"role": "assistant", "thinking": "1", "content": parts}])["messages"]
    assert turns[0]["reasoning_content"] == "1\n2\n3"
    assert turns[0]["content"] == [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]
    both = {"role": "assistant", "content": "b", "reasoning_content": "1", "thinking": "1"}
    assert openai(messages=[both])["messages"][0]["reasoning_content"] == "1"


@pytest.mark.parametrize(
    ("turn", "field"),
    [
        ({"content": [{"type": "tool_use", "id": "c1", "input": "{}"}]}, "content[0].name"),
        ({"content": [{"type": "tool_use", "id": "c1", "name": "f"}]}, "content[0].input"),
        ({"content": [{"type": "tool_use", "id": "c1", "name": "f", "input": []}]}, "content[0].input"),
        ({"role": "user", "content": [{"type": "tool_use", "id": "c1", "name": "f", "input": "{}"}]}, "role"),
    ],
)
def test_calls_that_are_none(turn: dict[str, Any], field: str) -> None:
    with pytest.raises(ParleyError) as raised:
        openai(messages=[turn])
    assert raised.value.failure.param == f"messages[0].{field}"


@pytest.mark.parametrize("text", ["[]", "null", " 1", "x"])
def test_text_that_holds_no_object(text: str) -> None:
    with pytest.raises(ParleyError) as raised:
        config_members(text)
    assert (raised.value.failure.param, raised.value.failure.message) == ("config", "config must hold a JSON object")


def test_words_in_any_case() -> None:
    assert openai(tool_choice="REQUIRED")["tool_choice"] == "required"
    assert openai(tool_choice="other")["tool_choice"] == "other"


def test_a_marker_is_refused() -> None:
    with pytest.raises(ParleyError) as raised:
        openai(messages=[{"role": "marker", "content": "x"}])
    assert raised.value.failure.param == "messages[0].role"


def test_thoughts_of_an_answer() -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": "b", "reasoning_content": "a"}, "x": 1}]}
    there = json.loads(kinds.as_theirs(json.dumps(answer).encode()))
    assert there["choices"][0] == {"message": {"role": "assistant", "content": "b", "thinking": "a"}, "x": 1}
    assert json.loads(kinds.as_ours(json.dumps(there).encode())) == answer
    quiet = b'{"choices" :[{"message":{"content":"reasons"}}]}'
    assert kinds.as_theirs(quiet) is quiet
    assert kinds.as_ours(quiet) is quiet


def test_thoughts_of_a_stream() -> None:
    event = b'data: {"choices":[{"delta":{"reasoning_content":"a"}}]}\n\n'
    word = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert kinds.events_as_theirs(word + event) == word + b'data: {"choices":[{"delta":{"thinking":"a"}}]}\n\n'
    assert kinds.event_as_ours(b'data: {"choices":[{"delta":{"thinking":"a"}}]}') == event
    assert kinds.events_as_theirs(word) is word


def test_events_as_lines_and_in_kind() -> None:
    assert kinds.line_of(b'data: {"a":1}') == b'{"a":1}\n'
    assert kinds.line_of(b"data: [DONE]") == kinds.line_of(b": heartbeat") == b""
    assert kinds.wrapped(b'data: {"a":1}\n\ndata: [DONE]\n\n', "chat") == b'data: {"chat":{"a":1}}\n\ndata: [DONE]\n\n'


def test_where_requests_go_that_pass() -> None:
    path = direct_path(b"/api/mlpgate/account/a/model/b/predict-with-config")
    assert path.startswith(b"/api/mlpgate/account/a/model/b/predict?dataType=https%3A%2F%2F")
    assert path.endswith(b"%23%2FChatCompletionDirectProxy")
