"""The same request gets the same answer again, and nothing else does."""

from typing import Any

import msgspec
import pytest
from tests.cache.parts import TTL, Cached
from tests.gateway.parts import ANSWER, CHAT, DONE, MESSAGES, OPENING, STOP, WORD, only, registration

from parley.gateway.ended import Ended
from parley.keys import Holder, digest_of
from parley.ports import Headers

TOOLS = ANSWER.replace(
    b'"content":"Hello."',
    b'"content":null,"tool_calls":[{"id":"t","type":"function","function":{"name":"f","arguments":"{}"}}]',
).replace(b'"stop"', b'"tool_calls"')


def test_the_second_request_is_answered_by_the_first_ones_answer() -> None:
    stage = Cached()
    _, first = stage.ask()
    stage.sent[0].whole()
    stage.clock.advance(7.5)
    job, second = stage.ask()
    assert len(stage.sent) == 1
    assert second.heard == first.heard == [("answer", 200), ("body", ANSWER)]
    assert first.lines[b"x-parley-cache"] == b"miss"
    assert b"age" not in first.lines
    names = (b"content-type", b"x-parley-target", b"x-parley-attempts", b"x-parley-cache", b"age")
    assert [second.lines[name] for name in names] == [b"application/json", b"a/m-1", b"0", b"hit", b"7"]
    assert job.over
    stage.quiet()


def test_a_stream_is_kept_as_it_came_and_comes_again_as_a_stream() -> None:
    stage = Cached()
    _, first = stage.ask(stream=True)
    stage.sent[0].begin()
    stage.sent[0].say(OPENING, WORD)
    stage.clock.advance(16)
    stage.sent[0].say(STOP, DONE)
    assert b": heartbeat" in first.text
    _, second = stage.ask(stream=True)
    assert len(stage.sent) == 1
    assert second.text == OPENING + WORD + STOP + DONE
    assert second.heard[0] == ("open", 200)
    assert second.heard[-1] == ("finish", False)
    assert second.lines[b"content-type"] == b"text/event-stream"
    assert second.lines[b"cache-control"] == b"no-cache"
    stage.clock.advance(1)
    stage.quiet()


def test_a_stream_and_a_whole_answer_are_different_requests() -> None:
    stage = Cached()
    stage.ask(stream=True)
    stage.sent[0].stream(OPENING, WORD, STOP, DONE)
    assert not stage.hit()
    assert not stage.hit(stream=False)
    assert stage.hit(stream=False)


def test_what_is_counted_and_written_of_a_hit() -> None:
    heard: list[Ended] = []

    class Observer:
        def ended(self, job: Any, ended: Ended) -> None:
            heard.append(ended)

    stage = Cached()
    stage.hit()
    stage.gateway.observers = (Observer(),)
    stage.records.clear()
    assert stage.hit()
    ended = heard[0]
    assert (ended.cached, ended.cost, ended.usage.input, ended.usage.output) == (True, 0, 0, 0)
    assert (ended.provider, ended.target, ended.attempts, ended.status) == ("a", "a/m-1", 0, 200)
    record = only(stage)
    assert (record["outcome"], record["provider"], record["attempts"]) == ("ok", "a", 0)
    assert (record["in_tok"], record["out_tok"]) == (0, 0)
    assert [stage.counts["parley_cache_total", result] for result in ("miss", "hit")] == [1, 1]


def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    stage = Cached()
    assert not stage.hit()
    stage.clock.advance(TTL - 1)
    assert stage.hit()
    stage.clock.advance(1)
    assert not stage.hit()


def test_a_shorter_time_holds_for_what_is_kept_already() -> None:
    stage = Cached()
    assert not stage.hit()
    stage.clock.advance(10)
    stage.adopt(ttl=9)
    stage.clock.advance(1)
    assert not stage.hit()


def test_tools_that_are_called_are_an_answer_like_any() -> None:
    stage = Cached()
    stage.ask()
    stage.sent[0].whole(TOOLS)
    _, ear = stage.ask()
    assert stage.told(ear)
    assert ear.text == TOOLS


# Who asks, and what


def test_nobody_gets_the_answer_of_another_tenant() -> None:
    stage = Cached()
    holders = {digest_of(name.encode()): Holder(id=f"id-{name}", name="same") for name in ("k1", "k2")}
    stage.gateway.keyring.fill(holders, exist=True)
    first: Headers = [(b"authorization", b"Bearer k1")]
    second: Headers = [(b"authorization", b"Bearer k2")]
    assert not stage.hit("one", CHAT, first)
    assert not stage.hit("one", CHAT, second)
    assert stage.hit("one", CHAT, first)
    # Another way to show the same key.
    assert stage.hit("one", CHAT, [(b"x-api-key", b"k2")])
    _, refused = stage.ask("one", CHAT, [(b"authorization", b"Bearer k3")])
    assert refused.status == 401


def test_the_order_of_messages_and_every_byte_of_them_counts() -> None:
    stage = Cached()
    one, two = {"role": "user", "content": "one"}, {"role": "user", "content": "two"}
    bodies = [
        {"model": "one", "messages": messages}
        for messages in ([one, two], [two, one], [one], [one, two, one], [one, {"content": "two", "role": "user"}])
    ]
    for body in bodies:
        assert not stage.raw_hit(msgspec.json.encode(body))
    for body in bodies:
        assert stage.raw_hit(msgspec.json.encode(body))
    assert not stage.raw_hit(b'{"model":"one","messages":[{"role":"user", "content":"one"}]}')


def test_the_order_of_top_level_members_and_the_space_between_them_say_nothing() -> None:
    stage = Cached()
    assert not stage.raw_hit(b'{"model":"one","messages":[{"role":"user","content":"hi"}],"seed":1}')
    assert stage.raw_hit(b'{ "seed" : 1 ,\n"messages":[{"role":"user","content":"hi"}], "model":"one"}')
    assert len(stage.sent) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"temperature": 0}, {"temperature": 0.0}), ({"temperature": 0}, {}), ({"seed": None}, {}),
        ({"stop": []}, {"stop": None}),
        ({"n": 1}, {"n": 2}), ({"user": "a"}, {"user": "b"}), ({"unknown": 1}, {"unknown": 2}), ({"a": 1}, {"b": 1}),
        ({"a": "b", "c": ""}, {"a": "", "c": "b"}), ({"ab": 1}, {"a": 1}), ({"tools": []}, {}),
    ],
)  # fmt: skip
def test_requests_that_differ_in_anything_are_different(one: dict[str, Any], other: dict[str, Any]) -> None:
    stage = Cached()
    assert not stage.hit(**one)
    assert not stage.hit(**other)
    assert stage.hit(**one)
    assert stage.hit(**other)


def test_names_and_values_do_not_run_into_one_another() -> None:
    stage = Cached()
    body = b'{"model":"one","messages":[{"role":"user","content":"hi"}],%b}'
    assert not stage.raw_hit(body % b'"a1":"b","c":"d"')
    assert not stage.raw_hit(body % b'"a":"b","1c":"d"')
    assert not stage.raw_hit(body % b'"a1":"b","c":"d","e":0')


def test_headers_that_reach_the_provider_count_and_those_of_transport_do_not() -> None:
    stage = Cached()
    plain: Headers = [(b"user-agent", b"a/1"), (b"x-stainless-retry-count", b"0"), (b"traceparent", b"00-1")]
    again: Headers = [(b"user-agent", b"b/2"), (b"x-stainless-retry-count", b"1"), (b"idempotency-key", b"7")]
    assert not stage.hit("one", CHAT, plain)
    assert stage.hit("one", CHAT, again)
    assert not stage.hit("one", CHAT, [(b"openai-organization", b"org-1")])
    assert not stage.hit("one", CHAT, [(b"openai-organization", b"org-2")])
    assert stage.hit("one", CHAT, [(b"openai-organization", b"org-1")])


def test_models_and_dialects_are_apart() -> None:
    stage = Cached(registration("other", "a/m-1"))
    assert not stage.hit("one")
    assert not stage.hit("other")
    assert not stage.hit("a/m-1")
    stage.ask("one", MESSAGES)
    assert len(stage.sent) == 4
