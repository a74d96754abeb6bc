"""A conversation as one text: its form, and what cannot be said in it."""

from typing import Any

import pytest

from relay_parts import sent, way
from wire.server_parts import left, no

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]},
]


def text(messages: list[dict[str, Any]], **options: Any) -> str:
    found: str = left("tgi", options, messages=messages)[0]["inputs"]
    return found


def test_the_plain_form() -> None:
    assert text(TURNS) == "System: Be brief.\nUser: Hi\nAssistant: Hello\nUser: A\nB\nAssistant:"


def test_a_developer_speaks_as_the_system() -> None:
    assert text([{"role": "developer", "content": "D"}, TURNS[1]]) == "System: D\nUser: Hi\nAssistant:"


def test_a_last_turn_of_the_assistant_is_continued() -> None:
    assert text(TURNS[:3]) == "System: Be brief.\nUser: Hi\nAssistant: Hello"


def test_a_template_replaces_the_form_member_by_member() -> None:
    form = {"user": "<u>{text}</u>", "reply": "<a>", "between": ""}
    assert text(TURNS, template=form) == "System: Be brief.<u>Hi</u>Assistant: Hello<u>A\nB</u><a>"


def test_what_a_turn_says_is_never_taken_for_a_form() -> None:
    assert text([{"role": "user", "content": "{text} {0}"}], template={"reply": ""}) == "User: {text} {0}"


def test_a_prompt_that_has_no_roles_gets_none() -> None:
    made, dropped = sent(way("openai_completions", "tgi"), {"model": "asked", "prompt": "Once upon"})
    assert made["inputs"] == "Once upon"
    assert made["parameters"]["max_new_tokens"] == 16
    assert dropped == ()


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"messages": [{"role": "user", "content": [PICTURE]}]}, "messages[0].content[0]"),
        ({"messages": [TURNS[0], {"role": "user", "content": [{"type": "text", "text": "x"}, PICTURE]}]},
         "messages[1].content[1]"),
        ({"tools": [TOOL]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tools"),
        ({"messages": [TURNS[1], {"role": "assistant", "content": None, "tool_calls": [CALL]}]},
         "messages[1].tool_calls[0]"),
        ({"messages": [TURNS[1], {"role": "tool", "tool_call_id": "c", "content": "x"}]}, "messages[1].content"),
        ({"n": 2}, "n"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("outlet", ["tgi", "hf_text", "oip_infer", "oip_generate", "kserve_predict"])
def test_what_a_text_cannot_say_is_refused_by_name(outlet: str, members: dict[str, Any], field: str) -> None:
    assert no(outlet, **members) == ("invalid_request", field)


def test_tools_that_may_not_be_called_are_left_out_and_listed() -> None:
    made, dropped = left("tgi", tools=[TOOL], tool_choice="none")
    assert "tools" not in made
    assert dropped == ("tools", "tool_choice")


def test_what_is_left_out_of_turns_is_listed() -> None:
    turns = [
        {"role": "user", "content": "Hi", "name": "ann"},
        {"role": "assistant", "content": "Hello", "reasoning_content": "hm"},
        {"role": "user", "content": "Go"},
    ]
    made, dropped = left("oip_infer", messages=turns)
    assert made["inputs"][0]["data"] == ["User: Hi\nAssistant: Hello\nUser: Go\nAssistant:"]
    assert dropped == ("messages[0].name", "messages[1].reasoning_content")


def test_settings_that_are_not_taken_are_listed_by_the_callers_names() -> None:
    given = {
        "temperature": 0.5, "top_p": 0.9, "stop": ["x"], "seed": 1, "presence_penalty": 1, "frequency_penalty": 1,
        "logit_bias": {"1": 2}, "logprobs": True, "top_logprobs": 2, "response_format": {"type": "json_object"},
        "user": "u", "max_completion_tokens": 5, "reasoning_effort": "low", "parallel_tool_calls": True, "odd": 1,
    }  # fmt: skip
    made, dropped = left("oip_infer", **given)
    assert set(made) == {"inputs"}
    assert set(dropped) == set(given)
