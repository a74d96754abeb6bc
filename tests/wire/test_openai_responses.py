"""Whole Responses answers, errors, and the verbatim path's look at events; round trips between the wires."""

from typing import Any

import pytest
from msgspec import json
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from parley.failure import Failure
from parley.fold import unfold
from parley.ir import ChatResponse, Choice, Opaque, Refusal, Text, Thinking, ToolCall, Usage
from parley.wire import Mark, load
from parley.wire.openai_responses import WIRE as DIRECT
from wire.responses_parts import (
    CHAT,
    EVENTS,
    HI,
    WIRE,
    added,
    answer,
    call,
    completed,
    created,
    done,
    event,
    failure,
    folded,
    judged_whole,
    message,
    read,
    reasoning,
    reply,
    text_delta,
    written,
)

ANTHROPIC = load("anthropic")
USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 12,
}
SEARCHED = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}


def whole(*output: dict[str, Any], **members: Any) -> bytes:
    return json.encode(answer(*output, **members))


def test_the_wire_is_found_by_its_name() -> None:
    assert WIRE is DIRECT
    assert WIRE.name == "openai_responses"
    assert set(WIRE.rename.values()) <= WIRE.known
    assert WIRE.rename["max_tokens"] == WIRE.rename["max_completion_tokens"] == "max_output_tokens"
    assert WIRE.demands is None
    assert WIRE.known == {*ResponseCreateParamsBase.__annotations__, "stream"}


# --- whole answers -----------------------------------------------------------------------------


def test_a_whole_answer() -> None:
    response = WIRE.decode_response(whole(reasoning(), message(), call(), SEARCHED, usage=USAGE))
    assert (response.id, response.model, response.created) == ("resp_7", "m", 7)
    assert response.usage == Usage(5, 7, 1, 2, 3)
    (choice,) = response.choices
    assert choice.stop == "tool_use"
    assert [type(block) for block in choice.content] == [Thinking, Text, ToolCall, Opaque]
    thinking, text, tool_call, searched = choice.content
    assert isinstance(thinking, Thinking)
    assert (thinking.text, thinking.signature) == ("Hm.", "openai_responses:rs_1:gAAA=")
    assert isinstance(text, Text)
    assert text.text == "Hello"
    assert isinstance(tool_call, ToolCall)
    assert (tool_call.id, tool_call.name, tool_call.arguments) == ("call_1", "look", '{"q": 1}')
    assert searched == Opaque("openai_responses", SEARCHED)


def test_an_answer_of_this_wire_goes_back_as_it_came() -> None:
    given = answer(
        reasoning(status="completed"), message(phase="final_answer"), call(), SEARCHED, usage=USAGE, of_tomorrow=[1]
    )
    response = WIRE.decode_response(json.encode(given))
    again = json.decode(WIRE.encode_response(response, reply("openai_responses", {"store": False})))
    assert {name: again[name] for name in given} == given
    events = written(unfold(response), reply("openai_responses"))
    assert {name: events[-1]["response"][name] for name in given} == given
    told = [value["item"] for value in events if value["type"] == "response.output_item.done"]
    assert told == given["output"]
    assert events[0]["response"]["of_tomorrow"] == [1]
    assert (events[0]["response"]["status"], events[0]["response"]["output"]) == ("in_progress", [])
    summary = [value for value in events if value["type"].startswith("response.reasoning_summary")]
    assert [value["type"].rpartition("reasoning_")[2] for value in summary] == [
        "summary_part.added",
        "summary_text.delta",
        "summary_text.done",
        "summary_part.done",
    ]


def test_two_messages_of_this_wire_stay_two() -> None:
    noted = message("b", "msg_2")
    noted["content"][0]["annotations"] = [{"type": "file_path", "file_id": "f", "index": 0}]
    noted["content"].append({"type": "refusal", "refusal": "no"})
    told = reasoning(summary=[], content=[{"type": "reasoning_text", "text": "Hm."}], encrypted_content=None)
    response = WIRE.decode_response(whole(message("a"), noted, told))
    events = written(unfold(response), reply("openai_responses"))
    assert events[-1]["response"]["output"] == [message("a"), noted, told]
    (annotation,) = [value for value in events if value["type"].endswith("annotation.added")]
    assert (annotation["item_id"], annotation["annotation"]["file_id"]) == ("msg_2", "f")
    assert [value["delta"] for value in events if value["type"] == "response.reasoning_text.delta"] == ["Hm."]


@pytest.mark.parametrize(
    ("members", "stop"),
    [
        ({}, "end"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "refusal"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_messages"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, "pause"),
        ({"status": "incomplete"}, "length"),
        ({"status": None}, "end"),
    ],
)
def test_ends(members: dict[str, Any], stop: str) -> None:
    response = WIRE.decode_response(whole(message(), **members))
    assert response.choices[0].stop == stop
    again = json.decode(WIRE.encode_response(response, reply("openai_responses")))
    assert {name: again[name] for name in members} == members


BROKEN = [
    (b"", "upstream_bad_response", "empty_body"),
    (b" \n", "upstream_bad_response", "empty_body"),
    (b"{", "upstream_bad_response", "bad_json"),
    (b'{"output":[],"x":"\xff"}', "upstream_bad_response", "bad_json"),
    (b"[]", "upstream_bad_response", "bad_shape"),
    (b"{}", "upstream_bad_response", "bad_shape"),
    (whole(object="chat.completion"), "upstream_bad_response", "bad_shape"),
    (b'{"object":"response","output":null}', "upstream_bad_response", "bad_shape"),
    (b'{"error":{"message":"no","code":"server_error"}}', "upstream_error", "stream_error"),
    (whole(status="failed", error={"code": "server_error", "message": "no"}), "upstream_error", "stream_error"),
    (
        whole(status="failed", error={"code": "rate_limit_exceeded", "message": "no"}),
        "upstream_rate_limited",
        "stream_error",
    ),
    (whole(status="cancelled"), "upstream_error", "stream_error"),
]


@pytest.mark.parametrize(("body", "kind", "detail"), BROKEN)
def test_broken_answers(body: bytes, kind: str, detail: str) -> None:
    for read_answer in (WIRE.decode_response, WIRE.check_answer):
        found = failure(read_answer, body)
        assert (found.kind, found.detail) == (kind, detail)


@pytest.mark.parametrize(
    "output", [[1], [{}], [{"type": "message"}], [{"type": "function_call", "name": "f"}], [call(name=None)]]
)
def test_items_of_another_shape(output: list[Any]) -> None:
    assert failure(WIRE.decode_response, whole(*output)).detail == "bad_shape"


def test_a_failed_answer_keeps_its_code() -> None:
    body = whole(status="failed", error={"code": "bio_policy", "message": "not this"})
    found = failure(WIRE.decode_response, body)
    assert (found.upstream_code, found.message) == ("bio_policy", "not this")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_unfinished_answer_passes_but_is_none_elsewhere(status: str) -> None:
    assert WIRE.check_answer(whole(status=status)) is None
    assert failure(WIRE.decode_response, whole(status=status)).kind == "upstream_incomplete"


def test_checked_answers_tell_their_usage() -> None:
    assert WIRE.check_answer(whole(message("é"), usage=USAGE)) == Usage(5, 7, 1, 2, 3)
    assert WIRE.check_answer(whole(usage={"input_tokens": 5.0, "output_tokens": None})) == Usage(5, 0)
    assert WIRE.check_answer(whole(usage="none")) is None
    assert WIRE.check_answer(whole(error=None)) is None
    assert WIRE.check_answer(whole(error={})) is None


# --- errors ------------------------------------------------------------------------------------


def test_errors_have_the_shape_of_every_openai_endpoint() -> None:
    status, body = WIRE.encode_error(Failure("invalid_request", "no", param="input[0].type"), "req-1")
    error = {"message": "no", "type": "invalid_request_error", "param": "input[0].type", "code": "invalid_request"}
    assert (status, json.decode(body)) == (400, {"error": error})
    found = WIRE.decode_error(400, [], b'{"error":{"message":"bad","type":"t","param":"input","code":"c"}}')
    assert (found.kind, found.param, found.upstream_code) == ("upstream_rejected", "input", "c")
    assert CHAT.encode_error(found, "req-1") == WIRE.encode_error(found, "req-1")


# --- glances -----------------------------------------------------------------------------------


def glanced(data: bytes) -> Mark:
    name, body = data.decode().strip().split("\n")
    return WIRE.glance(name.removeprefix("event: "), body.removeprefix("data: ").encode())


@pytest.mark.parametrize(
    ("data", "content"),
    [
        (created(), False),
        (event("response.in_progress", response=answer()), False),
        (added(message()), False),
        (added(reasoning()), False),
        (added(call()), True),
        (added(SEARCHED), True),
        (done(message()), True),
        (text_delta("é"), True),
        (text_delta(""), False),
        (event("response.function_call_arguments.delta", delta="{"), True),
        (event("response.reasoning_summary_text.delta", delta="x"), True),
        (event("response.custom_tool_call_input.delta", delta="x"), True),
        (event("response.shell_call_output_content.delta", delta={"stdout": "x"}), True),
        (event("response.image_generation_call.partial_image", partial_image_b64="AA"), True),
        (event("response.output_text.done", text="x"), False),
        (event("response.of_tomorrow", x=1), False),
        (event("response.of_tomorrow", item=1), False),
    ],
)
def test_glances_see_content(data: bytes, content: bool) -> None:
    assert glanced(data) == Mark(content=content)


def test_glances_see_the_end() -> None:
    assert glanced(completed(message(), usage=USAGE)) == Mark(finished=True, end=True, usage=Usage(5, 7, 1, 2, 3))
    assert glanced(event("response.incomplete", response=answer())) == Mark(finished=True, end=True)
    assert glanced(event("response.completed", response=answer(usage="x"))) == Mark(finished=True, end=True)
    assert glanced(event("response.completed", response=answer(), item=1)) == Mark(finished=True, end=True)
    assert WIRE.glance("", b"[DONE]") == Mark()
    assert WIRE.glance("response.completed", b'{"response":{}}').end


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (event("error", code="server_error", message="no", param=None), "upstream_error"),
        (event("error", code="rate_limit_exceeded", message="no"), "upstream_rate_limited"),
        (event("error", error={"message": "no", "code": "server_error"}), "upstream_error"),
        (event("response.of_tomorrow", error={"message": "no"}), "upstream_error"),
        (event("response.failed", response=answer(error={"code": "server_error", "message": "no"})), "upstream_error"),
    ],
)
def test_glances_and_decoders_see_failures(data: bytes, kind: str) -> None:
    found = glanced(data).failure
    assert found is not None
    assert (found.kind, found.detail, found.message) == (kind, "stream_error", "no")
    decoder = WIRE.stream_decoder()
    decoder.feed(created())
    assert failure(decoder.feed, data) == found


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"type":"\xff"}', b"1", b'{"type":"response.failed",'])
def test_glances_refuse_what_is_no_event(data: bytes) -> None:
    assert failure(WIRE.glance, "", data).detail == "bad_event"


def test_a_failed_response_without_words() -> None:
    found = WIRE.glance("", b'{"type":"response.failed","response":null}').failure
    assert found is not None
    assert found.message == "the provider reported an error"


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_type_of_event_is_looked_at_and_read(kind: str) -> None:
    data = event(kind, response=answer(), item=message(), part={"type": "output_text", "text": "x"}, delta="x")
    mark = glanced(data)
    assert mark.end is (kind in ("response.completed", "response.incomplete"))
    assert (mark.failure is not None) is (kind in ("error", "response.failed"))
    decoder = WIRE.stream_decoder()
    decoder.feed(created())
    decoder.feed(added(message()))
    if mark.failure is not None:
        assert failure(decoder.feed, data).kind == "upstream_error"
    elif kind.endswith(("arguments.delta", "reasoning_text.delta", "summary_text.delta")) and "mcp" not in kind:
        assert failure(decoder.feed, data).detail == "bad_event"
    else:
        decoder.feed(data)
        assert (decoder.feed(completed(message())) == []) is mark.end


# --- between the wires -------------------------------------------------------------------------


def test_a_responses_provider_answers_a_chat_caller() -> None:
    tokens = [{"token": "Hello", "bytes": [72], "logprob": -0.5, "top_logprobs": []}]
    spoken = message()
    spoken["content"][0]["logprobs"] = tokens
    response = WIRE.decode_response(whole(reasoning(), spoken, call(), usage=USAGE))
    told = json.decode(CHAT.encode_response(response, reply("openai_responses")))
    (choice,) = told["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["logprobs"] == {"content": tokens, "refusal": None}
    assert choice["message"] == {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "reasoning_content": "Hm.",
        "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "openai_responses:rs_1:gAAA="}],
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"q": 1}'}}],
    }
    assert told["usage"]["prompt_tokens_details"] == {"cached_tokens": 1, "cache_write_tokens": 2}
    back = CHAT.decode_request({"model": "m", "messages": [HI, choice["message"], HI]})
    assert WIRE.encode_request(back, {}).body["input"][1] == reasoning()


def test_a_responses_provider_answers_an_anthropic_caller() -> None:
    response = WIRE.decode_response(whole(reasoning(), message(), call(), usage=USAGE))
    told = json.decode(ANTHROPIC.encode_response(response, reply("openai_responses")))
    assert told["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "openai_responses:rs_1:gAAA="},
        {"type": "text", "text": "Hello"},
        {"type": "tool_use", "id": "call_1", "name": "look", "input": {"q": 1}},
    ]
    assert told["stop_reason"] == "tool_use"
    back = ANTHROPIC.decode_request({"model": "m", "max_tokens": 9, "messages": [HI, told | {"role": "assistant"}]})
    assert WIRE.encode_request(back, {}).body["input"][1] == reasoning()


@pytest.mark.parametrize(
    ("finish", "message", "status", "reason"),
    [
        ("stop", {"content": "Hi"}, "completed", None),
        ("length", {"content": "Hi"}, "incomplete", "max_output_tokens"),
        ("content_filter", {"content": ""}, "incomplete", "content_filter"),
        ("stop", {"content": None, "refusal": "No."}, "completed", None),
    ],
)
def test_a_chat_provider_answers_a_responses_caller(
    finish: str, message: dict[str, Any], status: str, reason: str | None
) -> None:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = json.encode({"id": "c", "object": "chat.completion", "created": 7, "model": "m", "choices": [choice]})
    told = judged_whole(WIRE.encode_response(CHAT.decode_response(body), reply()))
    assert told["status"] == status
    assert told["incomplete_details"] == (None if reason is None else {"reason": reason})
    (item,) = told["output"]
    assert item["content"][0]["type"] == ("refusal" if message.get("refusal") else "output_text")
    assert told["usage"] is None


def test_an_answer_that_ended_in_error_is_none() -> None:
    response = ChatResponse(wire="other", id="", model="m", choices=(Choice(0, (Refusal("x"),), "error"),))
    assert failure(WIRE.encode_response, response, reply("other")).kind == "upstream_error"


def test_a_stream_of_this_wire_makes_a_whole_answer_of_it() -> None:
    given = answer(reasoning(), message(), call(), SEARCHED, usage=USAGE, of_tomorrow=1)
    stream = (
        created()
        + done(reasoning(), 0)
        + done(message(), 1)
        + done(call(), 2)
        + done(SEARCHED, 3)
        + event("response.completed", response=given)
    )
    response = folded(read(stream))
    again = json.decode(WIRE.encode_response(response, reply("openai_responses")))
    assert {name: again[name] for name in given} == given
