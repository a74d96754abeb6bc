"""Requests in an envelope for a gate, and its answers out of theirs, however they are cut."""

import json
from typing import Any

import pytest

from parley.failure import Failure, ParleyError
from parley.framing import MAX_EVENT
from parley.wire.caila.errors import encode_adapter_error, encode_error, event, told
from parley.wire.caila.sealed import Unsealed, refusal, sealed

HELLO = [{"role": "user", "content": 'Привет "{[\\'}]
CHUNKS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": 'При"}'}}]},
    {"choices": [{"index": 0, "delta": {"content": "вет \\"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}},
]
OURS = b"".join(b"data: %b\n\n" % json.dumps(chunk, ensure_ascii=False).encode() for chunk in CHUNKS)
WHOLE = json.dumps({"choices": [{"index": 0, "message": {"content": "Привет"}}]}, ensure_ascii=False).encode()


def test_a_request_is_parted() -> None:
    body = {"model": "just-ai/openai-proxy/gpt-4o", "messages": HELLO, "temperature": 1, "tools": [], "x": {"y": 1.50}}
    made = json.loads(sealed(json.dumps(body).encode(), texts=False))
    assert made == {
        "data": {"messages": HELLO, "tools": [], "model": "gpt-4o"}, "config": {"temperature": 1, "x": {"y": 1.5}},
    }  # fmt: skip
    texts = json.loads(sealed(json.dumps({**body, "stream": True}).encode(), texts=True))
    assert {name: type(value) for name, value in texts.items()} == {"data": str, "config": str}
    assert json.loads(texts["data"]) == {**made["data"], "stream": True}
    assert json.loads(texts["config"]) == made["config"]


def test_a_request_without_more() -> None:
    body = json.dumps({"model": "a/b", "messages": HELLO}).encode()
    assert json.loads(sealed(body, texts=False)) == {"data": {"messages": HELLO}}
    assert json.loads(sealed(body, texts=True)) == {"data": json.dumps(HELLO).join(['{"messages":', "}"])}


def test_thoughts_go_by_their_name_there() -> None:
    turn = {"role": "assistant", "content": "b", "reasoning_content": "a"}
    made = json.loads(sealed(json.dumps({"model": "a/b", "messages": [turn]}).encode(), texts=False))
    assert made["data"]["messages"] == [{"role": "assistant", "content": "b", "thinking": "a"}]


STREAMS = {
    "events": OURS + b"data: [DONE]\n\n",
    "events with CRLF": OURS.replace(b"\n", b"\r\n"),
    "events without a space": b"\n" + OURS.replace(b"data: ", b"data:"),
    "lines": b"".join(json.dumps(chunk, ensure_ascii=False).encode() + b"\n" for chunk in CHUNKS),
    "objects": b"".join(json.dumps(chunk, ensure_ascii=False).encode() for chunk in CHUNKS),
    "indented": b" ".join(json.dumps(chunk, ensure_ascii=False, indent=1).encode() for chunk in CHUNKS),
}


def unsealed(data: bytes, size: int, *, streams: bool = True) -> tuple[bytes, bytes]:
    answer = Unsealed(streams=streams)
    out = b"".join(answer.feed(data[place : place + size]) for place in range(0, len(data), size))
    out += answer.close()
    return answer.kind, out


def said(events: bytes) -> list[Any]:
    blocks = [block.partition(b"data:")[2].strip() for block in events.split(b"\n\n") if block]
    return [json.loads(block) for block in blocks if block != b"[DONE]"]


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_stream_is_events_whatever_it_came_in(name: str, size: int) -> None:
    kind, out = unsealed(STREAMS[name], size)
    assert kind == b"text/event-stream"
    assert said(out) == CHUNKS


@pytest.mark.parametrize("size", [1, 100_000])
def test_one_answer_where_a_stream_was_asked_for(size: int) -> None:
    answer = Unsealed(streams=True)
    out = b"".join(answer.feed(WHOLE[place : place + size]) for place in range(0, len(WHOLE), size))
    assert out + answer.close() == WHOLE
    assert answer.kind == b"application/json"


def test_whole_answers() -> None:
    assert unsealed(WHOLE, 5, streams=False) == (b"application/json", WHOLE)
    thought = b'{"choices":[{"message":{"content":"b","thinking":"a"}}]}'
    _, out = unsealed(thought, 5, streams=False)
    assert json.loads(out)["choices"][0]["message"] == {"content": "b", "reasoning_content": "a"}


@pytest.mark.parametrize("name", STREAMS)
def test_every_chunk_says_what_it_is(name: str) -> None:
    answer = Unsealed(streams=True, name="chatcmpl-1", created=7)
    out = answer.feed(STREAMS[name]) + answer.close()
    assert said(out) == [
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, **chunk} for chunk in CHUNKS
    ]  # fmt: skip


def test_a_whole_answer_says_what_it_is() -> None:
    for streams in (False, True):
        answer = Unsealed(streams=streams, name="chatcmpl-1", created=7)
        out = answer.feed(WHOLE) + answer.close()
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 7}
        assert list(json.loads(out).items()) == list((head | json.loads(WHOLE)).items())


def test_what_an_answer_says_of_itself_stays() -> None:
    own = b'{"id": "a", "object":"chat.completion.chunk","created": 1.0e0,"choices":[]}'
    error = b'{"error":{"code":"x"}}'
    answer = Unsealed(streams=True, name="chatcmpl-1", created=7)
    text = b"data: " + own + b"\n\ndata: " + error + b"\n\ndata: [DONE]\n\n"
    assert answer.feed(text) + answer.close() == text
    part = Unsealed(streams=False, name="chatcmpl-1", created=7)
    assert json.loads(part.feed(b'{"id":"a","choices":[]}') + part.close())["id"] == "a"


def test_an_endless_object() -> None:
    answer = Unsealed(streams=True)
    with pytest.raises(ParleyError) as raised:
        answer.feed(b'{"a":"' + b"x" * (MAX_EVENT + 1))
    assert raised.value.failure.kind == "upstream_bad_response"


def test_errors_of_a_gate() -> None:
    theirs = {"code": "mlp.gate.pps_limit_exceeded", "message": "slow", "args": {"a": "b"}, "requestId": "r"}
    assert json.loads(refusal(json.dumps(theirs).encode())) == {"error": {"type": None, "param": None, **theirs}}
    for other in (b"x", b"[]", b'{"error":{"message":"x"}}', b'{"a":1}'):
        assert refusal(other) is other


ERRORS = [
    (Failure("invalid_request", "x", param="messages"), 400, "mlp-action.common.bad-request"),
    (Failure("invalid_json", "x"), 400, "mlp-action.common.bad-request"),
    (Failure("model_not_found", "x"), 400, "mlp.model.invalid-id"),
    (Failure("not_implemented", "x"), 400, "mlp-action.common.method-not-supported"),
    (Failure("unauthorized", "x"), 401, "unauthorized"),
    (Failure("forbidden", "x"), 403, "forbidden"),
    (Failure("rate_limited", "x"), 429, "mlp.gate.pps_limit_exceeded"),
    (Failure("budget_exceeded", "x"), 429, "budget_exceeded"),
    (Failure("overloaded", "x"), 503, "overloaded"),
    (Failure("overloaded", "x", detail="drain"), 503, "mlp.gate.gate_is_shut_down"),
    (Failure("body_too_large", "x"), 413, "body_too_large"),
    (Failure("upstream_timeout", "x"), 504, "mlp-action.common.processing-exception"),
    (Failure("upstream_error", "x", status=529), 503, "mlp-action.common.processing-exception"),
    (Failure("upstream_rejected", "x", status=422), 422, "mlp-action.common.bad-request"),
    (Failure("upstream_rejected", "x", status=422, upstream_code="mlp-action.common.no"), 422, "mlp-action.common.no"),
    (Failure("upstream_rate_limited", "x"), 429, "mlp.gate.pps_limit_exceeded"),
    (Failure("no_upstream", "x"), 503, "no_upstream"),
    (Failure("internal", "x"), 500, "mlp-action.common.internal-error"),
]


@pytest.mark.parametrize(("failure", "status", "code"), ERRORS)
def test_every_error_has_its_row(failure: Failure, status: int, code: str) -> None:
    found, body = encode_error(failure, "r-1")
    made = json.loads(body)
    assert (found, made.pop("code")) == (status, code)
    args = {"kind": failure.kind} | ({"field": failure.param} if failure.param else {})
    assert made == {"message": "x", "args": args, "requestId": "r-1"}
    assert told(failure)[0] == status
    streamed = json.loads(event(failure, "r-1").removeprefix(b"data: "))
    assert streamed["error"]["code"] == code


def test_clients_of_the_adapters_read_their_own_shape() -> None:
    status, body = encode_adapter_error(Failure("model_not_found", "x", param="model"), "r-1")
    made = json.loads(body)
    assert (status, made["error"]["code"], made["error"]["param"]) == (404, "model_not_found", "model")
    assert (made["code"], made["requestId"]) == ("mlp.model.invalid-id", "r-1")
