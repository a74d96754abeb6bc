"""Several answers of a provider that gives one at a time: asked as often, told as one."""

import gc
from typing import Any

import msgspec
import pytest

from gateway.parts import (
    DONE,
    STOP,
    WORD,
    Ear,
    Sent,
    Stage,
    only,
    provider,
    registration,
)
from parley.gateway.job import Job
from parley.settings import Provider, Quirks, Registration, Retries

TRACE = [(b"idempotency-key", b"abc"), (b"traceparent", b"00-1-2-01")]


def stage(*more: Registration, retries: int = 1, **members: Any) -> Stage:
    providers = (
        provider("a"),
        provider("claude", "anthropic"),
        provider("narrow", "anthropic", max_concurrency=2),
        provider("plain", quirks=Quirks(drop=("n",))),
    )
    return Stage(
        registration("fan", "claude/c-1", choices="fan_out", retries=Retries(retries), **members),
        registration("narrow", "narrow/c-1", choices="fan_out"),
        registration("both", "claude/c-1", "a/m-1", choices="fan_out"),
        registration("has", "a/m-1", choices="fan_out"),
        registration("plain", "plain/p-1", choices="fan_out"),
        registration("refuses", "claude/c-1"),
        *more,
        providers=providers,
    )


def claude(text: str, given: int = 3, made: int = 2) -> bytes:
    usage = {"input_tokens": given, "output_tokens": made}
    content = [{"type": "text", "text": text}]
    return msgspec.json.encode(
        {"id": f"msg_{text}", "type": "message", "role": "assistant", "model": "c-1", "content": content,
         "stop_reason": "end_turn", "stop_sequence": None, "usage": usage}
    )  # fmt: skip


def event(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **members}))


def opening(name: str) -> bytes:
    message = {"id": name, "type": "message", "role": "assistant", "model": "c-1", "content": [], "stop_reason": None,
               "stop_sequence": None, "usage": {"input_tokens": 3, "output_tokens": 1}}  # fmt: skip
    return event("message_start", message=message) + event(
        "content_block_start", index=0, content_block={"type": "text", "text": ""}
    )


def word(text: str) -> bytes:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


CLOSING = (
    event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5})
    + event("message_stop")
)


def chunks(ear: Ear) -> list[Any]:
    """What a stream said, its terminator as a word."""
    blocks = [block.removeprefix(b"data: ") for block in ear.text.split(b"\n\n") if block]
    return ["DONE" if block == b"[DONE]" else msgspec.json.decode(block) for block in blocks]


def said(ear: Ear) -> list[tuple[int, str]]:
    """The words of each choice in the order in which they came."""
    found = [chunk["choices"][0] for chunk in chunks(ear) if chunk != "DONE" and chunk.get("choices")]
    return [(one["index"], one["delta"]["content"]) for one in found if one["delta"].get("content")]


def test_each_answer_is_a_request_of_its_own():
    on = stage()
    _, ear = on.ask("fan", n=3, temperature=0.5)
    assert [sent.body["temperature"] for sent in on.sent] == [0.5] * 3
    assert all("n" not in sent.body for sent in on.sent)
    for sent, text in zip(reversed(on.sent), ("c", "b", "a"), strict=True):
        assert ear.heard == []
        sent.whole(claude(text))
    answer = msgspec.json.decode(ear.text)
    told = [(choice["index"], choice["message"]["content"], choice["finish_reason"]) for choice in answer["choices"]]
    assert told == [(0, "a", "stop"), (1, "b", "stop"), (2, "c", "stop")]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (9, 6)
    assert (answer["id"], ear.lines[b"x-parley-attempts"]) == ("msg_a", b"1")
    record = only(on)
    assert (record["outcome"], record["in_tok"], record["out_tok"], record["usage"]) == ("ok", 9, 6, "exact")
    on.quiet()


def test_without_the_setting_it_is_refused_by_name():
    on = stage()
    _, ear = on.ask("refuses", n=2)
    assert (ear.status, ear.error["param"], on.sent) == (400, "n", [])


@pytest.mark.parametrize("value", [0, -1, "2", 1.5, True])
def test_what_is_no_number_of_answers_is_judged_as_ever(value: Any):
    on = stage()
    _, ear = on.ask("fan", n=value)
    assert (ear.status, ear.error["param"], on.sent) == (400, "n", [])


@pytest.mark.parametrize("members", [{}, {"n": 1}, {"n": None}])
def test_one_answer_is_one_call(members: dict[str, Any]):
    on = stage()
    _, ear = on.ask("fan", **members)
    (sent,) = on.sent
    sent.whole(claude("a"))
    assert [choice["index"] for choice in msgspec.json.decode(ear.text)["choices"]] == [0]


def test_a_provider_that_gives_several_is_asked_once():
    on = stage()
    _, ear = on.ask("has", n=20)
    (sent,) = on.sent
    assert sent.body["n"] == 20
    sent.whole()
    assert ear.status == 200


def test_a_provider_of_the_callers_own_wire_that_lacks_it_keeps_its_extras():
    on = stage()
    _, ear = on.ask("plain", n=2, seed=7, headers=TRACE)
    assert [(sent.body.get("n", 1), sent.body["seed"], sent.body["model"]) for sent in on.sent] == [
        (1, 7, "p-1"), (1, 8, "p-1"),
    ]  # fmt: skip
    assert [sent.lines[b"idempotency-key"] for sent in on.sent] == [b"abc", b"abc-1"]
    for number, sent in enumerate(on.sent):
        message = {"role": "assistant", "content": f"w{number}", "of_vendor": number}
        usage = {"prompt_tokens": 4, "completion_tokens": 1, "cost": 0.5, "details": {"x": 1, "y": "z"}}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        sent.whole(msgspec.json.encode({"id": "c", "model": "p-1", "choices": choices, "usage": usage, "vendor": 1}))
    answer = msgspec.json.decode(ear.text)
    assert [choice["message"]["of_vendor"] for choice in answer["choices"]] == [0, 1]
    assert answer["vendor"] == 1
    assert answer["usage"]["cost"] == 1.0
    assert answer["usage"]["details"] == {"x": 2, "y": "z"}
    assert answer["usage"]["prompt_tokens"] == 8


def test_streams_stand_among_one_another_and_end_once():
    on = stage()
    _, ear = on.ask("fan", n=2, stream=True, stream_options={"include_usage": True})
    first, second = on.sent
    for sent in on.sent:
        assert sent.body["stream"] is True
        sent.begin()
        sent.say(opening("m"))
    assert ear.heard == []
    second.say(word("b1 "))
    first.say(word("a1 "))
    second.say(word("b2"), CLOSING)
    second.done()
    assert b"[DONE]" not in ear.text
    first.say(word("a2"), CLOSING)
    assert said(ear) == [(1, "b1 "), (0, "a1 "), (1, "b2"), (0, "a2")]
    told = chunks(ear)
    assert told.count("DONE") == 1
    assert told[-1] == "DONE"
    assert (told[-2]["usage"]["prompt_tokens"], told[-2]["usage"]["completion_tokens"]) == (6, 10)
    roles = [chunk["choices"][0]["index"] for chunk in told[:-2] if "role" in chunk["choices"][0]["delta"]]
    assert sorted(roles) == [0, 1]
    assert ear.heard[-1] == ("finish", False)
    first.done()
    on.quiet()


def test_a_stream_of_answers_that_come_whole():
    on = stage()
    _, ear = on.ask("fan", n=2, stream=True)
    for sent, text in zip(on.sent, "ab", strict=True):
        sent.whole(claude(text))
    assert said(ear) == [(0, "a"), (1, "b")]
    assert chunks(ear)[-1] == "DONE"
    on.quiet()


def test_answers_that_come_as_events_for_who_asked_for_one_object():
    on = stage()
    _, ear = on.ask("fan", n=2)
    for sent, text in zip(on.sent, "ab", strict=True):
        sent.stream(opening("m"), word(text), CLOSING)
    answer = msgspec.json.decode(ear.text)
    assert [choice["message"]["content"] for choice in answer["choices"]] == ["a", "b"]
    assert answer["usage"]["completion_tokens"] == 10
    on.quiet()


def test_no_more_calls_than_the_provider_has_room_for():
    on = stage()
    job, ear = on.ask("narrow", n=4)
    place = next(iter(on.gateway.fleet._places.values()))
    assert (len(on.sent), place.in_flight) == (2, 2)
    _, other = on.ask("narrow")
    assert (other.status, other.error["code"]) == (503, "overloaded")
    job.pause()
    for number, text in enumerate("abcd"):
        on.sent[number].whole(claude(text))
        assert len(on.sent) == min(number + 3, 4)
    assert on.sent[3].paused
    assert [choice["message"]["content"] for choice in msgspec.json.decode(ear.text)["choices"]] == list("abcd")
    assert place.in_flight == 0
    on.quiet()


@pytest.mark.parametrize("where", ["defaults", "overrides"])
def test_the_number_may_be_the_registrations(where: str):
    on = stage(**{where: {"n": 2}})
    _, ear = on.ask("fan", **({"n": 5} if where == "overrides" else {}))
    for sent, text in zip(on.sent, "ab", strict=True):
        sent.whole(claude(text))
    assert len(msgspec.json.decode(ear.text)["choices"]) == 2


def test_an_identical_seed_would_give_identical_answers():
    on = stage()
    for seed, others in ((5, [6, 7]), (2**31 - 1, [2**31 - 2, 2**31 - 3]), (2**40, [2**40 + 1, 2**40 + 2])):
        on.sent.clear()
        job, _ = on.ask("plain", n=3, seed=seed)
        assert [sent.body["seed"] for sent in on.sent] == [seed, *others]
        job.left()


def test_tools_of_each():
    on = stage()
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    _, ear = on.ask("fan", n=2, tools=[tool])
    for number, sent in enumerate(on.sent):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "look", "input": {"at": number}}
        body = msgspec.json.decode(claude("x")) | {"content": [call], "stop_reason": "tool_use"}
        sent.whole(msgspec.json.encode(body))
    choices = msgspec.json.decode(ear.text)["choices"]
    assert [choice["message"]["tool_calls"][0]["id"] for choice in choices] == ["toolu_0", "toolu_1"]
    assert [choice["finish_reason"] for choice in choices] == ["tool_calls"] * 2


def test_usage_that_only_some_tell_is_an_estimate():
    on = stage()
    _, _ear = on.ask("plain", n=2)
    on.sent[0].whole()
    answer = msgspec.json.decode(b"".join([b'{"id":"c","choices":[{"index":0,"message":{"content":"x"},',
                                           b'"finish_reason":"stop"}]}']))  # fmt: skip
    on.sent[1].whole(msgspec.json.encode(answer))
    assert (only(on)["usage"], only(on)["in_tok"]) == ("estimated", 3)


def test_a_change_of_the_configuration_switches_it_on_and_off():
    on = Stage(registration("later", "claude/c-1"))
    assert not on.gateway.fans
    settings = msgspec.structs.replace(
        on.gateway.settings,
        registrations={("*", "later"): registration("later", "claude/c-1", choices="fan_out")},
    )
    on.gateway.adopt(settings, on.gateway.upstreams)
    job, _ = on.ask("later", n=2)
    assert len(on.sent) == 2
    job.left()


def test_nothing_waits_for_the_garbage_collector():
    answered(stage())
    gc.collect()
    gc.disable()
    try:
        for stream in (False, True):
            answered(stage(), stream=stream)
        assert [found for found in gc.get_objects() if isinstance(found, Job)] == []
    finally:
        gc.enable()


def answered(on: Stage, *, stream: bool = False) -> None:
    _, ear = on.ask("plain", n=3, stream=stream)
    sent: Sent
    for sent in on.sent:
        if stream:
            sent.stream(WORD, STOP, DONE)
        else:
            sent.whole()
    assert ear.status == 200
    on.sent.clear()
    job, _ = on.ask("plain", n=3)
    job.left()
    on.sent.clear()


def test_a_provider_known_by_its_row():
    made: Provider = provider("row", cannot=("n",))
    on = Stage(registration("row", "row/m", choices="fan_out"), providers=(made,))
    job, _ = on.ask("row", n=2)
    assert len(on.sent) == 2
    job.left()
