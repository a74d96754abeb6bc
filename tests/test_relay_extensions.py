"""The extension object on its way to a provider: spread, listed, refused, merged with what the registration says."""

from typing import Any

import pytest
from msgspec import json

from relay_parts import ANTHROPIC, OPENAI, body, message, out, refused, sent, way

TAKES = {"top_k": "top_k", "min_p": "min_p", "repeat_penalty": "repetition_penalty", "ignore_eos": "more.ignore_eos"}
X, ALIAS = "x-parley-extensions", "x-localai-extensions"


@pytest.mark.parametrize("name", [X, ALIAS])
def test_the_object_becomes_what_the_provider_understands(name: str) -> None:
    made, dropped = sent(
        way(takes=TAKES), body(odd=1, **{name: {"top_k": 5, "repeat_penalty": 1.1, "ignore_eos": True}})
    )
    assert made == body(model="real-1", odd=1, top_k=5, repetition_penalty=1.1, more={"ignore_eos": True})
    assert dropped == ()


def test_what_the_provider_does_not_know_is_listed_as_it_was_written() -> None:
    made, dropped = sent(way(takes={"top_k": "top_k"}), body(**{ALIAS: {"top_k": 0, "mirostat": 1, "min_p": 0.5}}))
    assert made == body(model="real-1", top_k=0)
    assert set(dropped) == {f"{ALIAS}.mirostat", f"{ALIAS}.min_p"}


def test_a_strict_registration_refuses_what_would_be_lost() -> None:
    failure = refused(way(unknown_fields="strict"), body(**{X: {"mirostat": 1}}))
    assert failure.param == f"{X}.mirostat"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({X: {"top_q": 1}}, f"{X}.top_q"),
        ({X: {"top_k": "five"}}, f"{X}.top_k"),
        ({X: 5}, X),
        ({X: {"top_k": 1}, ALIAS: {"top_k": 2}}, f"{ALIAS}.top_k"),
        ({X: {"min_p": 0.1}, "min_p": 0.2}, f"{X}.min_p"),
    ],
)
@pytest.mark.parametrize("outlet", [OPENAI, ANTHROPIC])
def test_what_is_wrong_in_it_is_named(outlet: str, given: dict[str, Any], param: str) -> None:
    assert refused(way(OPENAI, outlet, takes=TAKES), body(**given)).param == param


def test_names_at_top_level_alone_leave_the_bytes_as_they_are() -> None:
    text = json.encode(body(model="real-1", top_k=5, mirostat=2, min_p="as it came"))
    assert out(way(takes=TAKES), text).body == (text,)


def test_the_registrations_values_go_by_presence_key_by_key() -> None:
    along = way(
        takes=TAKES,
        defaults={X: {"top_k": 80, "min_p": 0.1, "repeat_penalty": 1.2}},
        overrides={X: {"ignore_eos": False}},
    )
    given = {X: {"top_k": 0, "min_p": None, "ignore_eos": True}}
    assert sent(along, body(**given))[0] == body(
        model="real-1", top_k=0, repetition_penalty=1.2, more={"ignore_eos": False}
    )
    assert sent(along, body())[0]["top_k"] == 80
    assert sent(along, body(top_k=3))[0]["top_k"] == 3


def test_roles_are_merged_key_by_key_for_a_provider_that_takes_the_whole_object() -> None:
    along = way(takes={"*": X}, defaults={X: {"roles": {"user": "USER:", "system": "S:"}, "cutstrings": ["a+"]}})
    made, _ = sent(along, body(**{X: {"roles": {"user": "U:"}}}))
    assert made[X] == {"roles": {"user": "U:", "system": "S:"}, "cutstrings": ["a+"]}


def test_on_the_way_to_another_wire_each_field_finds_its_place_or_is_listed() -> None:
    made, dropped = sent(way(OPENAI, ANTHROPIC), body(**{X: {"top_k": 7, "min_p": 0.5}}))
    assert made["top_k"] == 7
    assert dropped == (f"{X}.min_p",)
    made, dropped = sent(way(ANTHROPIC, OPENAI, takes=TAKES), message(**{X: {"min_p": 0.5}}))
    assert (made["min_p"], dropped) == (0.5, ())
    made, dropped = sent(way(ANTHROPIC, OPENAI, takes=TAKES), message(min_p=0.25))
    assert (made["min_p"], dropped) == (0.25, ())
