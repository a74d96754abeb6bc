"""Mistral chat answers, whole and streamed, embeddings, and errors."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import json

from parley.ir import (
    BlockStart,
    BlockStop,
    Delta,
    EmbedRequest,
    EmbedResponse,
    End,
    Finish,
    Opaque,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from wire.mistral_parts import (
    CHAT,
    DONE,
    EMBED,
    HEAD,
    USED,
    answer,
    chunk,
    content,
    end,
    event,
    failure,
    folded,
    fragment,
    read,
    thought,
)

HELLO = chunk({"role": "assistant", "content": ""}) + chunk({"content": "Hel"}) + chunk({"content": "lo"})


def test_a_whole_answer() -> None:
    response = CHAT.decode_response(answer({"content": "Hello", "tool_calls": None}, odd=1))
    assert (response.wire, response.id, response.model, response.created) == ("mistral", "m-1", "mistral-x", 7)
    assert (response.usage, response.extra) == (Usage(11, 4), {"odd": 1})
    (choice,) = response.choices
    assert (choice.content, choice.stop, choice.native) == ((Text("Hello"),), "end", "stop")


SEALED = thought("so", signature="s1g", closed=True)
REFERENCE = {"type": "reference", "reference_ids": [1]}


def test_content_may_be_a_list_with_thoughts_in_it() -> None:
    parts = [thought("h", closed=False), SEALED, {"type": "text", "text": "It is."}, REFERENCE]
    blocks = (Thinking("h"), Thinking("so", "mistral:s1g"), Text("It is."), Opaque("mistral", REFERENCE))
    assert CHAT.decode_response(answer({"content": parts})).choices[0].content == blocks
    stream = chunk({"content": parts[:1]}) + chunk({"content": parts[1:]}) + end()
    # What grows in a stream is one block; the seal closes it.
    assert content(stream) == (Thinking("hso", "mistral:s1g"), Text("It is."), Opaque("mistral", REFERENCE))
    assert content(chunk({"content": [{"type": "thinking", "thinking": "bare"}]}) + end()) == (Thinking("bare"),)


@pytest.mark.parametrize("arguments", ['{"b": 1,"a":2}', {"b": 1, "a": 2}])
@pytest.mark.parametrize("id_", ["null", None, "", "abcdefghi"])
def test_arguments_may_be_an_object_and_an_id_the_word_null(arguments: Any, id_: Any) -> None:
    calls = [{"id": id_, "function": {"name": "f", "arguments": arguments}, "index": 0}]
    whole = CHAT.decode_response(answer({"content": "", "tool_calls": calls}, "tool_calls")).choices[0]
    text = arguments if isinstance(arguments, str) else '{"b":1,"a":2}'
    (call,) = whole.content
    assert (call.name, call.arguments, whole.stop) == ("f", text, "tool_use")
    assert (call.id == "abcdefghi") is (id_ == "abcdefghi")
    assert len(call.id) == 9
    assert call.id.isalnum()
    assert content(chunk({"tool_calls": calls}, "tool_calls") + DONE) == (call,)


def test_made_ids_differ_within_an_answer_and_between_answers() -> None:
    calls = [{"id": "null", "function": {"name": "f", "arguments": "{}"}}] * 3
    made = [
        block.id
        for answer_id in ("m-1", "m-2")
        for block in CHAT.decode_response(answer({"tool_calls": calls}, id=answer_id)).choices[0].content
    ]
    assert len(set(made)) == 6


STOPS = [
    ("stop", "end"),
    ("length", "length"),
    ("model_length", "length"),
    ("tool_calls", "tool_use"),
    ("new_word", "end"),
]


@pytest.mark.parametrize(("reason", "stop"), STOPS)
def test_reasons_to_stop(reason: str, stop: str) -> None:
    whole = CHAT.decode_response(answer({"content": "x"}, reason)).choices[0]
    streamed = folded(read(HELLO + end(reason))).choices[0]
    assert (whole.stop, streamed.stop) == (stop, stop)
    assert (whole.native, streamed.native) == (reason, reason)


def test_the_reason_error_is_one() -> None:
    for found in (
        failure(CHAT.decode_response, answer({"content": "x"}, "error")),
        failure(read, HELLO + end("error")),
    ):
        assert (found.kind, found.detail) == ("upstream_error", "stream_error")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b" ", "empty_body"),
        (b"<html>", "bad_json"),
        (b"[]", "bad_shape"),
        (b"{}", "bad_shape"),
        (b'{"choices":[5]}', "bad_shape"),
        (answer({"content": 5}), "bad_shape"),
        (answer({"content": [5]}), "bad_shape"),
        (answer({"content": [{"type": "thinking", "thinking": 5}]}), "bad_shape"),
        (answer({"tool_calls": 5}), "bad_shape"),
        (answer({"tool_calls": [{"function": {}}]}), "bad_shape"),
        (b'{"object":"error","message":"slow","type":"rate_limited","code":429}', "stream_error"),
        (b'{"error":"no"}', "stream_error"),
    ],
)
def test_what_is_no_answer(body: bytes, detail: str) -> None:
    assert failure(CHAT.decode_response, body).detail == detail


# Streams


def test_a_stream_of_words() -> None:
    assert read(HELLO + end()) == [
        Start("m-1", "mistral-x", 7),
        BlockStart(0, 0, Text("")),
        Delta(0, 0, "text", "Hel"),
        Delta(0, 0, "text", "lo"),
        BlockStop(0, 0),
        Finish(0, "end", native="stop"),
        End(Usage(11, 4)),
    ]


def test_several_answers_at_once() -> None:
    response = folded(
        read(
            chunk({"content": "a"})
            + chunk({"content": "b"}, index=1)
            + chunk({}, "stop")
            + chunk({}, "length", 1)
            + DONE
        )
    )
    assert [(one.content, one.stop) for one in response.choices] == [((Text("a"),), "end"), ((Text("b"),), "length")]


A, B = ToolCall("aaaaaaaaa", "f", '{"x": 1}'), ToolCall("bbbbbbbbb", "g", "{}")


@pytest.mark.parametrize(
    "deltas",
    [
        # Whole, in one delta or one each; numbered, unnumbered, or all with the same number.
        [{"tool_calls": [fragment("f", A.arguments, id=A.id, index=i)["tool_calls"][0] for i in (0,)]
          + fragment("g", {}, id=B.id, index=1)["tool_calls"]}],
        [fragment("f", A.arguments, id=A.id), fragment("g", "{}", id=B.id)],
        [fragment("f", A.arguments, id=A.id, index=0), fragment("g", "{}", id=B.id, index=0)],
        # In pieces.
        [fragment("f", '{"x"', id=A.id, index=0), fragment("", ": 1}", id="null", index=0),
         fragment("g", "{}", id=B.id, index=1)],
        [fragment("f", '{"x"', id=A.id), fragment("f", ": 1}", id=A.id), fragment("g", "", id=B.id),
         fragment("g", "{}", id=B.id)],
        [fragment("f", "", id=A.id, index=0), fragment("g", "", id=B.id, index=1), fragment("", A.arguments, index=0),
         fragment("", "{}", index=1)],
    ],
)  # fmt: skip
def test_calls_are_told_apart_by_id_then_by_number(deltas: list[Any]) -> None:
    stream = b"".join(chunk(delta) for delta in deltas) + end("tool_calls")
    response = folded(read(stream))
    assert response.choices[0].content == (A, B)
    assert response.choices[0].stop == "tool_use"


def test_calls_without_ids_and_numbers() -> None:
    calls = content(chunk(fragment("f", '{"x": 1}', id="null")) + chunk(fragment("f", "{}", id="null")) + end())
    assert [(call.name, call.arguments) for call in calls] == [("f", '{"x": 1}'), ("f", "{}")]
    assert calls[0].id != calls[1].id


STREAM = (
    chunk({"role": "assistant", "content": [thought("é\u2028")]})
    + chunk({"content": [{"type": "text", "text": "and"}]})
    + chunk(fragment("f", '{"x": "ü"}', id=A.id, index=0))
    + end("tool_calls")
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_a_stream_is_the_same_however_it_is_cut(size: int) -> None:
    for data in (STREAM, STREAM.replace(b"\n", b"\r\n"), STREAM.replace(b"data: ", b": hi\nid: 1\ndata:")):
        assert read(*[data[at : at + size] for at in range(0, len(data), size)]) == read(STREAM)


CALLS = st.lists(st.tuples(st.dictionaries(st.text(max_size=3), st.integers()), st.integers(1, 9)), max_size=4)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=6), CALLS)
def test_any_plan_of_calls_arrives_whole(said: str, calls: list[tuple[dict[str, int], int]]) -> None:
    stream, expected = chunk({"content": said}), []
    for place, (arguments, size) in enumerate(calls):
        text, id_ = json.encode(arguments).decode(), f"{place:09d}"
        for at in range(0, len(text), size):
            stream += chunk(fragment("f" if at == 0 else "", text[at : at + size], id=id_, index=place))
        expected.append(ToolCall(id_, "f", text))
    stream += end("tool_calls" if calls else "stop")
    found = content(*[stream[at : at + 1] for at in range(len(stream))])
    assert found == (*((Text(said),) if said else ()), *expected)


@pytest.mark.parametrize(
    "stream",
    [
        HELLO + chunk({}, "stop"),
        event({**HEAD, "choices": []}) + HELLO + end(),
        HELLO + end() + b"data: {broken\n\n",
        chunk({"content": "Hello"}, "stop") + chunk({"content": "late"}) + DONE,
    ],
)
def test_streams_that_leave_something_out_or_add_something(stream: bytes) -> None:
    assert content(stream) == (Text("Hello"),)


@pytest.mark.parametrize(
    ("stream", "kind", "detail"),
    [
        (b"", "upstream_bad_response", "empty_body"),
        (b": hi\n\n", "upstream_bad_response", "bad_event"),
        (DONE, "upstream_bad_response", "bad_event"),
        (HELLO, "upstream_incomplete", "missing_terminator"),
        (HELLO + DONE, "upstream_incomplete", "missing_terminator"),
        (chunk(fragment("f", '{"x":', id=A.id)) + end("tool_calls"), "upstream_incomplete", "incomplete_tool_call"),
        (HELLO + b"data: {broken\n\n", "upstream_bad_response", "bad_event"),
        (HELLO + b"data: 5\n\n", "upstream_bad_response", "bad_event"),
        (HELLO + chunk({"content": 5}), "upstream_bad_response", "bad_event"),
        (HELLO + chunk({"tool_calls": 5}), "upstream_bad_response", "bad_event"),
        (HELLO + chunk({"tool_calls": [5]}), "upstream_bad_response", "bad_event"),
        (HELLO + chunk(fragment("", "{}", id=A.id)), "upstream_bad_response", "bad_event"),
        (HELLO + event({**HEAD, "choices": 5}), "upstream_bad_response", "bad_event"),
        (HELLO + event({**HEAD, "choices": [5]}), "upstream_bad_response", "bad_event"),
        (HELLO + chunk(5), "upstream_bad_response", "bad_event"),
        (
            HELLO + event({"object": "error", "message": "x", "type": "rate_limited"}),
            "upstream_rate_limited",
            "stream_error",
        ),
        (HELLO + event({"error": {"message": "x"}}), "upstream_error", "stream_error"),
        (HELLO + b'event: error\ndata: {"detail":"x"}\n\n', "upstream_error", "stream_error"),
    ],
)
def test_streams_that_break(stream: bytes, kind: str, detail: str) -> None:
    found = failure(read, stream)
    assert (found.kind, found.detail) == (kind, detail)


# Errors


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"object": "error", "message": "no", "type": "invalid_request_error", "code": "3230"}, "no", "3230"),
        ({"object": "error", "message": "no", "type": "invalid_model", "code": 1500}, "no", "1500"),
        ({"message": "no", "request_id": "r"}, "no", None),
        ({"detail": [{"loc": ["body", "seed"], "msg": "extra"}]}, "body.seed: extra", None),
        ({"object": "error", "message": {"detail": [{"loc": ["a"], "msg": "b"}]}}, "a: b", None),
        ({"detail": "Not Found"}, "Not Found", None),
        ({"odd": 1}, "the provider answered with status 422", None),
    ],
)
def test_errors(body: Any, message: str, code: str | None) -> None:
    found = CHAT.decode_error(422, [], json.encode(body))
    assert (found.kind, found.http_status, found.message) == ("upstream_rejected", 422, message)
    assert found.upstream_code == code
    assert CHAT.decode_error(422, [], b"<html>").http_status == 422


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "upstream_rejected"), (401, "upstream_auth"), (404, "upstream_rejected"), (429, "upstream_rate_limited"),
     (500, "upstream_error"), (503, "upstream_error")],
)  # fmt: skip
def test_statuses(status: int, kind: str) -> None:
    assert CHAT.decode_error(status, [], b'{"message":"words"}').kind == kind


def test_a_glance_at_events() -> None:
    assert CHAT.glance("", json.encode({**HEAD, "choices": [{"delta": {"content": "x"}}]})).content
    last = CHAT.glance(
        "", json.encode({**HEAD, "choices": [{"delta": {}, "finish_reason": "stop"}], "usage": USED.copy()})
    )
    assert (last.content, last.finished, last.end, last.usage) == (False, True, False, Usage(11, 4))
    assert CHAT.glance("", b"[DONE]").end
    told = CHAT.glance("", b'{"object":"error","message":"x"}').failure
    assert told is not None
    assert CHAT.check_answer(answer({"content": "x"})) == Usage(11, 4)


# Embeddings


def test_embeddings() -> None:
    request = EmbedRequest(
        wire="openai_embeddings",
        model="e",
        inputs=("a", "b"),
        dimensions=8,
        encoding="base64",
        purpose="query",
        user="u",
        extra={"metadata": {"a": 1}, "odd": 1},
    )
    found = EMBED.encode_request(request, {})
    assert found.body == {"model": "e", "input": ["a", "b"], "output_dimension": 8, "metadata": {"a": 1}}
    assert found.dropped == ("user", "input_type", "odd")
    one = EMBED.encode_request(EmbedRequest(wire="x", model="e", inputs=("a",), single=True), {})
    assert one.body == {"model": "e", "input": "a"}
    tokens = EmbedRequest(wire="x", model="e", inputs=((1, 2),))
    assert failure(EMBED.encode_request, tokens, {}).param == "input"
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    body = json.encode({"id": "e-1", "object": "list", "model": "m", "data": data, "usage": {**USED}})
    assert EMBED.decode_response(body) == EmbedResponse(
        wire="mistral_embeddings", vectors=((0.5,),), model="m", id="e-1", usage=Usage(11, 4)
    )
    assert EMBED.check_answer(body) == Usage(11, 4)
    assert failure(EMBED.decode_response, b'{"object":"list"}').detail == "bad_shape"
