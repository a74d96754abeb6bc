"""Responses made in the background pass the limits when they are asked for, once."""

from typing import Any

from gateway.gated import Gated, all_of
from gateway.parts import Ear
from gateway.test_responses import CHAT_ANSWER, RESPONSES, Notes
from parley.limits import Quotas


def stage(quotas: Quotas) -> tuple[Gated, Notes]:
    made, notes = Gated(quotas=quotas), Notes()
    made.gateway.memory = notes
    return made, notes


def background(on: Gated, **more: Any) -> Ear:
    return on.ask("one", RESPONSES, background=True, input="hi", messages=None, **more)[1]


def test_over_the_limit_it_is_refused_and_nothing_is_stored() -> None:
    on, notes = stage(all_of(requests=((1, 60),)))
    assert background(on).status == 200
    refused = background(on)
    assert (refused.status, refused.error["code"]) == (429, "rate_limited")
    assert refused.lines[b"retry-after"] == b"60"
    assert len(notes.background) == 1
    assert len(on.sent) == 1


def test_it_is_counted_once_and_settled_when_it_is_made() -> None:
    on, notes = stage(all_of(parallel=1))
    assert background(on).lines[b"x-parley-attempts"] == b"0"
    assert background(on).status == 429
    on.sent[0].whole(CHAT_ANSWER)
    assert background(on).status == 200
    assert len(notes.background) == 2
