"""Ollama's whole answers and errors, read from a provider and written for a caller."""

from typing import Any

import ollama
import pytest
from msgspec import json

from parley.failure import Failure, ParleyError
from parley.ir import (
    Block,
    ChatResponse,
    Choice,
    Media,
    Refusal,
    Stop,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from parley.wire import Reply, Wire, load
from parley.wire.ollama import CHAT, EMBED, EMBEDDINGS, GENERATE

TIMES = {"total_duration": 5, "load_duration": 1, "prompt_eval_duration": 2, "eval_duration": 2}
ANSWER: dict[str, Any] = {
    "model": "m",
    "created_at": "2023-08-04T08:52:19.385406455-07:00",
    "message": {"role": "assistant", "content": "hi"},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 26,
    "eval_count": 282,
    **TIMES,
}


def reply(wire: str = "openai_chat", elapsed: int = 9_000_000) -> Reply:
    return Reply(model="fallback", id="r", created=1_700_000_000, wire=wire, elapsed=lambda: elapsed)


def decoded(wire: Wire = CHAT, **members: Any) -> ChatResponse:
    found: ChatResponse = wire.decode_response(json.encode({**ANSWER, **members}))
    return found


def written(*content: Block, wire: Wire = CHAT, came: str = "openai_chat", **fields: Any) -> dict[str, Any]:
    response = ChatResponse(
        wire=came, id="x", model="", choices=(Choice(0, content, **fields),), created=0, usage=Usage(3, 4)
    )
    value: dict[str, Any] = json.decode(wire.encode_response(response, reply(came)))
    return value


def test_an_answer_is_read() -> None:
    found = decoded()
    assert (found.model, found.created, found.usage) == ("m", 1691164339, Usage(26, 282))
    [choice] = found.choices
    assert (choice.content, choice.stop, choice.native) == ((Text("hi"),), "end", "stop")
    assert found.extra == TIMES


@pytest.mark.parametrize(
    ("reason", "stop"), [("stop", "end"), ("length", "length"), ("load", "end"), ("", "end"), (None, "end")]
)
def test_reasons_read(reason: str | None, stop: Stop) -> None:
    assert decoded(done_reason=reason).choices[0].stop == stop


def test_a_reason_of_stop_with_calls_is_a_call() -> None:
    calls = [{"function": {"name": "f", "arguments": {}}}]
    answer = {"role": "assistant", "content": "", "tool_calls": calls}
    assert decoded(message=answer).choices[0].stop == "tool_use"
    assert decoded(message=answer, done_reason="length").choices[0].stop == "length"


def test_calls_keep_the_spelling_of_their_arguments() -> None:
    text = '{"z": 1.50, "a": {"y": [1e3]}}'
    given = '[{"id":"call_abc","function":{"name":"f","arguments":TEXT}},{"function":{"name":"f","arguments":null}},'
    given += '{"id":"call_abc","function":{"name":"g","arguments":"{\\"q\\":1}"}}]'
    message = '"content":"","tool_calls":' + given.replace("TEXT", text)
    body = json.encode(ANSWER).decode().replace('"content":"hi"', message)
    found = CHAT.decode_response(body.encode()).choices[0].content
    assert [(call.name, call.arguments) for call in found] == [("f", text), ("f", ""), ("g", '{"q":1}')]
    ids = [call.id for call in found]
    assert ids[0] == "call_abc"
    assert len(set(ids)) == 3, "an id given twice names one call only"
    assert all(len(name) == 13 for name in ids[1:])


def test_invented_ids_differ_between_answers() -> None:
    message = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    first, again, later = (
        decoded(message=message, created_at=f"2026-01-01T00:00:00.00{number}Z").choices[0].content[0]
        for number in (1, 1, 2)
    )
    assert isinstance(first, ToolCall)
    assert isinstance(later, ToolCall)
    assert first == again
    assert first.id != later.id


def test_thinking_and_probabilities_are_read() -> None:
    tokens = [{"token": "hi", "logprob": -0.5, "bytes": [104], "top_logprobs": [{"token": "ho", "logprob": -1}]}]
    found = decoded(message={"role": "assistant", "content": "hi", "thinking": "t"}, logprobs=tokens).choices[0]
    assert found.content == (Thinking("t"), Text("hi"))
    assert found.logprobs == {"content": tokens}


def test_counters_that_are_left_out() -> None:
    body = {name: value for name, value in ANSWER.items() if name not in ("prompt_eval_count", "eval_count")}
    assert CHAT.decode_response(json.encode(body)).usage is None
    assert CHAT.decode_response(json.encode({**body, "eval_count": 2.0})).usage == Usage(0, 2)


def test_an_answer_of_generate() -> None:
    body = {**{name: value for name, value in ANSWER.items() if name != "message"}, "response": "hi", "context": [1]}
    found = GENERATE.decode_response(json.encode({**body, "thinking": "t"}))
    assert (found.wire, found.choices[0].content) == ("ollama_generate", (Thinking("t"), Text("hi")))
    assert found.extra == {**TIMES, "context": [1]}


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (b"  \n", "upstream_bad_response", "empty_body"),
        (b"<html>", "upstream_bad_response", "bad_json"),
        (b'{"message"', "upstream_bad_response", "bad_json"),
        (b"[]", "upstream_bad_response", "bad_shape"),
        (b'{"done":true}', "upstream_bad_response", "bad_shape"),
        (b'{"message":"hi","response":5,"done":true}', "upstream_bad_response", "bad_shape"),
        (b'{"message":{"content":5},"response":"x"}', "upstream_bad_response", "bad_shape"),
        (b'{"message":{"tool_calls":[{}]},"response":[1]}', "upstream_bad_response", "bad_shape"),
        (b'{"message":{"content":"\xff"},"response":"\xff"}', "upstream_bad_response", "bad_json"),
        (b'{"message":{"content":"h"},"response":"h","done":false}', "upstream_incomplete", "missing_terminator"),
        (b'{"error":"it broke"}', "upstream_error", "stream_error"),
        (b'{"error":{"message":"it broke"}}', "upstream_error", "stream_error"),
    ],
)
@pytest.mark.parametrize("wire", [CHAT, GENERATE], ids=["chat", "generate"])
def test_what_is_no_answer(wire: Wire, body: bytes, kind: str, detail: str) -> None:
    for read in (wire.decode_response, wire.check_answer):
        with pytest.raises(ParleyError) as caught:
            read(body)
        assert (caught.value.failure.kind, caught.value.failure.detail) == (kind, detail)
        if detail == "stream_error":
            assert caught.value.failure.message == "it broke"


def test_a_picture_is_no_text() -> None:
    body = json.encode({**ANSWER, "response": "", "image": "AAAA"})
    with pytest.raises(ParleyError, match="picture"):
        GENERATE.decode_response(body)
    assert GENERATE.check_answer(body) == Usage(26, 282), "a caller of this wire gets it as it is"


def test_a_look_at_an_answer_that_passes() -> None:
    assert CHAT.check_answer(json.encode(ANSWER)) == Usage(26, 282)
    assert CHAT.check_answer(b'{"message":{"content":""},"done":true}') is None


# written


def test_an_answer_is_written() -> None:
    found = written(Thinking("t"), Text("a"), Refusal("b"))
    assert found == {
        "model": "fallback",
        "created_at": "2023-11-14T22:13:20Z",
        "message": {"role": "assistant", "content": "ab", "thinking": "t"},
        "done": True,
        "done_reason": "stop",
        "total_duration": 9_000_000,
        "load_duration": 0,
        "prompt_eval_count": 3,
        "prompt_eval_duration": 0,
        "eval_count": 4,
        "eval_duration": 9_000_000,
    }
    assert ollama.ChatResponse(**found).message.thinking == "t"


@pytest.mark.parametrize(
    ("stop", "reason"),
    [("end", "stop"), ("stop_sequence", "stop"), ("length", "length"), ("tool_use", "stop"), ("refusal", "stop"),
     ("pause", "stop")],
)  # fmt: skip
def test_reasons_written(stop: Stop, reason: str) -> None:
    assert written(Text("a"), stop=stop, native="end_turn")["done_reason"] == reason
    assert written(Text("a"), stop=stop, native="load", came="ollama")["done_reason"] == "load"


def test_a_failed_answer_is_no_answer() -> None:
    with pytest.raises(ParleyError) as caught:
        written(Text("a"), stop="error")
    assert caught.value.failure.kind == "upstream_error"


def test_calls_are_written_as_objects() -> None:
    text = '{"z": 1, "a": {"y": 2, "b": 3}}'
    response = ChatResponse(
        wire="openai_chat", id="", model="m", choices=(Choice(0, (ToolCall("x", "f", text), ToolCall("y", "g"))),)
    )
    body = CHAT.encode_response(response, reply())
    assert text.encode() in body
    found = ollama.ChatResponse(**json.decode(body))
    assert found.message.tool_calls is not None
    assert [(call.function.name, call.function.arguments) for call in found.message.tool_calls] == [
        ("f", json.decode(text)),
        ("g", {}),
    ]
    assert [call["function"]["index"] for call in json.decode(body)["message"]["tool_calls"]] == [0, 1]
    assert "eval_count" not in json.decode(body), "nobody reported any"


def test_broken_arguments_are_wrapped() -> None:
    [call] = written(ToolCall("x", "f", '{"a":'))["message"]["tool_calls"]
    assert call == {"id": "x", "function": {"index": 0, "name": "f", "arguments": {"_raw": '{"a":'}}}


def test_seals_stand_beside_the_thought() -> None:
    message = written(Thinking("t", "S"), Thinking(redacted="D"), Text("a"))["message"]
    assert message["thinking_blocks"] == [
        {"type": "thinking", "thinking": "t", "signature": "S"},
        {"type": "redacted_thinking", "data": "D"},
    ]
    again = CHAT.decode_request({"model": "m", "messages": [message]}).messages[0].content
    assert again == (Thinking("t", "S"), Thinking(redacted="D"), Text("a"))


def test_probabilities_and_pictures_are_written() -> None:
    tokens = [{"token": "a", "logprob": -0.1, "top_logprobs": []}]
    found = written(Text("a"), Media(kind="image", data="AA"), logprobs={"content": tokens})
    assert found["logprobs"] == tokens
    assert found["message"]["images"] == ["AA"]
    assert written(Media(kind="image", data="AA"), wire=GENERATE)["image"] == "AA"


def test_an_answer_of_generate_is_written() -> None:
    found = written(Thinking("t"), Text("a"), wire=GENERATE)
    assert (found["response"], found["thinking"], found["done"]) == ("a", "t", True)
    assert "message" not in found
    assert ollama.GenerateResponse(**found).response == "a"


def test_what_came_on_this_wire_goes_out_as_it_came() -> None:
    body = {**ANSWER, "later": {"x": 1}}
    made = json.decode(CHAT.encode_response(CHAT.decode_response(json.encode(body)), reply("ollama")))
    assert made == {**body, "created_at": "2023-08-04T15:52:19Z"}
    elsewhere = json.decode(
        load("openai_chat").encode_response(CHAT.decode_response(json.encode(body)), reply("ollama"))
    )
    assert "later" not in elsewhere


def test_times_are_plausible_where_nobody_measures() -> None:
    response = ChatResponse(wire="x", id="", model="m", choices=(Choice(0, (Text("a"),)),), usage=Usage(1, 1))
    found = json.decode(CHAT.encode_response(response, Reply(model="m", id="", created=0)))
    assert (found["total_duration"], found["eval_duration"]) == (1, 1), "callers divide by them"


# requests that ask nothing


def asked(wire: Wire, **members: Any) -> dict[str, Any] | None:
    assert wire.unasked is not None
    from parley import jsontext

    body = wire.unasked(jsontext.members(json.encode({"model": "m", **members})), reply())
    return None if body is None else json.decode(body)


def test_an_empty_chat_only_loads() -> None:
    found = asked(CHAT, messages=[])
    assert found is not None
    assert (found["done"], found["done_reason"], found["message"]["content"]) == (True, "load", "")
    assert asked(CHAT) == found
    unloaded = asked(CHAT, messages=[], keep_alive=0)
    assert unloaded is not None
    assert unloaded["done_reason"] == "unload"
    assert ollama.ChatResponse(**unloaded).done
    assert asked(CHAT, messages=[{"role": "user", "content": ""}]) is None


def test_an_empty_prompt_only_loads() -> None:
    found = asked(GENERATE, prompt="")
    assert found is not None
    assert (found["response"], found["done_reason"]) == ("", "load")
    assert asked(GENERATE, prompt="x") is None
    assert asked(GENERATE, prompt="", images=["AA"]) is None


def test_no_texts_have_no_vectors() -> None:
    assert asked(EMBED, input=[]) == {"model": "fallback", "embeddings": []}
    assert asked(EMBEDDINGS, prompt="") == {"embedding": []}
    assert asked(EMBED, input=["x"]) is None
    assert asked(EMBEDDINGS, prompt="x") is None


# errors


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (400, b'{"error":"bad \\"options\\""}', "upstream_rejected", 'bad "options"'),
        (404, b'{"error":"model \'x\' not found"}', "upstream_rejected", "model 'x' not found"),
        (404, b"404 page not found", "upstream_rejected", "the provider answered with status 404"),
        (429, b'{"error":"slow"}', "upstream_rate_limited", "slow"),
        (500, b'{"error":"secret path"}', "upstream_error", "the provider answered with status 500"),
        (400, b'{"error":{"message":"inner"}}', "upstream_rejected", "inner"),
        (401, b'{"error":"key sk-1"}', "upstream_auth", "the provider refused the gateway's credential"),
        (502, b"<html>", "upstream_error", "the provider answered with status 502"),
    ],
)
def test_errors_read(status: int, body: bytes, kind: str, message: str) -> None:
    found = CHAT.decode_error(status, [], body)
    assert (found.kind, found.message) == (kind, message)
    assert (found.upstream_code == "model_not_found") == (b'not found"' in body and b"model" in body)


def test_a_providers_own_error_goes_out_as_it_came() -> None:
    body = b'{"error":"bad","more":1}'
    assert CHAT.encode_error(CHAT.decode_error(400, [], body), "r") == (400, body)
    assert GENERATE.encode_error(CHAT.decode_error(400, [], body), "r") == (400, body)
    assert load("openai_chat").encode_error(CHAT.decode_error(400, [], body), "r")[1] != body


@pytest.mark.parametrize(
    ("failure", "status", "text"),
    [
        (Failure("invalid_request", "must be a list", param="messages"), 400, "messages: must be a list"),
        (Failure("invalid_request", "messages is required", param="messages"), 400, "messages is required"),
        (Failure("model_not_found", "no model 'x'"), 404, "no model 'x'"),
        (Failure("upstream_error", "overloaded", status=529), 503, "overloaded"),
        (Failure("upstream_rejected", "words", body=b'{"error":{}}', wire="openai_chat"), 400, "words"),
    ],
)
def test_errors_written(failure: Failure, status: int, text: str) -> None:
    found, body = CHAT.encode_error(failure, "r")
    assert (found, json.decode(body)) == (status, {"error": text, "code": failure.kind})
    error = ollama.ResponseError(body.decode(), found)
    assert (error.error, error.status_code) == (text, status)
