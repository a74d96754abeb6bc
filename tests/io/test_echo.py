"""The model that needs no account: it answers with the caller's last words."""

import asyncio
from typing import Any

import pytest
from echoes import asked as asked_at
from echoes import sent as sent_to
from msgspec import json
from peers import Ear, settle
from servers import Waiting

from parley.failure import Failure
from parley.io.echo import OPERATIONS, Echo
from parley.ports import Call

CHAT = "/chat/completions"


def call(sent: bytes) -> Call:
    return sent_to(CHAT, sent)


def body(text: str = "Hello, my  world", **members: Any) -> bytes:
    return json.encode({"model": "echo", "messages": [{"role": "user", "content": text}], **members})


async def asked(sent: bytes) -> Waiting:
    return await asked_at(CHAT, sent)


async def answered(sent: bytes) -> dict[str, Any]:
    ear = await asked(sent)
    status, content = ear.whole
    assert (status, ear.headers) == (200, [(b"content-type", b"application/json")])
    made: dict[str, Any] = json.decode(content)
    return made


async def streamed(sent: bytes) -> list[Any]:
    ear = await asked(sent)
    status, content = ear.whole
    assert (status, ear.headers) == (200, [(b"content-type", b"text/event-stream")])
    parts = content.split(b"\n\n")
    assert parts[-2:] == [b"data: [DONE]", b""]
    return [json.decode(part.removeprefix(b"data: ")) for part in parts[:-2]]


async def test_a_whole_answer() -> None:
    made = await answered(body())
    (choice,) = made["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello, my  world", "stop")
    assert made["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}
    assert made["model"] == "echo"
    assert made["id"]


async def test_the_same_question_has_the_same_answer() -> None:
    first, second = await answered(body()), await answered(body())
    assert {**first, "id": "", "created": 0} == {**second, "id": "", "created": 0}


async def test_a_stream_comes_word_by_word() -> None:
    chunks = await streamed(body(stream=True, stream_options={"include_usage": True}))
    words = [chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk["choices"]]
    assert [word for word in words if word] == ["Hello,", " my", "  world"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6}


async def test_usage_comes_only_where_it_was_asked_for() -> None:
    chunks = await streamed(body(stream=True))
    assert all(chunk["choices"] and not chunk.get("usage") for chunk in chunks)


@pytest.mark.parametrize("text", ["", " ", "a ", "\n", " a\tb \n", "\u00fc\u2028\U0001f44b z"])
@pytest.mark.parametrize("stream", [True, False])
async def test_no_character_is_lost(text: str, stream: bool) -> None:
    if stream:
        chunks = await streamed(body(text, stream=True))
        said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    else:
        made = await answered(body(text))
        said = made["choices"][0]["message"]["content"] or ""
    assert said == text


@pytest.mark.parametrize(
    ("members", "said", "reason"),
    [
        ({"max_tokens": 2}, "Hello, my", "length"),
        ({"max_completion_tokens": 2}, "Hello, my", "length"),
        ({"max_tokens": 3}, "Hello, my  world", "stop"),
        ({"max_tokens": 100}, "Hello, my  world", "stop"),
        ({"stop": "my"}, "Hello, ", "stop"),
        ({"stop": ["world", ","]}, "Hello", "stop"),
        ({"stop": ["none"]}, "Hello, my  world", "stop"),
        ({"stop": ["wor"], "max_tokens": 1}, "Hello,", "length"),
    ],
)
async def test_limits_are_honoured(members: dict[str, Any], said: str, reason: str) -> None:
    made = await answered(body(**members))
    (choice,) = made["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (said, reason)
    assert made["usage"]["completion_tokens"] == len(said.split())


async def test_several_choices() -> None:
    made = await answered(body("a b", n=3))
    assert [(choice["index"], choice["message"]["content"]) for choice in made["choices"]] == [
        (0, "a b"),
        (1, "a b"),
        (2, "a b"),
    ]
    assert made["usage"]["completion_tokens"] == 6


async def test_the_last_words_of_the_user_count() -> None:
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "sec"}, {"type": "text", "text": "ond"}]},
        {"role": "assistant", "content": "third"},
    ]
    made = await answered(json.encode({"model": "echo", "messages": messages}))
    assert made["choices"][0]["message"]["content"] == "second"
    assert made["usage"]["prompt_tokens"] == 6


@pytest.mark.parametrize(
    ("sent", "kind", "param"),
    [
        (b"{", "invalid_json", None),
        (b'{"model":"echo","messages":[{"role":"system","content":"x"}]}', "invalid_request", "messages"),
        (b'{"model":"echo","messages":[{"role":"user","content":7}]}', "invalid_request", "messages[0].content"),
    ],
)
async def test_what_cannot_be_echoed(sent: bytes, kind: str, param: str | None) -> None:
    (failure,) = (await asked(sent)).ended
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.param) == (kind, param)


async def test_a_cancelled_answer_says_no_more() -> None:
    ear = Ear()
    flight = Echo(asyncio.get_running_loop()).send(call(body("a " * 1000, stream=True)), ear)
    flight.cancel()
    await settle()
    assert ear.status == 0
    flight = Echo(asyncio.get_running_loop()).send(call(body("a " * 1000, stream=True)), ear)
    await settle()
    said = ear.content
    assert said
    flight.cancel()
    await settle()
    assert (ear.content, ear.ended) == (said, [])


async def test_a_paused_answer_waits() -> None:
    ear = Waiting()
    flight = Echo(asyncio.get_running_loop()).send(call(body("a b c", stream=True)), ear)
    flight.pause()
    await settle()
    said = ear.content
    await settle()
    assert ear.content == said
    assert ear.ended == []
    flight.resume()
    async with asyncio.timeout(30):
        await ear.over.wait()
    assert ear.whole[1].endswith(b"data: [DONE]\n\n")


async def test_a_path_that_is_no_operation() -> None:
    (failure,) = (await asked_at("/responses", body())).ended
    assert isinstance(failure, Failure)
    assert failure.kind == "not_implemented"


@pytest.mark.parametrize("path", sorted(path.decode() for path in OPERATIONS))
@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b"null", b"{}", b'{"model": 5}', b"\xff", b'{"a": 1, "a": 2}'])
@pytest.mark.parametrize("kind", [b"application/json", b"multipart/form-data; boundary=x", b""])
async def test_nonsense_is_the_callers_fault(path: str, sent: bytes, kind: bytes) -> None:
    (failure,) = (await asked_at(path, sent, kind)).ended
    assert isinstance(failure, Failure)
    assert failure.http_status == 400
