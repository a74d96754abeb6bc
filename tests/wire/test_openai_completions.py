"""Legacy completions for a caller of a chat model."""

from typing import Any

import pytest
from msgspec import json
from openai.types import Completion

from parley.failure import Failure
from parley.fold import unfold
from parley.ir import (
    BlockStart,
    ChatRequest,
    ChatResponse,
    Choice,
    Delta,
    End,
    Event,
    Finish,
    Message,
    Opaque,
    Refusal,
    Start,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from wire.completions_parts import (
    ASKED,
    CHAT,
    WIRE,
    failure,
    reply,
    written,
)

# Requests


def test_the_prompt_is_a_message_of_the_user() -> None:
    request = WIRE.decode_request(ASKED)
    assert request == ChatRequest(
        wire="openai_completions", model="m", messages=(Message("user", (Text("Once upon"),)),), max_tokens=16
    )
    assert WIRE.decode_request({**ASKED, "prompt": ["Once upon"]}) == request
    assert ASKED == {"model": "m", "prompt": "Once upon"}
    assert CHAT.encode_request(request, {}).body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Once upon"}],
        "max_tokens": 16,
    }


def test_every_member_that_has_a_place() -> None:
    request = WIRE.decode_request(
        {
            **ASKED, "max_tokens": 0, "n": 2, "stop": ["a", "b"], "temperature": 0, "top_p": 0.5, "seed": 3,
            "user": "u", "presence_penalty": -2, "frequency_penalty": 2.0, "logit_bias": {"5": 1}, "stream": True,
            "stream_options": {"include_usage": True}, "echo": False, "suffix": None, "best_of": 2, "logprobs": None,
        }
    )  # fmt: skip
    assert (request.max_tokens, request.n, request.stop, request.temperature, request.top_p) == (
        0, 2, ("a", "b"), 0, 0.5,
    )  # fmt: skip
    assert (request.seed, request.user, request.presence_penalty, request.frequency_penalty) == (3, "u", -2, 2.0)
    assert (request.logit_bias, request.stream, request.include_usage, request.extra) == ({"5": 1}, True, True, {})


@pytest.mark.parametrize(("given", "limit"), [({}, 16), ({"max_tokens": None}, 16), ({"max_tokens": 500}, 500)])
def test_the_limit_of_a_caller_who_names_none(given: dict[str, Any], limit: int) -> None:
    assert WIRE.decode_request({**ASKED, **given}).max_tokens == limit


def test_what_is_unknown_is_kept_and_told() -> None:
    request = WIRE.decode_request({**ASKED, "min_p": 0.1, "stream_options": {"include_obfuscation": False}})
    assert request.extra == {"min_p": 0.1, "stream_options": {"include_obfuscation": False}}
    assert set(CHAT.encode_request(request, {}).dropped) == {"min_p", "stream_options"}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"echo": True}, "echo"),
        ({"suffix": "end"}, "suffix"),
        ({"suffix": ""}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"best_of": 3, "n": 2}, "best_of"),
        ({"best_of": 0}, "best_of"),
        ({"logprobs": 0}, "logprobs"),
        ({"logprobs": 5}, "logprobs"),
    ],
)
def test_what_only_continuing_models_do_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    found = failure(WIRE.decode_request, {**ASKED, **members})
    assert (found.kind, found.param, found.http_status) == ("invalid_request", param, 400)
    assert param in found.message
    assert "only chats" in found.message


@pytest.mark.parametrize(
    ("prompt", "param", "words"),
    [
        (None, "prompt", "required"),
        ([], "prompt", "a text"),
        (["a", "b"], "prompt", "one request for each"),
        ([1, 2], "prompt", "token numbers"),
        ([[1], [2]], "prompt", "token numbers"),
        (["a", 2], "prompt[1]", "must be a string"),
        (5, "prompt", "must be"),
    ],
)
def test_prompts_that_are_no_message(prompt: Any, param: str, words: str) -> None:
    found = failure(WIRE.decode_request, {**ASKED, "prompt": prompt})
    assert found.param == param
    assert words in found.message


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"best_of": 21}, "best_of"),
        ({"logprobs": 6}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"echo": 1}, "echo"),
        ({"suffix": 1}, "suffix"),
        ({"temperature": 2.1}, "temperature"),
        ({"stop": 5}, "stop"),
        ({"stop": ["a", 5]}, "stop[1]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"logit_bias": []}, "logit_bias"),
    ],
)
def test_members_of_other_types_are_named(members: dict[str, Any], param: str) -> None:
    assert failure(WIRE.decode_request, {**ASKED, **members}).param == param


def test_known_and_named_members() -> None:
    assert len(WIRE.known) == 18
    assert {"prompt", "model", "best_of", "suffix"} <= WIRE.known
    assert WIRE.rename["max_completion_tokens"] == "max_tokens"
    assert {"logprobs", "model", "prompt", "stream"}.isdisjoint(WIRE.rename)
    assert WIRE.demands is not None
    assert WIRE.demands.name == "prompt"


# Answers for a caller


def chat_answer(*content: Any, stop: Any = "end", **members: Any) -> ChatResponse:
    return ChatResponse(wire="openai_chat", id="", model="", choices=(Choice(0, content, stop),), **members)


def test_an_answer_from_chat() -> None:
    made = json.decode(WIRE.encode_response(chat_answer(Text("a"), Text("b"), usage=Usage(3, 2, 1)), reply()))
    assert made == {
        "id": "req-1",
        "object": "text_completion",
        "created": 5,
        "model": "asked",
        "choices": [{"text": "ab", "index": 0, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 1},
        },
    }  # fmt: skip
    parsed = Completion.model_validate(made)
    assert parsed.choices[0].text == "ab"


@pytest.mark.parametrize(
    ("stop", "word"),
    [
        ("end", "stop"),
        ("stop_sequence", "stop"),
        ("pause", "stop"),
        ("length", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_why_it_stopped(stop: Any, word: str) -> None:
    response = chat_answer(Text("x"), stop=stop)
    assert json.decode(WIRE.encode_response(response, reply()))["choices"][0]["finish_reason"] == word
    assert written(unfold(response), reply())[-1]["choices"][0]["finish_reason"] == word


def test_refusals_are_text_and_thoughts_stand_beside_it() -> None:
    response = chat_answer(Thinking("hm"), Refusal("I will not"), Opaque("openai_chat", {"type": "reference"}))
    (choice,) = json.decode(WIRE.encode_response(response, reply()))["choices"]
    assert (choice["text"], choice["reasoning_content"]) == ("I will not", "hm")
    parts = [part["choices"][0] for part in written(unfold(response), reply())]
    assert "".join(part["text"] for part in parts) == "I will not"
    assert "".join(part.get("reasoning_content", "") for part in parts) == "hm"


def test_a_tool_call_has_no_place() -> None:
    response = chat_answer(ToolCall("c", "f", "{}"), stop="tool_use")
    found = failure(WIRE.encode_response, response, reply())
    assert (found.kind, found.detail) == ("upstream_bad_response", "bad_shape")
    encoder = WIRE.stream_encoder(reply())
    assert failure(lambda: [encoder.feed(made) for made in unfold(response)]).detail == "bad_shape"


EVENTS: list[Event] = [
    Start("id-1", "model-1", 9),
    BlockStart(0, 0, Text("")),
    Delta(0, 0, "text", "Hel"),
    Delta(0, 0, "text", "lo"),
    Finish(0, "length"),
    End(Usage(3, 2)),
]


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_from_chat(usage: bool) -> None:
    found = written(EVENTS, reply(usage=usage))
    for part in found:
        assert (part["id"], part["object"], part["created"], part["model"]) == ("id-1", "text_completion", 9, "model-1")
        assert ("usage" in part) is usage
    texts = [part["choices"][0] for part in found if part["choices"]]
    assert texts == [
        {"text": "Hel", "index": 0, "logprobs": None, "finish_reason": None},
        {"text": "lo", "index": 0, "logprobs": None, "finish_reason": None},
        {"text": "", "index": 0, "logprobs": None, "finish_reason": "length"},
    ]
    if usage:
        assert [part["usage"] for part in found[:-1]] == [None] * 3
        assert found[-1]["choices"] == []
        assert found[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def test_an_error_in_a_stream() -> None:
    sent = WIRE.stream_encoder(reply()).fail(Failure("upstream_incomplete", "cut"))
    assert sent.startswith(b"data: ")
    assert sent.endswith(b"\n\n")
    error = json.decode(sent.removeprefix(b"data: "))["error"]
    assert error == {"message": "cut", "type": "server_error", "param": None, "code": "upstream_incomplete"}
