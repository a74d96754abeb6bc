"""Requests: verbatim or rebuilt, and what configuration changes on the way."""

from typing import Any

import pytest
from msgspec import json

from parley.settings import Quirks
from relay_parts import ANTHROPIC, HI, OPENAI, body, message, out, refused, sent, way


@pytest.mark.parametrize(
    ("inlet", "outlet", "settings", "verbatim", "plain"),
    [
        (OPENAI, OPENAI, {}, True, True),
        (ANTHROPIC, ANTHROPIC, {}, True, True),
        (OPENAI, ANTHROPIC, {}, False, True),
        (ANTHROPIC, OPENAI, {}, False, True),
        (OPENAI, OPENAI, {"defaults": {"seed": 1}}, True, False),
        (OPENAI, OPENAI, {"overrides": {"metadata": {"a": "b"}}}, True, False),
        (ANTHROPIC, ANTHROPIC, {"defaults": {"max_tokens": 5, "stop": "x"}}, True, False),
        # The version of the API, a header, must fit these.
        (ANTHROPIC, ANTHROPIC, {"defaults": {"temperature": 0}}, False, False),
        (ANTHROPIC, ANTHROPIC, {"overrides": {"top_p": 1}}, False, False),
        # No top-level member of that wire says these: the request has to be understood first.
        (ANTHROPIC, ANTHROPIC, {"defaults": {"seed": 1}}, False, True),
        (ANTHROPIC, ANTHROPIC, {"overrides": {"parallel_tool_calls": False}}, False, True),
        (OPENAI, OPENAI, {"quirks": Quirks(rename={"a": "b"})}, True, False),
        (OPENAI, OPENAI, {"quirks": Quirks(drop=("a",))}, True, False),
        (OPENAI, OPENAI, {"quirks": Quirks(default={"a": 1})}, True, False),
        (OPENAI, OPENAI, {"quirks": Quirks(options={"stream_usage": False})}, True, True),
        (OPENAI, OPENAI, {"unknown_fields": "drop"}, True, False),
        (OPENAI, OPENAI, {"unknown_fields": "strict"}, True, False),
    ],
)
def test_which_way_a_request_goes(
    inlet: str, outlet: str, settings: dict[str, Any], verbatim: bool, plain: bool
) -> None:
    made = way(inlet, outlet, **settings)
    assert (made.verbatim, made.plain) == (verbatim, plain)


ODD = (
    b'{"x":1.50e1, "model" :"asked","messages":[{"role":"user","content":"\\u0041\xc3\xa9","model":"asked"}]\n,'
    b'"seed":12345678901234567890,"y":{"z":null}}'
)
COMPACT = b'{"x":1.50e1,"model":"asked","messages":[{"role":"user","content":"%b","model":"asked"}],"y":{"z":null}}'


def test_a_request_for_the_very_model_is_passed_as_it_came() -> None:
    text = ODD.replace(b'"asked","messages"', b'"real-1","messages"')
    assert out(way(), text).body == (text,)


@pytest.mark.parametrize("size", [1, 100_000])
def test_only_the_model_changes(size: int) -> None:
    text = COMPACT % (b"a" * size)
    assert b"".join(out(way(), text).body) == text.replace(b'"asked","messages"', b'"real-1","messages"')


def test_spellings_survive_white_space_between_members_may_not() -> None:
    sent = b"".join(out(way(), ODD).body)
    for kept in (b"1.50e1", b'"\\u0041\xc3\xa9"', b"12345678901234567890", b'{"z":null}', b'"model":"real-1"'):
        assert kept in sent
    assert list(json.decode(sent)) == list(json.decode(ODD))


def test_a_rebuilt_request_says_the_same_on_the_other_wire() -> None:
    made, dropped = sent(way(OPENAI, ANTHROPIC), body(max_tokens=5, stop="x", stream=True, seed=3, x_odd=1))
    assert made == {
        "model": "real-1",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "hi"}],
        "stop_sequences": ["x"],
        "stream": True,
    }
    assert set(dropped) == {"seed", "x_odd"}


def test_the_other_wire_needs_its_version_and_remembers_usage() -> None:
    text = json.encode(body(stream=True, stream_options={"include_usage": True}))
    along = way(OPENAI, ANTHROPIC, quirks=Quirks(options={"version": "2023-06-01"}))
    found = out(along, text)
    assert found.headers == (("anthropic-version", "2023-06-01"),)
    assert found.include_usage
    assert not out(along, json.encode(body(stream=True))).include_usage


# --- defaults and overrides --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "temperature"),
    [({}, 0.2), ({"temperature": 0}, 0), ({"temperature": 1.5}, 1.5), ({"temperature": None}, None)],
)
def test_a_default_speaks_only_where_the_request_is_silent(members: dict[str, Any], temperature: float | None) -> None:
    made, dropped = sent(way(defaults={"temperature": 0.2}), body(**members))
    assert made == body(model="real-1", temperature=temperature)
    assert dropped == ()


@pytest.mark.parametrize("members", [{}, {"temperature": 0}, {"temperature": None}])
def test_an_override_always_wins(members: dict[str, Any]) -> None:
    made, _ = sent(way(overrides={"temperature": 0.2, "logprobs": None}), body(**members))
    assert made == body(model="real-1", temperature=0.2, logprobs=None)


def test_an_override_wins_over_a_default() -> None:
    made, _ = sent(way(defaults={"seed": 1}, overrides={"seed": 2}), body())
    assert made["seed"] == 2


@pytest.mark.parametrize(
    ("settings", "members", "limits"),
    [
        ({"defaults": {"max_tokens": 5}}, {}, {"max_tokens": 5}),
        ({"defaults": {"max_tokens": 5}}, {"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        ({"defaults": {"max_tokens": 5}}, {"max_completion_tokens": None}, {"max_completion_tokens": None}),
        ({"defaults": {"max_completion_tokens": 5}}, {"max_tokens": 9}, {"max_tokens": 9}),
        ({"overrides": {"max_tokens": 5}}, {"max_completion_tokens": 9}, {"max_tokens": 5}),
        ({"overrides": {"max_completion_tokens": 5}}, {"max_tokens": 9}, {"max_completion_tokens": 5}),
        ({"overrides": {"max_tokens": 5}}, {"max_tokens": 9}, {"max_tokens": 5}),
        (
            {"overrides": {"max_tokens": 5}, "quirks": Quirks(rename={"max_tokens": "max_completion_tokens"})},
            {"max_tokens": 9},
            {"max_completion_tokens": 5},
        ),
    ],
)
def test_two_names_of_one_limit(settings: dict[str, Any], members: dict[str, Any], limits: dict[str, Any]) -> None:
    made, _ = sent(way(**settings), body(**members))
    assert made == body(model="real-1", **limits)


def test_an_override_touches_nothing_else() -> None:
    made, dropped = sent(way(overrides={"seed": 1}), body(**{"": 7}))
    assert (made, dropped) == (body(model="real-1", seed=1, **{"": 7}), ())


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, {"max_tokens": 9, "stop_sequences": ["x"], "temperature": 0.2, "top_k": 4}),
        ({"stop_sequences": []}, {"max_tokens": 9, "stop_sequences": [], "temperature": 0.2, "top_k": 4}),
        ({"top_k": None}, {"max_tokens": 9, "stop_sequences": ["x"], "temperature": 0.2}),
    ],
)
def test_defaults_bear_the_names_of_the_callers_wire(members: dict[str, Any], expected: dict[str, Any]) -> None:
    defaults = {"max_completion_tokens": 5, "stop": "x", "temperature": 0.2, "top_k": 4}
    made, _ = sent(way(ANTHROPIC, ANTHROPIC, defaults=defaults), message(**members))
    assert made == {"model": "real-1", "messages": [HI], **expected}


def test_a_list_of_stops_stays_a_list() -> None:
    made, _ = sent(way(ANTHROPIC, ANTHROPIC, overrides={"stop": ["x", "y"]}), message(stop_sequences=["z"]))
    assert made["stop_sequences"] == ["x", "y"]


TOOL = {"name": "f", "input_schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("settings", "choice", "parallel"),
    [
        ({"defaults": {"parallel_tool_calls": True}}, {"type": "auto"}, True),
        ({"defaults": {"parallel_tool_calls": False}}, {"type": "auto"}, False),
        ({"defaults": {"parallel_tool_calls": True}}, {"type": "auto", "disable_parallel_tool_use": True}, False),
        ({"overrides": {"parallel_tool_calls": True}}, {"type": "auto", "disable_parallel_tool_use": True}, True),
    ],
)
def test_parameters_without_a_name_on_the_callers_wire(
    settings: dict[str, Any], choice: dict[str, Any], parallel: bool
) -> None:
    made, _ = sent(way(ANTHROPIC, OPENAI, **settings), message(tools=[TOOL], tool_choice=choice))
    assert made["parallel_tool_calls"] is parallel


def test_a_default_that_the_target_cannot_take_is_told() -> None:
    made, dropped = sent(way(ANTHROPIC, ANTHROPIC, defaults={"seed": 1}), message())
    assert "seed" not in made
    assert dropped == ("seed",)


def test_defaults_are_translated_like_the_rest() -> None:
    made, _ = sent(way(OPENAI, ANTHROPIC, defaults={"stop": "x"}, overrides={"max_completion_tokens": 7}), body())
    assert (made["stop_sequences"], made["max_tokens"]) == (["x"], 7)


# --- quirks ------------------------------------------------------------------------------------

QUIRKS = Quirks(rename={"max_tokens": "limit"}, drop=("seed", "logprobs"), default={"safe": True})


def test_a_vendors_quirks_are_applied_last() -> None:
    made, dropped = sent(way(quirks=QUIRKS, overrides={"max_tokens": 3}), body(seed=1))
    assert made == body(model="real-1", limit=3, safe=True)
    assert dropped == ("seed",)


def test_what_the_operator_set_and_the_vendor_cannot_take_is_not_the_callers_loss() -> None:
    made, dropped = sent(way(quirks=QUIRKS, defaults={"seed": 1}), body())
    assert "seed" not in made
    assert dropped == ()


def test_a_member_under_its_new_name_wins() -> None:
    made, _ = sent(way(quirks=QUIRKS), body(limit=1, safe=None, max_tokens=2))
    assert made == body(model="real-1", limit=1, safe=None)


def test_quirks_of_a_rebuilt_request() -> None:
    made, dropped = sent(way(ANTHROPIC, OPENAI, quirks=Quirks(drop=("temperature",))), message(temperature=1, top_k=3))
    assert made == {"model": "real-1", "messages": [HI], "max_tokens": 9}
    assert set(dropped) == {"top_k", "temperature"}


# --- unknown fields ----------------------------------------------------------------------------


@pytest.mark.parametrize(("inlet", "request_"), [(OPENAI, body), (ANTHROPIC, message)])
def test_unknown_fields_of_the_same_wire(inlet: str, request_: Any) -> None:
    members = request_(x_odd={"a": None}, zz=0)
    forwarded, dropped = sent(way(inlet, inlet, unknown_fields="forward"), members)
    assert (forwarded, dropped) == ({**members, "model": "real-1"}, ())
    left, dropped = sent(way(inlet, inlet, unknown_fields="drop"), members)
    assert (left, dropped) == ({**request_(), "model": "real-1"}, ("x_odd", "zz"))
    failure = refused(way(inlet, inlet, unknown_fields="strict"), members)
    assert (failure.kind, failure.param) == ("invalid_request", "x_odd")


@pytest.mark.parametrize("unknown", ["forward", "drop"])
def test_unknown_fields_cannot_go_to_another_wire(unknown: str) -> None:
    made, dropped = sent(way(OPENAI, ANTHROPIC, unknown_fields=unknown), body(x_odd=1))
    assert "x_odd" not in made
    assert dropped == ("x_odd",)


@pytest.mark.parametrize(
    ("along", "members", "field"),
    [
        (way(OPENAI, ANTHROPIC, unknown_fields="strict"), body(x_odd=1), "x_odd"),
        (way(OPENAI, ANTHROPIC, unknown_fields="strict"), body(seed=1), "seed"),
        (way(unknown_fields="strict", quirks=QUIRKS), body(seed=1), "seed"),
        (way(ANTHROPIC, OPENAI, unknown_fields="strict", quirks=Quirks(drop=("top_p",))), message(top_p=1), "top_p"),
    ],
)
def test_strict_refuses_by_name_what_a_target_cannot_take(along: Any, members: dict[str, Any], field: str) -> None:
    failure = refused(along, members)
    assert (failure.kind, failure.param) == ("invalid_request", field)
    assert field in failure.message


def test_strict_lets_through_what_the_specification_has() -> None:
    made, dropped = sent(way(unknown_fields="strict"), body(seed=1, metadata={"a": "b"}, service_tier="auto"))
    assert made == body(model="real-1", seed=1, metadata={"a": "b"}, service_tier="auto")
    assert dropped == ()


def test_the_callers_own_faults_are_named() -> None:
    failure = refused(way(OPENAI, ANTHROPIC), body(temperature="warm"))
    assert (failure.kind, failure.param) == ("invalid_request", "temperature")
    failure = refused(way(OPENAI, ANTHROPIC), {"model": "asked", "messages": [{"role": "user", "content": [{}]}]})
    assert failure.param is not None
    assert failure.param.startswith("messages[0].content[0]")


@pytest.mark.parametrize("inlet", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("outlet", [OPENAI, ANTHROPIC])
def test_what_the_operator_sets_reaches_the_provider_whoever_asks(inlet: str, outlet: str) -> None:
    along = way(inlet, outlet, defaults={"guard": {"id": 1}, "other": 1}, overrides={"firm": [2]})
    made, dropped = sent(along, body() if inlet == OPENAI else message())
    assert (made["guard"], made["other"], made["firm"], dropped) == ({"id": 1}, 1, [2], ())


def test_a_word_of_the_providers_own_wire_needs_no_translation() -> None:
    made, _ = sent(way(ANTHROPIC, ANTHROPIC, defaults={"metadata": {"user_id": "u"}}), message())
    assert made["metadata"] == {"user_id": "u"}
