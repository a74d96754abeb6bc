"""The line of a request's end: put together by hand where all went well, and still the same JSON."""

import msgspec
import pytest

from gateway.parts import ANSWER, CHAT, Ear, Stage, inlet_at, only, registration
from parley.failure import Failure
from parley.gateway.record import Record
from parley.ports import Request

ODD = 'a "b" \\ ü {0} %s'


@pytest.mark.parametrize("name", ["req-1", 'a"b', "a\\b", "{}"])
def test_whatever_the_names_are(name: str) -> None:
    stage = Stage(registration(ODD, "a/m-1"))
    body = msgspec.json.encode({"model": ODD, "messages": []})
    for _ in range(2):
        stage.gateway.begin(inlet_at(CHAT), Request([], body, name), Ear())
        stage.sent[-1].whole()
    first, second = stage.records
    assert first == second
    assert (first["request_id"], first["model"], first["provider"]) == (name, ODD, "a")


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.0625, 1.0, 61.0005])
def test_times_are_milliseconds_with_three_places(seconds: float) -> None:
    stage = Stage(registration("long", "b/m-1"))
    stage.ask("long")
    stage.clock.advance(seconds)
    stage.sent[0].begin(headers=[(b"content-type", b"application/json")])
    stage.sent[0].say(ANSWER)
    stage.clock.advance(0.5)
    stage.sent[0].done()
    found = only(stage)
    assert found["ttfb_ms"] == pytest.approx(seconds * 1000, abs=0.002)
    assert found["ms"] == pytest.approx(seconds * 1000 + 500, abs=0.002)


def test_both_ways_of_writing_it_have_the_same_members_in_the_same_order() -> None:
    stage = Stage()
    stage.ask("one")
    stage.sent[0].whole()
    stage.ask("none")
    done, refused = stage.records
    assert list(done) == list(refused) == list(Record.__struct_fields__)


@pytest.mark.parametrize(
    ("failure", "level"),
    [
        (Failure("upstream_tls", "untrusted", detail="tls_error"), "error"),
        (Failure("upstream_auth", "refused"), "error"),
        (Failure("upstream_unreachable", "away", detail="connect_refused"), None),
    ],
)
def test_what_only_the_operator_can_mend_says_so(failure: Failure, level: str | None) -> None:
    stage = Stage()
    stage.ask("one")
    stage.sent[0].fail(failure)
    found = only(stage)
    assert found["kind"] == (failure.detail or failure.kind)
    assert found.get("level") == level
