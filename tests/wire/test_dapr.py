"""Dapr's conversation forms: bodies by the rules of protojson, the table of errors, what reaches a model and what comes
back."""

import json
from typing import Any

import pytest

from gateway.parts import ANSWER, Ear, Stage, inlet_at, registration
from parley.failure import Failure, ParleyError
from parley.ports import Request
from parley.wire.dapr.form import MAX_BODY, prepared

ONE = "/v1.0-alpha1/conversation/{}/converse"
TWO = "/v1.0-alpha2/conversation/{}/converse"
HELLO = {"inputs": [{"messages": [{"ofUser": {"content": [{"text": "hi"}]}}]}]}
TOOL = {"function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}}


def told(stage: Stage, path: str, body: Any, model: str = "one") -> Ear:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    target, ear = path.format(model).encode(), Ear()
    stage.gateway.begin(inlet_at(target), Request([], raw, "req-1", target), ear)
    return ear


def sent(body: Any, path: str = TWO, **more: Any) -> dict[str, Any]:
    stage = Stage()
    ear = told(stage, path, {**body, **more})
    assert len(stage.sent) == 1, ear.text
    return stage.sent[0].body


def answered(body: Any, path: str = TWO, answer: bytes = ANSWER, model: str = "one") -> dict[str, Any]:
    stage = Stage()
    ear = told(stage, path, body, model)
    stage.sent[0].whole(answer)
    assert ear.status == 200, ear.text
    made: dict[str, Any] = json.loads(ear.text)
    return made


def refused(body: Any, path: str = TWO, model: str = "one") -> tuple[int, str, str]:
    stage = Stage()
    ear = told(stage, path, body, model)
    assert not stage.sent
    error = json.loads(ear.text)
    assert set(error) == {"errorCode", "message"}
    return ear.status, error["errorCode"], error["message"]


# Bodies


def plain(body: Any, form: str = "alpha2") -> Any:
    return json.loads(prepared(json.dumps(body).encode(), form))


def test_both_spellings_are_one():
    spelled = {
        "context_id": "c",
        "tool_choice": "auto",
        "max_tokens": "7",
        "scrub_pii": True,
        "prompt_cache_retention": "60s",
        "response_format": {"type": "object"},
        "inputs": [{"scrub_pii": False, "messages": [{"of_tool": {"tool_id": "t", "content": []}}]}],
    }
    assert plain(spelled) == {
        "contextId": "c",
        "toolChoice": "auto",
        "maxTokens": 7,
        "scrubPii": True,
        "promptCacheRetention": "60s",
        "responseFormat": {"type": "object"},
        "inputs": [{"scrubPii": False, "messages": [{"ofTool": {"toolId": "t", "content": []}}]}],
    }


def test_nulls_are_absent_and_unknown_members_ignored():
    assert plain({"contextId": None, "what": 1, "scrubPII": True, "inputs": []}) == {"inputs": []}
    assert plain({"contextID": "x", "scrubPII": True, "scrubPii": 3}, "alpha1") == {"contextID": "x", "scrubPII": True}


def test_an_empty_body_is_an_empty_object():
    assert prepared(b"", "alpha2") == prepared(b" \n", "alpha1") == b"{}"


def test_whole_doubles_of_a_schema_are_integers_again():
    tool = {"function": {"name": "f", "parameters": {"minimum": 1.0, "x": [2.0, 0.5], "deep": {"n": 3.0}}}}
    [made] = plain({"tools": [tool]})["tools"]
    assert json.dumps(made["function"]["parameters"]) == '{"minimum": 1, "x": [2, 0.5], "deep": {"n": 3}}'


MALFORMED = [
    b"[]", b"7", b"{", b"\xff", b'{"inputs": 7}', b'{"inputs": [7]}', b'{"contextId": 7}', b'{"temperature": true}',
    b'{"temperature": "x"}', b'{"maxTokens": 1.5}', b'{"maxTokens": "9223372036854775808"}', b'{"scrubPii": "yes"}',
    b'{"promptCacheRetention": "1h"}', b'{"parameters": {"a": 1}}', b'{"metadata": {"a": 1}}',
    b'{"parameters": {"a": {"@type": "type.googleapis.com/nobody.Knows", "value": 1}}}',
    b'{"contextId":"a","context_id":"b"}', b'{"inputs":[{}],"inputs":[{}]}', b'{"temperature": "Infinity"}',
    b'{"temperature": "1_0"}', b'{"temperature": " 1"}', b'{"temperature": "1e999"}', b'{"maxTokens": "1e999"}',
    b'{"inputs":[{"messages":[{"ofUser":{"content":[{"text":"a","text":"b"}]}}]}]}',
    b'{"promptCacheRetention": "315576000001s"}', b'{"promptCacheRetention": 1}',
    b'{"inputs": [{"messages": [{"ofUser": {}, "ofSystem": {}}]}]}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED)
def test_what_does_not_fit_is_malformed_before_anything_else(body: bytes):
    status, code, message = refused(body, model="nobody")
    assert (status, code) == (400, "ERR_MALFORMED_REQUEST")
    assert message.startswith("failed deserializing HTTP body: ")


def test_a_large_body_is_not_read():
    with pytest.raises(ParleyError) as caught:
        prepared(b" " * (MAX_BODY + 1), "alpha2")
    assert (caught.value.failure.kind, caught.value.failure.http_status) == ("body_too_large", 400)


def typed(kind: str, *value: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.protobuf.{kind}"} | ({"value": value[0]} if value else {})


@pytest.mark.parametrize(
    "value",
    [
        {}, typed("Int64Value", "100"), typed("Int64Value", 2**63 - 1), typed("Int32Value", "-2147483648"),
        typed("Int32Value", 1.0), typed("Int32Value", "1e3"), typed("UInt64Value", "18446744073709551615"),
        typed("UInt32Value", 0), typed("BoolValue", False), typed("StringValue", ""), typed("DoubleValue", "NaN"),
        typed("FloatValue", 1), typed("BytesValue", "_-8="), typed("Struct", {"a": 1.0}), typed("ListValue", []),
        typed("Value", None), typed("Duration", "+1.5s"), typed("Timestamp", "2026-02-28T12:00:00.5Z"), typed("Empty"),
        typed("Any", typed("BoolValue", True)), {"@type": "example.org/google.protobuf.BoolValue", "value": True},
    ],
)  # fmt: skip
def test_a_typed_parameter_is_known(value: dict[str, Any]):
    body = {"parameters": {"n": value}}
    assert plain(body) == body


@pytest.mark.parametrize(
    "value",
    [
        typed("Int64Value"), typed("Int32Value", "99999999999"), typed("Int32Value", 2**31), typed("Int64Value", 2**63),
        typed("Int32Value", 1.5), typed("Int32Value", True), typed("UInt32Value", -1), typed("UInt64Value", 2**64),
        typed("BoolValue", "true"), typed("StringValue", 7), typed("DoubleValue", "one"), typed("BytesValue", "*"),
        typed("Struct", []), typed("ListValue", {}), typed("Duration", "1h"), typed("Duration", "315576000001s"),
        typed("Timestamp", "2026-02-30T12:00:00Z"), typed("Timestamp", "yesterday"), typed("Empty", 7), typed("Any", 7),
        typed("Nothing", 7), {"@type": "type.googleapis.com/nobody.Knows", "value": 1}, {"@type": 7}, {"value": 7}, 7,
    ],
)  # fmt: skip
def test_a_typed_parameter_has_a_value_of_its_type(value: Any):
    status, code, _ = refused(json.dumps({"parameters": {"n": value}}).encode())
    assert (status, code) == (400, "ERR_MALFORMED_REQUEST")


@pytest.mark.parametrize(("given", "meant"), [("0.5", 0.5), ("1e-1", 0.1), (2, 2)])
def test_a_temperature_may_be_a_text(given: Any, meant: float):
    assert plain({"temperature": given}) == {"temperature": meant}


@pytest.mark.parametrize("given", ["NaN", "-Infinity", 0, 0.0, -1, "0"])
def test_a_temperature_that_is_not_above_zero_is_none(given: Any):
    assert plain({"temperature": given}) == {}


def test_names_that_mean_nothing_are_read_and_left_out():
    content = {"content": [{"text": "hi"}]}
    turns = [{"ofUser": {"name": "ann", **content}}, {"ofTool": {"name": "f", **content}}]
    made = plain({"name": "other", "inputs": [{"messages": turns}]})
    assert made == {"inputs": [{"messages": [{"ofUser": content}, {"ofTool": {"name": "f", **content}}]}]}
    assert refused(b'{"inputs": [{"messages": [{"ofUser": {"name": 7}}]}]}')[1] == "ERR_MALFORMED_REQUEST"


# The table of errors


def test_rows_in_their_order():
    nobody = (400, "ERR_CONVERSATION_NOT_FOUND", "failed finding conversation component nobody")
    assert refused({}, model="nobody") == refused(b"", model="nobody") == nobody
    missing = (
        400,
        "ERR_CONVERSATION_MISSING_INPUTS",
        "failed conversing with component one: missing inputs in request",
    )
    assert refused({}) == refused(b"", ONE) == refused({"inputs": []}) == missing
    start = "failed conversing with component one: invalid params: "
    assert refused({"inputs": [{"messages": [{}]}]})[1:] == (
        "ERR_CONVERSATION_INVALID_PARMS",
        start + "message type cannot be nil",
    )
    call = {"ofAssistant": {"toolCalls": [{"id": "1"}]}}
    assert refused({"inputs": [{"messages": [call]}]})[2] == start + "tool types cannot be nil"
    choices = "must be 'auto', 'none', 'required', or a specific tool name matching the tools available to be used"
    assert refused({**HELLO, "toolChoice": "required"})[2] == f"{start}tool choice {choices}"
    wrong = refused({**HELLO, "toolChoice": "F", "tools": [TOOL]})[2]
    assert wrong == f"{start}tool choice selected was not found. M{choices[1:]}"
    assert refused({**HELLO, "maxTokens": 0})[:2] == (400, "ERR_CONVERSATION_INVALID_PARMS")
    assert refused({**HELLO, "maxTokens": "2147483648"})[0] == 400


@pytest.mark.parametrize("metadata", [{"temperature": "warm"}, {"k": "1", "K": "2"}])
def test_the_first_form_decodes_its_metadata_before_it_throws_it_away(metadata: dict[str, str]):
    status, code, _ = refused({"metadata": metadata}, ONE)
    assert (status, code) == (500, "ERROR")


def test_a_provider_that_fails_is_the_components_failure():
    stage = Stage()
    ear = told(stage, TWO, HELLO)
    stage.sent[0].whole(b'{"error": {"message": "slow down"}}', status=429)
    error = json.loads(ear.text)
    assert (ear.status, error["errorCode"]) == (500, "ERR_CONVERSATION_INVOKE")
    assert error["message"] == "failed conversing with component one: slow down"


def test_a_timeout_has_the_runtimes_words():
    stage = Stage()
    ear = told(stage, TWO, HELLO)
    stage.sent[0].fail(Failure("upstream_timeout", "no answer within 20 s"))
    assert json.loads(ear.text)["message"] == "failed conversing with component one: context deadline exceeded"


# What reaches a model


def test_all_inputs_are_one_conversation():
    first = {"messages": [{"ofSystem": {"name": "", "content": [{"text": "be brief"}]}}]}
    second = {
        "messages": [
            {"ofDeveloper": {"content": [{"text": "dev"}]}},
            {"ofUser": {"name": "ann", "content": [{"text": "a"}, {"text": "b"}]}},
            {"ofAssistant": {"toolCalls": [{"id": "t1", "function": {"name": "f", "arguments": '{"a":1}'}}]}},
            {"ofTool": {"toolId": "t1", "name": "f", "content": [{"text": "42"}]}},
        ]
    }
    messages = sent({"inputs": [first, second]})["messages"]
    assert [one["role"] for one in messages] == ["system", "user", "user", "assistant", "tool"]
    assert messages[3]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert (messages[4]["tool_call_id"], messages[4]["content"]) == ("t1", "42")
    assert [one.get("name") for one in messages] == [None, None, None, None, "f"]


def test_the_first_forms_roles():
    roles = ["user", "Human", "assistant", "AI", "system", "", "stranger", "tool"]
    messages = sent({"inputs": [{"content": "x", "role": role} for role in roles]}, ONE)["messages"]
    assert [one["role"] for one in messages] == [
        "user", "user", "assistant", "assistant", "system", "user", "user", "user",
    ]  # fmt: skip


def test_settings_reach_the_model():
    body = sent({**HELLO, "temperature": 0.7, "maxTokens": "100", "tools": [TOOL], "toolChoice": "f"})
    assert body["temperature"] == 0.7
    assert body["max_tokens"] == 100
    assert body["tools"][0]["function"]["name"] == "f"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}


def test_no_temperature_and_zero_are_the_same():
    assert "temperature" not in sent({**HELLO, "temperature": 0})


def test_a_bare_schema_is_the_format_of_the_answer():
    schema = {"type": "object", "name": "my form", "description": "d", "strict": True, "properties": {"r": {}}}
    made = sent({**HELLO, "responseFormat": schema})["response_format"]["json_schema"]
    assert (made["name"], made["description"], made["strict"]) == ("my_form", "d", True)
    assert made["schema"] == {"type": "object", "properties": {"r": {}}}
    assert "response_format" not in sent({**HELLO, "responseFormat": {"properties": {}}})


# What comes back


def test_an_answer_leaves_out_what_is_empty_and_writes_numbers_as_text():
    assert answered({**HELLO, "contextId": "c1"}) == {
        "contextId": "c1",
        "outputs": [
            {
                "choices": [{"finishReason": "stop", "message": {"content": "Hello."}}],
                "model": "m-1",
                "usage": {"completionTokens": "2", "promptTokens": "3", "totalTokens": "5"},
            }
        ],
    }
    assert "contextId" not in answered({**HELLO, "contextId": ""})


def test_each_choice_is_an_output_of_its_own():
    choice = '{"index":%d,"message":{"role":"assistant","content":"%s"},"finish_reason":"length"}'
    answer = f'{{"id":"c","model":"m","choices":[{choice % (0, "a")},{choice % (1, "b")}]}}'.encode()
    outputs = answered(HELLO, answer=answer)["outputs"]
    assert [one["choices"][0]["message"]["content"] for one in outputs] == ["a", "b"]
    assert [one["choices"][0].get("index") for one in outputs] == [None, "1"]
    assert all("usage" not in one for one in outputs)


def test_the_first_form_has_texts_and_the_requests_parameters():
    parameters = {"p": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": "v"}}
    body = {"contextID": "c", "inputs": [{"content": "hi"}], "parameters": parameters}
    assert answered(body, ONE) == {"contextID": "c", "outputs": [{"result": "Hello.", "parameters": parameters}]}


def test_calls_of_tools_come_back_as_they_were_written():
    answer = (
        b'{"id":"c","model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant",'
        b'"content":null,"tool_calls":[{"id":"call_1","type":"function",'
        b'"function":{"name":"f","arguments":"{\\"a\\": 1}"}}]}}]}'
    )
    [output] = answered({**HELLO, "tools": [TOOL]}, answer=answer)["outputs"]
    assert output["choices"] == [
        {
            "finishReason": "tool_calls",
            "message": {"toolCalls": [{"id": "call_1", "function": {"name": "f", "arguments": '{"a": 1}'}}]},
        }
    ]


def test_a_required_call_that_does_not_come_is_a_failure():
    stage = Stage()
    ear = told(stage, TWO, {**HELLO, "tools": [TOOL], "toolChoice": "required"})
    stage.sent[0].whole(ANSWER.replace(b"Hello.", b""))
    error = json.loads(ear.text)
    assert (ear.status, error["errorCode"]) == (500, "ERR_CONVERSATION_INVOKE")
    assert error["message"].endswith("LLM returned empty response with no tool calls despite 1 tools being available")


def test_a_name_in_the_path_is_unescaped():
    stage = Stage(registration("my model/x", "a/m-1"))
    for path in (
        "/v1.0-alpha2/conversation/my%20model%2Fx/converse",
        "/v1.0-alpha2/conversation/my+model%2Fx/converse/",
    ):
        told(stage, path, HELLO)
    assert len(stage.sent) == 2


def test_a_result_with_a_name_loses_nothing_where_results_have_one():
    for name, shown in (("f", {"name": "f"}), ("", {})):
        turns = [
            {"ofUser": {"content": [{"text": "a"}]}},
            {"ofTool": {"toolId": "t1", "name": name, "content": [{"text": "42"}]}},
        ]
        stage = Stage()
        ear = told(stage, TWO, {"inputs": [{"messages": turns}]})
        assert stage.sent[0].body["messages"][-1] == {"role": "tool", "tool_call_id": "t1", "content": "42", **shown}
        stage.sent[0].whole(ANSWER)
        assert (ear.status, ear.lines.get(b"x-parley-dropped")) == (200, None)


def test_where_results_have_no_name_the_loss_is_told():
    stage = Stage()
    turns = [
        {"ofUser": {"content": [{"text": "a"}]}},
        {"ofAssistant": {"toolCalls": [{"id": "t1", "function": {"name": "f", "arguments": "{}"}}]}},
        {"ofTool": {"toolId": "t1", "name": "f", "content": [{"text": "42"}]}},
    ]
    ear = told(stage, TWO, {"inputs": [{"messages": turns}]}, "claude")
    [result] = stage.sent[0].body["messages"][-1]["content"]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "t1")
    stage.sent[0].whole(
        b'{"id":"m","type":"message","role":"assistant","model":"c-1","content":[{"type":"text","text":"A"}],'
        b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":2}}'
    )
    assert ear.status == 200
    assert ear.lines[b"x-parley-dropped"] == b"inputs[0].messages[2].content[0].name"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [('"stop"', "stop"), ('""', "unknown"), ("null", "unknown"), ('"odd"', "odd"), ('"tool_calls"', "tool_calls")],
)
def test_a_reason_to_end_is_the_provider_s_own_word(reason: str, shown: str):
    made = answered(HELLO, answer=ANSWER.replace(b'"stop"', reason.encode()))
    assert made["outputs"][0]["choices"][0]["finishReason"] == shown
