"""The gate through a gateway: who passes, what is told, what is given back."""

from typing import Any

import pytest

from gateway.gated import Gated, Price, Prices, all_of, holder
from gateway.parts import ANSWER, COUNT, JSON, MESSAGES, OPENING, WORD, provider
from parley.limits import PICO, Quota, Quotas


def test_what_is_not_limited_passes_and_says_nothing() -> None:
    stage = Gated()
    _, ear = stage.ask()
    stage.sent[0].whole()
    assert ear.status == 200
    assert not [name for name in ear.lines if name.startswith(b"x-ratelimit")]
    stage.quiet()


def test_requests_are_counted_from_the_first_one_and_told() -> None:
    stage = Gated(quotas=all_of(requests=((2, 60.0),)))
    for left in (1, 0):
        _, ear = stage.ask()
        stage.sent[-1].whole()
        assert ear.lines[b"x-ratelimit-limit-requests"] == b"2"
        assert ear.lines[b"x-ratelimit-remaining-requests"] == str(left).encode()
        stage.clock.advance(10)
    _, ear = stage.ask()
    assert ear.status == 429
    assert ear.error["code"] == "rate_limited"
    assert ear.lines[b"retry-after"] == b"40"
    assert ear.lines[b"x-ratelimit-remaining-requests"] == b"0"
    assert ear.lines[b"x-ratelimit-reset-requests"] == b"40s"
    assert len(stage.sent) == 2
    assert stage.shed() == {"rate": 1}
    stage.clock.advance(39.9)
    assert stage.ask()[1].status == 429
    stage.clock.advance(0.1)
    stage.ask()
    assert len(stage.sent) == 3


def test_a_refusal_has_the_shape_of_the_dialect() -> None:
    stage = Gated(quotas=all_of(requests=((1, 60.0),)))
    stage.ask("claude", MESSAGES)
    _, ear = stage.ask("claude", MESSAGES)
    assert ear.status == 429
    assert ear.error["type"] == "rate_limit_error"
    assert ear.lines[b"x-ratelimit-limit-requests"] == b"1"


def test_the_limit_that_opens_last_says_when_to_come_again() -> None:
    stage = Gated(quotas=all_of(requests=((1, 60.0), (1, 3600.0))))
    stage.ask()
    _, ear = stage.ask()
    assert ear.lines[b"retry-after"] == b"3600"
    assert "per hour" in ear.error["message"]
    stage.clock.advance(100)
    _, ear = stage.ask()
    assert ear.lines[b"retry-after"] == b"3500"
    assert ear.lines[b"x-ratelimit-reset-requests"] == b"58m20s"


def test_nothing_is_taken_by_a_request_that_is_refused() -> None:
    stage = Gated(quotas=Quotas(all=Quota(requests=((5, 60.0),)), models={"one": Quota(requests=((1, 60.0),))}))
    stage.ask()
    for _ in range(3):
        assert stage.ask()[1].lines[b"x-ratelimit-remaining-requests"] == b"0"
    _, ear = stage.ask("two")
    stage.sent[-1].whole()
    assert ear.lines[b"x-ratelimit-remaining-requests"] == b"3"


def test_tokens_are_reserved_and_settled() -> None:
    stage = Gated(quotas=all_of(tokens=((2000, 60.0),)))
    _, first = stage.ask()
    _, second = stage.ask()
    assert second.status == 429
    assert "may need" in second.error["message"]
    stage.sent[0].whole()
    # The answer counted 5 tokens.
    _, third = stage.ask()
    stage.sent[1].whole()
    assert int(first.lines[b"x-ratelimit-remaining-tokens"]) == int(third.lines[b"x-ratelimit-remaining-tokens"]) + 5
    stage.quiet()


def test_what_a_request_asks_for_is_reserved() -> None:
    stage = Gated(quotas=all_of(tokens=((2000, 60.0),)))
    _, ear = stage.ask(max_tokens=100)
    stage.sent[0].whole()
    assert 2000 - 100 - 40 < int(ear.lines[b"x-ratelimit-remaining-tokens"]) < 2000 - 100
    _, ear = stage.ask(max_tokens=100, n=3)
    stage.sent[1].whole()
    assert 2000 - 300 - 50 < int(ear.lines[b"x-ratelimit-remaining-tokens"]) < 2000 - 300


def test_a_request_larger_than_the_window_is_let_into_an_empty_one() -> None:
    stage = Gated(quotas=all_of(tokens=((100, 60.0),)))
    stage.ask(max_tokens=5000)
    stage.sent[0].whole()
    assert stage.ask(max_tokens=5000)[1].status == 429
    stage.clock.advance(60)
    stage.ask(max_tokens=5000)
    assert len(stage.sent) == 2


def test_a_stream_that_runs_over_the_end_of_its_window_counts_what_it_was_underestimated() -> None:
    stage = Gated(quotas=all_of(tokens=((100, 60.0),)))
    stage.ask(max_tokens=1)
    stage.clock.advance(70)
    stage.sent[0].whole(ANSWER.replace(b'"completion_tokens":2', b'"completion_tokens":99'))
    assert stage.ask(max_tokens=1)[1].status == 429


def test_questions_about_tokens_cost_none() -> None:
    stage = Gated(quotas=all_of(tokens=((1, 60.0),), requests=((1, 60.0),)))
    _, ear = stage.ask("claude", COUNT)
    stage.sent[0].whole(b'{"input_tokens":7}')
    assert ear.lines[b"x-ratelimit-remaining-requests"] == b"0"
    assert ear.lines[b"x-ratelimit-remaining-tokens"] == b"1"


def test_places_are_given_back_however_a_request_ends() -> None:
    stage = Gated(quotas=all_of(parallel=1))
    for end in ("whole", "left", "fail"):
        job, _ = stage.ask()
        _, other = stage.ask()
        assert (other.status, other.error["code"]) == (429, "rate_limited")
        assert other.lines[b"retry-after"] == b"1"
        sent = stage.sent[-1]
        if end == "whole":
            sent.whole()
        elif end == "left":
            job.left()
        else:
            sent.fail()
    assert stage.shed() == {"concurrency": 3}
    # As in the answer.
    assert [record["kind"] for record in stage.records if record["status"] == 429] == ["rate_limited"] * 3
    stage.quiet()


def test_a_budget_reserves_settles_and_releases() -> None:
    stage = Gated(quotas=all_of(budget=1200 * PICO))
    job, _ = stage.ask()
    _, refused = stage.ask()
    assert (refused.status, refused.error["code"]) == (429, "budget_exceeded")
    assert "$1200" in refused.error["message"]
    # Without a period somebody has to raise it.
    assert refused.lines[b"retry-after"] == b"86400"
    assert stage.shed() == {"budget": 1}
    stage.sent[0].whole()
    # 5 of 1200 dollars are gone; one more request fits.
    job, _ = stage.ask()
    job.left()
    _, ear = stage.ask(max_tokens=9000)
    # A caller that left before anything came has cost what was sent, by our estimate.
    assert "left" in ear.error["message"]
    assert ear.error["code"] == "budget_exceeded"
    stage.quiet()


def test_a_stream_that_its_caller_leaves_costs_what_came() -> None:
    stage = Gated(quotas=all_of(budget=1100 * PICO))
    job, _ = stage.ask(stream=True)
    stage.sent[0].begin()
    stage.sent[0].say(OPENING, WORD, WORD)
    job.left()
    meter = next(iter(stage.gate._meters.all()))
    assert meter.held == 0
    assert 2 * PICO <= 1100 * PICO - meter.lease <= 40 * PICO


def test_a_period_begins_anew_by_the_calendar() -> None:
    stage = Gated(quotas=all_of(budget=1100 * PICO, period=86400.0))
    stage.ask()
    _, ear = stage.ask()
    assert int(ear.lines[b"retry-after"]) == 86400 - 1_700_000_000 % 86400
    stage.wall += 86400
    stage.ask()
    assert len(stage.sent) == 2
    # What began in another period is not given back to this one.
    stage.sent[0].whole()
    assert stage.ask()[1].status == 429


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_calendar_that_jumps_moves_no_window_and_brings_no_budget_back(jump: float) -> None:
    quotas = Quotas(all=Quota(requests=((2, 60.0),), budget=1100 * PICO, period=30 * 86400.0))
    stage = Gated(quotas=quotas)
    stage.ask(max_tokens=1000)
    stage.wall += jump
    assert stage.ask(max_tokens=1000)[1].error["code"] == "budget_exceeded"
    stage.ask(max_tokens=1)
    _, ear = stage.ask(max_tokens=1)
    assert ear.error["code"] == "rate_limited"
    assert ear.lines[b"retry-after"] == b"60"


def test_the_dearest_target_is_reserved() -> None:
    class Dear(Prices):
        def of(self, provider: Any, model: str) -> Any:
            price = Price()
            if model == "m-2":
                price.flat = None
                price.estimate = lambda read, made: 10 * (read + made) * PICO  # type: ignore[method-assign]
            return price

    stage = Gated(quotas=all_of(budget=10_000 * PICO))
    stage.gateway.tariffs = Dear()
    assert stage.ask("two")[1].error["code"] == "budget_exceeded"
    stage.ask("one")
    assert len(stage.sent) == 1


def test_a_price_that_is_not_known_counts_nothing_or_is_refused() -> None:
    stage = Gated(quotas=all_of(budget=PICO), unknown=("m-1",))
    stage.ask()
    assert len(stage.sent) == 1
    stage = Gated(quotas=Quotas(all=Quota(budget=PICO), unknown_price="refuse"), unknown=("m-1",))
    _, ear = stage.ask()
    assert ear.error["code"] == "budget_exceeded"
    assert "not known" in ear.error["message"]
    assert stage.shed() == {"budget": 1}


def test_each_key_has_its_own_and_tags_are_shared() -> None:
    quotas = Quotas(keys=Quota(requests=((2, 60.0),)), tags={"team=*": Quota(requests=((3, 60.0),))})
    blue = {"team": "blue"}
    holders = (holder("a", rpm=1), holder("b", tags=blue), holder("c", tags=blue), holder("d", tags={"team": "red"}))
    stage = Gated(quotas=quotas, holders=holders)
    said = {key: [stage.by(key)[1].heard != [] for _ in range(3)] for key in "abcd"}
    assert said == {
        "a": [False, True, True],
        "b": [False, False, True],
        "c": [False, True, True],
        "d": [False, False, True],
    }


def test_limits_of_a_model_hold_for_all_its_names() -> None:
    quotas = Quotas(models={"a/m-*": Quota(requests=((1, 60.0),))})
    stage = Gated(quotas=quotas)
    stage.ask("one")
    assert stage.ask("again")[1].status == 429
    assert stage.ask("a/m-1")[1].status == 429
    stage.ask("claude", MESSAGES)
    assert len(stage.sent) == 2


def test_a_change_of_the_configuration_keeps_what_was_counted() -> None:
    stage = Gated(quotas=all_of(requests=((2, 60.0),)))
    stage.ask()
    stage.ask()
    settings = stage.gateway.settings
    from msgspec.structs import replace

    stage.gateway.adopt(replace(settings, quotas=all_of(requests=((3, 60.0),))), stage.gateway.upstreams)
    stage.ask()
    assert len(stage.sent) == 3
    assert stage.ask()[1].status == 429


def test_pictures_in_a_request_are_not_counted_as_text() -> None:
    stage = Gated(quotas=all_of(tokens=((100_000, 60.0),)))
    picture = "data:image/png;base64," + "A" * 400_000
    part = {"type": "image_url", "image_url": {"url": picture}}
    _, ear = stage.ask(messages=[{"role": "user", "content": [part]}], max_tokens=10)
    stage.sent[0].whole(headers=JSON)
    assert int(ear.lines[b"x-ratelimit-remaining-tokens"]) > 98_000


def test_a_provider_that_is_gone_from_the_configuration_has_no_price() -> None:
    stage = Gated(providers=(provider("b"), provider("a")), quotas=all_of(budget=PICO))
    assert stage.ask("one")[1].error["code"] == "budget_exceeded"
