"""A target that cannot take a request is passed over; where none can, the caller hears which field it is."""

from typing import Any

import msgspec
import pytest

from gateway.parts import MESSAGES, Stage, only, provider, registration

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
SOUND = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


def stage() -> Stage:
    return Stage(
        registration("plain", "toolless/m", "a/m-1"),
        registration("none", "toolless/m", "toolless/n"),
        registration("hears", "claude/c-1", "a/m-1"),
        registration("last", "a/m-1", "toolless/m"),
        providers=(
            provider("a"),
            provider("claude", "anthropic"),
            provider("toolless", "anthropic", cannot=("tools",)),
        ),
    )


@pytest.mark.parametrize(
    ("model", "members"),
    [
        ("plain", {"tools": [TOOL]}),
        ("hears", {"messages": [{"role": "user", "content": [SOUND]}]}),
        ("hears", {"n": 2}),
    ],
)
def test_the_next_target_answers(model: str, members: dict[str, Any]):
    on = stage()
    _, ear = on.ask(model, **members)
    (sent,) = on.sent
    assert sent.call.to.origin == "http://a.example"
    sent.whole()
    assert (ear.status, ear.lines[b"x-parley-target"], ear.lines[b"x-parley-attempts"]) == (200, b"a/m-1", b"1")
    assert (only(on)["attempts"], only(on)["provider"]) == (1, "a")
    on.quiet()


def test_without_the_need_it_is_first():
    on = stage()
    job, _ = on.ask("plain")
    assert on.sent[0].call.to.origin == "http://toolless.example"
    job.left()


def test_where_none_can_the_field_is_named():
    on = stage()
    _, ear = on.ask("none", tools=[TOOL])
    assert (ear.status, ear.error["param"], on.sent) == (400, "tools", [])
    assert (only(on)["kind"], only(on)["attempts"]) == ("invalid_request", 0)
    on.quiet()


def test_what_the_caller_does_wrong_is_told_at_once():
    on = stage()
    body = {"model": "plain", "max_tokens": 5, "messages": [{"role": "user", "content": [{"type": "image"}]}]}
    _, ear = on.ask_raw(msgspec.json.encode(body | {"model": "last"}), MESSAGES)
    assert (ear.status, on.sent) == (400, [])
    on.quiet()


def test_after_a_failure_elsewhere_that_failure_is_told():
    on = stage()
    _, ear = on.ask("last", tools=[TOOL])
    on.sent[0].fail()
    on.clock.advance(60)
    while len(on.sent) > 1 and not ear.heard:
        on.sent[-1].fail()
        on.clock.advance(60)
    assert ear.status == 503
    on.quiet()
