"""The echo component to the letter of the contract (4.6), over HTTP, where every member that is there can be seen; and
the rules of protojson that only a whole gateway shows."""

import json
from typing import Any

import pytest

from fixtures.parley import Gateway, Start
from real.dapr_parts import component, serve
from real.test_dapr_http import ONE, TWO, ask


@pytest.fixture(scope="module")
def port(parley_for_module: Start, tmp_path_factory: pytest.TempPathFactory) -> int:
    documents = [component("echo"), component("short", maxTokens="3")]
    running: Gateway = serve(parley_for_module, tmp_path_factory.mktemp("echo"), documents)[0]
    return running.port


def content(*texts: str) -> dict[str, Any]:
    return {"content": [{"text": text} for text in texts]}


def called(name: str, arguments: str, **more: Any) -> dict[str, Any]:
    return {**more, "function": {"name": name, **({"arguments": arguments} if arguments else {})}}


def told(reason: str, usage: dict[str, str], text: str = "", **message: Any) -> dict[str, Any]:
    said = {"content": text} if text else {}
    return {"outputs": [{"choices": [{"finishReason": reason, "message": said | message}], "usage": usage}]}


def counts(completion: int, prompt: int) -> dict[str, str]:
    return {
        "completionTokens": str(completion), "promptTokens": str(prompt), "totalTokens": str(completion + prompt),
    }  # fmt: skip


TURNS = [
    {"ofSystem": content("be", "brief")}, {"ofDeveloper": content("dev")}, {"ofUser": {"name": "ann", **content("hi")}},
    {"ofAssistant": {**content("let me see"), "toolCalls": [called("f", '{"a":1}', id="t1")]}},
    {"ofTool": {"toolId": "t1", "name": "f", **content("42", "43")}},
]  # fmt: skip
TEXT = (
    "be\nbrief\ndev\nhi\nlet me see\nTool Response for tool ID 't1' with name 'f': 42\n"
    "Tool Response for tool ID 't1' with name 'f': 43"
)
TOOLS = [
    {"function": {"name": "g", "parameters": {"type": "object", "properties": {"b": {}, "a": {}, "C": {}}}}},
    {"function": {"name": "h", "description": "d"}},
]
MADE = [called("f", '{"a":1}', id="t1")]
FLAG = {"p": {"@type": "type.googleapis.com/google.protobuf.BoolValue", "value": True}}
OFFERED = [called("g", "C,a,b", id="0"), called("h", "", id="1")]
HI = {"inputs": [{"messages": [{"ofUser": content("one two")}]}]}

CONVERSATIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"inputs": [{}]}, {"outputs": [{"choices": [{"finishReason": "stop", "message": {}}], "usage": {}}]}),
    ({"inputs": [{"messages": [{"ofUser": {}}]}]}, told("stop", {})),
    (HI, told("stop", counts(2, 2), "one two")),
    ({"inputs": [HI["inputs"][0], HI["inputs"][0]]}, told("stop", counts(4, 4), "one two\none two")),
    ({"inputs": [{"messages": TURNS}]}, told("tool_calls", counts(27, 27), TEXT, toolCalls=MADE)),
    ({**HI, "tools": TOOLS}, told("tool_calls", counts(2, 2), "one two", toolCalls=OFFERED)),
    ({**HI, "tools": TOOLS, "toolChoice": "none"}, told("tool_calls", counts(2, 2), "one two", toolCalls=OFFERED)),
    ({**HI, "tools": TOOLS, "toolChoice": "g"}, told("tool_calls", counts(2, 2), "one two", toolCalls=OFFERED)),
    ({**HI, "toolChoice": "whatever"}, told("stop", counts(2, 2), "one two")),
    (
        {"inputs": [{"messages": [{"ofUser": content("one two three four five")}]}], "maxTokens": "2"},
        told("length", counts(2, 5), "one two"),
    ),
    ({**HI, "maxTokens": 2}, told("stop", counts(2, 2), "one two")),
    ({**HI, "contextId": "c1"}, {"contextId": "c1", **told("stop", counts(2, 2), "one two")}),
    ({**HI, "contextId": ""}, told("stop", counts(2, 2), "one two")),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "answered"), CONVERSATIONS)
def test_conversations(port: int, asked: dict[str, Any], answered: dict[str, Any]) -> None:
    found = ask(port, "POST", TWO.format("echo"), asked)
    assert (found.status, found.kind) == (200, "application/json")
    assert found.value == answered


def test_a_component_s_own_limit_holds_where_the_request_has_none(port: int) -> None:
    text = {"inputs": [{"messages": [{"ofUser": content("one two three four five")}]}]}
    assert ask(port, "POST", TWO.format("short"), text).value == told("length", counts(3, 5), "one two three")
    longer = ask(port, "POST", TWO.format("short"), text | {"maxTokens": 4})
    assert longer.value == told("length", counts(4, 5), "one two three four")


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ({"inputs": [{}]}, {"outputs": [{}]}),
        ({"inputs": [{"content": "one"}, {"content": "two"}]}, {"outputs": [{"result": "one\ntwo"}]}),
        ({"inputs": [{"content": "a", "role": "nobody"}]}, {"outputs": [{"result": "a"}]}),
        ({"inputs": [{"content": "a"}], "contextID": "c1"}, {"contextID": "c1", "outputs": [{"result": "a"}]}),
        # The other form's spelling means nothing here.
        ({"inputs": [{"content": "a"}], "contextId": "c1"}, {"outputs": [{"result": "a"}]}),
        (
            {"inputs": [{"content": "a"}], "parameters": FLAG},
            {"outputs": [{"result": "a", "parameters": FLAG}]},
        ),
    ],
)  # fmt: skip
def test_plain_texts(port: int, asked: dict[str, Any], answered: dict[str, Any]) -> None:
    found = ask(port, "POST", ONE.format("echo"), asked)
    assert (found.status, found.value) == (200, answered)


def test_properties_that_are_no_object_are_the_component_s_failure(port: int) -> None:
    tools = [{"function": {"name": "g", "parameters": {"properties": ["a"]}}}]
    found = ask(port, "POST", TWO.format("echo"), {**HI, "tools": tools})
    assert (found.status, found.value["errorCode"]) == (500, "ERR_CONVERSATION_INVOKE")
    assert found.value["message"].startswith("failed conversing with component echo: ")


@pytest.mark.parametrize(
    "body",
    [
        {**HI, "name": "nobody"}, {**HI, "unknown": {"deep": [1]}}, {**HI, "temperature": "0.5", "metadata": None},
        {"inputs": [{"messages": [{"of_user": {"content": [{"text": "one two", "x": 1}]}}], "scrub_pii": False}]},
        {**HI, "tool_choice": "auto", "prompt_cache_retention": "86400s", "response_format": {}, "scrub_pii": False},
    ],
)  # fmt: skip
def test_bodies_are_read_by_the_rules_of_protojson(port: int, body: dict[str, Any]) -> None:
    for kind in ("application/json", "text/plain", "application/x-protobuf"):
        found = ask(port, "POST", TWO.format("echo"), body, content_type=kind)
        assert (found.status, found.value) == (200, told("stop", counts(2, 2), "one two"))


def test_white_space_and_an_empty_body_are_an_empty_request(port: int) -> None:
    for body in (b"", b" \n", b"{}", json.dumps({"inputs": None}).encode()):
        found = ask(port, "POST", TWO.format("echo"), body)
        assert (found.status, found.value["errorCode"]) == (400, "ERR_CONVERSATION_MISSING_INPUTS")
