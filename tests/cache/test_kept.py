"""Which answers are kept, and which requests have none."""

from typing import Any

import msgspec
import pytest
from tests.cache.parts import TTL, Cached
from tests.gateway.parts import ANSWER, BUSY, CHAT, DONE, OPENING, STOP, WORD, provider, registration

from parley.cache import Plan, ResponseCache
from parley.failure import Failure

RESPONSES, EMBEDDINGS = b"/v1/responses", b"/v1/embeddings"

# What may be kept


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 529])
def test_no_error_is_kept(status: int) -> None:
    stage = Cached()
    _, ear = stage.ask()
    stage.sent[0].whole(b'{"error":{"message":"no"}}', status)
    assert ear.status >= 400
    assert ear.lines[b"x-parley-cache"] == b"miss"
    assert len(stage.memory) == 0
    assert not stage.hit()


@pytest.mark.parametrize(
    "pieces", [(OPENING, WORD), (OPENING, WORD, STOP[:30]), (OPENING, WORD, b'data: {"error":{"message":"x"}}\n\n')]
)
def test_no_broken_stream_is_kept(pieces: tuple[bytes, ...]) -> None:
    stage = Cached()
    _, ear = stage.ask(stream=True)
    stage.sent[0].stream(*pieces)
    assert ear.heard[-1] == ("finish", True)
    assert len(stage.memory) == 0


def test_no_stream_that_a_caller_left_is_kept() -> None:
    stage = Cached()
    job, _ = stage.ask(stream=True)
    stage.sent[0].begin()
    stage.sent[0].say(OPENING, WORD)
    job.left()
    assert len(stage.memory) == 0
    job, _ = stage.ask(stream=True)
    stage.sent[1].begin()
    stage.sent[1].say(OPENING, WORD)
    job.cut(Failure("overloaded", "the gateway is shutting down"))
    assert len(stage.memory) == 0


@pytest.mark.parametrize("reason", [b"length", b"content_filter"])
def test_what_was_cut_or_filtered_is_not_kept(reason: bytes) -> None:
    stage = Cached()
    stage.ask()
    stage.sent[0].whole(ANSWER.replace(b'"stop"', b'"%b"' % reason))
    stage.ask(stream=True)
    stage.sent[1].stream(OPENING, WORD, STOP.replace(b'"stop"', b'"%b"' % reason), DONE)
    assert len(stage.memory) == 0


def test_one_choice_that_was_cut_is_enough() -> None:
    stage = Cached()
    answer = msgspec.json.decode(ANSWER)
    answer["choices"].append({**answer["choices"][0], "index": 1, "finish_reason": "length"})
    stage.ask(n=2)
    stage.sent[0].whole(msgspec.json.encode(answer))
    assert len(stage.memory) == 0


def test_what_is_too_large_is_passed_on_and_not_kept() -> None:
    stage = Cached()
    plan = Plan(stage.memory, TTL, most=len(ANSWER) - 1)
    stage.gateway.cache = ResponseCache(stage.gateway, lambda found: plan, ())
    _, ear = stage.ask()
    stage.sent[0].whole()
    assert ear.text == ANSWER
    _, ear = stage.ask(stream=True)
    stage.sent[1].stream(OPENING, WORD, WORD, WORD, STOP, DONE)
    assert ear.text == OPENING + WORD * 3 + STOP + DONE
    assert len(stage.memory) == 0


def test_the_answer_of_a_second_target_names_that_one() -> None:
    stage = Cached()
    stage.ask("two")
    stage.sent[0].fail(BUSY)
    stage.sent[1].whole()
    _, ear = stage.ask("two")
    assert stage.told(ear)
    assert (ear.lines[b"x-parley-target"], ear.lines[b"x-parley-attempts"]) == (b"b/m-2", b"0")


def test_what_a_target_could_not_take_is_told_again() -> None:
    stage = Cached()
    stage.ask("drop", unheard_of=1)
    stage.sent[0].whole()
    _, ear = stage.ask("drop", unheard_of=1)
    assert stage.told(ear)
    assert ear.lines[b"x-parley-dropped"] == b"unheard_of"


# What must not be


def test_no_store_neither_gets_nor_leaves_anything() -> None:
    stage = Cached()
    assert not stage.hit()
    _, ear = stage.ask("one", CHAT, [(b"cache-control", b"max-age=5, No-Store")])
    stage.sent[-1].whole()
    assert b"x-parley-cache" not in ear.lines
    assert len(stage.sent) == 2
    stage.ask("one", CHAT, [(b"cache-control", b"no-store")], seed=1)
    stage.sent[-1].whole()
    assert not stage.hit(seed=1)


def test_no_cache_gets_nothing_and_leaves_its_answer() -> None:
    stage = Cached()
    stage.ask()
    stage.sent[0].whole()
    other = ANSWER.replace(b"Hello.", b"Other.")
    _, ear = stage.ask("one", CHAT, [(b"cache-control", b"no-cache")])
    stage.sent[1].whole(other)
    assert not stage.told(ear)
    _, ear = stage.ask()
    assert stage.told(ear)
    assert ear.text == other


@pytest.mark.parametrize(
    ("value", "hit"), [(b"max-age=11", True), (b"max-age=10", False), (b"max-age=x", False), (b"only-if", True)]
)
def test_a_caller_may_ask_for_something_younger(value: bytes, hit: bool) -> None:
    stage = Cached()
    stage.hit()
    stage.clock.advance(10)
    assert stage.hit("one", CHAT, [(b"cache-control", value)]) is hit


def responses(**members: Any) -> bytes:
    return msgspec.json.encode({"model": "resp", "input": "hi", **members})


RESPONSE = (
    b'{"id":"resp_1","object":"response","status":"completed","model":"m","output":[{"type":"message","id":"x",'
    b'"role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hello.","annotations":[]}]}]}'
)
PROVIDERS = (
    provider("a"),
    provider("r", paths={"chat": "/chat/completions", "responses": "/responses", "embeddings": "/embeddings"}),
)


@pytest.mark.parametrize(
    ("members", "kept"),
    [
        ({"store": False}, True), ({"store": False, "previous_response_id": None, "background": False}, True),
        ({}, False), ({"store": None}, False), ({"store": True}, False),
        ({"store": False, "previous_response_id": "resp_0"}, False),
        ({"store": False, "conversation": "conv_1"}, False),
        ({"store": False, "input": [{"type": "item_reference", "id": "i"}]}, False),
    ],
)  # fmt: skip
def test_responses_that_are_remembered_elsewhere_are_not_kept(members: dict[str, Any], kept: bool) -> None:
    stage = Cached(registration("resp", "r/m"), providers=PROVIDERS)
    for _ in range(2):
        before = len(stage.sent)
        stage.ask_raw(responses(**members), RESPONSES)
        if len(stage.sent) > before:
            stage.sent[-1].whole(RESPONSE)
    asked = {True: 1, False: 2}[kept]
    # Without a memory what refers to something is asked of the provider all the same, or refused.
    assert len(stage.sent) in {asked, 0}
    assert len(stage.memory) == (1 if kept else 0)


def test_a_chat_that_is_to_be_stored_by_the_provider_is_asked_every_time() -> None:
    stage = Cached()
    stage.ask(store=True)
    stage.sent[0].whole()
    stage.ask(store=True)
    assert len(stage.sent) == 2
    assert len(stage.memory) == 0


def test_other_operations_are_kept_as_well() -> None:
    stage = Cached(registration("resp", "r/m"), providers=PROVIDERS)
    body, answer = (
        b'{"model":"resp","input":"hi"}',
        b'{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0]}],"model":"m"}',
    )
    stage.ask_raw(body, EMBEDDINGS)
    stage.sent[0].whole(answer)
    _, ear = stage.ask_raw(body, EMBEDDINGS)
    assert stage.told(ear)
    assert ear.text == answer
