"""Headers that depend on the request: the version of an API, chosen where the caller did not or could not know."""

import msgspec
import pytest

from gateway.parts import ANSWER, CHAT, COUNT, JSON, MESSAGES, Stage, registration
from parley.ports import Headers

VERSION = b"anthropic-version"
NEW: Headers = [(VERSION, b"2026-10-21"), (b"anthropic-beta", b"b-1")]


@pytest.mark.parametrize("path", [MESSAGES, COUNT])
def test_a_caller_without_a_version_gets_one(path: bytes) -> None:
    stage = Stage()
    stage.ask("claude/c-1", path)
    assert stage.sent[0].lines[VERSION] == b"2023-06-01"


def test_a_callers_version_stays() -> None:
    stage = Stage()
    stage.ask("claude/c-1", MESSAGES, NEW, temperature=1)
    lines = stage.sent[0].lines
    assert (lines[VERSION], lines[b"anthropic-beta"]) == (b"2026-10-21", b"b-1")


@pytest.mark.parametrize("settings", [{"defaults": {"temperature": 0.2}}, {"overrides": {"temperature": 0.2}}])
def test_sampling_set_by_the_operator_brings_a_version_that_takes_it(settings: dict[str, dict[str, float]]) -> None:
    stage = Stage(registration("warm", "claude/c-1", **settings))
    stage.ask("warm", MESSAGES, NEW, x_new={"a": 1.50})
    (sent,) = stage.sent
    assert (sent.body["temperature"], sent.body["x_new"]) == (0.2, {"a": 1.5})
    assert (sent.lines[VERSION], sent.lines[b"anthropic-beta"]) == (b"2023-06-01", b"b-1")


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_made_of_a_whole_answer_reports_usage_only_if_asked(asked: bool) -> None:
    stage = Stage()
    options = {"stream_options": {"include_usage": True}} if asked else {}
    _, ear = stage.ask("one", CHAT, stream=True, **options)
    stage.sent[0].whole(ANSWER, headers=JSON)
    events = [part.removeprefix(b"data: ") for part in ear.text.split(b"\n\n") if part]
    assert events.pop() == b"[DONE]"
    chunks = [msgspec.json.decode(event) for event in events]
    assert [chunk["usage"] for chunk in chunks if chunk.get("usage")] == (
        [{"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}] if asked else []
    )
    assert all(("usage" in chunk) is asked for chunk in chunks)
